//! Asking the driver: opening its library, and one pass over its GPUs and their pairs, within a limit of time.

use super::calls::{Missing, words};
use super::limit::within;
use super::seen::{MAX_GPUS, Seen, SeenP2p};
use super::{Asked, NvLinkCounters, Refusal, counts, gpu, nvlinks};
use crate::model::PathType;
use crate::source::json::Text;
use crate::sys::nvml as sys;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings as raw;
use std::path::Path;
use std::time::Duration;

/// Asks the driver, through its library at a path or wherever the system finds it.
pub(in crate::source) fn ask(library: Option<&Path>, patience: Duration) -> Asked {
    match on_a_thread(library, patience, read) {
        Ok(seen) => Asked::Seen(Box::new(seen)),
        Err(Refusal::Absent(why)) => Asked::Absent(why),
        Err(Refusal::Failed(why)) => Asked::Failed(why),
        Err(Refusal::NotAsked) => Asked::NotAsked,
    }
}

/// Asks it for what its NVLinks count.
pub(in crate::source) fn count(
    library: Option<&Path>,
    patience: Duration,
) -> Result<Vec<NvLinkCounters>, Refusal> {
    on_a_thread(library, patience, counts::read)
}

fn on_a_thread<T: Send + 'static>(
    library: Option<&Path>,
    patience: Duration,
    question: fn(&Nvml) -> Result<T, NvmlError>,
) -> Result<T, Refusal> {
    let library = library.map(Path::to_owned);
    let answer = within(patience, move |put| match open(library.as_deref()) {
        // The library is closed after that, which may hang as well.
        Ok(nvml) => put(question(&nvml).map_err(|error| Refusal::Failed(words(&error)))),
        Err(refusal) => put(Err(refusal)),
    });
    answer.unwrap_or_else(|why| Err(Refusal::Failed(why)))
}

fn open(library: Option<&Path>) -> Result<Nvml, Refusal> {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    opened.map_err(|error| match error {
        NvmlError::LibloadingError(error) => {
            Refusal::Absent(format!("the NVIDIA driver library could not be opened: {error}"))
        }
        error @ NvmlError::DriverNotLoaded => Refusal::Absent(words(&error)),
        error => Refusal::Failed(words(&error)),
    })
}

fn read(nvml: &Nvml) -> Result<Seen, NvmlError> {
    let mut seen = Seen {
        driver: nvml.sys_driver_version().ok(),
        cuda: nvml.sys_cuda_driver_version().ok().map(cuda_version),
        ..Seen::default()
    };
    let mut devices = Vec::new();
    for index in 0..nvml.device_count()?.min(MAX_GPUS as u32) {
        let device = nvml.device_by_index(index);
        match seen.troubles.check(index, "nvmlDeviceGetHandleByIndex", device) {
            Ok(device) => {
                let mut gpu = gpu::read(&device, index, &mut seen.troubles);
                gpu.nvlinks = nvlinks::read(&device, index, &mut seen.troubles);
                seen.gpus.push(gpu);
                devices.push(device);
            }
            Err(_) => seen.lost.push(index),
        }
    }
    pairs(&devices, &mut seen);
    Ok(seen)
}

/// `12080` is 12.8.
fn cuda_version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// What each pair of GPUs has in common and may do, by their positions.
fn pairs(devices: &[Device<'_>], seen: &mut Seen) {
    for (a, device) in devices.iter().enumerate() {
        for (b, other) in devices.iter().enumerate().skip(a + 1) {
            let (index, other_index) = (seen.gpus[a].index, seen.gpus[b].index);
            if [index, other_index]
                .iter()
                .any(|gpu| seen.troubles.is_lost(*gpu) || seen.troubles.is_stuck(*gpu))
            {
                continue;
            }
            let mut check = |call, answer| match answer {
                // It does not tell which of the two.
                Err(NvmlError::GpuLost | NvmlError::ResetRequired) => {
                    for gpu in [index, other_index] {
                        seen.troubles.fail(gpu, call, "one of these GPUs is gone, or needs a reset");
                    }
                    Err(Missing::Failed)
                }
                answer => seen.troubles.check(index, call, answer),
            };
            let level = sys::common_ancestor(device, other);
            let level = level.and_then(|level| match path(level) {
                Some(_) => Ok(level),
                None => Err(NvmlError::UnexpectedVariant(level)),
            });
            let level = check("nvmlDeviceGetTopologyCommonAncestor", level);
            if let Some(path) = level.ok().and_then(path) {
                seen.paths.push((a, b, Text(path)));
            }
            let mut may = |way| check("nvmlDeviceGetP2PStatus", sys::p2p_status(device, other, way));
            let read = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_READ);
            if read == Err(Missing::NoSuchCall) {
                continue;
            }
            let write = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_WRITE).ok();
            let nvlink = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK).ok();
            let atomics = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_ATOMICS).ok();
            seen.p2p.push(SeenP2p { a, b, read: read.ok(), write, nvlink, atomics });
        }
    }
}

fn path(level: u32) -> Option<PathType> {
    Some(match level {
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL | raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_SINGLE => {
            PathType::Pix
        }
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_MULTIPLE => PathType::Pxb,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_HOSTBRIDGE => PathType::Phb,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_NODE => PathType::Node,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM => PathType::Sys,
        _ => return None,
    })
}
