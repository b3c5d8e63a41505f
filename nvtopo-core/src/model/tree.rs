//! Containment: the ancestors of a node, what is nearest to it, and the path class of two nodes over PCIe and the CPUs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{Node, NodeId, NodeKind, NumaNode, PathType, Stated};

/// Iterates over the node and its containers, up to the machine.
pub(crate) fn ancestors<'a>(node: impl Fn(NodeId) -> &'a Node, id: NodeId) -> impl Iterator<Item = NodeId> {
    std::iter::successors(Some(id), move |id| node(*id).parent)
}

/// Returns the NUMA node that contains a node.
fn numa<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, id: NodeId) -> Option<&'a NumaNode> {
    ancestors(node, id).find_map(|id| node(id).kind.as_numa_node())
}

/// Returns the CPUs nearest to a device: those that a source states, else those of its NUMA node, also where the stated
/// ones cannot be read or the driver knows none (`N/A`).
pub(crate) fn cpus_near<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, id: NodeId) -> Stated<CpuSet> {
    let stated = node(id).kind.near().map_or(&Stated::Unstated, |(cpus, _)| cpus);
    match numa(node, id) {
        Some(numa) if stated.known().is_none() && !numa.cpus.is_empty() => Stated::Known(numa.cpus.clone()),
        _ => stated.clone(),
    }
}

/// Returns the NUMA nodes nearest to a device: those that a source states, else the one that contains it.
pub(crate) fn nodes_near<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, id: NodeId) -> Stated<NodeSet> {
    let stated = node(id).kind.near().map_or(&Stated::Unstated, |(_, nodes)| nodes);
    match (stated, numa(node, id)) {
        (Stated::Unstated, Some(numa)) => Stated::Known(std::iter::once(numa.os_index).collect()),
        _ => stated.clone(),
    }
}

/// Returns the lowest node that contains both, which may be one of them.
pub(crate) fn common<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, a: NodeId, b: NodeId) -> Option<NodeId> {
    let depth = |id| ancestors(node, id).count();
    let (depth_a, depth_b) = (depth(a), depth(b));
    let above_a = ancestors(node, a).skip(depth_a.saturating_sub(depth_b));
    let above_b = ancestors(node, b).skip(depth_b.saturating_sub(depth_a));
    above_a.zip(above_b).find(|(a, b)| a == b).map(|(common, _)| common)
}

/// Returns the class by the lowest common ancestor. `None` where the tree is incomplete.
pub(crate) fn path<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, a: NodeId, b: NodeId) -> Option<PathType> {
    let common = common(node, a, b)?;
    let switches = |id: NodeId| {
        let below = ancestors(node, id).take_while(|id| *id != common);
        below.filter(|id| matches!(node(*id).kind, NodeKind::PcieSwitch(_))).count()
    };
    let numa = |id: NodeId| ancestors(node, id).find(|id| node(*id).kind.as_numa_node().is_some());
    match node(common).kind {
        // A GPU's or NIC's other function hangs on the device itself.
        NodeKind::Gpu(_) | NodeKind::Nic(_) => Some(PathType::Pix),
        NodeKind::PcieSwitch(_) if switches(a) + switches(b) == 0 => Some(PathType::Pix),
        NodeKind::PcieSwitch(_) => Some(PathType::Pxb),
        NodeKind::HostBridge(_) => Some(PathType::Phb),
        NodeKind::NumaNode(_) => Some(PathType::Node),
        _ => (numa(a)? != numa(b)?).then_some(PathType::Sys),
    }
}
