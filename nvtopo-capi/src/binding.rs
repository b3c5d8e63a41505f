//! `nvtopo_binding`: binding this process beside its GPUs, what came of it, and undoing it. The variables that say which GPUs a
//! process sees are read here.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::environment::own;
use crate::handle::{Text, c_known, c_text, c_texts, element, given, or_null, owned};
use crate::placement::nvtopo_placement;
use crate::plan::nvtopo_plan;
use crate::rules::nvtopo_rules;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::MemoryPolicy;
use nvtopo::apply::{BindOptions, BoundGuard, Trust, allowed_cpus, bind_scoped};
use nvtopo::{LocalRank, Part, Topology, VisibleGpus};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a process is bound. One thread at a time may change it; any number may use it while none does.
///
/// Until told otherwise: all threads of the process, near memory preferred, by a topology that is known to be this machine's.
/// NULL in its place is the same.
pub struct nvtopo_bind_options {
    options: BindOptions,
}

/// An account of binding this process, and undoing it. It belongs to the thread that made it, whose memory policy it changed:
/// `nvtopo_binding_restore` is for that thread. Any thread may ask it.
pub struct nvtopo_binding {
    before: nvtopo_cpuset,
    after: nvtopo_cpuset,
    memory: Option<CString>,
    mems: Option<CString>,
    threads: usize,
    warnings: Vec<CString>,
    /// The part that was bound to.
    part: Part,
    /// `None` once it has been undone.
    guard: Option<BoundGuard>,
    /// The number of the thread that made it.
    thread: u64,
}

/// The default options.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bind_options_new(
    options: Option<&mut MaybeUninit<*mut nvtopo_bind_options>>,
) -> nvtopo_status {
    answer(options, "options", || Ok(owned(nvtopo_bind_options { options: BindOptions::default() })))
}

/// Frees options. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bind_options_free(options: Option<Box<nvtopo_bind_options>>) {
    free(options);
}

/// Takes memory from the near nodes first ("preferred"), from the node of the CPU that asks ("local"), from the near nodes
/// only ("bind"), from them in turn ("interleave"), or as before ("none").
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bind_options_memory(
    options: Option<&mut nvtopo_bind_options>,
    memory: Text,
) -> nvtopo_status {
    guard(|| {
        given(options, "options")?.options.memory = MemoryPolicy::parse_or_none(memory.read("memory")?)?;
        Ok(())
    })
}

/// Binds all threads of the process ("all"), those of libraries too, or the calling thread only ("calling"): threads that it
/// starts inherit from it.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bind_options_threads(
    options: Option<&mut nvtopo_bind_options>,
    threads: Text,
) -> nvtopo_status {
    guard(|| {
        given(options, "options")?.options.threads = threads.read("threads")?.parse()?;
        Ok(())
    })
}

/// Trusts, or does not trust, a topology of which nobody knows whose it is: a text, a preset. One of another machine is never trusted.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bind_options_trust(
    options: Option<&mut nvtopo_bind_options>,
    trust: bool,
) -> nvtopo_status {
    guard(|| {
        given(options, "options")?.options.trust = if trust { Trust::Unknown } else { Trust::ThisMachine };
        Ok(())
    })
}

/// Binds this process to the CPUs of its part of a placement, and lets it take memory from the NUMA nodes beside them. Local
/// rank n takes GPU number n of the placement; -1 takes them all. NULL for the options are the default ones.
///
///     nvtopo_binding *binding = NULL;
///     if (nvtopo_placement_bind(placement, 0, NULL, &binding) != NVTOPO_STATUS_OK)
///         fprintf(stderr, "not bound: %s\n", nvtopo_last_error_message());
///
/// Fails with `NVTOPO_STATUS_WRONG_MACHINE`, and changes nothing, where the topology is another machine's; also where
/// nobody knows whose it is, unless the options trust it. Fails with `NVTOPO_STATUS_REFUSED` where this process may use none
/// of the CPUs, and with `NVTOPO_STATUS_INVALID_REQUEST` for a rank beyond the placement. Memory that is refused is a warning.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_bind(
    placement: Option<&nvtopo_placement>,
    local_rank: i64,
    options: Option<&nvtopo_bind_options>,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let placement = &given(placement, "placement")?.placement;
        let part = Part::of_placement(placement, rank(local_rank)?)?;
        bind(placement.topology(), &part, options)
    })
}

/// Binds this process as `nvtopo_placement_bind` does, to the CPUs of the GPUs or MIG instances that `CUDA_VISIBLE_DEVICES`
/// shows (all, where it is not set), counted as `CUDA_DEVICE_ORDER` says. Local rank n takes the n-th of them; -1 takes them
/// all. `local_size` is how many local ranks there are; 0: as many as the launcher says that gives this process the same
/// rank, and where none does, the CPUs are shared with all GPUs of the NUMA node. The rules say how CPUs are dealt out; NULL
/// are the default ones. Where no GPU is visible, or which it is cannot be told, nothing is changed, and a warning says why.
///
/// Fails as `nvtopo_placement_bind` does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_bind(
    topology: Option<&nvtopo_topology>,
    local_rank: i64,
    local_size: usize,
    rules: Option<&nvtopo_rules>,
    options: Option<&nvtopo_bind_options>,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let topology = &given(topology, "topology")?.topology;
        let part = visible_part(topology, local_rank, local_size, &rules.cloned().unwrap_or_default())?;
        bind(topology, &part, options)
    })
}

/// Binds this process to the CPUs of a rank of a plan, as `nvtopo_placement_bind` does.
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_bind(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    options: Option<&nvtopo_bind_options>,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let plan = &given(plan, "plan")?.here.plan;
        element(plan.parts(), rank, "rank")?;
        bind(plan.topology(), &plan.part(rank).unwrap_or_default(), options)
    })
}

/// Binds this process to these CPUs of the machine, as `nvtopo_placement_bind` does to those of a placement, with memory from
/// these NUMA nodes, as the kernel's list, such as "0" or "0-1"; "" leaves memory as it is.
///
/// Fails as that does, and with `NVTOPO_STATUS_INVALID_REQUEST` for a set without CPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_bind_cpus(
    topology: Option<&nvtopo_topology>,
    cpus: Option<&nvtopo_cpuset>,
    mems: Text,
    options: Option<&nvtopo_bind_options>,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let topology = &given(topology, "topology")?.topology;
        let cpus = given(cpus, "cpus")?.set.clone();
        if cpus.is_empty() {
            return Err(Failure::new(nvtopo_status::InvalidRequest, "there is no CPU in 'cpus' to bind to"));
        }
        let part = Part { cpus, mems: mems.read("mems")?.parse()?, ..Part::default() };
        bind(topology, &part, options)
    })
}

/// Undoes a binding: the CPUs of the threads and the memory policy of this one are again what was found; threads that started
/// in between go where the calling thread goes. A second time, nothing is done. What was done is still told, and the handle
/// must still be freed.
///
/// Fails with `NVTOPO_STATUS_REFUSED` where the kernel refuses, as when a cpuset has shrunk meanwhile, and with
/// `NVTOPO_STATUS_INVALID_REQUEST`, changing nothing, in another thread than the one that bound.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_restore(binding: Option<&mut nvtopo_binding>) -> nvtopo_status {
    guard(|| {
        let binding = given(binding, "binding")?;
        if binding.thread != this_thread() {
            let message = "the binding belongs to another thread, which must undo it";
            return Err(Failure::new(nvtopo_status::InvalidRequest, message));
        }
        Ok(binding.guard.take().map_or(Ok(()), BoundGuard::restore)?)
    })
}

/// Frees the account of a binding; the process stays bound unless it was restored. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_free(binding: Option<Box<nvtopo_binding>>) {
    free(binding);
}

/// The CPUs of the calling thread before. The set belongs to the binding.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_before(
    binding: Option<&nvtopo_binding>,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || Ok(&raw const given(binding, "binding")?.before))
}

/// The CPUs of the calling thread after. The set belongs to the binding.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_after(
    binding: Option<&nvtopo_binding>,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || Ok(&raw const given(binding, "binding")?.after))
}

/// Requires that the process was bound to CPUs: fails with `NVTOPO_STATUS_UNSATISFIABLE` where there was nothing to bind to, as
/// no GPU is found or its CPUs are unknown, and `nvtopo_last_error_message` tells the reason. Without this, such a process runs
/// on unbound, and a warning of the binding says so.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_require(binding: Option<&nvtopo_binding>) -> nvtopo_status {
    guard(|| Ok(given(binding, "binding")?.part.require_cpus()?))
}

/// How memory is taken now: "preferred", "local", "bind" or "interleave"; NULL when that is as it was.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_memory(
    binding: Option<&nvtopo_binding>,
    policy: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(policy, "policy", || Ok(or_null(given(binding, "binding")?.memory.as_ref())))
}

/// The NUMA nodes that memory is now taken from, as the kernel's list; NULL when that is as it was, or from any.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_mems(
    binding: Option<&nvtopo_binding>,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(or_null(given(binding, "binding")?.mems.as_ref())))
}

/// Counts the threads that were bound.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_thread_count(
    binding: Option<&nvtopo_binding>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(binding, "binding")?.threads))
}

/// Counts the warnings: what was refused, and what a person should know.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_warning_count(
    binding: Option<&nvtopo_binding>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(binding, "binding")?.warnings.len()))
}

/// A warning by its number, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_warning(
    binding: Option<&nvtopo_binding>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(binding, "binding")?.warnings, i, "warning")?.as_ptr()))
}

/// The part of a local rank in what this process sees, by rules.
fn visible_part(
    topology: &Topology,
    local_rank: i64,
    local_size: usize,
    rules: &nvtopo_rules,
) -> Result<Part, Failure> {
    let rank = match (rank(local_rank)?, local_size) {
        (Some(named), 1..) => Some(LocalRank::of(named.rank, local_size)?),
        (named, _) => named,
    };
    let visible = VisibleGpus::from_environment(topology, own);
    let mut cpu_rules = rules.rules.clone();
    let limit = &mut cpu_rules.limits.allowed;
    *limit = Some(limit.take().map_or_else(|| allowed_cpus(rules.scope), Ok)?);
    Ok(Part::of_visible_by(topology, &visible, rank, &cpu_rules)?)
}

impl Drop for nvtopo_binding {
    fn drop(&mut self) {
        self.guard.take().map(BoundGuard::keep);
    }
}

fn bind(
    topology: &Topology,
    part: &Part,
    options: Option<&nvtopo_bind_options>,
) -> Result<*mut nvtopo_binding, Failure> {
    let guard =
        bind_scoped(topology, part, options.map_or_else(BindOptions::default, |options| options.options))?;
    let done = guard.bound();
    Ok(owned(nvtopo_binding {
        before: done.before.clone().into(),
        after: done.after.clone().into(),
        memory: done.memory.map(c_text),
        mems: done.mems.as_ref().and_then(c_known),
        threads: done.threads,
        warnings: c_texts(done.remarks.iter().chain(&done.warnings)),
        part: part.clone(),
        guard: Some(guard),
        thread: this_thread(),
    }))
}

/// The number of the calling thread. The standard library's own needs memory, which it does not give back for threads that C
/// started.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// -1 is all GPUs, as one process without a rank.
fn rank(local_rank: i64) -> Result<Option<LocalRank>, Failure> {
    match usize::try_from(local_rank) {
        Ok(rank) => Ok(Some(LocalRank::named(rank, own))),
        Err(_) if local_rank == -1 => Ok(None),
        Err(_) => {
            let message =
                format!("there is no local rank {local_rank}: ranks count from 0, and -1 is all GPUs");
            Err(Failure::new(nvtopo_status::InvalidRequest, message))
        }
    }
}
