//! The solver of one machine: what is precomputed for it, and the memo of its answers.

use super::builder::Request;
use crate::cpuset::CpuSet;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{NodeId, Topology};
use crate::once::Once;
use crate::solve::cpus::{Cores, CpuLimits, usable_by_all};
use crate::solve::placement::Placement;
use crate::solve::placement::local::Local;
use crate::solve::search::bounded::Bounded;
use crate::solve::search::domains::Domains;
use crate::solve::search::set::{self, MAX_CANDIDATES, Set};
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weights::Weights;
use std::sync::Arc;

/// The greatest number of memoized placements.
const MAX_PLACEMENTS: usize = 64;

/// The greatest number of sets of usable CPUs whose solvers are kept.
const MAX_WITHIN: usize = 4;

/// A solver of requests for one machine, which keeps what it computed: weights of pairs, values of sets, and the last placements.
/// A request that is asked again, as by each rank of a job, is answered in less than a microsecond.
///
/// Clones and threads share the memo; none waits for another, not even in the child of a forked process. The memory is freed with
/// the last clone: at most 4 MB for 16 GPUs.
///
/// ```
/// use nvtopo::{Request, Solver, Topology};
///
/// let solver = Solver::new(&Topology::preset("dgx-1-v100")?);
/// assert_eq!(solver.solve(&Request::gpus(2))?.gpu_indices(), [0, 3]);
/// assert_eq!(solver.solve(&Request::gpus(2).exclude([0]))?.gpu_indices(), [2, 3]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone)]
pub struct Solver(Arc<Prepared>);

struct Prepared {
    topology: Topology,
    /// The weights of all GPUs by the default tolerance, if a search can take as many.
    weights: Once<Arc<Weights>>,
    /// The domains of a machine of more GPUs than that, by the default tolerance.
    domains: Once<Arc<Option<Domains>>>,
    local: Local,
    placements: Bounded<Request, Placement, MAX_PLACEMENTS>,
    /// The solvers of the machine with fewer CPUs, where that makes a difference.
    within: Bounded<CpuSet, Option<Solver>, MAX_WITHIN>,
}

impl Solver {
    /// Returns the solver of a machine. Everything is computed on demand.
    pub fn new(topology: &Topology) -> Self {
        Self(Arc::new(Prepared {
            topology: topology.clone(),
            weights: Once::new(),
            domains: Once::new(),
            local: Local::default(),
            placements: Bounded::default(),
            within: Bounded::default(),
        }))
    }

    /// Returns the machine.
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// Returns a solver of the machine with the CPUs that a request may use, if that leaves some GPU without CPUs beside it; else
    /// this one.
    pub(super) fn within(&self, limits: &CpuLimits) -> Self {
        let topology = self.topology();
        let unlimited = limits.reserved.is_empty() && limits.cores == Cores::All;
        if unlimited && topology.machine().isolated_cpus.is_empty() {
            return self.clone();
        }
        let left = usable_by_all(topology, limits);
        let other = self.0.within.at(left.clone(), || {
            let usable = topology.usable_cpus();
            let mut gpus = topology.devices()[..topology.gpus().len()].iter();
            let lacks = |gpu: &NodeId, cpus: &CpuSet| topology.lacks_cpus(*gpu, cpus);
            let changes = gpus.any(|gpu| lacks(gpu, &usable) != lacks(gpu, &left));
            changes.then(|| Self::new(&topology.with_allowed_cpus(&left)))
        });
        other.unwrap_or_else(|| self.clone())
    }

    /// Returns the local CPUs and NICs of the GPUs.
    pub(in crate::solve) fn local(&self) -> &Local {
        &self.0.local
    }

    /// Returns the memo of placements by their requests.
    pub(super) fn placements(&self) -> &Bounded<Request, Placement, MAX_PLACEMENTS> {
        &self.0.placements
    }

    /// Returns the weights of all GPUs. [`Unsupported`](ErrorKind::Unsupported) if they are too many.
    pub(in crate::solve) fn weights(&self, tolerance: Tolerance) -> Result<Arc<Weights>> {
        let gpus = self.topology().gpus().len();
        if gpus > MAX_CANDIDATES {
            return Err(too_many(gpus));
        }
        let of_all = || Arc::new(Weights::of(&self.classes(tolerance), &(0..gpus).collect::<Vec<_>>()));
        Ok(if self.is_usual(tolerance) { Arc::clone(self.0.weights.get_or_init(of_all)) } else { of_all() })
    }

    /// Returns the weights for a choice among some candidates, and their set. On a machine that is too large as a whole, these
    /// are the weights of just the candidates.
    pub(super) fn weights_of(
        &self,
        candidates: &[usize],
        tolerance: Tolerance,
    ) -> Result<(Arc<Weights>, Set)> {
        if self.topology().gpus().len() <= MAX_CANDIDATES {
            return Ok((self.weights(tolerance)?, set::of(candidates.iter().copied())));
        }
        if candidates.len() > MAX_CANDIDATES {
            return Err(too_many(candidates.len()));
        }
        let weights = Weights::of(&self.classes(tolerance), candidates);
        Ok((Arc::new(weights), set::all(candidates.len())))
    }

    /// Returns the domains of the machine; `None` if it does not consist of domains.
    pub(super) fn domains(&self, tolerance: Tolerance) -> Arc<Option<Domains>> {
        let compute = || Arc::new(Domains::of(&self.classes(tolerance)));
        if self.is_usual(tolerance) { Arc::clone(self.0.domains.get_or_init(compute)) } else { compute() }
    }

    /// Returns the machine with its measured rates by classes.
    fn classes(&self, tolerance: Tolerance) -> Topology {
        self.topology().with_rate_classes(tolerance.millionths())
    }

    /// Returns whether the memo holds for a tolerance.
    fn is_usual(&self, tolerance: Tolerance) -> bool {
        tolerance == Tolerance::default() || !self.topology().has_measured_rates()
    }
}

impl std::fmt::Debug for Solver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Solver").field("topology", self.topology()).finish_non_exhaustive()
    }
}

fn too_many(gpus: usize) -> Error {
    let text = format!("{gpus} GPUs are more than the {MAX_CANDIDATES} that one request chooses from");
    Error::new(ErrorKind::Unsupported, text).help("name fewer with --only, such as one NVLink group")
}
