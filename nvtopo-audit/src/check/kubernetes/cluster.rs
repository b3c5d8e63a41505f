//! Facts that the cluster tells of the node: versions and labels, and whether its scheduler knows NUMA nodes.

use super::{NO_KUBELET, effective};
use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::host::{driver_version, is_version, lines};
use crate::reading::kubelet::Kubelet;
use nvtopo_k8s::labels::{LABELS, LabelOptions, Labels, NodeLabels, Prefix};
use std::collections::{BTreeMap, BTreeSet};

/// The node that this machine is in the cluster.
pub(crate) enum ClusterNode {
    /// No object of the cluster is saved.
    Unsaved,
    /// Several nodes are saved, and none of them is known to be this one.
    Other(usize),
    Known(NodeLabels),
}

/// Looks for the node among saved objects of the cluster.
pub(crate) fn node(evidence: &Evidence<'_>) -> ClusterNode {
    let machine = evidence.text("etc/machine-id").known().cloned();
    let host = evidence.text("proc/sys/kernel/hostname").known().cloned();
    let is_node = |text: &str| text.contains("Node") && text.contains("metadata");
    let saved = evidence.texts().filter(|saved| is_node(&saved.text));
    let mut nodes: Vec<NodeLabels> =
        saved.filter_map(|saved| NodeLabels::read(&saved.name, &saved.text).ok()).flatten().collect();
    for node in &mut nodes {
        node.labels.retain(|key, _| !evidence.lost_labels.contains(key));
    }
    let is_own = |node: &NodeLabels| match (&machine, &node.machine) {
        (Some(own), Some(told)) => own == told,
        _ => host.as_ref().is_some_and(|host| *host == node.name),
    };
    if let Some(own) = nodes.iter().position(is_own) {
        return ClusterNode::Known(nodes.swap_remove(own));
    }
    let differs = |node: &NodeLabels| machine.is_some() && node.machine.is_some() && node.machine != machine;
    match nodes.len() {
        0 => ClusterNode::Unsaved,
        // One that is saved beside a machine's files is meant to be it, unless it says otherwise.
        1 if !differs(&nodes[0]) => ClusterNode::Known(nodes.remove(0)),
        count => ClusterNode::Other(count),
    }
}

/// The links to the driver's library, by distribution.
const LIBRARIES: [&str; 4] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib/aarch64-linux-gnu",
    "run/nvidia/driver/usr/lib/x86_64-linux-gnu",
];

/// Returns the version of the driver's library.
fn library(evidence: &Evidence<'_>) -> Option<String> {
    let links = LIBRARIES.iter().filter_map(|folder| evidence.link(&format!("{folder}/libnvidia-ml.so.1")));
    let version =
        |target: String| target.rsplit_once("libnvidia-ml.so.").map(|(_, version)| version.to_owned());
    let linked: Vec<String> = links.filter_map(version).filter(|version| is_version(version)).collect();
    let saved = || {
        lines(evidence).find_map(|line| {
            // `| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06 …`: the tool is of the library's version.
            let word = line.split_once("NVIDIA-SMI ")?.1.split_whitespace().next()?;
            is_version(word).then(|| word.to_owned())
        })
    };
    linked.into_iter().next().or_else(saved)
}

pub(super) fn skew(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let module = driver_version(evidence);
    let library = library(evidence);
    let mismatch = lines(evidence).any(|line| line.contains("Driver/library version mismatch"));
    if mismatch {
        verdicts.fail(NODE, "nvidia-smi says that the versions of kernel module and library differ");
    }
    let Some(module) = module else {
        if !mismatch && !evidence.has_no_gpus(verdicts) {
            verdicts.unknown(NODE, "no source tells the version of the driver");
        }
        return;
    };
    match &library {
        Some(library) if *library != module => {
            verdicts.fail(NODE, format!("the kernel module is {module}, and the library is {library}"));
        }
        Some(_) if !mismatch => verdicts.pass(NODE, format!("kernel module and library are {module}")),
        Some(_) => {}
        None if mismatch => {}
        None => verdicts
            .unknown(NODE, format!("the kernel module is {module}; the version of the library is not known")),
    }
    if let Some(expected) = evidence.profile.expect.driver.as_ref().filter(|expected| **expected != module) {
        verdicts.warn("profile", format!("the driver is {module}, where {expected} is expected"));
    }
    by_images(evidence, &module, verdicts);
    let ClusterNode::Known(node) = node(evidence) else { return };
    if let Some((key, label)) = driver_label(&node.labels) {
        if label == module {
            verdicts.pass(key, format!("the label says {label} too"));
        } else {
            verdicts.warn(key, format!("the label says {label}, and the kernel module is {module}"));
        }
    }
}

/// The name of the image of the GPU operator's driver, before its tag.
const IMAGE: &str = "nvidia/driver:";

/// Compares the module with the images of the driver that saved pods run: `nvcr.io/nvidia/driver:570.124.06-ubuntu22.04`, or
/// `570-5.15.0-1050-ubuntu22.04` where it was compiled before.
fn by_images(evidence: &Evidence<'_>, module: &str, verdicts: &mut Verdicts) {
    let mut versions = BTreeSet::new();
    for line in lines(evidence).filter(|line| line.trim_start_matches(['-', ' ', '"']).starts_with("image")) {
        let tag = line.split_once(IMAGE).map(|(_, rest)| rest.split(['-', '"', ' ', ',', '\'']).next());
        let is_known =
            |tag: &&str| is_version(tag) || tag.len() >= 3 && tag.bytes().all(|b| b.is_ascii_digit());
        versions.extend(tag.flatten().filter(is_known));
    }
    let is_own = |version: &&&str| **version == module || module.split('.').next() == Some(**version);
    let list: Vec<&str> = versions.iter().copied().collect();
    match (list.is_empty(), versions.iter().find(is_own)) {
        (true, _) => {}
        (false, Some(version)) => verdicts.pass("image of the driver", format!("its tag says {version}")),
        (false, None) => {
            let text = format!("its tag says {}, and the kernel module is {module}", list.join(" and "));
            verdicts.warn("image of the driver", text);
        }
    }
}

/// Returns the version of the driver that feature discovery put into labels.
fn driver_label(labels: &BTreeMap<String, String>) -> Option<(&'static str, String)> {
    if let Some(version) = labels.get("nvidia.com/cuda.driver-version.full") {
        return Some(("nvidia.com/cuda.driver-version.full", version.clone()));
    }
    let part =
        |name: &str| labels.get(&format!("nvidia.com/cuda.driver.{name}")).filter(|part| !part.is_empty());
    let version = [part("major")?, part("minor")?].map(String::as_str).join(".");
    Some(("nvidia.com/cuda.driver", part("rev").map_or(version.clone(), |rev| format!("{version}.{rev}"))))
}

pub(super) fn labels(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let node = match node(evidence) {
        ClusterNode::Known(node) => node,
        ClusterNode::Other(count) => {
            verdicts.unknown(
                NODE,
                format!("{count} nodes of the cluster are saved, and none is known to be this machine"),
            );
            return;
        }
        ClusterNode::Unsaved => {
            if matches!(evidence.kubelet(), Kubelet::None) && evidence.profile.expect.kubernetes != Some(true)
            {
                verdicts.not_applicable(NODE, NO_KUBELET);
            } else {
                verdicts.unknown(NODE, "no source holds the labels of the node (kubectl get node -o yaml)");
            }
            return;
        }
    };
    let own = Labels::of(evidence.topology, &LabelOptions::default());
    let mut expected: Vec<(String, Result<String, &str>)> = Vec::new();
    for label in LABELS {
        let left_out = own.left_out().iter().find(|(name, _)| name == label.name).map(|(_, reason)| *reason);
        let value = own.get(label.name).map(str::to_owned).ok_or(left_out.unwrap_or("it is not known here"));
        expected.push((Prefix::default().key(label.name), value));
    }
    // A plugin that divides GPUs counts their parts.
    let is_divided = node.labels.get("nvidia.com/mig.strategy").is_some_and(|strategy| strategy == "single")
        && evidence.topology.gpus().any(|gpu| gpu.mig.is_none_or(|mig| mig.current));
    if !is_divided {
        expected.push(("nvidia.com/gpu.count".to_owned(), Ok(evidence.topology.gpus().len().to_string())));
    }
    let clique = own.get("fabric.clique").map(str::to_owned).ok_or("the clique is not known here");
    expected.push(("nvidia.com/gpu.clique".to_owned(), clique));
    let mut good = 0;
    for (key, value) in expected {
        let Some(label) = node.labels.get(&key) else { continue };
        match value {
            Ok(value) if value == *label => good += 1,
            Ok(value) => verdicts.fail(key, format!("the label says {label}, and the hardware says {value}")),
            Err(reason) => verdicts.unknown(key, format!("the label says {label}; {reason}")),
        }
    }
    if good > 0 {
        verdicts.pass(NODE, format!("{good} labels of {} say what the hardware says", node.name));
    }
    verdicts.otherwise_not_applicable("the node has none of the labels that tell of its GPUs");
}

/// The words by which a scheduler's configuration shows that it knows NUMA nodes.
const PLUGINS: [&str; 3] = ["NodeResourceTopologyMatch", "NodeNUMAResource", "numa-aware"];

pub(super) fn scheduler(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let plugins = evidence.names("var/lib/kubelet/plugins");
    let Some(settings) = effective(evidence, verdicts) else { return };
    let policy = settings.text("topologyManagerPolicy").unwrap_or("none");
    if !matches!(policy, "restricted" | "single-numa-node") {
        verdicts.not_applicable(NODE, format!("the policy of its topology manager is {policy}"));
        return;
    }
    if let Some(driver) = plugins.iter().find(|name| *name == "gpu.nvidia.com") {
        verdicts.pass(NODE, format!("the DRA driver {driver} is on the node"));
        return;
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for saved in evidence.texts() {
        let kinds = ["KubeSchedulerConfiguration", "NodeResourceTopology", "ResourceSlice"];
        let found = kinds.into_iter().filter(|kind| {
            saved.text.lines().any(|line| {
                line.contains("kind") && line.trim_end().trim_end_matches([',', '"']).ends_with(kind)
            })
        });
        for kind in found {
            let is_aware =
                kind != "KubeSchedulerConfiguration" || PLUGINS.iter().any(|word| saved.text.contains(word));
            seen.insert(if is_aware { kind } else { "" });
        }
    }
    let aware = seen.iter().find(|kind| !kind.is_empty());
    match aware {
        Some(kind) => verdicts.pass(
            NODE,
            format!("the policy is {policy}, and the cluster has a {kind} that tells NUMA nodes"),
        ),
        None if seen.is_empty() => {
            let text =
                format!("the policy is {policy}, and no source tells whether the scheduler knows NUMA nodes");
            verdicts.unknown(NODE, text);
        }
        None => {
            let text = format!(
                "the policy is {policy}, and the scheduler's configuration has no plugin for NUMA nodes: pods are refused \
                 after they were bound"
            );
            verdicts.warn(NODE, text);
        }
    }
}
