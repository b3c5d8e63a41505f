//! `nvtopo_node`: what jobs have of a machine.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::chooser::nvtopo_gpu_set;
use crate::handle::{Numbers, Requests, given, owned};
use crate::placement::nvtopo_placement;
use crate::request::nvtopo_request;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::solve::{Allocator, JobId};
use std::mem::MaybeUninit;

/// A machine and the jobs on it: jobs come and go, and each gets the best of what is free. A job is a number, which is
/// given once. One thread at a time may change it; any number may ask it while none does.
pub struct nvtopo_node {
    node: Allocator,
}

/// How well jobs were placed together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_batch {
    /// What the rings of the jobs with several GPUs carry as a part of the most that so many GPUs carry on the empty
    /// machine, on average; 1 without any.
    pub share: f64,
    /// Whether no division gives them more together.
    pub is_optimal: bool,
}

/// How many jobs there is room for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_room {
    /// So many at once.
    pub jobs: usize,
    /// Whether there is certainly none for one more.
    pub is_certain: bool,
}

/// A machine without jobs. The topology may be freed before it.
///
/// Fails with `NVTOPO_STATUS_UNSUPPORTED` for more than 128 GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_new(
    topology: Option<&nvtopo_topology>,
    node: Option<&mut MaybeUninit<*mut nvtopo_node>>,
) -> nvtopo_status {
    answer(node, "node", || {
        Ok(owned(nvtopo_node { node: Allocator::new(&given(topology, "topology")?.topology)? }))
    })
}

/// Frees a node. Placements that it gave live on. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_free(node: Option<Box<nvtopo_node>>) {
    free(node);
}

/// Places a job. What it got, `nvtopo_node_placement` says.
///
/// Fails as `nvtopo_topology_place` does, and then nothing changes.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_place(
    node: Option<&mut nvtopo_node>,
    request: Option<&nvtopo_request>,
    job: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(job, "job", || {
        let node = given(node, "node")?;
        Ok(node.node.place(&given(request, "request")?.request)?.number())
    })
}

/// Places `count` jobs at once, so that their rings carry the most together: not one after another, where the first takes
/// what a later one needs. The numbers of the jobs are written to `jobs`, which has room for `count`, in the order of the
/// requests. Either all are placed, or none.
///
/// Fails with `NVTOPO_STATUS_UNSATISFIABLE` where there is no room for all.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_place_all(
    node: Option<&mut nvtopo_node>,
    requests: Requests,
    count: usize,
    mut jobs: Numbers,
    batch: Option<&mut MaybeUninit<nvtopo_batch>>,
) -> nvtopo_status {
    answer(batch, "batch", || {
        let node = given(node, "node")?;
        let requests = requests.read(count, "requests")?;
        let room = jobs.room(count, "jobs")?;
        let requests: Vec<_> = requests.into_iter().map(|request| request.request.clone()).collect();
        let placed = node.node.place_all(&requests)?;
        for (place, job) in room.iter_mut().zip(&placed.jobs) {
            place.write(job.number());
        }
        Ok(nvtopo_batch { share: placed.share, is_optimal: placed.optimal })
    })
}

/// What a job would get now. Nothing changes.
///
/// Fails as `nvtopo_topology_place` does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_what_if(
    node: Option<&nvtopo_node>,
    request: Option<&nvtopo_request>,
    placement: Option<&mut MaybeUninit<*mut nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let node = given(node, "node")?;
        Ok(owned(node.node.what_if(&given(request, "request")?.request)?.into()))
    })
}

/// What a job has.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_placement(
    node: Option<&nvtopo_node>,
    job: u64,
    placement: Option<&mut MaybeUninit<*mut nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let found = given(node, "node")?.node.placement(JobId::from_number(job));
        let found = found.ok_or_else(|| {
            Failure::new(nvtopo_status::InvalidRequest, format!("job {job} is not on this machine"))
        })?;
        Ok(owned(found.clone().into()))
    })
}

/// Ends a job, and gives back what it had.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_release(node: Option<&mut nvtopo_node>, job: u64) -> nvtopo_status {
    guard(|| {
        given(node, "node")?.node.release(JobId::from_number(job))?;
        Ok(())
    })
}

/// The GPUs that no job has and that can be used.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_available(
    node: Option<&nvtopo_node>,
    gpus: Option<&mut MaybeUninit<nvtopo_gpu_set>>,
) -> nvtopo_status {
    answer(gpus, "gpus", || {
        let free = given(node, "node")?.node.free();
        Ok(free.into_iter().fold(0, |free, position| free | 1 << position).into())
    })
}

/// How many jobs there are.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_job_count(
    node: Option<&nvtopo_node>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(node, "node")?.node.jobs().len()))
}

/// The number of the job that came as number `i`, from 0 on, of those that are there.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_job(
    node: Option<&nvtopo_node>,
    i: usize,
    job: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(job, "job", || {
        let mut jobs = given(node, "node")?.node.jobs();
        let count = jobs.len();
        jobs.nth(i).map(|(job, _)| job.number()).ok_or_else(|| {
            let message = format!("job {i} is out of range: there are {count}, counted from 0");
            Failure::new(nvtopo_status::InvalidRequest, message)
        })
    })
}

/// How many jobs like this there is room for at once.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_node_room_for(
    node: Option<&nvtopo_node>,
    request: Option<&nvtopo_request>,
    room: Option<&mut MaybeUninit<nvtopo_room>>,
) -> nvtopo_status {
    answer(room, "room", || {
        let node = given(node, "node")?;
        let (jobs, is_certain) = node.node.room_for(&given(request, "request")?.request)?;
        Ok(nvtopo_room { jobs, is_certain })
    })
}
