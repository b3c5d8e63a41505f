//! The service of a placement: gives its GPUs what their job needs.

use super::allot::take;
use super::{Allotment, Asker, Supply, Taken, allot};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::query::assign_within;
use crate::solve::cpus::shares::Shares;
use crate::solve::cpus::{CpuLimits, NearCpus, memory_nodes, near_cpus};
use crate::solve::placement::Placement;
use crate::solve::placement::local::Local;

/// The facts besides the machine that serving a job takes into account.
#[derive(Clone, Copy)]
pub(in crate::solve) struct Service<'a> {
    /// The supply for the job; `None` if it needs nothing.
    pub(in crate::solve) supply: Option<&'a Supply>,
    /// The resources of other jobs; `None` if there is no record of them.
    pub(in crate::solve) taken: Option<&'a Taken>,
    /// The allotments that were decided already, in the order of the GPUs.
    pub(in crate::solve) given: Option<&'a [Allotment]>,
    pub(in crate::solve) limits: &'a CpuLimits,
}

impl Service<'_> {
    /// Applies the allotments to a placement among some free GPUs.
    pub(in crate::solve) fn serve(
        &self,
        topology: &Topology,
        local: &Local,
        placement: &mut Placement,
        free: &[usize],
    ) -> Result<()> {
        let chosen: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
        let asks_for_cpus = self.supply.is_some_and(|supply| supply.needs.cpus > 0);
        if let (Some(taken), false) = (self.taken, asks_for_cpus) {
            leave_to_others(topology, placement, &taken.cpus, self.limits);
        }
        let Some(supply) = self.supply else { return Ok(()) };
        let allotted = match self.given {
            Some(given) => given.to_vec(),
            // The search has kept to the quotas.
            None => allot(topology, &askers(topology, local, supply, self.limits, &chosen, free))
                .ok_or_else(not_enough)?,
        };
        let nodes = memory_nodes(topology);
        for (gpu, given) in placement.gpus_mut().iter_mut().zip(allotted) {
            if let Some(cpus) = given.cpus {
                gpu.mems = nodes(gpu.position, &cpus);
                gpu.cpus = cpus;
            }
            if let Some(memory) = &given.memory {
                gpu.mems = memory.iter().map(|given| given.node).collect();
            }
            let of_pages: NodeSet = given.pages.iter().flatten().map(|given| given.node).collect();
            gpu.mems = gpu.mems.union(&of_pages);
            (gpu.memory, gpu.huge_pages) = (given.memory, given.pages);
        }
        if let Some(own) = supply.nics().and_then(|left| assign_within(topology, &chosen, left)) {
            for (gpu, nic) in placement.gpus_mut().iter_mut().zip(own) {
                let known = topology.pairs().pair(gpu.position, nic).path.is_some();
                gpu.nic = known.then(|| topology.device_name(nic));
            }
            let own: Vec<_> = placement.gpus().iter().map(|gpu| (gpu.index, gpu.nic.clone())).collect();
            for gpu in placement.gpus_mut() {
                let shares = |(index, nic): &&(u32, Option<String>)| {
                    *index != gpu.index && nic.is_some() && *nic == gpu.nic
                };
                gpu.nic_shared_with = own.iter().filter(shares).map(|(index, _)| *index).collect();
            }
        }
        placement.remark(supply.unchecked(topology, &chosen));
        if asks_for_cpus && self.taken.is_none() {
            let all = local.shares(topology, self.limits, &chosen);
            placement.remark(borrowed(topology, &all, &placement.cpus(), &chosen));
        }
        Ok(())
    }
}

/// Returns the chosen GPUs with the supply for their job. The CPUs of GPUs that are not free may be those of other jobs.
pub(in crate::solve) fn askers<'a>(
    topology: &Topology,
    local: &Local,
    supply: &'a Supply,
    limits: &CpuLimits,
    chosen: &[usize],
    free: &[usize],
) -> Vec<Asker<'a>> {
    // The shares that the GPUs would have if their job asked for none.
    let shares = local.shares(topology, limits, chosen);
    let others = shares.gpus.iter().enumerate().filter(|(gpu, _)| !free.contains(gpu));
    let avoid = others.fold(CpuSet::new(), |all, (_, share)| all.union(&share.cpus));
    let asker = |gpu: &usize| Asker {
        gpu: *gpu,
        supply,
        share: shares.gpus[*gpu].cpus.clone(),
        avoid: avoid.clone(),
    };
    chosen.iter().map(asker).collect()
}

/// Returns the error that the supplies are not enough after all.
pub(in crate::solve) fn not_enough() -> Error {
    Error::unsatisfiable("what is beside the chosen GPUs is not enough for them")
}

/// Removes the CPUs of other jobs from the shares. A GPU that loses its whole share gets the same number of others near it, as
/// far as there are any.
fn leave_to_others(topology: &Topology, placement: &mut Placement, taken: &CpuSet, limits: &CpuLimits) {
    let mut crowded = Vec::new();
    let mut used = taken.union(&placement.cpus());
    let nodes = memory_nodes(topology);
    for gpu in placement.gpus_mut().iter_mut().filter(|gpu| !gpu.cpus.is_disjoint(taken)) {
        let mut own = gpu.cpus.difference(taken);
        if own.is_empty() {
            let NearCpus { near, cores, caches } = near_cpus(topology, limits);
            own =
                take(&near[gpu.position].difference(&used), &cores, &caches, gpu.cpus.len(), &CpuSet::new());
        }
        if own.is_empty() {
            crowded.push(format!("the CPUs of GPU{} are those of other jobs too", gpu.index));
            continue;
        }
        used = used.union(&own);
        gpu.mems = nodes(gpu.position, &own);
        gpu.cpus = own;
    }
    placement.remark(crowded);
}

/// Returns the remark on the CPUs that belong to the shares of GPUs that were not chosen.
fn borrowed(topology: &Topology, shares: &Shares, cpus: &CpuSet, chosen: &[usize]) -> Option<String> {
    let others = (0..shares.gpus.len()).filter(|gpu| !chosen.contains(gpu));
    let own = chosen.iter().map(|gpu| &shares.gpus[*gpu].cpus).collect::<CpuSet>();
    let lent = |gpu: &usize| shares.gpus[*gpu].cpus.intersection(cpus).difference(&own);
    let lenders: Vec<usize> = others.filter(|gpu| !lent(gpu).is_empty()).collect();
    let cpus = lenders.iter().fold(CpuSet::new(), |all, gpu| all.union(&lent(gpu)));
    (!lenders.is_empty()).then(|| {
        let names = topology.device_names(&lenders);
        format!("CPUs {cpus} are of the shares of {names}, whose jobs may use them too")
    })
}
