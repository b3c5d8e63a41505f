//! The labels that a node of a cluster has, read from what `kubectl get node -o yaml` prints.

use crate::yaml;
use nvtopo::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A node of a cluster with its labels.
///
/// ```
/// use nvtopo_k8s::labels::NodeLabels;
///
/// let text = "kind: Node\nmetadata:\n  name: gpu-7\n  labels: {nvtopo.io/gpu.count: '8'}\n";
/// let nodes = NodeLabels::read("node.yaml", text)?;
/// assert_eq!((nodes[0].name.as_str(), nodes[0].labels["nvtopo.io/gpu.count"].as_str()), ("gpu-7", "8"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeLabels {
    /// The name of the node.
    pub name: String,
    /// The number of its machine, as `/etc/machine-id` has it.
    pub machine: Option<String>,
    /// The version of its kubelet, such as `v1.34.1`.
    pub kubelet: Option<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    items: Vec<Object>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeInfo {
    #[serde(rename = "machineID")]
    machine: Option<String>,
    #[serde(rename = "kubeletVersion")]
    kubelet: Option<String>,
}

impl NodeLabels {
    /// Reads the nodes of a text, YAML or JSON: objects of kind `Node`, alone or in a list.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the place for a text without any.
    pub fn read(name: &str, text: &str) -> Result<Vec<Self>> {
        let objects: Vec<Object> = yaml::read(name, text)?;
        let all = objects.into_iter().flat_map(|object| match object.kind.as_str() {
            "List" | "NodeList" => object.items,
            _ => vec![object],
        });
        let nodes: Vec<Self> = all
            .filter(|object| object.kind == "Node")
            .map(|object| Self {
                name: object.metadata.name.unwrap_or_default(),
                machine: object.status.node_info.machine,
                kubelet: object.status.node_info.kubelet,
                labels: object.metadata.labels.unwrap_or_default(),
            })
            .collect();
        if nodes.is_empty() { Err(Error::input("this holds no Node").in_input(name)) } else { Ok(nodes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_alone_and_in_lists() {
        let node = r#"{"kind":"Node","metadata":{"name":"a","labels":{"x":"1"}},"status":{"nodeInfo":{"machineID":"7"}}}"#;
        let one = NodeLabels::read("x", node).unwrap();
        let listed =
            NodeLabels::read("x", &format!(r#"{{"kind":"List","items":[{node},{{"kind":"Pod"}}]}}"#));
        assert_eq!(one, listed.unwrap());
        assert_eq!(one[0].machine.as_deref(), Some("7"));
        for text in ["", "kind: Pod\n", "[", "kind: Node\nmetadata: 3\n"] {
            assert!(NodeLabels::read("x", text).is_err(), "{text}");
        }
    }
}
