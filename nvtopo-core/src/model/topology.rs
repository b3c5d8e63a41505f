//! The topology of a machine: the graph that all sources write together.

use super::node::{NODE_CPUS, NODE_MEMORY};
use super::{
    Bundle, Dialect, Gpu, GpuInstance, Link, Machine, Measured, Nic, Node, NodeId, NodeKind, Note, NumaNode,
    NvlinkGroup, Nvlinks, Origin, P2p, PairTable, PathType, Provenance, Rate, StatedPath,
};
use crate::cpuset::CpuSet;
use crate::once::Once;
use crate::units::Bandwidth;
use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::visit::EdgeRef;
use std::sync::Arc;

/// The most GPUs and NICs together that a topology holds: the pair table is their square.
pub const MAX_DEVICES: usize = 2048;

/// A machine as one graph: immutable, cheap to clone, shared between threads.
///
/// Devices are named by *position*: GPUs from 0 in increasing index, as [`gpus`](Self::gpus) yields them, and in
/// [`devices`](Self::devices) the NICs after them.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(dgx.gpus().len(), 8);
/// assert_eq!(dgx.local_cpus(dgx.devices()[0]).known().unwrap().to_string(), "0-55,112-167");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[doc(alias = "hwloc_topology_t")]
#[derive(Clone)]
pub struct Topology(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) graph: UnGraph<Node, Link>,
    /// GPUs by index, then NICs in the source's order.
    pub(super) devices: Vec<NodeId>,
    pub(super) gpus: usize,
    /// Sorted by the pair of nodes.
    pub(super) paths: Vec<StatedPath>,
    /// Sorted by sender and receiver.
    pub(super) measured: Vec<Measured>,
    /// Sorted by the pair of nodes.
    pub(super) p2p: Vec<P2p>,
    pub(super) notes: Vec<Note>,
    pub(super) origin: Origin,
    pub(super) dialect: Dialect,
    pub(super) nvlink_known: bool,
    pub(super) computed: Computed,
}

/// Queries whose answers are memoized.
#[derive(Default)]
pub(crate) struct Computed {
    nvlinks: Once<Nvlinks>,
    pub(crate) pairs: Once<PairTable>,
    pub(crate) groups: Once<Vec<NvlinkGroup>>,
    /// The MIG instances behind their GPUs, sorted.
    instances: Once<Vec<(NodeId, NodeId)>>,
    /// The NVLinks to NVSwitches of each GPU that has fewer than the most of its model, and those.
    pub(crate) fewer_nvlinks: Once<Vec<Option<(u32, u32)>>>,
    /// True where the bandwidth of all pairs of GPUs is known.
    pub(crate) rates_known: Once<bool>,
    /// True where a source lists all CPUs.
    lists_cpus: Once<bool>,
}

impl Topology {
    /// Returns the number of nodes.
    pub fn node_count(&self) -> usize {
        self.0.graph.node_count()
    }

    /// Returns a node by its number.
    ///
    /// # Panics
    /// When the number is of another topology that has more nodes.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.0.graph[NodeIndex::new(id.index())]
    }

    /// Iterates over all nodes with their numbers, in the source's order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        let nodes = self.0.graph.raw_nodes().iter().enumerate();
        nodes.map(|(index, node)| (NodeId(index as u32), &node.weight))
    }

    /// Iterates over all links with the nodes that they connect, in the source's order.
    pub fn links(&self) -> impl ExactSizeIterator<Item = (NodeId, NodeId, &Link)> {
        let id = |index: NodeIndex| NodeId(index.index() as u32);
        let edges = self.0.graph.raw_edges().iter();
        edges.map(move |edge| (id(edge.source()), id(edge.target()), &edge.weight))
    }

    /// Iterates over the links of one node with the nodes at their other ends.
    pub fn links_of(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Link)> {
        let edges = self.0.graph.edges(NodeIndex::new(id.index()));
        edges.map(|edge| (NodeId(edge.target().index() as u32), edge.weight()))
    }

    /// Iterates over the node and its containers, up to the machine.
    ///
    /// # Panics
    /// Like [`node`](Self::node); the same holds for all queries of a node.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(Some(id), |id| self.node(*id).parent)
    }

    /// Returns the facts of the machine as a whole.
    pub fn machine(&self) -> &Machine {
        match &self.node(NodeId::MACHINE).kind {
            NodeKind::Machine(machine) => machine,
            _ => unreachable!("the builder puts the machine first"),
        }
    }

    /// Returns the devices of the pair table: GPUs first, then NICs.
    pub fn devices(&self) -> &[NodeId] {
        &self.0.devices
    }

    /// Iterates over the GPUs by position.
    pub fn gpus(&self) -> impl ExactSizeIterator<Item = &Gpu> + DoubleEndedIterator {
        self.0.devices[..self.0.gpus].iter().map(|id| match &self.node(*id).kind {
            NodeKind::Gpu(gpu) => &**gpu,
            _ => unreachable!("the builder sorts the devices"),
        })
    }

    /// Iterates over the MIG instances of the GPU at a position, with their numbers in the graph; none for a position
    /// without a GPU.
    pub fn gpu_instances(&self, gpu: usize) -> impl Iterator<Item = (NodeId, &GpuInstance)> {
        let all = self.computed().instances.get_or_init(|| {
            let is_instance = |node: &Node| matches!(node.kind, NodeKind::GpuInstance(_));
            let found = self.nodes().filter(|(_, node)| is_instance(node));
            let mut found: Vec<(NodeId, NodeId)> =
                found.filter_map(|(id, node)| Some((node.parent?, id))).collect();
            found.sort_unstable();
            found
        });
        let own = self.0.devices[..self.0.gpus].get(gpu).map_or(&[][..], |parent| {
            let from = all.partition_point(|(above, _)| above < parent);
            let to = all.partition_point(|(above, _)| above <= parent);
            &all[from..to]
        });
        own.iter().filter_map(|(_, id)| match &self.node(*id).kind {
            NodeKind::GpuInstance(instance) => Some((*id, &**instance)),
            _ => None,
        })
    }

    /// Iterates over the NICs by position, counted from the first NIC.
    pub fn nics(&self) -> impl ExactSizeIterator<Item = &Nic> + DoubleEndedIterator {
        self.0.devices[self.0.gpus..].iter().map(|id| match &self.node(*id).kind {
            NodeKind::Nic(nic) => &**nic,
            _ => unreachable!("the builder sorts the devices"),
        })
    }

    /// Returns the name of a device by its position in [`devices`](Self::devices).
    ///
    /// # Panics
    /// When there is no device at that position.
    pub fn device_name(&self, device: usize) -> String {
        match &self.node(self.0.devices[device]).kind {
            NodeKind::Gpu(gpu) => gpu.name(),
            NodeKind::Nic(nic) => nic.name.clone(),
            _ => unreachable!("the builder sorts the devices"),
        }
    }

    /// Returns the names of several devices, joined by commas.
    pub(crate) fn device_names(&self, devices: &[usize]) -> String {
        devices.iter().map(|device| self.device_name(*device)).collect::<Vec<_>>().join(", ")
    }

    /// Iterates over the NUMA nodes in the source's order.
    pub fn numa_nodes(&self) -> impl Iterator<Item = &NumaNode> {
        self.nodes().filter_map(|(_, node)| node.kind.as_numa_node())
    }

    /// Returns every CPU that a PU, a NUMA node or a device's affinity names.
    pub fn cpus(&self) -> CpuSet {
        let mut cpus = CpuSet::new();
        for (_, node) in self.nodes() {
            match &node.kind {
                NodeKind::Pu(pu) => _ = cpus.insert(pu.os_index),
                NodeKind::NumaNode(numa) => cpus |= &numa.cpus,
                NodeKind::Gpu(gpu) => gpu.cpus.known().into_iter().for_each(|own| cpus |= own),
                _ => {}
            }
        }
        cpus
    }

    /// Returns true where [`cpus`](Self::cpus) are all of the machine: a source lists them all. Texts of `nvidia-smi` and files of
    /// NCCL name those near devices only.
    ///
    /// ```
    /// let text = "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-15\t0\n";
    /// let topology = nvtopo::Topology::parse("topo.txt", text.as_bytes())?;
    /// assert_eq!((topology.cpus().len(), topology.lists_all_cpus()), (16, false));
    /// assert!(nvtopo::Topology::preset("gh200")?.lists_all_cpus());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn lists_all_cpus(&self) -> bool {
        // Others who tell the CPUs or the memory of NUMA nodes list all nodes.
        let lists_all =
            |source| !matches!(source, Provenance::Smi | Provenance::Nccl | Provenance::Kubernetes);
        let is_told = |node: &Node| match &node.kind {
            NodeKind::Pu(_) => true,
            NodeKind::NumaNode(numa) if !numa.cpus.is_empty() => {
                let of = |fact: &str| node.learned.iter().find(|own| own.fact == fact);
                let cpus = of(NODE_CPUS).map_or(node.provenance, |own| own.provenance);
                lists_all(cpus) || of(NODE_MEMORY).is_some_and(|own| lists_all(own.provenance))
            }
            _ => false,
        };
        *self.0.computed.lists_cpus.get_or_init(|| self.nodes().any(|(_, node)| is_told(node)))
    }

    /// Returns the class of the path between two nodes, where a source states it.
    pub fn stated_path(&self, a: NodeId, b: NodeId) -> Option<PathType> {
        let key = (a.min(b), a.max(b));
        let found = self.0.paths.binary_search_by_key(&key, |path| (path.a, path.b)).ok()?;
        Some(self.0.paths[found].path)
    }

    /// Returns all stated paths, ordered by their nodes.
    pub fn stated_paths(&self) -> &[StatedPath] {
        &self.0.paths
    }

    /// Returns the measured bandwidth between two devices: the lower of both directions, where both are known.
    pub fn measured(&self, a: NodeId, b: NodeId) -> Option<Bandwidth> {
        let of = |from: NodeId, to: NodeId| {
            let found =
                self.0.measured.binary_search_by_key(&(from, to), |measured| (measured.from, measured.to));
            found.ok().map(|found| self.0.measured[found].bandwidth)
        };
        of(a, b).into_iter().chain(of(b, a)).min()
    }

    /// Returns all measurements, ordered by sender and receiver.
    pub fn measurements(&self) -> &[Measured] {
        &self.0.measured
    }

    /// Returns the peer-to-peer access between two GPUs. `None`: unknown.
    pub fn p2p(&self, a: NodeId, b: NodeId) -> Option<&P2p> {
        let key = (a.min(b), a.max(b));
        let found = self.0.p2p.binary_search_by_key(&key, |p2p| (p2p.a, p2p.b)).ok()?;
        Some(&self.0.p2p[found])
    }

    /// Returns the peer-to-peer access of all pairs for which it is known, ordered by their nodes.
    pub fn all_p2p(&self) -> &[P2p] {
        &self.0.p2p
    }

    /// Returns the notes: remarks for people, with codes for programs.
    pub fn notes(&self) -> &[Note] {
        &self.0.notes
    }

    /// Returns the machine that it describes.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Returns the spelling of path classes in its source.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// Returns true where a source knows NVLinks, so that a missing NVLink means that there is none.
    pub fn nvlink_known(&self) -> bool {
        self.0.nvlink_known
    }

    /// Returns the same machine with its links changed by a function.
    pub(crate) fn map_links(&self, change: impl Fn(&Link) -> Link) -> Self {
        let graph = self.0.graph.map(|_, node| node.clone(), |_, link| change(link));
        self.with(graph, self.0.measured.clone())
    }

    /// Returns the same machine with other measurements, those of NIC ports changed by a function.
    pub(crate) fn map_measured(
        &self,
        measured: Vec<Measured>,
        port: impl Fn(Bandwidth) -> Bandwidth,
    ) -> Self {
        let change = |node: &mut Node| {
            if let NodeKind::Nic(nic) = &mut node.kind {
                nic.measured = nic.measured.map(&port);
            }
        };
        self.map_nodes(change, measured)
    }

    /// Returns the same machine of which only these CPUs may be used.
    pub(crate) fn with_allowed_cpus(&self, cpus: &CpuSet) -> Self {
        let change = |node: &mut Node| {
            if let NodeKind::Machine(machine) = &mut node.kind {
                machine.allowed_cpus = Some(cpus.clone());
            }
        };
        self.map_nodes(change, self.0.measured.clone())
    }

    fn map_nodes(&self, change: impl Fn(&mut Node), measured: Vec<Measured>) -> Self {
        let node = |node: &Node| {
            let mut node = node.clone();
            change(&mut node);
            node
        };
        self.with(self.0.graph.map(|_, own| node(own), |_, link| link.clone()), measured)
    }

    /// Returns the same machine with another graph of the same nodes and links, and other measurements.
    fn with(&self, graph: UnGraph<Node, Link>, measured: Vec<Measured>) -> Self {
        let own = &self.0;
        Self(Arc::new(Inner {
            graph,
            devices: own.devices.clone(),
            gpus: own.gpus,
            paths: own.paths.clone(),
            measured,
            p2p: own.p2p.clone(),
            notes: own.notes.clone(),
            origin: own.origin.clone(),
            dialect: own.dialect,
            nvlink_known: own.nvlink_known,
            computed: Computed::default(),
        }))
    }

    /// Returns the number of NVLinks of a GPU, by its position, with their rate together; 0 where no source tells them.
    ///
    /// ```
    /// let (links, rate) = nvtopo::Topology::preset("dgx-h100")?.nvlinks_of(0);
    /// assert_eq!((links, rate.unwrap().bandwidth.to_string().as_str()), (18, "450 GB/s"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn nvlinks_of(&self, gpu: usize) -> (u16, Option<Rate>) {
        let links = self.nvlinks().of_node(self.devices()[gpu]).map(|(_, own)| own);
        links.reduce(Bundle::and).map_or((0, None), |sum| (sum.links, sum.rate))
    }

    /// Returns the NVLinks by their ends, computed once.
    pub(crate) fn nvlinks(&self) -> &Nvlinks {
        self.0.computed.nvlinks.get_or_init(|| Nvlinks::of(self.links(), |id| self.node(id)))
    }

    pub(crate) fn computed(&self) -> &Computed {
        &self.0.computed
    }
}

impl PartialEq for Topology {
    /// Compares node by node and link by link.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        Arc::ptr_eq(a, b)
            || (self.nodes().eq(other.nodes())
                && self.links().eq(other.links())
                && (&a.paths, &a.measured, &a.p2p) == (&b.paths, &b.measured, &b.p2p)
                && (&a.notes, &a.origin) == (&b.notes, &b.origin)
                && (a.dialect, a.nvlink_known) == (b.dialect, b.nvlink_known))
    }
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology")
            .field("nodes", &self.node_count())
            .field("gpus", &self.gpus().len())
            .field("nics", &self.nics().len())
            .field("origin", self.origin())
            .finish_non_exhaustive()
    }
}
