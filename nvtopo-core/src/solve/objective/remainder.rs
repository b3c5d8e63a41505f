//! `remainder`: what is left for the next jobs.
//!
//! Σ over m = 2 … |R| of the best bottleneck (`min-pair`) of any m GPUs of the remainder R = candidates \ S, in GB/s:
//! each size of the next job counts the same. The best bottleneck of m is the greatest b such that the pairs of R
//! with at least b hold a clique of m.

use super::{Objective, Partial, Set, Weight};
use crate::solve::weights::Weights;

/// Steps of the clique searches for one value. Machines need a few dozen; a matrix made to be hard gets a value that
/// is too low, but still the same one every time.
const MAX_STEPS: usize = 20_000;

pub(super) struct Remainder;

impl Objective for Remainder {
    fn name(&self) -> &'static str {
        "remainder"
    }

    fn summary(&self) -> &'static str {
        "the bottlenecks of the best sets of each size that the GPUs left over can still form, summed"
    }

    fn value(&self, partial: &Partial<'_>, rest: Set) -> Weight {
        Weight(value(partial.weights, rest))
    }

    fn bound(&self, _partial: &Partial<'_>) -> Weight {
        Weight::MAX
    }
}

fn value(weights: &Weights, rest: Set) -> u64 {
    let members = || (0..weights.gpus()).filter(|gpu| rest >> gpu & 1 == 1);
    let mut thresholds: Vec<Weight> = members()
        .flat_map(|a| members().filter(move |b| *b > a).map(move |b| weights.between(a, b)))
        .collect();
    thresholds.sort_unstable();
    thresholds.dedup();
    let (mut total, mut reached, mut steps) = (0, 1, 0);
    // The sizes that a threshold reaches first are worth that threshold.
    for threshold in thresholds.into_iter().rev() {
        let near: Vec<Set> = (0..weights.gpus())
            .map(|a| {
                let near = members().filter(|&b| a != b && weights.between(a, b) >= threshold);
                near.fold(0, |set, b| set | 1 << b)
            })
            .collect();
        let mut search = Clique { near: &near, best: reached, steps };
        search.grow(0, rest);
        total += threshold.0 * (search.best - reached) as u64;
        reached = search.best;
        steps = search.steps;
        if reached == rest.count_ones() as usize {
            break;
        }
    }
    total
}

/// The size of the greatest clique, by branch and bound.
struct Clique<'a> {
    near: &'a [Set],
    best: usize,
    steps: usize,
}

impl Clique<'_> {
    fn grow(&mut self, size: usize, mut open: Set) {
        self.best = self.best.max(size);
        self.steps += 1;
        while open != 0 && size + open.count_ones() as usize > self.best && self.steps < MAX_STEPS {
            // The one with the most neighbours first: a union of cliques is then found without going back.
            let degree = |gpu: &u32| (self.near[*gpu as usize] & open).count_ones();
            let members = (0..Set::BITS).filter(|gpu| open >> gpu & 1 == 1);
            let Some(gpu) = members.max_by_key(|gpu| (degree(gpu), std::cmp::Reverse(*gpu))) else { return };
            open &= !(1 << gpu);
            self.grow(size + 1, open & self.near[gpu as usize]);
        }
    }
}
