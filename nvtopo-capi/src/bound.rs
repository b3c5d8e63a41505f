//! `nvtopo_bound`: a binding for a while, and undoing it.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::binding::{nvtopo_binding, options_by, placed_part, plan_part, visible_part};
use crate::handle::{Text, given, owned};
use crate::placement::nvtopo_placement;
use crate::plan::nvtopo_plan;
use crate::rules::nvtopo_rules;
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::apply::{BindOptions, BoundGuard, bound};
use nvtopo::{Part, Topology};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

/// A binding that is undone when it is restored or freed. It belongs to the thread that made it, whose memory policy it
/// changed: `nvtopo_bound_restore` and `nvtopo_bound_free` are for that thread.
pub struct nvtopo_bound {
    binding: nvtopo_binding,
    /// `None` once it has been undone.
    guard: Option<BoundGuard>,
    /// The number of the thread that made it.
    thread: u64,
}

/// Binds as `nvtopo_placement_bind_by` does, until it is undone. Threads that start in between go where the calling thread
/// goes.
///
///     nvtopo_bound *bound = NULL;
///     if (nvtopo_placement_bound(placement, 0, "preferred", false, &bound) == NVTOPO_STATUS_OK) {
///         copy_to_the_gpu();
///         nvtopo_bound_free(bound);
///     }
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_bound(
    placement: Option<&nvtopo_placement>,
    local_rank: i64,
    memory: Text,
    trust: bool,
    bound: Option<&mut MaybeUninit<*mut nvtopo_bound>>,
) -> nvtopo_status {
    answer(bound, "bound", || {
        let (topology, part) = placed_part(placement, local_rank)?;
        hold(topology, &part, options_by(&memory, trust)?)
    })
}

/// Binds as `nvtopo_topology_bind_by` does, until it is undone.
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_bound(
    topology: Option<&nvtopo_topology>,
    local_rank: i64,
    local_size: usize,
    rules: Option<&nvtopo_rules>,
    memory: Text,
    trust: bool,
    bound: Option<&mut MaybeUninit<*mut nvtopo_bound>>,
) -> nvtopo_status {
    answer(bound, "bound", || {
        let (topology, part) = visible_part(topology, local_rank, local_size, rules)?;
        hold(topology, &part, options_by(&memory, trust)?)
    })
}

/// Binds as `nvtopo_plan_bind` does, until it is undone.
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_bound(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    memory: Text,
    trust: bool,
    bound: Option<&mut MaybeUninit<*mut nvtopo_bound>>,
) -> nvtopo_status {
    answer(bound, "bound", || {
        let (topology, part) = plan_part(plan, rank)?;
        hold(topology, &part, options_by(&memory, trust)?)
    })
}

/// What was done. The account belongs to the bound handle, and says the same after it was undone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bound_binding(
    bound: Option<&nvtopo_bound>,
    binding: Option<&mut MaybeUninit<*const nvtopo_binding>>,
) -> nvtopo_status {
    answer(binding, "binding", || Ok(&raw const given(bound, "bound")?.binding))
}

/// Undoes the binding: the CPUs of all threads and the memory policy of this one are again what was found. A second time,
/// nothing is done. The handle must still be freed.
///
/// Fails with `NVTOPO_STATUS_REFUSED` where the kernel refuses, as when a cpuset has shrunk meanwhile, and with
/// `NVTOPO_STATUS_INVALID_REQUEST`, changing nothing, in another thread than the one that bound.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bound_restore(bound: Option<&mut nvtopo_bound>) -> nvtopo_status {
    guard(|| {
        let bound = given(bound, "bound")?;
        if !bound.is_here() {
            let message = "the binding belongs to another thread, which must undo it";
            return Err(Failure::new(nvtopo_status::InvalidRequest, message));
        }
        Ok(bound.guard.take().map_or(Ok(()), BoundGuard::restore)?)
    })
}

/// Undoes the binding, unless that was done already, in silence where the kernel refuses, and frees the handle. In another
/// thread than the one that bound, the process stays bound. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_bound_free(bound: Option<Box<nvtopo_bound>>) {
    free(bound);
}

impl nvtopo_bound {
    fn is_here(&self) -> bool {
        self.thread == this_thread()
    }
}

impl Drop for nvtopo_bound {
    fn drop(&mut self) {
        if !self.is_here() {
            // The memory policy of this thread is another one.
            self.guard.take().map(BoundGuard::keep);
        }
    }
}

fn hold(topology: &Topology, part: &Part, options: BindOptions) -> Result<*mut nvtopo_bound, Failure> {
    let guard = bound(topology, part, options)?;
    let binding = nvtopo_binding::of(guard.bound().clone(), part);
    Ok(owned(nvtopo_bound { binding, guard: Some(guard), thread: this_thread() }))
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
