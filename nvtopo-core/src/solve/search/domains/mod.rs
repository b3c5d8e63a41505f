//! Machines made of domains: exact answers by how many GPUs each domain gives, whatever their number.
//!
//! On most machines of many GPUs, what a pair is worth depends only on the smallest domain that holds both: an NVLink
//! group, what lies beside a NUMA node, the whole. Then `ring` and `min-pair` of a set are the weight of the smallest domain that
//! holds it, and all the default objectives follow from the numbers of GPUs that it takes of each domain. `tree` finds these
//! domains, or that the machine has none; `table` works out the best for every number, from the smallest domains up. Where
//! GPUs differ by their NUMA nodes only, `homes` has the answer of the table in less than a microsecond.

mod homes;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use super::problem::{NoSet, Solution, Task};
use super::set;
use super::set::members;
use super::weights::Weights;
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains};
use crate::solve::search::set::Set;
use crate::solve::search::worth::{numa_worth, share};
use homes::Homes;
use std::borrow::Cow;
use table::{Additive, Limit, Table};
use tree::Tree;

/// What a request may do with a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) enum Use {
    /// Nothing: it is not free.
    Gone,
    /// Leave it to the next jobs.
    Left,
    /// Take it.
    Open,
    /// It has to take it.
    In,
}

/// What is asked.
pub(in crate::solve) struct Ask<'a> {
    /// For each GPU.
    pub(in crate::solve) uses: &'a [Use],
    /// How many to take, at least one.
    pub(in crate::solve) count: usize,
    pub(in crate::solve) objectives: &'a [&'static dyn Objective],
    /// How many of a million jobs have each number of GPUs.
    pub(in crate::solve) mix: &'a [(usize, u64)],
}

/// The best set.
#[derive(Debug)]
pub(in crate::solve) struct Answer {
    /// The GPUs, increasing.
    pub(in crate::solve) gpus: Vec<usize>,
    /// One for each objective. No set is better.
    pub(in crate::solve) values: Vec<Weight>,
    /// How many combinations of numbers were looked at.
    pub(in crate::solve) steps: u64,
}

impl Answer {
    /// As what a search found; of machines with more GPUs than a set has bits, without the set.
    pub(in crate::solve) fn solution(&self) -> Solution {
        let values = self.values.clone();
        Solution { chosen: 0, bounds: values.clone(), values, complete: true, steps: self.steps }
    }
}

/// A machine's domains.
#[derive(Debug)]
pub(in crate::solve) struct Domains {
    tree: Tree,
    /// Where GPUs differ by nothing else.
    homes: Option<Homes>,
    /// What an empty machine gives to jobs of each size.
    whole: Vec<Weight>,
}

/// What an objective says of the numbers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The weight of the smallest domain that holds the set.
    Within,
    /// The worst way of its GPUs to their NICs.
    Nic,
    Sum(Additive),
    /// What is left.
    Remainder,
}

impl Kind {
    fn of(objective: &dyn Objective) -> Option<Self> {
        Some(match objective.over_domains()? {
            OverDomains::Within => Self::Within,
            OverDomains::Nic => Self::Nic,
            OverDomains::Span => Self::Sum(Additive::Span),
            OverDomains::Pairs => Self::Sum(Additive::Pairs),
            OverDomains::Remainder => Self::Remainder,
        })
    }

    /// `None` where these, or their order, are not of the kind that numbers tell.
    fn all(objectives: &[&'static dyn Objective]) -> Option<Vec<Self>> {
        let kinds: Vec<Self> =
            objectives.iter().map(|objective| Self::of(*objective)).collect::<Option<_>>()?;
        kinds.iter().rev().skip(1).all(|kind| *kind != Self::Remainder).then_some(kinds)
    }
}

impl Domains {
    /// `None`: the machine is not made so.
    pub(in crate::solve) fn of(topology: &Topology) -> Option<Self> {
        let tree = Tree::of(topology)?;
        let whole = tree.best_left(&tree.most(&|domain| tree.size(domain)));
        let homes = Homes::of(&tree);
        Some(Self { tree, homes, whole })
    }

    /// The best set; of several the one that takes most of the first domains, and of each the first GPUs. `None` where the
    /// objectives, or their order, are not of the kind that numbers tell.
    pub(in crate::solve) fn solve(&self, ask: &Ask<'_>) -> Option<Result<Answer, NoSet>> {
        let kinds = Kind::all(ask.objectives)?;
        let mut limit = Limit::default();
        let mut sums = Vec::new();
        let mut steps = 0;
        let mut run = |limit: Limit, sums: &[Additive], left: bool| {
            Table::best(&self.tree, ask, limit, sums, left.then_some(&*self.whole), &mut steps).ok()
        };
        if run(limit, &[], false)?.is_none() {
            return Some(Err(NoSet { proven: true }));
        }
        for kind in &kinds {
            let levels = match kind {
                Kind::Within if ask.count > 1 => self.tree.levels.clone(),
                Kind::Nic => self.tree.nic_levels(ask.uses),
                Kind::Sum(sum) => {
                    sums.push(*sum);
                    continue;
                }
                _ => continue,
            };
            if levels.len() < 2 && *kind == Kind::Nic {
                limit.nic = levels.first().copied().unwrap_or_default();
                continue;
            }
            // The most that leaves the sums before as good as they can be.
            let most = run(limit, &sums, false)?.map(|found| found.sums);
            for level in levels {
                let with = match kind {
                    Kind::Within => Limit { within: level, ..limit },
                    _ => Limit { nic: level, ..limit },
                };
                let found = run(with, &sums, false)?;
                if found.is_some_and(|found| Some(found.sums) == most) {
                    limit = with;
                    break;
                }
            }
        }
        let found = run(limit, &sums, kinds.contains(&Kind::Remainder))??;
        let value = |kind: &Kind| match kind {
            Kind::Within if ask.count > 1 => limit.within,
            Kind::Within => Weight::default(),
            Kind::Nic => limit.nic,
            Kind::Sum(sum) => {
                let at = sums.iter().position(|own| own == sum).unwrap_or(0);
                match sum {
                    Additive::Span => numa_worth(found.sums[at].unsigned_abs()),
                    Additive::Pairs => Weight(found.sums[at].unsigned_abs()),
                }
            }
            Kind::Remainder => remainder(ask.mix, &self.tree.best_left(&found.most), &self.whole),
        };
        let values = kinds.iter().map(value).collect();
        Some(Ok(Answer { gpus: found.gpus, values, steps }))
    }

    /// The same where only homes count and any free GPU may be chosen; `None` elsewhere.
    fn by_homes(&self, task: &Task<'_>) -> Option<Result<Solution, NoSet>> {
        let homes = self.homes.as_ref().filter(|_| task.is_plain() && task.include == 0)?;
        let kinds = Kind::all(task.objectives)?;
        if !kinds.contains(&Kind::Sum(Additive::Span)) || !kinds.contains(&Kind::Remainder) {
            return None;
        }
        Some(homes.choose(task.free, task.count).ok_or(NoSet { proven: true }).map(|(chosen, span)| {
            let left = task.free.count_ones() as usize - task.count;
            let value = |kind: &Kind| homes.value(*kind, task.count, span, left, task.mix);
            let values: Vec<Weight> = kinds.iter().map(value).collect();
            Solution { chosen, bounds: values.clone(), values, complete: true, steps: homes.count() }
        }))
    }
}

/// The answer to a search. `None` where the machine, or what is asked, is not of the kind that numbers tell.
pub(in crate::solve) fn search(weights: &Weights, task: &Task<'_>) -> Option<Result<Solution, NoSet>> {
    let limited = task.quotas.is_some() || task.nic_room.is_some();
    let domains = weights.domains().filter(|_| !limited)?;
    if let Some(found) = domains.by_homes(task) {
        return Some(found);
    }
    let whole = [task.free];
    let scopes = match task.near {
        Some(near) => Cow::Owned(apart(near, task.free)?),
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
        steps += found.steps;
        if best.as_ref().is_none_or(|best| found.values > best.values) {
            best = Some(found);
        }
    }
    let Some(best) = best else { return Some(Err(NoSet { proven: true })) };
    let chosen = set::of(best.gpus.iter().copied());
    Some(Ok(Solution { chosen, steps, ..best.solution() }))
}

/// The groups whose members may be chosen with each other and with no others; `None` where there are no such.
fn apart(near: &[Set], free: Set) -> Option<Vec<Set>> {
    let group = |gpu: usize| (near[gpu] | 1 << gpu) & free;
    let alike = |gpu: usize| members(group(gpu)).all(|other| group(other) == group(gpu));
    let first = |gpu: &usize| group(*gpu).trailing_zeros() as usize == *gpu;
    members(free).all(alike).then(|| members(free).filter(first).map(group).collect())
}

/// What is left, as a part of the whole: by the best domain for each size of job.
fn remainder(mix: &[(usize, u64)], left: &[Weight], whole: &[Weight]) -> Weight {
    let at = |best: &[Weight], size: usize| best.get(size).copied().unwrap_or_default();
    share(mix, |size| (at(left, size), at(whole, size)))
}
