//! What a job asks for.

use super::cpus::CpuLimits;
use super::gpu_ref::GpuRef;
use super::objective::{DEFAULT_OBJECTIVES, Objective, by_name};
use super::placement::Placement;
use super::{exact, placement};
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;

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
    count: usize,
    only: Option<Vec<GpuRef>>,
    exclude: Vec<GpuRef>,
    include: Vec<GpuRef>,
    objectives: Option<Vec<String>>,
    limits: CpuLimits,
}

impl Request {
    /// `count` GPUs of any kind.
    pub fn gpus(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// Only these may be taken: the free ones.
    pub fn only<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.only.get_or_insert_default().extend(gpus.into_iter().map(Into::into));
        self
    }

    /// These must not be taken.
    pub fn exclude<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.exclude.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// These must be among the chosen.
    pub fn include<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.include.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// What counts, most important first, by the names in [`OBJECTIVES`](super::objective::OBJECTIVES). What they
    /// leave open, the default objectives decide.
    pub fn objectives<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.objectives = Some(names.into_iter().map(Into::into).collect());
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

    /// Chooses the best GPUs and what belongs to them.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for unknown names and contradictions, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are not enough GPUs.
    pub fn solve(&self, topology: &Topology) -> Result<Placement> {
        let objectives = self.resolve_objectives()?;
        let (candidates, include) = self.candidates(topology)?;
        let solution = exact::solve(topology, &candidates, &include, self.count, &objectives)?;
        Ok(placement::complete(topology, &candidates, &solution, &objectives, &self.limits))
    }

    fn resolve_objectives(&self) -> Result<Vec<&'static dyn Objective>> {
        let mut objectives: Vec<&'static dyn Objective> = Vec::new();
        for name in self.objectives.iter().flatten() {
            let objective = by_name(name.trim())?;
            if objectives.iter().any(|other| other.name() == objective.name()) {
                return Err(Error::request(format!("the objective '{name}' is named twice")));
            }
            objectives.push(objective);
        }
        if self.objectives.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::request("the list of objectives is empty"));
        }
        for objective in DEFAULT_OBJECTIVES {
            if objectives.iter().all(|other| other.name() != objective.name()) {
                objectives.push(*objective);
            }
        }
        Ok(objectives)
    }

    /// The positions that may be taken, and those among them that must be.
    fn candidates(&self, topology: &Topology) -> Result<(Vec<usize>, Vec<usize>)> {
        let resolve = |refs: &[GpuRef]| -> Result<Vec<usize>> {
            let mut positions: Vec<usize> =
                refs.iter().map(|gpu| gpu.resolve(topology)).collect::<Result<_>>()?;
            positions.sort_unstable();
            positions.dedup();
            Ok(positions)
        };
        let total = topology.gpus().len();
        let only = self.only.as_deref().map(resolve).transpose()?;
        let exclude = resolve(&self.exclude)?;
        let include = resolve(&self.include)?;
        let name = |position: usize| topology.device_name(position);
        if let Some(both) = include.iter().find(|position| exclude.contains(position)) {
            return Err(Error::request(format!("{} is both included and excluded", name(*both))));
        }
        let allowed = |position: usize| only.as_ref().is_none_or(|only| only.contains(&position));
        if let Some(outside) = include.iter().find(|position| !allowed(**position)) {
            let name = name(*outside);
            return Err(Error::request(format!("{name} is included but not among the only GPUs allowed")));
        }
        if include.len() > self.count {
            return Err(Error::request(format!(
                "{} GPUs are included, but only {} asked for",
                include.len(),
                self.count
            )));
        }
        if self.count == 0 {
            return Err(Error::request("0 GPUs were asked for").help("ask for at least 1"));
        }
        let mut candidates = only.unwrap_or_else(|| (0..total).collect());
        candidates.retain(|position| !exclude.contains(position));
        if candidates.len() < self.count {
            return Err(Error::unsatisfiable(match (candidates.len(), total) {
                (_, 0) => "this topology has no GPU".to_owned(),
                (left, _) if left == total => {
                    format!("{} GPUs were asked for, but this machine has {total}", self.count)
                }
                (left, _) => format!(
                    "{} GPUs were asked for, but only {left} of {total} are left to choose from",
                    self.count
                ),
            }));
        }
        Ok((candidates, include))
    }
}
