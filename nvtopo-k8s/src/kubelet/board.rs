//! A machine as the kubelet's managers see it, with what is unknown of it.

use nvtopo::model::{NodeId, NodeKind, NumaNode, Stated};
use nvtopo::{CpuSet, Topology};
use std::collections::BTreeMap;

/// The NUMA nodes that a GPU of one of NVIDIA's coherent machines (GH200, GB200) has: one for each part that MIG can make of it,
/// and one for the whole. A driver that manages the memory itself has none.
const NODES_OF_A_GPU: usize = 8;

/// The kind of a machine's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processor {
    X86,
    Arm,
}

/// A machine.
pub(super) struct Board<'a> {
    pub(super) topology: &'a Topology,
    /// All CPUs that are known.
    pub(super) cpus: CpuSet,
    /// The CPUs of each core; `None` where the core of some CPU is unknown.
    pub(super) cores: Option<Vec<CpuSet>>,
    /// The CPUs of each socket; empty where the socket of some CPU is unknown.
    pub(super) sockets: Vec<CpuSet>,
    /// The NUMA nodes by number.
    pub(super) nodes: Vec<&'a NumaNode>,
    /// The level 3 caches.
    caches: Vec<&'a CpuSet>,
}

impl<'a> Board<'a> {
    pub(super) fn of(topology: &'a Topology) -> Self {
        let cpus = topology.cpus();
        let mut cores: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
        let mut sockets: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
        let mut caches = Vec::new();
        for (id, node) in topology.nodes() {
            match &node.kind {
                NodeKind::Pu(pu) => {
                    for above in topology.ancestors(id) {
                        let groups = match topology.node(above).kind {
                            NodeKind::Core(_) => &mut cores,
                            NodeKind::Package(_) => &mut sockets,
                            _ => continue,
                        };
                        groups.entry(above).or_default().insert(pu.os_index);
                    }
                }
                NodeKind::Cache(cache) if cache.level == 3 => caches.push(&cache.cpus),
                _ => {}
            }
        }
        let all = |groups: &BTreeMap<NodeId, CpuSet>| {
            !cpus.is_empty() && groups.values().collect::<CpuSet>() == cpus
        };
        let mut known = all(&cores).then(|| cores.into_values().collect::<Vec<_>>());
        if let Some(cores) = &mut known {
            cores.sort_by_key(CpuSet::first);
        }
        let sockets = if all(&sockets) { sockets.into_values().collect() } else { Vec::new() };
        let mut nodes: Vec<&NumaNode> = topology.numa_nodes().collect();
        nodes.sort_by_key(|node| node.os_index);
        Self { topology, cpus, cores: known, sockets, nodes, caches }
    }

    /// The NUMA nodes that have CPUs.
    pub(super) fn cpu_nodes(&self) -> impl Iterator<Item = &'a NumaNode> + '_ {
        self.nodes.iter().copied().filter(|node| !node.cpus.is_empty())
    }

    /// The NUMA nodes that are a GPU's memory.
    pub(super) fn gpu_nodes(&self) -> impl Iterator<Item = &'a NumaNode> + '_ {
        self.nodes.iter().copied().filter(|node| node.gpu.is_some())
    }

    /// Returns true where all CPUs are known, with the NUMA node, core and socket of each. A text of `topo -m` names those near
    /// GPUs only.
    pub(super) fn is_complete(&self) -> bool {
        let of_nodes: CpuSet = self.cpu_nodes().map(|node| &node.cpus).collect();
        self.cores.is_some() && !self.sockets.is_empty() && of_nodes == self.cpus
    }

    /// The CPUs of each core, where all cores have as many.
    pub(super) fn threads(&self) -> Option<usize> {
        let cores = self.cores.as_ref()?;
        let first = cores.first()?.len();
        cores.iter().all(|core| core.len() == first).then_some(first)
    }

    /// The number of NUMA nodes that the kubelet counts, at least. It counts those without CPUs or memory too, and of the nodes
    /// of a GPU's memory only those that hold some are known.
    pub(super) fn counted_nodes(&self) -> usize {
        let of_gpus = self.gpu_nodes().map(|node| node.os_index as usize + NODES_OF_A_GPU).max();
        self.nodes.len().max(of_gpus.unwrap_or(0))
    }

    /// The level 3 caches of the NUMA node that has the most; `None` where the cache of some CPU is unknown.
    pub(super) fn caches_per_node(&self) -> Option<usize> {
        if self.caches.iter().copied().collect::<CpuSet>() != self.cpus || self.cpus.is_empty() {
            return None;
        }
        let within =
            |node: &NumaNode| self.caches.iter().filter(|cache| !cache.is_disjoint(&node.cpus)).count();
        self.cpu_nodes().map(within).max()
    }

    /// GPUs that jobs can use.
    pub(super) fn gpus(&self) -> usize {
        self.topology.gpus().filter(|gpu| gpu.unusable.is_none()).count()
    }

    /// The usable GPUs of each NUMA node; `None` where the node of some GPU is unknown, or not one.
    pub(super) fn gpus_by_node(&self) -> Option<BTreeMap<u32, usize>> {
        let mut counts = BTreeMap::new();
        for (gpu, device) in self.topology.gpus().zip(self.topology.devices()) {
            if gpu.unusable.is_some() {
                continue;
            }
            let Stated::Known(nodes) = self.topology.local_nodes(*device) else { return None };
            let node = nodes.first().filter(|_| nodes.len() == 1)?;
            *counts.entry(node).or_default() += 1;
        }
        Some(counts)
    }

    /// The number of GPUs and NICs that have these CPUs among their nearest ones.
    pub(super) fn devices_near(&self, cpus: &CpuSet) -> usize {
        let near = |device: &&NodeId| {
            self.topology.local_cpus(**device).known().is_some_and(|local| !local.is_disjoint(cpus))
        };
        self.topology.devices().iter().filter(near).count()
    }

    /// The number of the NUMA node that a CPU is on.
    pub(super) fn node_of(&self, cpu: u32) -> Option<u32> {
        self.cpu_nodes().find(|node| node.cpus.contains(cpu)).map(|node| node.os_index)
    }

    pub(super) fn isolated(&self) -> &'a CpuSet {
        &self.topology.machine().isolated_cpus
    }

    /// The kind of the processors, by their models; `None` where no model tells.
    pub(super) fn processor(&self) -> Option<Processor> {
        let models = self.topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => package.model.as_deref(),
            _ => None,
        });
        let kind = |model: &str| {
            let model = model.to_ascii_lowercase();
            let has = |words: &[&str]| words.iter().any(|word| model.contains(word));
            match () {
                () if has(&["intel", "amd", "xeon", "epyc"]) => Some(Processor::X86),
                () if has(&["grace", "arm", "neoverse", "cortex", "ampere"]) => Some(Processor::Arm),
                () => None,
            }
        };
        let kinds: Option<Vec<Processor>> = models.map(kind).collect();
        let kinds = kinds?;
        kinds.first().copied().filter(|first| kinds.iter().all(|kind| kind == first))
    }
}

/// Numbers for people: `0`, `0 and 1`, `0, 2 and 4`.
pub(super) fn joined(numbers: &[impl ToString]) -> String {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// `NUMA node 1 is`, or `NUMA nodes 1 and 2 are`.
pub(super) fn nodes_are(numbers: &[u32]) -> String {
    match numbers {
        [one] => format!("NUMA node {one} is"),
        _ => format!("NUMA nodes {} are", joined(numbers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str) -> (Option<usize>, usize, usize, bool, Option<Processor>) {
        let topology = Topology::preset(name).unwrap();
        let board = Board::of(&topology);
        (board.threads(), board.sockets.len(), board.counted_nodes(), board.is_complete(), board.processor())
    }

    #[test]
    fn boards_are_seen_as_the_kubelet_sees_them() {
        assert_eq!(facts("dgx-h100"), (Some(2), 2, 2, true, Some(Processor::X86)));
        assert_eq!(facts("dgx-a100"), (Some(2), 2, 8, true, Some(Processor::X86)));
        // As real trays are seen: 2 nodes of the CPUs, and 8 for each GPU.
        assert_eq!(facts("gb200-nvl72-tray"), (Some(1), 2, 34, true, Some(Processor::Arm)));
        assert_eq!(facts("gh200"), (Some(1), 1, 9, true, Some(Processor::Arm)));
    }

    #[test]
    fn gpus_are_counted_by_node() {
        let topology = Topology::preset("dgx-a100").unwrap();
        let counts = Board::of(&topology).gpus_by_node().unwrap();
        assert_eq!(counts, BTreeMap::from([(1, 2), (3, 2), (5, 2), (7, 2)]));
        assert_eq!(joined(&[1, 3, 5]), "1, 3 and 5");
    }
}
