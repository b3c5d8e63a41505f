//! The memory that goes with a share of CPUs.

use super::pool::{distance, nodes_of};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NumaNode, Topology};

/// Returns the nodes with memory beside these CPUs; the GPU's own nodes where the CPUs' are unknown.
pub(in crate::solve) fn memory_nodes(topology: &Topology, gpu: usize, cpus: &CpuSet) -> NodeSet {
    let may = |node: u32| may_use(topology, node);
    let own = nodes_of(topology, cpus);
    let beside: NodeSet = memory(topology).filter(|node| own.contains(*node)).collect();
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

/// Returns the nodes to take memory from for several GPUs; none where those of one are unknown.
pub(in crate::solve) fn all_memory<'a>(nodes: impl Iterator<Item = &'a NodeSet> + Clone) -> NodeSet {
    let known = nodes.clone().all(|nodes| !nodes.is_empty());
    nodes.filter(|_| known).collect()
}

/// Returns the nodes with memory beside these CPUs; where there are none, those at the least distance from the CPUs'
/// nodes.
pub(in crate::solve) fn memory_beside(topology: &Topology, cpus: &CpuSet) -> NodeSet {
    let own = nodes_of(topology, cpus);
    let beside: NodeSet = memory(topology).filter(|node| own.contains(*node)).collect();
    if !beside.is_empty() {
        return beside;
    }
    let distance = |node: &u32| distance(topology, &own, *node);
    let least = memory(topology).map(|node| distance(&node)).min().filter(|least| *least < u32::MAX);
    memory(topology).filter(|node| Some(distance(node)) == least).collect()
}

/// Returns the nodes whose memory a process may take.
fn memory(topology: &Topology) -> impl Iterator<Item = u32> {
    let memory = |numa: &&NumaNode| numa.memory != Some(0) && numa.gpu.is_none();
    let nodes = topology.numa_nodes().filter(memory).map(|numa| numa.os_index);
    nodes.filter(|node| may_use(topology, *node))
}

fn may_use(topology: &Topology, node: u32) -> bool {
    topology.machine().allowed_nodes.as_ref().is_none_or(|allowed| allowed.contains(node))
}
