//! The memory that goes with a share of CPUs.

use super::pool::{distance, local_nodes};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NumaNode, Topology};

/// Returns the function of the nodes with memory beside the CPUs of a GPU: the GPU's own nodes where the CPUs' are unknown, the
/// nearest others where none of these is allowed.
pub(in crate::solve) fn memory_nodes(topology: &Topology) -> impl Fn(usize, &CpuSet) -> NodeSet {
    let memory: Vec<&NumaNode> = memory(topology).collect();
    move |gpu, cpus| {
        let beside = beside(memory.iter().copied(), cpus);
        if !beside.is_empty() {
            beside
        } else if topology.lacks_memory(gpu) {
            nearest(topology, &local_nodes(topology, gpu, cpus))
        } else {
            topology.local_memory(gpu).unwrap_or_default()
        }
    }
}

/// Returns the remark on those of some GPUs near which no memory is allowed.
pub(super) fn remark(topology: &Topology, gpus: &[usize]) -> Option<String> {
    let gpus: Vec<usize> = gpus.iter().copied().filter(|gpu| topology.lacks_memory(*gpu)).collect();
    (!gpus.is_empty()).then(|| {
        let near = topology.device_names(&gpus);
        let allowed = topology.machine().allowed_nodes.iter().flat_map(NodeSet::iter).collect::<NodeSet>();
        let nodes = if allowed.len() == 1 { "node" } else { "nodes" };
        format!("none of the memory near {near} may be used; the nearest that is allowed is taken, of NUMA {nodes} {allowed}")
    })
}

/// Returns the nodes to take memory from for several GPUs; none where those of one are unknown.
pub(in crate::solve) fn all_memory<'a>(nodes: impl Iterator<Item = &'a NodeSet> + Clone) -> NodeSet {
    let known = nodes.clone().all(|nodes| !nodes.is_empty());
    nodes.filter(|_| known).collect()
}

/// Returns the nodes with memory beside these CPUs; where there are none, the nearest to the CPUs' nodes.
pub(in crate::solve) fn memory_beside(topology: &Topology, cpus: &CpuSet) -> NodeSet {
    let beside = beside(memory(topology), cpus);
    if beside.is_empty() { nearest(topology, &topology.nodes_of_cpus(cpus)) } else { beside }
}

/// Returns the nodes with memory at the least distance from some nodes; all, where no distance is known.
fn nearest(topology: &Topology, from: &NodeSet) -> NodeSet {
    let distance = |node: &NumaNode| distance(topology, from, node.os_index);
    let least = memory(topology).map(distance).min().filter(|_| !from.is_empty());
    memory(topology).filter(|node| Some(distance(node)) == least).map(|node| node.os_index).collect()
}

/// Returns the nodes beside these CPUs.
fn beside<'a>(nodes: impl Iterator<Item = &'a NumaNode>, cpus: &CpuSet) -> NodeSet {
    nodes.filter(|node| !node.cpus.is_disjoint(cpus)).map(|node| node.os_index).collect()
}

/// Returns the nodes whose memory a process may take.
fn memory(topology: &Topology) -> impl Iterator<Item = &NumaNode> {
    let memory = |numa: &&NumaNode| numa.memory != Some(0) && numa.gpu.is_none();
    topology.numa_nodes().filter(memory).filter(|node| topology.allows_memory(node.os_index))
}
