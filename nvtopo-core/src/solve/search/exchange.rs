//! A local search for a good initial set: sets grow around each NUMA node and each GPU, then members are exchanged with
//! candidates outside.

use super::objective::{MAX_OBJECTIVES, Objective, Partial};
use super::problem::Task;
use super::set::{Set, members};
use super::threshold::SearchSpace;
use super::value::Value;
use crate::query::{Weight, cycle};
use std::cmp::{Ordering, Reverse};

/// The greatest number of pairs of GPUs that are evaluated.
const MAX_WORK: u64 = 1_500_000;

/// The greatest part of it for objectives after the first: where these take long to value, the first still decides.
const MAX_TIES: u64 = MAX_WORK / 2;

/// The number of pairs that count as one step of the search for the best set.
const WORK_OF_STEP: u64 = 500;

/// The number of pairs that count as one step of the effort of a value.
const EFFORT: u64 = 100;

/// The most steps of the search for a ring through one set, for each member.
const RING_LOOKS: u64 = 16;

/// Returns the value of a complete set.
pub(super) fn value(space: &SearchSpace<'_>, objective: &'static dyn Objective, set: Set) -> Value {
    objective.value(&whole(space, set), space.task.free & !set)
}

/// Returns an upper bound on the value of every set of a search space.
pub(super) fn root_bound(space: &SearchSpace<'_>, objective: &'static dyn Objective) -> Weight {
    let nothing = vec![(Weight::MAX, Weight::default()); space.weights.gpus()];
    let greatest = space.weights.descending().first().map_or(Weight::default(), |(weight, ..)| *weight);
    let missing = space.task.count;
    objective.bound(&Partial { missing, open: space.open, to_chosen: &nothing, greatest, ..whole(space, 0) })
}

fn whole<'a>(space: &SearchSpace<'a>, set: Set) -> Partial<'a> {
    let Task { mix, free, nic_room, .. } = *space.task;
    Partial { mix, free, nic_room, ..Partial::of_set(space.weights, set) }
}

type Values = [Weight; MAX_OBJECTIVES];

struct Exchange<'a, 'b> {
    space: &'a SearchSpace<'b>,
    objectives: &'a [&'static dyn Objective],
    /// The neighbours of each candidate in the graph that must hold a ring through the set.
    ring: Option<&'a [Set]>,
    set: Set,
    /// The values of the set by the first `known` objectives.
    values: Values,
    known: usize,
    work: u64,
    /// The effort for objectives after the first.
    ties: u64,
}

/// Finds a good set by some objectives, and returns it with the number of steps. With the graph of the pairs that a ring may use,
/// only sets with a ring in it are taken, and the first objective is left out: all of these have its best value.
pub(super) fn best(
    space: &SearchSpace<'_>,
    first: Set,
    objectives: &[&'static dyn Objective],
    ring: Option<&[Set]>,
) -> (Set, u64) {
    let objectives = if ring.is_some() { &objectives[1..] } else { objectives };
    let quick = objectives.iter().position(|objective| objective.is_slow()).unwrap_or(objectives.len());
    let objectives = &objectives[..quick];
    let values = Values::default();
    let mut own = Exchange { space, objectives, ring, set: first, values, known: 0, work: 0, ties: 0 };
    if space.open.count_ones() as usize == space.task.count || objectives.is_empty() {
        return (first, 0);
    }
    own.grow_around();
    while own.work < MAX_WORK && own.change() {}
    (own.set, own.work / WORK_OF_STEP)
}

impl<'a> Exchange<'a, '_> {
    fn value(&mut self, partial: &Partial<'_>, place: usize) -> Weight {
        let value = self.objectives[place].value(partial, self.space.task.free & !partial.chosen);
        let effort = u64::from(value.effort) * EFFORT;
        if place == 0 {
            self.work += effort;
        } else {
            self.work += effort.min(MAX_TIES.saturating_sub(self.ties));
            self.ties += effort;
        }
        value.worth
    }

    /// Returns the value of the best set so far.
    fn best_value(&mut self, place: usize) -> Weight {
        if self.known <= place {
            let partial = whole(self.space, self.set);
            while self.known <= place {
                self.values[self.known] = self.value(&partial, self.known);
                self.known += 1;
            }
        }
        self.values[place]
    }

    /// Takes a set if it is better than the best so far.
    fn offer(&mut self, partial: &Partial<'_>) -> bool {
        for place in 0..self.objectives.len() {
            if place > 0 && self.ties >= MAX_TIES {
                return false;
            }
            let value = self.value(partial, place);
            match value.cmp(&self.best_value(place)) {
                Ordering::Less => return false,
                Ordering::Greater => {
                    if !self.has_ring(partial.chosen) {
                        return false;
                    }
                    self.set = partial.chosen;
                    self.values[place] = value;
                    self.known = place + 1;
                    return true;
                }
                Ordering::Equal => {}
            }
        }
        false
    }

    fn whole(&mut self, set: Set) -> Partial<'a> {
        let size = u64::from(set.count_ones());
        self.work += size * size / 2 + 16;
        whole(self.space, set)
    }

    fn has_ring(&mut self, set: Set) -> bool {
        let Some(near) = self.ring else { return true };
        // Dirac's theorem: where each member has half of the others as neighbours, there is a ring.
        if members(set).all(|gpu| 2 * (near[gpu] & set).count_ones() >= set.count_ones()) {
            return true;
        }
        let most = RING_LOOKS * u64::from(set.count_ones());
        let mut left = most;
        let found = cycle(near, set, set, set.count_ones() as usize, &mut left);
        self.work += most - left;
        found.is_some()
    }

    /// Offers sets that take all they can of one group of equal NUMA nodes before they take of others, and sets that grow greedily
    /// around each GPU.
    fn grow_around(&mut self) {
        let groups = self.space.weights.locality().groups.iter().copied();
        let groups = groups.filter(|group| group & self.space.open != 0);
        let groups = groups.map(|group| (group, true, MAX_WORK / 2));
        let gpus = members(self.space.open).map(|gpu| (1 << gpu, false, MAX_WORK * 3 / 4));
        for (start, by_groups, most_work) in groups.chain(gpus) {
            if self.work >= most_work {
                continue;
            }
            let grown = self.grow(|own, sum, gpu, chosen| {
                let first = chosen & !own.include == 0 && start >> gpu & 1 == 1;
                if !by_groups {
                    return (first, 0, sum);
                }
                let of = own.groups.iter().find(|of| **of >> gpu & 1 == 1).copied().unwrap_or(1 << gpu);
                let left = (of & own.open).count_ones() as usize;
                (first || of & chosen != 0, left.min(own.missing), sum)
            });
            if let Some(set) = grown {
                let partial = self.whole(set);
                self.offer(&partial);
            }
        }
    }

    /// Grows a set by the GPU that is first by a key, which is given the sum of the weights to the chosen GPUs. `None`: no
    /// candidate may join.
    fn grow(&mut self, key: impl Fn(&Growth<'_>, u64, usize, Set) -> (bool, usize, u64)) -> Option<Set> {
        let (weights, task) = (self.space.weights, self.space.task);
        let mut sums = vec![0u64; weights.gpus()];
        let add = |sums: &mut Vec<u64>, gpu: usize| {
            sums.iter_mut().zip(weights.row(gpu)).for_each(|(sum, weight)| *sum += weight.0);
        };
        members(task.include).for_each(|gpu| add(&mut sums, gpu));
        let mut chosen = task.include;
        while (chosen.count_ones() as usize) < task.count {
            let open = self.space.joining(chosen);
            let own = Growth {
                groups: &weights.locality().groups,
                include: task.include,
                open,
                missing: task.count - chosen.count_ones() as usize,
            };
            let gpu = members(open).max_by_key(|gpu| (key(&own, sums[*gpu], *gpu, chosen), Reverse(*gpu)))?;
            chosen |= 1 << gpu;
            add(&mut sums, gpu);
            self.work += u64::from(open.count_ones()) * 4;
        }
        Some(chosen)
    }

    /// Exchanges one member if that is better.
    fn change(&mut self) -> bool {
        let (space, set) = (self.space, self.set);
        for out in members(set & !space.task.include) {
            let rest = self.whole(set & !(1 << out));
            for other in members(space.joining(rest.chosen) & !set) {
                if self.work >= MAX_WORK {
                    return false;
                }
                // The pairs of the new member, and about as much for the values of a set as for 100 pairs.
                self.work += 2 * u64::from(set.count_ones()) + 100;
                if self.offer(&rest.with(other)) {
                    return true;
                }
            }
        }
        false
    }
}

/// The state of a growing set.
struct Growth<'a> {
    /// The GPUs grouped by equal NUMA nodes.
    groups: &'a [Set],
    include: Set,
    /// The GPUs that may join.
    open: Set,
    missing: usize,
}
