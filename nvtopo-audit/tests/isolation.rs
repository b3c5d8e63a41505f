//! The checks of isolation, on made machines but where a test names a recorded one.

use crate::machine::{HALVES, Machine, pci};
use crate::support::{Folder, finding, findings, of, of_dell, of_preset, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    a_recorded_server_passes_though_six_ports_elsewhere_redirect,
    ports_between_a_gpu_and_its_adapter_decide,
    direct_nic_needs_ports_that_redirect,
    an_iommu_that_translates_warns,
    gpudirect_has_a_route_or_fails,
    a_recorded_log_of_peer_memory_warns_beside_saved_outputs,
    gdrcopy_is_asked_for_by_the_profile,
    a_gpu_has_nvidias_driver_or_one_for_guests_by_intent,
    virtual_functions_are_as_many_as_are_wanted,
    tenants_must_not_share_rdma_devices,
    a_process_with_rdma_may_lock_memory,
    a_snapshot_gives_the_verdicts_of_the_machine,
    saved_outputs_give_the_verdicts_of_the_machine,
];

const GPU: &str = HALVES[0].gpu;
const NIC: &str = HALVES[0].nic;

/// The three bits that redirect.
const REDIRECTS: u16 = 0b1_1100;

#[test]
fn a_recorded_server_passes_though_six_ports_elsewhere_redirect() {
    let text = of_gzip("audit/gpud/lspci-vvv.dell-8xh100.txt.gz");
    assert_eq!(text.matches("ACSCtl:\tSrcValid+").count(), 6);
    let report = of_dell();
    assert_eq!(findings(report, "acs-on-p2p-path").len(), 8);
    assert_eq!(only_status(report, "acs-on-p2p-path"), Pass);
    // The same bits at a port above a GPU fail.
    let at = text.find("secondary=19,").unwrap();
    let bad = format!("{}{}", &text[..at], text[at..].replacen("ReqRedir-", "ReqRedir+", 1));
    let folder = Folder::of("acs", &[("lspci.txt", &bad)]);
    let report = of(&folder.read());
    let failed: Vec<_> =
        findings(&report, "acs-on-p2p-path").into_iter().filter(|own| own.status == Fail).collect();
    let bridge =
        text[..at].lines().rfind(|line| !line.starts_with(['\t', ' ']) && line.contains("PCI bridge"));
    let port = bridge.unwrap().split_whitespace().next().unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].text.starts_with(&format!("port 0000:{port} between it and ")), "{}", failed[0].text);
}

fn of_gzip(name: &str) -> String {
    let contents = crate::support::read(&[name]);
    contents.texts[0].text.clone()
}

#[test]
fn ports_between_a_gpu_and_its_adapter_decide() {
    let report = Machine::new().report();
    assert_eq!(only_status(&report, "acs-on-p2p-path"), Pass);
    assert_eq!(finding(&report, "acs-on-p2p-path", "GPU0").text, "no port between it and mlx5_0 redirects");
    let mut machine = Machine::new();
    machine.acs(HALVES[0].nic_port, REDIRECTS).acs(HALVES[1].root, REDIRECTS).acs(HALVES[1].gpu_port, 1);
    let report = machine.report();
    let found = finding(&report, "acs-on-p2p-path", "GPU0");
    let text =
        format!("port {} between it and mlx5_0 redirects their traffic to the CPU (ACS)", HALVES[0].nic_port);
    assert_eq!((found.status, &found.text), (Fail, &text));
    assert_eq!(
        status(&report, "acs-on-p2p-path", "GPU1"),
        Pass,
        "the root port is above, and SrcValid is no fault"
    );
    let report = machine.report_expecting("passthrough = true");
    assert_eq!(only_status(&report, "acs-on-p2p-path"), NotApplicable);
    machine.set("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor");
    assert_eq!(only_status(&machine.report(), "acs-on-p2p-path"), Unknown);
    // An ordinary user sees the first 64 bytes.
    let mut machine = Machine::new();
    machine.bytes(&pci(HALVES[0].gpu_port, "config"), vec![0x40; 64]);
    assert_eq!(status(&machine.report(), "acs-on-p2p-path", "GPU0"), Unknown);
    assert_eq!(only_status(&of_preset("dgx-h100"), "acs-on-p2p-path"), Unknown);
}

/// Lines of `lspci -vvvnn` of a board with Direct NIC: a switch with a port towards the DMA function, and one towards the GPU.
fn direct_nic(to_nic: &str, to_gpu: &str, root: &str, group: &str) -> String {
    let bridge = |address: &str, kind: &str, below: &str, acs: &str| {
        let own = &address[5..7];
        let acs = match acs {
            "" => String::new(),
            bits => format!("\tCapabilities: [148 v1] Access Control Services\n\t\tACSCtl:\t{bits}\n"),
        };
        format!(
            "{address} PCI bridge [0604]: NVIDIA Corporation Device [10de:22b1]\n\tBus: primary={own}, secondary={below}, \
             subordinate=0f, sec-latency=0\n\tCapabilities: [40] Express (v2) {kind}, MSI 00\n\t\tLnkCap:\tPort #0, Speed 32GT/s, \
             Width x16\n\t\tLnkSta:\tSpeed 32GT/s, Width x16\n{acs}\n"
        )
    };
    let device = |address: &str, name: &str, group: &str| {
        format!(
            "{address} {name}\n\tNUMA node: 0\n\tIOMMU group: {group}\n\tKernel driver in use: nvidia\n\n"
        )
    };
    [
        bridge("0000:00:00.0", "Root Port (Slot-)", "01", root),
        bridge("0000:01:00.0", "Upstream Port", "02", ""),
        bridge("0000:02:00.0", "Downstream Port (Slot+)", "03", to_nic),
        bridge("0000:02:01.0", "Downstream Port (Slot+)", "04", to_gpu),
        bridge("0000:04:00.0", "Upstream Port", "05", ""),
        bridge("0000:05:00.0", "Downstream Port (Slot+)", "06", ""),
        device(
            "0000:03:00.0",
            "DMA controller [0801]: Mellanox Technologies ConnectX-8 Data Direct [15b3:2100]",
            "7",
        ),
        device("0000:06:00.0", "3D controller [0302]: NVIDIA Corporation Device [10de:31c2]", group),
        bridge("0002:00:00.0", "Root Port (Slot-)", "01", ""),
        device(
            "0002:01:00.0",
            "Infiniband controller [0207]: Mellanox Technologies CX8 [ConnectX-8] [15b3:1023]",
            "8",
        ),
    ]
    .concat()
}

#[test]
fn direct_nic_needs_ports_that_redirect() {
    let bits = |on: &[&str]| {
        let all =
            ["SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl", "DirectTrans"];
        all.map(|name| format!("{name}{}", if on.contains(&name) { '+' } else { '-' })).join(" ")
    };
    let to_nic = bits(&["UpstreamFwd", "CmpltRedir", "SrcValid"]);
    let to_gpu = bits(&["UpstreamFwd", "ReqRedir", "SrcValid"]);
    let root = bits(&["UpstreamFwd", "CmpltRedir", "ReqRedir"]);
    let audit = |to_nic: &str, group: &str| {
        let folder = Folder::of(
            &format!("direct-{}-{group}", to_nic.len() + to_nic.matches('+').count()),
            &[("lspci.txt", &direct_nic(to_nic, &to_gpu, &root, group))],
        );
        of(&folder.read())
    };
    let sound = audit(&to_nic, "7");
    let found = finding(&sound, "acs-on-p2p-path", "GPU0");
    assert_eq!(found.status, Pass, "{}", found.text);
    // On other boards this would be a pass.
    let plain = audit(&bits(&[]), "7");
    let found = finding(&plain, "acs-on-p2p-path", "GPU0");
    let text = "the port towards the adapter (0000:02:00.0) has SrcValid- CmpltRedir- UpstreamFwd-, and Direct NIC needs the \
                reverse";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    assert_eq!(status(&audit(&to_nic, "9"), "acs-on-p2p-path", "GPU0"), Fail, "two IOMMU groups");
}

#[test]
fn an_iommu_that_translates_warns() {
    let mut machine = Machine::new();
    for (address, group, mode) in [(GPU, 3, "DMA-FQ"), (NIC, 4, "identity")] {
        machine.link(&pci(address, "iommu_group"), &format!("../../../../kernel/iommu_groups/{group}"));
        machine.set(&format!("sys/kernel/iommu_groups/{group}/type"), mode);
    }
    let report = machine.report();
    assert_eq!(status(&report, "iommu-mode", "GPU0"), Warn);
    assert_eq!(status(&report, "iommu-mode", "mlx5_0"), Pass);
    assert_eq!(finding(&report, "iommu-mode", "GPU1").text, "no IOMMU stands before it");
    assert_eq!(only_status(&machine.report_expecting("passthrough = true"), "iommu-mode"), NotApplicable);
    // An older kernel tells no types: the command line does.
    machine.remove("sys/kernel/iommu_groups").remove(&pci(GPU, "iommu_group"));
    assert_eq!(only_status(&machine.report(), "iommu-mode"), Pass);
    machine.set("proc/cmdline", "root=/dev/sda1");
    assert_eq!(only_status(&machine.report(), "iommu-mode"), Unknown);
}

#[test]
fn gpudirect_has_a_route_or_fails() {
    assert_eq!(only_status(&Machine::new().report(), "gpudirect-module"), Pass);
    let mut machine = Machine::new();
    machine.set("proc/sys/kernel/osrelease", "5.4.0-100-generic");
    let report = machine.report();
    let found = finding(&report, "gpudirect-module", "node");
    let text = "Linux 5.4 has no DMA-BUF for RDMA, and no peer memory module is loaded";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    machine.set("sys/module/nvidia_peermem/initstate", "live");
    assert_eq!(only_status(&machine.report(), "gpudirect-module"), Warn);
    machine.remove("sys/module");
    assert_eq!(only_status(&machine.report(), "gpudirect-module"), Unknown, "modules are not told");
    let mut machine = Machine::new();
    machine.set("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06");
    assert_eq!(only_status(&machine.report(), "gpudirect-module"), Fail, "a closed module");
    machine.set(&pci(NIC, "p2p"), "NVIDIA").set(&pci(NIC, "infiniband/mlx5_0/device/p2p"), "NVIDIA");
    assert_eq!(only_status(&machine.report(), "gpudirect-module"), Pass, "as an EFA adapter says");
    assert_eq!(only_status(&of_preset("dgx-h100"), "gpudirect-module"), Unknown);
}

#[test]
fn a_recorded_log_of_peer_memory_warns_beside_saved_outputs() {
    let lsmod = "Module                  Size  Used by\nnvidia_peermem         16384  0\nnvidia               12345678  9\n";
    let matrix = "\tGPU0\tNIC0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tPIX\t0-3\t0\nNIC0\tPIX\t X \t\t\n\nNIC Legend:\n\n  NIC0: \
                  mlx5_0\n";
    let uname =
        "Linux node1 5.4.0-100-generic #113-Ubuntu SMP Thu Feb 3 18:43:29 UTC 2022 x86_64 GNU/Linux\n";
    let files = [("lsmod.txt", lsmod), ("topo.txt", matrix), ("uname.txt", uname)];
    let folder = Folder::of("peermem", &files);
    assert_eq!(
        finding(&of(&folder.read()), "gpudirect-module", "node").text,
        "by nvidia_peermem only; DMA-BUF is what NVIDIA advises"
    );
    // Made: neither kernel nor driver is told, so DMA-BUF may be there too.
    let folder = Folder::of("peermem-alone", &files[..files.len() - 1]);
    assert_eq!(only_status(&of(&folder.read()), "gpudirect-module"), Unknown);
    let folder = Folder::of("peermem-log", &files).with("audit/gpud/kmsg.peermem.log.gz");
    let found = of(&folder.read());
    let found = finding(&found, "gpudirect-module", "node");
    assert_eq!(found.text, "nvidia-peermem logged an invalid context, so transfers were cut off");
    let none = "Module                  Size  Used by\nmlx5_core             16384  0\n";
    let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02\n";
    let folder =
        Folder::of("no-peermem", &[files[1], files[2], ("lsmod.txt", none), ("version.txt", version)]);
    assert_eq!(only_status(&of(&folder.read()), "gpudirect-module"), Fail);
}

#[test]
fn gdrcopy_is_asked_for_by_the_profile() {
    let machine = Machine::new();
    assert_eq!(only_status(&machine.report(), "gdrcopy"), NotApplicable);
    assert_eq!(only_status(&machine.report_expecting("gdrcopy = true"), "gdrcopy"), Fail);
    let mut machine = machine;
    machine.set("sys/module/gdrdrv/initstate", "live");
    assert_eq!(only_status(&machine.report(), "gdrcopy"), Pass);
    machine.remove("sys/module");
    assert_eq!(only_status(&machine.report_expecting("gdrcopy = true"), "gdrcopy"), Unknown);
}

#[test]
fn a_gpu_has_nvidias_driver_or_one_for_guests_by_intent() {
    assert_eq!(only_status(&Machine::new().report(), "gpu-driver-binding"), Pass);
    let mut machine = Machine::new();
    machine.link(&pci(GPU, "driver"), "../../../bus/pci/drivers/vfio-pci");
    let report = machine.report();
    assert_eq!(status(&report, "gpu-driver-binding", GPU), Fail, "discovery leaves it out");
    assert_eq!(only_status(&machine.report_expecting("passthrough = true"), "gpu-driver-binding"), Pass);
    machine.remove(&pci(GPU, "driver"));
    assert_eq!(status(&machine.report(), "gpu-driver-binding", "GPU0"), Fail, "no driver");
    machine.link(&pci(GPU, "driver"), "../../../bus/pci/drivers/nouveau");
    assert_eq!(
        finding(&machine.report(), "gpu-driver-binding", "GPU0").text,
        "nouveau runs it, and nvidia was expected"
    );
    // A copy of the files without links proves nothing, and the driver's own list does.
    machine.remove(&pci(GPU, "driver")).remove(&pci(GPU, "subsystem"));
    assert_eq!(status(&machine.report(), "gpu-driver-binding", "GPU0"), Pass);
    machine.remove("proc/driver/nvidia/gpus");
    assert_eq!(status(&machine.report(), "gpu-driver-binding", "GPU0"), Unknown);
}

#[test]
fn virtual_functions_are_as_many_as_are_wanted() {
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), "sriov-state"), NotApplicable);
    assert_eq!(only_status(&machine.report_expecting("virtual-functions = 4"), "sriov-state"), Fail);
    for nic in [NIC, HALVES[1].nic] {
        machine.set(&pci(nic, "sriov_totalvfs"), "8").set(&pci(nic, "sriov_numvfs"), "4");
    }
    assert_eq!(only_status(&machine.report(), "sriov-state"), Pass);
    let report = machine.report_expecting("virtual-functions = 8");
    let text = "4 of 8 virtual functions are enabled, and 8 were expected";
    assert_eq!(finding(&report, "sriov-state", "mlx5_0").text, text);
    // One of them has no driver.
    machine.link(&pci(NIC, "virtfn0"), "../0000:04:00.1");
    machine.link("sys/bus/pci/devices/0000:04:00.1", "../../../devices/pci0000:00/0000:00:01.0/0000:04:00.1");
    machine.link("sys/devices/pci0000:00/0000:00:01.0/0000:04:00.1/subsystem", "../../../../bus/pci");
    assert_eq!(
        finding(&machine.report(), "sriov-state", "mlx5_0").text,
        "1 of 4 virtual functions have no driver"
    );
    let folder = Folder::of(
        "no-sriov",
        &[(
            "topo.txt",
            "\tGPU0\tNIC0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tPIX\t0-3\t0\nNIC0\tPIX\t X \t\t\n\nNIC Legend:\n\n  NIC0: mlx5_0\n",
        )],
    );
    let profile = nvtopo_audit::Profile::parse("", "[expect]\nvirtual-functions = 4\n").unwrap();
    let report = nvtopo_audit::Audit::of(&folder.read()).profile(profile).run().unwrap();
    assert_eq!(only_status(&report, "sriov-state"), Unknown);
}

#[test]
fn tenants_must_not_share_rdma_devices() {
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), "rdma-netns-mode"), Pass);
    machine.set("sys/module/ib_core/parameters/netns_mode", "Y");
    assert_eq!(only_status(&machine.report(), "rdma-netns-mode"), NotApplicable);
    assert_eq!(only_status(&machine.report_expecting("tenants = true"), "rdma-netns-mode"), Warn);
    machine.set(&pci(NIC, "sriov_totalvfs"), "8").set(&pci(NIC, "sriov_numvfs"), "4");
    assert_eq!(only_status(&machine.report(), "rdma-netns-mode"), Warn);
    assert_eq!(only_status(&machine.report_expecting("tenants = false"), "rdma-netns-mode"), NotApplicable);
    machine.remove("sys/module/ib_core/parameters/netns_mode");
    assert_eq!(only_status(&machine.report(), "rdma-netns-mode"), Unknown);
}

#[test]
fn a_process_with_rdma_may_lock_memory() {
    assert_eq!(only_status(&Machine::new().report(), "rdma-memlock"), Pass);
    let mut machine = Machine::new();
    machine
        .set("proc/self/limits", "Max locked memory         8388608              8388608              bytes");
    let report = machine.report();
    let found = finding(&report, "rdma-memlock", "node");
    assert_eq!(
        (found.status, found.text.as_str()),
        (Warn, "8192 KiB may be locked, and at least 1 GiB was expected")
    );
    // A process with CAP_IPC_LOCK has no limit.
    machine.set("proc/self/status", "CapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-7");
    assert_eq!(only_status(&machine.report(), "rdma-memlock"), Pass);
    machine.set("proc/self/status", "CapEff:\t0000000000000000").remove("proc/self/limits");
    assert_eq!(only_status(&machine.report(), "rdma-memlock"), Unknown);
    machine.set("sys/fs/cgroup/job/cgroup.procs", "7\n8");
    machine.set("proc/7/limits", "Max locked memory         unlimited            unlimited            bytes");
    machine.set("proc/8/limits", "Max locked memory         65536                65536                bytes");
    let process = nvtopo_audit::AuditedProcess::Cgroup("job".into());
    assert_eq!(only_status(&machine.report_with(|audit| audit.process(process)), "rdma-memlock"), Warn);
}

#[test]
fn a_snapshot_gives_the_verdicts_of_the_machine() {
    let mut machine = Machine::new();
    machine.acs(HALVES[0].nic_port, REDIRECTS).set("proc/irq/100/smp_affinity_list", "0-7");
    machine.set(&pci(GPU, "numa_node"), "-1").poke(NIC, 0x48, 2 << 12);
    let written = machine.write();
    let (tree, snapshot) = (written.read(), written.read_snapshot());
    let [tree, snapshot] = [&tree, &snapshot].map(|contents| {
        let report = nvtopo_audit::Audit::of(contents).run().unwrap();
        let of =
            |own: &nvtopo_audit::Finding| (own.check.code, own.subject.clone(), own.status, own.text.clone());
        report.findings().iter().map(of).collect::<Vec<_>>()
    });
    assert!(tree.iter().any(|own| own.2 == Fail) && tree.iter().any(|own| own.2 == Warn));
    assert_eq!(tree, snapshot);
}

#[test]
fn saved_outputs_give_the_verdicts_of_the_machine() {
    let other = &HALVES[1];
    let mut machine = Machine::new();
    machine.acs(HALVES[0].nic_port, REDIRECTS).acs(other.root, REDIRECTS).acs(other.gpu_port, 1);
    machine.set(&pci(GPU, "current_link_width"), "8").poke(NIC, 0x48, 2 << 12);
    let window = "0x0000214042000000 0x0000214042ffffff 0x000000000014220c\n0x0 0x0 0x0\n0x0000210000000000 \
                  0x00002107ffffffff 0x000000000014220c";
    machine.set(&pci(other.gpu, "numa_node"), "-1").set(&pci(other.gpu, "resource"), window);
    let saved = [
        ("cmdline.txt", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 iommu=pt\n"),
        (
            "uname.txt",
            "Linux node1 5.15.0-1050-nvidia #51-Ubuntu SMP Thu Feb 3 18:43:29 UTC 2022 x86_64 GNU/Linux\n",
        ),
        (
            "version.txt",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build\n",
        ),
        ("ulimit.txt", "max locked memory           (kbytes, -l) unlimited\n"),
        ("rdma.txt", "netns exclusive copy-on-fork on\n"),
    ];
    let folder = Folder::of("saved-outputs", &saved).with("audit/made/lspci-vvv.two-halves.txt");
    let (tree, saved) = (machine.report(), of(&folder.read()));
    // lspci tells no names of RDMA devices.
    let subject = |name: &str| match name {
        NIC => "mlx5_0".to_owned(),
        name if name == other.nic => "mlx5_1".to_owned(),
        name => name.to_owned(),
    };
    let mut statuses = std::collections::BTreeSet::new();
    for check in [
        "pcie-width",
        "pcie-speed",
        "pcie-mrrs",
        "bar1-size",
        "gpu-numa-node",
        "gpu-nic-pairing",
        "nic-other-socket",
        "acs-on-p2p-path",
        "iommu-mode",
        "gpudirect-module",
        "gpu-driver-binding",
        "rdma-netns-mode",
        "rdma-memlock",
    ] {
        let of = |report: &nvtopo_audit::Report| {
            let findings = findings(report, check).into_iter();
            let mut all: Vec<_> = findings.map(|own| (subject(&own.subject), own.status)).collect();
            all.sort();
            all
        };
        assert_eq!(of(&tree), of(&saved), "{check}");
        statuses.extend(of(&saved).into_iter().map(|(_, status)| status));
    }
    assert!([Pass, Warn, Fail].iter().all(|status| statuses.contains(status)), "{statuses:?}");
}
