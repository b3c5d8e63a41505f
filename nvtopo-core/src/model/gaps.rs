//! Notes about unknown facts, which merging removes once another source states the fact.
//!
//! Merging knows such a note by its code, which a written topology keeps.

use crate::model::{Basis, Fragment, LinkKind, Node, NodeId, NodeKind, NoteCode, Stated, tree};
use std::collections::BTreeSet;

/// The text of `nvlinks-unknown` for the kernel's view alone.
pub(crate) const NVLINKS_OF_KERNEL: &str = "the kernel does not tell which GPUs NVLink connects";

/// The text of `nvlinks-unknown` for a file of hwloc without a matrix of NVLink bandwidths.
pub(crate) const NVLINKS_OF_FILE: &str = "the file does not tell which GPUs NVLink connects";

/// The text of `nvlinks-unknown` for a matrix of `topo -mp`, by its legend.
pub(crate) const NVLINKS_OF_PCI_MATRIX: &str =
    "the text is that of 'topo -mp', which does not show NVLinks; there may be some";

/// The text of `nvlinks-unknown` for a matrix without NVLinks and without legend.
pub(crate) const NVLINKS_OF_BARE_MATRIX: &str = "no pair has NVLinks and no legend explains NV#; the text may be that of 'topo -mp', which does not show NVLinks";

/// The text of `nvlink-rate-assumed`: a matrix has only the number of NVLinks.
pub(crate) const NVLINK_RATE: &str =
    "the generation of NVLink is unknown; 25 GB/s for each link in one direction is assumed";

/// The text of `pcie-rate-assumed`: a matrix has no rates of PCIe links.
pub(crate) const PCIE_RATE: &str = "the generation and width of PCIe links are unknown; where a rate is needed, generation 3 with 16 lanes is assumed";

/// The text of `acs-unknown`: the kernel's view of an ordinary user.
pub(crate) const REDIRECTS: &str = "whether PCIe ports redirect what devices write to each other (ACS) is unknown: only root may read that of them";

/// The text of `cpu-list-truncated`, before the devices.
pub(crate) const CPU_LIST_STOPS: &str =
    "nvidia-smi stops a list of CPUs after six entries, so that there may be more";

/// The text of `cpus-unknown` for cells that nvidia-smi leaves empty, before the devices.
pub(crate) const CPUS_EMPTY: &str =
    "the CPU affinity is empty, as where a process may use none of the CPUs near to the GPU";

/// The text of `numa-unknown` for cells that nvidia-smi leaves empty, before the devices.
pub(crate) const NODES_EMPTY: &str = "the NUMA affinity is empty";

/// Returns true while the fact of a note is unknown.
type IsOpen = fn(&Fragment) -> bool;

/// The codes of such notes, each with the test of whether its fact is still unknown.
static GAPS: [(NoteCode, IsOpen); 7] = [
    (NoteCode::NvlinksUnknown, nvlinks_open),
    (NoteCode::NvlinkRateAssumed, nvlink_rate_open),
    (NoteCode::PcieRateAssumed, pcie_rate_open),
    (NoteCode::AcsUnknown, redirects_open),
    (NoteCode::CpuListTruncated, cpus_open),
    (NoteCode::CpusUnknown, cpus_open),
    (NoteCode::NumaUnknown, nodes_open),
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
    let has_cpus =
        |id: NodeId| fragment.nodes[id.index()].kind.as_numa_node().is_some_and(|numa| !numa.cpus.is_empty());
    devices(fragment).any(|(id, node)| {
        unread(node).0 && !tree::ancestors(|id| &fragment.nodes[id.index()], id).any(has_cpus)
    })
}

/// Returns true where the near NUMA nodes of a device could not be read.
fn nodes_open(fragment: &Fragment) -> bool {
    devices(fragment).any(|(_, node)| unread(node).1)
}

/// Returns true each where the near CPUs, and the near NUMA nodes, of a device could not be read.
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
