//! The local CPUs and NICs of each GPU of one machine, which its placements hand out.

use crate::cpuset::CpuSet;
use crate::model::Topology;
use crate::once::Once;
use crate::query::fair_nics;
use crate::solve::cpus::shares::Shares;
use crate::solve::cpus::{CpuRules, shares};
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

    /// Returns the shares as seen by a job on its `own` GPUs, one of several jobs on the `claimed` ones.
    ///
    /// A process that is bound to the share of its GPUs keeps it, instead of dividing it once more. GPUs whose near CPUs are all
    /// forbidden take from others only if they are claimed: a job elsewhere on the machine does not use them.
    pub(in crate::solve) fn shares(
        &self,
        topology: &Topology,
        rules: &CpuRules,
        own: &[usize],
        claimed: &[usize],
    ) -> Cow<'_, Shares> {
        let Some(allowed) = &rules.limits.allowed else {
            return self.unbound(topology, rules, claimed);
        };
        let mut unlimited = rules.clone();
        unlimited.limits.allowed = None;
        let whole = self.unbound(topology, &unlimited, claimed);
        let bound = own.iter().map(|gpu| &whole.gpus[*gpu].cpus).collect::<CpuSet>();
        if !own.is_empty() && bound == *allowed { whole } else { self.unbound(topology, rules, claimed) }
    }

    fn unbound(&self, topology: &Topology, rules: &CpuRules, claimed: &[usize]) -> Cow<'_, Shares> {
        let default = CpuRules { layout: rules.layout.clone(), ..CpuRules::default() };
        if *rules == default {
            let every_gpu: Vec<usize> = (0..topology.gpus().len()).collect();
            let all = self.shares.get_or_init(|| shares(topology, rules, &every_gpu));
            if all.strays.iter().all(|stray| claimed.contains(stray)) {
                return Cow::Borrowed(all);
            }
        }
        Cow::Owned(shares(topology, rules, claimed))
    }
}
