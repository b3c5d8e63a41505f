//! The memory that goes with a share of CPUs.

use super::pool::{distance, nodes_of};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NumaNode, Topology};

/// Returns the function of the nodes with memory beside the CPUs of a GPU: the GPU's own nodes where the CPUs' are unknown.
pub(in crate::solve) fn memory_nodes(topology: &Topology) -> impl Fn(usize, &CpuSet) -> NodeSet {
    let memory: Vec<&NumaNode> = memory(topology).collect();
    move |gpu, cpus| {
        let beside = beside(memory.iter().copied(), cpus);
        if beside.is_empty() { local_memory(topology, gpu).unwrap_or_default() } else { beside }
    }
}

/// Returns the NUMA nodes local to a GPU from which a job may take memory; `None` if unknown. The memory of GPUs is not available
/// to jobs.
pub(in crate::solve) fn local_memory(topology: &Topology, gpu: usize) -> Option<NodeSet> {
    let device = topology.devices()[gpu];
    let accelerators: NodeSet = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).collect();
    let of_cpus = |number: u32| match topology.numa_nodes().find(|numa| numa.os_index == number) {
        // An integrated GPU uses the memory of the node with the CPUs.
        Some(numa) => numa.gpu.is_none() && (!numa.cpus.is_empty() || !accelerators.contains(number)),
        // A text lists the nodes of GPU memory with the CPUs' nodes. The kernel numbers them after all of the CPUs'.
        None => accelerators.first().is_none_or(|first| number < first),
    };
    let stated = topology.local_nodes(device);
    let stated = stated.known().map(|nodes| nodes.iter().filter(|node| of_cpus(*node)).collect::<NodeSet>());
    let nodes = stated.filter(|nodes| !nodes.is_empty()).or_else(|| {
        let mut nodes = nodes_of(topology, topology.local_cpus(device).known()?);
        nodes = nodes.iter().filter(|node| of_cpus(*node)).collect();
        (!nodes.is_empty()).then_some(nodes)
    })?;
    Some(nodes.iter().filter(|node| may_use(topology, *node)).collect())
}

/// Returns the nodes to take memory from for several GPUs; none where those of one are unknown.
pub(in crate::solve) fn all_memory<'a>(nodes: impl Iterator<Item = &'a NodeSet> + Clone) -> NodeSet {
    let known = nodes.clone().all(|nodes| !nodes.is_empty());
    nodes.filter(|_| known).collect()
}

/// Returns the nodes with memory beside these CPUs; where there are none, those at the least distance from the CPUs'
/// nodes.
pub(in crate::solve) fn memory_beside(topology: &Topology, cpus: &CpuSet) -> NodeSet {
    let beside = beside(memory(topology), cpus);
    if !beside.is_empty() {
        return beside;
    }
    let own = nodes_of(topology, cpus);
    let distance = |node: &NumaNode| distance(topology, &own, node.os_index);
    let least = memory(topology).map(distance).min().filter(|least| *least < u32::MAX);
    memory(topology).filter(|node| Some(distance(node)) == least).map(|node| node.os_index).collect()
}

/// Returns the nodes beside these CPUs.
fn beside<'a>(nodes: impl Iterator<Item = &'a NumaNode>, cpus: &CpuSet) -> NodeSet {
    nodes.filter(|node| !node.cpus.is_disjoint(cpus)).map(|node| node.os_index).collect()
}

/// Returns the nodes whose memory a process may take.
fn memory(topology: &Topology) -> impl Iterator<Item = &NumaNode> {
    let memory = |numa: &&NumaNode| numa.memory != Some(0) && numa.gpu.is_none();
    topology.numa_nodes().filter(memory).filter(|node| may_use(topology, node.os_index))
}

fn may_use(topology: &Topology, node: u32) -> bool {
    topology.machine().allowed_nodes.as_ref().is_none_or(|allowed| allowed.contains(node))
}
