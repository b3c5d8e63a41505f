//! A request to a machine of domains, and its answer.

use super::tree::Use;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains};
use crate::solve::search::problem::Solution;
use crate::solve::search::value::share;

/// A request to a machine of domains.
pub(in crate::solve) struct Ask<'a> {
    /// The use of each GPU.
    pub(in crate::solve) uses: &'a [Use],
    /// The number of GPUs to take, at least one.
    pub(in crate::solve) count: usize,
    pub(in crate::solve) objectives: &'a [&'static dyn Objective],
    /// The number of jobs of each size, out of a million.
    pub(in crate::solve) mix: &'a [(usize, u64)],
}

/// The best set.
#[derive(Debug)]
pub(in crate::solve) struct Answer {
    /// The GPUs, increasing.
    pub(in crate::solve) gpus: Vec<usize>,
    /// The values. The set is left out: it has no bits for the GPUs of large machines.
    pub(in crate::solve) solution: Solution,
}

/// Returns the rules of the objectives. `None` if these, or their order, do not follow from the numbers of GPUs of the domains.
pub(super) fn kinds(objectives: &[&'static dyn Objective]) -> Option<Vec<OverDomains>> {
    let kinds: Vec<OverDomains> =
        objectives.iter().map(|objective| objective.over_domains()).collect::<Option<_>>()?;
    kinds.iter().rev().skip(1).all(|kind| *kind != OverDomains::Remainder).then_some(kinds)
}

/// Returns the value of the remaining GPUs as a share of the whole machine, by the best domain for each size of job.
pub(super) fn remainder(mix: &[(usize, u64)], left: &[Weight], whole: &[Weight]) -> Weight {
    let at = |best: &[Weight], size: usize| best.get(size).copied().unwrap_or_default();
    share(mix, |size| (at(left, size), at(whole, size)))
}
