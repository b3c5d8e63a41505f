//! The search on machines with too many GPUs to examine all sets, and that do not consist of equal domains: thresholds first,
//! then a good set, then a search for a better one within limits.
//!
//! In the order of the objectives: for each objective that is a bottleneck, finds the greatest threshold that a set reaches, and
//! then considers only sets that reach it. For the other objectives, grows sets around each NUMA node and each GPU, improves the
//! best by exchanging members, and gives the remaining effort to branch and bound. A value that is not proven has an upper bound.

use super::exact;
use super::exchange;
use super::objective::{Objective, Partial, Threshold};
use super::problem::{NoSet, Solution, Task};
use super::set::{Set, members, of};
use super::switched;
use super::threshold::{Fit, Reached, SearchSpace, greatest};
use super::weights::Weights;
use crate::model::PathType;
use crate::query::{MAX_CYCLE_LOOKS, Weight, bottleneck, cycle, repeated, ring_core};

/// The greatest number of equally good groups on switches that are examined.
const MAX_SPACES: usize = 8;

/// The greatest number of steps of all stages of a search, about; each is more work than on smaller machines.
pub(super) const MAX_STEPS: u64 = 100_000;

/// The number of pairs of candidates that count as one step of the stages before the search for the best set.
const PAIRS: u64 = 4;

/// Returns the number of steps of branch and bound: fewer for more GPUs, since each step costs more.
fn most_steps(gpus: usize) -> u64 {
    (300_000_000 / (gpus * gpus * gpus).max(1) as u64).clamp(200, 40_000)
}

/// Finds the best set within the limits.
pub(super) fn search(weights: &Weights, task: &Task<'_>) -> Result<Solution, NoSet> {
    let whole = [Set::MAX];
    let scopes = task.scopes.unwrap_or(&whole);
    let mut proven = true;
    let mut found = Vec::new();
    for scope in scopes {
        let space = SearchSpace::new(weights, task, *scope);
        match space.any() {
            Fit::Yes(set) => found.push(Stages::default().solve(&space, set)),
            Fit::No => {}
            Fit::Unknown => proven = false,
        }
    }
    let mut best = best_of(&found).ok_or(NoSet { proven })?;
    if !proven {
        best.bounds.fill(Weight::MAX);
        best.complete = false;
    }
    Ok(best)
}

/// Returns the best of several solutions among different sets, bounded by the greatest of their bounds.
pub(in crate::solve) fn best_of(found: &[Solution]) -> Option<Solution> {
    let first = |best: Solution, other: Solution| if other.values > best.values { other } else { best };
    let mut best = found.iter().cloned().reduce(first)?;
    for place in 0..best.bounds.len() {
        // Other solutions that can be as good by the objectives before.
        let as_good =
            |other: &&Solution| (0..place).all(|before| other.bounds[before] >= best.values[before]);
        let most = found.iter().filter(as_good).map(|other| other.bounds[place]).max();
        best.bounds[place] = most.unwrap_or_default().max(best.values[place]);
    }
    best.complete = best.bounds == best.values;
    best.steps = found.iter().map(|other| other.steps).sum();
    Some(best)
}

/// The leading objectives that are already decided: by these, all sets of the search space are equally good as far as is known.
#[derive(Default)]
struct Stages {
    /// The upper bounds of the values by these.
    bounds: Vec<Weight>,
    /// The graph that must hold a ring through the set, where no search space guarantees it: the neighbours of each candidate.
    ring: Option<Vec<Set>>,
}

/// The sets that one objective leaves to choose from.
struct Stage<'a> {
    set: Set,
    bound: Weight,
    /// The search spaces whose sets all have the best value, each with one of its sets. None: the objective still has to compare
    /// sets.
    spaces: Vec<(SearchSpace<'a>, Set)>,
    /// The graph whose rings all have the best value: the neighbours of each candidate.
    ring: Option<Vec<Set>>,
}

impl Stages {
    fn solve(mut self, space: &SearchSpace<'_>, mut set: Set) -> Solution {
        let objectives = space.task.objectives;
        let mut space = space.clone();
        while let Some(objective) = objectives.get(self.bounds.len()) {
            let Some(stage) = stage(&space, set, *objective) else { break };
            set = stage.set;
            let mut spaces = stage.spaces;
            match spaces.len() {
                0 => {
                    self.ring = stage.ring;
                    return self.finish(&space, set, Some(stage.bound));
                }
                1 => {
                    self.bounds.push(stage.bound);
                    (space, set) = spaces.remove(0);
                }
                _ => {
                    let bounds: Vec<Weight> = self.bounds.into_iter().chain([stage.bound]).collect();
                    let solve = |(space, set): (SearchSpace<'_>, Set)| {
                        Self { bounds: bounds.clone(), ring: None }.solve(&space, set)
                    };
                    let found: Vec<Solution> = spaces.into_iter().map(solve).collect();
                    return best_of(&found).unwrap_or_default();
                }
            }
        }
        self.finish(&space, set, None)
    }

    /// Finds the best set by the remaining objectives. `bound`: the upper bound by the first of these.
    fn finish(self, space: &SearchSpace<'_>, set: Set, bound: Option<Weight>) -> Solution {
        let (weights, task) = (space.weights, space.task);
        let held = self.bounds.len();
        let rest = &task.objectives[held..];
        let (set, work) = exchange::best(space, set, rest, self.ring.as_deref());
        let scope = [space.open];
        let near = space.near.as_ref().map(|near| &near[..weights.gpus()]);
        let most_steps =
            most_steps(space.open.count_ones() as usize).min(task.most_steps).saturating_sub(work);
        let own = Task { objectives: rest, scopes: Some(&scope), near, most_steps, ..*task };
        let found = exact::improve(weights, &own, set);
        let mut values: Vec<Weight> = task.objectives[..held]
            .iter()
            .map(|own| exchange::value(space, *own, found.chosen).worth)
            .collect();
        let mut bounds: Vec<Weight> =
            self.bounds.iter().zip(&values).map(|(bound, value)| *bound.max(value)).collect();
        values.extend(&found.values);
        bounds.extend(&found.bounds);
        if let (Some(bound), Some(own)) = (bound, bounds.get_mut(held)) {
            *own = (*own).min(bound).max(values[held]);
        }
        let complete = values == bounds;
        let gpus = u64::from(space.open.count_ones());
        let steps = found.steps + work + gpus * gpus / 2 / PAIRS;
        Solution { chosen: found.chosen, values, bounds, complete, steps }
    }
}

/// Returns the sets of a search space that an objective leaves; `None` where it has no threshold.
fn stage<'a>(space: &SearchSpace<'a>, set: Set, objective: &'static dyn Objective) -> Option<Stage<'a>> {
    let count = space.task.count;
    Some(match objective.threshold()? {
        Threshold::Nics => nics(space, set),
        _ if count < 2 => {
            Stage { set, bound: Weight::default(), spaces: vec![(space.clone(), set)], ring: None }
        }
        Threshold::Rings if count > 2 => rings(space, set, objective),
        Threshold::Pairs | Threshold::Rings => pairs(space, set),
    })
}

fn pairs<'a>(space: &SearchSpace<'a>, set: Set) -> Stage<'a> {
    let at_least = |level: u64| space.at_least(Weight(level));
    let worst = |set: Set| Partial::of_set(space.weights, set).worst;
    let reached = reach(&space.levels(), set, worst, |level| at_least(level).any());
    let spaces = vec![(at_least(reached.level), reached.set)];
    Stage { set: reached.set, bound: Weight(reached.bound), spaces, ring: None }
}

/// Finds the greatest of some levels that a set reaches.
fn reach(levels: &[Weight], first: Set, at: impl Fn(Set) -> Weight, fit: impl Fn(u64) -> Fit) -> Reached {
    let below = |least: u64| levels.iter().map(|level| level.0).find(|level| *level < least).unwrap_or(0);
    greatest(below(u64::MAX), first, |set| at(set).0, |least| (fit(least), below(least)))
}

fn nics<'a>(space: &SearchSpace<'a>, set: Set) -> Stage<'a> {
    let (weights, task) = (space.weights, space.task);
    let locality = weights.locality();
    let nearest = &locality.nearest;
    let mut levels: Vec<Weight> = members(space.open).map(|gpu| nearest[gpu]).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    let above = |level: u64| {
        let near = members(space.open).filter(|gpu| nearest[*gpu].0 >= level);
        space.within(of(near))
    };
    let least = |set: Set| members(set).map(|gpu| nearest[gpu]).min().unwrap_or(Weight::MAX);
    let reached = reach(&levels, set, least, |level| above(level).any());
    let own = above(reached.level);
    // If all GPUs can have a NIC over such a path at once, each set can.
    let rows = members(own.open).map(|gpu| locality.to_nics(gpu));
    let enough = match task.nic_room {
        Some(free) => {
            let rows: Vec<Vec<Weight>> = rows.map(|row| repeated(row, free, task.count)).collect();
            let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
            bottleneck(&rows, 1)
        }
        None => bottleneck(&rows.collect::<Vec<_>>(), locality.per_nic),
    };
    // Without a NIC, every set has the least value.
    let held = reached.bound == 0 || enough.is_some_and(|worst| worst.0 >= reached.level);
    let spaces = if held { vec![(own, reached.set)] } else { Vec::new() };
    Stage { set: reached.set, bound: Weight(reached.bound), spaces, ring: None }
}

/// Compares rings over switches, over pairs of at least some weight, and over NVLinks between GPUs.
fn rings<'a>(space: &SearchSpace<'a>, set: Set, objective: &'static dyn Objective) -> Stage<'a> {
    let worth = |set: Set| exchange::value(space, objective, set).worth;
    let links = space.weights.links();
    let meshed = links.any_direct(space.open);
    let mut best = (worth(set), set);
    // Rings over switches carry what all GPUs of a set have to each.
    let (groups, all) = switched::groups(space.weights, space.open);
    let mut over_switches = if all { Weight::default() } else { Weight::MAX };
    let mut on_switch: Vec<(SearchSpace<'a>, Set)> = Vec::new();
    let mut carried = None;
    for group in &groups {
        if carried.is_some_and(|carried| group.bandwidth < carried) || on_switch.len() > MAX_SPACES {
            break;
        }
        let own = space.within(group.gpus);
        let fit = own.any();
        if fit != Fit::No {
            over_switches = over_switches.max(Weight::over(group.bandwidth, PathType::Nvl));
        }
        if let Fit::Yes(set) = fit {
            carried = Some(group.bandwidth);
            on_switch.push((own, set));
        }
    }
    let switched = on_switch.first().map(|(_, set)| worth(*set)).unwrap_or_default();
    // Rings that are limited by their worst pair.
    let (cycle, over_pairs) = if switched > Weight::default() && switched >= over_switches && !meshed {
        (None, Weight::default())
    } else {
        cycles(space)
    };
    let mut bound = exchange::root_bound(space, objective);
    if !meshed {
        bound = bound.min(over_switches.max(over_pairs));
    }
    if !on_switch.is_empty() && switched >= bound && on_switch.len() <= MAX_SPACES {
        return Stage { set: on_switch[0].1, bound: switched, spaces: on_switch, ring: None };
    }
    best = on_switch.iter().take(1).map(|(_, set)| (switched, *set)).chain([best]).max().unwrap_or(best);
    let mut held = None;
    if let Some((set, near)) = cycle {
        let own = (worth(set), set);
        if own.0 >= best.0 && space.holds(own.1) {
            best = own;
            held = Some(near);
        }
    }
    // All pairs of a set may be as good as the worst pair of its ring.
    let cliques = space.at_least(bound);
    if !meshed && let Fit::Yes(set) = cliques.any() {
        let value = worth(set);
        if value >= bound {
            return Stage { set, bound: value, spaces: vec![(cliques, set)], ring: None };
        }
    }
    let held = held.filter(|_| best.0 >= bound);
    Stage { set: best.1, bound: bound.max(best.0), spaces: Vec::new(), ring: held }
}

/// Finds a cycle with the greatest weight of its worst pair, and returns its members and the neighbours of each candidate over
/// pairs of that weight, with an upper bound on the worst pair of any cycle.
fn cycles(space: &SearchSpace<'_>) -> (Option<(Set, Vec<Set>)>, Weight) {
    let Task { include, count, .. } = *space.task;
    let levels = space.levels();
    let graph = |level: Weight| -> Vec<Set> {
        let linked = |gpu: usize| if space.open >> gpu & 1 == 1 { space.linked(gpu, level) } else { 0 };
        (0..space.weights.gpus()).map(linked).collect()
    };
    let core = |level: &Weight| ring_core(&graph(*level), space.open, include, count).is_some();
    let first = levels.partition_point(|level| !core(level));
    let Some(bound) = levels.get(first).copied() else { return (None, Weight::default()) };
    let (mut low, mut high, mut looks) = (first, levels.len(), MAX_CYCLE_LOOKS);
    let mut found = None;
    // The first probe tries the best possible level.
    let mut probe = first;
    while low < high {
        let near = graph(levels[probe]);
        let (before, mut own) = (looks, looks / 3);
        let order = cycle(&near, space.open, include, count, &mut own);
        looks -= before / 3 - own;
        match order {
            Some(order) => {
                found = Some((of(order), near));
                high = probe;
            }
            None => low = probe + 1,
        }
        probe = low.midpoint(high);
    }
    (found, bound)
}
