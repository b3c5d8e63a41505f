//! Checks that apply say so though nothing tells them anything: missing evidence is unknown, and only what is known to be
//! absent does not apply.

use crate::machine::Machine;
use crate::support::{finding, findings, of, of_files, of_preset, of_text, only_status, read};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{NotApplicable, Pass, Unknown};

/// The verdict of a check that says nothing by itself.
const SILENT: &str = "no source tells anything of it";

fn assert_all_speak(name: &str, report: &Report) {
    let silent = report.findings().iter().filter(|finding| finding.text == SILENT);
    let silent: Vec<&str> = silent.map(|finding| finding.check.code).collect();
    assert!(silent.is_empty(), "{name}: {silent:?} say nothing");
}

#[test]
fn every_check_says_why_it_gives_no_verdict() {
    for preset in nvtopo::source::PRESETS {
        assert_all_speak(preset.name, &of_preset(preset.name));
    }
    for name in [
        "topo-m/h100-8gpu-0-51-104-155.txt",
        "topo-m/dgx-spark-gb10-1gpu.txt",
        "audit/gpud/lspci.nn.a10.txt",
        "audit/gpud/nvidia-smi.nvlink.status.a100.txt",
        "audit/virtualclient/nvidia-smi.c2c.gh200.txt",
        "nvlink-status/rtx3090-2gpu-uuid-redacted.txt",
    ] {
        assert_all_speak(name, &of(&read(&[name])));
    }
    assert_all_speak("bare machine", &Machine::bare(100).report());
    assert_all_speak("whole machine", &Machine::new().report());
    assert_all_speak("one adapter", &Machine::bare(100).roce("mlx5_0", "eth0").report());
}

#[test]
fn a_list_of_the_bus_alone_leaves_the_fabric_open() {
    // Made, in the form of lspci -nn: first the lines of GPUs alone, as grep finds them.
    let text = "18:00.0 3D controller [0302]: NVIDIA Corporation GH100 [H100 SXM5 80GB] [10de:2330] (rev a1)\n\
                2a:00.0 3D controller [0302]: NVIDIA Corporation GH100 [H100 SXM5 80GB] [10de:2330] (rev a1)\n";
    let report = of_text(text);
    for check in [
        "nvlink-links-active",
        "nvlink-speed",
        "nvlink-version",
        "nvlink-peers-complete",
        "nvlink-symmetry",
        "nvlink-errors",
        "gpu-p2p-status",
        "fabric-state",
        "fabric-health",
        "fabric-clique-consistent",
        "mig-vs-nvlink",
    ] {
        assert_eq!(only_status(&report, check), Unknown, "{check}");
    }
    let open = ["fabric-manager-running", "gpu-nic-pairing", "rdma-rate", "rdma-memlock"];
    for check in open {
        assert_eq!(only_status(&report, check), Unknown, "{check}: other lines were left out");
    }
    // The whole bus is listed, and neither NVSwitches nor adapters are on it.
    let report = of_text(&format!(
        "00:00.0 Host bridge [0600]: Intel Corporation Device [8086:09a2] (rev 04)\n{text}"
    ));
    for check in open.into_iter().chain(["imex-domain", "c2c-links"]) {
        assert_eq!(only_status(&report, check), NotApplicable, "{check}");
    }
    // Parts without NVLink have no fabric.
    let report = of_files(&["audit/gpud/lspci.nn.a10.txt"]);
    for check in
        ["nvlink-speed", "nvlink-symmetry", "nvlink-errors", "fabric-state", "fabric-manager-version"]
    {
        assert_eq!(only_status(&report, check), NotApplicable, "{check}");
    }
}

#[test]
fn nvswitches_that_nvlinks_prove_need_a_fabric_manager() {
    for report in [of_preset("dgx-h100"), of_files(&["topo-m/h100-8gpu-0-51-104-155.txt"])] {
        for check in ["fabric-manager-running", "fabric-manager-version", "fabric-state", "fabric-health"] {
            assert_eq!(only_status(&report, check), Unknown, "{check}");
        }
    }
    assert_eq!(only_status(&of_preset("gb200-nvl72-tray"), "fabric-manager-running"), NotApplicable);
    assert_eq!(only_status(&of_preset("dgx-1-v100"), "fabric-manager-running"), NotApplicable, "a mesh");
    // Cards of which no board is known, on a bus that is listed.
    assert_eq!(only_status(&of_preset("rtx-a6000-4-bridged"), "fabric-manager-running"), NotApplicable);
    // Bridged cards, or two GPUs of a board whose other GPUs are hidden: a matrix does not tell (made).
    let two = of_text("\tGPU0\tGPU1\nGPU0\t X \tNV12\nGPU1\tNV12\t X \n");
    assert_eq!(only_status(&two, "fabric-manager-running"), Unknown);
    // NVSwitches of HGX B200 hide behind management ports, which a preset does not have.
    assert_eq!(only_status(&of_preset("dgx-b200"), "fabric-manager-running"), Unknown);
}

#[test]
fn a_matrix_alone_tells_no_places_on_the_bus() {
    // Two GPUs, and no adapter in the matrix.
    let matrix = "\tGPU0\tGPU1\nGPU0\t X \tNV12\nGPU1\tNV12\t X \n";
    let report = of_text(matrix);
    for check in [
        "pcie-width",
        "pcie-speed",
        "pcie-errors",
        "bar1-size",
        "gpu-driver-binding",
        "gpu-nic-pairing",
        "acs-on-p2p-path",
        "rdma-memlock",
        "nic-firmware-inventory",
    ] {
        assert_eq!(only_status(&report, check), Unknown, "{check}");
    }
    assert_eq!(
        finding(&report, "pcie-width", "GPU0").text,
        "no source tells its PCIe lanes, in use and at most"
    );
    // A machine without GPUs has nothing of them to judge, where its bus is listed.
    let without = of_text(
        "00:1f.0 PCI bridge [0604]: Intel Corporation Device [8086:1b81] (rev 11)\n\
                           04:00.0 Infiniband controller [0207]: Mellanox Technologies MT2910 Family [ConnectX-7] [15b3:1021]\n",
    );
    for check in ["nvlink-links-active", "gpu-numa-node", "bar1-size", "acs-on-p2p-path", "gpu-nic-pairing"] {
        let found = findings(&without, check);
        assert_eq!((found.len(), only_status(&without, check)), (1, NotApplicable), "{check}");
    }
}

#[test]
fn a_port_of_unknown_state_is_judged() {
    let machine = Machine::bare(100).roce("mlx5_0", "eth0");
    let checks = ["rocev2-gid", "pfc-enabled", "ecn-enabled", "rdma-rate", "mtu-active", "dscp-trust"];
    let hidden =
        machine.without("sys/class/infiniband/mlx5_0/ports/1/state").report_expecting("lossless = true");
    let down = machine.port_file("mlx5_0", "state", "1: DOWN").report_expecting("lossless = true");
    for check in checks {
        let expected = if check == "rocev2-gid" || check == "mtu-active" { Pass } else { Unknown };
        assert_eq!(only_status(&hidden, check), expected, "{check}");
        assert_eq!(only_status(&down, check), NotApplicable, "{check}");
    }
    // Nor is one whose link layer is not told.
    let of_neither = machine.without("sys/class/infiniband/mlx5_0/ports/1/link_layer").report();
    for check in ["rocev2-gid", "pfc-enabled", "mtu-aligned"] {
        assert_eq!(only_status(&of_neither, check), Unknown, "{check}");
    }
}
