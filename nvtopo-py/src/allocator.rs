//! `Allocator`: the jobs of a machine and what each has of it, and `Request`: what a job needs.

use crate::arguments::Count;
use crate::pickle::{Field, Reduced, reduce};
use crate::placement::Placement;
use crate::terms::Terms;
use crate::topology::Topology;
use crate::{call, indices_of};
use nvtopo::solve::JobId;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A job's request to an Allocator. The arguments are those of Topology.place.
///
/// An Allocator places for others, so the CPUs of the calling thread are no limit here: allowed_cpus=None allows all.
///
/// >>> import nvtopo
/// >>> nvtopo.Request(2, require=["nvlink-group"])
/// <Request of 2 GPUs>
#[pyclass(frozen, eq, module = "nvtopo")]
#[derive(PartialEq)]
pub(crate) struct Request(Terms);

#[pymethods]
impl Request {
    #[new]
    #[pyo3(
        signature = (gpus, **terms),
        text_signature = "(gpus, *, only=None, exclude=(), include=(), objectives=None, require=(), prefer=(), \
                          free=False, free_memory=None, allowed_sets=None, mix=None, tolerance=None, reserve_cpus=None, allowed_cpus=None, isolated='avoid', cores='all', \
                          cpus_per_gpu=None, \
                          memory_per_gpu=None, hugepages_per_gpu=None, gpus_per_nic=None)"
    )]
    fn new(gpus: Count, terms: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Terms::new("Request", gpus, terms).map(Self)
    }

    #[getter]
    /// The number of GPUs.
    fn gpus(&self) -> usize {
        self.0.gpus.0
    }

    fn __hash__(&self) -> isize {
        self.0.gpus.0.cast_signed()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Request", self)
    }

    fn __repr__(&self) -> String {
        format!("<Request of {} GPUs>", self.gpus())
    }
}

impl Field for Request {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.give(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Terms::take(value).map(Self)
    }
}

/// A Request, or a number of GPUs.
pub(crate) struct RequestArgument(Terms);

impl<'a, 'py> FromPyObject<'a, 'py> for RequestArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(request) = value.cast::<Request>() {
            return Ok(Self(request.get().0.clone()));
        }
        Terms::new("Request", value.extract()?, None).map(Self)
    }
}

/// A job of an Allocator. Equal to another where both have the same number; an Allocator gives each number once.
///
/// Unpickling computes its placement again. Pickling raises TypeError where that depends on the CPUs, memory or NICs that
/// other jobs had when it came, and not on their GPUs only.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone)]
pub(crate) struct Job {
    id: u64,
    placement: Placement,
}

crate::pickle::plain!(Job { id, placement });

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Hash for Job {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

#[pymethods]
impl Job {
    #[getter]
    /// Its number on its Allocator, from 0 on in the order in which jobs came.
    fn number(&self) -> u64 {
        self.id
    }

    #[getter]
    /// The GPUs of the job and what belongs to each.
    fn placement(&self) -> Placement {
        self.placement.clone()
    }

    #[getter]
    /// The indices of its GPUs in the order to use.
    fn gpus(&self) -> Vec<u32> {
        self.placement.answer.gpu_indices()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Job", self)
    }

    fn __repr__(&self) -> String {
        format!("<Job {}: {}>", self.id, self.placement.answer)
    }
}

/// Jobs that were placed together. Made by Allocator.place_all.
#[pyclass(frozen, eq, get_all, module = "nvtopo")]
pub(crate) struct Batch {
    /// The jobs, in the order of the requests.
    jobs: Vec<Job>,
    /// The bandwidth of the rings of a job with several GPUs, as a part of the best of its size on the empty machine,
    /// averaged over these jobs; 1 without any.
    share: f64,
    /// True where no division gives them more together.
    optimal: bool,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        // A job is equal to another by its number; here it counts as well what it has.
        let same = |(one, other): (&Job, &Job)| one == other && one.placement == other.placement;
        (self.share, self.optimal, self.jobs.len()) == (other.share, other.optimal, other.jobs.len())
            && self.jobs.iter().zip(&other.jobs).all(same)
    }
}

crate::pickle::plain!(Batch { jobs, share, optimal });

#[pymethods]
impl Batch {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Batch", self)
    }

    fn __repr__(&self) -> String {
        format!("<Batch of {} jobs, share {}>", self.jobs.len(), self.share)
    }
}

/// A machine and the jobs on it: jobs come and go, and each gets the best of what is free.
///
/// A request is a Request, or a number of GPUs. Any number of threads may use an Allocator at once.
///
/// Raises UnsupportedError for a machine of more than 128 GPUs.
///
/// >>> import nvtopo
/// >>> allocator = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
/// >>> job = allocator.place(2)
/// >>> job.gpus, allocator.free, allocator.what_if(2).gpus
/// ([0, 3], [1, 2, 4, 5, 6, 7], [1, 2])
/// >>> allocator.release(job)
/// >>> len(allocator.free)
/// 8
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Allocator(Mutex<Jobs>);

/// The jobs of a machine, and the request of each.
struct Jobs {
    allocator: nvtopo::solve::Allocator,
    terms: BTreeMap<JobId, Arc<Terms>>,
}

impl Jobs {
    /// The terms of a job, without the GPUs of the jobs that are there.
    fn beside_others(&self, terms: &Terms) -> Terms {
        terms.without(self.allocator.jobs().flat_map(|(_, placement)| placement.gpu_indices()))
    }

    /// A job that the allocator has placed.
    fn job(&self, id: JobId) -> Option<Job> {
        let placement = self.allocator.placement(id)?.clone();
        Some(Job {
            id: id.number(),
            placement: Placement::on_allocator(placement, Arc::clone(self.terms.get(&id)?)),
        })
    }
}

#[pymethods]
impl Allocator {
    #[new]
    fn new(py: Python<'_>, topology: &Bound<'_, Topology>) -> PyResult<Self> {
        let topology = &topology.get().0;
        let allocator = call(py, || nvtopo::solve::Allocator::new(topology))?;
        Ok(Self(Mutex::new(Jobs { allocator, terms: BTreeMap::new() })))
    }

    #[getter]
    /// The indices of the GPUs that no job has and that can be used.
    fn free(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        call(py, || {
            let Jobs { allocator, .. } = &*self.lock();
            Ok(indices_of(allocator.topology(), &allocator.free()))
        })
    }

    #[getter]
    /// The jobs, oldest first.
    fn jobs(&self, py: Python<'_>) -> PyResult<Vec<Job>> {
        call(py, || {
            let jobs = self.lock();
            Ok(jobs.allocator.jobs().filter_map(|(id, _)| jobs.job(id)).collect())
        })
    }

    /// Places a job.
    ///
    /// Raises as Topology.place does, and then nothing changes.
    fn place(&self, py: Python<'_>, request: RequestArgument) -> PyResult<Job> {
        let RequestArgument(terms) = request;
        call(py, || {
            let mut jobs = self.lock();
            let beside = Arc::new(jobs.beside_others(&terms));
            let id = jobs.allocator.place(&terms.request())?;
            jobs.terms.insert(id, beside);
            Ok(jobs.job(id).expect("it was just placed"))
        })
    }

    /// Returns the placement that a job would get now. Nothing changes.
    ///
    /// Raises as Topology.place does.
    fn what_if(&self, py: Python<'_>, request: RequestArgument) -> PyResult<Placement> {
        let RequestArgument(terms) = request;
        call(py, || {
            let jobs = self.lock();
            let beside = Arc::new(jobs.beside_others(&terms));
            Ok(Placement::on_allocator(jobs.allocator.what_if(&terms.request())?, beside))
        })
    }

    /// Ends a job and frees its GPUs, CPUs, memory and NICs.
    ///
    /// Raises InvalidRequestError where there is no such job.
    fn release(&self, py: Python<'_>, job: &Bound<'_, Job>) -> PyResult<()> {
        let id = JobId::from_number(job.get().id);
        call(py, || {
            let mut jobs = self.lock();
            jobs.allocator.release(id)?;
            jobs.terms.remove(&id);
            Ok(())
        })
    }

    /// Places many jobs at once, so that their rings carry the most together: not one after another, where the first takes
    /// what a later one needs. Either all are placed, or none.
    ///
    /// Raises UnsatisfiableError where there is no room for all.
    ///
    /// >>> import nvtopo
    /// >>> allocator = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
    /// >>> batch = allocator.place_all([2, 2, nvtopo.Request(4, require=["nvlink-group"])])
    /// >>> batch.share, batch.optimal, allocator.free
    /// (1.0, True, [])
    fn place_all(&self, py: Python<'_>, requests: Vec<RequestArgument>) -> PyResult<Batch> {
        let terms: Vec<Terms> = requests.into_iter().map(|RequestArgument(terms)| terms).collect();
        let requests: Vec<nvtopo::Request> = terms.iter().map(Terms::request).collect();
        call(py, || {
            let mut jobs = self.lock();
            let batch = jobs.allocator.place_all(&requests)?;
            for (id, terms) in batch.jobs.iter().zip(&terms) {
                // Its GPUs were chosen together with the others': it had no choice but these.
                let own =
                    jobs.allocator.placement(*id).map(nvtopo::Placement::gpu_indices).unwrap_or_default();
                let all = jobs.allocator.topology().gpus().map(|gpu| gpu.index);
                let beside = terms.without(all.filter(|index| !own.contains(index)));
                jobs.terms.insert(*id, Arc::new(beside));
            }
            let placed = batch.jobs.iter().filter_map(|id| jobs.job(*id)).collect();
            Ok(Batch { jobs: placed, share: batch.share, optimal: batch.optimal })
        })
    }

    /// Counts the jobs like this that there is room for at once, and tells whether there is certainly none for one more.
    ///
    /// >>> import nvtopo
    /// >>> allocator = nvtopo.Allocator(nvtopo.preset("rtx-a6000-4-bridged"))
    /// >>> allocator.room_for(nvtopo.Request(2, require=["nvlink-group"]))
    /// (2, True)
    fn room_for(&self, py: Python<'_>, request: RequestArgument) -> PyResult<(usize, bool)> {
        let RequestArgument(terms) = request;
        call(py, || self.lock().allocator.room_for(&terms.request()))
    }

    fn __repr__(&self) -> String {
        let Jobs { allocator, .. } = &*self.lock();
        format!("<Allocator of {} jobs and {} free GPUs>", allocator.jobs().len(), allocator.free().len())
    }
}

impl Allocator {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // The core changes it last of all, so a panic leaves it as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
