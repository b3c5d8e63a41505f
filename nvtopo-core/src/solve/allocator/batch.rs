//! Batches: the best division of the free GPUs among many jobs at once, and the number of jobs that there is room for.

use super::{Allocator, JobId};
use crate::cpuset::CpuSet;
use crate::error::{Error, ErrorKind, Result};
use crate::query::Weight;
use crate::solve::objective::best_rings;
use crate::solve::placement::Placement;
use crate::solve::placement::needs::{Allotment, Asker, Supply, Taken, allot, askers, can_serve, not_enough};
use crate::solve::process::no_gpu_error;
use crate::solve::request::Request;
use crate::solve::request::decision::{Limits, Question, quotas};
use crate::solve::search;
use crate::solve::search::problem::Task;
use crate::solve::search::quota::Quotas;
use crate::solve::search::set;
use crate::solve::search::set::Set;
use crate::solve::search::value::{ONE, part};
use std::collections::BTreeMap;

/// The greatest number of GPUs of a machine for which all divisions are compared.
const MAX_GPUS: usize = 16;

/// The number of steps after which the search for the best division stops.
const MAX_STEPS: u64 = 200_000;

/// A batch of jobs that were placed together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// The jobs, in the order of the requests.
    pub jobs: Vec<JobId>,
    /// The mean ring bandwidth of the jobs with several GPUs, each as a share of the greatest for its number of GPUs on the empty
    /// machine; 1 if there are none.
    pub share: f64,
    /// True if no division gives them more together.
    pub optimal: bool,
}

/// A request as the search sees it.
struct Want {
    question: Question,
    limits: Limits,
    /// The supply for it; `None` if it needs none.
    supply: Option<Supply>,
    /// The greatest ring bandwidth of its number of GPUs on the empty machine.
    whole: Weight,
}

impl Allocator {
    /// Places many jobs at once so that the sum of their ring bandwidths, each as a share of the greatest for its number of GPUs,
    /// is greatest: one after another, the first could take what a later one needs. The constraints of each request hold; its
    /// other objectives do not count. Either all are placed, or none.
    ///
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) if there is no room for all.
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::Allocator};
    ///
    /// let mut allocator = Allocator::new(&Topology::preset("dgx-1-v100")?)?;
    /// let batch = allocator.place_all(&[Request::gpus(2), Request::gpus(2), Request::gpus(4)])?;
    /// assert!(batch.optimal && batch.share == 1.0);
    /// assert!(allocator.free().is_empty());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn place_all(&mut self, requests: &[Request]) -> Result<Batch> {
        // GPUs with faults are chosen if the others do not suffice.
        match self.place_all_among(requests, false) {
            Err(error) if error.kind() == ErrorKind::Unsatisfiable => self.place_all_among(requests, true),
            placed => placed,
        }
    }

    fn place_all_among(&mut self, requests: &[Request], faulty: bool) -> Result<Batch> {
        let wants = self.wants(requests, faulty)?;
        // Large jobs first: they have the fewest feasible sets.
        let mut order: Vec<usize> = (0..wants.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(wants[*index].question.count));
        let mut search = Search::new(&wants, &order, false);
        let free = wants.iter().fold(0, |all, want| all | want.question.free);
        search.next(free, 0);
        let complete = search.steps < MAX_STEPS && self.topology().gpus().len() <= MAX_GPUS;
        let Some((worth, sets)) = search.best else {
            let gpus: usize = wants.iter().map(|want| want.question.count).sum();
            let no = if complete { "there is no room" } else { "no room was found" };
            let (jobs, free) = (wants.len(), free.count_ones());
            let text = format!("{no} for these {jobs} jobs of {gpus} GPUs together: {free} are free");
            return Err(Error::unsatisfiable(text).help("place fewer at once, or require less of them"));
        };
        let mut chosen = vec![0; wants.len()];
        for (index, set) in order.iter().zip(&sets) {
            chosen[*index] = *set;
        }
        let given = self.allot(requests, &wants, &chosen)?;
        // Each job is then completed on just its GPUs; the other GPUs, and their allotments, count as taken meanwhile.
        let complete_one = |index: usize, done: &BTreeMap<usize, Placement>| {
            let own = wants[index].question.weights.positions(chosen[index]);
            let others = (0..self.topology().gpus().len()).filter(|gpu| !own.contains(gpu)).collect();
            let mut used = self.used();
            for placement in done.values() {
                used.add_nics(placement);
            }
            let others_given = given.iter().enumerate().filter(|(other, _)| *other != index);
            others_given.flat_map(|(_, given)| given).for_each(|given| used.add_allotment(given));
            let mut request = requests[index].clone().taken(others).used(used);
            if wants[index].supply.is_some() {
                request = request.given(given[index].clone());
            }
            self.solver.solve(&request)
        };
        // Jobs with a limit on GPUs per NIC come first: the others take what they find.
        let mut first: Vec<usize> = (0..wants.len()).collect();
        first.sort_by_key(|index| wants[*index].limits.nic_room.is_none());
        let mut placements = BTreeMap::new();
        for index in first {
            let placement = complete_one(index, &placements)?;
            placements.insert(index, placement);
        }
        let several = wants.iter().filter(|want| want.question.count > 1).count();
        let whole = ONE * several as u64;
        let share = if several == 0 { 1.0 } else { worth as f64 / whole as f64 };
        let jobs = placements.into_values().map(|placement| self.add(placement)).collect();
        Ok(Batch { jobs, share, optimal: complete || worth == whole })
    }

    /// Returns the number of such jobs that there is room for at once, and whether it is proven that there is no room for one
    /// more.
    ///
    /// Errors with [`InvalidRequest`](ErrorKind::InvalidRequest) as [`place`](Allocator::place) does.
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::{Allocator, Constraint}};
    ///
    /// let allocator = Allocator::new(&Topology::preset("rtx-a6000-4-bridged")?)?;
    /// assert_eq!(allocator.room_for(&Request::gpus(2).require([Constraint::SameNvlinkGroup]))?, (2, true));
    /// assert_eq!(allocator.room_for(&Request::gpus(3).require([Constraint::SameNvlinkGroup]))?, (0, true));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn room_for(&self, request: &Request) -> Result<(usize, bool)> {
        let count = request.count;
        let free = self.free().len();
        let wants = match self.wants(std::slice::from_ref(request), true) {
            _ if count > free => return Ok((0, true)),
            // GPUs are free, but not for this job.
            Err(error) if error.kind() == ErrorKind::Unsatisfiable => return Ok((0, true)),
            wants => wants?,
        };
        let mut certain = self.topology().gpus().len() <= MAX_GPUS;
        // From the greatest number of jobs down to one, all of them equal.
        let most = free.checked_div(count).unwrap_or_default();
        for jobs in (1..=most).rev() {
            let order = vec![0; jobs];
            let mut search = Search::new(&wants, &order, true);
            search.next(wants[0].question.free, 0);
            if search.best.is_some() {
                return Ok((jobs, jobs == most || certain));
            }
            certain &= search.steps < MAX_STEPS;
        }
        Ok((0, certain))
    }

    /// Returns the requests as the search sees them, with or without the free GPUs that have faults.
    fn wants(&self, requests: &[Request], faulty: bool) -> Result<Vec<Want>> {
        let taken = self.taken();
        let want = |request: &Request| {
            let request = request.clone().taken(taken.clone()).used(self.used());
            let mut questions = request.questions(&self.solver)?;
            let question = if faulty { questions.pop() } else { questions.drain(..).next() };
            let question = question.ok_or_else(|| no_gpu_error(self.topology()))?;
            let supply = request.supply(self.topology())?;
            let weights = &question.weights;
            let whole = best_rings(weights, set::all(weights.gpus()), question.count).worth;
            let shortages = supply.as_ref().map(Supply::shortages).transpose()?.unwrap_or_default();
            let beside = (supply.as_ref(), &*shortages);
            let limits = Limits::new(&request.require, self.topology(), weights, beside);
            Ok(Want { question, limits, supply, whole })
        };
        requests.iter().map(want).collect()
    }

    /// Returns the allotments of the GPUs of each job, decided for all jobs together.
    fn allot(&self, requests: &[Request], wants: &[Want], chosen: &[Set]) -> Result<Vec<Vec<Allotment>>> {
        let mut all = Vec::new();
        let mut counts = vec![0; wants.len()];
        for (index, want) in wants.iter().enumerate() {
            let Some(supply) = &want.supply else { continue };
            let own = want.question.weights.positions(chosen[index]);
            counts[index] = own.len();
            all.extend(askers(
                self.topology(),
                self.solver.local(),
                supply,
                &requests[index].limits,
                &own,
                &self.free(),
            ));
        }
        let mut given = allot(self.topology(), &all).ok_or_else(not_enough)?.into_iter();
        Ok(counts.into_iter().map(|count| given.by_ref().take(count).collect()).collect())
    }
}

struct Search<'a> {
    wants: &'a [Want],
    /// The requests in the order in which they are given GPUs.
    order: &'a [usize],
    /// True if the first way will do.
    any: bool,
    chosen: Vec<Set>,
    best: Option<(u64, Vec<Set>)>,
    steps: u64,
}

impl<'a> Search<'a> {
    fn new(wants: &'a [Want], order: &'a [usize], any: bool) -> Self {
        Self { wants, order, any, chosen: Vec::new(), best: None, steps: 0 }
    }

    /// Assigns GPUs to the remaining requests in all ways that may be better than the best so far, or in the first that is found.
    fn next(&mut self, free: Set, worth: u64) {
        let Some(index) = self.order.get(self.chosen.len()) else {
            if self.best.as_ref().is_none_or(|(best, _)| worth > *best) {
                self.best = Some((worth, self.chosen.clone()));
            }
            return;
        };
        let want = &self.wants[*index];
        let share = |set: Set| if self.any { 0 } else { want.share(set) };
        let sets = want.sets(free, self.before(*index), &self.quotas(*index)).into_iter();
        let mut sets: Vec<(u64, Set)> = sets.map(|set| (share(set), set)).collect();
        sets.sort_by_key(|(share, _)| std::cmp::Reverse(*share));
        let later = self.order[self.chosen.len() + 1..].iter();
        let most: u64 = later.map(|index| if self.wants[*index].question.count > 1 { ONE } else { 0 }).sum();
        for (share, set) in sets {
            self.steps += 1;
            let enough =
                self.best.as_ref().is_some_and(|(best, _)| self.any || worth + share + most <= *best);
            if enough || self.steps >= MAX_STEPS && (self.any || self.best.is_some()) {
                return;
            }
            // The supplies must be enough for this job and the jobs that have GPUs.
            if want.supply.is_none() || can_serve(&self.places(Some((*index, set)))) {
                self.chosen.push(set);
                self.next(free & !set, worth + share);
                self.chosen.pop();
            }
        }
    }

    /// Returns the assigned GPUs, and those of one more job, if their jobs need supplies.
    fn places(&self, more: Option<(usize, Set)>) -> Vec<(usize, &Supply)> {
        let chosen = self.order.iter().copied().zip(self.chosen.iter().copied()).chain(more);
        let of_one = |(index, set): (usize, Set)| {
            let Want { question, supply, .. } = &self.wants[index];
            let places = supply
                .as_ref()
                .map(|supply| question.weights.positions(set).into_iter().map(move |gpu| (gpu, supply)));
            places.into_iter().flatten()
        };
        chosen.flat_map(of_one).collect()
    }

    /// Returns the quotas of a job: on large machines, where only one set is evaluated, by the supplies that the jobs before
    /// leave.
    fn quotas(&self, index: usize) -> Quotas {
        let Want { question, limits, supply, .. } = &self.wants[index];
        let weights = &question.weights;
        let Some(supply) = supply.as_ref().filter(|_| weights.gpus() > MAX_GPUS) else {
            return limits.quotas.clone();
        };
        let asker = |(gpu, supply)| Asker { gpu, supply, share: CpuSet::new(), avoid: CpuSet::new() };
        let before: Vec<Asker<'_>> = self.places(None).into_iter().map(asker).collect();
        let mut taken = Taken::default();
        for given in allot(weights.topology(), &before).into_iter().flatten() {
            taken.add_allotment(&given);
        }
        let shortages = supply.less(&taken).shortages();
        shortages.map_or_else(|_| limits.quotas.clone(), |shortages| quotas(&shortages, weights))
    }

    /// Returns the set of the request before, if it asks for the same: of equal requests, the first gets the lower GPUs.
    fn before(&self, index: usize) -> Set {
        let before = self.chosen.last().zip(self.order[..self.chosen.len()].last());
        before.filter(|(_, other)| self.wants[**other].is_like(&self.wants[index])).map_or(0, |(set, _)| *set)
    }
}

impl Want {
    fn is_like(&self, other: &Self) -> bool {
        let of = |want: &Self| (want.question.count, want.question.free, want.question.include);
        let alike = self.question.allowed == other.question.allowed;
        of(self) == of(other) && alike && self.limits == other.limits && self.supply == other.supply
    }

    /// Returns the ring bandwidth of a set as a share of the greatest. One GPU does not communicate.
    fn share(&self, set: Set) -> u64 {
        if self.question.count < 2 {
            return 0;
        }
        part(best_rings(&self.question.weights, set, self.question.count).worth, self.whole)
    }

    /// Returns the feasible sets among the free GPUs whose lowest GPU is above that of another set; on large machines only the
    /// best.
    fn sets(&self, free: Set, above: Set, quotas: &Quotas) -> Vec<Set> {
        let mut free = free & self.question.free;
        let weights = &self.question.weights;
        if self.question.include & !free != 0 || (free.count_ones() as usize) < self.question.count {
            return Vec::new();
        }
        let mut found = Vec::new();
        let allowed = self.question.allowed.as_deref();
        if weights.gpus() > MAX_GPUS && allowed.is_none() {
            let task = Task { free, quotas: Some(quotas), ..self.question.task(&self.limits) };
            return search::solve(weights, &task).map(|found| found.chosen).into_iter().collect();
        }
        if above != 0 {
            free &= set::above(above.trailing_zeros() as usize);
        }
        let whole = [free];
        for set in allowed.unwrap_or(&whole).iter().filter(|set| **set & !free == 0) {
            for scope in self.limits.scopes.as_deref().unwrap_or(&whole) {
                self.grow(0, set & scope, quotas, &mut found);
            }
        }
        found
    }

    fn grow(&self, set: Set, open: Set, quotas: &Quotas, found: &mut Vec<Set>) {
        let missing = self.question.count - set.count_ones() as usize;
        if missing == 0 {
            found.extend((self.question.include & !set == 0).then_some(set));
            return;
        }
        let mut left = quotas.open(set, open);
        while left.count_ones() as usize >= missing {
            let gpu = left.trailing_zeros() as usize;
            left &= left - 1;
            let near = self.limits.near.as_ref().map_or(Set::MAX, |near| near[gpu]);
            self.grow(set | 1 << gpu, left & near, quotas, found);
        }
    }
}
