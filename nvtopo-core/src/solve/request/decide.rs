//! The decision on a request.

use super::builder::Request;
use super::solver::Solver;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::solve::constraint::Constraint;
use crate::solve::objective::criteria::Criteria;
use crate::solve::placement::explain::Explanation;
use crate::solve::placement::needs::{Service, Shortage, Supply};
use crate::solve::placement::{Placement, Unmet};
use crate::solve::process::no_gpu_error;
use crate::solve::request::allowed::{best_of, none_of, of_size};
use crate::solve::request::candidates::Choice;
use crate::solve::request::decision::{Decision, Limits, Problem, Question};
use crate::solve::search;
use crate::solve::search::domains::Use;
use crate::solve::search::problem::{NoSet, Task};
use crate::solve::search::set::MAX_CANDIDATES;
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weights::Weights;

impl Request {
    /// Chooses the best GPUs and what belongs to them.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for unknown names and contradictions, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) if there are not enough GPUs, or no set of them meets the required
    /// constraints.
    pub fn solve(&self, topology: &Topology) -> Result<Placement> {
        let solver = Solver::new(topology);
        self.decide(&solver)?.placement(&solver, self.service())
    }

    /// Chooses as [`solve`](Self::solve) does, and explains the choice by its alternatives.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?;
    /// let explained = Request::gpus(2).explain(&dgx1)?;
    /// let first_fit = explained.first_fit.unwrap();
    /// assert_eq!(first_fit.gpu_indices, [0, 1]);
    /// assert_eq!(first_fit.loss.unwrap().to_string(), "ring: 25 GB/s instead of 50 GB/s");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn explain(&self, topology: &Topology) -> Result<Explanation> {
        Solver::new(topology).explain(self)
    }

    fn service(&self) -> Service<'_> {
        let (taken, given) = (self.used.as_ref(), self.given.as_deref());
        Service { supply: None, taken, given, limits: &self.limits }
    }

    pub(in crate::solve) fn rate_tolerance(&self) -> Result<Tolerance> {
        self.tolerance.map_or(Ok(Tolerance::default()), |bits| Tolerance::new(f64::from_bits(bits)))
    }

    fn criteria(&self, topology: &Topology) -> Result<Criteria> {
        Criteria::new(self.objectives.as_deref(), self.mix.as_ref(), topology)
    }

    fn decide(&self, solver: &Solver) -> Result<Decision> {
        let solver = &solver.within(&self.limits);
        let mut refusal = None;
        for choice in self.choices(solver.topology())? {
            match self.decide_among(solver, choice) {
                Err(error) if error.kind() == ErrorKind::Unsatisfiable => refusal = Some(error),
                decided => return decided,
            }
        }
        Err(refusal.unwrap_or_else(|| no_gpu_error(solver.topology())))
    }

    /// Decides on a machine of more GPUs than a set has bits. `None` if it does not consist of domains, or the request asks for
    /// more than a number of GPUs.
    fn decide_by_domains(&self, solver: &Solver, choice: &Choice) -> Result<Option<Decision>> {
        let topology = solver.topology();
        let plain = !self.is_constrained() && self.prefer.is_empty();
        if topology.gpus().len() <= MAX_CANDIDATES || !plain {
            return Ok(None);
        }
        let mut uses = vec![Use::Gone; topology.gpus().len()];
        for gpu in &choice.candidates {
            uses[*gpu] = if choice.include.contains(gpu) { Use::In } else { Use::Open };
        }
        let (count, remarks) = (self.count, choice.remarks.clone());
        let (domains, criteria) = (solver.domains(self.rate_tolerance()?), self.criteria(topology)?);
        let problem = Problem::Domains { domains, uses, count, criteria, remarks };
        let Some(found) = problem.by_domains(None) else { return Ok(None) };
        let found =
            found.map_err(|_| Error::unsatisfiable(format!("no {} GPUs can be chosen", self.count)))?;
        Ok(Some(Decision {
            problem,
            found,
            preference: None,
            unmet: Vec::new(),
            limited: !self.include.is_empty(),
            supply: None,
        }))
    }

    fn decide_among(&self, solver: &Solver, choice: Choice) -> Result<Decision> {
        if let Some(decision) = self.decide_by_domains(solver, &choice)? {
            return Ok(decision);
        }
        let topology = solver.topology();
        let question = self.question_of(solver, choice)?;
        let supply = self.supply(topology)?;
        let shortages = supply.as_ref().map(Supply::shortages).transpose()?.unwrap_or_default();
        let mut unmet = Vec::new();
        loop {
            let preference = self.prefer.get(unmet.len()).copied();
            let constraints: Vec<Constraint> = self.require.iter().copied().chain(preference).collect();
            let weights = &question.weights;
            let limits = Limits::new(&constraints, topology, weights, (supply.as_ref(), &shortages));
            let task = question.task(&limits);
            let allowed = question.allowed.as_deref();
            let found = match allowed {
                Some(sets) => best_of(weights, &task, sets),
                None => search::solve(weights, &task),
            };
            let none = match found {
                Ok(solution) => {
                    let found = (weights.positions(solution.chosen), solution);
                    let problem = Problem::Sets { question, limits };
                    let limited = self.is_constrained() || !self.include.is_empty() || preference.is_some();
                    return Ok(Decision { problem, found, preference, unmet, limited, supply });
                }
                Err(none) => none,
            };
            let held = constraints.iter().map(|constraint| constraint.sentence());
            let held: Vec<String> = held.chain(self.needs.sentences()).collect();
            let mut witness = match allowed {
                Some(sets) => none_of(sets, &held),
                None => witness(topology, weights, &task, &held, none),
            };
            let candidates = weights.positions(question.free);
            for unknown in constraints.iter().filter_map(|one| one.unknown(topology, &candidates)) {
                witness = format!("{witness}; {unknown}");
            }
            let matters = |short: &&Shortage| {
                let free = weights.set(&short.gpus) & question.free;
                short.most < self.count && short.most < free.count_ones() as usize
            };
            for short in shortages.iter().filter(matters) {
                witness = format!("{witness}; {}", short.sentence(topology));
            }
            let Some(constraint) = preference else { return Err(Error::unsatisfiable(witness)) };
            unmet.push(Unmet { constraint, witness });
        }
    }

    /// Returns the questions to try in turn, at least one: first with as few faulty GPUs as possible, last with all of them.
    pub(in crate::solve) fn questions(&self, solver: &Solver) -> Result<Vec<Question>> {
        let solver = &solver.within(&self.limits);
        let mut questions = Vec::new();
        let mut none = None;
        for choice in self.choices(solver.topology())? {
            match self.question_of(solver, choice) {
                Ok(question) => questions.push(question),
                Err(error) if error.kind() == ErrorKind::Unsatisfiable => none = Some(error),
                Err(error) => return Err(error),
            }
        }
        match none {
            Some(error) if questions.is_empty() => Err(error),
            _ => Ok(questions),
        }
    }

    fn question_of(&self, solver: &Solver, choice: Choice) -> Result<Question> {
        let criteria = self.criteria(solver.topology())?;
        let Choice { candidates, include, remarks } = choice;
        let sets = self.allowed.as_ref().map(|table| table.resolve(solver.topology())).transpose()?;
        let sets = sets.map(|sets| of_size(&sets, &candidates, &include, self.count)).transpose()?;
        let (weights, free) = solver.weights_of(&candidates, self.rate_tolerance()?)?;
        let include = weights.set(&include);
        let allowed = sets.map(|sets| sets.iter().map(|set| weights.set(set)).collect());
        Ok(Question { weights, free, include, count: self.count, criteria, allowed, remarks })
    }
}

impl Solver {
    /// Chooses the best GPUs and what belongs to them, from the memo if the same request was answered before. Errors as
    /// [`Request::solve`].
    pub fn solve(&self, request: &Request) -> Result<Placement> {
        if let Some(known) = self.placements().get(request) {
            return Ok(known);
        }
        let placement = request.decide(self)?.placement(self, request.service())?;
        self.placements().keep(request.clone(), placement.clone());
        Ok(placement)
    }

    /// Chooses as [`solve`](Self::solve) does, and explains the choice by its alternatives.
    pub fn explain(&self, request: &Request) -> Result<Explanation> {
        let decision = request.decide(self)?;
        Ok(Explanation {
            next: decision.next(self.topology()),
            first_fit: decision.first_fit(self.topology()),
            placement: decision.placement(self, request.service())?,
        })
    }
}

/// Returns the reason why no set of the task meets what is stated, as parts of a sentence, with the greatest number of GPUs that
/// do.
fn witness(topology: &Topology, weights: &Weights, task: &Task<'_>, held: &[String], none: NoSet) -> String {
    let any = |count: usize| search::solve(weights, &Task { count, objectives: &[], ..*task });
    let mut proven = none.proven;
    let least = (task.include.count_ones() as usize).max(1);
    let most = (least..task.count).rev().find_map(|count| match any(count) {
        Ok(found) => Some(found.chosen),
        Err(none) => {
            proven &= none.proven;
            None
        }
    });
    let names = |set| {
        let gpus = weights.positions(set);
        let names: Vec<String> = gpus.iter().map(|gpu| topology.device_name(*gpu)).collect();
        names.join(" and ")
    };
    let count = most.map_or(0, u128::count_ones);
    let found = match most {
        Some(_) if count == 1 => "; no two can be had".to_owned(),
        Some(set) if proven => format!("; at most {count} can be had, such as {}", names(set)),
        Some(set) => format!("; {count} can be had, such as {}", names(set)),
        None if task.include != 0 => {
            format!("; {}, which must be included, cannot be chosen", names(task.include))
        }
        None => String::new(),
    };
    let (free, held) = (format!("the {} GPUs to choose from", task.free.count_ones()), held.join(" and "));
    match task.count {
        count if !proven => {
            format!("the search stopped before it found {count} of {free} that {held}{found}")
        }
        1 => format!("none of {free} {held}{found}"),
        count => format!("no {count} of {free} {held}{found}"),
    }
}
