//! `nvtopo_parallel_job` and `nvtopo_rank_map`: which rank of a parallel job uses which GPU, and what that saves.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Indices, Text, c_document, c_text, element, given, owned};
use crate::placement::nvtopo_variable;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::render::json;
use nvtopo::solve::Dimension;
use nvtopo::{GpuRef, ParallelJob, RankMap};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A parallel job whose ranks are to be mapped to GPUs. One thread at a time may change it; any number may map it while
/// none does. Until told otherwise it is one rank, and ranks run as Megatron's do, tp-cp-ep-dp-pp.
pub struct nvtopo_parallel_job {
    job: ParallelJob,
}

/// The GPUs for the ranks of a parallel job, so that it communicates in the least time. It never changes, and any number
/// of threads may use it at once.
pub struct nvtopo_rank_map {
    map: RankMap,
    gpus: Vec<u32>,
    environment: Vec<(CString, CString)>,
    json: OnceBox<CString>,
}

/// The time of communication of a job in one step, in seconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_rank_times {
    /// With this mapping.
    pub seconds: f64,
    /// In the launcher's order.
    pub launcher_seconds: f64,
    /// No mapping takes less.
    pub bound_seconds: f64,
    /// The factor by which the mapping is faster than the launcher's order; 1 where nothing is gained.
    pub gain: f64,
    /// True where no mapping takes less time.
    pub is_optimal: bool,
}

/// A job of one rank.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_new(
    job: Option<&mut MaybeUninit<*mut nvtopo_parallel_job>>,
) -> nvtopo_status {
    answer(job, "job", || Ok(owned(nvtopo_parallel_job { job: ParallelJob::new() })))
}

/// Frees a job. Mappings that were made from it live on. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_free(job: Option<Box<nvtopo_parallel_job>>) {
    free(job);
}

/// How large a dimension is: "tp" (or "model"), "cp", "ep", "dp" (or "data") or "pp" (or "pipe").
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_size(
    job: Option<&mut nvtopo_parallel_job>,
    dimension: Text,
    size: usize,
) -> nvtopo_status {
    change(job, |job| {
        Ok(match dimension.read("dimension")?.parse()? {
            Dimension::Tp => job.tp(size),
            Dimension::Cp => job.cp(size),
            Dimension::Ep => job.ep(size),
            Dimension::Dp => job.dp(size),
            Dimension::Pp => job.pp(size),
            other => {
                let message = format!("the size of {other} follows from the others");
                return Err(Failure::new(nvtopo_status::InvalidRequest, message));
            }
        })
    })
}

/// How ranks run through the dimensions, in Megatron's words ("tp-cp-ep-dp-pp") or `DeepSpeed`'s ("pipe,data,model").
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_order(
    job: Option<&mut nvtopo_parallel_job>,
    order: Text,
) -> nvtopo_status {
    change(job, |job| Ok(job.order(order.read("order")?.parse()?)))
}

/// The traffic of a rank in one dimension in one step, such as "tp=34.4GB". It counts before what follows from a model.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_traffic(
    job: Option<&mut nvtopo_parallel_job>,
    traffic: Text,
) -> nvtopo_status {
    change(job, |job| Ok(job.traffic(traffic.read("traffic")?.parse()?)))
}

/// The transformer from which the traffic follows, such as
/// "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_parallel_job_model(
    job: Option<&mut nvtopo_parallel_job>,
    model: Text,
) -> nvtopo_status {
    change(job, |job| Ok(job.model(model.read("model")?.parse()?)))
}

/// Maps the ranks of a job to GPUs, by the indices that nvidia-smi shows, as many as there are ranks, in the order in which
/// the ranks see them. An array of none (NULL and 0) is all GPUs that can be used.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for contradictions and for traffic of which nobody told, and
/// `NVTOPO_STATUS_UNSATISFIABLE` where the number of GPUs is another.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_map_ranks(
    topology: Option<&nvtopo_topology>,
    job: Option<&nvtopo_parallel_job>,
    gpus: Indices,
    count: usize,
    map: Option<&mut MaybeUninit<*mut nvtopo_rank_map>>,
) -> nvtopo_status {
    answer(map, "map", || {
        let topology = &given(topology, "topology")?.topology;
        let job = &given(job, "job")?.job;
        let map = if count == 0 {
            job.map(topology)?
        } else {
            let gpus = gpus.read(count, "gpus")?.iter();
            let positions = gpus.map(|index| GpuRef::Index(*index).resolve(topology));
            job.map_to(topology, &positions.collect::<Result<Vec<usize>, _>>()?)?
        };
        Ok(owned(nvtopo_rank_map::of(map)))
    })
}

/// Frees a mapping. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_free(map: Option<Box<nvtopo_rank_map>>) {
    free(map);
}

/// Counts the ranks.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_rank_count(
    map: Option<&nvtopo_rank_map>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(map, "map")?.gpus.len()))
}

/// The index of the GPU of a rank.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_gpu(
    map: Option<&nvtopo_rank_map>,
    rank: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || Ok(*element(&given(map, "map")?.gpus, rank, "rank")?))
}

/// The time of communication of the job in one step.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_times(
    map: Option<&nvtopo_rank_map>,
    times: Option<&mut MaybeUninit<nvtopo_rank_times>>,
) -> nvtopo_status {
    answer(times, "times", || {
        let map = &given(map, "map")?.map;
        Ok(nvtopo_rank_times {
            seconds: map.seconds(),
            launcher_seconds: map.launcher_seconds(),
            bound_seconds: map.bound_seconds(),
            gain: map.gain(),
            is_optimal: map.is_optimal(),
        })
    })
}

/// The mapping as JSON, with the time of each dimension. The text belongs to the mapping.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_to_json(
    map: Option<&nvtopo_rank_map>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let map = given(map, "map")?;
        let make = || Box::new(c_document(json::ranks(&map.map)));
        Ok(map.json.get_or_init(make).as_ptr())
    })
}

/// Counts the environment variables that make a launcher that gives local rank n the n-th visible GPU give each rank its own.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_variable_count(
    map: Option<&nvtopo_rank_map>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(map, "map")?.environment.len()))
}

/// Variable number `i`, from 0 on, such as `CUDA_VISIBLE_DEVICES`. Its name and value belong to the mapping.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rank_map_variable(
    map: Option<&nvtopo_rank_map>,
    i: usize,
    variable: Option<&mut MaybeUninit<nvtopo_variable>>,
) -> nvtopo_status {
    answer(variable, "variable", || {
        let (name, value) = element(&given(map, "map")?.environment, i, "variable")?;
        Ok(nvtopo_variable { name: name.as_ptr(), value: value.as_ptr() })
    })
}

impl nvtopo_rank_map {
    fn of(map: RankMap) -> Self {
        let indices: Vec<u32> = map.topology().gpus().map(|gpu| gpu.index).collect();
        let environment = map.cuda_environment();
        Self {
            gpus: map.gpu_of_rank().iter().filter_map(|gpu| indices.get(*gpu).copied()).collect(),
            environment: environment.iter().map(|(name, value)| (c_text(name), c_text(value))).collect(),
            json: OnceBox::new(),
            map,
        }
    }
}

/// Changes a copy, so that the job stays as it was when anything fails.
fn change(
    job: Option<&mut nvtopo_parallel_job>,
    change: impl FnOnce(ParallelJob) -> Result<ParallelJob, Failure>,
) -> nvtopo_status {
    guard(|| {
        let job = given(job, "job")?;
        job.job = change(job.job.clone())?;
        Ok(())
    })
}
