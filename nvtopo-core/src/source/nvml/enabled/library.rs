//! The driver's library: opening it, and the reasons why it cannot be opened.

use super::super::DriverError;
use super::calls::describe;
use super::watchdog::{Message, Sender};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// Opens the library at a path, or wherever the system finds it, for one worker, and sends how its work ended. The
/// library is closed after that, as closing may hang.
pub(super) fn with<Part>(
    path: Option<&Path>,
    sender: &Sender<Part>,
    work: impl FnOnce(&Nvml) -> Result<(), DriverError>,
) {
    let (_open, end) = match open(path) {
        Ok(nvml) => {
            let end = work(&nvml);
            (Some(nvml), end)
        }
        Err(error) => (None, Err(error)),
    };
    sender.send(Message::End(end));
}

fn open(library: Option<&Path>) -> Result<Nvml, DriverError> {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    };
    opened.map_err(|error| match error {
        NvmlError::LibloadingError(error) => {
            DriverError::Absent(format!(
                "the NVIDIA driver library could not be opened: {error}; install the driver, or in a container, start it \
                 with its GPUs (docker run --gpus all)"
            ))
        }
        NvmlError::DriverNotLoaded => DriverError::Absent(match device_file_error(Path::new("/")) {
            Some(why) => why,
            None => "the NVIDIA driver is not loaded; load it (modprobe nvidia)".to_owned(),
        }),
        NvmlError::NoPermission => DriverError::Failed(
            device_file_error(Path::new("/")).unwrap_or_else(|| "this user may not use it (/dev/nvidia*)".to_owned()),
        ),
        error => DriverError::Failed(describe(&error)),
    })
}

/// Returns why this process cannot use the device files of a driver that is loaded, below a root. `None`: it is not
/// loaded, or they can be used.
///
/// It is looked up only after the library refused to start, and becomes part of the driver's answer, so that a snapshot
/// replays it.
fn device_file_error(root: &Path) -> Option<String> {
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
        assert_eq!(device_file_error(&root), None);
        std::fs::create_dir_all(root.join("sys/module/nvidia")).unwrap();
        assert!(device_file_error(&root).unwrap().contains("has no /dev/nvidiactl"));
        std::fs::write(root.join("dev/nvidiactl"), "").unwrap();
        assert_eq!(device_file_error(&root), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
