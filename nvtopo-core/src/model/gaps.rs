//! Notes of what a source left open, which go once another source tells it.
//!
//! Such a note is known by how its text begins, so that it does the same in a topology that was written and read again.

use crate::model::{Basis, Fragment, LinkKind, Node, NodeId, NodeKind, Stated, tree};
use std::collections::BTreeSet;

/// The kernel's view alone.
pub(crate) const NVLINKS_OF_KERNEL: &str = "the kernel does not tell which GPUs NVLink connects";

/// A file of hwloc without a matrix of NVLink bandwidths.
pub(crate) const NVLINKS_OF_FILE: &str = "the file does not tell which GPUs NVLink connects";

/// A matrix that says so by its legend.
pub(crate) const NVLINKS_OF_PCI_MATRIX: &str =
    "the text is that of 'topo -mp', which does not show NVLinks; there may be some";

/// A matrix without legend.
pub(crate) const NVLINKS_OF_BARE_MATRIX: &str = "no pair has NVLinks and no legend explains NV#; the text may be that of 'topo -mp', which does not show NVLinks";

/// A matrix counts NVLinks and says nothing more of them.
pub(crate) const NVLINK_RATE: &str =
    "the generation of NVLink is unknown; 25 GB/s for each link in one direction is assumed";

/// A matrix says nothing of PCIe links but that they are there.
pub(crate) const PCIE_RATE: &str = "the generation and width of PCIe links are unknown; where a rate is needed, generation 3 with 16 lanes is assumed";

/// The kernel's view of an ordinary user.
pub(crate) const REDIRECTS: &str = "whether PCIe ports redirect what devices write to each other (ACS) is unknown: only root may read that of them";

/// A list of CPUs may go on; the devices follow.
pub(crate) const CPU_LIST_STOPS: &str =
    "nvidia-smi stops a list of CPUs after six entries, so that there may be more";

/// Cells that nvidia-smi leaves empty; the devices follow.
pub(crate) const CPUS_EMPTY: &str =
    "the CPU affinity is empty, as where a process may use none of the CPUs near to the GPU";

/// As [`CPUS_EMPTY`].
pub(crate) const NODES_EMPTY: &str = "the NUMA affinity is empty";

/// How each note begins, with whether it still holds.
type Gap = (&'static str, fn(&Fragment) -> bool);

static GAPS: [Gap; 10] = [
    (NVLINKS_OF_KERNEL, nvlinks_open),
    (NVLINKS_OF_FILE, nvlinks_open),
    (NVLINKS_OF_PCI_MATRIX, nvlinks_open),
    (NVLINKS_OF_BARE_MATRIX, nvlinks_open),
    (NVLINK_RATE, nvlink_rate_open),
    (PCIE_RATE, pcie_rate_open),
    (REDIRECTS, redirects_open),
    (CPU_LIST_STOPS, cpus_open),
    (CPUS_EMPTY, cpus_open),
    (NODES_EMPTY, nodes_open),
];

/// Takes out the notes that no longer hold.
pub(super) fn close(fragment: &mut Fragment) {
    for (text, open) in &GAPS {
        let is_it = |note: &crate::model::Note| note.text.starts_with(text);
        if fragment.notes.iter().any(is_it) && !open(fragment) {
            fragment.notes.retain(|note| !is_it(note));
        }
    }
}

/// Whether a device has CPUs that could not be read, and its NUMA node does not tell them.
fn cpus_open(fragment: &Fragment) -> bool {
    let has_cpus =
        |id: NodeId| fragment.nodes[id.index()].kind.as_numa_node().is_some_and(|numa| !numa.cpus.is_empty());
    devices(fragment).any(|(id, node)| {
        unread(node).0 && !tree::ancestors(|id| &fragment.nodes[id.index()], id).any(has_cpus)
    })
}

/// Whether a device has NUMA nodes that could not be read.
fn nodes_open(fragment: &Fragment) -> bool {
    devices(fragment).any(|(_, node)| unread(node).1)
}

/// Whether the CPUs and the NUMA nodes of a device could not be read.
fn unread(node: &Node) -> (bool, bool) {
    match &node.kind {
        NodeKind::Gpu(gpu) => (gpu.cpus == Stated::Unreadable, gpu.nodes == Stated::Unreadable),
        NodeKind::Nic(nic) => (nic.cpus == Stated::Unreadable, nic.nodes == Stated::Unreadable),
        _ => (false, false),
    }
}

fn devices(fragment: &Fragment) -> impl Iterator<Item = (NodeId, &Node)> {
    let nodes = (0..).map(NodeId).zip(&fragment.nodes);
    nodes.filter(|(_, node)| matches!(node.kind, NodeKind::Gpu(_) | NodeKind::Nic(_)))
}

fn nvlinks_open(fragment: &Fragment) -> bool {
    !fragment.nvlink_known
}

fn nvlink_rate_open(fragment: &Fragment) -> bool {
    let mut nvlinks = fragment.links.iter().filter(|(_, _, link)| link.kind == LinkKind::NvLink);
    nvlinks.any(|(_, _, link)| link.rate.is_none_or(|rate| rate.basis == Basis::Assumed))
}

/// Whether there is a link below a switch of which that is unknown. What is above all switches matters to no way between
/// devices below one.
fn redirects_open(fragment: &Fragment) -> bool {
    let is_switch = |id: NodeId| matches!(fragment.nodes[id.index()].kind, NodeKind::PcieSwitch(_));
    let parent = |id: NodeId| fragment.nodes[id.index()].parent;
    let below_switch = |a: NodeId, b: NodeId| parent(a) == Some(b) && is_switch(b);
    fragment.links.iter().any(|(a, b, link)| {
        let unknown = link.kind == LinkKind::Pcie && link.redirects.is_none();
        unknown && (below_switch(*a, *b) || below_switch(*b, *a))
    })
}

/// Whether there is a device between which and its host bridge no PCIe link has a rate.
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
