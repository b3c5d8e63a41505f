//! Why these GPUs: what would have been chosen instead, and what it would have cost.

use super::Placement;
use super::score::{Score, known, scores, write_known};
use crate::model::Topology;
use crate::solve::objective::Quantity;
use crate::solve::objective::{Objective, Set};
use crate::solve::request::decision::Decision;
use crate::solve::search::exact;
use crate::solve::search::exact::{Solution, Task};
use crate::solve::search::set;
use crate::solve::search::set::members;
use std::fmt;

/// A placement beside what it was chosen before.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The GPUs for the job.
    pub placement: Placement,
    /// The best set besides, under the same constraints. `None`: there is no other.
    pub next: Option<Alternative>,
    /// The free GPUs with the lowest numbers, which those take who count GPUs only; whether or not they meet the constraints.
    /// `None`: they are what was chosen, or the request includes others.
    pub first_fit: Option<Alternative>,
}

/// A set of GPUs that was not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternative {
    /// The positions of the GPUs in [`Topology::gpus`](crate::Topology::gpus).
    pub gpus: Vec<usize>,
    /// Their indices.
    pub gpu_indices: Vec<u32>,
    /// One value for each objective, most important first.
    pub scores: Vec<Score>,
    /// Whether it meets what the request requires, and what it prefers as far as that can be had.
    pub meets: bool,
    /// The first objective by which it differs from what was chosen. `None`: both are as good, and the lowest indices decided.
    pub loss: Option<Loss>,
}

/// By what an alternative is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The objective's name.
    pub objective: &'static str,
    /// What the alternative has. `None`: something that it rests on is unknown.
    pub own: Option<Quantity>,
    /// What the chosen set has. Equal to `own` where only the nearness of the paths differs.
    pub chosen: Option<Quantity>,
    /// The unit of both.
    pub unit: &'static str,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.objective)?;
        write_known(f, self.own)?;
        if self.own == self.chosen {
            return f.write_str(" as well, but over farther paths");
        }
        f.write_str(" instead of ")?;
        write_known(f, self.chosen)
    }
}

impl Decision {
    /// The best set that lacks one of the chosen, whichever that is.
    pub(in crate::solve) fn next(&self, topology: &Topology) -> Option<Alternative> {
        let question = &self.question;
        let task = question.task(&self.limits);
        let without =
            |gpu: usize| exact::solve(&question.class.weights, &Task { barred: 1 << gpu, ..task }).ok();
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
        exact::solve(&question.class.weights, &task).ok()
    }

    fn alternative(&self, topology: &Topology, other: &Solution) -> Alternative {
        let weights = &self.question.class.weights;
        let own = Task { include: other.chosen, objectives: &[], ..self.question.task(&self.limits) };
        let meets = exact::solve(weights, &own).is_ok();
        let (gpus, objectives) = (weights.positions(other.chosen), &self.question.criteria.objectives);
        let chosen = weights.positions(self.solution.chosen);
        alternative(topology, gpus, other, (&chosen, &self.solution), objectives, meets)
    }
}

/// A set beside the chosen one.
pub(in crate::solve) fn alternative(
    topology: &Topology,
    gpus: Vec<usize>,
    other: &Solution,
    (chosen_gpus, chosen): (&[usize], &Solution),
    objectives: &[&'static dyn Objective],
    meets: bool,
) -> Alternative {
    let all: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    let values = other.values.iter().zip(&chosen.values).zip(objectives);
    let mut worse = values.filter(|((own, chosen), _)| own != chosen);
    let loss = worse.next().map(|((own, chosen), objective)| Loss {
        objective: objective.name(),
        own: known(topology, &gpus, *objective, *own),
        chosen: known(topology, chosen_gpus, *objective, *chosen),
        unit: objective.quantity(*own).unit(),
    });
    let scores = scores(topology, &gpus, objectives, other);
    let gpu_indices = gpus.iter().map(|gpu| all[*gpu]).collect();
    Alternative { gpus, gpu_indices, scores, meets, loss }
}
