//! `remainder`: what is left for the next jobs.
//!
//! Σ over sizes m of p(m) · best(m, R) / best(m, all), where p(m) is how often jobs of m GPUs come, R = candidates \ S are
//! the GPUs left over, and best(m, X) is the most that the rings of m GPUs of X carry; a job of one GPU finds all it needs
//! wherever one is left. A part of the whole, from 0 to 1: with 1, every job finds what it would on an empty machine. On machines
//! of more than 16 GPUs the worst pair of m GPUs stands for their rings.

use super::ring::Ring;
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::solve::search;
use crate::solve::search::memo::WorstPairs;
use crate::solve::search::objective::{Objective, OverDomains, Partial};
use crate::solve::search::problem::Task;
use crate::solve::search::set;
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use crate::solve::search::value::{ONE, all_found, share};
use crate::solve::search::weights::Weights;

/// What the sets of GPUs that are left over are compared by.
static REST: &[&dyn Objective] = &[&Ring];

/// The most GPUs of which rings are compared.
const MAX_RINGS: usize = 16;

/// Steps of the clique searches for one value. Machines need a few dozen; a matrix made to be hard gets a value that
/// is too low, but still the same one every time.
const MAX_STEPS: usize = 2000;

/// What a step of these is counted as.
const CLIQUE_EFFORT: u32 = 4;

/// Steps of the search for the best rings of one size, for the same reason.
const MAX_SEARCH: u64 = 20_000;

/// What one size is counted as at least, in steps of the search that asks, and how many steps of its own search are one of them:
/// most are not repeated.
const EFFORT: u32 = 32;
const STEPS: u64 = 32;

pub(super) struct Remainder;

impl Objective for Remainder {
    fn name(&self) -> &'static str {
        "remainder"
    }

    fn summary(&self) -> &'static str {
        "what the next jobs can have of the GPUs left over, as a part of what an empty machine gives them"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Remainder)
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn value(&self, partial: &Partial<'_>, rest: Set) -> Value {
        let weights = partial.weights;
        let whole = set::all(weights.gpus());
        let (mut proven, mut effort) = (true, EFFORT * partial.mix.len() as u32);
        let worth = if weights.gpus() <= MAX_RINGS {
            share(partial.mix, |size| {
                let left = best_rings(weights, rest, size);
                if left.worth == Weight::default() && left.proven {
                    return (left.worth, left.worth);
                }
                let all = best_rings(weights, whole, size);
                proven &= left.proven && all.proven;
                effort += left.effort.saturating_sub(EFFORT);
                (left.worth, all.worth)
            })
        } else {
            let all = weights.memo.whole(|| worst_pairs(weights, whole));
            let left = worst_pairs(weights, rest);
            proven = left.steps.max(all.steps) < MAX_STEPS;
            effort = ((left.steps + all.steps) as u32).saturating_mul(CLIQUE_EFFORT);
            share(partial.mix, |size| (at(&left.by_size, size), at(&all.by_size, size)))
        };
        Value { worth, proven, effort }
    }

    /// A part of what is unknown is no part: every pair of the machine counts, whoever uses it.
    fn is_known(&self, topology: &Topology, _gpus: &[usize], _worth: Weight) -> bool {
        topology.rates_are_known()
    }

    /// At best every job that is not too large finds what it would on an empty machine.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        all_found(partial.mix, partial.free.count_ones() as usize - partial.size())
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Share((worth.0 / ONE) as u32)
    }
}

/// What the best rings of so many GPUs of a set carry. One GPU is as good as any.
pub(in crate::solve) fn best_rings(weights: &Weights, set: Set, size: usize) -> Value {
    if size > set.count_ones() as usize {
        return Weight::default().into();
    }
    if size < 2 {
        return Weight(ONE).into();
    }
    weights.memo.best_left(set, size, || {
        let task = Task { most_steps: MAX_SEARCH, ..Task::new(set, size, REST, &[]) };
        let found = search::solve(weights, &task);
        let none = Value { worth: Weight::default(), proven: false, effort: 0 };
        found.map_or(none, |found| Value {
            worth: found.values[0],
            proven: found.bounds[0].bandwidth() <= found.values[0].bandwidth(),
            effort: (found.steps / STEPS) as u32,
        })
    })
}

fn at(worst_pairs: &[Weight], size: usize) -> Weight {
    worst_pairs.get(size).copied().unwrap_or_default()
}

/// The best bottlenecks of any so many GPUs of a set, by their number. The best of m is the greatest b such that the pairs
/// with at least b hold a clique of m.
fn worst_pairs(weights: &Weights, set: Set) -> WorstPairs {
    let inside = |gpu: u8| set >> gpu & 1 == 1;
    let whole = set.count_ones() as usize;
    let mut near = [0; Set::BITS as usize];
    let mut found = vec![Weight::default(); whole + 1];
    if let Some(one) = found.get_mut(1) {
        *one = Weight(ONE);
    }
    let (mut reached, mut steps) = (1, 0);
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
        search.grow(0, set);
        found[reached + 1..=search.best].fill(pairs[0].0);
        (reached, steps) = (search.best, search.steps);
        if reached == whole {
            break;
        }
    }
    WorstPairs { by_size: found, steps }
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
