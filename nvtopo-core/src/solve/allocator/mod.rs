//! The allocator: jobs come and go, and each gets the best of the free GPUs.
//!
//! The state is a plain value: its owner decides when it changes, and queries change nothing.

mod batch;
mod state;

use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::placement::Placement;
use crate::solve::placement::needs::Taken;
use crate::solve::request::{Request, Solver};
use crate::solve::search::set::usable;
use crate::solve::search::tolerance::Tolerance;
pub use batch::Batch;
use std::collections::BTreeMap;
use std::fmt;

/// A job of an [`Allocator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

impl JobId {
    /// Returns its number on its [`Allocator`], from 0 in the order in which jobs came.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the job of a number, whether or not it is on any node: for callers that can only keep numbers.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// A machine and the jobs on it. The GPUs of a job are not free for others, nor are the CPUs, memory and huge pages that it was
/// given.
///
/// ```
/// use nvtopo::{Request, Topology, solve::Allocator};
///
/// let mut allocator = Allocator::new(&Topology::preset("dgx-1-v100")?)?;
/// let first = allocator.place(&Request::gpus(2))?;
/// assert_eq!(allocator.placement(first).unwrap().gpu_indices(), [0, 3]);
/// assert_eq!(allocator.what_if(&Request::gpus(2))?.gpu_indices(), [1, 2]);
/// assert_eq!(allocator.free(), [1, 2, 4, 5, 6, 7]);
/// allocator.release(first)?;
/// assert_eq!(allocator.free().len(), 8);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Allocator {
    solver: Solver,
    jobs: BTreeMap<JobId, Placement>,
    next: u64,
}

impl Allocator {
    /// Returns a machine without jobs. [`Unsupported`](crate::ErrorKind::Unsupported) for more than 128 GPUs.
    pub fn new(topology: &Topology) -> Result<Self> {
        let solver = Solver::new(topology);
        solver.weights(Tolerance::default())?;
        Ok(Self { solver, jobs: BTreeMap::new(), next: 0 })
    }

    /// Returns the machine.
    pub fn topology(&self) -> &Topology {
        self.solver.topology()
    }

    /// Returns the jobs in the order in which they came.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = (JobId, &Placement)> {
        self.jobs.iter().map(|(job, placement)| (*job, placement))
    }

    /// Returns the placement of a job.
    pub fn placement(&self, job: JobId) -> Option<&Placement> {
        self.jobs.get(&job)
    }

    /// Returns the positions of the usable GPUs that no job has, increasing.
    pub fn free(&self) -> Vec<usize> {
        let taken = self.taken();
        usable(self.topology()).filter(|gpu| !taken.contains(gpu)).collect()
    }

    /// Returns the placement that a job would get now. Errors as [`Request::solve`].
    pub fn what_if(&self, request: &Request) -> Result<Placement> {
        self.solver.solve(&request.clone().taken(self.taken()).used(self.used()))
    }

    /// Places a job. Errors as [`Request::solve`]; the state is then unchanged.
    pub fn place(&mut self, request: &Request) -> Result<JobId> {
        let placement = self.what_if(request)?;
        Ok(self.add(placement))
    }

    /// Ends a job, and returns the placement that it had. [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if there is no
    /// such job.
    pub fn release(&mut self, job: JobId) -> Result<Placement> {
        self.jobs.remove(&job).ok_or_else(|| {
            Error::request(format!("{job} is not on this machine")).help("it may have been released before")
        })
    }

    /// Returns the positions of the GPUs that jobs have.
    fn taken(&self) -> Vec<usize> {
        self.jobs.values().flat_map(|placement| placement.gpus().iter().map(|gpu| gpu.position)).collect()
    }

    /// Returns the resources of jobs besides GPUs.
    fn used(&self) -> Taken {
        let mut used = Taken::default();
        for placement in self.jobs.values() {
            used.add_job(placement);
        }
        used
    }

    fn add(&mut self, placement: Placement) -> JobId {
        let job = JobId(self.next);
        self.next += 1;
        self.jobs.insert(job, placement);
        job
    }
}
