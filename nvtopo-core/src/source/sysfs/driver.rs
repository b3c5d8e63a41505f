//! The GPUs that NVIDIA's driver lists in `/proc`: names, UUIDs, and the NUMA node of a GPU's memory.

use super::tree::Tree;
use crate::ids::{GpuUuid, PciAddress};
use std::collections::BTreeMap;

const ROOT: &str = "proc/driver/nvidia/gpus";

/// A GPU as the driver knows it.
#[derive(Debug, Default)]
pub(super) struct DriverGpu {
    pub(super) model: Option<String>,
    pub(super) uuid: Option<GpuUuid>,
    /// The NUMA node of its memory (POWER9, GH200, GB200).
    pub(super) node: Option<u32>,
}

/// Returns the GPUs that the driver runs, by address.
pub(super) fn read(tree: &Tree) -> BTreeMap<PciAddress, DriverGpu> {
    let folders = tree.names(ROOT).into_iter();
    folders.filter_map(|name| Some((name.parse().ok()?, read_one(tree, &name)))).collect()
}

fn read_one(tree: &Tree, name: &str) -> DriverGpu {
    let information = tree.text(&format!("{ROOT}/{name}/information")).unwrap_or_default();
    let status = tree.text(&format!("{ROOT}/{name}/numa_status")).unwrap_or_default();
    DriverGpu {
        model: field(&information, "Model").filter(|model| *model != "Unknown").map(str::to_owned),
        // Until a GPU is first used its UUID is written with question marks.
        uuid: field(&information, "GPU UUID").and_then(|uuid| uuid.parse().ok()),
        node: field(&status, "Node").and_then(|node| node.parse().ok()),
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name && !value.trim().is_empty()).then(|| value.trim())
    })
}
