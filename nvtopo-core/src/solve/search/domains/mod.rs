//! Machines that consist of domains: exact answers from the numbers of GPUs that each domain gives, for machines of any size.
//!
//! On most machines of many GPUs, the weight of a pair depends only on the smallest domain that holds both: an NVLink group, the
//! GPUs of a NUMA domain, the whole. Then `ring` and `min-pair` of a set are the weight of the smallest domain that holds it, and
//! all the default objectives follow from the numbers of GPUs that it takes of each domain. `tree` finds these domains, or that
//! the machine has none; `table` computes the best for every number, from the smallest domains up. If GPUs differ by their NUMA
//! nodes only, `numa` has the answer of the table in less than a microsecond.

mod ask;
pub(in crate::solve) mod machine;
mod numa;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use super::objective::OverDomains;
use super::problem::{NoSet, Solution, Task};
use super::set;
use super::set::members;
use super::weights::Weights;
use crate::query::Weight;
use crate::solve::search::set::Set;
use crate::solve::search::value::{all_found, numa_worth};
pub(in crate::solve) use ask::{Answer, Ask};
use ask::{kinds, remainder};
pub(in crate::solve) use machine::Domains;
use numa::NumaDomains;
use std::borrow::Cow;
use table::{Limit, Table};
pub(in crate::solve) use tree::Use;
use tree::times;

impl Domains {
    /// Finds the best set; ties go to the set that takes most of the first domains, and of each the first GPUs. `None` if the
    /// objectives, or their order, do not follow from the numbers of GPUs of the domains.
    pub(in crate::solve) fn solve(&self, ask: &Ask<'_>) -> Option<Result<Answer, NoSet>> {
        let kinds = kinds(ask.objectives)?;
        let mut limit = Limit::default();
        let mut sums = Vec::new();
        let mut steps = 0;
        let mut run = |limit: Limit, sums: &[OverDomains], left: bool| {
            Table::best(&self.tree, ask, limit, sums, left.then_some(&*self.whole), &mut steps).ok()
        };
        if run(limit, &[], false)?.is_none() {
            return Some(Err(NoSet { proven: true }));
        }
        for kind in &kinds {
            let levels = match kind {
                OverDomains::Within if ask.count > 1 => self.tree.levels.clone(),
                OverDomains::Nic => self.tree.nic_levels(ask.uses),
                OverDomains::Span | OverDomains::Pairs => {
                    sums.push(*kind);
                    continue;
                }
                _ => continue,
            };
            if levels.len() < 2 && *kind == OverDomains::Nic {
                limit.nic = levels.first().copied().unwrap_or_default();
                continue;
            }
            // The greatest level that leaves the sums before as good as they can be.
            let most = run(limit, &sums, false)?.map(|found| found.sums);
            for level in levels {
                let with = match kind {
                    OverDomains::Within => Limit { within: level, ..limit },
                    _ => Limit { nic: level, ..limit },
                };
                let found = run(with, &sums, false)?;
                if found.is_some_and(|found| Some(found.sums) == most) {
                    limit = with;
                    break;
                }
            }
        }
        let found = run(limit, &sums, kinds.contains(&OverDomains::Remainder))??;
        let sum = |kind: OverDomains| {
            let at = sums.iter().position(|own| *own == kind).unwrap_or(0);
            found.sums[at].unsigned_abs()
        };
        let value = |kind: &OverDomains| match kind {
            OverDomains::Within if ask.count > 1 => limit.within,
            OverDomains::Within => Weight::default(),
            OverDomains::Nic => limit.nic,
            OverDomains::Span => numa_worth(sum(OverDomains::Span)),
            OverDomains::Pairs => Weight(sum(OverDomains::Pairs)),
            OverDomains::Remainder => remainder(ask.mix, &self.tree.best_left(&found.most), &self.whole),
        };
        let values: Vec<Weight> = kinds.iter().map(value).collect();
        Some(Ok(Answer { gpus: found.gpus, solution: Solution::exact(0, values, steps) }))
    }

    /// Finds the best set where only the NUMA domains count and any free GPU may be chosen; `None` otherwise.
    fn by_numa(&self, task: &Task<'_>) -> Option<Result<Solution, NoSet>> {
        let numa = self.numa.as_ref().filter(|_| task.is_plain() && task.include == 0)?;
        let kinds = kinds(task.objectives)?;
        if !kinds.contains(&OverDomains::Span) || !kinds.contains(&OverDomains::Remainder) {
            return None;
        }
        Some(numa.choose(task.free, task.count).ok_or(NoSet { proven: true }).map(|(chosen, span)| {
            let left = task.free.count_ones() as usize - task.count;
            let value = |kind: &OverDomains| numa.value(*kind, task.count, span, left, task.mix);
            let values: Vec<Weight> = kinds.iter().map(value).collect();
            Solution::exact(chosen, values, numa.gpus.len() as u64)
        }))
    }
}

impl NumaDomains {
    /// Returns the value of a set of `count` GPUs in some NUMA domains that leaves `left` free GPUs.
    pub(super) fn value(
        &self,
        kind: OverDomains,
        count: usize,
        numa: usize,
        left: usize,
        mix: &[(usize, u64)],
    ) -> Weight {
        match kind {
            OverDomains::Within if count > 1 => self.pair,
            OverDomains::Within => Weight::default(),
            OverDomains::Nic => self.nic,
            OverDomains::Span => numa_worth(numa as u64 * self.span.unsigned_abs()),
            OverDomains::Pairs => Weight(times(self.pair, (count * (count - 1) / 2) as u64).unsigned_abs()),
            OverDomains::Remainder => all_found(mix, left),
        }
    }
}

/// Answers a search. `None` if the values do not follow from the numbers of GPUs of the domains of this machine.
pub(in crate::solve) fn search(weights: &Weights, task: &Task<'_>) -> Option<Result<Solution, NoSet>> {
    let limited = task.quotas.is_some() || task.nic_room.is_some();
    let domains = weights.domains().filter(|_| !limited)?;
    if let Some(found) = domains.by_numa(task) {
        return Some(found);
    }
    let whole = [task.free];
    let scopes = match task.near {
        Some(near) => {
            let apart = apart(near, task.free)?;
            let within = |scope: &Set| apart.iter().map(move |group| group & *scope).collect::<Vec<_>>();
            Cow::Owned(task.scopes.unwrap_or(&whole).iter().flat_map(within).collect())
        }
        None => Cow::Borrowed(task.scopes.unwrap_or(&whole)),
    };
    let mut best: Option<Answer> = None;
    let mut steps = 0;
    for scope in scopes.iter() {
        let mut uses = vec![Use::Gone; weights.gpus()];
        for gpu in members(task.free) {
            let among = |set: Set| set >> gpu & 1 == 1;
            uses[gpu] = match () {
                () if among(task.include) => Use::In,
                () if among(task.barred) || !among(*scope) => Use::Left,
                () => Use::Open,
            };
        }
        if task.include & (!scope | task.barred) != 0 {
            continue;
        }
        let ask = Ask { uses: &uses, count: task.count, objectives: task.objectives, mix: task.mix };
        let Ok(found) = domains.solve(&ask)? else { continue };
        steps += found.solution.steps;
        if best.as_ref().is_none_or(|best| found.solution.values > best.solution.values) {
            best = Some(found);
        }
    }
    let Some(best) = best else { return Some(Err(NoSet { proven: true })) };
    let chosen = set::of(best.gpus.iter().copied());
    Some(Ok(Solution { chosen, steps, ..best.solution }))
}

/// Returns the groups whose members may be chosen with each other and with no others; `None` if the candidates do not form such
/// groups.
fn apart(near: &[Set], free: Set) -> Option<Vec<Set>> {
    let group = |gpu: usize| (near[gpu] | 1 << gpu) & free;
    let alike = |gpu: usize| members(group(gpu)).all(|other| group(other) == group(gpu));
    let first = |gpu: &usize| group(*gpu).trailing_zeros() as usize == *gpu;
    members(free).all(alike).then(|| members(free).filter(first).map(group).collect())
}
