//! From fragments to a topology: merging, and the checks that every [`Topology`] has passed.

use crate::error::{Error, Result};
use crate::model::merge::merge;
use crate::model::texts::make_printable;
use crate::model::{Computed, Fragment, Inner, Link, MAX_DEVICES, Node, NodeId, NodeKind, Topology, cores};
use petgraph::graph::{NodeIndex, UnGraph};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Merges fragments and checks the result.
#[derive(Debug, Default)]
#[must_use]
pub struct TopologyBuilder {
    fragments: Vec<Fragment>,
}

impl TopologyBuilder {
    /// Creates a builder without fragments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the fragment of a source. Where sources disagree, the one that stands first in
    /// [`Provenance`](crate::model::Provenance) wins, and of two of the same kind the earlier.
    pub fn with(mut self, fragment: Fragment) -> Self {
        self.fragments.push(fragment);
        self
    }

    /// Merges, checks, and freezes.
    pub fn build(self) -> Result<Topology> {
        freeze(self.merged()?)
    }

    /// Merges the fragments into one.
    pub(crate) fn merged(self) -> Result<Fragment> {
        for fragment in self.fragments.iter().filter(|_| self.fragments.len() > 1) {
            check(fragment)?;
        }
        merge(self.fragments)
    }
}

/// Checks the invariants that merging and the queries rely on.
fn check(fragment: &Fragment) -> Result<Vec<NodeId>> {
    let devices = devices_of(&fragment.nodes)?;
    check_containment(&fragment.nodes)?;
    check_numbers(&fragment.nodes)?;
    check_links(&fragment.nodes, &fragment.links)?;
    let count = fragment.nodes.len();
    if fragment.paths.iter().any(|path| path.b.index() >= count) {
        return Err(Error::input("a stated path names a node that does not exist"));
    }
    let is_gpu = |id: NodeId| fragment.nodes.get(id.index()).is_some_and(|node| node.kind.as_gpu().is_some());
    let is_device = |id: NodeId| {
        is_gpu(id) || fragment.nodes.get(id.index()).is_some_and(|node| node.kind.as_nic().is_some())
    };
    let sound = |from: NodeId, to: NodeId| {
        from != to && is_device(from) && is_device(to) && (is_gpu(from) || is_gpu(to))
    };
    if !fragment.measured.iter().all(|one| sound(one.from, one.to)) {
        return Err(Error::input("a measurement is neither of two GPUs nor of a GPU and a NIC"));
    }
    if fragment.p2p.iter().any(|one| one.a == one.b || !is_gpu(one.a) || !is_gpu(one.b)) {
        return Err(Error::input("peer-to-peer access is stated of something other than two GPUs"));
    }
    Ok(devices)
}

/// Checks a merged fragment, and makes it a topology.
pub(crate) fn freeze(mut fragment: Fragment) -> Result<Topology> {
    cores::resolve(&mut fragment);
    make_printable(&mut fragment);
    let devices = check(&fragment)?;
    let count = fragment.nodes.len();
    fragment.paths.sort_by_key(|path| (path.a, path.b));
    fragment.paths.dedup_by_key(|path| (path.a, path.b));
    fragment.measured.sort_by_key(|measured| (measured.from, measured.to));
    fragment.measured.dedup_by_key(|measured| (measured.from, measured.to));
    fragment.p2p.sort_by_key(|p2p| (p2p.a, p2p.b));
    fragment.p2p.dedup_by_key(|p2p| (p2p.a, p2p.b));

    let mut graph = UnGraph::with_capacity(count, fragment.links.len());
    for node in fragment.nodes {
        graph.add_node(node);
    }
    for (a, b, link) in fragment.links {
        graph.add_edge(NodeIndex::new(a.index()), NodeIndex::new(b.index()), link);
    }
    let gpus = devices.iter().filter(|id| graph[NodeIndex::new(id.index())].kind.as_gpu().is_some()).count();
    let inner = Inner {
        graph,
        devices,
        gpus,
        paths: fragment.paths,
        measured: fragment.measured,
        p2p: fragment.p2p,
        notes: fragment.notes,
        origin: fragment.origin,
        dialect: fragment.dialect,
        nvlink_known: fragment.nvlink_known,
        computed: Computed::default(),
    };
    Ok(Topology(Arc::new(inner)))
}

/// Returns the GPUs by index, then the NICs in the order given; names must be unique.
fn devices_of(nodes: &[Node]) -> Result<Vec<NodeId>> {
    let ids = || (0..nodes.len() as u32).map(NodeId);
    let mut gpus: Vec<(u32, NodeId)> =
        ids().filter_map(|id| Some((nodes[id.index()].kind.as_gpu()?.index, id))).collect();
    gpus.sort_unstable();
    if let Some(pair) = gpus.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::input(format!("GPU{} occurs twice", pair[0].0)));
    }
    let nics: Vec<NodeId> = ids().filter(|id| nodes[id.index()].kind.as_nic().is_some()).collect();
    let mut names = BTreeSet::new();
    for nic in nics.iter().filter_map(|id| nodes[id.index()].kind.as_nic()) {
        if !names.insert(&nic.name) {
            return Err(Error::input(format!("NIC '{}' occurs twice", nic.name)));
        }
    }
    let devices: Vec<NodeId> = gpus.into_iter().map(|(_, id)| id).chain(nics).collect();
    if devices.len() > MAX_DEVICES {
        return Err(Error::input(format!(
            "{} GPUs and NICs are more than the {MAX_DEVICES} that a topology holds",
            devices.len()
        )));
    }
    Ok(devices)
}

/// The greatest depth of a node: a PCI domain has 256 buses, so no bridge is deeper. Deeper input would cost quadratic time.
const MAX_DEPTH: u32 = 264;

fn check_containment(nodes: &[Node]) -> Result<()> {
    let mut depths: Vec<u32> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let machine = matches!(node.kind, NodeKind::Machine(_));
        let on_gpu = |parent: NodeId| nodes[parent.index()].kind.as_gpu().is_some();
        let instance = matches!(node.kind, NodeKind::GpuInstance(_));
        if instance && !node.parent.is_some_and(|parent| parent.index() < index && on_gpu(parent)) {
            return Err(Error::input(format!("node {index} is a GPU instance and not on a GPU")));
        }
        let sound = match node.parent {
            None => index == 0 && machine,
            Some(parent) => parent.index() < index && !machine,
        };
        if !sound {
            return Err(Error::input(format!(
                "node {index} is out of order: the machine comes first, and every node after its parent"
            )));
        }
        let depth = node.parent.map_or(0, |parent| depths[parent.index()] + 1);
        if depth > MAX_DEPTH {
            return Err(Error::input(format!(
                "node {index} is below {depth} others; the most is {MAX_DEPTH}"
            ))
            .help("a PCI domain has 256 buses: no bridge can be that deep"));
        }
        depths.push(depth);
    }
    Ok(())
}

/// Checks that the kernel's numbers of NUMA nodes and PUs are unique.
fn check_numbers(nodes: &[Node]) -> Result<()> {
    let (mut numa, mut cpus) = (Vec::new(), Vec::new());
    for node in nodes {
        match &node.kind {
            NodeKind::NumaNode(node) => numa.push(node.os_index),
            NodeKind::Pu(pu) => cpus.push(pu.os_index),
            _ => {}
        }
    }
    for (what, mut numbers) in [("NUMA node", numa), ("CPU", cpus)] {
        numbers.sort_unstable();
        if let Some([twice, ..]) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input(format!("{what} {twice} occurs twice")));
        }
    }
    Ok(())
}

fn check_links(nodes: &[Node], links: &[(NodeId, NodeId, Link)]) -> Result<()> {
    for (a, b, link) in links {
        let ends = nodes.get(a.index()).zip(nodes.get(b.index()));
        let Some((from, to)) = ends.filter(|_| a != b) else {
            return Err(Error::input(format!("a link joins nodes {} and {}", a.index(), b.index())));
        };
        let nvlink_end = |node: &Node| matches!(node.kind, NodeKind::Gpu(_) | NodeKind::NvSwitch(_));
        if link.kind.is_fabric() && !(nvlink_end(from) && nvlink_end(to)) {
            return Err(Error::input("an NVLink joins something that is neither a GPU nor an NVSwitch"));
        }
    }
    Ok(())
}
