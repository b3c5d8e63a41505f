//! The checks of PCIe, on made machines but where a test names a recorded one.

use crate::machine::{HALVES, Machine, pci};
use crate::support::{finding, findings, of_dell, of_files, of_text, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    a_recorded_server_has_no_lanes_or_speed_lost,
    lost_lanes_fail,
    a_slow_link_fails_for_an_adapter_and_for_a_gpu_at_work,
    a_recorded_gpu_of_a_virtual_machine_is_not_judged,
    errors_are_judged_by_their_growth,
    a_slot_that_is_too_slow_for_its_ports_fails,
    small_read_requests_warn,
    a_small_window_to_memory_warns_and_a_tiny_one_fails,
    a_preset_tells_nothing_of_training,
];

const GPU: &str = HALVES[0].gpu;
const NIC: &str = HALVES[0].nic;

#[test]
fn a_recorded_server_has_no_lanes_or_speed_lost() {
    // Chipset ports elsewhere on this server are slowed down, which is no matter.
    let report = of_dell();
    for check in ["pcie-width", "pcie-speed", "pcie-mrrs"] {
        let findings = crate::support::findings(report, check);
        assert!(findings.len() >= 8, "{check}");
        let bad: Vec<_> = findings.iter().filter(|own| own.status == Fail).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
    assert_eq!(finding(report, "bar1-size", "GPU0").text, "its BAR1 has 128 GiB; its memory is not told");
    assert_eq!(only_status(report, "pcie-nic-headroom"), Unknown, "lspci tells no rates of ports");
    assert_eq!(only_status(report, "pcie-errors"), Unknown);
}

#[test]
fn lost_lanes_fail() {
    let report = Machine::new().report();
    assert_eq!(only_status(&report, "pcie-width"), Pass);
    let mut machine = Machine::new();
    machine.set(&pci(GPU, "current_link_width"), "8");
    let report = machine.report();
    let found = finding(&report, "pcie-width", "GPU0");
    assert_eq!((found.status, found.text.as_str()), (Fail, "it uses 8 lanes, and both ends have 16"));
    assert_eq!(status(&report, "pcie-width", "GPU1"), Pass);
    // A slot of 8 lanes gives no more.
    machine.set(&pci(HALVES[0].gpu_port, "max_link_width"), "8");
    assert_eq!(status(&machine.report(), "pcie-width", "GPU0"), Pass);
    // In a virtual machine it says nothing.
    machine.set("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor");
    machine.set("sys/hypervisor/type", "kvm").set("sys/class/dmi/id/sys_vendor", "QEMU");
    assert_eq!(only_status(&machine.report(), "pcie-width"), Unknown);
}

#[test]
fn a_slow_link_fails_for_an_adapter_and_for_a_gpu_at_work() {
    let mut machine = Machine::new();
    machine.set(&pci(NIC, "current_link_speed"), "8.0 GT/s PCIe");
    machine.set(&pci(GPU, "current_link_speed"), "2.5 GT/s PCIe");
    let report = machine.report();
    assert_eq!(status(&report, "pcie-speed", "mlx5_0"), Fail);
    assert_eq!(status(&report, "pcie-speed", "mlx5_1"), Pass);
    assert_eq!(status(&report, "pcie-speed", "GPU0"), Unknown, "it may be idle");
    let query = |state: &str, width: u16| {
        format!(
            "==============NVSMI LOG==============\n\nTimestamp : Mon Nov 30 07:00:00 2026\nDriver Version : 570.124.06\n\
             CUDA Version : 12.8\n\nAttached GPUs : 1\nGPU 00000000:03:00.0\n    Product Name : NVIDIA H100 80GB HBM3\n    \
             PCI\n        Bus : 0x03\n        Device : 0x00\n        Domain : 0x0000\n        Bus Id : 00000000:03:00.0\n        \
             GPU Link Info\n            PCIe Generation\n                Max : 5\n                Current : 1\n                \
             Device Current : 1\n                Device Max : 5\n                Host Max : 5\n            Link Width\n                \
             Max : 16x\n                Current : {width}x\n        Replays Since Reset : 0\n    Performance State : {state}\n    \
             BAR1 Memory Usage\n        Total : 131072 MiB\n        Used : 1 MiB\n    Utilization\n        Gpu : 0 %\n"
        )
    };
    let report = of_text(&query("P8", 16));
    assert_eq!(
        (status(&report, "pcie-speed", "GPU0"), status(&report, "pcie-width", "GPU0")),
        (Unknown, Pass)
    );
    assert_eq!(status(&report, "bar1-size", "GPU0"), Pass);
    // Idle, then at work with the link at full speed or not: what was read at one moment belongs together.
    let at_work = |generation: u8| {
        let text = query("P2", 16).replace("Gpu : 0 %", "Gpu : 8 %");
        text.replace("Current : 1\n", &format!("Current : {generation}\n"))
    };
    for (then, now, expected) in [
        (query("P8", 16), at_work(5), Pass),
        (at_work(5), query("P8", 16), Pass),
        (query("P8", 16), at_work(3), Fail),
        (query("P8", 16), query("P8", 16), Unknown),
    ] {
        assert_eq!(status(&of_text(&format!("{then}\n{now}")), "pcie-speed", "GPU0"), expected);
    }
    let report = of_text(&query("P0", 8));
    assert_eq!((status(&report, "pcie-speed", "GPU0"), status(&report, "pcie-width", "GPU0")), (Fail, Fail));
}

#[test]
fn a_recorded_gpu_of_a_virtual_machine_is_not_judged() {
    // Without addresses nothing is known of the lanes, and there are GPUs all the same.
    let links = of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]);
    for check in ["pcie-width", "pcie-speed", "pcie-errors"] {
        assert_eq!((only_status(&links, check), status(&links, check, "GPU0")), (Unknown, Unknown));
    }
    // The hypervisor shows 8 of 16 lanes.
    let report = of_files(&["smi/tesla-t4-q.xml"]);
    assert_eq!(only_status(&report, "pcie-width"), Unknown);
    let text = std::fs::read_to_string(crate::support::data("smi/tesla-t4-q.xml")).unwrap();
    let bare = text.replace(">Pass-Through<", ">None<");
    assert_eq!(only_status(&of_text(&bare), "pcie-width"), Fail);
}

/// A machine with errors at the port above the first GPU, 1000 seconds later.
fn later(file: &str, text: &str) -> Machine {
    let mut machine = Machine::new();
    machine.set("proc/uptime", "2000.00 1.00").set(&pci(HALVES[0].gpu_port, file), text);
    machine
}

#[test]
fn errors_are_judged_by_their_growth() {
    assert_eq!(only_status(&Machine::new().report(), "pcie-errors"), Unknown, "one reading");
    let sound = later("aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 0").report_since(&Machine::new());
    assert_eq!(only_status(&sound, "pcie-errors"), Pass);
    let grave = later("aer_dev_nonfatal", "Undefined 1\nTOTAL_ERR_NONFATAL 1").report_since(&Machine::new());
    let found = finding(&grave, "pcie-errors", "GPU0");
    let text = "1 more nonfatal errors at 0000:02:00.0 since the earlier reading";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    assert_eq!(status(&grave, "pcie-errors", "mlx5_0"), Pass, "its path has another port");
    let few = later("aer_dev_correctable", "RxErr 20\nTOTAL_ERR_COR 20").report_since(&Machine::new());
    assert_eq!(status(&few, "pcie-errors", "GPU0"), Pass, "20 in 1000 seconds are 72 an hour");
    let many = later("aer_dev_correctable", "RxErr 30\nTOTAL_ERR_COR 30");
    assert_eq!(status(&many.report_since(&Machine::new()), "pcie-errors", "GPU0"), Warn);
    // One or two errors in ten seconds are no rate.
    let soon = |errors: u32| {
        let mut machine = later("aer_dev_correctable", &format!("TOTAL_ERR_COR {errors}"));
        machine.set("proc/uptime", "1010.00 1.00");
        let report = machine.report_since(&Machine::new());
        finding(&report, "pcie-errors", "GPU0").clone()
    };
    let text = "few more corrected errors on 4 PCIe functions up to the root";
    assert_eq!((soon(2).status, soon(2).text.as_str()), (Pass, text));
    assert_eq!(soon(3).status, Warn);
    // A counter that shrank was reset, and after another start nothing is known.
    assert_eq!(status(&later("aer_dev_fatal", "x").report_since(&many), "pcie-errors", "GPU0"), Unknown);
    // A counter that one reading tells may have grown.
    let text = "TOTAL_ERR_FATAL 5";
    for damaged in
        ["x", "", "TOTAL_ERR_FATAL -1", "TOTAL_ERR_FATAL 1e9", "TOTAL_ERR_FATAL 99999999999999999999"]
    {
        let (now, then) = (later("aer_dev_fatal", damaged), later("aer_dev_fatal", text));
        let report = now.report_since(&then);
        let found = finding(&report, "pcie-errors", "GPU0");
        let expected = "the later reading does not tell the fatal errors at 0000:02:00.0";
        assert_eq!((found.status, found.text.as_str()), (Unknown, expected), "{damaged}");
        assert_eq!(status(&then.report_since(&now), "pcie-errors", "GPU0"), Unknown, "{damaged}");
    }
    let mut restarted = Machine::new();
    restarted.set("proc/stat", "cpu 1\nbtime 1700009000").set("proc/uptime", "2000 1");
    assert_eq!(only_status(&restarted.report_since(&many), "pcie-errors"), Unknown);
    // Another machine, and another start of this one by its boot id alone.
    let with = |machine: &str, boot: &str| {
        let id = |digit: &str| digit.repeat(32);
        many.with("etc/machine-id", &id(machine)).with("proc/sys/kernel/random/boot_id", &id(boot))
    };
    let verdict = |earlier: &Machine| {
        let report = with("a", "1").report_since(earlier);
        finding(&report, "pcie-errors", "GPU0").text.clone()
    };
    assert_eq!(verdict(&with("b", "2")), "the earlier reading is of another machine");
    assert_eq!(verdict(&with("a", "2")), "the machine was started anew between the two readings");
    assert!(verdict(&with("a", "1")).starts_with("no more errors"));
    // The clock was set meanwhile, in one start of the machine.
    assert!(verdict(&with("a", "1").with("proc/stat", "btime 1700009000")).starts_with("no more errors"));
}

#[test]
fn a_slot_that_is_too_slow_for_its_ports_fails() {
    assert_eq!(only_status(&Machine::new().report(), "pcie-nic-headroom"), Pass);
    let mut machine = Machine::new();
    machine.set(&pci(NIC, "current_link_speed"), "16.0 GT/s PCIe");
    let report = machine.report();
    let found = finding(&report, "pcie-nic-headroom", "mlx5_0");
    let text = "26.8 GB/s of its PCIe link are usable, and its ports carry 50 GB/s";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    machine.remove(&pci(NIC, "infiniband/mlx5_0/ports/1/rate"));
    assert_eq!(status(&machine.report(), "pcie-nic-headroom", "mlx5_0"), Unknown);
}

#[test]
fn small_read_requests_warn() {
    assert_eq!(only_status(&Machine::new().report(), "pcie-mrrs"), Pass);
    let mut machine = Machine::new();
    machine.poke(NIC, 0x48, 2 << 12);
    let report = machine.report();
    let found = finding(&report, "pcie-mrrs", "mlx5_0");
    assert_eq!(
        (found.status, found.text.as_str()),
        (Warn, "it may read 512 bytes at once, of 4096 possible")
    );
    // Ordinary users see the first 64 bytes.
    machine.bytes(&pci(NIC, "config"), vec![0x40; 64]);
    assert_eq!(status(&machine.report(), "pcie-mrrs", "mlx5_0"), Unknown);
    // A virtual function has no such setting (lines of an Azure machine, shortened).
    let guest = "0101:00:00.0 Infiniband controller: Mellanox Technologies MT28908 Family [ConnectX-6 Virtual Function]\n\
                 \tNUMA node: 0\n\tCapabilities: [60] Express (v2) Endpoint, MSI 00\n\
                 \t\tDevCtl:\tCorrErr- NonFatalErr- FatalErr- UnsupReq-\n\
                 \t\t\tMaxPayload 128 bytes, MaxReadReq 128 bytes\n\
                 \t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16, ASPM not supported\n";
    assert_eq!(only_status(&of_text(guest), "pcie-mrrs"), NotApplicable);
    let card = guest.replace(" Family [ConnectX-6 Virtual Function]", " Family [ConnectX-6]");
    assert_eq!(only_status(&of_text(&card), "pcie-mrrs"), Warn);
}

#[test]
fn a_small_window_to_memory_warns_and_a_tiny_one_fails() {
    let region = |size: u64| {
        let line = |size: u64| format!("{:#x} {:#x} 0x140204", 1_u64 << 40, (1_u64 << 40) + size - 1);
        format!("{}\n{}\n0x0 0x0 0x0", line(16 << 20), line(size))
    };
    assert_eq!(only_status(&Machine::new().report(), "bar1-size"), Pass);
    let mut machine = Machine::new();
    machine
        .set(&pci(GPU, "resource"), &region(32 << 30))
        .set(&pci(HALVES[1].gpu, "resource"), &region(64 << 20));
    let report = machine.report();
    let found = finding(&report, "bar1-size", "GPU0");
    let text = "its BAR1 has 32 GiB, and its memory 80 GiB, so adapters reach a part of it";
    assert_eq!((found.status, found.text.as_str()), (Warn, text));
    assert_eq!(status(&report, "bar1-size", "GPU1"), Fail);
    // Without an adapter nobody reaches for it.
    machine.remove("sys/class/infiniband/mlx5_0").remove("sys/class/infiniband/mlx5_1");
    machine
        .remove(&format!("sys/bus/pci/devices/{NIC}"))
        .remove(&format!("sys/bus/pci/devices/{}", HALVES[1].nic));
    assert_eq!(status(&machine.report(), "bar1-size", "GPU0"), Pass);
    machine.remove(&pci(GPU, "resource"));
    assert_eq!(status(&machine.report(), "bar1-size", "GPU0"), Unknown);
}

#[test]
fn a_preset_tells_nothing_of_training() {
    let report = crate::support::of_preset("gb200-nvl72-tray");
    assert_eq!(findings(&report, "pcie-width").len(), 8, "four GPUs and four adapters");
    assert_eq!(only_status(&report, "pcie-width"), Unknown);
}
