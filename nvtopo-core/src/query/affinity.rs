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
    /// stated ones cannot be read.
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
}
