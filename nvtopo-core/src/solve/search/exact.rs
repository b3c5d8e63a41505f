//! Branch and bound for the best set: depth first in the order of the indices.
//!
//! Interchangeable GPUs are tried in one order only, so that a switched machine costs no more than a single set. The first of
//! several equal sets has the lowest indices.

use super::problem::{NoSet, Solution, Task};
use super::quota::Quotas;
use super::set::{above, members, of};
use super::weights::Weights;
use crate::query::Weight;
use crate::solve::search::objective::{MAX_OBJECTIVES, Partial};
use crate::solve::search::set::Set;
use std::cmp::Ordering;

/// Finds the best set.
pub(in crate::solve) fn search(weights: &Weights, task: &Task<'_>) -> Result<Solution, NoSet> {
    Search::new(weights, task).run()
}

/// Finds the best set, at least as good as the feasible set `first`.
pub(super) fn improve(weights: &Weights, task: &Task<'_>, first: Set) -> Solution {
    let mut search = Search::new(weights, task);
    let mut state = State::of_none(task.count, task.free);
    for gpu in members(first) {
        state = search.choose(&state, gpu);
    }
    search.record(&state);
    // A set is known, so there is one.
    search.run().unwrap_or_default()
}

/// The value of a set by each objective, and whether it is exact.
type Values = [(Weight, bool); MAX_OBJECTIVES];

struct Search<'a> {
    weights: &'a Weights,
    task: &'a Task<'a>,
    /// The later candidates that each candidate can replace.
    interchangeable: [Set; Set::BITS as usize],
    greatest: Weight,
    /// The worst weight and the sum of weights of every candidate to the chosen, for each depth.
    to_chosen: Vec<(Weight, Weight)>,
    best: Option<Best>,
    /// The first objective at which a comparison used a value that may be too low. By the objectives before it no set is better.
    doubt: usize,
    steps: u64,
    /// The effort for objectives after the first: no more than half of the steps, or the first could not decide either.
    ties: u64,
}

struct Best {
    state: State,
    values: Values,
    /// The number of values that are computed.
    known: usize,
}

/// A node of the search tree.
#[derive(Clone, Copy)]
struct State {
    chosen: Set,
    missing: usize,
    worst: Weight,
    sum: Weight,
    /// The candidates that may still be chosen.
    open: Set,
}

impl State {
    fn of_none(missing: usize, open: Set) -> Self {
        Self { chosen: 0, missing, worst: Weight::MAX, sum: Weight::default(), open }
    }

    fn depth(&self) -> usize {
        self.chosen.count_ones() as usize
    }
}

impl<'a> Search<'a> {
    fn new(weights: &'a Weights, task: &'a Task<'a>) -> Self {
        let open = task.free & !task.include & !task.barred;
        let alike = |a: usize, b: usize| {
            task.objectives.iter().all(|objective| objective.interchangeable(weights, a, b))
        };
        // Candidates with different permitted partners are not interchangeable.
        let near = |a: usize, b: usize| {
            let both = 1 << a | 1 << b;
            task.near.is_none_or(|near| (near[a] | both) == (near[b] | both))
                && task.quotas.is_none_or(|quotas| quotas.alike(a, b))
        };
        let mut interchangeable = [0; Set::BITS as usize];
        for a in members(open) {
            let later = weights.interchangeable()[a] & open & above(a);
            interchangeable[a] = of(members(later).filter(|b| near(a, *b) && alike(a, *b)));
        }
        let inside = |gpu: u8| task.free >> gpu & 1 == 1;
        let greatest = weights.descending().iter().find(|(_, a, b)| inside(*a) && inside(*b));
        let greatest = greatest.map_or(Weight::default(), |(weight, _, _)| *weight);
        let to_chosen = vec![(Weight::MAX, Weight::default()); weights.gpus() * (task.count + 1)];
        Self {
            weights,
            task,
            interchangeable,
            greatest,
            to_chosen,
            best: None,
            doubt: usize::MAX,
            steps: 0,
            ties: 0,
        }
    }

    fn run(mut self) -> Result<Solution, NoSet> {
        let everything = [Set::MAX];
        let scopes = self.task.scopes.unwrap_or(&everything);
        let mut roots = [Weight::default(); MAX_OBJECTIVES];
        for scope in scopes {
            let Some(root) = self.root(*scope) else { continue };
            let partial = self.partial(&root);
            for (bound, objective) in roots.iter_mut().zip(self.task.objectives) {
                *bound = objective.tighter_bound(&partial, objective.bound(&partial)).max(*bound);
            }
            if self.may_improve(&root) {
                self.descend(root);
            }
        }
        let count = self.task.objectives.len();
        let finished = self.steps < self.task.most_steps;
        let complete = finished && self.doubt == usize::MAX;
        if count > 0 {
            self.value_of_best(count - 1);
        }
        let Some(Best { state, values, .. }) = self.best else {
            return Err(NoSet { proven: finished });
        };
        let known = |index: usize| finished && index < self.doubt && values[index].1;
        let values = values.map(|(worth, _)| worth);
        // A value that was found may exceed the bound at the root if a computation had to stop early.
        let bound = |index: usize| if known(index) { values[index] } else { roots[index].max(values[index]) };
        let bounds = (0..count).map(bound).collect();
        let chosen = state.chosen;
        Ok(Solution { chosen, values: values[..count].to_vec(), bounds, complete, steps: self.steps })
    }

    /// Returns the root of a scope, with the included candidates chosen; `None` if they cannot be chosen within the scope.
    fn root(&mut self, scope: Set) -> Option<State> {
        let open = self.may_join(0, self.task.free & scope & !self.task.barred);
        let mut state = State::of_none(self.task.count, open);
        for gpu in members(self.task.include) {
            if state.open >> gpu & 1 == 0 || state.missing == 0 {
                return None;
            }
            state = self.choose(&state, gpu);
        }
        Some(state)
    }

    fn choose(&mut self, state: &State, gpu: usize) -> State {
        let count = self.weights.gpus();
        let depth = state.depth();
        let (before, after) = self.to_chosen[depth * count..][..2 * count].split_at_mut(count);
        let (worst, sum) = before[gpu];
        for ((own, weight), so_far) in after.iter_mut().zip(self.weights.row(gpu)).zip(before) {
            *own = (so_far.0.min(*weight), Weight(so_far.1.0 + weight.0));
        }
        let near = self.task.near.map_or(Set::MAX, |near| near[gpu]);
        let chosen = state.chosen | 1 << gpu;
        State {
            chosen,
            missing: state.missing - 1,
            worst: state.worst.min(worst),
            sum: Weight(state.sum.0 + sum.0),
            open: self.may_join(chosen, state.open & near & !(1 << gpu)),
        }
    }

    /// Returns the open candidates that the quotas have room for.
    fn may_join(&self, chosen: Set, open: Set) -> Set {
        self.task.quotas.map_or(open, |quotas| quotas.open(chosen, open))
    }

    /// Returns whether a partial set may have no feasible completion although there seems to be room for what is missing.
    fn may_mislead(&self) -> bool {
        self.task.near.is_some() || self.task.quotas.is_some_and(Quotas::may_mislead)
    }

    fn descend(&mut self, mut state: State) {
        self.steps += 1;
        if state.missing == 0 {
            self.record(&state);
            return;
        }
        while self.steps < self.task.most_steps || (self.best.is_none() && !self.may_mislead()) {
            if state.open == 0 {
                return;
            }
            let gpu = state.open.trailing_zeros() as usize;
            state.open &= state.open - 1;
            let with = self.choose(&state, gpu);
            if self.may_improve(&with) {
                self.descend(with);
            }
            // Without this one, none that is interchangeable with it either: these give sets of equal value that were just tried.
            state.open &= !self.interchangeable[gpu];
            if !self.may_improve(&state) {
                return;
            }
        }
    }

    fn partial(&self, state: &State) -> Partial<'_> {
        let count = self.weights.gpus();
        Partial {
            weights: self.weights,
            mix: self.task.mix,
            free: self.task.free,
            chosen: state.chosen,
            worst: state.worst,
            sum: state.sum,
            missing: state.missing,
            open: state.open,
            to_chosen: &self.to_chosen[state.depth() * count..][..count],
            greatest: self.greatest,
            nic_room: self.task.nic_room,
            compared: None,
        }
    }

    /// Returns whether some set that extends this one may be better than the best so far.
    fn may_improve(&mut self, state: &State) -> bool {
        let open = state.open.count_ones() as usize;
        if self.task.quotas.map_or(open, |quotas| quotas.room(state.chosen, state.open)) < state.missing {
            return false;
        }
        for (index, objective) in self.task.objectives.iter().enumerate() {
            if self.skips(index) {
                return false;
            }
            let Some((best, _)) = self.value_of_best(index) else { return true };
            let partial = Partial { compared: Some(best), ..self.partial(state) };
            let mut bound = objective.bound(&partial);
            if bound >= best {
                bound = objective.tighter_bound(&partial, bound);
            }
            match bound.cmp(&best) {
                Ordering::Less => return false,
                Ordering::Greater => return true,
                Ordering::Equal => {}
            }
        }
        self.best.is_none()
    }

    /// Returns whether an objective after the first is left out from now on.
    fn skips(&mut self, index: usize) -> bool {
        let skips = index > 0 && self.ties >= self.task.most_steps / 2;
        if skips {
            self.doubt = self.doubt.min(index);
        }
        skips
    }

    /// Returns the value of a complete set by one objective, and whether it is exact.
    fn value(&mut self, state: &State, index: usize) -> (Weight, bool) {
        let rest = self.task.free & !state.chosen;
        let value = self.task.objectives[index].value(&self.partial(state), rest);
        let effort = u64::from(value.effort);
        if index == 0 {
            self.steps += effort;
        } else {
            self.steps += effort.min((self.task.most_steps / 2).saturating_sub(self.ties));
            self.ties += effort;
        }
        (value.worth, value.proven)
    }

    /// Returns the value of the best set so far by one objective, computed on demand: the first objectives decide most
    /// comparisons, and the others are more expensive.
    fn value_of_best(&mut self, index: usize) -> Option<(Weight, bool)> {
        let Best { state, known, .. } = *self.best.as_ref()?;
        for next in known..=index {
            let value = self.value(&state, next);
            let best = self.best.as_mut()?;
            (best.values[next], best.known) = (value, next + 1);
        }
        self.best.as_ref().map(|best| best.values[index])
    }

    fn record(&mut self, state: &State) {
        let mut own = Best { state: *state, values: Values::default(), known: 0 };
        let mut ahead = self.best.is_none();
        for index in 0..self.task.objectives.len() {
            if ahead {
                break;
            }
            if self.skips(index) {
                return;
            }
            let (worth, proven) = self.value(state, index);
            (own.values[index], own.known) = ((worth, proven), index + 1);
            let Some((best, best_proven)) = self.value_of_best(index) else { break };
            let order = worth.cmp(&best);
            // A value that is not proven may be too low.
            if !proven && order != Ordering::Greater || !best_proven && order != Ordering::Less {
                self.doubt = self.doubt.min(index);
            }
            match order {
                Ordering::Less => return,
                Ordering::Greater => ahead = true,
                Ordering::Equal => {}
            }
        }
        if ahead {
            self.best = Some(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topology;
    use crate::query::LOOKS_LEFT;
    use crate::solve::objective::by_names;
    use crate::solve::objective::criteria::Criteria;
    use crate::solve::search::objective::Objective;
    use crate::solve::search::set;
    use crate::solve::search::value::Value;

    /// Runs a search that may examine that many million paths and cycles for rings; panics if it examines more.
    fn within<T>(millions: u64, run: impl FnOnce() -> T) -> T {
        LOOKS_LEFT.set(millions * 1_000_000);
        let result = run();
        LOOKS_LEFT.set(u64::MAX);
        result
    }

    /// Returns a machine of 16 GPUs of which no two have the same NVLinks.
    fn all_different() -> Topology {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/hostile/j-16gpu-all.json");
        Topology::parse("j-16gpu-all.json", &std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn decisions_on_a_machine_without_structure_end_after_so_many_looks() {
        let topology = all_different();
        let all: Vec<usize> = (0..16).collect();
        let criteria = Criteria::new::<&str>(None, None, &topology).unwrap();
        for gpus in 2..=16 {
            let (rings, effort) = topology.rings_with_effort(&all[..gpus]);
            assert!(rings.is_some() && effort <= 330_000 / 8, "{gpus}: {effort}");
        }
        for count in [8, 12] {
            let weights = Weights::of(&topology, &all);
            let task = Task::new(set::all(16), count, &criteria.objectives, &criteria.mix);
            let found = within(12, || crate::solve::search::solve(&weights, &task)).unwrap();
            assert!(!found.complete, "{count}: nobody can have looked at all");
            for (value, bound) in found.values.iter().zip(&found.bounds) {
                assert!(bound >= value, "{count}: {value:?} of {bound:?}");
            }
        }
    }

    #[test]
    fn jobs_on_a_machine_without_structure_are_decided_within_so_many_looks() {
        let topology = all_different();
        let weights = Weights::of(&topology, &(0..16).collect::<Vec<_>>());
        let criteria = Criteria::new::<&str>(None, None, &topology).unwrap();
        let mut free = set::all(16);
        within(200, || {
            for count in [2, 3, 1, 5, 4] {
                let task = Task::new(free, count, &criteria.objectives, &criteria.mix);
                let found = crate::solve::search::solve(&weights, &task).unwrap();
                assert_eq!(found.chosen.count_ones() as usize, count);
                free &= !found.chosen;
            }
        });
    }

    #[test]
    fn the_effort_for_rings_counts_as_steps() {
        // 24 GPUs with links of their own between all pairs.
        let cell =
            |a: usize, b: usize| if a == b { " X ".into() } else { format!("NV{}", 1 + (a * b + a + b) % 9) };
        let names: Vec<String> = (0..24).map(|gpu| format!("GPU{gpu}")).collect();
        let row = |a: usize| {
            let cells: Vec<String> = (0..24).map(|b| cell(a, b)).collect();
            format!("GPU{a}\t{}\t0-15\n", cells.join("\t"))
        };
        let text = format!("\t{}\tCPU Affinity\n{}", names.join("\t"), (0..24).map(row).collect::<String>());
        let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
        let weights = Weights::of(&topology, &(0..24).collect::<Vec<_>>());
        let objectives = by_names(["ring"]).unwrap();
        let task = Task { most_steps: 100_000, ..Task::new(set::all(24), 12, &objectives[..1], &[]) };
        // Eight looks count as one step, and the last set may take more than is left.
        let found = within(1, || search(&weights, &task)).unwrap();
        assert!(!found.complete && found.bounds[0] > found.values[0]);
    }

    #[test]
    fn the_effort_for_the_rings_of_remaining_gpus_counts_as_steps() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/solver/dense18-16.json");
        let topology = Topology::parse("dense18-16.json", &std::fs::read(path).unwrap()).unwrap();
        let weights = Weights::of(&topology, &(0..16).collect::<Vec<_>>());
        let criteria = Criteria::new(Some(&["remainder"]), None, &topology).unwrap();
        let task = Task::new(set::all(16), 3, &criteria.objectives, &criteria.mix);
        // Eight looks count as one step, and two steps of the search for these rings as one of this search.
        let found = within(8 * 2 * task.most_steps / 1_000_000 + 1, || search(&weights, &task)).unwrap();
        assert!(!found.complete && found.steps >= task.most_steps, "{found:?}");
        assert!(found.bounds.iter().zip(&found.values).all(|(bound, value)| bound >= value), "{found:?}");
    }

    /// Returns a machine of twelve GPUs, of which the first six have NVLinks that grow with their numbers.
    fn two_scopes() -> Topology {
        let cell = |a: usize, b: usize| match (a == b, a.max(b)) {
            (true, _) => " X ".to_owned(),
            (_, last @ ..6) => format!("NV{last}"),
            _ => "SYS".to_owned(),
        };
        let names: Vec<String> = (0..12).map(|gpu| format!("GPU{gpu}")).collect();
        let cells = |a: usize| (0..12).map(|b| cell(a, b)).collect::<Vec<_>>().join("\t");
        let rows: Vec<String> = (0..12).map(|a| format!("GPU{a}\t{}\t0-15\n", cells(a))).collect();
        let text = format!("\t{}\tCPU Affinity\n{}", names.join("\t"), rows.concat());
        Topology::parse("topo.txt", text.as_bytes()).unwrap()
    }

    #[test]
    fn whatever_the_limit_there_is_a_set_and_no_better_one_than_the_bound() {
        let topology = two_scopes();
        let weights = Weights::of(&topology, &(0..12).collect::<Vec<_>>());
        let scopes = [0x03f, 0xfc0];
        for (names, scopes) in
            [vec!["pair-sum"], vec!["min-pair", "pair-sum"]].into_iter().flat_map(|names| {
                [None, Some(&scopes[..]), Some(&scopes[..1])].map(move |scopes| (names.clone(), scopes))
            })
        {
            let count = names.len();
            let objectives = by_names(names).unwrap();
            let whole = Task { scopes, ..Task::new(set::all(12), 3, &objectives[..count], &[]) };
            let best = search(&weights, &whole).unwrap();
            assert!(best.complete && best.values == best.bounds);
            let mut cut = 0;
            for most_steps in 0..best.steps + 3 {
                let found = search(&weights, &Task { most_steps, ..whole }).unwrap();
                assert_eq!(found.chosen.count_ones(), 3, "{most_steps}");
                assert!(found.values <= best.values, "{most_steps}");
                for (place, bound) in found.bounds.iter().enumerate() {
                    // The bound of an objective holds for sets that are as good by the objectives before.
                    let as_good = found.values[..place] == best.values[..place];
                    assert!(!as_good || *bound >= best.values[place], "{most_steps}: {bound:?}");
                }
                assert_eq!(found.complete, most_steps > best.steps, "{most_steps} of {}", best.steps);
                cut += usize::from(!found.complete);
            }
            assert!(cut > 10, "{cut}");
        }
    }

    /// An objective by a given value of each set, and whether the value is exact.
    struct Found(fn(Set) -> (u64, bool));

    impl Objective for Found {
        fn name(&self) -> &'static str {
            "found"
        }

        fn summary(&self) -> &'static str {
            "What is found of a set."
        }

        fn interchangeable(&self, _weights: &Weights, _a: usize, _b: usize) -> bool {
            false
        }

        fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
            let (worth, proven) = (self.0)(partial.chosen);
            Value { worth: Weight(worth), proven, effort: 0 }
        }

        fn bound(&self, _partial: &Partial<'_>) -> Weight {
            Weight(9)
        }
    }

    #[test]
    fn a_set_that_may_be_worth_more_than_was_found_leaves_a_doubt() {
        const FIRST: Set = 0x7ff;
        let topology = two_scopes();
        let weights = Weights::of(&topology, &(0..12).collect::<Vec<_>>());
        let solve = |count: usize, of: fn(Set) -> (u64, bool)| {
            let objectives: [&'static dyn Objective; 1] = [Box::leak(Box::new(Found(of)))];
            let found = search(&weights, &Task::new(set::all(12), count, &objectives, &[])).unwrap();
            (found.chosen == FIRST, found.values[0].0, found.bounds[0].0, found.complete)
        };
        assert_eq!(solve(11, |set| (if set == FIRST { 2 } else { 1 }, true)), (true, 2, 2, true));
        // The values of the other sets are lower bounds, so one of them may be better.
        assert_eq!(solve(11, |set| if set == FIRST { (2, true) } else { (1, false) }), (true, 2, 9, false));
        // The value of an earlier best set may be a lower bound, too.
        assert_eq!(solve(11, |set| if set == FIRST { (1, false) } else { (2, true) }), (false, 2, 9, false));
        // The only set is the best, whatever its value.
        assert_eq!(solve(12, |_| (1, false)), (false, 1, 9, true));
    }
}
