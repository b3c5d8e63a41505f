//! `remainder`: the value of the remaining GPUs for the next jobs.
//!
//! Σ over sizes m of p(m) · best(m, R) / best(m, all), where p(m) is the frequency of jobs of m GPUs, R = candidates \ S are the
//! remaining GPUs, and best(m, X) is the greatest bandwidth of the rings of m GPUs of X; a job of one GPU finds all it needs if
//! one GPU remains. The value is a share from 0 to 1: at 1, every job finds what it would on an empty machine. On machines of
//! more than 16 GPUs the worst pair of m GPUs replaces their rings.

use super::reach::Beside;
use super::ring::Ring;
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::solve::search;
use crate::solve::search::links::Cuts;
use crate::solve::search::memo::WorstPairs;
use crate::solve::search::objective::{Objective, OverDomains, Partial};
use crate::solve::search::problem::Task;
use crate::solve::search::set;
use crate::solve::search::set::{Set, members};
use crate::solve::search::value::{ONE, Value, all_found, share};
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

/// The objectives by which sets of remaining GPUs are compared.
static REST: &[&dyn Objective] = &[&Ring];

/// The greatest number of GPUs of a machine for which rings are compared.
const MAX_RINGS: usize = 16;

/// The number of steps of the clique searches for one value. Machines need a few dozen; a matrix made to be hard gets a value
/// that is too low, but the same one every time.
const MAX_STEPS: usize = 2000;

/// The effort of one step of these.
const CLIQUE_EFFORT: u32 = 4;

/// The number of steps of the search for the best rings of one size, limited for the same reason.
const MAX_SEARCH: u64 = 20_000;

/// The least effort of one size, in steps of the search that asks, and the number of steps of its own search that count as one of
/// them: the rings of a set are memoized, and most sets are asked for several times.
const EFFORT: u32 = 32;
const STEPS: u64 = 2;

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

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.gpus() > MAX_RINGS || Ring.interchangeable(weights, a, b)
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
                effort += left.effort.saturating_sub(EFFORT);
                if left.worth == Weight::default() && left.proven {
                    return (left.worth, left.worth);
                }
                let all = best_rings(weights, whole, size);
                proven &= left.proven && all.proven;
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

    /// Returns whether all rates of the machine are known: the value is a share of the whole machine.
    fn is_known(&self, topology: &Topology, _gpus: &[usize], _worth: Weight) -> bool {
        topology.rates_are_known()
    }

    /// Returns an upper bound: at best every job that fits finds what it would on an empty machine.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        all_found(partial.mix, partial.free.count_ones() as usize - partial.size())
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Share((worth.0 / ONE) as u32)
    }
}

/// Returns the value of the best rings of `size` GPUs of a set, which is looked for until it is as good as that of all GPUs. A
/// single GPU has the whole share.
pub(in crate::solve) fn best_rings(weights: &Weights, set: Set, size: usize) -> Value {
    if size > set.count_ones() as usize {
        return Weight::default().into();
    }
    if size < 2 {
        return Weight(ONE).into();
    }
    weights.memo.best_left(set, size, || {
        let links = weights.links();
        if let Some(cuts) = links.cuts().filter(|_| links.any_direct(set)) {
            let whole = set::all(weights.gpus());
            let enough = if set == whole { Weight::MAX } else { best_rings(weights, whole, size).worth };
            return best_listed(weights, cuts, set, size, enough);
        }
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

/// Values the sets of `size` GPUs by decreasing bounds, until one carries as much as the next can, or enough.
fn best_listed(weights: &Weights, cuts: &Cuts, set: Set, size: usize, enough: Weight) -> Value {
    let mut best = Value { effort: cuts.of_size(size, set).count() as u32, ..Weight::default().into() };
    let mut beside = None;
    // The most that sets may carry whose values are not proven.
    let mut unproven = Bandwidth::ZERO;
    for (part, least) in cuts.of_size(size, set) {
        let carried = best.worth.bandwidth();
        if carried >= enough.bandwidth() {
            break;
        }
        let direct = cuts.direct_rings(part, least).map(|(most, _)| Bandwidth::from_mb_per_s(most));
        let most = Bandwidth::from_mb_per_s(least);
        if carried >= direct.unwrap_or(most) {
            let beside = beside.get_or_insert_with(|| Beside::of(weights, size));
            if carried >= most.max(beside.any()) {
                break;
            }
            if direct.is_some() || beside.within(carried, part) {
                continue;
            }
        }
        let value = Ring.value(&Partial::of_set(weights, part), 0);
        if !value.proven {
            let beside = beside.get_or_insert_with(|| Beside::of(weights, size));
            unproven = unproven.max(most).max(beside.any());
        }
        best.worth = best.worth.max(value.worth);
        best.effort = best.effort.saturating_add(value.effort);
    }
    let proven = best.worth.bandwidth() >= unproven;
    Value { effort: best.effort / STEPS as u32, proven, ..best }
}

fn at(worst_pairs: &[Weight], size: usize) -> Weight {
    worst_pairs.get(size).copied().unwrap_or_default()
}

/// Returns the best bottlenecks of sets within a set, by their number of GPUs. The best of m is the greatest b such that the
/// pairs with at least b hold a clique of m.
fn worst_pairs(weights: &Weights, set: Set) -> WorstPairs {
    let inside = |gpu: u8| set >> gpu & 1 == 1;
    let whole = set.count_ones() as usize;
    let mut near = [0; Set::BITS as usize];
    let mut found = vec![Weight::default(); whole + 1];
    if let Some(one) = found.get_mut(1) {
        *one = Weight(ONE);
    }
    let (mut reached, mut steps) = (1, 0);
    // Pairs are added from the best down; the clique sizes that become possible with a weight have that weight.
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

/// The search for the greatest clique, by branch and bound.
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
            // The candidate with the most neighbours first: a union of cliques is then found without backtracking.
            let Some((gpu, degree)) = self.best_connected(open) else { return };
            if size + degree < self.best {
                return;
            }
            open &= !(1 << gpu);
            self.grow(size + 1, open & self.near[gpu]);
        }
    }

    /// Returns the member of a set with the most neighbours in it, and their number.
    fn best_connected(&self, open: Set) -> Option<(usize, usize)> {
        let all = (open.count_ones() as usize).saturating_sub(1);
        let mut best: Option<(usize, usize)> = None;
        for gpu in members(open) {
            let degree = (self.near[gpu] & open).count_ones() as usize;
            if best.is_none_or(|(_, most)| degree > most) {
                best = Some((gpu, degree));
            }
            if degree == all {
                break;
            }
        }
        best
    }
}
