//! Which CPUs, NUMA nodes and packages a device is near to.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeId, NodeKind, Stated, Topology};

impl Topology {
    /// The NUMA node that contains a node.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    pub fn numa_ancestor(&self, id: NodeId) -> Option<NodeId> {
        self.ancestors(id).find(|id| self.node(*id).kind.as_numa_node().is_some())
    }

    /// The CPUs nearest to a device: those that a source names, else, where none does or what it says cannot be read, those
    /// of its NUMA node.
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

    /// The NUMA nodes nearest to a device: those that a source names, else the one that contains it.
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
