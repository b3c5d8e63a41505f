//! A machine as the kubelet sees it: each CPU with its core, package, NUMA node and level 3 cache.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeKind, Topology};
use crate::solve::cpus::cores::cores;
use std::collections::BTreeMap;

/// The place of one CPU. A core is identified by its lowest CPU, and so is a cache.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    core: u32,
    socket: u32,
    numa: u32,
    uncore: u32,
}

/// A level of a place.
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
    cpus: CpuSet,
    levels: [BTreeMap<u32, CpuSet>; 4],
}

impl Layout {
    pub(super) fn of(topology: &Topology) -> Self {
        let mut places: BTreeMap<u32, Place> =
            topology.cpus().iter().map(|cpu| (cpu, Place { core: cpu, ..Place::default() })).collect();
        let mut each = |cpus: &CpuSet, set: &dyn Fn(&mut Place)| {
            for cpu in cpus.iter() {
                if let Some(place) = places.get_mut(&cpu) {
                    set(place);
                }
            }
        };
        for core in cores(topology, &topology.cpus(), &mut Vec::new()) {
            let first = core.first().unwrap_or_default();
            each(&core, &|place| place.core = first);
        }
        for (id, node) in topology.nodes() {
            match &node.kind {
                NodeKind::NumaNode(numa) => each(&numa.cpus, &|place| place.numa = numa.os_index),
                NodeKind::Cache(cache) if cache.level == 3 => {
                    let first = cache.cpus.first().unwrap_or_default();
                    each(&cache.cpus, &|place| place.uncore = first);
                }
                NodeKind::Pu(pu) => {
                    let package = topology.ancestors(id).find_map(|id| match &topology.node(id).kind {
                        NodeKind::Package(package) => Some(package.os_index),
                        _ => None,
                    });
                    let own = CpuSet::from_iter([pu.os_index]);
                    each(&own, &|place| place.socket = package.unwrap_or_default());
                }
                _ => {}
            }
        }
        let mut levels = <[BTreeMap<u32, CpuSet>; 4]>::default();
        for (cpu, place) in &places {
            for (ids, id) in levels.iter_mut().zip([place.core, place.socket, place.numa, place.uncore]) {
                ids.entry(id).or_default().insert(*cpu);
            }
        }
        Self { cpus: places.keys().copied().collect(), levels }
    }

    pub(super) fn cpus(&self) -> &CpuSet {
        &self.cpus
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
        let all = self.cpus();
        let node = |cpus: CpuSet, node| cpus.union(&self.inside(Level::Numa, node, all));
        let near = nodes.iter().fold(CpuSet::new(), node);
        if !by_socket {
            return near;
        }
        let sockets = self.ids(Level::Socket, &near);
        sockets.into_iter().fold(near, |cpus, socket| cpus.union(&self.inside(Level::Socket, socket, all)))
    }
}
