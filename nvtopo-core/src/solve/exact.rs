//! The search for the best set: depth first in the order of the indices, cut by bounds.
//!
//! GPUs that can be exchanged without changing any weight are tried in one order only, so that a switched machine
//! costs no more than a single set. The first set found of several equal ones has the lowest indices.

use super::objective::{Objective, Partial, Set};
use super::weights::{Weight, Weights};

/// Steps after which the search stops and answers with the best so far.
const MAX_STEPS: u64 = 400_000;

/// What the search found.
pub(super) struct Solution {
    /// The chosen candidates.
    pub(super) chosen: Set,
    /// One value for each objective.
    pub(super) values: Vec<Weight>,
    /// No set is worth more, objective by objective; equal to the values where the search was complete.
    pub(super) bounds: Vec<Weight>,
    /// Whether every set was examined or excluded by a bound.
    pub(super) complete: bool,
    /// How many sets and parts of sets were examined.
    pub(super) steps: u64,
}

/// The best set of `count` candidates among `free` that holds all of `include`. Both are sets of candidates, `include`
/// within `free`, of which there are at least `count`.
pub(super) fn solve(
    weights: &Weights,
    free: Set,
    include: Set,
    count: usize,
    objectives: &[&'static dyn Objective],
) -> Solution {
    Search::new(weights, free, include, objectives).run(count)
}

struct Search<'a> {
    weights: &'a Weights,
    objectives: &'a [&'static dyn Objective],
    free: Set,
    included: Set,
    /// For each candidate the later ones that can stand in for it.
    twins: Vec<Set>,
    greatest: Weight,
    best: Option<(Vec<Weight>, Set)>,
    /// Whether every value that was compared is all that its set is worth.
    proven: bool,
    steps: u64,
}

/// Where the search stands: what is chosen, and what that means for the others.
#[derive(Clone)]
struct State {
    chosen: Set,
    missing: usize,
    worst: Weight,
    sum: Weight,
    /// The next candidate to decide on; earlier ones are decided.
    next: usize,
    skipped: Set,
    /// For each candidate the worst weight and the sum of weights to the chosen.
    to_chosen: Vec<(Weight, Weight)>,
}

impl<'a> Search<'a> {
    fn new(weights: &'a Weights, free: Set, included: Set, objectives: &'a [&'static dyn Objective]) -> Self {
        let count = weights.gpus();
        let open = |gpu: usize| (free & !included) >> gpu & 1 == 1;
        let links = objectives.iter().any(|objective| objective.sees_links());
        let twins = |a: usize, b: usize| weights.twins(a, b) && (!links || weights.link_twins(a, b));
        let twins = (0..count)
            .map(|a| {
                let later = (a + 1..count).filter(|&b| open(a) && open(b) && twins(a, b));
                later.fold(0, |set, b| set | 1 << b)
            })
            .collect();
        let greatest =
            (0..count).flat_map(|a| weights.row(a)[a + 1..].iter().copied()).max().unwrap_or_default();
        Self { weights, objectives, free, included, twins, greatest, best: None, proven: true, steps: 0 }
    }

    fn run(mut self, count: usize) -> Solution {
        let mut state = State {
            chosen: 0,
            missing: count,
            worst: Weight::MAX,
            sum: Weight::default(),
            next: 0,
            skipped: !self.free,
            to_chosen: vec![(Weight::MAX, Weight::default()); self.weights.gpus()],
        };
        for gpu in (0..self.weights.gpus()).filter(|gpu| self.included >> gpu & 1 == 1) {
            state.choose(gpu, self.weights);
        }
        let root = self.bounds(&state);
        self.descend(state);
        let complete = self.steps < MAX_STEPS && self.proven;
        // There are at least `count` candidates, so the first descent reaches a set before any limit.
        let (values, chosen) = self.best.unwrap_or_default();
        let bounds = if complete { values.clone() } else { root };
        Solution { chosen, values, bounds, complete, steps: self.steps }
    }

    fn descend(&mut self, mut state: State) {
        self.steps += 1;
        if state.missing == 0 {
            self.record(&state);
            return;
        }
        while self.steps < MAX_STEPS || self.best.is_none() {
            let decided = state.chosen | state.skipped;
            let Some(gpu) = (state.next..self.weights.gpus()).find(|gpu| decided >> gpu & 1 == 0) else {
                return;
            };
            state.next = gpu + 1;
            let mut with = state.clone();
            with.choose(gpu, self.weights);
            if self.may_improve(&with) {
                self.descend(with);
            }
            // Without this one, none of its twins either: the same set under other names was just tried.
            state.skipped |= self.twins[gpu] | 1 << gpu;
            if !self.may_improve(&state) {
                return;
            }
        }
    }

    fn partial<'s>(&'s self, state: &State, open_set: Set, open: &'s [(Weight, Weight)]) -> Partial<'s> {
        Partial {
            weights: self.weights,
            chosen: state.chosen,
            open_set,
            worst: state.worst,
            sum: state.sum,
            missing: state.missing,
            open,
            greatest: self.greatest,
        }
    }

    /// What may still be chosen.
    fn open(&self, state: &State) -> (Set, Vec<(Weight, Weight)>) {
        let decided = state.chosen | state.skipped;
        let open = (state.next..self.weights.gpus()).filter(|gpu| decided >> gpu & 1 == 0);
        let set = open.clone().fold(0, |set, gpu| set | 1 << gpu);
        (set, open.map(|gpu| state.to_chosen[gpu]).collect())
    }

    fn bounds(&self, state: &State) -> Vec<Weight> {
        let (set, open) = self.open(state);
        let partial = self.partial(state, set, &open);
        self.objectives.iter().map(|objective| objective.bound(&partial)).collect()
    }

    /// Whether some set that extends this one may be better than the best so far.
    fn may_improve(&self, state: &State) -> bool {
        let (set, open) = self.open(state);
        if open.len() < state.missing {
            return false;
        }
        let Some((best, _)) = &self.best else { return true };
        let partial = self.partial(state, set, &open);
        for (objective, best) in self.objectives.iter().zip(best) {
            match objective.bound(&partial).cmp(best) {
                std::cmp::Ordering::Less => return false,
                std::cmp::Ordering::Greater => return true,
                std::cmp::Ordering::Equal => {}
            }
        }
        false
    }

    fn record(&mut self, state: &State) {
        let partial = self.partial(state, 0, &[]);
        let mut values = Vec::with_capacity(self.objectives.len());
        let (mut ahead, mut proven) = (self.best.is_none(), self.proven);
        for (index, objective) in self.objectives.iter().enumerate() {
            let value = objective.value(&partial, self.free & !state.chosen);
            proven &= objective.is_proven(&partial);
            match &self.best {
                Some((best, _)) if !ahead && value < best[index] => break,
                Some((best, _)) => ahead |= value > best[index],
                None => {}
            }
            values.push(value);
        }
        self.proven = proven;
        if ahead && values.len() == self.objectives.len() {
            self.best = Some((values, state.chosen));
        }
    }
}

impl State {
    fn choose(&mut self, gpu: usize, weights: &Weights) {
        let (worst, sum) = self.to_chosen[gpu];
        self.worst = self.worst.min(worst);
        self.sum.0 += sum.0;
        self.chosen |= 1 << gpu;
        self.missing -= 1;
        for (own, weight) in self.to_chosen.iter_mut().zip(weights.row(gpu)) {
            *own = (own.0.min(*weight), Weight(own.1.0 + weight.0));
        }
    }
}
