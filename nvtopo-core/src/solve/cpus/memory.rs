//! The memory that goes with a share of CPUs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::Topology;

/// The nodes with memory beside these CPUs; the GPU's own nodes where the CPUs' are unknown.
pub(in super::super) fn memory_nodes(topology: &Topology, gpu: usize, cpus: &CpuSet) -> NodeSet {
    let allowed = topology.machine().allowed_nodes.as_ref();
    let may = |node: u32| allowed.is_none_or(|allowed| allowed.contains(node));
    let with_memory = topology.numa_nodes().filter(|numa| numa.memory != Some(0) && numa.gpu.is_none());
    let beside: NodeSet = with_memory
        .filter(|numa| !numa.cpus.is_disjoint(cpus) && may(numa.os_index))
        .map(|numa| numa.os_index)
        .collect();
    if !beside.is_empty() {
        return beside;
    }
    // A text names the nodes of GPU memory beside the CPU's. The kernel numbers these after all of the CPUs'.
    let first_of_gpus = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).min();
    let of_cpus = |node: u32| first_of_gpus.is_none_or(|first| node < first);
    let stated = topology.local_nodes(topology.devices()[gpu]);
    let nodes = stated.known().into_iter().flat_map(NodeSet::iter);
    nodes.filter(|node| may(*node) && of_cpus(*node)).collect()
}
