//! `nvtopo_binding`: binding this process beside its GPUs, and what came of it. The variables that say which GPUs a
//! process sees are read here.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::environment::own;
use crate::handle::{Text, c_text, c_texts, element, given, owned};
use crate::placement::nvtopo_placement;
use crate::plan::nvtopo_plan;
use crate::rules::nvtopo_rules;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::apply::{BindOptions, Bound, MemoryPolicy, Trust, allowed_cpus, bind_part, current_cpus};
use nvtopo::{CpuLimits, LocalRank, Part, Topology, VisibleGpus};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// What binding this process has done. It never changes.
pub struct nvtopo_binding {
    before: nvtopo_cpuset,
    after: nvtopo_cpuset,
    memory: CString,
    mems: CString,
    threads: usize,
    warnings: Vec<CString>,
    /// The part that was bound to.
    part: Part,
}

/// Binds all threads of this process to the CPUs of its part of a placement, and lets it take memory from the NUMA
/// nodes beside them first. Local rank n takes GPU number n of the placement; -1 takes them all.
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for a rank beyond the placement.
///
/// Fails with `NVTOPO_STATUS_WRONG_MACHINE`, and changes nothing, where the topology is another machine's; also where
/// nobody knows whose it is (a text, a preset), unless `trust` is true. Fails with `NVTOPO_STATUS_REFUSED` where this
/// process may use none of the CPUs. Memory that is refused is a warning.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_bind(
    placement: Option<&nvtopo_placement>,
    local_rank: i64,
    trust: bool,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let (topology, part) = placed_part(placement, local_rank)?;
        bind(topology, &part, options(trust))
    })
}

/// Binds all threads of this process as `nvtopo_placement_bind` does, to the CPUs of the GPUs or MIG instances that
/// `CUDA_VISIBLE_DEVICES` shows (all, where it is not set), counted as `CUDA_DEVICE_ORDER` says. Local rank n takes the
/// n-th of them; -1 takes them all. How many local ranks there are is taken from the variables of the launcher that gives
/// this process the same rank; where none does, the CPUs are shared with all GPUs of the NUMA node. Where no GPU is visible, or which it is cannot be told, nothing is changed, and a
/// warning says why.
///
/// Fails as `nvtopo_placement_bind` does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_bind(
    topology: Option<&nvtopo_topology>,
    local_rank: i64,
    trust: bool,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let topology = &given(topology, "topology")?.topology;
        let visible = VisibleGpus::from_environment(topology, own);
        let limits = CpuLimits { allowed: Some(current_cpus()?), ..CpuLimits::default() };
        let part = Part::of_visible(topology, &visible, rank(local_rank)?, &limits)?;
        bind(topology, &part, options(trust))
    })
}

/// Binds as `nvtopo_placement_bind` does, with memory taken as `memory` says: from the near nodes first ("preferred"),
/// from the node of the CPU that asks ("local"), from the near nodes only ("bind"), from them in turn ("interleave"),
/// or as before ("none").
///
/// Fails as `nvtopo_placement_bind` does, and with `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_bind_by(
    placement: Option<&nvtopo_placement>,
    local_rank: i64,
    memory: Text,
    trust: bool,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let (topology, part) = placed_part(placement, local_rank)?;
        bind(topology, &part, options_by(&memory, trust)?)
    })
}

/// Binds as `nvtopo_topology_bind` does, to one of `local_size` local ranks (0: as many as the launcher says), with CPUs
/// dealt out by rules, and memory taken as in `nvtopo_placement_bind_by`.
///
/// Fails as these do.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_bind_by(
    topology: Option<&nvtopo_topology>,
    local_rank: i64,
    local_size: usize,
    rules: Option<&nvtopo_rules>,
    memory: Text,
    trust: bool,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let (topology, part) = visible_part(topology, local_rank, local_size, rules)?;
        bind(topology, &part, options_by(&memory, trust)?)
    })
}

/// Binds all threads of this process to the CPUs of a rank of a plan, with memory taken as in
/// `nvtopo_placement_bind_by`.
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_bind(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    memory: Text,
    trust: bool,
    binding: Option<&mut MaybeUninit<*mut nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || {
        let (topology, part) = plan_part(plan, rank)?;
        bind(topology, &part, options_by(&memory, trust)?)
    })
}

/// Frees the account of a binding; the process stays bound. NULL is left alone.
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

/// How memory is taken now: "preferred", "local", "bind" or "interleave"; "" when that is as it was.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_memory(
    binding: Option<&nvtopo_binding>,
    policy: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(policy, "policy", || Ok(given(binding, "binding")?.memory.as_ptr()))
}

/// The NUMA nodes that memory is now taken from, as the kernel's list; "" when that is as it was, or from any.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_mems(
    binding: Option<&nvtopo_binding>,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(given(binding, "binding")?.mems.as_ptr()))
}

/// How many threads were bound.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_binding_thread_count(
    binding: Option<&nvtopo_binding>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(binding, "binding")?.threads))
}

/// How many warnings there are: what was refused, and what a person should know.
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

/// The part of a local rank in a placement.
pub(crate) fn placed_part(
    placement: Option<&nvtopo_placement>,
    local_rank: i64,
) -> Result<(&Topology, Part), Failure> {
    let placement = &given(placement, "placement")?.placement;
    Ok((placement.topology(), Part::of_placement(placement, rank(local_rank)?)?))
}

/// The part of a rank in a plan.
pub(crate) fn plan_part(plan: Option<&nvtopo_plan>, rank: usize) -> Result<(&Topology, Part), Failure> {
    let plan = &given(plan, "plan")?.here.plan;
    element(plan.parts(), rank, "rank")?;
    Ok((plan.topology(), plan.part(rank).unwrap_or_default()))
}

/// The part of a local rank in what this process sees, by rules.
pub(crate) fn visible_part<'a>(
    topology: Option<&'a nvtopo_topology>,
    local_rank: i64,
    local_size: usize,
    rules: Option<&nvtopo_rules>,
) -> Result<(&'a Topology, Part), Failure> {
    let (topology, rules) = (&given(topology, "topology")?.topology, given(rules, "rules")?);
    let rank = match (rank(local_rank)?, local_size) {
        (Some(named), 1..) => Some(LocalRank::of(named.rank, local_size)?),
        (named, _) => named,
    };
    let visible = VisibleGpus::from_environment(topology, own);
    let mut cpu_rules = rules.rules.clone();
    let limit = &mut cpu_rules.limits.allowed;
    *limit = Some(limit.take().map_or_else(|| allowed_cpus(rules.scope), Ok)?);
    Ok((topology, Part::of_visible_by(topology, &visible, rank, &cpu_rules)?))
}

impl nvtopo_binding {
    pub(crate) fn of(bound: Bound, part: &Part) -> Self {
        Self {
            part: part.clone(),
            before: bound.before.into(),
            after: bound.after.into(),
            memory: bound.memory.map(c_text).unwrap_or_default(),
            mems: bound.mems.map(c_text).unwrap_or_default(),
            threads: bound.threads,
            warnings: c_texts(bound.remarks.iter().chain(&bound.warnings)),
        }
    }
}

fn bind(topology: &Topology, part: &Part, options: BindOptions) -> Result<*mut nvtopo_binding, Failure> {
    Ok(owned(nvtopo_binding::of(bind_part(topology, part, options)?, part)))
}

/// How to bind, with memory taken as a word says.
pub(crate) fn options_by(memory: &Text, trust: bool) -> Result<BindOptions, Failure> {
    Ok(BindOptions { memory: policy(memory)?, ..options(trust) })
}

fn options(trust: bool) -> BindOptions {
    let trust = if trust { Trust::Unknown } else { Trust::ThisMachine };
    BindOptions { trust, ..BindOptions::default() }
}

fn policy(memory: &Text) -> Result<Option<MemoryPolicy>, Failure> {
    Ok(MemoryPolicy::parse_or_none(memory.read("memory")?)?)
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
