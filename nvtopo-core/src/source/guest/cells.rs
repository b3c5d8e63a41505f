//! The NUMA nodes of a guest: a proposal of CPUs and memory from the host's nodes with passed devices.

use super::layout::{Layout, Model};
use crate::cpuset::CpuSet;
use crate::model::{NodeKind, NumaNode, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// The CPUs of a cell where those of the host's node are unknown, and of a guest without cells.
pub(super) const ASSUMED_CPUS: u32 = 8;

/// The memory of a cell, or of a guest without cells, where the host's is unknown, in GiB.
pub(super) const ASSUMED_GIB: u64 = 16;

/// A NUMA node of the guest.
pub(super) struct Cell {
    /// The number of the host's node.
    pub(super) node: u32,
    /// The first of its CPUs in the guest.
    pub(super) first: u32,
    /// The CPUs of the host for each of its cores in the guest's order; empty where they are unknown.
    pub(super) cores: Vec<Vec<u32>>,
    /// The number of its CPUs in the guest.
    pub(super) count: u32,
    /// The threads of each core, where they are known and alike.
    pub(super) threads: Option<u32>,
    /// The proposed memory in bytes: whole GiB of seven eighths of the node, so that the host keeps the rest.
    pub(super) memory: Option<u64>,
}

impl Cell {
    /// Returns its CPUs in the guest.
    pub(super) fn cpus(&self) -> CpuSet {
        (self.first..self.first + self.count).collect()
    }
}

/// Returns the cells: one for each of the host's NUMA nodes with a passed device.
pub(super) fn propose(host: &Topology, layout: &Layout) -> Vec<Cell> {
    let of = |model| if let Model::Expander(node) = model { node } else { None };
    let nodes: BTreeSet<u32> =
        layout.controllers.iter().filter_map(|controller| of(controller.model)).collect();
    let cores = cores(host);
    let mut first = 0;
    let mut cells = Vec::new();
    for node in nodes {
        let numa = host.numa_nodes().find(|numa| numa.os_index == node);
        let known = numa.map(|numa| &numa.cpus).filter(|cpus| !cpus.is_empty());
        let (own, threads) = known.map_or_else(Default::default, |cpus| by_core(&cores, cpus));
        let count = own.iter().map(Vec::len).sum::<usize>() as u32;
        let count = if count == 0 { ASSUMED_CPUS } else { count };
        let memory = numa.and_then(memory);
        cells.push(Cell { node, first, cores: own, count, threads, memory });
        first += count;
    }
    cells
}

/// Returns the CPUs of each core of the host.
fn cores(host: &Topology) -> Vec<Vec<u32>> {
    let mut cores: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (_, node) in host.nodes() {
        let core = node.parent.filter(|parent| matches!(host.node(*parent).kind, NodeKind::Core(_)));
        if let (NodeKind::Pu(pu), Some(core)) = (&node.kind, core) {
            cores.entry(core).or_default().push(pu.os_index);
        }
    }
    cores.into_values().collect()
}

/// Divides the CPUs of a node by cores, and returns the number of threads of each core if it is known and the same for all.
fn by_core(cores: &[Vec<u32>], cpus: &CpuSet) -> (Vec<Vec<u32>>, Option<u32>) {
    let mut left = cpus.clone();
    let mut own = Vec::new();
    for core in cores {
        let inside: Vec<u32> = core.iter().copied().filter(|cpu| left.contains(*cpu)).collect();
        for cpu in &inside {
            left.remove(*cpu);
        }
        own.extend((!inside.is_empty()).then_some(inside));
    }
    let threads = own
        .first()
        .map(Vec::len)
        .filter(|threads| left.is_empty() && own.iter().all(|core| core.len() == *threads));
    own.extend(left.iter().map(|cpu| vec![cpu]));
    own.sort_by_key(|core| core[0]);
    (own, threads.map(|threads| threads as u32))
}

fn memory(numa: &NumaNode) -> Option<u64> {
    let gib = (numa.memory? / 8 * 7) >> 30;
    (gib > 0).then_some(gib << 30)
}
