//! Threshold search: the greatest threshold that all pairs, or all GPUs, of a set of a size can reach.

use super::clique::{Cliques, Found};
use super::exact;
use super::problem::Task;
use super::set::{MAX_CANDIDATES, Set, members, of};
use super::weights::Weights;
use crate::query::Weight;

/// The number of steps of one search for a set within the neighbours of its GPUs.
const MAX_STEPS: u64 = 400;

/// The number of steps of the search for a set within quotas, too.
const MAX_QUOTA_STEPS: u64 = 2000;

/// A search space: the sets that may be chosen.
#[derive(Clone)]
pub(super) struct SearchSpace<'a> {
    pub(super) weights: &'a Weights,
    pub(super) task: &'a Task<'a>,
    /// The candidates that may be chosen, with those that must be.
    pub(super) open: Set,
    /// The candidates with which each candidate may be chosen, where not all may.
    pub(super) near: Option<Box<[Set; MAX_CANDIDATES]>>,
}

/// The outcome of a search for a feasible set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) enum Fit {
    Yes(Set),
    No,
    Unknown,
}

/// The greatest threshold that was reached, and an upper bound on the threshold of any set.
pub(in crate::solve) struct Reached {
    pub(in crate::solve) set: Set,
    pub(in crate::solve) level: u64,
    pub(in crate::solve) bound: u64,
}

impl<'a> SearchSpace<'a> {
    pub(super) fn new(weights: &'a Weights, task: &'a Task<'a>, scope: Set) -> Self {
        let open = task.free & scope & !task.barred;
        let near = task.near.map(|near| {
            let mut own = Box::new([0; MAX_CANDIDATES]);
            own[..near.len()].copy_from_slice(near);
            own
        });
        Self { weights, task, open, near }
    }

    /// Returns the search space with only some of the candidates.
    pub(super) fn within(&self, set: Set) -> Self {
        Self { open: self.open & set, ..self.clone() }
    }

    /// Returns the search space with only pairs of at least a weight.
    pub(super) fn at_least(&self, least: Weight) -> Self {
        let mut own = Box::new([0; MAX_CANDIDATES]);
        for gpu in members(self.open) {
            own[gpu] = self.linked(gpu, least);
        }
        Self { near: Some(own), ..self.clone() }
    }

    /// Returns the candidates with which one may be chosen and has a pair of at least a weight.
    pub(super) fn linked(&self, gpu: usize, least: Weight) -> Set {
        let near = self.near.as_ref().map_or(Set::MAX, |near| near[gpu]);
        let row = self.weights.row(gpu);
        of((0..row.len()).filter(|other| row[*other] >= least)) & near & self.open & !(1 << gpu)
    }

    /// Returns the candidates that may join those of a set.
    pub(super) fn joining(&self, set: Set) -> Set {
        let open = self.open & !set;
        let open =
            self.near.as_ref().map_or(open, |near| members(set).fold(open, |open, gpu| open & near[gpu]));
        self.task.quotas.map_or(open, |quotas| quotas.open(set, open))
    }

    /// Returns whether a set of the size asked for may be chosen.
    pub(super) fn holds(&self, set: Set) -> bool {
        let all_near = || {
            self.near.as_ref().is_none_or(|near| members(set).all(|gpu| set & !(near[gpu] | 1 << gpu) == 0))
        };
        set & !self.open == 0
            && self.task.include & !set == 0
            && self.task.quotas.is_none_or(|quotas| quotas.hold(set))
            && all_near()
    }

    /// Finds a set that may be chosen.
    pub(super) fn any(&self) -> Fit {
        let Task { include, count, .. } = *self.task;
        if include & !self.open != 0 || (self.open.count_ones() as usize) < count {
            return Fit::No;
        }
        let missing = count - include.count_ones() as usize;
        let found = match &self.near {
            None => {
                let others = members(self.open & !include).take(missing);
                Fit::Yes(include | of(others))
            }
            Some(near) => {
                let beside = members(include).all(|gpu| include & !(near[gpu] | 1 << gpu) == 0);
                let open = members(include).fold(self.open & !include, |open, gpu| open & near[gpu]);
                if !beside || (open.count_ones() as usize) < missing {
                    return Fit::No;
                }
                match Cliques::new(near, MAX_STEPS).any(open, missing) {
                    Found::Yes { clique, .. } => Fit::Yes(clique | include),
                    Found::No => Fit::No,
                    Found::Unknown => Fit::Unknown,
                }
            }
        };
        match found {
            Fit::Yes(set) if self.task.quotas.is_none_or(|quotas| quotas.hold(set)) => found,
            Fit::No => found,
            _ => self.any_by_search(),
        }
    }

    fn any_by_search(&self) -> Fit {
        let scope = [self.open];
        let near = self.near.as_ref().map(|near| &near[..self.weights.gpus()]);
        let task =
            Task { objectives: &[], scopes: Some(&scope), near, most_steps: MAX_QUOTA_STEPS, ..*self.task };
        match exact::search(self.weights, &task) {
            Ok(found) => Fit::Yes(found.chosen),
            Err(none) if none.proven => Fit::No,
            Err(_) => Fit::Unknown,
        }
    }

    /// Returns the weights of the pairs, the greatest first.
    pub(super) fn levels(&self) -> Vec<Weight> {
        let inside = |gpu: u8| self.open >> gpu & 1 == 1;
        let pairs = self.weights.descending().iter().filter(|(_, a, b)| inside(*a) && inside(*b));
        let mut levels: Vec<Weight> = pairs.map(|(weight, ..)| *weight).collect();
        levels.dedup();
        levels
    }
}

/// Finds the greatest threshold that a set reaches, by bisection: none reaches more than `high`, `first` is a feasible set, `at`
/// gives the threshold that a set reaches, and `fit` looks for a set of at least a threshold, and gives the greatest one below.
pub(in crate::solve) fn greatest(
    mut high: u64,
    first: Set,
    at: impl Fn(Set) -> u64,
    mut fit: impl FnMut(u64) -> (Fit, u64),
) -> Reached {
    let mut own = Reached { set: first, level: at(first), bound: high };
    while own.level < high {
        let (found, below) = fit(own.level + (high - own.level).div_ceil(2));
        match found {
            Fit::Yes(set) => (own.set, own.level) = (set, at(set)),
            Fit::No => (own.bound, high) = (below, below),
            Fit::Unknown => high = below,
        }
    }
    own.bound = own.bound.max(own.level);
    own
}
