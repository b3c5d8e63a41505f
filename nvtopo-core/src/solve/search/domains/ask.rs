//! A request to a machine of domains, and its answer.

use super::tree::Use;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains};
use crate::solve::search::problem::Solution;
use crate::solve::search::worth::share;

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

/// What adds up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Additive {
    /// The cost of NUMA nodes, counted down.
    Span,
    /// The weights of pairs.
    Pairs,
}

/// What an objective says of the numbers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// The weight of the smallest domain that holds the set.
    Within,
    /// The worst way of its GPUs to their NICs.
    Nic,
    Sum(Additive),
    /// What is left.
    Remainder,
}

impl Kind {
    pub(super) fn of(objective: &dyn Objective) -> Option<Self> {
        Some(match objective.over_domains()? {
            OverDomains::Within => Self::Within,
            OverDomains::Nic => Self::Nic,
            OverDomains::Span => Self::Sum(Additive::Span),
            OverDomains::Pairs => Self::Sum(Additive::Pairs),
            OverDomains::Remainder => Self::Remainder,
        })
    }

    /// `None` where these, or their order, are not of the kind that numbers tell.
    pub(super) fn all(objectives: &[&'static dyn Objective]) -> Option<Vec<Self>> {
        let kinds: Vec<Self> =
            objectives.iter().map(|objective| Self::of(*objective)).collect::<Option<_>>()?;
        kinds.iter().rev().skip(1).all(|kind| *kind != Self::Remainder).then_some(kinds)
    }
}

/// What is left, as a part of the whole: by the best domain for each size of job.
pub(super) fn remainder(mix: &[(usize, u64)], left: &[Weight], whole: &[Weight]) -> Weight {
    let at = |best: &[Weight], size: usize| best.get(size).copied().unwrap_or_default();
    share(mix, |size| (at(left, size), at(whole, size)))
}
