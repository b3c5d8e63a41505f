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

    /// Returns whether no CPU is left beside a device whose NUMA node is known, though the machine has some: they are offline or
    /// gone.
    pub(crate) fn lacks_cpus(&self, id: NodeId) -> bool {
        let numa = || self.numa_ancestor(id).and_then(|id| self.node(id).kind.as_numa_node());
        let none_left = match self.local_cpus(id) {
            Stated::Known(cpus) => cpus.is_empty(),
            // Who lists the CPUs of the machine would list those of this node.
            _ => self.lists_all_cpus() && numa().is_some_and(|numa| numa.cpus.is_empty()),
        };
        none_left
            && self.local_nodes(id).known().is_some_and(|nodes| !nodes.is_empty())
            && !self.cpus().is_empty()
    }
}
