//! The commands of `docs/kubernetes.md`, run one after another as they stand there.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of shell in the text.
fn commands(text: &str) -> Vec<String> {
    let mut shell = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line {
            "```sh" => shell = true,
            "```" => shell = false,
            line if shell => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn a_saved_text_becomes_labels_a_kubelet_file_and_a_pod() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubernetes");
    let features = folder.join("features.d");
    std::fs::create_dir_all(&features).unwrap();
    let text = root().join("tests/data/topo-m/h100-8gpu-0-51-104-155.txt");
    std::fs::copy(text, folder.join("topo.txt")).unwrap();
    let addresses: Vec<String> = (0..8).map(|gpu| format!("0000000{gpu}:1B:00.0")).collect();
    std::fs::write(folder.join("addresses.txt"), addresses.join("\n") + "\n").unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_nvtopo")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let document = std::fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let mut answers = Vec::new();
    for command in commands(&document) {
        // The first one needs GPUs.
        if !command.starts_with("nvtopo") {
            continue;
        }
        let command = command
            .replace("/etc/kubernetes/node-feature-discovery/features.d", &features.display().to_string());
        let command = command.replace("--node NAME", "--node node-1");
        // This machine has other labels, and is no part of what is tried.
        let command = command.replace("labels --expires", "labels --from topo.txt --expires");
        let mut shell = Command::new("sh");
        let out = shell.args(["-c", &command]).current_dir(&folder).env("PATH", &path).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(0), "{command}: {said}");
        answers.push(String::from_utf8(out.stdout).unwrap());
    }
    let told = answers.join("\n");
    for part in [
        "nvtopo.io/nvlink.group=8\n",
        "nvtopo.io/topology.class=8gpu.switched-8.numa-4_4\n",
        "best-effort with scope pod  admitted",
        "kind: ValidatingAdmissionPolicy",
        "kind: ResourceQuota",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(std::fs::read_to_string(features.join("nvtopo")).unwrap().starts_with("# +expiry-time="));
    for (file, part) in [
        ("kubelet.yaml", "kind: KubeletConfiguration"),
        ("kubelet.yaml", "cpuManagerPolicy: static"),
        ("pod.yaml", "kind: Pod"),
        ("claim.yaml", "kind: ResourceClaimTemplate"),
        ("pod-with-claim.yaml", "resourceClaimTemplateName: gpus-2"),
        ("playbook/README.md", "## 1. Labels"),
        ("playbook/4-claim-4.yaml", "kind: ResourceClaimTemplate"),
        ("playbook/6-pod-8.yaml", "kind: Pod"),
        ("playbook/2-kubelet.yaml", "kind: KubeletConfiguration"),
    ] {
        assert!(std::fs::read_to_string(folder.join(file)).unwrap().contains(part), "{file}");
    }
}
