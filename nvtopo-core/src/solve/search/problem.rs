//! A problem of the search and its solution.

use super::objective::Objective;
use super::quota::Quotas;
use super::set::Set;
use crate::query::Weight;

/// The number of steps after which a search stops with the best so far, unless the task says otherwise.
const MAX_STEPS: u64 = 400_000;

/// A task of the search: candidates, count, objectives and limits.
#[derive(Clone, Copy)]
pub(in crate::solve) struct Task<'a> {
    /// The candidates that may be chosen.
    pub(in crate::solve) free: Set,
    /// The candidates that must be chosen.
    pub(in crate::solve) include: Set,
    /// The candidates that must not be chosen; they are left over in any case.
    pub(in crate::solve) barred: Set,
    /// The number of candidates to choose; at least one.
    pub(in crate::solve) count: usize,
    /// The objectives, most important first.
    pub(in crate::solve) objectives: &'a [&'static dyn Objective],
    /// The number of jobs of each size, out of a million.
    pub(in crate::solve) mix: &'a [(usize, u64)],
    /// The disjoint scopes of which one must contain the set, if any are given.
    pub(in crate::solve) scopes: Option<&'a [Set]>,
    /// The candidates with which each candidate may be chosen, where not all may.
    pub(in crate::solve) near: Option<&'a [Set]>,
    /// The number of GPUs that each usable NIC has room for, where the request states it.
    pub(in crate::solve) nic_room: Option<&'a [usize]>,
    /// The quotas on groups of candidates.
    pub(in crate::solve) quotas: Option<&'a Quotas>,
    /// The number of steps after which the search stops.
    pub(in crate::solve) most_steps: u64,
}

impl<'a> Task<'a> {
    /// Returns whether every set of free candidates that contains the included ones may be chosen.
    pub(in crate::solve) fn is_plain(&self) -> bool {
        let limited = self.scopes.is_some() || self.near.is_some();
        !limited && self.quotas.is_none() && self.nic_room.is_none() && self.barred == 0
    }

    /// Returns the task of finding the best set of `count` free candidates.
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

/// The solution of a task.
#[derive(Clone, Debug, Default)]
pub(in crate::solve) struct Solution {
    /// The chosen candidates.
    pub(in crate::solve) chosen: Set,
    /// One value for each objective.
    pub(in crate::solve) values: Vec<Weight>,
    /// The upper bounds: no set that is as good by the objectives before exceeds them; equal to the values where that is proven.
    pub(in crate::solve) bounds: Vec<Weight>,
    /// True if every set was examined or excluded by a bound.
    pub(in crate::solve) complete: bool,
    /// The number of sets and partial sets that were examined.
    pub(in crate::solve) steps: u64,
}

impl Solution {
    /// Returns the solution of a set that is proven to be the best.
    pub(super) fn exact(chosen: Set, values: Vec<Weight>, steps: u64) -> Self {
        Self { chosen, bounds: values.clone(), values, complete: true, steps }
    }
}

/// The error that no set was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) struct NoSet {
    /// True if there is none, false if the search stopped before it found one.
    pub(in crate::solve) proven: bool,
}
