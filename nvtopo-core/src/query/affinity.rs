//! Locality of devices: the CPUs and NUMA nodes nearest to each.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeId, Stated, Topology, tree};

impl Topology {
    /// Returns the NUMA node that contains a node.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn numa_ancestor(&self, id: NodeId) -> Option<NodeId> {
        self.ancestors(id).find(|id| self.node(*id).kind.as_numa_node().is_some())
    }

    /// Returns the CPUs nearest to a device: those that a source states, else those of its NUMA node, also where the
    /// stated ones cannot be read or the driver knows none (`N/A`).
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn local_cpus(&self, id: NodeId) -> Stated<CpuSet> {
        tree::cpus_near(|id| self.node(id), id)
    }

    /// Returns the NUMA nodes nearest to a device: those that a source states, else the one that contains it.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn local_nodes(&self, id: NodeId) -> Stated<NodeSet> {
        tree::nodes_near(|id| self.node(id), id)
    }

    /// Returns the NUMA nodes nearest to the GPU at a position, if any is known.
    pub(crate) fn known_nodes(&self, gpu: usize) -> Option<NodeSet> {
        self.local_nodes(self.devices()[gpu]).known().filter(|nodes| !nodes.is_empty()).cloned()
    }

    /// Returns the CPUs that are online and that the machine's limits allow.
    pub(crate) fn usable_cpus(&self) -> CpuSet {
        let machine = self.machine();
        let mut cpus = self.cpus().difference(&machine.offline_cpus);
        machine.allowed_cpus.iter().for_each(|allowed| cpus &= allowed);
        cpus
    }

    /// Returns whether the machine has usable CPUs, but none of them is local to a device: they are offline, gone, or kept for
    /// others. False where the device's CPUs are unknown.
    pub(crate) fn lacks_cpus(&self, id: NodeId, usable: &CpuSet) -> bool {
        let numa = || self.numa_ancestor(id).and_then(|id| self.node(id).kind.as_numa_node());
        let none_left = match self.local_cpus(id) {
            Stated::Known(cpus) => cpus.is_disjoint(usable),
            // Who lists the CPUs of the machine would list those of this node.
            _ => self.lists_all_cpus() && numa().is_some_and(|numa| numa.cpus.is_empty()),
        };
        none_left && !usable.is_empty()
    }

    /// Returns the NUMA nodes local to a GPU from which a job may take memory; `None` if unknown. The memory of GPUs is not
    /// available to jobs.
    pub(crate) fn local_memory(&self, gpu: usize) -> Option<NodeSet> {
        let accelerators: NodeSet = self.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).collect();
        let of_cpus = |number: &u32| match self.numa_nodes().find(|numa| numa.os_index == *number) {
            // An integrated GPU uses the memory of the node with the CPUs.
            Some(numa) => numa.gpu.is_none() && (!numa.cpus.is_empty() || !accelerators.contains(*number)),
            // A text lists the nodes of GPU memory with the CPUs' nodes. The kernel numbers them after all of the CPUs'.
            None => accelerators.first().is_none_or(|first| *number < first),
        };
        let stated = self.known_nodes(gpu).map(|nodes| nodes.iter().filter(of_cpus).collect::<NodeSet>());
        let of_their_cpus = || {
            let nodes = self.nodes_of_cpus(self.local_cpus(self.devices()[gpu]).known()?);
            Some(nodes.iter().filter(of_cpus).collect::<NodeSet>())
        };
        let nodes = stated.filter(|nodes| !nodes.is_empty()).or_else(of_their_cpus)?;
        let allowed = |node: &u32| self.allows_memory(*node);
        (!nodes.is_empty()).then(|| nodes.iter().filter(allowed).collect())
    }

    /// Returns whether the memory local to a GPU is known, and none of it is allowed to this process.
    pub(crate) fn lacks_memory(&self, gpu: usize) -> bool {
        self.machine().allowed_nodes.is_some() && self.local_memory(gpu).is_some_and(|nodes| nodes.is_empty())
    }

    /// Returns whether this process may use the memory of a NUMA node.
    pub(crate) fn allows_memory(&self, node: u32) -> bool {
        self.machine().allowed_nodes.as_ref().is_none_or(|allowed| allowed.contains(node))
    }

    /// Returns the NUMA nodes that have some of these CPUs.
    pub(crate) fn nodes_of_cpus(&self, cpus: &CpuSet) -> NodeSet {
        let nodes = self.numa_nodes().filter(|numa| !numa.cpus.is_disjoint(cpus));
        nodes.map(|numa| numa.os_index).collect()
    }
}
