//! Recorded machines: a baseline, saved logs, and names of options that take files.

use crate::program::{Scratch, exposition};
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::Baseline;
use std::process::Command;

#[test]
fn a_baseline_gives_its_age_and_the_differences() {
    let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())]).unwrap();
    let file = Scratch::new("json");
    std::fs::write(&file.0, Baseline::of(&node).with_date("2026-03-31").to_json().unwrap()).unwrap();
    let arguments = |board| ["--from", board, "--baseline", file.text()];
    let same = exposition(&arguments("preset:dgx-h100"));
    assert!(same.contains("nvtopo_baseline_timestamp_seconds 1774915200.0\n"), "{same}");
    assert!(same.contains("nvtopo_drift_changes{kind=\"gpu_lost\",severity=\"critical\"} 0.0\n"));
    let other = exposition(&arguments("preset:hgx-a100-4"));
    assert!(other.contains("nvtopo_drift_changes{kind=\"gpu_lost\",severity=\"critical\"} 4.0\n"), "{other}");
    // What the baseline has is expected.
    assert!(other.contains("nvtopo_gpus_expected 8.0\n"));

    std::fs::write(&file.0, "{}").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopod"));
    let output = command.arg("metrics").args(arguments("preset:dgx-h100")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("this is no baseline"), "{said}");
}

#[test]
fn events_of_a_saved_log_are_told() {
    let folder = Scratch::new("saved");
    std::fs::create_dir_all(&folder.0).unwrap();
    let listed = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-4000-8000-000000001100)\n";
    std::fs::write(folder.0.join("nvidia-smi.txt"), format!("$ nvidia-smi -L\n{listed}")).unwrap();
    let log =
        "[ 5.0] NVRM: Xid (PCI:0000:3b:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 09 (0x025525c6 0x0)\n";
    std::fs::write(folder.0.join("dmesg.txt"), log.repeat(2)).unwrap();
    let text = exposition(&["--from", folder.text()]);
    let expected = "nvtopo_xid_events_total{device=\"0000:3b:00.0\",xid=\"149\",link=\"9\"} 2";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("nvtopo_source_success{source=\"kernel_log\"} 1.0\n"));
}
