//! `bind` and `bound`: what is done to this process, for good or for a while. The arguments are read in `bind_request`.

use crate::arguments::{Count, Environment, Word, environment};
use crate::bind_request::{BindRequest, Bound, Memory, Target, warn};
use crate::cpuset::CpuArgument;
use crate::error::{invalid_request, raise};
use nvtopo::MemoryPolicy;
use nvtopo::apply::{self, BoundGuard};
use nvtopo::{Cores, Isolated};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::RefCell;

/// Binds this process to the CPUs of its GPU, and lets it take memory near them first.
///
/// By a placement, local rank n takes the n-th of its GPUs, and a rank beyond them is an error. By a topology, it takes
/// the n-th of the GPUs or MIG instances that CUDA_VISIBLE_DEVICES shows, or of all where that is not set;
/// CUDA_DEVICE_ORDER tells how they are counted. A process without a rank takes all of them. A part of a plan is what it
/// is.
///
/// Call it before other libraries start: memory that is taken already stays where it is, and a memory policy holds
/// for the calling thread and for what it starts.
///
/// Args:
///     target: a Placement, a Topology, or a Part of a Plan.
///     local_rank: which process on this machine this is, from 0. None: what the launcher set (LOCAL_RANK of torchrun,
///         OMPI_COMM_WORLD_LOCAL_RANK, SLURM_LOCALID, …); outside a launcher there is no rank.
///     local_size: how many processes of the job are on this machine. None: what the launcher set; where it says nothing,
///         the CPUs near the GPU are shared, since another process may use the same GPU.
///     threads: "all" threads of the process, or the "calling" thread, whose children inherit from it.
///     trust: bind by a topology of unknown origin too, such as a text or a preset. One that was recorded on another
///         machine is refused even so.
///     reserve_cpus: CPUs that are kept for others. This and policy, smt, isolated, cores and scope are for a topology only: a
///         placement and a part have their CPUs.
///     policy: how CPUs are dealt out, "exclusive" by default; `cpu_policies()` lists the names.
///     smt: "all" threads of a core (the default), or "one".
///     isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
///         are others ("avoid", the default), or are as all others ("use").
///     cores: "all" (the default), or the "fast" ones of a machine whose cores are not alike: performance cores, priority
///         cores.
///     memory: how memory is taken from now on: from the near nodes first ("preferred"), from the node of the CPU that
///         asks ("local"), from the near nodes only ("bind"), from them in turn ("interleave"), or as before ("none").
///     scope: what is dealt out: the "affinity" of the calling thread (default), or all that the kernel would let it
///         have ("cpuset"), whatever a launcher has bound it to.
///     require: fail where there is nothing to bind to, as no GPU is found or its CPUs are unknown. By default the process
///         then runs on unbound, and a remark in the answer says why.
///     on_error: "raise" what cannot be done, or "warn": then it is a RuntimeWarning and stands in the answer's warnings,
///         and the process runs on as it was.
///
/// Raises WrongMachineError where the topology is not this machine's, RefusedError where none of the CPUs may be used,
/// InvalidRequestError for a rank beyond the placement, where the launcher's rank is no number, and for unknown names even
/// with on_error="warn"; with `require`, UnsatisfiableError where there is nothing to bind to. Memory that is refused is a
/// warning in the answer.
///
/// >>> import nvtopo
/// >>> place = nvtopo.discover().place(gpus=4)  # doctest: +SKIP
/// >>> nvtopo.bind(place).after                 # doctest: +SKIP
/// CpuSet('0-13,112-125')
#[pyfunction]
#[pyo3(signature = (
    target, local_rank=None, *, local_size=None, threads="all", trust=false, reserve_cpus=None, policy=None, smt=None,
    isolated=None, cores=None, memory=Memory(Some(MemoryPolicy::Preferred)), scope=None, require=false,
    on_error="raise"
), text_signature = "(target, local_rank=None, *, local_size=None, threads='all', trust=False, reserve_cpus=None, \
                     policy=None, smt=None, isolated=None, cores=None, memory='preferred', scope=None, require=False, on_error='raise')")]
#[allow(clippy::too_many_arguments)] // They are keywords to Python.
pub(crate) fn bind(
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
) -> PyResult<Bound> {
    let request = BindRequest::new(
        py,
        target,
        local_rank,
        local_size,
        threads,
        trust,
        reserve_cpus,
        policy,
        smt,
        isolated,
        cores,
        memory,
        scope,
        require,
        on_error,
    )?;
    request.run(py, |part| Ok(Bound::of(&apply::bind(request.topology(), part, request.options)?)))
}

/// As bind, for the block of a `with` statement: at its end, what was found comes back.
///
/// The arguments are those of bind. What bind would do is done when the block is entered, and the block gets what bind
/// would answer. It must end in the thread that entered it. Threads that start in between go where that thread goes.
///
/// >>> import nvtopo
/// >>> with nvtopo.bound(nvtopo.discover()) as done:  # doctest: +SKIP
/// ...     print(done.after)
#[pyfunction]
#[pyo3(signature = (
    target, local_rank=None, *, local_size=None, threads="all", trust=false, reserve_cpus=None, policy=None, smt=None,
    isolated=None, cores=None, memory=Memory(Some(MemoryPolicy::Preferred)), scope=None, require=false,
    on_error="raise"
), text_signature = "(target, local_rank=None, *, local_size=None, threads='all', trust=False, reserve_cpus=None, \
                     policy=None, smt=None, isolated=None, cores=None, memory='preferred', scope=None, require=False, on_error='raise')")]
#[allow(clippy::too_many_arguments)] // They are keywords to Python.
pub(crate) fn bound(
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
) -> PyResult<Binding> {
    BindRequest::new(
        py,
        target,
        local_rank,
        local_size,
        threads,
        trust,
        reserve_cpus,
        policy,
        smt,
        isolated,
        cores,
        memory,
        scope,
        require,
        on_error,
    )
    .map(Binding)
}

/// A binding for the block of a `with` statement. Made by bound.
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Binding(BindRequest);

thread_local! {
    /// The blocks that this thread has entered and not left, by the address of the Binding. A guard belongs to its thread, and
    /// Python's objects do not.
    static ENTERED: RefCell<Vec<(usize, Option<BoundGuard>)>> = const { RefCell::new(Vec::new()) };
}

#[pymethods]
impl Binding {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Bound> {
        let address = self.address();
        let enter = |guard| ENTERED.with_borrow_mut(|entered| entered.push((address, guard)));
        let mut guarded = false;
        let done = self.0.run(py, |part| {
            let guard = apply::bind_scoped(self.0.topology(), part, self.0.options)?;
            let done = Bound::of(guard.bound());
            enter(Some(guard));
            guarded = true;
            Ok(done)
        })?;
        if !guarded {
            enter(None);
        }
        Ok(done)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &pyo3::Bound<'_, PyTuple>) -> PyResult<()> {
        let address = self.address();
        let guard = ENTERED.with_borrow_mut(|entered| {
            let last = entered.iter().rposition(|(own, _)| *own == address)?;
            Some(entered.remove(last).1)
        });
        let Some(guard) = guard else {
            return Err(invalid_request(py, "this block was not entered in this thread"));
        };
        match guard.map_or(Ok(()), BoundGuard::restore) {
            Err(error) if self.0.lenient => warn(py, &error),
            done => done.map_err(|error| raise(py, &error)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<Binding by {} GPUs>", self.0.topology().gpus().len())
    }
}

impl Binding {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

/// Warnings for the variables that undo a binding after it was made: OMP_PLACES, OMP_PROC_BIND, GOMP_CPU_AFFINITY and
/// KMP_AFFINITY. Nothing is set or unset.
///
/// Args:
///     environ: the variables of the process. None: os.environ.
///
/// >>> import nvtopo
/// >>> nvtopo.hazards({"OMP_PROC_BIND": "close"})[0].split(":")[0]
/// 'OMP_PROC_BIND=close undoes the binding'
#[pyfunction]
#[pyo3(signature = (environ=None))]
pub(crate) fn hazards(py: Python<'_>, environ: Option<Environment>) -> PyResult<Vec<String>> {
    let environ = environ.map_or_else(|| environment(py), Ok)?;
    Ok(apply::hazards(|name| environ.get(name)))
}
