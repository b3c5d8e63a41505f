//! Asking the driver: opening its library, one pass over its GPUs, and a limit on how long all of it may take.
//!
//! A GPU that hangs holds the call that asks it for ever, so the asking is done by a thread that is left behind
//! when patience ends.

use super::calls::words;
use super::seen::{MAX_GPUS, Seen};
use super::troubles::Troubles;
use super::{Asked, gpu, nvlinks};
use crate::model::PathType;
use crate::source::json::Text;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TopologyLevel;
use nvml_wrapper::error::NvmlError;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Asks the driver, through its library at a path or wherever the system finds it.
pub(in crate::source) fn ask(library: Option<&Path>, patience: Duration) -> Asked {
    let library = library.map(Path::to_owned);
    let desk = Arc::new(Desk::default());
    let clerk = Clerk(Arc::clone(&desk));
    let thread = std::thread::Builder::new().name("nvml".to_owned());
    let thread = match thread.spawn(move || ask_here(library.as_deref(), &clerk)) {
        Ok(thread) => thread,
        Err(error) => return Asked::Failed(format!("no thread could be started to ask it: {error}")),
    };
    let (answer, left) = desk.wait(patience);
    if left {
        // Nothing of the thread is left when this process goes on, or ends. A panic in it is told below.
        let _ = thread.join();
    }
    answer.unwrap_or_else(|| {
        Asked::Failed(if left {
            "asking it broke off".to_owned()
        } else {
            format!("it did not answer within {} seconds; a GPU may hang", patience.as_secs_f32())
        })
    })
}

/// Where the answer is put down, and whether the thread that asks has left: the library may still hang when it is
/// closed.
#[derive(Default)]
struct Desk {
    state: Mutex<(Option<Asked>, bool)>,
    changed: Condvar,
}

impl Desk {
    /// The answer, and whether the thread has left, as soon as it has or patience ends.
    fn wait(&self, patience: Duration) -> (Option<Asked>, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, patience, |(_, left)| !*left);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.0.take(), state.1)
    }
}

/// The asking thread's end of the desk; dropping it, also in a panic, says that the thread has left.
struct Clerk(Arc<Desk>);

impl Clerk {
    fn put(&self, answer: Asked) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(answer);
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.0.changed.notify_all();
    }
}

fn ask_here(library: Option<&Path>, clerk: &Clerk) {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    match opened {
        Ok(nvml) => clerk.put(match read(&nvml) {
            Ok(seen) => Asked::Seen(Box::new(seen)),
            Err(error) => Asked::Failed(words(&error)),
        }),
        Err(NvmlError::LibloadingError(error)) => {
            clerk.put(Asked::Absent(format!("the NVIDIA driver library could not be opened: {error}")));
        }
        Err(error @ NvmlError::DriverNotLoaded) => clerk.put(Asked::Absent(words(&error))),
        Err(error) => clerk.put(Asked::Failed(words(&error))),
    }
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
fn paths(nvml: &Nvml, indices: &[u32], troubles: &mut Troubles) -> Vec<(usize, usize, Text<PathType>)> {
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
                paths.push((a, b, Text(path(level))));
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
