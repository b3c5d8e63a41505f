//! Notes about unknown facts, which merging removes once another source states the fact.
//!
//! Merging knows such a note by its code, which a written topology keeps.

use crate::model::{Basis, Fragment, LinkKind, Node, NodeId, NodeKind, NoteCode, Stated, tree};
use std::collections::BTreeSet;

/// Returns true while the fact of a note is unknown.
type IsOpen = fn(&Fragment) -> bool;

/// The codes of such notes, each with the test of whether its fact is still unknown.
static GAPS: [(NoteCode, IsOpen); 9] = [
    (NoteCode::NvlinksUnknown, nvlinks_open),
    (NoteCode::NvlinkRateAssumed, nvlink_rate_open),
    (NoteCode::PcieRateAssumed, pcie_rate_open),
    (NoteCode::AcsUnknown, redirects_open),
    (NoteCode::CpuListTruncated, cpus_open),
    (NoteCode::CpusUnknown, cpus_open),
    (NoteCode::NumaCpusUnknown, node_cpus_open),
    (NoteCode::NumaUnknown, nodes_open),
    (NoteCode::GpusUnknown, |fragment| !fragment.nodes.iter().any(|node| node.kind.as_gpu().is_some())),
];

/// Removes the notes whose fact is known by now.
pub(super) fn close(fragment: &mut Fragment) {
    for (code, is_open) in &GAPS {
        if fragment.notes.iter().any(|note| note.code() == *code) && !is_open(fragment) {
            fragment.notes.retain(|note| note.code() != *code);
        }
    }
}

/// Returns true where the near CPUs of a device could not be read, and its NUMA node has none.
fn cpus_open(fragment: &Fragment) -> bool {
    let near = |id: NodeId| tree::cpus_near(|id| &fragment.nodes[id.index()], id);
    devices(fragment).any(|(id, _)| near(id) == Stated::Unreadable)
}

/// Returns true where a NUMA node has no CPUs, and there is no list of all CPUs by which it would be known to have none.
fn node_cpus_open(fragment: &Fragment) -> bool {
    let has = |is: fn(&NodeKind) -> bool| fragment.nodes.iter().any(|node| is(&node.kind));
    !has(|kind| matches!(kind, NodeKind::Pu(_)))
        && has(|kind| kind.as_numa_node().is_some_and(|node| node.cpus.is_empty()))
}

/// Returns true where the near NUMA nodes of a device could not be read.
fn nodes_open(fragment: &Fragment) -> bool {
    devices(fragment).any(|(_, node)| node.kind.near().is_some_and(|(_, nodes)| *nodes == Stated::Unreadable))
}

fn devices(fragment: &Fragment) -> impl Iterator<Item = (NodeId, &Node)> {
    let nodes = (0..).map(NodeId).zip(&fragment.nodes);
    nodes.filter(|(_, node)| node.kind.near().is_some())
}

fn nvlinks_open(fragment: &Fragment) -> bool {
    !fragment.nvlink_known
}

fn nvlink_rate_open(fragment: &Fragment) -> bool {
    let mut nvlinks = fragment.links.iter().filter(|(_, _, link)| link.kind.is_fabric());
    nvlinks.any(|(_, _, link)| link.rate.is_none_or(|rate| rate.basis == Basis::Assumed))
}

/// Returns true where the ACS setting of a link below a switch is unknown. Links above all switches do not matter: traffic
/// between devices below one switch never reaches them.
fn redirects_open(fragment: &Fragment) -> bool {
    let is_switch = |id: NodeId| matches!(fragment.nodes[id.index()].kind, NodeKind::PcieSwitch(_));
    let parent = |id: NodeId| fragment.nodes[id.index()].parent;
    let below_switch = |a: NodeId, b: NodeId| parent(a) == Some(b) && is_switch(b);
    fragment.links.iter().any(|(a, b, link)| {
        let unknown = link.kind == LinkKind::Pcie && link.redirects.is_none();
        unknown && (below_switch(*a, *b) || below_switch(*b, *a))
    })
}

/// Returns true where no PCIe link between a device and its host bridge has a rate.
fn pcie_rate_open(fragment: &Fragment) -> bool {
    let parent = |id: NodeId| fragment.nodes[id.index()].parent;
    let known =
        fragment.links.iter().filter(|(_, _, link)| link.kind == LinkKind::Pcie && link.rate.is_some());
    // The lower end of each such link.
    let known: BTreeSet<NodeId> =
        known.map(|(a, b, _)| if parent(*a) == Some(*b) { *a } else { *b }).collect();
    let told =
        |id: NodeId| tree::ancestors(|id| &fragment.nodes[id.index()], id).any(|id| known.contains(&id));
    devices(fragment).any(|(id, _)| !told(id))
}
