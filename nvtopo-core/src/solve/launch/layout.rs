//! The application of a layout: the number of ranks, and the cores that each keeps.

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::cpus::{CpuRules, by_class, core_groups, cores};
use crate::solve::process::{RankLayout, VisibleGpus};
use crate::units::count_of;

impl RankLayout {
    /// Returns the number of ranks where none is given: as many as these GPUs suffice for, at least one.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for ranks without GPUs, which can be any number.
    pub fn ranks_for(&self, visible: &VisibleGpus) -> Result<usize> {
        match self.gpus {
            Some(0) => Err(Error::request("how many ranks share the CPUs is unknown")
                .help("give their number, as by --ranks: without GPUs they can be any number")),
            Some(each) => Ok((visible.devices.len() / each).max(1)),
            None => Ok(visible.devices.len().max(1)),
        }
    }

    /// Cuts each rank, from number `first` on, down to the cores of the layout, under as few level 3 caches as
    /// possible, and remarks on the cores left free.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where the policy shares CPUs, and with
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where a rank has fewer.
    pub(super) fn trim(
        topology: &Topology,
        rules: &CpuRules,
        first: usize,
        ranks: &mut [CpuSet],
        remarks: &mut Vec<String>,
    ) -> Result<()> {
        let Some(count) = rules.layout.cores else { return Ok(()) };
        if count == 0 {
            return Err(Error::request("0 cores for each rank").help("give 1 or more"));
        }
        if !rules.policy.is_disjoint() {
            let message =
                format!("the policy {} shares CPUs, and sets no cores apart for a rank", rules.policy);
            return Err(Error::request(message).help("take another policy, or leave the number of cores out"));
        }
        let before = ranks.iter().collect::<CpuSet>();
        for (rank, own) in ranks.iter_mut().enumerate() {
            let there = cores(topology, own, &mut Vec::new());
            if there.len() < count {
                let (rank, has) = (first + rank, count_of(there.len(), "core"));
                return Err(Error::unsatisfiable(format!(
                    "rank {rank} has a share of {has} (CPUs {own}), and {count} were asked for for each rank"
                ))
                .help("shares are cut over all GPUs of the machine; ask for fewer cores, or take another policy"));
            }
            *own = best_cores(topology, &there, count);
        }
        let after = ranks.iter().collect::<CpuSet>();
        let free = before.difference(&after);
        if !free.is_empty() {
            let (cores, were) = (count_of(count, "core"), if count == 1 { "was" } else { "were" });
            remarks.push(format!("CPUs {free} stay free, as {cores} for each rank {were} asked for"));
        }
        Ok(())
    }
}

/// Chooses `count` of some cores: those of the fastest class, under as few caches as possible.
fn best_cores(topology: &Topology, there: &[CpuSet], count: usize) -> CpuSet {
    let mut taken = CpuSet::new();
    let mut missing = count;
    for class in by_class(topology, there) {
        let some = missing.min(class.len());
        taken = taken.union(&fewest_caches(topology, &class, some));
        missing -= some;
    }
    taken
}

/// Chooses `count` of some cores: those under the smallest cache that has enough, else under the largest and then the
/// next.
fn fewest_caches(topology: &Topology, there: &[CpuSet], count: usize) -> CpuSet {
    let mut groups = core_groups(topology, there);
    let mut taken: Vec<CpuSet> = Vec::new();
    while taken.len() < count && !groups.is_empty() {
        let missing = count - taken.len();
        let sizes = groups.iter().map(Vec::len).enumerate();
        let enough =
            sizes.clone().filter(|(_, size)| *size >= missing).min_by_key(|(place, size)| (*size, *place));
        let best = enough.or_else(|| sizes.max_by_key(|(place, size)| (*size, std::cmp::Reverse(*place))));
        let Some((place, _)) = best else { break };
        taken.extend(groups.remove(place).into_iter().take(missing));
    }
    taken.iter().collect()
}
