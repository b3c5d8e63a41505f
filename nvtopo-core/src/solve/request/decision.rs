//! A request that was decided: what was asked of which GPUs, and what the search found.

use super::limits::Limits;
use super::solver::Solver;
use crate::error::Result;
use crate::model::{NodeId, Topology};
use crate::solve::constraint::Constraint;
use crate::solve::objective::criteria::Criteria;
use crate::solve::placement::needs::{Service, Supply};
use crate::solve::placement::score::as_measured;
use crate::solve::placement::{Placement, Unmet, complete};
use crate::solve::search::problem::{Solution, Task};
use crate::solve::search::set::Set;
use crate::solve::search::weights::Weights;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The prepared request: candidates, free set, count and criteria.
pub(in crate::solve) struct Question {
    pub(in crate::solve) weights: Arc<Weights>,
    pub(in crate::solve) free: Set,
    pub(in crate::solve) include: Set,
    pub(in crate::solve) count: usize,
    pub(in crate::solve) criteria: Criteria,
    /// The sets that may be chosen, where not all may; of `count` free candidates each, and with those that must be in.
    pub(in crate::solve) allowed: Option<Vec<Set>>,
    /// What a person should know of the GPUs that were not to choose from.
    pub(in crate::solve) remarks: Vec<String>,
}

impl Question {
    /// The search for the answer.
    pub(in crate::solve) fn task<'a>(&'a self, limits: &'a Limits) -> Task<'a> {
        Task {
            include: self.include,
            scopes: limits.scopes.as_deref(),
            near: limits.near.as_deref(),
            nic_room: limits.nic_room.as_deref(),
            quotas: Some(&limits.quotas).filter(|quotas| !quotas.is_empty()),
            ..Task::new(self.free, self.count, &self.criteria.objectives, &self.criteria.mix)
        }
    }
}

pub(in crate::solve) struct Decision {
    pub(in crate::solve) question: Question,
    pub(in crate::solve) limits: Limits,
    pub(in crate::solve) solution: Solution,
    /// The preference that is met, and those that cannot be.
    pub(in crate::solve) preference: Option<Constraint>,
    pub(in crate::solve) unmet: Vec<Unmet>,
    /// What there is beside the GPUs, where the request asks for some of it.
    pub(in crate::solve) supply: Option<Supply>,
}

impl Decision {
    /// The answer with what belongs to the GPUs.
    pub(in crate::solve) fn placement(self, solver: &Solver, service: Service<'_>) -> Result<Placement> {
        let Question { weights, free, criteria, remarks, .. } = &self.question;
        let chosen = Chosen {
            solver,
            gpus: &weights.positions(self.solution.chosen),
            free: &weights.positions(*free),
            solution: &self.solution,
            criteria,
            remarks,
            nic_room: self.limits.nic_room.as_deref(),
        };
        let mut placement = chosen.placement(Service { supply: self.supply.as_ref(), ..service })?;
        placement.stand_on(self.preference, self.unmet);
        Ok(placement)
    }
}

/// GPUs of a machine that were chosen, by their positions.
pub(in crate::solve) struct Chosen<'a> {
    pub(in crate::solve) solver: &'a Solver,
    pub(in crate::solve) gpus: &'a [usize],
    /// Those that they were chosen from.
    pub(in crate::solve) free: &'a [usize],
    pub(in crate::solve) solution: &'a Solution,
    pub(in crate::solve) criteria: &'a Criteria,
    /// What a person should know of the GPUs that were not to choose from.
    pub(in crate::solve) remarks: &'a [String],
    /// How many GPUs each usable NIC has room for, where the request says so.
    pub(in crate::solve) nic_room: Option<&'a [usize]>,
}

impl Chosen<'_> {
    /// These with what belongs to them.
    pub(in crate::solve) fn placement(&self, service: Service<'_>) -> Result<Placement> {
        let Self { solver, gpus, free, solution, criteria, remarks, nic_room } = *self;
        let topology = solver.topology();
        let solution = &*as_measured(topology, gpus, &criteria.objectives, solution, nic_room);
        let mut placement = complete(
            topology,
            solver.local(),
            gpus,
            free.len(),
            solution,
            &criteria.objectives,
            service.limits,
        );
        placement.remark(remarks.iter().cloned());
        placement.remark(one_way(topology, free).filter(|_| gpus.len() > 1));
        service.serve(topology, solver.local(), &mut placement, free)?;
        Ok(placement)
    }
}

/// The remark on pairs of GPUs of which one direction was measured, which count as if both carried as much.
fn one_way(topology: &Topology, gpus: &[usize]) -> Option<String> {
    let devices = topology.devices();
    let own: BTreeSet<NodeId> = gpus.iter().map(|gpu| devices[*gpu]).collect();
    let measured: BTreeSet<(NodeId, NodeId)> = topology
        .measurements()
        .iter()
        .map(|one| (one.from, one.to))
        .filter(|(from, to)| own.contains(from) && own.contains(to))
        .collect();
    let count = measured.iter().filter(|(from, to)| !measured.contains(&(*to, *from))).count();
    let pairs = if count == 1 { "1 pair".to_owned() } else { format!("{count} pairs") };
    (count > 0).then(|| {
        format!("one direction of {pairs} of GPUs was measured; the other is assumed to carry as much")
    })
}
