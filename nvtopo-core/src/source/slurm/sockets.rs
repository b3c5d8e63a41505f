//! Sockets and cores as Slurm numbers them.

use crate::cpuset::CpuSet;
use crate::model::{NodeId, NodeKind, Topology};
use std::collections::BTreeMap;

/// The sockets of a machine in Slurm's order.
pub(super) struct Sockets {
    /// The CPUs of each core of each socket.
    pub(super) cores: Vec<Vec<CpuSet>>,
}

impl Sockets {
    /// Finds the sockets and cores. `None` where the cores or packages of some CPUs are unknown.
    ///
    /// Source: hwloc, whose order Slurm takes: objects beside each other stand by their first CPUs.
    pub(super) fn of(topology: &Topology) -> Option<Self> {
        let pus = || {
            topology.nodes().filter_map(|(id, node)| match &node.kind {
                NodeKind::Pu(pu) => Some((id, pu.os_index)),
                _ => None,
            })
        };
        let mut first: BTreeMap<NodeId, u32> = BTreeMap::new();
        for (id, cpu) in pus() {
            for container in topology.ancestors(id) {
                let first = first.entry(container).or_insert(cpu);
                *first = cpu.min(*first);
            }
        }
        let mut sockets: BTreeMap<u32, BTreeMap<Vec<u32>, CpuSet>> = BTreeMap::new();
        for (id, cpu) in pus() {
            let find = |kind: fn(&NodeKind) -> bool| {
                topology.ancestors(id).find(|id| kind(&topology.node(*id).kind))
            };
            let core = find(|kind| matches!(kind, NodeKind::Core(_)))?;
            let package = find(|kind| matches!(kind, NodeKind::Package(_)))?;
            let mut place: Vec<u32> =
                topology.ancestors(core).filter_map(|id| first.get(&id).copied()).collect();
            place.reverse();
            let cores = sockets.entry(first[&package]).or_default();
            cores.entry(place).or_default().insert(cpu);
        }
        let cores: Vec<Vec<CpuSet>> =
            sockets.into_values().map(|socket| socket.into_values().collect()).collect();
        (!cores.is_empty()).then_some(Self { cores })
    }

    /// Returns the cores of all sockets that have one of these CPUs, and whether some of these cores have none of them.
    pub(super) fn near(&self, cpus: &CpuSet) -> (CpuSet, bool) {
        let (mut near, mut widened, mut first) = (CpuSet::new(), false, 0);
        for socket in &self.cores {
            let is_near = |core: &&CpuSet| core.iter().any(|cpu| cpus.contains(cpu));
            let count = socket.iter().filter(is_near).count();
            if count > 0 {
                widened |= count < socket.len();
                (first..first + socket.len() as u32).for_each(|core| _ = near.insert(core));
            }
            first += socket.len() as u32;
        }
        (near, widened)
    }

    /// Returns the number of cores of each socket and of threads of each core, where these are alike.
    pub(super) fn even(&self) -> Option<(usize, usize)> {
        let cores = self.cores.first()?.len();
        let threads = self.cores.first()?.first()?.len();
        let alike =
            |socket: &Vec<CpuSet>| socket.len() == cores && socket.iter().all(|core| core.len() == threads);
        self.cores.iter().all(alike).then_some((cores, threads))
    }
}
