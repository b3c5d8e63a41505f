//! Asking the driver: opening its library, and one pass over its GPUs and their pairs, within a limit of time. What a
//! GPU that hangs leaves unasked is asked by another pass, see [`turns`].

use super::calls::{Missing, words};
use super::seen::{MAX_GPUS, Seen, SeenGpu, SeenNvlinks, SeenP2p};
use super::turns::{self, At, News, Pairs, Teller};
use super::{Asked, Refusal, gpu, nvlinks};
use crate::model::PathType;
use crate::source::json::Text;
use crate::sys::nvml as sys;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings as raw;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Asks the driver, through its library at a path or wherever the system finds it.
pub(in crate::source) fn ask(library: Option<&Path>, patience: Duration) -> Asked {
    let library = library.map(Path::to_owned);
    let question = move |known: Seen, asked: &Pairs, teller: &Teller| {
        // The library is closed after the end was told.
        let (_open, told) = match open(library.as_deref()) {
            Ok(nvml) => {
                let told = read(&nvml, known, asked, teller).map_err(|error| Refusal::Failed(words(&error)));
                (Some(nvml), told)
            }
            Err(refusal) => (None, Err(refusal)),
        };
        teller.tell(News::End(told.map(Box::new)));
    };
    match turns::ask(patience, question) {
        Ok(seen) => Asked::Seen(seen),
        Err(Refusal::Absent(why)) => Asked::Absent(why),
        Err(Refusal::Failed(why)) => Asked::Failed(why),
        Err(Refusal::NotAsked) => Asked::NotAsked,
    }
}

/// Opens the library.
pub(super) fn open(library: Option<&Path>) -> Result<Nvml, Refusal> {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    opened.map_err(|error| match error {
        NvmlError::LibloadingError(error) => {
            Refusal::Absent(format!(
                "the NVIDIA driver library could not be opened: {error}; install the driver, or in a container, start it \
                 with its GPUs (docker run --gpus all)"
            ))
        }
        NvmlError::DriverNotLoaded => Refusal::Absent(match trouble() {
            Some(why) => why,
            None => "the NVIDIA driver is not loaded; load it (modprobe nvidia)".to_owned(),
        }),
        NvmlError::NoPermission => Refusal::Failed(
            trouble().unwrap_or_else(|| "this user may not use it (/dev/nvidia*)".to_owned()),
        ),
        error => Refusal::Failed(words(&error)),
    })
}

/// Asks of all that is not known yet.
fn read(nvml: &Nvml, mut seen: Seen, asked: &Pairs, teller: &Teller) -> Result<Seen, NvmlError> {
    seen.driver = nvml.sys_driver_version().ok();
    seen.cuda = nvml.sys_cuda_driver_version().ok().map(cuda_version);
    let count = nvml.device_count()?.min(MAX_GPUS as u32);
    teller.tell(News::Seen(Box::new(seen.clone()), count));
    for index in turns::missing(&seen, count) {
        if !teller.tell(News::At(At::Gpu(index, None))) {
            return Ok(seen);
        }
        let device = nvml.device_by_index(index);
        match seen.troubles.check(index, "nvmlDeviceGetHandleByIndex", device) {
            Ok(device) => {
                teller.tell(News::Opened);
                let mut gpu = gpu::read(&device, index, &mut seen.troubles, |gpu| known(teller, gpu));
                known(teller, &gpu);
                gpu.nvlinks = nvlinks::read(&device, index, &mut seen.troubles);
                seen.gpus.push(gpu);
            }
            Err(_) => seen.lost.push(index),
        }
        teller.tell(News::Seen(Box::new(seen.clone()), count));
    }
    pairs(nvml, &mut seen, asked, teller);
    Ok(seen)
}

/// Tells what a GPU is known by, in case that it hangs later.
fn known(teller: &Teller, gpu: &SeenGpu) {
    let nvlinks = SeenNvlinks { unknown: true, ..SeenNvlinks::default() };
    teller.tell(News::Known(Box::new(SeenGpu { nvlinks, ..gpu.clone() })));
}

/// `12080` is 12.8.
fn cuda_version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// What each pair of GPUs has in common and may do, by their positions.
fn pairs(nvml: &Nvml, seen: &mut Seen, asked: &Pairs, teller: &Teller) {
    const ANCESTOR: &str = "nvmlDeviceGetTopologyCommonAncestor";
    const P2P: &str = "nvmlDeviceGetP2PStatus";
    let gpus: Vec<u32> = seen.gpus.iter().map(|gpu| gpu.index).collect();
    let devices: Vec<Option<Device<'_>>> = gpus
        .iter()
        .map(|index| if seen.troubles.is_silent(*index) { None } else { nvml.device_by_index(*index).ok() })
        .collect();
    for (a, device) in devices.iter().enumerate() {
        for (b, other) in devices.iter().enumerate().skip(a + 1) {
            let (Some(device), Some(other)) = (device, other) else { continue };
            let pair = [gpus[a], gpus[b]];
            let dead = |gpu: &u32| seen.troubles.is_lost(*gpu) || seen.troubles.is_stuck(*gpu);
            if pair.iter().any(dead) || !asked.is_open(pair) {
                continue;
            }
            let mut check = |call, answer| match answer {
                // It does not tell which of the two.
                Err(NvmlError::GpuLost | NvmlError::ResetRequired) => {
                    for gpu in pair {
                        seen.troubles.fail(gpu, call, "one of these GPUs is gone, or needs a reset");
                    }
                    Err(Missing::Failed)
                }
                answer => seen.troubles.check(pair[0], call, answer),
            };
            if !teller.tell(News::At(At::Pair(pair, ANCESTOR))) {
                return;
            }
            let level = sys::common_ancestor(device, other);
            let level = level.and_then(|level| match path(level) {
                Some(_) => Ok(level),
                None => Err(NvmlError::UnexpectedVariant(level)),
            });
            let level = check(ANCESTOR, level);
            let path = level.ok().and_then(path).map(|path| (a, b, Text(path)));
            seen.paths.extend(path);
            teller.tell(News::Pair(path, None));
            teller.tell(News::At(At::Pair(pair, P2P)));
            let mut may = |way| check(P2P, sys::p2p_status(device, other, way));
            let read = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_READ);
            let p2p = (read != Err(Missing::NoSuchCall)).then(|| SeenP2p {
                a,
                b,
                read: read.ok(),
                write: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_WRITE).ok(),
                nvlink: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK).ok(),
                atomics: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_ATOMICS).ok(),
            });
            seen.p2p.extend(p2p);
            teller.tell(News::Pair(None, p2p));
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

/// What keeps this process from the driver that is loaded. `None`: it is not loaded, or its files can be used.
fn trouble() -> Option<String> {
    trouble_at(Path::new("/"))
}

/// The same below another root.
fn trouble_at(root: &Path) -> Option<String> {
    let loaded = root.join("proc/driver/nvidia/version").exists() || root.join("sys/module/nvidia").exists();
    let control = File::options().read(true).write(true).open(root.join("dev/nvidiactl"));
    match control.map_err(|error| error.kind()) {
        Err(ErrorKind::PermissionDenied) => Some(
            "this process may not open /dev/nvidiactl; give its user the right, or in a container, its GPUs (docker run \
             --gpus all)"
                .to_owned(),
        ),
        Err(ErrorKind::NotFound) if loaded => Some(
            "the NVIDIA driver is loaded, but this process has no /dev/nvidiactl; in a container, start it with its GPUs \
             (docker run --gpus all), else run nvidia-modprobe"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_driver_without_its_device_files_is_a_container() {
        let root = std::env::temp_dir().join(format!("nvtopo-devices-{}", std::process::id()));
        std::fs::create_dir_all(root.join("dev")).unwrap();
        assert_eq!(trouble_at(&root), None);
        std::fs::create_dir_all(root.join("sys/module/nvidia")).unwrap();
        assert!(trouble_at(&root).unwrap().contains("has no /dev/nvidiactl"));
        std::fs::write(root.join("dev/nvidiactl"), "").unwrap();
        assert_eq!(trouble_at(&root), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
