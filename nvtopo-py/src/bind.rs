//! `bind`: what is done to this process. The environment is read here, from `os.environ`, and handed to the core.

use crate::call;
use crate::cpuset::{CpuArgument, CpuSet, NodeSet};
use crate::error::invalid_request;
use crate::placement::{Count, Placement};
use crate::topology::Topology;
use nvtopo::apply::{self, BindOptions, Threads, Trust, current_cpus};
use nvtopo::solve::{VISIBILITY_VARIABLES, rank_variables};
use nvtopo::{CpuLimits, LocalRank, Part, VisibleGpus};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// What bind did.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    /// The indices of the GPUs that this process was bound beside.
    gpus: Vec<u32>,
    /// The CPUs of the calling thread before.
    before: CpuSet,
    /// The CPUs of the calling thread now.
    after: CpuSet,
    /// How many threads were moved.
    threads: usize,
    /// The nodes that memory is now taken from first. None: the policy is as it was.
    mems: Option<NodeSet>,
    /// What was refused or could not be done.
    warnings: Vec<String>,
    /// What a person should know about the CPUs and memory given.
    remarks: Vec<String>,
}

#[pymethods]
impl Bound {
    fn __repr__(&self) -> String {
        format!("<Bound from CPUs {} to {}, {} threads>", self.before.0, self.after.0, self.threads)
    }
}

/// What to bind by.
pub(crate) enum Target<'py> {
    Placement(pyo3::Bound<'py, Placement>),
    Topology(pyo3::Bound<'py, Topology>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Target<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(placement) = value.cast::<Placement>() {
            return Ok(Self::Placement(placement.to_owned()));
        }
        if let Ok(topology) = value.cast::<Topology>() {
            return Ok(Self::Topology(topology.to_owned()));
        }
        let given = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("expected a Placement or a Topology, not {given}")))
    }
}

/// Binds this process to the CPUs of its GPU, and lets it take memory near them first.
///
/// By a placement, local rank n takes the n-th of its GPUs. By a topology, it takes the n-th of the GPUs or MIG instances
/// that CUDA_VISIBLE_DEVICES shows, or of all where that is not set; CUDA_DEVICE_ORDER tells how they are counted. A
/// process without a rank takes all of them.
///
/// Call it before other libraries start: memory that is taken already stays where it is, and a memory policy holds
/// for the calling thread and for what it starts.
///
/// Args:
///     target: a Placement or a Topology.
///     local_rank: which process on this machine this is, from 0. None: what the launcher set (LOCAL_RANK of torchrun,
///         OMPI_COMM_WORLD_LOCAL_RANK, SLURM_LOCALID, …); outside a launcher there is no rank.
///     local_size: how many processes of the job are on this machine. None: what the launcher set; where it says nothing,
///         the CPUs near the GPU are shared, since another process may use the same GPU.
///     threads: "all" threads of the process, or the "calling" thread, whose children inherit from it.
///     trust: bind by a topology of unknown origin too, such as a text or a preset. One that was recorded on another
///         machine is refused even so.
///     reserve_cpus: CPUs that are kept for others. By a topology only: a placement was given its CPUs by
///         Topology.place.
///
/// Raises WrongMachineError where the topology is not this machine's, RefusedError where none of the CPUs may be used,
/// InvalidRequestError where the launcher's rank is no number. Memory that is refused is a warning in the answer.
///
/// >>> import nvtopo
/// >>> place = nvtopo.discover().place(gpus=4)  # doctest: +SKIP
/// >>> nvtopo.bind(place).after                 # doctest: +SKIP
/// CpuSet('0-13,112-125')
#[pyfunction]
#[pyo3(signature = (target, local_rank=None, *, local_size=None, threads="all", trust=false, reserve_cpus=None))]
pub(crate) fn bind(
    py: Python<'_>,
    target: Target<'_>,
    local_rank: Option<Count>,
    local_size: Option<Count>,
    threads: &str,
    trust: bool,
    reserve_cpus: Option<CpuArgument>,
) -> PyResult<Bound> {
    let threads = match threads {
        "all" => Threads::All,
        "calling" => Threads::Calling,
        _ => return Err(invalid_request(py, &format!("threads is '{threads}': give 'all' or 'calling'"))),
    };
    let trust = if trust { Trust::Unknown } else { Trust::ThisMachine };
    let environment = environment(py)?;
    let variable = |name: &str| environment.get(name).cloned();
    let rank = |given: Option<Count>| match (given, local_size) {
        (Some(Count(rank)), None) => Ok(Some(LocalRank::named(rank, variable))),
        (Some(Count(rank)), Some(Count(size))) => LocalRank::of(rank, size).map(Some),
        (None, None) => LocalRank::from_environment(variable),
        (None, Some(Count(size))) => match LocalRank::from_environment(variable)? {
            Some(launched) => LocalRank::of(launched.rank, size).map(Some),
            None => Ok(None),
        },
    };
    let options = BindOptions { threads, trust, ..BindOptions::default() };
    match target {
        Target::Placement(_) if reserve_cpus.is_some() => {
            Err(invalid_request(py, "a placement has its CPUs already: give reserve_cpus to place()"))
        }
        Target::Placement(placement) => {
            let placement = &placement.get().0;
            call(py, || {
                let part = Part::of_placement(placement, rank(local_rank)?);
                apply_part(placement.topology(), &part, options)
            })
        }
        Target::Topology(topology) => {
            let topology = &topology.get().0;
            call(py, || {
                let rank = rank(local_rank)?;
                let reserved = reserve_cpus.unwrap_or_default().0;
                let limits = CpuLimits { allowed: Some(current_cpus()?), reserved };
                let visible = VisibleGpus::from_environment(topology, |name| environment.get(name).cloned());
                apply_part(topology, &Part::of_visible(topology, &visible, rank, &limits), options)
            })
        }
    }
}

fn apply_part(topology: &nvtopo::Topology, part: &Part, options: BindOptions) -> nvtopo::Result<Bound> {
    let bound = apply::bind_part(topology, part, options)?;
    Ok(Bound {
        gpus: bound.gpus,
        before: CpuSet(bound.before),
        after: CpuSet(bound.after),
        threads: bound.threads,
        mems: bound.mems.map(NodeSet),
        warnings: bound.warnings,
        remarks: bound.remarks,
    })
}

/// The variables that matter here, as Python sees them.
fn environment(py: Python<'_>) -> PyResult<BTreeMap<&'static str, String>> {
    let environ = py.import("os")?.getattr("environ")?;
    let mut variables = BTreeMap::new();
    for name in rank_variables().chain(VISIBILITY_VARIABLES) {
        let value: Option<OsString> = environ.call_method1("get", (name,))?.extract()?;
        variables.extend(value.map(|value| (name, value.to_string_lossy().into_owned())));
    }
    Ok(variables)
}
