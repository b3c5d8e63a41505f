//! Containment: the ancestors of a node, and the path class of two nodes over PCIe and the CPUs.

use crate::model::{Node, NodeId, NodeKind, PathType};

/// Iterates over the node and its containers, up to the machine.
pub(crate) fn ancestors<'a>(node: impl Fn(NodeId) -> &'a Node, id: NodeId) -> impl Iterator<Item = NodeId> {
    std::iter::successors(Some(id), move |id| node(*id).parent)
}

/// Returns the class by the lowest common ancestor. `None` where the tree is incomplete.
pub(crate) fn path<'a>(node: impl Fn(NodeId) -> &'a Node + Copy, a: NodeId, b: NodeId) -> Option<PathType> {
    let common = ancestors(node, a).find(|id| ancestors(node, b).any(|other| other == *id))?;
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
