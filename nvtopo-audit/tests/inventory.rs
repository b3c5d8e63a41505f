//! The checks of the inventory, on a made machine.

use crate::machine::{HALVES, Machine, pci};
use crate::support::{finding, of_files, only_status, status};
use nvtopo_audit::Status::{Fail, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] =
    &[gpus_are_counted, events_of_gpus_count, firmware_is_alike_and_allowed, machines_are_virtual_or_not];

#[test]
fn gpus_are_counted() {
    let check = "gpu-count";
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), check), Unknown);
    for (expected, status) in [(2, Pass), (3, Fail), (1, Warn)] {
        assert_eq!(only_status(&machine.report_expecting(&format!("gpus = {expected}")), check), status);
    }
    machine.remove(&format!("proc/driver/nvidia/gpus/{}", HALVES[1].gpu));
    assert_eq!(status(&machine.report(), check, "GPU1"), Fail);
    // A device that has fallen off the bus reads as ones.
    let lost = "0f:00.0 3D controller: NVIDIA Corporation Device 2330 (rev ff)\n";
    let report = Machine::new().report_beside(&[("lspci.txt", lost)], "gpus = 2");
    assert_eq!((status(&report, check, "0000:0f:00.0"), status(&report, check, "node")), (Fail, Pass));
    let other = lost.replace("rev ff", "rev a1");
    assert_eq!(only_status(&Machine::new().report_beside(&[("lspci.txt", &other)], "gpus = 2"), check), Pass);
}

#[test]
fn events_of_gpus_count() {
    let check = "gpu-count";
    let bus = |half: usize| HALVES[half].gpu.trim_end_matches(".0");
    let xid = |half: usize, rest: &str| {
        format!("[Fri Aug 30 11:43:09 2024] NVRM: Xid (PCI:{}): {rest}\n", bus(half))
    };
    let report = |log: &str| Machine::new().report_beside(&[("dmesg.txt", log)], "gpus = 2");
    // The words are those of recorded lines; their devices are made.
    let off = xid(1, "79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.");
    let found = report(&off);
    let text = "the kernel's log tells of Xid 79: it has fallen off the bus; the machine has to be restarted";
    assert_eq!((status(&found, check, "GPU1"), status(&found, check, "node")), (Fail, Pass));
    assert_eq!(finding(&found, check, "GPU1").text, text);
    // The words of a user are no start of the machine, those of the kernel are.
    let words = |tag: &str| format!("{off}Aug 30 12:00:00 n1 {tag}: Linux version 6.8.0-31-generic (b@h)\n");
    assert_eq!(status(&report(&words("alice[4242]")), check, "GPU1"), Fail);
    assert_eq!(only_status(&report(&words("kernel")), check), Pass);
    for (rest, expected) in [
        ("48, pid=1, name=x, An uncorrectable double bit error (DBE) has been detected on GPU", Fail),
        ("95, pid=1, name=x, Uncontained: LTC TAG (0x2,0x0)", Fail),
        ("154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", Fail),
        ("94, pid=1, name=x, Contained: CE User Channel (0x9)", Warn),
    ] {
        assert_eq!(status(&report(&xid(0, rest)), check, "GPU0"), expected, "{rest}");
    }
    let over = xid(1, "154, GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)");
    assert_eq!(only_status(&report(&format!("{off}{over}")), check), Pass);
    assert_eq!(only_status(&report(&xid(0, "31, pid=1, name=x, Ch 0000000b, MMU Fault")), check), Pass);
    // A GPU that no other source tells of is named by its address.
    let other = off.replace(bus(1), "0000:cb:00");
    assert_eq!(status(&report(&other), check, "0000:cb:00.0"), Fail);
}

#[test]
fn firmware_is_alike_and_allowed() {
    let check = "gpu-firmware-inventory";
    let mut machine = Machine::new();
    let set = |machine: &mut Machine, half: usize, vbios: &str, excluded: &str| {
        let text = format!(
            "Model: \t\t NVIDIA H100 80GB HBM3\nVideo BIOS: \t {vbios}\nGPU Excluded:\t {excluded}\nDevice Minor: \t {half}"
        );
        machine.set(&format!("proc/driver/nvidia/gpus/{}/information", HALVES[half].gpu), &text);
    };
    set(&mut machine, 0, "??.??.??.??.??", "No");
    set(&mut machine, 1, "96.00.74.00.01", "No");
    assert_eq!(only_status(&machine.report(), check), Unknown);
    set(&mut machine, 0, "96.00.74.00.01", "No");
    assert_eq!(only_status(&machine.report(), check), Pass);
    assert_eq!(status(&machine.report_expecting("vbios = [\"96.00.89.00.01\"]"), check, "GPU0"), Fail);
    set(&mut machine, 0, "96.00.89.00.01", "No");
    assert_eq!(only_status(&machine.report(), check), Warn);
    set(&mut machine, 0, "96.00.74.00.01", "Yes");
    assert_eq!(status(&machine.report(), check, "GPU0"), Fail);

    let check = "nic-firmware-inventory";
    assert_eq!(only_status(&machine.report(), check), Unknown);
    for (number, half) in HALVES.iter().enumerate() {
        machine.set(&pci(half.nic, &format!("infiniband/mlx5_{number}/fw_ver")), "28.39.1002");
        machine.set(&pci(half.nic, &format!("infiniband/mlx5_{number}/board_id")), "MT_0000000838");
    }
    assert_eq!(status(&machine.report(), check, "MT_0000000838"), Pass);
    assert_eq!(status(&machine.report_expecting("nic-firmware = [\"28.41.1000\"]"), check, "mlx5_0"), Fail);
    machine.set(&pci(HALVES[1].nic, "infiniband/mlx5_1/fw_ver"), "28.41.1000");
    assert_eq!(
        finding(&machine.report(), check, "MT_0000000838").text,
        "the firmware differs: 28.39.1002 on mlx5_0, 28.41.1000 on mlx5_1"
    );
}

#[test]
fn machines_are_virtual_or_not() {
    let check = "vm-or-bare-metal";
    let mut machine = Machine::new();
    assert_eq!(finding(&machine.report(), check, "node").text, "it is no virtual machine");
    machine.set("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor");
    assert_eq!(only_status(&machine.report(), check), Pass);
    assert_eq!(only_status(&of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]), check), Unknown);
    // The GPU says that a hypervisor gave it.
    assert_eq!(only_status(&of_files(&["smi/tesla-t4-q.xml"]), check), Pass);
}
