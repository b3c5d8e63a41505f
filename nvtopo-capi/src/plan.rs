//! `nvtopo_plan`: what each rank of a job on one machine gets. The variables that say which GPUs a process sees are read
//! here.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::environment::{Variables, own};
use crate::handle::{Text, Texts, c_document, c_known, c_text, c_texts, element, given, or_null, owned};
use crate::rules::nvtopo_rules;
use crate::status::{Failure, answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::MemoryPolicy;
use nvtopo::Topology;
use nvtopo::apply::{PlanHere, plan_here};
use nvtopo::render::json;
use nvtopo::render::{LAUNCH_FORMATS, LaunchMemory, launch_format};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The GPUs, CPUs, memory and NICs of each rank of a job on one machine. It never changes, and any number of threads may use it at once.
///
/// Every rank works it out alone: the same topology, variables and rules give the same plan everywhere.
pub struct nvtopo_plan {
    pub(crate) here: PlanHere,
    ranks: Vec<Rank>,
    remarks: Vec<CString>,
    /// By the place of the format in the core's list, and then by that of the way to take memory in `MEMORY`.
    formats: Vec<[OnceBox<CString>; MEMORY.len()]>,
    /// The variables of the process that it is for; `None`: of this one.
    variables: Option<Variables>,
    json: OnceBox<CString>,
}

/// Every way to take memory.
const MEMORY: [LaunchMemory; 6] = {
    let [first, second, third, fourth] = MemoryPolicy::ALL;
    [
        LaunchMemory::Usual,
        LaunchMemory::AsBefore,
        LaunchMemory::By(first),
        LaunchMemory::By(second),
        LaunchMemory::By(third),
        LaunchMemory::By(fourth),
    ]
};

/// The texts and sets of one rank, as C gets them.
struct Rank {
    gpus: Vec<u32>,
    cpus: nvtopo_cpuset,
    mems: Option<CString>,
    nics: Vec<CString>,
}

/// Works out what each of `ranks` local ranks gets; 0 is as many as the launcher of this process says, else one for each
/// visible GPU, or for as many as the rules give each. Local rank n uses the n-th of the GPUs that `CUDA_VISIBLE_DEVICES` shows, counted as `CUDA_DEVICE_ORDER`
/// says; where there are more ranks than GPUs, they begin again at the first.
///
/// NULL for the rules are the default ones.
///
/// Where the topology is not known to be this machine's, all GPUs are visible, no variable counts, and the scope of the
/// rules does not either.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for more ranks than a machine has, and where a variable is no number, with
/// `NVTOPO_STATUS_UNSATISFIABLE` where the rules ask for more GPUs or cores for each rank than there are.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_plan(
    topology: Option<&nvtopo_topology>,
    ranks: usize,
    rules: Option<&nvtopo_rules>,
    plan: Option<&mut MaybeUninit<*mut nvtopo_plan>>,
) -> nvtopo_status {
    answer(plan, "plan", || {
        let topology = &given(topology, "topology")?.topology;
        Ok(owned(nvtopo_plan::of(plan_of(topology, ranks, rules, None)?, None)))
    })
}

/// Works out a plan as `nvtopo_topology_plan` does, for another process: `count` variables of its environment count instead
/// of those of this one, each a text such as `CUDA_VISIBLE_DEVICES=3,1`. They count on any topology. The variables that
/// `nvtopo_plan_environment` tells are for that process, too.
///
/// Fails as that does, and with `NVTOPO_STATUS_INVALID_REQUEST` where a text has no "=".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_plan_of(
    topology: Option<&nvtopo_topology>,
    ranks: usize,
    rules: Option<&nvtopo_rules>,
    variables: Texts,
    count: usize,
    plan: Option<&mut MaybeUninit<*mut nvtopo_plan>>,
) -> nvtopo_status {
    answer(plan, "plan", || {
        let topology = &given(topology, "topology")?.topology;
        let variables = Variables::read(&variables, count)?;
        let here = plan_of(topology, ranks, rules, Some(&variables))?;
        Ok(owned(nvtopo_plan::of(here, Some(variables))))
    })
}

/// Frees a plan. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_free(plan: Option<Box<nvtopo_plan>>) {
    free(plan);
}

/// Counts the ranks.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_rank_count(
    plan: Option<&nvtopo_plan>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(plan, "plan")?.ranks.len()))
}

/// Counts the GPUs of a rank; 0 where none is visible, or which one it is cannot be told.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_gpu_count(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(planned(plan, rank)?.gpus.len()))
}

/// The index of GPU number `i`, from 0 on, of a rank: the one that nvidia-smi shows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_gpu(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    i: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || Ok(*element(&planned(plan, rank)?.gpus, i, "GPU")?))
}

/// The CPUs of a rank; empty where it has no GPU. The set belongs to the plan.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_cpus(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || Ok(&raw const planned(plan, rank)?.cpus))
}

/// Counts the cores of a rank of which no other rank has threads; 0 where they are shared or that is unknown.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_own_cores(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || {
        planned(plan, rank)?;
        Ok(element(given(plan, "plan")?.here.plan.parts(), rank, "rank")?.own_cores)
    })
}

/// The NUMA nodes that a rank takes memory from, as the kernel's list, such as "0" or "0-1"; NULL when they are not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_mems(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(or_null(planned(plan, rank)?.mems.as_ref())))
}

/// The name of the NIC that a rank should use; of several, the first. NULL where no NIC is known. The text belongs to the plan.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_nic(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || Ok(or_null(planned(plan, rank)?.nics.first())))
}

/// The number of NICs that a rank should use: one for each of its GPUs, as far as known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_nic_count(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(planned(plan, rank)?.nics.len()))
}

/// The name of NIC number `i`, from 0 on, of a rank. The text belongs to the plan.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_nic_name(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    i: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || Ok(element(&planned(plan, rank)?.nics, i, "NIC")?.as_ptr()))
}

/// Counts the remarks: what a person should know.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_remark_count(
    plan: Option<&nvtopo_plan>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(plan, "plan")?.remarks.len()))
}

/// A remark by its number, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_remark(
    plan: Option<&nvtopo_plan>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(plan, "plan")?.remarks, i, "remark")?.as_ptr()))
}

/// The plan as JSON, as `nvtopo plan --format json` prints it. The text belongs to the plan.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_to_json(
    plan: Option<&nvtopo_plan>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let plan = given(plan, "plan")?;
        let make = || Box::new(c_document(json::plan(&plan.here.plan)));
        Ok(plan.json.get_or_init(make).as_ptr())
    })
}

/// The plan as a launcher takes it, such as "rankfile-ompi5", "srun" or "taskset". The text belongs to the plan. The error
/// for an unknown name lists those that there are.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for an unknown name, and where a rank has no CPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_format(
    plan: Option<&nvtopo_plan>,
    format: Text,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || printed(given(plan, "plan")?, format.read("format")?, LaunchMemory::Usual))
}

/// As `nvtopo_plan_format`, with the way that ranks are to take memory: "preferred", "local", "bind" or "interleave", or "none"
/// to say nothing of memory.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` also where the format cannot say that, and where the memory nodes of a rank are
/// not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_format_memory(
    plan: Option<&nvtopo_plan>,
    format: Text,
    memory: Text,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || {
        printed(given(plan, "plan")?, format.read("format")?, memory.read("memory")?.parse()?)
    })
}

impl nvtopo_plan {
    /// A variable of the process that the plan is for.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables.as_ref().map_or_else(|| own(name), |variables| variables.get(name))
    }

    fn of(here: PlanHere, variables: Option<Variables>) -> Self {
        let plan = &here.plan;
        let topology = plan.topology();
        let indices: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
        let rank = |part: &nvtopo::Part| Rank {
            gpus: part.gpus.iter().filter_map(|position| indices.get(*position).copied()).collect(),
            cpus: part.cpus.clone().into(),
            mems: c_known(&part.mems),
            nics: part.nics.iter().map(|nic| c_text(topology.device_name(*nic))).collect(),
        };
        Self {
            ranks: plan.parts().iter().map(rank).collect(),
            remarks: c_texts(plan.remarks()),
            formats: LAUNCH_FORMATS.iter().map(|_| Default::default()).collect(),
            variables,
            json: OnceBox::new(),
            here,
        }
    }
}

fn printed(plan: &nvtopo_plan, format: &str, memory: LaunchMemory) -> Result<*const c_char, Failure> {
    let format = launch_format(format)?;
    let text = c_document(format.print_with(&plan.here.plan, memory)?);
    let place = LAUNCH_FORMATS.iter().position(|other| other.name == format.name).unwrap_or(0);
    let way = MEMORY.iter().position(|other| *other == memory).unwrap_or(0);
    Ok(element(element(&plan.formats, place, "format")?, way, "memory")?
        .get_or_init(|| Box::new(text))
        .as_ptr())
}

fn plan_of(
    topology: &Topology,
    ranks: usize,
    rules: Option<&nvtopo_rules>,
    variables: Option<&Variables>,
) -> Result<PlanHere, Failure> {
    let ranks = (ranks > 0).then_some(ranks);
    let rules = rules.cloned().unwrap_or_default();
    let told = |name: &str| variables.and_then(|variables| variables.get(name));
    let told = variables.map(|_| &told as nvtopo::apply::Variables<'_>);
    Ok(plan_here(topology, ranks, rules.rules, rules.scope, told, &own)?)
}

fn planned(plan: Option<&nvtopo_plan>, rank: usize) -> Result<&Rank, Failure> {
    element(&given(plan, "plan")?.ranks, rank, "rank")
}
