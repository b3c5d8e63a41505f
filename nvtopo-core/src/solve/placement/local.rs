//! The local CPUs and NICs of each GPU of one machine, which its placements hand out.

use crate::cpuset::CpuSet;
use crate::model::Topology;
use crate::once::Once;
use crate::query::fair_nics;
use crate::solve::cpus::shares::Shares;
use crate::solve::cpus::{CpuLimits, CpuRules, shares};
use std::borrow::Cow;

/// The memo of the shares by the default rules, which most placements ask for, and of the NICs: computed once for each machine.
#[derive(Debug, Default)]
pub(in crate::solve) struct Local {
    shares: Once<Shares>,
    nics: Once<Vec<Option<usize>>>,
}

impl Local {
    /// Returns the NIC of each GPU.
    pub(in crate::solve) fn nics(&self, topology: &Topology) -> &[Option<usize>] {
        self.nics.get_or_init(|| fair_nics(topology))
    }

    /// Returns the shares as seen by a job on its chosen GPUs.
    ///
    /// A process that is bound to the share of its GPUs keeps it, instead of dividing it once more. GPUs whose near CPUs are all
    /// forbidden take from others only if they are chosen: a job elsewhere on the machine does not use them.
    pub(super) fn shares(
        &self,
        topology: &Topology,
        limits: &CpuLimits,
        chosen: &[usize],
    ) -> Cow<'_, Shares> {
        if let Some(allowed) = &limits.allowed {
            let whole = self.unbound(topology, &CpuLimits { allowed: None, ..limits.clone() }, chosen);
            let bound = chosen.iter().map(|gpu| &whole.gpus[*gpu].cpus).collect::<CpuSet>();
            if !chosen.is_empty() && bound == *allowed {
                return whole;
            }
        }
        self.unbound(topology, limits, chosen)
    }

    fn unbound(&self, topology: &Topology, limits: &CpuLimits, chosen: &[usize]) -> Cow<'_, Shares> {
        if *limits == CpuLimits::default() {
            let gpus = 0..topology.gpus().len();
            let every_gpu = || gpus.clone().collect::<Vec<_>>();
            let all = self.shares.get_or_init(|| shares(topology, &CpuRules::default(), &every_gpu()));
            let lacking = gpus.clone().filter(|gpu| topology.lacks_memory(*gpu));
            if all.strays.iter().copied().chain(lacking).all(|gpu| chosen.contains(&gpu)) {
                return Cow::Borrowed(all);
            }
        }
        Cow::Owned(shares(topology, &limits.into(), chosen))
    }
}
