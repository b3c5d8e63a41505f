//! Machines for tests, and reports on them.

use nvtopo::source::{Contents, Locator};
use nvtopo_audit::{Audit, Report};
use nvtopo_report::NodeReport;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A machine as it was read, and the verdicts on it.
pub(crate) struct Node {
    pub(crate) contents: Contents,
    pub(crate) audit: Report,
}

impl Node {
    pub(crate) fn of(contents: Contents) -> Self {
        let audit = Audit::of(&contents).run().unwrap();
        Self { contents, audit }
    }

    pub(crate) fn preset(name: &str) -> Self {
        Self::of(Contents::open(&[Locator::Preset(name.to_owned())]).unwrap())
    }

    /// Reads files of the tests' data, merged.
    pub(crate) fn recorded(names: &[&str]) -> Self {
        let locators: Vec<Locator> = names.iter().map(|name| Locator::Path(data(name))).collect();
        Self::of(Contents::open(&locators).unwrap_or_else(|error| panic!("{names:?}: {error}")))
    }

    /// Reads a text as a file of its own.
    pub(crate) fn made(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("nvtopo-report-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        let contents = Contents::open(&[Locator::Path(file.clone())]);
        std::fs::remove_file(&file).unwrap();
        Self::of(contents.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    pub(crate) fn report(&self) -> NodeReport<'_> {
        NodeReport::of(&self.contents, &self.audit).date("2026-03-31")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.report().to_json()).unwrap()
    }
}

/// Returns the path of a test's data: below `tests/data` of the repository.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// Returns a topology document of nodes and links.
pub(crate) fn document(nodes: &[Value], links: &[Value]) -> String {
    let topology = json!({ "source": "sysfs", "nvlink_known": true, "nodes": nodes, "links": links });
    json!({ "format": "nvtopo-topology", "version": 1, "topology": topology }).to_string()
}

/// Returns a rack of 72 GPUs on NVSwitches, each with a NIC beside it: made. `lost`: NVLinks that the last GPU lacks.
pub(crate) fn rack(lost: u64) -> Node {
    let mut nodes =
        vec![json!({ "machine": { "product": "A rack" } }), json!({ "nvswitch": { "parent": 0 } })];
    let mut links = Vec::new();
    for number in 0..36 {
        let cpus = format!("{}-{}", 72 * number, 72 * number + 71);
        let numa = nodes.len();
        nodes.push(json!({ "numa_node": { "parent": 0, "os_index": number, "cpus": cpus } }));
        for index in [2 * number, 2 * number + 1] {
            let gpu = nodes.len();
            nodes.push(json!({ "gpu": { "parent": numa, "index": index, "model": "NVIDIA GB200" } }));
            nodes.push(
                json!({ "nic": { "parent": numa, "name": format!("mlx5_{index}"), "mb_per_s": 50_000 } }),
            );
            let lanes = if index == 71 { 18 - lost } else { 18 };
            links.push(json!({
                "between": [1, gpu], "kind": "nvlink", "lanes": lanes,
                "rate": { "mb_per_s": 50_000 * lanes, "basis": "nominal" },
            }));
        }
    }
    Node::made("rack.json", &document(&nodes, &links))
}

/// Returns a DGX H100 of which a GPU fell off the bus: made.
pub(crate) fn failing() -> Node {
    let preset = Node::preset("dgx-h100");
    let text = preset.contents.topology.to_json();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    let gpu = nodes.iter_mut().find(|node| node["gpu"]["index"] == 6).unwrap();
    gpu["gpu"]["unusable"] = "has fallen off the bus".into();
    Node::made("failing.json", &document.to_string())
}
