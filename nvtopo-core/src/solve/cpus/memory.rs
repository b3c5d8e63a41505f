//! The memory that goes with a share of CPUs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NumaNode, Topology};

/// Returns the nodes with memory beside these CPUs; the GPU's own nodes where the CPUs' are unknown.
pub(in crate::solve) fn memory_nodes(topology: &Topology, gpu: usize, cpus: &CpuSet) -> NodeSet {
    let may = |node: u32| may_use(topology, node);
    let beside: NodeSet =
        with_memory(topology).filter(|numa| !numa.cpus.is_disjoint(cpus)).map(|numa| numa.os_index).collect();
    if !beside.is_empty() {
        return beside;
    }
    // A text lists the nodes of GPU memory with the CPUs' nodes. The kernel numbers them after all of the CPUs'.
    let first_of_gpus = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).min();
    let of_cpus = |node: u32| first_of_gpus.is_none_or(|first| node < first);
    let stated = topology.local_nodes(topology.devices()[gpu]);
    let nodes = stated.known().into_iter().flat_map(NodeSet::iter);
    nodes.filter(|node| may(*node) && of_cpus(*node)).collect()
}

/// Returns the nodes with memory beside these CPUs; where there are none, those at the least distance from the CPUs'
/// nodes.
pub(in crate::solve) fn memory_beside(topology: &Topology, cpus: &CpuSet) -> NodeSet {
    let own = |numa: &&NumaNode| !numa.cpus.is_disjoint(cpus);
    let beside: NodeSet = with_memory(topology).filter(own).map(|numa| numa.os_index).collect();
    if !beside.is_empty() {
        return beside;
    }
    let distance = |to: u32| {
        let from = topology.numa_nodes().filter(own).flat_map(|numa| &numa.distances);
        from.filter(|(node, _)| *node == to).map(|(_, distance)| *distance).min()
    };
    let least = with_memory(topology).filter_map(|numa| distance(numa.os_index)).min();
    let nearest = with_memory(topology).filter(|numa| least.is_some() && distance(numa.os_index) == least);
    nearest.map(|numa| numa.os_index).collect()
}

/// Returns the nodes whose memory a process may take.
fn with_memory(topology: &Topology) -> impl Iterator<Item = &NumaNode> {
    let memory = |numa: &&NumaNode| numa.memory != Some(0) && numa.gpu.is_none();
    topology.numa_nodes().filter(memory).filter(|numa| may_use(topology, numa.os_index))
}

fn may_use(topology: &Topology, node: u32) -> bool {
    topology.machine().allowed_nodes.as_ref().is_none_or(|allowed| allowed.contains(node))
}
