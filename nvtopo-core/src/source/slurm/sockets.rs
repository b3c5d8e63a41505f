//! Sockets and cores as Slurm numbers them.

use crate::cpuset::CpuSet;
use crate::model::{Node, Topology, cores};

/// The sockets of a machine in Slurm's order.
pub(super) struct Sockets {
    /// The CPUs of each core of each socket.
    pub(super) cores: Vec<Vec<CpuSet>>,
}

impl Sockets {
    /// Finds the sockets and cores. `None` where the cores or packages of some CPUs are unknown.
    ///
    /// Source: hwloc, whose order Slurm takes.
    pub(super) fn of(topology: &Topology) -> Option<Self> {
        let nodes: Vec<&Node> = topology.nodes().map(|(_, node)| node).collect();
        Some(Self { cores: cores::sockets(&nodes)? })
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
