//! Streams of jobs, played on one machine against several ways to choose GPUs.
//!
//! A job that finds too few free GPUs is turned away, so that which jobs are accepted does not depend on the policy, and
//! every policy places the same jobs. They are judged by the ring bandwidth of the sets that they choose
//! ([`Topology::rings`]): what jobs take from each other on shared paths is not modelled, nor is waiting.
//! Deterministic: the same jobs give the same report.

mod jobs;
mod machine;
mod mapa;
pub mod partition;
mod play;
mod policy;
mod random;
pub mod render;
mod trace;

pub use jobs::{Job, MAX_JOBS, MAX_LOAD, Stream, Workload};
pub use policy::{POLICIES, PolicyKind};

use machine::Machine;
use nvtopo::Bandwidth;
use nvtopo::solve::joint_gpus;
use nvtopo::solve::objective::DEFAULT_OBJECTIVES;
use nvtopo::{Error, Result, Topology};
use policy::Task;

/// The most GPUs of a machine on which jobs are played.
pub const MAX_GPUS: usize = crate::partition::MAX_GPUS;

/// The options of a simulation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The names of the policies, of those in [`POLICIES`]; empty: all that can be asked on a machine of this size.
    pub policies: Vec<String>,
    /// The objectives of the policy `nvtopo`, most important first.
    pub objectives: Vec<String>,
    /// The seed of the policy `random`.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let objectives = DEFAULT_OBJECTIVES.iter().map(|objective| objective.name().to_owned()).collect();
        Self { policies: Vec::new(), objectives, seed: 0 }
    }
}

impl Options {
    /// Sets the names of the policies.
    #[must_use]
    pub fn policies<S: Into<String>>(self, policies: impl IntoIterator<Item = S>) -> Self {
        Self { policies: policies.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the objectives of the policy `nvtopo`, most important first.
    #[must_use]
    pub fn objectives<S: Into<String>>(self, objectives: impl IntoIterator<Item = S>) -> Self {
        Self { objectives: objectives.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the seed of the policy `random`.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// The result of a simulation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the machine, where it is known.
    pub machine: Option<String>,
    /// The GPUs of the machine that jobs can have.
    pub gpus: usize,
    /// The number of jobs that arrived.
    pub jobs: usize,
    /// The number of jobs that found too few free GPUs.
    pub blocked: usize,
    /// The number of rows of the trace that were left out.
    pub left_out: usize,
    /// The GPUs that would have been busy if no job had been turned away, as a part of all, on average. `None` where all
    /// jobs arrive at once.
    pub offered: Option<f64>,
    /// The GPUs that were busy, as a part of all, on average until the last arrival.
    pub utilization: Option<f64>,
    /// The jobs of each size.
    pub sizes: Vec<SizeReport>,
    /// The result of each policy.
    pub policies: Vec<PolicyReport>,
}

/// The jobs of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SizeReport {
    /// GPUs of each.
    pub gpus: usize,
    /// The number that arrived.
    pub jobs: usize,
    /// The number that were accepted.
    pub accepted: usize,
    /// The most that the rings of such a job carry on the empty machine.
    pub best: Bandwidth,
}

/// The result of one policy for the accepted jobs with several GPUs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyReport {
    /// The policy's name.
    pub policy: &'static str,
    /// Averages over these jobs; `None` where there were none.
    pub mean: Option<Mean>,
    /// The share for the jobs of each size, in the order of [`Report::sizes`]; `None` where no job with several GPUs was
    /// accepted.
    pub by_size: Vec<Option<f64>>,
}

/// Averages over jobs with several GPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mean {
    /// The ring bandwidth of a job in GB/s, one direction.
    pub gb_per_s: f64,
    /// The ring bandwidth as a part of the most that a job of its size can have on the empty machine.
    pub share: f64,
    /// The ring bandwidth of a job in GB/s over NVLinks of its own alone, without relays; see
    /// [`Topology::direct_rings`].
    pub direct_gb_per_s: f64,
    /// The part of the jobs that have rings over NVLinks of their own alone.
    pub nvlink: f64,
}

/// Counts the GPUs of a machine that jobs can have: those that can be used, alone and together.
pub fn capacity(topology: &Topology) -> usize {
    joint_gpus(topology).count()
}

/// Plays jobs on the machine against policies. Every few thousand jobs `progress` hears how many placements of how many
/// are done.
///
/// ```
/// use nvtopo::solve::SizeMix;
/// use nvtopo_simulate::{Options, Stream, Workload, simulate};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let stream = Stream::new(SizeMix::usual(8)?).jobs(5_000);
/// let options = Options::default().policies(["first-fit", "nvtopo"]);
/// let report = simulate(&dgx1, &Workload::random(&stream, 8)?, &options, &mut |_, _| ())?;
/// let gb_per_s = |policy: usize| report.policies[policy].mean.unwrap().gb_per_s;
/// assert!(gb_per_s(1) > 1.3 * gb_per_s(0));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn simulate(
    topology: &Topology,
    workload: &Workload,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report> {
    let machine = Machine::new(topology)?;
    let gpus = machine.capacity();
    let kinds = kinds(options, machine.gpus)?;
    let fitting = || workload.jobs.iter().filter(|job| job.gpus <= gpus);
    if fitting().next().is_none() {
        return Err(Error::request("there is no job that fits on the machine"));
    }
    let mix = workload.mix(gpus)?;
    let service: f64 = fitting().map(|job| job.service).sum();
    // The rate of a stream with the same averages; a single job has none.
    let rate = service / workload.span();
    let rate = if rate.is_nan() { 1.0 } else { rate.clamp(1e-6, 1e6) };
    let task = Task { options, mix: &mix, rate };
    let mut course = play::Course::new(&machine, workload);
    let total = workload.jobs.len() * kinds.len();
    for (index, kind) in kinds.iter().enumerate() {
        let done = index * workload.jobs.len();
        let mut policy = kind.make(&machine, &task)?;
        course.play(kind.name, policy.as_mut(), &mut |jobs| progress(done + jobs, total));
    }
    Ok(course.report())
}

fn kinds(options: &Options, gpus: usize) -> Result<Vec<&'static PolicyKind>> {
    let fits = |kind: &&PolicyKind| kind.most_gpus >= gpus;
    if options.policies.is_empty() {
        return Ok(POLICIES.iter().filter(fits).collect());
    }
    let kinds: Vec<&PolicyKind> =
        options.policies.iter().map(|name| policy::by_name(name.trim())).collect::<Result<_>>()?;
    match kinds.iter().find(|kind| !fits(kind)) {
        None => Ok(kinds),
        Some(kind) => Err(Error::request(format!(
            "the policy '{}' needs a table of everything: {gpus} GPUs are more than {}",
            kind.name, kind.most_gpus
        ))),
    }
}
