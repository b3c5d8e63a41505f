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
use crate::solve::request::allowed::{best_of, none_of, of_size};
use crate::solve::request::candidates::Choice;
use crate::solve::request::decision::{Decision, Question};
use crate::solve::request::large::Large;
use crate::solve::request::limits::Limits;
use crate::solve::request::witness::witness;
use crate::solve::search;
use crate::solve::search::set::MAX_CANDIDATES;
use crate::solve::search::tolerance::Tolerance;

impl Request {
    /// Chooses the best GPUs and what belongs to them.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for unknown names and contradictions, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are not enough GPUs, or no set of them meets what is
    /// required.
    pub fn solve(&self, topology: &Topology) -> Result<Placement> {
        self.decide_on(&Solver::new(topology))
    }

    /// As [`solve`](Self::solve), and what would have been chosen instead.
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

    /// The placement, without one that is kept.
    fn decide_on(&self, solver: &Solver) -> Result<Placement> {
        match self.large(solver)? {
            Some(large) => large.placement(self.service()),
            None => self.decide(solver)?.placement(solver, self.service()),
        }
    }

    fn service(&self) -> Service<'_> {
        let (taken, given) = (self.used.as_ref(), self.given.as_deref());
        Service { supply: None, taken, given, limits: &self.limits }
    }

    /// The answer on a machine of more GPUs than are searched, where it is made of domains and nothing but a number of GPUs is
    /// asked for.
    fn large<'a>(&self, solver: &'a Solver) -> Result<Option<Large<'a>>> {
        let topology = solver.topology();
        let plain = !self.is_constrained() && self.prefer.is_empty();
        if topology.gpus().len() <= MAX_CANDIDATES || !plain {
            return Ok(None);
        }
        let decide = |choice: Choice| -> Result<Option<Large<'a>>> {
            let Choice { candidates, include, remarks, .. } = choice;
            let criteria = self.criteria(topology)?;
            let large = Large::decide(solver, &candidates, &include, self.count, criteria, self.classes()?)?;
            Ok(large.map(|large| large.remarking(remarks)))
        };
        self.first_of_choices(topology, decide)
    }

    fn classes(&self) -> Result<Tolerance> {
        self.tolerance.map_or(Ok(Tolerance::default()), |bits| Tolerance::new(f64::from_bits(bits)))
    }

    fn criteria(&self, topology: &Topology) -> Result<Criteria> {
        Criteria::new(self.objectives.as_deref(), self.mix.as_ref(), topology)
    }

    fn decide(&self, solver: &Solver) -> Result<Decision> {
        self.first_of_choices(solver.topology(), |choice| self.decide_among(solver, choice))
    }

    /// The answer by the first choice that satisfies the request.
    fn first_of_choices<T>(&self, topology: &Topology, decide: impl Fn(Choice) -> Result<T>) -> Result<T> {
        let mut choices = self.choices(topology)?.into_iter();
        let mut answer = choices.next().map(&decide);
        for choice in choices {
            match &answer {
                Some(Err(error)) if error.kind() == ErrorKind::Unsatisfiable => answer = Some(decide(choice)),
                _ => break,
            }
        }
        answer.unwrap_or_else(|| Err(crate::solve::process::no_gpu::error(topology)))
    }

    fn decide_among(&self, solver: &Solver, choice: Choice) -> Result<Decision> {
        let topology = solver.topology();
        let question = self.question_of(solver, choice)?;
        let supply = self.supply(topology)?;
        let shortages = supply.as_ref().map(Supply::shortages).transpose()?.unwrap_or_default();
        let mut unmet = Vec::new();
        loop {
            let preference = self.prefer.get(unmet.len()).copied();
            let constraints: Vec<Constraint> = self.require.iter().copied().chain(preference).collect();
            let limits = Limits::new(&constraints, topology, &question.weights).served(
                supply.as_ref(),
                &shortages,
                &question.weights,
            );
            let task = question.task(&limits);
            let weights = &question.weights;
            let allowed = question.allowed.as_deref();
            let found = match allowed {
                Some(sets) => best_of(weights, &task, sets),
                None => search::solve(weights, &task),
            };
            let none = match found {
                Ok(solution) => {
                    return Ok(Decision { question, limits, solution, preference, unmet, supply });
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

    /// The questions to try in turn, at least one, first with as few GPUs as possible that have
    /// faults, last with all of them.
    pub(in crate::solve) fn questions(&self, solver: &Solver) -> Result<Vec<Question>> {
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
        let (weights, free) = solver.weights_of(&candidates, self.classes()?)?;
        let include = weights.set(&include);
        let allowed = sets.map(|sets| sets.iter().map(|set| weights.set(set)).collect());
        Ok(Question { weights, free, include, count: self.count, criteria, allowed, remarks })
    }
}

impl Solver {
    /// Chooses the best GPUs and what belongs to them; from memory where just this was asked for before. Errors as
    /// [`Request::solve`].
    pub fn solve(&self, request: &Request) -> Result<Placement> {
        if let Some(known) = self.placements().get(request) {
            return Ok(known);
        }
        let placement = request.decide_on(self)?;
        self.placements().keep(request.clone(), placement.clone());
        Ok(placement)
    }

    /// As [`solve`](Self::solve), and what would have been chosen instead.
    pub fn explain(&self, request: &Request) -> Result<Explanation> {
        if let Some(large) = request.large(self)? {
            let placement = large.placement(request.service())?;
            return Ok(Explanation { next: large.next(), first_fit: large.first_fit(), placement });
        }
        let decision = request.decide(self)?;
        Ok(Explanation {
            next: decision.next(self.topology()),
            first_fit: decision.first_fit(self.topology()),
            placement: decision.placement(self, request.service())?,
        })
    }
}
