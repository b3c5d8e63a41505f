//! A request that was decided: what was asked of which GPUs, and what the search found.

use super::class::Class;
use super::constraint::{Constraint, Limits};
use super::cpus::CpuLimits;
use super::criteria::Criteria;
use super::exact::{Solution, Task};
use super::objective::Set;
use super::placement::{self, Placement};
use super::unmet::Unmet;
use crate::model::Topology;
use std::sync::Arc;

/// What is asked, with GPUs as candidates of a class.
pub(super) struct Question {
    pub(super) class: Arc<Class>,
    pub(super) free: Set,
    pub(super) include: Set,
    pub(super) count: usize,
    pub(super) criteria: Criteria,
    /// The names of GPUs that nobody can use, and why.
    pub(super) unusable: Vec<(String, String)>,
}

impl Question {
    /// The search for the answer.
    pub(super) fn task<'a>(&'a self, limits: &'a Limits) -> Task<'a> {
        Task {
            include: self.include,
            scopes: limits.scopes.as_deref(),
            near: limits.near.as_deref(),
            ..Task::new(self.free, self.count, &self.criteria.objectives, &self.criteria.mix)
        }
    }
}

pub(super) struct Decision {
    pub(super) question: Question,
    pub(super) limits: Limits,
    pub(super) solution: Arc<Solution>,
    /// The preference that is met, and those that cannot be.
    pub(super) preference: Option<Constraint>,
    pub(super) unmet: Vec<Unmet>,
}

impl Decision {
    /// The answer with what belongs to the GPUs.
    pub(super) fn placement(self, topology: &Topology, limits: &CpuLimits) -> Placement {
        let Self { question, solution, preference, unmet, .. } = self;
        let chosen = question.class.weights.positions(solution.chosen);
        let count = question.free.count_ones() as usize;
        let objectives = &question.criteria.objectives;
        let mut placement = placement::complete(topology, &chosen, count, &solution, objectives, limits);
        placement
            .remark(question.unusable.into_iter().map(|(gpu, why)| format!("{gpu} cannot be used: {why}")));
        placement.stand_on(preference, unmet);
        placement
    }
}
