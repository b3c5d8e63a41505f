//! Requests for GPUs of machines that have more of them than a set has bits: answered by domains, where there are such.

use super::decision::Chosen;
use super::solver::Solver;
use crate::error::{Error, Result};
use crate::solve::objective::criteria::Criteria;
use crate::solve::placement::Placement;
use crate::solve::placement::explain::{Alternative, alternative};
use crate::solve::placement::needs::Service;
use crate::solve::search::domains::{Ask, Domains, Use};
use crate::solve::search::objective::Objective;
use crate::solve::search::problem::Solution;
use crate::solve::search::tolerance::Tolerance;
use std::sync::Arc;

/// A request that was decided.
pub(in crate::solve) struct Large<'a> {
    solver: &'a Solver,
    domains: Arc<Option<Domains>>,
    /// What may be done with each GPU.
    uses: Vec<Use>,
    count: usize,
    criteria: Criteria,
    chosen: Vec<usize>,
    solution: Solution,
    /// What a person should know of the GPUs that were not to choose from.
    remarks: Vec<String>,
}

impl<'a> Large<'a> {
    /// Chooses `count` of the candidates with those that must be in. `None` where domains do not tell the answer.
    pub(in crate::solve) fn decide(
        solver: &'a Solver,
        candidates: &[usize],
        include: &[usize],
        count: usize,
        criteria: Criteria,
        tolerance: Tolerance,
    ) -> Result<Option<Self>> {
        let topology = solver.topology();
        let domains = solver.domains(tolerance);
        let mut uses = vec![Use::Gone; topology.gpus().len()];
        for gpu in candidates {
            uses[*gpu] = if include.contains(gpu) { Use::In } else { Use::Open };
        }
        let mut own = Self {
            solver,
            domains,
            uses,
            count,
            criteria,
            chosen: Vec::new(),
            solution: Solution::default(),
            remarks: Vec::new(),
        };
        let Some(answer) = own.solve(&own.uses) else { return Ok(None) };
        (own.chosen, own.solution) = answer.ok_or_else(|| Error::unsatisfiable("there is no such set"))?;
        Ok(Some(own))
    }

    /// With what a person should know of the GPUs that were not to choose from.
    pub(in crate::solve) fn remarking(self, remarks: Vec<String>) -> Self {
        Self { remarks, ..self }
    }

    /// The best set and what it is worth. `None`: domains do not tell; none within: there is no set.
    #[expect(clippy::option_option, reason = "an answer that there is none is not no answer")]
    fn solve(&self, uses: &[Use]) -> Option<Option<(Vec<usize>, Solution)>> {
        let objectives: &[&'static dyn Objective] = &self.criteria.objectives;
        let ask = Ask { uses, count: self.count, objectives, mix: &self.criteria.mix };
        let found = self.domains.as_ref().as_ref()?.solve(&ask)?;
        Some(found.ok().map(|answer| {
            let solution = answer.solution();
            (answer.gpus, solution)
        }))
    }

    /// The answer with what belongs to the GPUs.
    pub(in crate::solve) fn placement(&self, service: Service<'_>) -> Result<Placement> {
        let free: Vec<usize> = (0..self.uses.len()).filter(|gpu| self.uses[*gpu] != Use::Gone).collect();
        let chosen = Chosen {
            solver: self.solver,
            gpus: &self.chosen,
            free: &free,
            solution: &self.solution,
            criteria: &self.criteria,
            remarks: &self.remarks,
            nic_room: None,
        };
        chosen.placement(service)
    }

    /// The best set that lacks one of the chosen, whichever that is.
    pub(in crate::solve) fn next(&self) -> Option<Alternative> {
        let without = |gpu: &usize| {
            let mut uses = self.uses.clone();
            uses[*gpu] = Use::Left;
            self.solve(&uses)?
        };
        let others = self.chosen.iter().filter(|gpu| self.uses[**gpu] == Use::Open).filter_map(without);
        let best = others.reduce(|best, other| if other.1.values > best.1.values { other } else { best })?;
        Some(self.alternative(best))
    }

    /// The free GPUs with the lowest numbers.
    pub(in crate::solve) fn first_fit(&self) -> Option<Alternative> {
        let mut uses = self.uses.clone();
        let free = uses.iter_mut().filter(|own| **own != Use::Gone);
        free.take(self.count).for_each(|own| *own = Use::In);
        let (gpus, solution) = self.solve(&uses)??;
        let held =
            (0..self.uses.len()).filter(|gpu| self.uses[*gpu] == Use::In).all(|gpu| gpus.contains(&gpu));
        (held && gpus != self.chosen).then(|| self.alternative((gpus, solution)))
    }

    fn alternative(&self, (gpus, other): (Vec<usize>, Solution)) -> Alternative {
        alternative(
            self.solver.topology(),
            gpus,
            &other,
            (&self.chosen, &self.solution),
            &self.criteria.objectives,
            None,
            true,
        )
    }
}
