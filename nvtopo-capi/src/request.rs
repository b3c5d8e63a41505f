//! `nvtopo_request`: what a job asks for, and asking it of a topology.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::environment::own;
use crate::handle::{Indices, Text, given, listed, owned};
use crate::placement::nvtopo_placement;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::apply::visible_here;
use nvtopo::solve::objective::check_names;
use nvtopo::solve::{AllowedSets, Constraint, SizeMix, Tolerance};
use nvtopo::{GpuRef, Request};
use std::mem::MaybeUninit;

/// A request for GPUs. One thread at a time may change it; any number may place it while none does.
///
/// The functions that change it add to what was said before, and say nothing of whether a topology has such GPUs:
/// `nvtopo_topology_place` does.
pub struct nvtopo_request {
    pub(crate) request: Request,
}

/// A request for `gpus` GPUs of any kind.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_new(
    gpus: usize,
    request: Option<&mut MaybeUninit<*mut nvtopo_request>>,
) -> nvtopo_status {
    answer(request, "request", || Ok(owned(nvtopo_request { request: Request::gpus(gpus) })))
}

/// A request of its own that asks for the same.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_clone(
    request: Option<&nvtopo_request>,
    clone: Option<&mut MaybeUninit<*mut nvtopo_request>>,
) -> nvtopo_status {
    answer(clone, "clone", || {
        Ok(owned(nvtopo_request { request: given(request, "request")?.request.clone() }))
    })
}

/// Makes a request what `nvtopo_request_new` makes: for `gpus` GPUs of any kind, whatever was said before.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_reset(request: Option<&mut nvtopo_request>, gpus: usize) -> nvtopo_status {
    change(request, |_| Ok(Request::gpus(gpus)))
}

/// Frees a request. Placements that were made from it live on. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_free(request: Option<Box<nvtopo_request>>) {
    free(request);
}

/// Only these GPUs may be taken: the free ones, by the index that nvidia-smi shows. An array of none (NULL and 0)
/// allows none.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_only(
    request: Option<&mut nvtopo_request>,
    gpus: Indices,
    count: usize,
) -> nvtopo_status {
    by_index(request, &gpus, count, Request::only)
}

/// Only these GPUs may be taken: names, separated by commas, each an index ("3" or "GPU3"), a UUID or its unique start
/// ("GPU-5c3e"), a PCI address ("0000:1b:00.0"), or a model ("model:A100": all GPUs whose model's name has these words). ""
/// allows none.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where a name is none of these.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_only_named(
    request: Option<&mut nvtopo_request>,
    gpus: Text,
) -> nvtopo_status {
    by_name(request, &gpus, Request::only)
}

/// These GPUs must not be taken, by index.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_exclude(
    request: Option<&mut nvtopo_request>,
    gpus: Indices,
    count: usize,
) -> nvtopo_status {
    by_index(request, &gpus, count, Request::exclude)
}

/// These GPUs must not be taken, by names as in `nvtopo_request_only_named`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_exclude_named(
    request: Option<&mut nvtopo_request>,
    gpus: Text,
) -> nvtopo_status {
    by_name(request, &gpus, Request::exclude)
}

/// These GPUs must be among the chosen, by index.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_include(
    request: Option<&mut nvtopo_request>,
    gpus: Indices,
    count: usize,
) -> nvtopo_status {
    by_index(request, &gpus, count, Request::include)
}

/// These GPUs must be among the chosen, by names as in `nvtopo_request_only_named`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_include_named(
    request: Option<&mut nvtopo_request>,
    gpus: Text,
) -> nvtopo_status {
    by_name(request, &gpus, Request::include)
}

/// The objectives, most important first: names, separated by commas, such as "ring,pair-sum". What they leave open,
/// the default objectives decide; "" leaves all to them. They take the place of those that were named before.
/// `nvtopo_list_name` lists those that there are.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for an unknown name, and for one that is said twice.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_objectives(
    request: Option<&mut nvtopo_request>,
    names: Text,
) -> nvtopo_status {
    change(request, |request| {
        let names = names.list("names")?;
        if names.is_empty() {
            return Ok(request.default_objectives());
        }
        check_names(&names)?;
        Ok(request.objectives(names))
    })
}

/// Requires something between all chosen GPUs: words, separated by commas, of "nvlink-group", "numa-node", "pcie-switch",
/// "same-model" and "at-least:X" (X GB/s between each two); or of each of them: "gpu-memory:40GiB" (at least so much memory).
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_require(
    request: Option<&mut nvtopo_request>,
    constraints: Text,
) -> nvtopo_status {
    by_word(request, &constraints, Request::require)
}

/// The first of these, in words as in `nvtopo_request_require`, that can be met must be met as well. See
/// `nvtopo_placement_preference`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_prefer(
    request: Option<&mut nvtopo_request>,
    constraints: Text,
) -> nvtopo_status {
    by_word(request, &constraints, Request::prefer)
}

/// Only GPUs that no process uses, as the driver told it when the topology was made. One of which that is unknown is not chosen.
/// The remarks of the placement, or the error, tell why each was left out.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_only_free(request: Option<&mut nvtopo_request>) -> nvtopo_status {
    change(request, |request| Ok(request.free()))
}

/// Only GPUs of which so much memory in bytes is unused; 0: no matter. One of which that is unknown is not chosen.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_free_memory(
    request: Option<&mut nvtopo_request>,
    bytes: u64,
) -> nvtopo_status {
    change(request, |request| Ok(request.free_memory(bytes)))
}

/// Only one of these sets as a whole may be chosen: a table with one set a line ("0,1" or "4-7"), such as the partitions of a
/// Fabric Manager. The error of `nvtopo_topology_place` tells the nearest sizes where none has so many GPUs.
///
/// Fails with `NVTOPO_STATUS_INVALID_INPUT` or `NVTOPO_STATUS_INVALID_REQUEST` for a table that cannot be read, with the line.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_allowed_sets(
    request: Option<&mut nvtopo_request>,
    table: Text,
) -> nvtopo_status {
    change(request, |request| {
        Ok(request.allowed_sets(AllowedSets::read("allowed sets", table.read("table")?)?))
    })
}

/// How often jobs of each size come, such as "1:.5,2:.3,4:.2": what the GPUs left over are worth is judged by it. "": all sizes come
/// alike.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for anything else.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_mix(request: Option<&mut nvtopo_request>, sizes: Text) -> nvtopo_status {
    change(request, |request| {
        Ok(match mix(sizes.read("sizes")?)? {
            Some(mix) => request.mix(mix),
            None => request.default_mix(),
        })
    })
}

/// Measured rates that differ by less than this part count as equal when sets are compared: at least 0 and below 1, 0.05 unless it
/// is said otherwise. 0 tells all rates apart. Scores stay what was measured.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_tolerance(request: Option<&mut nvtopo_request>, part: f64) -> nvtopo_status {
    change(request, |request| Ok(request.tolerance(Tolerance::new(part)?.as_f64())))
}

/// Only these CPUs may be given to the job, besides what the topology itself allows. The set is copied. The CPUs of the
/// caller are no limit by themselves: a scheduler places for others.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_allow_cpus(
    request: Option<&mut nvtopo_request>,
    cpus: Option<&nvtopo_cpuset>,
) -> nvtopo_status {
    change(request, |request| Ok(request.allowed_cpus(given(cpus, "cpus")?.set.clone())))
}

/// These CPUs are kept for others. The set is copied.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_reserve_cpus(
    request: Option<&mut nvtopo_request>,
    cpus: Option<&nvtopo_cpuset>,
) -> nvtopo_status {
    change(request, |request| Ok(request.reserved_cpus(given(cpus, "cpus")?.set.clone())))
}

/// Leaves CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) out where there are others ("avoid"), or
/// gives them away as all others ("use").
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_isolated(
    request: Option<&mut nvtopo_request>,
    isolated: Text,
) -> nvtopo_status {
    change(request, |request| Ok(request.isolated(isolated.read("isolated")?.parse()?)))
}

/// Uses "all" cores of a machine whose cores are not alike, or the "fast" ones, which are performance cores or priority cores.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_cores(request: Option<&mut nvtopo_request>, cores: Text) -> nvtopo_status {
    change(request, |request| Ok(request.cores(cores.read("cores")?.parse()?)))
}

/// The number of CPUs (hardware threads) near each GPU, which no other GPU of the job gets: whole cores first. 0: each GPU gets its share.
/// GPUs near which there are not so many are not chosen.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_cpus_per_gpu(
    request: Option<&mut nvtopo_request>,
    cpus: usize,
) -> nvtopo_status {
    change(request, |request| Ok(request.cpus_per_gpu(cpus)))
}

/// The memory in bytes for each GPU from the NUMA nodes beside it; 0: no matter. What was set aside as huge pages is not counted,
/// nor is the memory of GPUs. A node of which nobody knows the memory is taken to have enough, and the placement remarks on it.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_memory_per_gpu(
    request: Option<&mut nvtopo_request>,
    bytes: u64,
) -> nvtopo_status {
    change(request, |request| Ok(request.memory_per_gpu(bytes)))
}

/// The number of huge pages of a size in bytes for each GPU from the NUMA nodes beside it; 0: no matter. Said again for other sizes, all of
/// them.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_hugepages_per_gpu(
    request: Option<&mut nvtopo_request>,
    page_size: u64,
    count: u64,
) -> nvtopo_status {
    change(request, |request| Ok(request.hugepages_per_gpu(page_size, count)))
}

/// Sets the most GPUs that a NIC serves, those of other jobs of an `nvtopo_allocator` counted; 0: as many as it has to where all
/// GPUs use NICs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_request_gpus_per_nic(
    request: Option<&mut nvtopo_request>,
    gpus: usize,
) -> nvtopo_status {
    change(request, |request| Ok(request.gpus_per_nic(gpus)))
}

/// Chooses the best GPUs for a request, and what belongs to them. The same topology and request give the same answer.
///
/// On a topology of this machine, `CUDA_VISIBLE_DEVICES` of this process limits which GPUs may be chosen, unless the request
/// names its only ones. A MIG-enabled GPU is chosen only where it is named, and one with faults last; the remarks say so.
///
/// Fails with `NVTOPO_STATUS_UNSATISFIABLE` where there are not enough GPUs, and `NVTOPO_STATUS_INVALID_REQUEST` for
/// unknown names and contradictions.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_place(
    topology: Option<&nvtopo_topology>,
    request: Option<&nvtopo_request>,
    placement: Option<&mut MaybeUninit<*mut nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let topology = given(topology, "topology")?;
        let request = given(request, "request")?.seeing(&topology.topology);
        Ok(owned(topology.solver.solve(&request)?.into()))
    })
}

impl nvtopo_request {
    /// The request among the GPUs that this process sees.
    pub(crate) fn seeing(&self, topology: &nvtopo::Topology) -> nvtopo::Request {
        let request = self.request.clone();
        match visible_here(topology, &own) {
            Some(visible) => request.visible(&visible),
            None => request,
        }
    }
}

fn by_index(
    request: Option<&mut nvtopo_request>,
    gpus: &Indices,
    count: usize,
    add: impl FnOnce(Request, Vec<GpuRef>) -> Request,
) -> nvtopo_status {
    change(request, |request| {
        let gpus = gpus.read(count, "gpus")?;
        Ok(add(request, gpus.iter().copied().map(GpuRef::Index).collect()))
    })
}

fn by_name(
    request: Option<&mut nvtopo_request>,
    gpus: &Text,
    add: impl FnOnce(Request, Vec<GpuRef>) -> Request,
) -> nvtopo_status {
    change(request, |request| Ok(add(request, named_gpus(gpus.read("gpus")?)?)))
}

/// GPUs by a list of names; "" names none.
pub(crate) fn named_gpus(names: &str) -> Result<Vec<GpuRef>, Failure> {
    if listed(names).is_empty() { Ok(Vec::new()) } else { Ok(GpuRef::parse_list(names)?) }
}

/// How often jobs of each size come; `None`, for "": nobody says it.
pub(crate) fn mix(sizes: &str) -> Result<Option<SizeMix>, Failure> {
    if listed(sizes).is_empty() { Ok(None) } else { Ok(Some(sizes.parse()?)) }
}

fn by_word(
    request: Option<&mut nvtopo_request>,
    words: &Text,
    add: impl FnOnce(Request, Vec<Constraint>) -> Request,
) -> nvtopo_status {
    change(request, |request| {
        let words = words.list("constraints")?.into_iter();
        Ok(add(request, words.map(str::parse).collect::<Result<_, _>>()?))
    })
}

/// Changes a copy, so that the request stays as it was when anything fails.
fn change(
    request: Option<&mut nvtopo_request>,
    change: impl FnOnce(Request) -> Result<Request, Failure>,
) -> nvtopo_status {
    guard(|| {
        let request = given(request, "request")?;
        request.request = change(request.request.clone())?;
        Ok(())
    })
}
