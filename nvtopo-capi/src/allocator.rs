//! `nvtopo_allocator`: what jobs have of a machine.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::chooser::nvtopo_gpu_set;
use crate::handle::{Bytes, Numbers, Requests, c_document, given, owned};
use crate::placement::nvtopo_placement;
use crate::request::nvtopo_request;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::solve::{Allocator, JobId};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A machine and the jobs on it: jobs come and go, and each gets the best of what is free. A job is a number, which is
/// given once; `nvtopo_parallel_job` is something else. One thread at a time may change it; any number may ask it while
/// none does.
pub struct nvtopo_allocator {
    jobs: Allocator,
    /// The text of the last save.
    saved: Option<CString>,
}

/// How well jobs were placed together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_batch {
    /// The bandwidth of the rings of the jobs with several GPUs, as a part of the most that so many GPUs carry on the empty
    /// machine, on average; 1 without any.
    pub share: f64,
    /// True where no division gives them more together.
    pub is_optimal: bool,
}

/// The number of jobs that there is room for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_room {
    /// The number of jobs at once.
    pub jobs: usize,
    /// True where there is certainly none for one more.
    pub is_certain: bool,
}

/// A machine without jobs. The topology may be freed before it.
///
/// Fails with `NVTOPO_STATUS_UNSUPPORTED` for more than 128 GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_new(
    topology: Option<&nvtopo_topology>,
    allocator: Option<&mut MaybeUninit<*mut nvtopo_allocator>>,
) -> nvtopo_status {
    answer(allocator, "allocator", || {
        Ok(owned(nvtopo_allocator {
            jobs: Allocator::new(&given(topology, "topology")?.topology)?,
            saved: None,
        }))
    })
}

/// Frees an allocator. Placements that it gave live on. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_free(allocator: Option<Box<nvtopo_allocator>>) {
    free(allocator);
}

/// Places a job. What it got, `nvtopo_allocator_placement` says.
///
/// Fails as `nvtopo_topology_place` does, and then nothing changes.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_place(
    allocator: Option<&mut nvtopo_allocator>,
    request: Option<&nvtopo_request>,
    job: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(job, "job", || {
        let allocator = given(allocator, "allocator")?;
        Ok(allocator.jobs.place(&given(request, "request")?.request)?.number())
    })
}

/// Places `count` jobs at once, so that their rings carry the most together: not one after another, where the first takes
/// what a later one needs. The numbers of the jobs are written to `jobs`, which has room for `count`, in the order of the
/// requests. Either all are placed, or none.
///
/// Fails with `NVTOPO_STATUS_UNSATISFIABLE` where there is no room for all.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_place_all(
    allocator: Option<&mut nvtopo_allocator>,
    requests: Requests,
    count: usize,
    mut jobs: Numbers,
    batch: Option<&mut MaybeUninit<nvtopo_batch>>,
) -> nvtopo_status {
    answer(batch, "batch", || {
        let allocator = given(allocator, "allocator")?;
        let requests = requests.read(count, "requests")?;
        let room = jobs.room(count, "jobs")?;
        let requests: Vec<_> = requests.into_iter().map(|request| request.request.clone()).collect();
        let placed = allocator.jobs.place_all(&requests)?;
        for (place, job) in room.iter_mut().zip(&placed.jobs) {
            place.write(job.number());
        }
        Ok(nvtopo_batch { share: placed.share, is_optimal: placed.optimal })
    })
}

/// Places a job on trial: the answer is that of a placement now, and nothing changes.
///
/// Fails as `nvtopo_topology_place` does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_what_if(
    allocator: Option<&nvtopo_allocator>,
    request: Option<&nvtopo_request>,
    placement: Option<&mut MaybeUninit<*mut nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let allocator = given(allocator, "allocator")?;
        Ok(owned(allocator.jobs.what_if(&given(request, "request")?.request)?.into()))
    })
}

/// The placement of a job.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_placement(
    allocator: Option<&nvtopo_allocator>,
    job: u64,
    placement: Option<&mut MaybeUninit<*mut nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let found = given(allocator, "allocator")?.jobs.placement(JobId::from_number(job));
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
pub extern "C" fn nvtopo_allocator_release(
    allocator: Option<&mut nvtopo_allocator>,
    job: u64,
) -> nvtopo_status {
    guard(|| {
        given(allocator, "allocator")?.jobs.release(JobId::from_number(job))?;
        Ok(())
    })
}

/// The GPUs that no job has and that can be used.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_available(
    allocator: Option<&nvtopo_allocator>,
    gpus: Option<&mut MaybeUninit<nvtopo_gpu_set>>,
) -> nvtopo_status {
    answer(gpus, "gpus", || {
        let free = given(allocator, "allocator")?.jobs.free();
        Ok(free.into_iter().fold(0, |free, position| free | 1 << position).into())
    })
}

/// Counts the jobs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_job_count(
    allocator: Option<&nvtopo_allocator>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(allocator, "allocator")?.jobs.jobs().len()))
}

/// The number of the job that came as number `i`, from 0 on, of those that are there.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_job(
    allocator: Option<&nvtopo_allocator>,
    i: usize,
    job: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(job, "job", || {
        let mut jobs = given(allocator, "allocator")?.jobs.jobs();
        let count = jobs.len();
        jobs.nth(i).map(|(job, _)| job.number()).ok_or_else(|| {
            let message = format!("job {i} is out of range: there are {count}, counted from 0");
            Failure::new(nvtopo_status::InvalidRequest, message)
        })
    })
}

/// The jobs with what they have, as JSON, for `nvtopo_allocator_restore`: a scheduler that starts again goes on where it
/// was. The text belongs to the allocator, until this is called again.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_save(
    allocator: Option<&mut nvtopo_allocator>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let allocator = given(allocator, "allocator")?;
        let saved = c_document(allocator.jobs.save());
        Ok(allocator.saved.insert(saved).as_ptr())
    })
}

/// An allocator with the jobs that `nvtopo_allocator_save` wrote: `size` bytes, which need not end with a NUL. The numbers of
/// the jobs, their GPUs, CPUs, memory and NICs are as before; scores and preferences of placements are not kept.
///
/// Fails with `NVTOPO_STATUS_INVALID_INPUT` where the bytes are no such document, or do not fit the machine: a GPU is missing
/// or another one, or two jobs have the same; with `NVTOPO_STATUS_UNSUPPORTED` for more than 128 GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_restore(
    topology: Option<&nvtopo_topology>,
    json: Bytes,
    size: usize,
    allocator: Option<&mut MaybeUninit<*mut nvtopo_allocator>>,
) -> nvtopo_status {
    answer(allocator, "allocator", || {
        let topology = &given(topology, "topology")?.topology;
        let text = str::from_utf8(json.read(size, "json")?).map_err(|_| {
            Failure::new(nvtopo_status::InvalidInput, "the state of an allocator is UTF-8, and this is not")
        })?;
        Ok(owned(nvtopo_allocator { jobs: Allocator::restore(topology, text)?, saved: None }))
    })
}

/// Counts the jobs like this that there is room for at once.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_allocator_room_for(
    allocator: Option<&nvtopo_allocator>,
    request: Option<&nvtopo_request>,
    room: Option<&mut MaybeUninit<nvtopo_room>>,
) -> nvtopo_status {
    answer(room, "room", || {
        let allocator = given(allocator, "allocator")?;
        let (jobs, is_certain) = allocator.jobs.room_for(&given(request, "request")?.request)?;
        Ok(nvtopo_room { jobs, is_certain })
    })
}
