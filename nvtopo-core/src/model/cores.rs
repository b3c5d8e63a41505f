//! Cores by their numbers in a job scheduler, which counts cores and not CPUs.
//!
//! A source that names cores so does not tell which CPUs they have. Once all sources are merged, the cores that another one
//! told are counted as hwloc orders them, and the numbers become CPUs. Where nobody tells cores but their counts are known,
//! CPUs are taken to be numbered as Linux does it, with a note.

use crate::cpuset::CpuSet;
use crate::model::{
    Core, Fragment, Node, NodeId, NodeKind, Note, NoteCode, NumaNode, Package, Pu, Stated, gaps, tree,
};
use std::collections::BTreeMap;

/// Facts of cores by number, which wait for the CPUs of these cores.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoreFacts {
    /// The numbers of the cores near GPUs.
    pub(crate) near: BTreeMap<NodeId, CpuSet>,
    /// The numbers of sockets, cores and threads.
    pub(crate) layout: Option<Layout>,
    /// The memory of the whole machine in bytes.
    pub(crate) memory: Option<u64>,
}

/// A machine whose sockets and cores are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) sockets: u32,
    /// The cores of each socket.
    pub(crate) cores: u32,
    /// The threads of each core.
    pub(crate) threads: u32,
}

impl CoreFacts {
    /// Gives the nodes other numbers.
    pub(crate) fn renumber(&mut self, moved: impl Fn(NodeId) -> Option<NodeId>) {
        let near = std::mem::take(&mut self.near);
        self.near = near.into_iter().filter_map(|(id, cores)| Some((moved(id)?, cores))).collect();
    }

    /// Takes over what only the other has; `map` holds the nodes here for those there.
    pub(crate) fn adopt(&mut self, other: &Self, map: &[Option<NodeId>]) {
        for (id, cores) in &other.near {
            if let Some(Some(own)) = map.get(id.index()) {
                self.near.entry(*own).or_insert_with(|| cores.clone());
            }
        }
        self.layout = self.layout.or(other.layout);
        self.memory = self.memory.or(other.memory);
    }
}

/// Returns the CPUs of each core of each socket, in hwloc's order: objects beside each other stand by their first CPUs.
/// `None` where the cores or packages of some CPUs are unknown.
pub(crate) fn sockets(nodes: &[&Node]) -> Option<Vec<Vec<CpuSet>>> {
    let above = |id: NodeId| tree::ancestors(|id| nodes[id.index()], id);
    let pus = || {
        (0..).map(NodeId).zip(nodes).filter_map(|(id, node)| match &node.kind {
            NodeKind::Pu(pu) => Some((id, pu.os_index)),
            _ => None,
        })
    };
    let mut first: BTreeMap<NodeId, u32> = BTreeMap::new();
    for (id, cpu) in pus() {
        for container in above(id) {
            let first = first.entry(container).or_insert(cpu);
            *first = cpu.min(*first);
        }
    }
    let mut sockets: BTreeMap<u32, BTreeMap<Vec<u32>, CpuSet>> = BTreeMap::new();
    for (id, cpu) in pus() {
        let find = |kind: fn(&NodeKind) -> bool| above(id).find(|id| kind(&nodes[id.index()].kind));
        let core = find(|kind| matches!(kind, NodeKind::Core(_)))?;
        let package = find(|kind| matches!(kind, NodeKind::Package(_)))?;
        let mut place: Vec<u32> = above(core).filter_map(|id| first.get(&id).copied()).collect();
        place.reverse();
        let cores = sockets.entry(*first.get(&package)?).or_default();
        cores.entry(place).or_default().insert(cpu);
    }
    let sockets: Vec<Vec<CpuSet>> =
        sockets.into_values().map(|socket| socket.into_values().collect()).collect();
    (!sockets.is_empty()).then_some(sockets)
}

/// Turns numbers of cores into CPUs, once all sources are merged.
pub(super) fn resolve(fragment: &mut Fragment) {
    let facts = std::mem::take(&mut fragment.cores);
    if let Some(layout) = facts.layout.filter(|_| knows_no_cpu(fragment)) {
        assume(fragment, layout);
    }
    if let Some(memory) = facts.memory {
        place_memory(fragment, memory, facts.layout);
    }
    if facts.near.is_empty() {
        return;
    }
    let nodes: Vec<&Node> = fragment.nodes.iter().collect();
    let Some(sockets) = sockets(&nodes) else { return };
    let cores: Vec<CpuSet> = sockets.into_iter().flatten().collect();
    let (mut beyond, mut is_resolved) = (CpuSet::new(), false);
    for (id, numbers) in facts.near {
        let Some(NodeKind::Gpu(gpu)) = fragment.nodes.get_mut(id.index()).map(|node| &mut node.kind) else {
            continue;
        };
        let unknown = numbers.iter().filter(|number| *number as usize >= cores.len());
        let unknown: CpuSet = unknown.collect();
        if !unknown.is_empty() {
            beyond = beyond.union(&unknown);
        } else if matches!(gpu.cpus, Stated::Unreadable | Stated::Unstated) {
            let own = numbers.iter().filter_map(|number| cores.get(number as usize));
            gpu.cpus = Stated::Known(own.collect());
            is_resolved = true;
        }
    }
    if is_resolved {
        gaps::close(fragment);
    }
    if !beyond.is_empty() {
        let text = format!(
            "cores {beyond} are said to be near GPUs, and the machine has {} by the other texts: the CPUs near these GPUs \
             are unknown",
            cores.len()
        );
        fragment.notes.push(Note::new(NoteCode::SourcesDisagree, text));
    }
}

/// Gives a NUMA node that has all CPUs the memory of the machine. Where the memory of nodes stays unknown, a note tells the sum.
fn place_memory(fragment: &mut Fragment, memory: u64, layout: Option<Layout>) {
    let pus = fragment.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Pu(pu) => Some(pu.os_index),
        _ => None,
    });
    let pus: CpuSet = pus.collect();
    let count = layout.map(|layout| (layout.sockets * layout.cores * layout.threads) as usize);
    // A source may know only the NUMA nodes that have GPUs.
    let has_all = |node: &NumaNode| {
        (!pus.is_empty() && pus.is_subset(&node.cpus)) || count.is_some_and(|count| count == node.cpus.len())
    };
    let nodes = fragment.nodes.iter_mut().filter_map(|node| match &mut node.kind {
        NodeKind::NumaNode(node) => Some(node),
        _ => None,
    });
    let mut nodes: Vec<&mut NumaNode> = nodes.collect();
    if let [node] = &mut nodes[..]
        && has_all(node)
    {
        node.memory.get_or_insert(memory);
    } else if nodes.is_empty() || nodes.iter().any(|node| node.memory.is_none()) {
        let text = format!(
            "the memory is known of the whole machine only, {} MiB, and not by NUMA nodes; numactl --hardware tells it",
            memory >> 20
        );
        fragment.notes.push(Note::new(NoteCode::Unknown, text));
    }
}

/// Returns true where no source lists any CPU, so that nothing can contradict an assumption.
fn knows_no_cpu(fragment: &Fragment) -> bool {
    fragment.nodes.iter().all(|node| match &node.kind {
        NodeKind::Pu(_) | NodeKind::Core(_) | NodeKind::Package(_) => false,
        NodeKind::NumaNode(node) => node.cpus.is_empty(),
        kind => kind.near().is_none_or(|(cpus, _)| cpus.known().is_none()),
    })
}

/// Adds sockets and cores with the numbers of CPUs that Linux gives on most servers: the first threads of all cores, socket
/// by socket, then the second threads.
fn assume(fragment: &mut Fragment, layout: Layout) {
    let Layout { sockets, cores, threads } = layout;
    for socket in 0..sockets {
        let package = fragment.add_inferred(NodeId::MACHINE, Package::new(socket));
        for number in 0..cores {
            let core = fragment.add_inferred(package, Core::new(number));
            for thread in 0..threads {
                let cpu = thread * sockets * cores + socket * cores + number;
                fragment.add_inferred(core, Pu::new(cpu));
            }
        }
    }
    // Each CPU of the only thread of a core of the only socket can have one number only.
    if sockets * threads > 1 {
        let text = "the numbers of CPUs were taken to be those of most servers, the first thread of each core socket by \
                    socket and then the second, as Slurm tells their count only; lscpu -e tells them";
        fragment.notes.push(Note::new(NoteCode::Inferred, text));
    }
}
