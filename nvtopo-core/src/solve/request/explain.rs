//! The alternatives to a decision: the next best set, and the lowest GPUs.

use super::allowed::best_of;
use super::decision::Decision;
use crate::model::Topology;
use crate::solve::placement::explain::{Alternative, alternative};
use crate::solve::search;
use crate::solve::search::problem::{Solution, Task};
use crate::solve::search::set::{self, Set, members};

impl Decision {
    /// The best set that lacks one of the chosen, whichever that is.
    pub(in crate::solve) fn next(&self, topology: &Topology) -> Option<Alternative> {
        let question = &self.question;
        let task = question.task(&self.limits);
        let weights = &question.weights;
        if let Some(sets) = &question.allowed {
            let others: Vec<Set> = sets.iter().copied().filter(|set| *set != self.solution.chosen).collect();
            return best_of(weights, &task, &others).ok().map(|best| self.alternative(topology, &best));
        }
        let without = |gpu: usize| search::solve(weights, &Task { barred: 1 << gpu, ..task }).ok();
        let others = members(self.solution.chosen & !question.include).filter_map(without);
        // Of equal ones the first that the search comes to.
        let best = others.reduce(|best, other| if other.values > best.values { other } else { best })?;
        Some(self.alternative(topology, &best))
    }

    /// The free GPUs with the lowest numbers.
    pub(in crate::solve) fn first_fit(&self, topology: &Topology) -> Option<Alternative> {
        let question = &self.question;
        let lowest = set::of(members(question.free).take(question.count));
        if lowest == self.solution.chosen || question.include & !lowest != 0 {
            return None;
        }
        Some(self.alternative(topology, &self.value(lowest)?))
    }

    fn value(&self, set: Set) -> Option<Solution> {
        let question = &self.question;
        let objectives = &question.criteria.objectives;
        let task = Task {
            include: set,
            ..Task::new(question.free, question.count, objectives, &question.criteria.mix)
        };
        search::solve(&question.weights, &task).ok()
    }

    fn alternative(&self, topology: &Topology, other: &Solution) -> Alternative {
        let weights = &self.question.weights;
        let own = Task { include: other.chosen, objectives: &[], ..self.question.task(&self.limits) };
        let allowed = self.question.allowed.as_ref().is_none_or(|sets| sets.contains(&other.chosen));
        let meets = allowed && search::solve(weights, &own).is_ok();
        let (gpus, objectives) = (weights.positions(other.chosen), &self.question.criteria.objectives);
        let chosen = weights.positions(self.solution.chosen);
        let room = self.limits.nic_room.as_deref();
        alternative(topology, gpus, other, (&chosen, &self.solution), objectives, room, meets)
    }
}
