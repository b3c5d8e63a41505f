//! The result: the GPU of each rank, the time saved, and the variables for a launcher.

use super::cost::{Costs, Family, Problem, slots};
use super::exact::Bounds;
use super::order::{Dimension, RankOrder};
use super::parallel::ParallelJob;
use super::{exact, large, symmetry};
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::search::set::{joint_gpus, usable};
use crate::units::Bandwidth;

/// The most ranks whose mappings are all examined or excluded.
const MAX_EXACT: usize = 8;

/// A group of ranks that communicate, and the bandwidth of their GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankGroup {
    /// The ranks in the order of the group; of a pipeline, two neighbouring stages.
    pub ranks: Vec<usize>,
    /// The positions of their GPUs in [`Topology::gpus`], in the same order.
    pub gpus: Vec<usize>,
    /// The bandwidth of these together, one direction.
    pub bandwidth: Bandwidth,
}

/// The communication time of one dimension of the job.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DimensionTime {
    /// The dimension.
    pub dimension: Dimension,
    /// The bytes that a rank sends in one step.
    pub bytes: u64,
    /// The number of groups; of a pipeline, the number of pairs of neighbouring stages.
    pub groups: usize,
    /// The time of the slowest group in one step, in seconds.
    pub seconds: f64,
    /// The slowest group, the first of several.
    pub worst: RankGroup,
    /// The time of the slowest group in the launcher's order, in seconds.
    pub launcher_seconds: f64,
    /// The slowest group in the launcher's order.
    pub launcher_worst: RankGroup,
}

/// The GPUs for the ranks of a parallel job, so that it communicates in the least time.
///
/// ```
/// use nvtopo::{ParallelJob, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let job = ParallelJob::new().tp(2).pp(4).traffic("tp=8GB".parse()?).traffic("pp=1GB".parse()?);
/// let map = job.map(&dgx1)?;
/// assert!(map.seconds() < map.launcher_seconds());
/// let (name, value) = &map.cuda_environment()[1]; // rank r is to use the r-th visible GPU
/// assert_eq!((*name, value.split(',').count()), ("CUDA_VISIBLE_DEVICES", 8));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RankMap {
    topology: Topology,
    shape: String,
    order: RankOrder,
    gpu_of_rank: Vec<usize>,
    launcher: Vec<usize>,
    dimensions: Vec<DimensionTime>,
    bound: f64,
}

impl RankMap {
    /// Returns the topology of the mapping.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the sizes of the job in the words of its order: `tp 2 × dp 4`.
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// Returns the order of ranks through the dimensions.
    pub fn order(&self) -> &RankOrder {
        &self.order
    }

    /// Returns the position in [`Topology::gpus`] of the GPU of each rank.
    ///
    /// Of mappings that take the same time, to a billionth, the launcher's order is taken, and else the first in it.
    pub fn gpu_of_rank(&self) -> &[usize] {
        &self.gpu_of_rank
    }

    /// Returns the position of the GPU of each rank in the launcher's order.
    pub fn launcher_order(&self) -> &[usize] {
        &self.launcher
    }

    /// Returns the communication time of the job in one step, in seconds: the sum over its dimensions of the slowest
    /// group's time.
    pub fn seconds(&self) -> f64 {
        self.dimensions.iter().fold(0.0, |sum, dimension| sum + dimension.seconds)
    }

    /// Returns the communication time in the launcher's order, in seconds.
    pub fn launcher_seconds(&self) -> f64 {
        self.dimensions.iter().fold(0.0, |sum, dimension| sum + dimension.launcher_seconds)
    }

    /// Returns the speedup over the launcher's order; 1 where nothing is gained.
    pub fn gain(&self) -> f64 {
        let (own, launcher) = (self.seconds(), self.launcher_seconds());
        if own > 0.0 { launcher / own } else { 1.0 }
    }

    /// Returns a lower bound on the time of any mapping, in seconds. Equal to [`seconds`](Self::seconds) where that is
    /// proven to be optimal.
    pub fn bound_seconds(&self) -> f64 {
        self.bound
    }

    /// Tells whether the mapping is proven to be optimal.
    pub fn is_optimal(&self) -> bool {
        self.seconds() <= self.bound
    }

    /// Returns the times of the dimensions that communicate.
    pub fn dimensions(&self) -> &[DimensionTime] {
        &self.dimensions
    }

    /// Returns the values of `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` with which a launcher that gives local rank
    /// n the n-th visible GPU gives each rank its own: torchrun, mpirun and srun with a GPU by local rank. UUIDs where
    /// all are known, else indices.
    ///
    /// The `deepspeed` command sorts the devices that it finds there, so that the order is lost; start such jobs with
    /// torchrun.
    pub fn cuda_environment(&self) -> Vec<(&'static str, String)> {
        crate::solve::cuda_environment(&self.topology, &self.gpu_of_rank)
    }
}

impl ParallelJob {
    /// Maps its ranks to the GPUs of a machine, exactly as many of which must be usable together: those that are [cut
    /// off](Topology::cut_off) are left out.
    pub fn map(&self, topology: &Topology) -> Result<RankMap> {
        let gpus: Vec<usize> =
            if self.ranks()? > 1 { joint_gpus(topology).collect() } else { usable(topology).collect() };
        let cut_off = |error: Error| {
            let told = |gpu: usize| {
                Some(format!("{} is left out: {}", topology.device_name(gpu), topology.cut_off(gpu)?))
            };
            let left_out: Vec<String> = usable(topology).filter_map(told).collect();
            if left_out.is_empty() { error } else { error.help(left_out.join("; ")) }
        };
        self.map_to(topology, &gpus).map_err(cut_off)
    }

    /// Maps its ranks to these GPUs, by their positions in [`Topology::gpus`], as many as there are ranks. Their order
    /// is the launcher's: that in which a process sees them.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for contradictions and for missing traffic, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where the number of GPUs is another, where one cannot be
    /// used, or where the bandwidth between two of them is unknown.
    pub fn map_to(&self, topology: &Topology, gpus: &[usize]) -> Result<RankMap> {
        let ranks = self.ranks()?;
        let mut sorted = gpus.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1])
            || sorted.last().is_some_and(|last| *last >= topology.gpus().len())
        {
            return Err(Error::request("a GPU is given twice, or does not exist"));
        }
        if gpus.len() != ranks {
            let (needs, given) = (self.shape(), gpus.len());
            return Err(Error::unsatisfiable(format!(
                "{needs} needs {ranks} GPUs, but there are {given} to map to"
            )));
        }
        for (position, gpu) in topology.gpus().enumerate().filter(|(position, _)| gpus.contains(position)) {
            if let Some(why) = &gpu.unusable {
                let name = topology.device_name(position);
                return Err(Error::unsatisfiable(format!("{name} cannot be used: {why}")));
            }
        }
        let problem = Problem::new(topology, gpus, self.families()?, self.grids()?)?;
        Ok(solve(self, &problem))
    }
}

/// Finds the best mapping.
fn solve(job: &ParallelJob, problem: &Problem<'_>) -> RankMap {
    let launcher: Vec<usize> = (0..problem.ranks()).collect();
    let floors = problem.floors();
    let floor = floors.iter().fold(0.0, |sum, floor| sum + floor);
    let mut costs = Costs::new(problem);
    let slowest: Vec<_> =
        (0..problem.families.len()).map(|family| costs.slowest(family, &launcher)).collect();
    let launcher_time: f64 = slowest.iter().map(|(seconds, _)| seconds).sum();
    let (slot_of, exact) = if launcher_time <= floor {
        (launcher.clone(), true)
    } else if problem.ranks() <= MAX_EXACT {
        let (before, limit) = (&symmetry::constraints(problem)[..], u64::MAX);
        let bounds = Bounds { ranks: &launcher, before, floors: &floors, best: launcher_time, limit };
        let found = exact::search(&mut costs, &launcher, &bounds);
        (found.unwrap_or_else(|| launcher.clone()), true)
    } else {
        (large::solve(&mut costs, floor), false)
    };
    let mut dimensions = Vec::with_capacity(problem.families.len());
    for (index, (launcher_seconds, launcher_worst)) in slowest.into_iter().enumerate() {
        let Family { dimension, bytes, groups, .. } = &problem.families[index];
        let (seconds, worst) = costs.slowest(index, &slot_of);
        dimensions.push(DimensionTime {
            dimension: *dimension,
            bytes: *bytes,
            groups: groups.len(),
            seconds,
            worst,
            launcher_seconds,
            launcher_worst,
        });
    }
    let seconds = dimensions.iter().fold(0.0, |sum, dimension| sum + dimension.seconds);
    RankMap {
        topology: problem.topology.clone(),
        shape: job.shape(),
        order: job.rank_order().clone(),
        gpu_of_rank: slot_of.iter().map(|slot| problem.gpus[*slot]).collect(),
        launcher: problem.gpus.to_vec(),
        dimensions,
        bound: if exact && costs.proven { seconds } else { floor },
    }
}

impl Costs<'_> {
    /// Returns the time of the slowest group of a family, and the first such group.
    fn slowest(&mut self, family: usize, slot_of: &[usize]) -> (f64, RankGroup) {
        let Family { pattern, groups, .. } = &self.problem.families[family];
        let (mut most, mut ranks) = (0.0, &groups[0]);
        for group in groups {
            let seconds = self.seconds(family, slots(group, slot_of));
            if seconds > most {
                (most, ranks) = (seconds, group);
            }
        }
        let bandwidth = Bandwidth::from_mb_per_s(self.bandwidth(*pattern, slots(ranks, slot_of)));
        let gpus = ranks.iter().map(|rank| self.problem.gpus[slot_of[*rank]]).collect();
        (most, RankGroup { ranks: ranks.clone(), gpus, bandwidth })
    }
}
