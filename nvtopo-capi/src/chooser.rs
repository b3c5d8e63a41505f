//! `nvtopo_chooser`: which GPUs, and nothing else, for schedulers that keep the state of a machine themselves, and the
//! same for device plugins of Kubernetes, which name devices.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Numbers, Text, Texts, given, listed, owned};
use crate::request::mix;
use crate::status::{answer, free, guard, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::Chooser;
use nvtopo::solve::preferred_allocation;
use std::mem::MaybeUninit;

/// A set of up to 128 GPUs by their positions: bit n of `low` is GPU n, and bit n of `high` is GPU 64 + n.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct nvtopo_gpu_set {
    /// The GPUs at positions 0 to 63.
    pub low: u64,
    /// The GPUs at positions 64 to 127.
    pub high: u64,
}

/// Chooses GPUs of one machine from any that are free. The answers are those of `nvtopo_topology_place`, and are kept:
/// asked again, one costs nanoseconds. Any number of threads may use it at once.
pub struct nvtopo_chooser {
    chooser: Chooser,
}

/// A chooser for a machine, which may be freed before it. `objectives` is what counts, as in `nvtopo_request_objectives`, and
/// `sizes` how often jobs of each size come, as in `nvtopo_request_mix`; NULL, like "", leaves it to the defaults.
///
/// Fails with `NVTOPO_STATUS_UNSUPPORTED` for more than 128 GPUs, and `NVTOPO_STATUS_INVALID_REQUEST` for other words.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_chooser_new(
    topology: Option<&nvtopo_topology>,
    objectives: Text,
    sizes: Text,
    chooser: Option<&mut MaybeUninit<*mut nvtopo_chooser>>,
) -> nvtopo_status {
    answer(chooser, "chooser", || {
        let topology = &given(topology, "topology")?.topology;
        let names = listed(objectives.optional("objectives")?.unwrap_or_default());
        let mix = mix(sizes.optional("sizes")?.unwrap_or_default())?;
        let chooser = Chooser::by_objectives(topology, names, mix.as_ref())?;
        Ok(owned(nvtopo_chooser { chooser }))
    })
}

/// Frees a chooser. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_chooser_free(chooser: Option<Box<nvtopo_chooser>>) {
    free(chooser);
}

/// The best `count` of the free GPUs; the empty set where there are not so many, or none was asked for. Bits of no GPU,
/// and GPUs that cannot be used, are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_chooser_choose(
    chooser: Option<&nvtopo_chooser>,
    free: nvtopo_gpu_set,
    count: usize,
    chosen: Option<&mut MaybeUninit<nvtopo_gpu_set>>,
) -> nvtopo_status {
    answer(chosen, "chosen", || {
        Ok(given(chooser, "chooser")?.chooser.choose(free.into(), count).unwrap_or(0).into())
    })
}

/// The decision of a device plugin for Kubernetes (`GetPreferredAllocation`): which `size` of the `available_count` available
/// devices a container should get, all of `must_include` among them. Their positions in `available` are written to `chosen`,
/// which has room for `size`, in increasing order.
///
/// Devices are named as plugins name them: by the GPU's UUID, index or PCI address, "nvidia0" by its device file, or
/// the UUID of a MIG instance; "::" and a number behind it make it one of several replicas that share the device. NVLink
/// groups stay whole, and a single GPU comes from a group that is broken already. GPUs that work less well, that cannot
/// be used, and names that this topology does not know come last, and never are a reason to fail.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where fewer devices are available than asked for, or what must be included is not
/// available.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_preferred_allocation(
    topology: Option<&nvtopo_topology>,
    available: Texts,
    available_count: usize,
    must_include: Texts,
    must_include_count: usize,
    size: usize,
    mut chosen: Numbers,
) -> nvtopo_status {
    guard(|| {
        let topology = &given(topology, "topology")?.topology;
        let available = available.read(available_count, "available")?;
        let must_include = must_include.read(must_include_count, "must_include")?;
        let positions = preferred_allocation(topology, &available, &must_include, size)?;
        for (place, position) in chosen.room(size, "chosen")?.iter_mut().zip(positions) {
            place.write(position as u64);
        }
        Ok(())
    })
}

impl From<nvtopo_gpu_set> for u128 {
    fn from(set: nvtopo_gpu_set) -> Self {
        Self::from(set.high) << 64 | Self::from(set.low)
    }
}

impl From<u128> for nvtopo_gpu_set {
    fn from(set: u128) -> Self {
        Self { low: set as u64, high: (set >> 64) as u64 }
    }
}
