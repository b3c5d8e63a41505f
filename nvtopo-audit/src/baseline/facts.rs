//! The facts of a machine that no topology holds: kernel, BIOS, kubelet, labels of the Kubernetes node.

use crate::evidence::Evidence;
use crate::reading::host::{command_line, kernel_release};
use crate::reading::kubelet::Kubelet;
use nvtopo::model::Stated;
use nvtopo_k8s::labels::NodeLabels;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest text of a tool that is searched for a Kubernetes node.
const LONGEST: usize = 4 << 20;

/// The facts; `None` and empty maps are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Facts {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel: Option<String>,
    /// The kernel's command line without the name of its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command_line: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bios: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubelet_version: Option<String>,
    /// The kubelet's settings by their paths, such as `evictionHard.memory.available`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) kubelet: BTreeMap<String, String>,
    /// The labels of the Kubernetes node that tell of GPUs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Facts {
    pub(crate) fn of(evidence: &Evidence<'_>) -> Self {
        let read = |path: &str| match evidence.text(path) {
            Stated::Known(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        let mut facts = Self {
            kernel: kernel_release(evidence),
            command_line: command_line(evidence).known().map(|text| words(text)),
            bios: read("sys/class/dmi/id/bios_version"),
            ..Self::default()
        };
        if let Kubelet::Known(settings, _) = evidence.kubelet()
            && let Ok(settings) = serde_json::from_str(&settings.to_json())
        {
            flatten(&settings, "", &mut facts.kubelet);
        }
        for saved in evidence.texts().filter(|saved| saved.text.len() <= LONGEST) {
            let says = |word: &str| saved.text.contains(word);
            if says("kubeletVersion") || (says("Node") && says("nvidia.com/")) {
                facts.node(&saved.text);
            }
        }
        facts.labels.retain(|key, _| !evidence.lost_labels.contains(key));
        facts
    }

    /// Takes the version of the kubelet and the labels of `kubectl get node NAME -o yaml` or `-o json`. One of several nodes is
    /// not known to be this one.
    fn node(&mut self, text: &str) {
        let nodes = NodeLabels::read("node", text).unwrap_or_default();
        let [node] = nodes.as_slice() else { return };
        self.kubelet_version = node.kubelet.clone().or(self.kubelet_version.take());
        for (name, value) in &node.labels {
            let is_own = name.starts_with("nvidia.com/") || name.contains("nvlink");
            if is_own && !name.ends_with("timestamp") {
                self.labels.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Returns the words of a kernel's command line, without those that name its image.
fn words(text: &str) -> Vec<String> {
    let names_image = |word: &&str| !word.starts_with("BOOT_IMAGE=") && !word.starts_with("initrd=");
    text.split_whitespace().filter(names_image).map(str::to_owned).collect()
}

/// Adds the values by their paths.
fn flatten(value: &Value, path: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, &path, into);
            }
        }
        Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
        other => drop(into.insert(path.to_owned(), other.to_string())),
    }
}
