//! The decision on a request: its question to the search, the limits, the solution, and the alternatives.

use super::allowed::best_of;
use super::solver::Solver;
use crate::error::Result;
use crate::model::{NodeId, Topology};
use crate::query::of_pair;
use crate::solve::constraint::Constraint;
use crate::solve::objective::criteria::Criteria;
use crate::solve::placement::explain::{Alternative, alternative};
use crate::solve::placement::needs::{Service, Shortage, Supply};
use crate::solve::placement::score::as_measured;
use crate::solve::placement::{Placement, Unmet, complete};
use crate::solve::search;
use crate::solve::search::domains::{Ask, Domains, Use};
use crate::solve::search::problem::{NoSet, Solution, Task};
use crate::solve::search::quota::Quotas;
use crate::solve::search::set::{self, Set, members};
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
    /// The allowed sets, where not all are: each with `count` free candidates, the included ones among them.
    pub(in crate::solve) allowed: Option<Vec<Set>>,
    /// The remarks on the GPUs that were no candidates.
    pub(in crate::solve) remarks: Vec<String>,
}

impl Question {
    /// Returns the task of the search.
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

    /// Returns the solution by positions.
    fn found(&self, found: std::result::Result<Solution, NoSet>) -> Option<Found> {
        found.ok().map(|solution| (self.weights.positions(solution.chosen), solution))
    }
}

/// The question that a decision answers.
pub(in crate::solve) enum Problem {
    /// The best set of GPUs within limits.
    Sets { question: Question, limits: Limits },
    /// The best GPUs of a machine of domains with more GPUs than a set has bits, by the use of each GPU.
    Domains {
        domains: Arc<Option<Domains>>,
        uses: Vec<Use>,
        count: usize,
        criteria: Criteria,
        remarks: Vec<String>,
    },
}

/// The GPUs by their positions, and their values.
pub(in crate::solve) type Found = (Vec<usize>, Solution);

impl Problem {
    fn criteria(&self) -> &Criteria {
        let (Self::Sets { question: Question { criteria, .. }, .. } | Self::Domains { criteria, .. }) = self;
        criteria
    }

    fn remarks(&self) -> &[String] {
        let (Self::Sets { question: Question { remarks, .. }, .. } | Self::Domains { remarks, .. }) = self;
        remarks
    }

    /// Returns the candidates, the number to choose, and the included ones.
    fn choice(&self) -> (Vec<usize>, usize, Vec<usize>) {
        match self {
            Self::Sets { question: Question { weights, free, include, count, .. }, .. } => {
                (weights.positions(*free), *count, weights.positions(*include))
            }
            Self::Domains { uses, count, .. } => {
                let those = |is: &dyn Fn(Use) -> bool| (0..uses.len()).filter(|gpu| is(uses[*gpu])).collect();
                (those(&|own| own != Use::Gone), *count, those(&|own| own == Use::In))
            }
        }
    }

    /// Finds the best GPUs of a machine of domains. `None`: their numbers do not determine the best set.
    /// `other` are uses that replace its own.
    pub(in crate::solve) fn by_domains(
        &self,
        other: Option<&[Use]>,
    ) -> Option<std::result::Result<Found, NoSet>> {
        let Self::Domains { domains, uses, count, criteria, .. } = self else { return None };
        let ask = Ask {
            uses: other.unwrap_or(uses),
            count: *count,
            objectives: &criteria.objectives,
            mix: &criteria.mix,
        };
        let found = domains.as_ref().as_ref()?.solve(&ask)?;
        Some(found.map(|answer| (answer.gpus, answer.solution)))
    }

    /// Finds the best GPUs with another use of some GPUs.
    fn by_other_domains(&self, gpus: &[usize], other: Use) -> Option<Found> {
        let Self::Domains { uses, .. } = self else { return None };
        let mut uses = uses.clone();
        for gpu in gpus {
            uses[*gpu] = other;
        }
        self.by_domains(Some(&uses))?.ok()
    }

    /// Finds the best set that is not the chosen one: for each chosen GPU the best set without it, and the first of the best of
    /// these.
    fn other(&self, chosen: &[usize]) -> Option<Found> {
        // All searches together take at most about a quarter of the steps that the one for the chosen set may.
        let searches = chosen.len().max(1) as u64;
        let mut steps = 0;
        let without = |gpu: &usize| match self {
            Self::Sets { question, limits } => {
                let (barred, task) = (question.weights.set(&[*gpu]), question.task(limits));
                let most = search::most_steps(&question.weights, &task) / 4;
                if steps >= most {
                    return None;
                }
                let task = Task { barred, most_steps: most.div_ceil(searches), ..task };
                let found = search::solve(&question.weights, &task);
                steps += found.as_ref().map_or(0, |found| found.steps);
                question.found(found)
            }
            Self::Domains { .. } => self.by_other_domains(&[*gpu], Use::Left),
        };
        if let Self::Sets { question, limits } = self
            && let Some(sets) = &question.allowed
        {
            let chosen = question.weights.set(chosen);
            let others: Vec<Set> = sets.iter().copied().filter(|set| *set != chosen).collect();
            return question.found(best_of(&question.weights, &question.task(limits), &others));
        }
        let (_, _, include) = self.choice();
        let others = chosen.iter().filter(|gpu| !include.contains(gpu)).filter_map(without);
        others.reduce(|best, other| if other.1.values > best.1.values { other } else { best })
    }

    /// Evaluates some GPUs, whatever the limits.
    fn worth(&self, gpus: &[usize]) -> Option<Found> {
        match self {
            Self::Sets { question, .. } => {
                let Criteria { objectives, mix } = &question.criteria;
                let include = question.weights.set(gpus);
                let task = Task { include, ..Task::new(question.free, question.count, objectives, mix) };
                question.found(search::solve(&question.weights, &task))
            }
            Self::Domains { .. } => self.by_other_domains(gpus, Use::In),
        }
    }

    /// Returns whether some GPUs could have been chosen.
    fn allows(&self, gpus: &[usize]) -> bool {
        let Self::Sets { question, limits } = self else { return true };
        let include = question.weights.set(gpus);
        let task = Task { include, objectives: &[], ..question.task(limits) };
        question.allowed.as_ref().is_none_or(|sets| sets.contains(&include))
            && search::solve(&question.weights, &task).is_ok()
    }
}

pub(in crate::solve) struct Decision {
    pub(in crate::solve) problem: Problem,
    /// The chosen GPUs, and their values.
    pub(in crate::solve) found: Found,
    /// The preference that is met.
    pub(in crate::solve) preference: Option<Constraint>,
    pub(in crate::solve) unmet: Vec<Unmet>,
    /// True if the request asks for more than a number of GPUs.
    pub(in crate::solve) limited: bool,
    /// The supplies local to the GPUs, if the request needs some.
    pub(in crate::solve) supply: Option<Supply>,
}

impl Decision {
    /// Returns the number of GPUs that each usable NIC has room for, where the request states it.
    fn nic_room(&self) -> Option<&[usize]> {
        let Problem::Sets { limits, .. } = &self.problem else { return None };
        limits.nic_room.as_deref()
    }

    /// Returns the placement with what belongs to the GPUs.
    pub(in crate::solve) fn placement(self, solver: &Solver, service: Service<'_>) -> Result<Placement> {
        let (topology, local) = (solver.topology(), solver.local());
        let (free, _, _) = self.problem.choice();
        let (objectives, (gpus, solution)) = (&self.problem.criteria().objectives, &self.found);
        let solution = &*as_measured(topology, gpus, objectives, solution, self.nic_room());
        let mut placement =
            complete(topology, local, gpus, (&free, self.limited), solution, objectives, service.limits);
        placement.remark(self.problem.remarks().iter().cloned());
        placement.remark(one_way(topology, &free).filter(|_| gpus.len() > 1));
        let service = Service { supply: self.supply.as_ref(), ..service };
        service.serve(topology, local, &mut placement, &free)?;
        placement.stand_on(self.preference, self.unmet);
        Ok(placement)
    }

    /// Returns the best other set: it lacks one of the chosen GPUs.
    pub(in crate::solve) fn next(&self, topology: &Topology) -> Option<Alternative> {
        Some(self.alternative(topology, self.problem.other(&self.found.0)?))
    }

    /// Returns the free GPUs with the lowest numbers, as first fit chooses them.
    pub(in crate::solve) fn first_fit(&self, topology: &Topology) -> Option<Alternative> {
        let (mut lowest, count, include) = self.problem.choice();
        lowest.truncate(count);
        if lowest == self.found.0 || include.iter().any(|gpu| !lowest.contains(gpu)) {
            return None;
        }
        Some(self.alternative(topology, self.problem.worth(&lowest)?))
    }

    fn alternative(&self, topology: &Topology, (gpus, other): Found) -> Alternative {
        let (meets, (chosen, solution)) = (self.problem.allows(&gpus), &self.found);
        let objectives = &self.problem.criteria().objectives;
        alternative(topology, gpus, &other, (chosen, solution), objectives, self.nic_room(), meets)
    }
}

/// Returns the remark on pairs of GPUs measured in one direction only, which count as if both directions were equal.
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

/// The limits that several constraints set on the choice.
#[derive(PartialEq, Eq)]
pub(in crate::solve) struct Limits {
    /// The scopes of which one must contain the set.
    pub(in crate::solve) scopes: Option<Vec<Set>>,
    /// The candidates with which each candidate may be chosen.
    pub(in crate::solve) near: Option<Vec<Set>>,
    /// The quotas that follow from the supplies local to GPUs.
    pub(in crate::solve) quotas: Quotas,
    /// The number of GPUs that each usable NIC has room for, where the request states it.
    pub(in crate::solve) nic_room: Option<Vec<usize>>,
}

impl Limits {
    /// Returns the limits. The topology has the rates as measured, the weights have them by classes. The supplies must be
    /// enough for the chosen GPUs.
    pub(in crate::solve) fn new(
        constraints: &[Constraint],
        topology: &Topology,
        weights: &Weights,
        (supply, shortages): (Option<&Supply>, &[Shortage]),
    ) -> Self {
        let mut scopes: Option<Vec<Set>> = None;
        for groups in constraints.iter().filter_map(|constraint| constraint.groups(topology)) {
            let sets = groups.iter().map(|group| weights.set(group));
            scopes = Some(match scopes {
                None => sets.collect(),
                Some(before) => sets.flat_map(|set| before.iter().map(move |other| set & other)).collect(),
            });
        }
        if let Some(scopes) = &mut scopes {
            scopes.retain(|scope| *scope != 0);
            scopes.sort_unstable_by_key(|scope| scope.trailing_zeros());
        }
        let least = constraints.iter().filter_map(|constraint| match constraint {
            Constraint::AtLeast(least) => Some(*least),
            _ => None,
        });
        let near = least.max().map(|least| {
            let near = |a: usize| {
                // The measured rate counts, not its class.
                let enough = |b: &usize| {
                    let pair = topology.pairs().pair(weights.position(a), weights.position(*b));
                    of_pair(pair).bandwidth() >= least
                };
                set::of(members(set::all(weights.gpus()) & !(1 << a)).filter(enough))
            };
            (0..weights.gpus()).map(near).collect()
        });
        let nic_room = supply.and_then(Supply::nics).map(<[usize]>::to_vec);
        Self { scopes, near, quotas: quotas(shortages, weights), nic_room }
    }
}

/// Returns the quotas that follow from shortages.
pub(in crate::solve) fn quotas(shortages: &[Shortage], weights: &Weights) -> Quotas {
    Quotas::new(shortages.iter().map(|short| (weights.set(&short.gpus), short.most as u32)))
}
