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
    let inside = |gpu: u8| rest >> gpu & 1 == 1;
    let whole = rest.count_ones() as usize;
    let mut near = [0; Set::BITS as usize];
    let (mut total, mut reached, mut steps) = (0, 1, 0);
    // Pairs join from the best down; the sizes that become possible with a weight are worth that weight.
    for pairs in weights.descending().chunk_by(|a, b| a.0 == b.0) {
        let mut grown = false;
        for (_, a, b) in pairs.iter().filter(|(_, a, b)| inside(*a) && inside(*b)) {
            near[usize::from(*a)] |= 1 << b;
            near[usize::from(*b)] |= 1 << a;
            grown = true;
        }
        if !grown {
            continue;
        }
        let mut search = Clique { near: &near, best: reached, steps };
        search.grow(0, rest);
        total += pairs[0].0.0 * (search.best - reached) as u64;
        (reached, steps) = (search.best, search.steps);
        if reached == whole {
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
        while size + open.count_ones() as usize > self.best && self.steps < MAX_STEPS {
            // The one with the most neighbours first: a union of cliques is then found without going back.
            let Some((gpu, degree)) = self.best_connected(open) else { return };
            if size + degree < self.best {
                return;
            }
            open &= !(1 << gpu);
            self.grow(size + 1, open & self.near[gpu]);
        }
    }

    /// The member of a set with the most neighbours in it, and how many these are.
    fn best_connected(&self, open: Set) -> Option<(usize, usize)> {
        let mut best = None;
        let mut left = open;
        while left != 0 {
            let gpu = left.trailing_zeros() as usize;
            left &= left - 1;
            let degree = (self.near[gpu] & open).count_ones() as usize;
            if best.is_none_or(|(_, most)| degree > most) {
                best = Some((gpu, degree));
            }
        }
        best
    }
}
