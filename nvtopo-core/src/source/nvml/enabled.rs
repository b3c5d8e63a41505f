//! Asking the driver: opening its library, one pass over its GPUs, and a limit on how long all of it may take.
//!
//! A GPU that hangs holds the call that asks it for ever, so the asking is done by a thread that is left behind
//! when patience ends.

use super::seen::Seen;
use super::troubles::{Troubles, words};
use super::{Answer, fragment, gpu, nvlinks};
use crate::model::PathType;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TopologyLevel;
use nvml_wrapper::error::NvmlError;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// More GPUs than any server has; a count beyond it is a broken library's.
const MAX_GPUS: u32 = 1024;

/// Asks the driver, through its library at a path or wherever the system finds it.
pub(in crate::source) fn ask(library: Option<&Path>, patience: Duration) -> Answer {
    let end = Instant::now() + patience;
    let library = library.map(Path::to_owned);
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("nvml".to_owned());
    if let Err(error) = thread.spawn(move || ask_here(library.as_deref(), &sender)) {
        return Answer::Failed(format!("no thread could be started to ask it: {error}"));
    }
    match receiver.recv_timeout(patience) {
        Ok(answer) => {
            // The library is closed before this process goes on, or ends, unless that hangs too.
            let _ = receiver.recv_timeout(end.saturating_duration_since(Instant::now()));
            answer
        }
        Err(RecvTimeoutError::Timeout) => Answer::Failed(format!(
            "it did not answer within {} seconds; a GPU may hang",
            patience.as_secs_f32()
        )),
        Err(RecvTimeoutError::Disconnected) => Answer::Failed("asking it broke off".to_owned()),
    }
}

fn ask_here(library: Option<&Path>, sender: &Sender<Answer>) {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    // Nobody listens any more when patience has ended.
    let _ = match opened {
        Ok(nvml) => {
            let answer = match read(&nvml) {
                Ok(seen) => Answer::Told(Box::new(fragment::told(&seen))),
                Err(error) => Answer::Failed(words(&error)),
            };
            sender.send(answer)
        }
        Err(NvmlError::LibloadingError(error)) => {
            sender.send(Answer::Absent(format!("the NVIDIA driver library could not be opened: {error}")))
        }
        Err(error @ NvmlError::DriverNotLoaded) => sender.send(Answer::Absent(words(&error))),
        Err(error) => sender.send(Answer::Failed(words(&error))),
    };
}

fn read(nvml: &Nvml) -> Result<Seen, NvmlError> {
    let mut seen = Seen {
        driver: nvml.sys_driver_version().ok(),
        cuda: nvml.sys_cuda_driver_version().ok().map(cuda_version),
        ..Seen::default()
    };
    let mut devices = Vec::new();
    for index in 0..nvml.device_count()?.min(MAX_GPUS) {
        let device = nvml.device_by_index(index);
        match seen.troubles.check(index, "nvmlDeviceGetHandleByIndex", device) {
            Ok(device) => {
                let mut gpu = gpu::read(&device, index, &mut seen.troubles);
                gpu.nvlinks = nvlinks::read(&device, index, &mut seen.troubles);
                seen.gpus.push(gpu);
                devices.push(index);
            }
            Err(_) => seen.lost.push(index),
        }
    }
    seen.paths = paths(nvml, &devices, &mut seen.troubles);
    Ok(seen)
}

/// `12080` is 12.8.
fn cuda_version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// The path of each pair, by the positions of its GPUs.
fn paths(nvml: &Nvml, indices: &[u32], troubles: &mut Troubles) -> Vec<(usize, usize, PathType)> {
    let mut paths = Vec::new();
    for (a, &index) in indices.iter().enumerate() {
        for (b, &other) in indices.iter().enumerate().skip(a + 1) {
            if troubles.is_lost(index) || troubles.is_lost(other) {
                continue;
            }
            // The wrapper takes the second device for itself.
            let level = nvml.device_by_index(index).and_then(|device| {
                nvml.device_by_index(other).and_then(|other| device.topology_common_ancestor(other))
            });
            if let Ok(level) = troubles.check(index, "nvmlDeviceGetTopologyCommonAncestor", level) {
                paths.push((a, b, path(level)));
            }
        }
    }
    paths
}

fn path(level: TopologyLevel) -> PathType {
    match level {
        TopologyLevel::Internal | TopologyLevel::Single => PathType::Pix,
        TopologyLevel::Multiple => PathType::Pxb,
        TopologyLevel::HostBridge => PathType::Phb,
        TopologyLevel::Node => PathType::Node,
        TopologyLevel::System => PathType::Sys,
    }
}
