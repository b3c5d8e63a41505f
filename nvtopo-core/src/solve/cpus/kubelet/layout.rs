//! A machine as the kubelet sees it: each CPU with its core, package, NUMA node and level 3 cache.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeKind, Topology};
use crate::solve::cpus::cores::{cores, places};
use std::collections::BTreeMap;

/// A level of the machine, whose members are numbered: cores and caches by their lowest CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Core,
    Socket,
    Numa,
    Uncore,
}

/// The CPUs of each core, package, node and cache.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) cpus: CpuSet,
    levels: [BTreeMap<u32, CpuSet>; 4],
}

impl Layout {
    pub(super) fn of(topology: &Topology) -> Self {
        let (cpus, places) = (topology.cpus(), places(topology));
        let package = |id| {
            topology.ancestors(id).find_map(|id| match &topology.node(id).kind {
                NodeKind::Package(package) => Some(package.os_index),
                _ => None,
            })
        };
        let packages: BTreeMap<u32, u32> = topology
            .nodes()
            .filter_map(|(id, node)| match &node.kind {
                NodeKind::Pu(pu) => Some((pu.os_index, package(id)?)),
                _ => None,
            })
            .collect();
        let mut levels = <[BTreeMap<u32, CpuSet>; 4]>::default();
        for core in cores(topology, &cpus, &mut Vec::new()) {
            for cpu in core.iter() {
                let (numa, cache) = places.get(cpu as usize).copied().unwrap_or_default();
                let ids = [core.first(), packages.get(&cpu).copied(), numa, cache];
                for (members, id) in levels.iter_mut().zip(ids) {
                    members.entry(id.unwrap_or_default()).or_default().insert(cpu);
                }
            }
        }
        Self { cpus, levels }
    }

    fn level(&self, level: Level) -> &BTreeMap<u32, CpuSet> {
        &self.levels[level as usize]
    }

    /// Returns the numbers of the members of a level that these CPUs are in.
    pub(super) fn ids(&self, level: Level, cpus: &CpuSet) -> Vec<u32> {
        let touched = self.level(level).iter().filter(|(_, own)| !own.is_disjoint(cpus));
        touched.map(|(id, _)| *id).collect()
    }

    /// Returns the CPUs among some that are in one member of a level.
    pub(super) fn inside(&self, level: Level, id: u32, cpus: &CpuSet) -> CpuSet {
        self.level(level).get(&id).map(|own| own.intersection(cpus)).unwrap_or_default()
    }

    /// Returns the number of members of a level.
    pub(super) fn count(&self, level: Level) -> usize {
        self.level(level).len()
    }

    pub(super) fn cpus_per_core(&self) -> usize {
        (self.cpus.len() / self.count(Level::Core).max(1)).max(1)
    }

    /// Returns the cores all of whose threads are available.
    pub(super) fn whole_cores(&self, available: &CpuSet) -> Vec<CpuSet> {
        let ids = self.ids(Level::Core, available).into_iter();
        let cores = ids.map(|core| self.inside(Level::Core, core, available));
        cores.filter(|core| core.len() == self.cpus_per_core()).collect()
    }

    /// Returns the CPUs of the nodes, or of the packages that they are on.
    pub(super) fn aligned(&self, nodes: &NodeSet, by_socket: bool) -> CpuSet {
        let all = &self.cpus;
        let node = |cpus: CpuSet, node| cpus.union(&self.inside(Level::Numa, node, all));
        let near = nodes.iter().fold(CpuSet::new(), node);
        if !by_socket {
            return near;
        }
        let sockets = self.ids(Level::Socket, &near);
        sockets.into_iter().fold(near, |cpus, socket| cpus.union(&self.inside(Level::Socket, socket, all)))
    }
}
