//! `Node`: what jobs have of a machine, and `Request`, by which it is asked.

use crate::arguments::{
    BytesArgument, Constraints, Count, GpuArguments, HugePages, Mix, Names, Needs, Terms,
};
use crate::cpuset::CpuArgument;
use crate::placement::Placement;
use crate::topology::Topology;
use crate::{call, indices_of};
use nvtopo::solve::JobId;
use pyo3::prelude::*;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a job asks a Node for. The arguments are those of Topology.place.
///
/// A Node places for others, so the CPUs of the calling thread are no limit here: allowed_cpus=None allows all.
///
/// >>> import nvtopo
/// >>> nvtopo.Request(2, require=["nvlink-group"])
/// <Request of 2 GPUs>
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Request {
    #[pyo3(get)]
    /// How many GPUs.
    gpus: usize,
    request: nvtopo::Request,
}

#[pymethods]
impl Request {
    #[new]
    #[pyo3(
        signature = (
            gpus, *, only=None, exclude=GpuArguments::default(), include=GpuArguments::default(),
            objectives=None, require=Constraints::default(), prefer=Constraints::default(), mix=None,
            reserve_cpus=None, allowed_cpus=None, cpus_per_gpu=None, memory_per_gpu=None, hugepages_per_gpu=None,
            gpus_per_nic=None
        ),
        text_signature = "(gpus, *, only=None, exclude=(), include=(), objectives=None, require=(), prefer=(), \
                          mix=None, reserve_cpus=None, allowed_cpus=None, cpus_per_gpu=None, \
                          memory_per_gpu=None, hugepages_per_gpu=None, gpus_per_nic=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords to Python.
    fn new(
        gpus: Count,
        only: Option<GpuArguments>,
        exclude: GpuArguments,
        include: GpuArguments,
        objectives: Option<Names>,
        require: Constraints,
        prefer: Constraints,
        mix: Option<Mix>,
        reserve_cpus: Option<CpuArgument>,
        allowed_cpus: Option<CpuArgument>,
        cpus_per_gpu: Option<Count>,
        memory_per_gpu: Option<BytesArgument>,
        hugepages_per_gpu: Option<HugePages>,
        gpus_per_nic: Option<Count>,
    ) -> Self {
        let allowed_cpus = allowed_cpus.map(|cpus| cpus.0);
        let needs = Needs {
            cpus: cpus_per_gpu,
            memory: memory_per_gpu,
            pages: hugepages_per_gpu,
            per_nic: gpus_per_nic,
        };
        let terms = Terms {
            only,
            exclude,
            include,
            objectives,
            require,
            prefer,
            mix,
            reserve_cpus,
            allowed_cpus,
            needs,
        };
        Self { gpus: gpus.0, request: terms.request(gpus) }
    }

    fn __repr__(&self) -> String {
        format!("<Request of {} GPUs>", self.gpus)
    }
}

/// A Request, or a number of GPUs.
pub(crate) struct RequestArgument(nvtopo::Request);

impl<'a, 'py> FromPyObject<'a, 'py> for RequestArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(request) = value.cast::<Request>() {
            return Ok(Self(request.get().request.clone()));
        }
        value.extract::<Count>().map(|gpus| Self(nvtopo::Request::gpus(gpus.0)))
    }
}

/// A job on a Node. Equal to another where both have the same number; a Node gives each number once.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone)]
pub(crate) struct Job {
    id: JobId,
    placement: nvtopo::Placement,
}

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

impl Job {
    /// A job that is on the node.
    fn of(node: &nvtopo::solve::Node, id: JobId) -> Self {
        Self { id, placement: node.placement(id).expect("a job of this node").clone() }
    }
}

#[pymethods]
impl Job {
    #[getter]
    /// Its number on its Node, from 0 on in the order in which jobs came.
    fn number(&self) -> u64 {
        self.id.number()
    }

    #[getter]
    /// What it has.
    fn placement(&self) -> Placement {
        Placement(self.placement.clone())
    }

    #[getter]
    /// The indices of its GPUs in the order to use.
    fn gpus(&self) -> Vec<u32> {
        self.placement.gpu_indices()
    }

    fn __repr__(&self) -> String {
        format!("<Job {}: {}>", self.id.number(), self.placement)
    }
}

/// Jobs that were placed together. Made by Node.place_all.
#[pyclass(frozen, get_all, module = "nvtopo")]
pub(crate) struct Batch {
    /// The jobs, in the order of the requests.
    jobs: Vec<Job>,
    /// What the rings of the jobs with several GPUs carry as a part of the most that so many GPUs carry on the empty
    /// machine, on average; 1 without any.
    share: f64,
    /// Whether no division gives them more together.
    optimal: bool,
}

#[pymethods]
impl Batch {
    fn __repr__(&self) -> String {
        format!("<Batch of {} jobs, share {}>", self.jobs.len(), self.share)
    }
}

/// A machine and the jobs on it: jobs come and go, and each gets the best of what is free.
///
/// A request is a Request, or a number of GPUs. Any number of threads may use a Node at once.
///
/// Raises UnsupportedError for a machine of more than 128 GPUs.
///
/// >>> import nvtopo
/// >>> node = nvtopo.Node(nvtopo.preset("dgx-1-v100"))
/// >>> job = node.place(2)
/// >>> job.gpus, node.free, node.what_if(2).gpus
/// ([0, 3], [1, 2, 4, 5, 6, 7], [1, 2])
/// >>> node.release(job)
/// >>> len(node.free)
/// 8
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Node(Mutex<nvtopo::solve::Node>);

#[pymethods]
impl Node {
    #[new]
    fn new(py: Python<'_>, topology: &Bound<'_, Topology>) -> PyResult<Self> {
        let topology = &topology.get().0;
        Ok(Self(Mutex::new(call(py, || nvtopo::solve::Node::new(topology))?)))
    }

    #[getter]
    /// The indices of the GPUs that no job has and that can be used.
    fn free(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        call(py, || {
            let node = self.lock();
            Ok(indices_of(node.topology(), &node.free()))
        })
    }

    #[getter]
    /// The jobs in the order in which they came.
    fn jobs(&self, py: Python<'_>) -> PyResult<Vec<Job>> {
        call(py, || {
            let node = self.lock();
            Ok(node.jobs().map(|(id, _)| Job::of(&node, id)).collect())
        })
    }

    /// Places a job.
    ///
    /// Raises as Topology.place does, and then nothing changes.
    fn place(&self, py: Python<'_>, request: RequestArgument) -> PyResult<Job> {
        let RequestArgument(request) = request;
        call(py, || {
            let mut node = self.lock();
            let id = node.place(&request)?;
            Ok(Job::of(&node, id))
        })
    }

    /// What a job would get now. Nothing changes.
    ///
    /// Raises as Topology.place does.
    fn what_if(&self, py: Python<'_>, request: RequestArgument) -> PyResult<Placement> {
        let RequestArgument(request) = request;
        call(py, || self.lock().what_if(&request)).map(Placement)
    }

    /// Ends a job, and gives back what it had.
    ///
    /// Raises InvalidRequestError where there is no such job.
    fn release(&self, py: Python<'_>, job: &Bound<'_, Job>) -> PyResult<()> {
        let id = job.get().id;
        call(py, || self.lock().release(id).map(|_| ()))
    }

    /// Places many jobs at once, so that their rings carry the most together: not one after another, where the first takes
    /// what a later one needs. Either all are placed, or none.
    ///
    /// Raises UnsatisfiableError where there is no room for all.
    ///
    /// >>> import nvtopo
    /// >>> node = nvtopo.Node(nvtopo.preset("dgx-1-v100"))
    /// >>> batch = node.place_all([2, 2, nvtopo.Request(4, require=["nvlink-group"])])
    /// >>> batch.share, batch.optimal, node.free
    /// (1.0, True, [])
    fn place_all(&self, py: Python<'_>, requests: Vec<RequestArgument>) -> PyResult<Batch> {
        let requests: Vec<nvtopo::Request> = requests.into_iter().map(|request| request.0).collect();
        call(py, || {
            let mut node = self.lock();
            let batch = node.place_all(&requests)?;
            let jobs = batch.jobs.iter().map(|id| Job::of(&node, *id)).collect();
            Ok(Batch { jobs, share: batch.share, optimal: batch.optimal })
        })
    }

    /// How many jobs like this there is room for at once, and whether there is certainly none for one more.
    ///
    /// >>> import nvtopo
    /// >>> node = nvtopo.Node(nvtopo.preset("rtx-a6000-4-bridged"))
    /// >>> node.room_for(nvtopo.Request(2, require=["nvlink-group"]))
    /// (2, True)
    fn room_for(&self, py: Python<'_>, request: RequestArgument) -> PyResult<(usize, bool)> {
        let RequestArgument(request) = request;
        call(py, || self.lock().room_for(&request))
    }

    fn __repr__(&self) -> String {
        let node = self.lock();
        format!("<Node of {} jobs and {} free GPUs>", node.jobs().len(), node.free().len())
    }
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, nvtopo::solve::Node> {
        // The core changes it last of all, so a panic leaves it as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
