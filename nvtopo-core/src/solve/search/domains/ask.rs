//! A request to a machine of domains, and its answer.

use super::tree::Use;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains};
use crate::solve::search::problem::Solution;
use crate::solve::search::value::share;

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
    /// What they are worth. The set is left out: it has no bits for the GPUs of large machines.
    pub(in crate::solve) solution: Solution,
}

/// What objectives say of the numbers. `None` where these, or their order, are not of the kind that numbers tell.
pub(super) fn kinds(objectives: &[&'static dyn Objective]) -> Option<Vec<OverDomains>> {
    let kinds: Vec<OverDomains> =
        objectives.iter().map(|objective| objective.over_domains()).collect::<Option<_>>()?;
    kinds.iter().rev().skip(1).all(|kind| *kind != OverDomains::Remainder).then_some(kinds)
}

/// What is left, as a part of the whole: by the best domain for each size of job.
pub(super) fn remainder(mix: &[(usize, u64)], left: &[Weight], whole: &[Weight]) -> Weight {
    let at = |best: &[Weight], size: usize| best.get(size).copied().unwrap_or_default();
    share(mix, |size| (at(left, size), at(whole, size)))
}
