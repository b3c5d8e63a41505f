//! `nvtopo_chooser`: which GPUs, and nothing else, for schedulers that keep the state of a machine themselves.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, given, owned};
use crate::status::{answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::Chooser;
use nvtopo::solve::SizeMix;
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

/// A chooser for a machine, which may be freed before it. `objectives` is what counts, as in `nvtopo_request_objectives`;
/// "" are the default ones. `sizes` is how often jobs of each size come, as in `nvtopo_request_mix`; "" is all alike.
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
        let names = objectives.read("objectives")?.split(',').filter(|name| !name.is_empty());
        let sizes = Some(sizes.read("sizes")?).filter(|sizes| !sizes.is_empty());
        let mix: Option<SizeMix> = sizes.map(str::parse).transpose()?;
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
        let free = u128::from(free.high) << 64 | u128::from(free.low);
        Ok(given(chooser, "chooser")?.chooser.choose(free, count).unwrap_or(0).into())
    })
}

impl From<u128> for nvtopo_gpu_set {
    fn from(set: u128) -> Self {
        Self { low: set as u64, high: (set >> 64) as u64 }
    }
}
