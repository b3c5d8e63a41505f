//! A machine as one source describes it, before merging and checking.

use crate::model::cores::CoreFacts;
use crate::model::{
    Dialect, Link, Machine, Node, NodeId, NodeKind, Note, NoteCode, Origin, P2p, PathType, Provenance,
    Topology,
};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The class of the path between two nodes, as a source states it. It takes precedence over the tree of bridges.
/// NVLinks are not stated here: they are links.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatedPath {
    /// The node with the lower number.
    pub a: NodeId,
    /// The node with the higher number.
    pub b: NodeId,
    /// The class.
    pub path: PathType,
}

/// A measured bandwidth from one GPU to another, or between a GPU and a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// The device that sends.
    pub from: NodeId,
    /// The device that receives.
    pub to: NodeId,
    /// The bandwidth at the receiver.
    pub bandwidth: Bandwidth,
}

/// A machine as one source describes it. Node 0 is the machine; a parent is added before its children.
///
/// ```
/// use nvtopo::model::{Fragment, Gpu, NodeId, Provenance, TopologyBuilder, rates};
///
/// let mut fragment = Fragment::new(Provenance::Preset);
/// let gpus: Vec<NodeId> = (0..2).map(|index| fragment.add(NodeId::MACHINE, Gpu::new(index))).collect();
/// fragment.link(gpus[0], gpus[1], rates::nvlink(3, 4));
/// let topology = TopologyBuilder::new().with(fragment).build()?;
/// assert_eq!(topology.nvlink_groups()[0].gpus, [0, 1]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fragment {
    pub(crate) provenance: Provenance,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<(NodeId, NodeId, Link)>,
    pub(crate) paths: Vec<StatedPath>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) p2p: Vec<P2p>,
    pub(crate) notes: Vec<Note>,
    pub(crate) origin: Origin,
    pub(crate) dialect: Dialect,
    pub(crate) nvlink_known: bool,
    /// Cores by number, until their CPUs are known.
    pub(crate) cores: CoreFacts,
    /// The file that it was read from, for notes where several files are merged.
    pub(crate) file: Option<Arc<str>>,
}

impl Fragment {
    /// Creates a fragment with a machine of which nothing is known yet.
    pub fn new(provenance: Provenance) -> Self {
        let kind = NodeKind::Machine(Machine::default());
        Self {
            provenance,
            nodes: vec![Node { kind, parent: None, provenance, learned: Vec::new() }],
            links: Vec::new(),
            paths: Vec::new(),
            measured: Vec::new(),
            p2p: Vec::new(),
            notes: Vec::new(),
            origin: Origin::Unknown,
            dialect: Dialect::Sys,
            nvlink_known: true,
            cores: CoreFacts::default(),
            file: None,
        }
    }

    /// Takes a topology apart, with the same numbers of nodes.
    pub(crate) fn of(topology: &Topology) -> Self {
        Self {
            nodes: topology.nodes().map(|(_, node)| node.clone()).collect(),
            links: topology.links().map(|(a, b, link)| (a, b, link.clone())).collect(),
            paths: topology.stated_paths().to_vec(),
            measured: topology.measurements().to_vec(),
            p2p: topology.all_p2p().to_vec(),
            notes: topology.notes().to_vec(),
            origin: topology.origin().clone(),
            dialect: topology.dialect(),
            nvlink_known: topology.nvlink_known(),
            ..Self::new(topology.node(NodeId::MACHINE).provenance)
        }
    }

    /// Returns the machine, to fill in. If [`node_mut`](Self::node_mut) replaced it by another kind, it is an empty one again.
    pub fn machine(&mut self) -> &mut Machine {
        let first = &mut self.nodes[0].kind;
        if !matches!(first, NodeKind::Machine(_)) {
            *first = NodeKind::Machine(Machine::default());
        }
        match first {
            NodeKind::Machine(machine) => machine,
            _ => unreachable!("replaced by a machine above"),
        }
    }

    /// Adds a node below `parent`: a [`NodeKind`], or the facts of one.
    pub fn add(&mut self, parent: NodeId, kind: impl Into<NodeKind>) -> NodeId {
        self.add_as(self.provenance, parent, kind.into())
    }

    /// Adds a node that was concluded, not read.
    pub fn add_inferred(&mut self, parent: NodeId, kind: impl Into<NodeKind>) -> NodeId {
        self.add_as(Provenance::Inferred, parent, kind.into())
    }

    fn add_as(&mut self, provenance: Provenance, parent: NodeId, kind: NodeKind) -> NodeId {
        self.nodes.push(Node { kind, parent: Some(parent), provenance, learned: Vec::new() });
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// Returns a node that was added, to fill in.
    ///
    /// # Panics
    /// When the node is not of this fragment.
    pub fn node_mut(&mut self, id: NodeId) -> &mut NodeKind {
        &mut self.nodes[id.index()].kind
    }

    /// Links two nodes.
    pub fn link(&mut self, a: NodeId, b: NodeId, link: Link) {
        self.links.push((a, b, link));
    }

    /// Removes nodes without children, with their links and paths.
    pub(crate) fn remove_leaves(&mut self, leaves: &BTreeSet<NodeId>) {
        let kept = (0..self.nodes.len() as u32).map(NodeId).filter(|id| !leaves.contains(id));
        let moved: BTreeMap<NodeId, NodeId> = kept.zip((0..).map(NodeId)).collect();
        let mut ids = (0..).map(NodeId);
        self.nodes.retain(|_| ids.next().is_some_and(|id| !leaves.contains(&id)));
        for node in &mut self.nodes {
            node.parent = node.parent.and_then(|parent| moved.get(&parent).copied());
        }
        self.renumber(|id| moved.get(&id).copied());
    }

    /// Gives the ends of links and of what is stated of two nodes other numbers; what loses an end goes.
    pub(crate) fn renumber(&mut self, moved: impl Fn(NodeId) -> Option<NodeId>) {
        let move_both = |a: &mut NodeId, b: &mut NodeId| {
            let both = moved(*a).zip(moved(*b));
            both.map(|both| (*a, *b) = both).is_some()
        };
        // Pairs begin with the lower number.
        let move_pair = |a: &mut NodeId, b: &mut NodeId| {
            let stays = move_both(a, b);
            (*a, *b) = (*a.min(b), *a.max(b));
            stays
        };
        self.links.retain_mut(|(a, b, _)| move_both(a, b));
        self.paths.retain_mut(|path| move_pair(&mut path.a, &mut path.b));
        self.p2p.retain_mut(|p2p| move_pair(&mut p2p.a, &mut p2p.b));
        self.measured.retain_mut(|own| move_both(&mut own.from, &mut own.to));
        self.cores.renumber(moved);
    }

    /// States the class of the path between two nodes.
    pub fn state_path(&mut self, a: NodeId, b: NodeId, path: PathType) {
        self.paths.push(StatedPath { a: a.min(b), b: a.max(b), path });
    }

    /// States a measured bandwidth from one device to another, at least one of them a GPU. The first of several for a
    /// direction counts. The bandwidth of a NIC by itself is [`Nic::measured`](crate::model::Nic::measured).
    pub fn measure(&mut self, from: NodeId, to: NodeId, bandwidth: Bandwidth) {
        self.measured.push(Measured { from, to, bandwidth });
    }

    /// States the peer-to-peer access between two GPUs. The first of several for a pair counts.
    pub fn state_p2p(&mut self, p2p: P2p) {
        self.p2p.push(P2p { a: p2p.a.min(p2p.b), b: p2p.a.max(p2p.b), ..p2p });
    }

    /// Adds a note with a code, or with the general code of a kind.
    pub fn note(&mut self, code: impl Into<NoteCode>, text: impl Into<String>) {
        self.notes.push(Note::new(code, text));
    }

    /// Sets the machine that is described.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Sets the spelling of path classes.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// States that the source cannot tell NVLinks.
    pub fn set_nvlink_unknown(&mut self) {
        self.nvlink_known = false;
    }
}
