//! A problem of the search and its solution.

use super::objective::Objective;
use super::quota::Quotas;
use super::set::Set;
use crate::query::Weight;

/// Steps after which a search stops and answers with the best so far, unless the task says otherwise.
const MAX_STEPS: u64 = 400_000;

/// What is searched for.
#[derive(Clone, Copy)]
pub(in crate::solve) struct Task<'a> {
    /// The candidates that may be chosen.
    pub(in crate::solve) free: Set,
    /// Those among them that must be.
    pub(in crate::solve) include: Set,
    /// Those among them that must not be; they are left over in any case.
    pub(in crate::solve) barred: Set,
    /// How many to choose; at least one.
    pub(in crate::solve) count: usize,
    /// What sets are compared by.
    pub(in crate::solve) objectives: &'a [&'static dyn Objective],
    /// How many of a million jobs have each number of GPUs.
    pub(in crate::solve) mix: &'a [(usize, u64)],
    /// The set must lie within one of these, where any are given; no two overlap.
    pub(in crate::solve) scopes: Option<&'a [Set]>,
    /// For each candidate those that it may be chosen with, where not all may.
    pub(in crate::solve) near: Option<&'a [Set]>,
    /// How many GPUs each usable NIC has room for, where the request says so.
    pub(in crate::solve) nic_room: Option<&'a [usize]>,
    /// Of some candidates only so many may be chosen.
    pub(in crate::solve) quotas: Option<&'a Quotas>,
    /// Steps after which to stop.
    pub(in crate::solve) most_steps: u64,
}

impl<'a> Task<'a> {
    /// Whether all sets of free candidates may be chosen that hold what is included.
    pub(in crate::solve) fn is_plain(&self) -> bool {
        let limited = self.scopes.is_some() || self.near.is_some();
        !limited && self.quotas.is_none() && self.nic_room.is_none() && self.barred == 0
    }

    /// The best of all sets of `count`.
    pub(in crate::solve) fn new(
        free: Set,
        count: usize,
        objectives: &'a [&'static dyn Objective],
        mix: &'a [(usize, u64)],
    ) -> Self {
        Self {
            free,
            include: 0,
            barred: 0,
            count,
            objectives,
            mix,
            scopes: None,
            near: None,
            nic_room: None,
            quotas: None,
            most_steps: MAX_STEPS,
        }
    }
}

/// What the search found.
#[derive(Clone, Debug, Default)]
pub(in crate::solve) struct Solution {
    /// The chosen candidates.
    pub(in crate::solve) chosen: Set,
    /// One value for each objective.
    pub(in crate::solve) values: Vec<Weight>,
    /// No set that is as good by the objectives before is worth more; equal to the values where that is proven.
    pub(in crate::solve) bounds: Vec<Weight>,
    /// Whether every set was examined or excluded by a bound.
    pub(in crate::solve) complete: bool,
    /// How many sets and parts of sets were examined.
    pub(in crate::solve) steps: u64,
}

impl Solution {
    /// A set that is proven to be the best.
    pub(super) fn exact(chosen: Set, values: Vec<Weight>, steps: u64) -> Self {
        Self { chosen, bounds: values.clone(), values, complete: true, steps }
    }
}

/// No set was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) struct NoSet {
    /// Whether there is none, and not just none that was found before the search had to stop.
    pub(in crate::solve) proven: bool,
}
