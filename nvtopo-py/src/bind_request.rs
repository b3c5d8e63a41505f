//! The arguments of bind and bound, and their result.

use crate::arguments::{Count, Environment, Word, environment, word};
use crate::cpuset::{CpuArgument, CpuSet, NodeSet};
use crate::error::{invalid_request, raise};
use crate::pickle::{Reduced, reduce};
use crate::placement::Placement;
use crate::plan::Part;
use crate::topology::Topology;
use nvtopo::MemoryPolicy;
use nvtopo::apply::{self, BindOptions, PlanHere, Scope, Threads, Trust, allowed_cpus, current_cpus};
use nvtopo::{Cores, CpuLimits, CpuPolicy, CpuRules, Error, Isolated, LocalRank, Smt, VisibleGpus};
use pyo3::exceptions::{PyRuntimeWarning, PyTypeError};
use pyo3::prelude::*;
use std::ffi::CString;
use std::sync::Arc;

/// The result of bind.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    /// The indices of the GPUs that this process was bound beside.
    gpus: Vec<u32>,
    /// The CPUs of the calling thread before.
    before: CpuSet,
    /// The CPUs of the calling thread now.
    after: CpuSet,
    /// The number of threads that were moved.
    threads: usize,
    /// The memory policy now: "preferred", "local", "bind" or "interleave". None: it is as it was.
    memory: Option<&'static str>,
    /// The nodes of that policy. None: the policy is as it was, or it names none.
    mems: Option<NodeSet>,
    /// Warnings: each says what was refused or could not be done.
    warnings: Vec<String>,
    /// Remarks for people about the CPUs and memory given.
    remarks: Vec<String>,
}

crate::pickle::plain!(Bound { gpus, before, after, threads, memory, mems, warnings, remarks });

#[pymethods]
impl Bound {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Bound", self)
    }

    fn __repr__(&self) -> String {
        format!("<Bound from CPUs {} to {}, {} threads>", self.before.0, self.after.0, self.threads)
    }
}

impl Bound {
    pub(crate) fn of(bound: &apply::Bound) -> Self {
        Self {
            gpus: bound.gpus.clone(),
            before: CpuSet(bound.before.clone()),
            after: CpuSet(bound.after.clone()),
            threads: bound.threads,
            memory: bound.memory.map(MemoryPolicy::word),
            mems: bound.mems.clone().map(NodeSet),
            warnings: bound.warnings.clone(),
            remarks: bound.remarks.clone(),
        }
    }

    /// The result where nothing was done, with the error as a warning.
    fn nothing(error: &Error) -> nvtopo::Result<Self> {
        let cpus = CpuSet(current_cpus()?);
        Ok(Self {
            gpus: Vec::new(),
            before: cpus.clone(),
            after: cpus,
            threads: 0,
            memory: None,
            mems: None,
            warnings: vec![error.to_string()],
            remarks: Vec::new(),
        })
    }
}

/// The target of a binding.
pub(crate) enum Target {
    Placement(nvtopo::Placement),
    Topology(nvtopo::Topology),
    Part(Arc<PlanHere>, nvtopo::Part),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Target {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(placement) = value.cast::<Placement>() {
            return Ok(Self::Placement(placement.get().answer.clone()));
        }
        if let Ok(topology) = value.cast::<Topology>() {
            return Ok(Self::Topology(topology.get().0.clone()));
        }
        if let Ok(part) = value.cast::<Part>() {
            let part = part.get();
            return Ok(Self::Part(Arc::clone(&part.whole), part.own.clone()));
        }
        let given = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("expected a Placement, a Part or a Topology, not {given}")))
    }
}

/// A memory policy by its word; "none" leaves the policy as it is.
#[derive(Clone, Copy)]
pub(crate) struct Memory(pub(crate) Option<MemoryPolicy>);

impl<'a, 'py> FromPyObject<'a, 'py> for Memory {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let policy = MemoryPolicy::parse_or_none(value.extract::<&str>()?);
        policy.map(Self).map_err(|error| raise(value.py(), &error))
    }
}

/// The arguments of bind and bound.
pub(crate) struct BindRequest {
    target: Target,
    local_rank: Option<usize>,
    local_size: Option<usize>,
    rules: CpuRules,
    scope: Scope,
    pub(crate) options: BindOptions,
    /// True where it is an error that there is nothing to bind to.
    require: bool,
    /// True where an error of the core is a warning only.
    pub(crate) lenient: bool,
}

impl BindRequest {
    #[allow(clippy::too_many_arguments)] // They are keywords to Python.
    pub(crate) fn new(
        py: Python<'_>,
        target: Target,
        local_rank: Option<Count>,
        local_size: Option<Count>,
        threads: &str,
        trust: bool,
        reserve_cpus: Option<CpuArgument>,
        policy: Option<&str>,
        smt: Option<&str>,
        isolated: Option<Word<Isolated>>,
        cores: Option<Word<Cores>>,
        memory: Memory,
        scope: Option<&str>,
        require: bool,
        on_error: &str,
    ) -> PyResult<Self> {
        let chosen = isolated.is_some() || cores.is_some();
        let dealt = reserve_cpus.is_some() || policy.is_some() || smt.is_some() || chosen || scope.is_some();
        let what = match target {
            Target::Topology(_) => None,
            Target::Placement(_) => Some("a placement"),
            Target::Part(..) => Some("a part of a plan"),
        };
        if let Some(what) = what.filter(|_| dealt) {
            let message = format!(
                "{what} has its CPUs already: reserve_cpus, policy, smt, isolated, cores and scope are for a topology, or for place() and plan()"
            );
            return Err(invalid_request(py, &message));
        }
        if matches!(target, Target::Part(..)) && (local_rank.is_some() || local_size.is_some()) {
            return Err(invalid_request(
                py,
                "a part of a plan is of one rank already: choose it by plan[rank]",
            ));
        }
        let threads = word::<Threads>(py, threads)?;
        let lenient = match on_error {
            "raise" => false,
            "warn" => true,
            other => {
                let message = format!("on_error is '{other}': give 'raise' or 'warn'");
                return Err(invalid_request(py, &message));
            }
        };
        let trust = if trust { Trust::Unknown } else { Trust::ThisMachine };
        let policy = policy.map(|text| word::<CpuPolicy>(py, text)).transpose()?.unwrap_or_default();
        let smt = smt.map(|text| word::<Smt>(py, text)).transpose()?.unwrap_or_default();
        let scope = scope.map(|text| word::<Scope>(py, text)).transpose()?.unwrap_or_default();
        let limits = CpuLimits {
            allowed: None,
            reserved: reserve_cpus.unwrap_or_default().0,
            isolated: isolated.unwrap_or_default().0,
            cores: cores.unwrap_or_default().0,
        };
        Ok(Self {
            target,
            local_rank: local_rank.map(|rank| rank.0),
            local_size: local_size.map(|size| size.0),
            rules: CpuRules { policy, smt, limits, ..CpuRules::default() },
            scope,
            options: BindOptions::default().with_threads(threads).with_memory(memory.0).with_trust(trust),
            require,
            lenient,
        })
    }

    /// The part of this process.
    fn part(&self, environ: &Environment) -> nvtopo::Result<nvtopo::Part> {
        let part = self.part_of_target(environ)?;
        if self.require {
            part.require_cpus()?;
        }
        Ok(part)
    }

    fn part_of_target(&self, environ: &Environment) -> nvtopo::Result<nvtopo::Part> {
        let variable = |name: &str| environ.get(name);
        match &self.target {
            Target::Part(_, part) => Ok(part.clone()),
            Target::Placement(placement) => nvtopo::Part::of_placement(placement, self.rank(variable)?),
            Target::Topology(topology) => {
                let mut rules = self.rules.clone();
                rules.limits.allowed = Some(allowed_cpus(self.scope)?);
                let visible = VisibleGpus::from_environment(topology, variable);
                nvtopo::Part::of_visible_by(topology, &visible, self.rank(variable)?, &rules)
            }
        }
    }

    fn rank(&self, variable: impl Fn(&str) -> Option<String>) -> nvtopo::Result<Option<LocalRank>> {
        match (self.local_rank, self.local_size) {
            (Some(rank), None) => Ok(Some(LocalRank::named(rank, variable))),
            (Some(rank), Some(size)) => LocalRank::of(rank, size).map(Some),
            (None, None) => LocalRank::from_environment(variable),
            (None, Some(size)) => match LocalRank::from_environment(variable)? {
                Some(launched) => LocalRank::of(launched.rank, size).map(Some),
                None => Ok(None),
            },
        }
    }

    pub(crate) fn topology(&self) -> &nvtopo::Topology {
        match &self.target {
            Target::Placement(placement) => placement.topology(),
            Target::Topology(topology) => topology,
            Target::Part(whole, _) => whole.plan.topology(),
        }
    }

    /// Binds by a call of the core, and turns a failure into a warning where the arguments ask for that.
    pub(crate) fn run(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&nvtopo::Part) -> nvtopo::Result<Bound> + Send,
    ) -> PyResult<Bound> {
        let environ = environment(py)?;
        match py.detach(|| act(&self.part(&environ)?)) {
            Err(error) if self.lenient => {
                warn(py, &error)?;
                Bound::nothing(&error).map_err(|error| raise(py, &error))
            }
            done => done.map_err(|error| raise(py, &error)),
        }
    }
}

/// Makes a Python warning of an error.
pub(crate) fn warn(py: Python<'_>, error: &Error) -> PyResult<()> {
    // A text of the core holds no NUL, unless a damaged input does.
    let text = CString::new(error.to_string().replace('\0', "\u{fffd}")).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
}
