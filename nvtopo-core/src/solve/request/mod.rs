//! What a job asks for.

mod candidates;
pub(in crate::solve) mod constraint;
pub(in crate::solve) mod decision;
mod large;
mod preferred;
pub(in crate::solve) mod unmet;

use crate::cpuset::CpuSet;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::solve::cpus::{Cores, CpuLimits, Isolated};
use crate::solve::objective::criteria::Criteria;
use crate::solve::objective::mix::SizeMix;
use crate::solve::placement::Placement;
use crate::solve::placement::explain::Explanation;
use crate::solve::placement::needs::{Allotment, Needs, Service, Shortage, Supply, Taken};
use crate::solve::process::gpu_ref::GpuRef;
use crate::solve::process::visible::VisibleGpus;
use crate::solve::request::candidates::Choice;
use crate::solve::request::constraint::{Constraint, Limits};
use crate::solve::request::decision::{Decision, Question};
use crate::solve::request::large::Large;
use crate::solve::request::unmet::{Unmet, witness};
use crate::solve::search::weights::MAX_CANDIDATES;
use crate::solve::solver::Class;

pub use preferred::preferred_allocation;

/// A request for GPUs.
///
/// ```
/// use nvtopo::{Request, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let placement = Request::gpus(4).exclude([0]).solve(&dgx1)?;
/// assert_eq!(placement.gpu_indices(), [4, 5, 6, 7]);
/// assert!(placement.is_optimal());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Request {
    pub(super) count: usize,
    pub(super) only: Option<Vec<GpuRef>>,
    pub(super) exclude: Vec<GpuRef>,
    pub(super) include: Vec<GpuRef>,
    /// The GPUs that the process sees, where not all.
    pub(super) visible: Option<VisibleGpus>,
    objectives: Option<Vec<String>>,
    mix: Option<SizeMix>,
    require: Vec<Constraint>,
    prefer: Vec<Constraint>,
    limits: CpuLimits,
    needs: Needs,
    /// The positions of GPUs that other jobs have.
    pub(super) taken: Vec<usize>,
    /// What else other jobs have; `None` where nobody keeps account of it.
    used: Option<Taken>,
    /// What the chosen GPUs are to be given, where that was decided with other jobs.
    given: Option<Vec<Allotment>>,
}

impl Request {
    /// `count` GPUs of any kind.
    pub fn gpus(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// Only these may be taken: the free ones. A GPU that cannot be used is never taken. A GPU that is divided into
    /// instances (MIG) is taken only where this or [`include`](Self::include) names it.
    pub fn only<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.only.get_or_insert_default().extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Only the GPUs that a process sees may be taken, unless [`only`](Self::only) names others. An error or the placement
    /// says which are hidden. On a topology of this machine, [`visible_here`](crate::apply::visible_here) tells them.
    ///
    /// ```
    /// use nvtopo::{CudaOrder, Request, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let visible = VisibleGpus::resolve(&dgx, Some("5,4"), CudaOrder::PciBusId);
    /// let placement = Request::gpus(1).visible(&visible).solve(&dgx)?;
    /// assert_eq!(placement.gpu_indices(), [4]);
    /// assert_eq!(placement.remarks(), ["CUDA_VISIBLE_DEVICES hides GPU0-3,6-7"]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn visible(mut self, visible: &VisibleGpus) -> Self {
        self.visible = Some(visible.clone());
        self
    }

    /// These must not be taken.
    pub fn exclude<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.exclude.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// These must be among the chosen. One that cannot be used makes the request unsatisfiable.
    pub fn include<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.include.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// All of this must hold between the chosen GPUs.
    pub fn require(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.require.extend(constraints);
        self
    }

    /// The first of these that can be met must be met as well; where none can, none is. The placement tells
    /// [which](Placement::preference), and [why not a better one](Placement::unmet).
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::Constraint};
    ///
    /// let bridged = Topology::preset("rtx-a6000-4-bridged")?;
    /// let steps = [Constraint::SameNvlinkGroup, Constraint::SameNumaNode];
    /// let placement = Request::gpus(4).prefer(steps).solve(&bridged)?;
    /// assert_eq!(placement.unmet()[0].to_string(), "nvlink-group: there are no 4 of the 4 GPUs to choose from that are of one \
    ///     NVLink group; at most 2 can be had, such as GPU0 and GPU1");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn prefer(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.prefer.extend(constraints);
        self
    }

    /// What counts, most important first, by the names in [`OBJECTIVES`](crate::solve::objective::OBJECTIVES). What they
    /// leave open, the default objectives decide.
    pub fn objectives<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.objectives = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// How often jobs of each size come: what the GPUs left over are worth is judged by it. Without, all sizes come alike.
    pub fn mix(mut self, mix: SizeMix) -> Self {
        self.mix = Some(mix);
        self
    }

    /// Only these CPUs may be given to the job, besides what the topology itself allows.
    pub fn allowed_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.allowed = Some(cpus);
        self
    }

    /// These CPUs are kept for others.
    pub fn reserved_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.reserved = cpus;
        self
    }

    /// Leaves CPUs that the kernel keeps out of scheduling out, or uses them.
    pub fn isolated(mut self, isolated: Isolated) -> Self {
        self.limits.isolated = isolated;
        self
    }

    /// Uses all cores of a machine whose cores are not alike, or the fast ones.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.limits.cores = cores;
        self
    }

    /// So many CPUs (hardware threads) near each GPU, which no other GPU of the job gets: whole cores first. Without, or with 0,
    /// each gets its [share](crate::solve::share_cpus). GPUs near which there are not so many are not chosen.
    ///
    /// ```
    /// use nvtopo::{ErrorKind, Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?; // 112 CPUs beside each half
    /// let placement = Request::gpus(2).cpus_per_gpu(8).solve(&dgx)?;
    /// assert_eq!(placement.gpus()[0].cpus.to_string(), "0-3,112-115");
    /// // Two such jobs' CPUs are not near to one half.
    /// assert_eq!(Request::gpus(2).cpus_per_gpu(64).solve(&dgx)?.gpu_indices(), [0, 4]);
    /// assert_eq!(Request::gpus(3).cpus_per_gpu(64).solve(&dgx).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn cpus_per_gpu(mut self, cpus: usize) -> Self {
        self.needs.cpus = cpus;
        self
    }

    /// So much memory in bytes for each GPU from the NUMA nodes beside it; 0: no matter. What was set aside as huge pages is not
    /// counted, nor is the memory of GPUs. Nodes are taken to be empty, but for what jobs of a [`Node`](crate::solve::Node) asked for.
    /// A node of which nobody knows the memory is taken to have enough, and the placement remarks on it.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?; // 1 TiB beside each half
    /// let placement = Request::gpus(2).memory_per_gpu(600 << 30).solve(&dgx)?;
    /// assert_eq!(placement.gpu_indices(), [0, 4]);
    /// assert_eq!(placement.gpus()[1].memory.as_ref().unwrap()[0].node, 1);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn memory_per_gpu(mut self, bytes: u64) -> Self {
        self.needs.memory = bytes;
        self
    }

    /// So many huge pages of a size in bytes for each GPU from the NUMA nodes beside it; 0: no matter. Said again for other sizes,
    /// all of them. The pages that the topology shows as free are counted, less those that jobs of a [`Node`](crate::solve::Node) asked for.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let placement = Request::gpus(2).hugepages_per_gpu(2 << 20, 1024).solve(&dgx)?;
    /// assert_eq!(placement.remarks(), ["the number of 2 MiB pages of NUMA node 0 is unknown: not checked"]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn hugepages_per_gpu(mut self, page_size: u64, count: u64) -> Self {
        self.needs.pages.insert(page_size, count);
        self
    }

    /// A NIC serves at most so many GPUs, those of other jobs of a [`Node`](crate::solve::Node) counted; 0: as many as it has to where
    /// [all GPUs use NICs](crate::solve::gpus_per_nic). No set is chosen that is too large for the NICs, and those are compared by how well
    /// they reach what is left of these.
    ///
    /// ```
    /// use nvtopo::{ErrorKind, Request, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?; // 8 GPUs, 4 NICs
    /// let placement = Request::gpus(4).gpus_per_nic(1).solve(&dgx1)?;
    /// let mut nics: Vec<_> = placement.gpus().iter().filter_map(|gpu| gpu.nic.clone()).collect();
    /// nics.sort();
    /// assert_eq!(nics, ["mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"]);
    /// assert_eq!(Request::gpus(5).gpus_per_nic(1).solve(&dgx1).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn gpus_per_nic(mut self, gpus: usize) -> Self {
        self.needs.per_nic = gpus;
        self
    }

    /// The GPUs at these positions belong to other jobs.
    pub(super) fn taken(mut self, positions: Vec<usize>) -> Self {
        self.taken = positions;
        self
    }

    /// What else belongs to other jobs.
    pub(super) fn used(mut self, used: Taken) -> Self {
        self.used = Some(used);
        self
    }

    /// What the chosen GPUs are to be given, in their order.
    pub(super) fn given(mut self, given: Vec<Allotment>) -> Self {
        self.given = Some(given);
        self
    }

    pub(super) fn limits(&self) -> &CpuLimits {
        &self.limits
    }

    /// What there is beside the GPUs; `None` where nothing of it is asked for.
    pub(super) fn supply(&self, topology: &Topology) -> Result<Option<Supply>> {
        if self.needs.pages.contains_key(&0) {
            return Err(Error::request("huge pages of 0 bytes were asked for").help("a usual size is 2 MiB"));
        }
        let none = Taken::default();
        let used = self.used.as_ref().unwrap_or(&none);
        Ok((!self.needs.is_empty()).then(|| Supply::of(topology, &self.needs, &self.limits, used)))
    }

    /// Whether more is asked for than a number of GPUs.
    pub(super) fn is_constrained(&self) -> bool {
        !self.require.is_empty() || !self.needs.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn required(&self) -> &[Constraint] {
        &self.require
    }

    pub(super) fn preferred(&self) -> &[Constraint] {
        &self.prefer
    }

    /// Chooses the best GPUs and what belongs to them.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for unknown names and contradictions, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are not enough GPUs, or no set of them meets what is
    /// required.
    pub fn solve(&self, topology: &Topology) -> Result<Placement> {
        match self.large(topology)? {
            Some(large) => large.placement(self.service()),
            None => self.decide(topology)?.placement(topology, self.service()),
        }
    }

    /// As [`solve`](Self::solve), and what would have been chosen instead.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?;
    /// let explained = Request::gpus(5).explain(&dgx1)?;
    /// let first_fit = explained.first_fit.unwrap();
    /// assert_eq!(first_fit.gpu_indices, [0, 1, 2, 3, 4]);
    /// assert_eq!(first_fit.loss.unwrap().to_string(), "ring: 6 GB/s instead of 50 GB/s");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn explain(&self, topology: &Topology) -> Result<Explanation> {
        if let Some(large) = self.large(topology)? {
            let placement = large.placement(self.service())?;
            return Ok(Explanation { next: large.next(), first_fit: large.first_fit(), placement });
        }
        let decision = self.decide(topology)?;
        Ok(Explanation {
            next: decision.next(topology),
            first_fit: decision.first_fit(topology),
            placement: decision.placement(topology, self.service())?,
        })
    }

    fn service(&self) -> Service<'_> {
        let (taken, given) = (self.used.as_ref(), self.given.as_deref());
        Service { supply: None, taken, given, limits: &self.limits }
    }

    /// The answer on a machine of more GPUs than are searched, where it is made of domains and nothing but a number of GPUs is
    /// asked for.
    fn large<'a>(&self, topology: &'a Topology) -> Result<Option<Large<'a>>> {
        let plain = self.require.is_empty() && self.prefer.is_empty() && self.needs.is_empty();
        if topology.gpus().len() <= MAX_CANDIDATES || !plain {
            return Ok(None);
        }
        let decide = |choice: Choice| -> Result<Option<Large<'a>>> {
            let Choice { candidates, include, remarks, .. } = choice;
            let criteria = self.criteria(topology)?;
            let large = Large::decide(topology, &candidates, &include, self.count, criteria)?;
            Ok(large.map(|large| large.remarking(remarks)))
        };
        self.first_of_choices(topology, decide)
    }

    fn criteria(&self, topology: &Topology) -> Result<Criteria> {
        Criteria::new(self.objectives.as_deref(), self.mix.as_ref(), topology.gpus().len())
    }

    fn decide(&self, topology: &Topology) -> Result<Decision> {
        self.first_of_choices(topology, |choice| self.decide_among(topology, choice))
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

    fn decide_among(&self, topology: &Topology, choice: Choice) -> Result<Decision> {
        let question = self.question_of(topology, choice)?;
        let supply = self.supply(topology)?;
        let shortages = supply.as_ref().map(Supply::shortages).transpose()?.unwrap_or_default();
        let mut unmet = Vec::new();
        loop {
            let preference = self.prefer.get(unmet.len()).copied();
            let constraints: Vec<Constraint> = self.require.iter().copied().chain(preference).collect();
            let limits = Limits::new(&constraints, topology, &question.class.weights).served(
                supply.as_ref(),
                &shortages,
                &question.class.weights,
            );
            let task = question.task(&limits);
            let Question { class, criteria, .. } = &question;
            let weights = &class.weights;
            let none = match class.kept.solve(weights, &task, criteria) {
                Ok(solution) => {
                    return Ok(Decision { question, limits, solution, preference, unmet, supply });
                }
                Err(none) => none,
            };
            let held = constraints.iter().map(|constraint| constraint.sentence());
            let held: Vec<String> = held.chain(self.needs.sentences()).collect();
            let mut witness = witness(topology, weights, &task, &held, none);
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

    /// The questions to try in turn, at least one, as candidates of a class: first with as few GPUs as possible that have
    /// faults, last with all of them.
    pub(super) fn questions(&self, topology: &Topology) -> Result<Vec<Question>> {
        self.choices(topology)?.into_iter().map(|choice| self.question_of(topology, choice)).collect()
    }

    fn question_of(&self, topology: &Topology, choice: Choice) -> Result<Question> {
        let criteria = self.criteria(topology)?;
        let Choice { candidates, include, remarks } = choice;
        let (class, free) = Class::of_candidates(topology, &candidates)?;
        let include = class.weights.set(&include);
        Ok(Question { class, free, include, count: self.count, criteria, remarks })
    }
}
