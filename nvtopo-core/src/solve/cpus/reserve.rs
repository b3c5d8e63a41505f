//! CPUs that are kept for the interrupts of NICs.

use super::cores::cores;
use super::limits::{CpuLimits, Smt};
use super::pool::CpuPool;
use crate::cpuset::CpuSet;
use crate::model::{NodeKind, Topology};

/// Returns whole cores near each NIC, the last ones, for its interrupts: a set to reserve. NICs of one place take
/// different cores; where too few are left, none is reserved for the others. The ports of one adapter are one NIC, and
/// a NIC of unknown place gets none.
///
/// ```
/// use nvtopo::{CpuLimits, Topology, nic_interrupt_cpus, share_cpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let reserved = nic_interrupt_cpus(&dgx, 1);
/// let limits = CpuLimits { reserved: reserved.clone(), ..CpuLimits::default() };
/// assert!(share_cpus(&dgx, &(&limits).into()).gpus.iter().all(|share| share.cpus.is_disjoint(&reserved)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn nic_interrupt_cpus(topology: &Topology, cores_each: usize) -> CpuSet {
    let usable = CpuPool::of(topology, &CpuLimits::default(), Smt::default(), &[], &mut Vec::new()).usable;
    let cores = cores(topology, &usable, &mut Vec::new());
    let mut reserved = CpuSet::new();
    let mut adapters = Vec::new();
    for device in &topology.devices()[topology.gpus().len()..] {
        let NodeKind::Nic(nic) = &topology.node(*device).kind else { continue };
        let adapter = nic.address.map(|address| (address.domain, address.bus, address.device));
        let local = topology.local_cpus(*device);
        let Some(local) = local.known().filter(|_| adapter.is_none() || !adapters.contains(&adapter)) else {
            continue;
        };
        adapters.push(adapter);
        let free = cores.iter().rev().filter(|core| core.is_subset(local) && core.is_disjoint(&reserved));
        let taken: Vec<&CpuSet> = free.take(cores_each).collect();
        if taken.len() == cores_each {
            for core in taken {
                reserved |= core;
            }
        }
    }
    reserved
}
