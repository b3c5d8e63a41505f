//! The trials of the options of `nvtopo k8s`.

use super::{Trial, data_file, scratch, words};

/// As [`trial`], for the commands of `nvtopo k8s`.
pub(super) fn k8s_trial(command: &str, option: &str) -> Option<Trial> {
    let value = |text: &str| Some(text.to_owned());
    let mut trial = Trial { base: words("--from preset:dgx-1-v100"), ..Trial::default() };
    match (command, option) {
        ("kubelet predict", _) => predict_trial(option, &mut trial)?,
        ("claims" | "claims check" | "taints" | "resource-topology", _) => {
            return claims_trial(command, option);
        }
        ("kubelet lint", "from") => {
            trial.base = vec![data_file("k8s/kubelet/microshift-single-numa-node.yaml")];
            trial.value = value("preset:gh200");
        }
        ("playbook", _) => {
            trial.base = Vec::new();
            let folder = scratch("playbook");
            let all = [("from", "preset:dgx-h100"), ("node", "n1"), ("output", folder.as_str())];
            for (name, value) in all.into_iter().filter(|(name, _)| *name != option) {
                trial.base.extend([format!("--{name}"), value.to_owned()]);
            }
            trial.value = value(match option {
                "from" => "preset:gh200",
                "output" => &folder,
                "image" => "two words",
                // More than there is: the pods are left out.
                "memory-per-gpu" => "900TiB",
                // Too few: claims are left out, with another reason.
                "pci-addresses" => "0000:01:00.0",
                "prefix" => "example.com/",
                "for" => "1.31",
                "node" | "namespace" => "other",
                _ => return None,
            });
        }
        (_, "from") => {
            trial.base = words(if command == "pod" { "--gpus 1 --memory-per-gpu 64GiB" } else { "" });
            trial.value = value("preset:gh200");
        }
        (_, "output") => {
            trial.base.extend(words(if command == "pod" { "--gpus 1 --memory-per-gpu 64GiB" } else { "" }));
            trial.value = Some(scratch("k8s-output"));
        }
        ("kubelet config", _) => {
            trial.base = words("--from preset:dgx-h100");
            trial.value = value(match option {
                "as" => "cmdline",
                "for" => "1.32",
                "reserved-cores" | "isolated-cores" => "6",
                "reserved-memory" => "32GiB",
                "largest-pod" => "4",
                "hugepages" => "1GiB:16",
                "alpha" => {
                    trial.base.extend(words("--for 1.32"));
                    trial.value = None;
                    return Some(trial);
                }
                _ => return None,
            });
        }
        ("kubelet lint", _) => {
            let file = data_file("k8s/kubelet/microshift-single-numa-node.yaml");
            trial.base = vec![file];
            trial.value = match option {
                // It has an option that 1.30 does not know.
                "for" => {
                    trial.base = vec![data_file("k8s/kubelet/dgx-h100.yaml")];
                    value("1.30")
                }
                "largest-pod" => {
                    trial.base.extend(words("--from preset:dgx-h100"));
                    value("8")
                }
                "json" => None,
                _ => return None,
            };
        }
        ("labels", "as") => {
            trial.base.extend(words("--node n1"));
            trial.value = value("kubectl");
        }
        ("pod", _) => {
            trial.base = words("--from preset:dgx-h100");
            for (name, base) in [("gpus", "--gpus 2"), ("memory-per-gpu", "--memory-per-gpu 64GiB")] {
                if option != name {
                    trial.base.extend(words(base));
                }
            }
            trial.value = value(match option {
                "gpus" => "1",
                "cpus-per-gpu" => "3",
                "memory-per-gpu" => "32GiB",
                "reserve" => "0-1,112-113",
                "hugepages-per-gpu" => "2M:16",
                "resource" | "rdma" => "example.com/device",
                "prefix" => "example.com/",
                "for" => "1.31",
                "name" | "image" | "claim" => "other",
                _ => return None,
            });
        }
        ("policies", _) => {
            trial.base = words("--from preset:dgx-h100");
            trial.value = value(match option {
                "namespace" => "train",
                "allow" => "train/*",
                "quota" => "8",
                "resource" | "rdma" => "example.com/device",
                "class" => "gpu.example.com",
                "prefix" => "example.com/",
                _ => return None,
            });
        }
        ("labels", "prefix") => trial.value = value("gpu"),
        ("labels", "per-gpu") => {}
        ("labels", "node") => {
            trial.base.extend(words("--as kubectl"));
            trial.value = value("n1");
        }
        ("labels", "expires") => trial.value = value("0s"),
        _ => return None,
    }
    Some(trial)
}

/// The trials of the options of predictions: a pod on a board of four linked GPUs and two packages.
fn predict_trial(option: &str, trial: &mut Trial) -> Option<()> {
    let pod = scratch("predict-pod.yaml");
    let limits = "{cpu: 40, memory: 1Gi, nvidia.com/gpu: 2, rdma/hca: 1}";
    let text = format!(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - {{name: a, resources: {{limits: {limits}}}}}\n"
    );
    std::fs::write(&pod, text).unwrap();
    let state = scratch("predict-state");
    let left = r#"{"policyName":"none","defaultCpuSet":"","entries":{"p":{"c":"0-9"}},"checksum":1}"#;
    std::fs::write(&state, left).unwrap();
    let config = scratch("predict-kubelet.yaml");
    std::fs::write(&config, "kind: KubeletConfiguration\ntopologyManagerPolicy: restricted\n").unwrap();
    let mixed = matches!(option, "mix" | "mix-cpus" | "states");
    trial.base = words("--from preset:dgx-h100");
    match option {
        "pod" | "mix" => {}
        _ if mixed => trial.base.extend(words("--mix 2:.5,4:.5 --topology-manager-policy restricted")),
        _ => trial.base.extend(["--pod".to_owned(), pod.clone()]),
    }
    let value = match option {
        "from" => {
            trial.base = vec!["--pod".to_owned(), pod.clone()];
            "preset:dgx-1-v100"
        }
        "pod" => &pod,
        "state" => &state,
        "config" => &config,
        "mix" => "4:1",
        "mix-cpus" => "20",
        "states" => "3",
        "topology-manager-policy" => "restricted",
        "topology-manager-scope" => "pod",
        "topology-manager-policy-options" => "max-allowable-numa-nodes=4",
        "cpu-manager-policy" => "none",
        "cpu-manager-policy-options" => "distribute-cpus-across-cores=true",
        "reserved-cpus" => "0-1",
        "reserved-memory" => "0:memory=1Gi",
        "devices" => "rdma/hca=nics",
        "plugin" => "silent",
        // It does not know this option.
        "for" => {
            trial.base.extend(words("--cpu-manager-policy-options distribute-cpus-across-cores=true"));
            "1.30"
        }
        "taken" => "0/0-3",
        "json" => return Some(()),
        _ => return None,
    };
    trial.value = Some(value.to_owned());
    Some(())
}

/// As [`k8s_trial`], for claims and what belongs to them.
fn claims_trial(command: &str, option: &str) -> Option<Trial> {
    let value = |text: &str| Some(text.to_owned());
    let mut trial = Trial { base: words("--from preset:dgx-a100"), ..Trial::default() };
    let slices = data_file("k8s/claims/striped-pairs.yaml");
    let check = |node: &str| vec![slices.clone(), "--node".to_owned(), node.to_owned()];
    match (command, option) {
        ("taints" | "resource-topology", "from") => {
            trial.base = words("--node n1");
            trial.value = value(if command == "taints" { "/nowhere" } else { "preset:gh200" });
        }
        (_, "output") => {
            trial.base = match command {
                "claims" => words("--from preset:dgx-a100 --gpus 1"),
                "claims check" => check("gpu-b"),
                _ => words("--from preset:dgx-a100 --node n1"),
            };
            trial.value = Some(scratch("k8s-output"));
        }
        ("claims", "from") => {
            trial.base = words("--gpus 1");
            trial.value = value("preset:dgx-a100");
        }
        ("claims", _) => {
            if option != "gpus" {
                trial.base.extend(words("--gpus 2"));
            }
            trial.value = match option {
                "any" | "rdma" | "derived" | "device-classes" => None,
                "gpus" => value("4"),
                "for" => value("1.32"),
                "name" | "class" => value("other"),
                "objective" => value("unheard-of"),
                "allowed" => value("/nowhere"),
                "cpus-per-gpu" => value("3"),
                "pci-addresses" => value("0000:01:00.0"),
                "with-node" => value("preset:dgx-a100"),
                _ => return None,
            };
        }
        ("claims check", _) => {
            trial.base = check("gpu-c");
            match option {
                "node" => {
                    trial.base.truncate(1);
                    trial.value = value("gpu-b");
                }
                "slices" => trial.value = value("/nowhere"),
                "taken" => trial.value = value("gpu-3"),
                "claim" => trial.value = value("plain"),
                "for" => trial.value = value("1.32"),
                "list-attributes" => {}
                "from" => trial.value = value("preset:dgx-a100"),
                "pci-addresses" => {
                    trial.base.extend(words("--from preset:dgx-a100"));
                    trial.value = value("0000:01:00.0");
                }
                _ => return None,
            }
        }
        ("taints", _) => {
            if option != "node" {
                trial.base.extend(words("--node n1"));
            }
            // Without faults, what is asked for shows where it is wrong.
            trial.value = match option {
                "node" => value("n1"),
                "slices" => value("/nowhere"),
                "effect" => value("Other"),
                "for" => value("1.32"),
                _ => return None,
            };
        }
        ("resource-topology", _) => {
            if option != "node" {
                trial.base.extend(words("--node n1"));
            }
            trial.value = value(match option {
                "node" => "n1",
                "topology-manager-policy" => "restricted",
                "topology-manager-scope" => "pod",
                "reserve" => "0-1",
                "resource" | "rdma" => "example.com/device",
                _ => return None,
            });
        }
        _ => return None,
    }
    Some(trial)
}
