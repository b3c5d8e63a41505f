//! Near misses: what people give instead of a topology is named, with what to give.

use nvtopo::source::Locator;
use nvtopo::{ErrorKind, Topology};

fn refused(bytes: &[u8]) -> String {
    let error = Topology::parse("given", bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.advice().is_some(), "{error}");
    error.to_string()
}

#[test]
fn texts_that_are_no_topology_are_named() {
    for (text, what) in [
        (
            "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n",
            "the head of the table of nvidia-smi",
        ),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
            "no driver that answers",
        ),
        ("Failed to initialize NVML: Driver/library version mismatch\n", "an error of nvidia-smi"),
        ("No devices were found\n", "sees no GPU"),
        ("$ nvidia-smi topo -m\nbash: nvidia-smi: command not found\n", "did not find the command"),
        ("==============NVSMI LOG==============\nDriver Version : 550\n", "the head of nvidia-smi -q"),
        ("    Fabric\n        CliqueId    : N/A\n", "without the line that names its GPU"),
        (" Link 0: Replay Errors: 0\n", "without the line that names its GPU"),
        ("index, name, pci.bus_id\nand so on\n", "--query-gpu"),
        ("processor\t: 0\n", "/proc/cpuinfo"),
        ("Machine (126GB total)\n  Package L#0\n", "lstopo"),
        ("apiVersion: v1\nkind: Pod\n", "a Kubernetes document"),
        ("<svg xmlns=\"x\">", "a picture"),
        ("NIC statistics:\n     rx_packets: 1\n", "ethtool -S"),
    ] {
        let error = refused(text.as_bytes());
        assert!(error.contains(what), "{text}\n{error}");
        assert!(!error.contains("not a format"), "{error}");
    }
    assert!(refused(b"some prose\n").contains("not a format"));
}

#[test]
fn files_that_are_no_text_are_named() {
    for (bytes, what) in [
        (&b"\x89PNG\r\n\x1a\n\0\0\0"[..], "this is a picture"),
        (b"\xff\xd8\xff\xe0", "this is a picture"),
        (b"BZh91AY", "a compressed file"),
        (b"\x7fELF\x02", "a program"),
        (&[7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0], "a file of bytes"),
    ] {
        let error = refused(bytes);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn the_place_is_that_of_the_line() {
    let error = Topology::parse("x", b"$ nvidia-smi\n\nNo devices were found\n").unwrap_err();
    assert_eq!(error.line(), Some(3));
}

#[test]
fn a_preset_without_its_mark_is_proposed() {
    for (name, meant) in [
        ("dgx-h100", "preset:dgx-h100"),
        ("DGX-H100", "preset:dgx-h100"),
        ("dgx_a100", "preset:dgx-a100"),
        ("preset=dgx-h100", "preset:dgx-h100"),
        ("LIVE", "live"),
    ] {
        let error = Topology::open(&[name.parse().unwrap()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{name}");
        assert_eq!(error.advice(), Some(format!("did you mean {meant}?").as_str()), "{name}");
    }
    for name in ["no-such-file.txt", "elsewhere/dgx-h100", "zzzzzzzz"] {
        assert_eq!(Topology::open(&[name.parse().unwrap()]).unwrap_err().advice(), None, "{name}");
    }
    assert!(Topology::open(&[Locator::Preset("DGX-H100".to_owned())]).is_ok());
}
