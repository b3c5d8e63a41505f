//! Locality of devices: the CPUs and NUMA nodes nearest to each.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeId, NodeKind, Stated, Topology};

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
        let stated = match &self.node(id).kind {
            NodeKind::Gpu(gpu) => &gpu.cpus,
            NodeKind::Nic(nic) => &nic.cpus,
            _ => &Stated::Unstated,
        };
        match (stated, self.numa_ancestor(id)) {
            (Stated::Unstated | Stated::Unreadable, Some(numa)) => {
                match self.node(numa).kind.as_numa_node() {
                    Some(numa) if !numa.cpus.is_empty() => Stated::Known(numa.cpus.clone()),
                    _ => stated.clone(),
                }
            }
            _ => stated.clone(),
        }
    }

    /// Returns the NUMA nodes nearest to a device: those that a source states, else the one that contains it.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn local_nodes(&self, id: NodeId) -> Stated<NodeSet> {
        let stated = match &self.node(id).kind {
            NodeKind::Gpu(gpu) => &gpu.nodes,
            NodeKind::Nic(nic) => &nic.nodes,
            _ => &Stated::Unstated,
        };
        let numa = self.numa_ancestor(id).and_then(|id| self.node(id).kind.as_numa_node());
        match (stated, numa) {
            (Stated::Unstated, Some(numa)) => Stated::Known(std::iter::once(numa.os_index).collect()),
            _ => stated.clone(),
        }
    }
}
