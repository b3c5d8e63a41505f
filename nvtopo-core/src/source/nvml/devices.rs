//! The driver's device files: what is wrong with them where the driver cannot be used.
//!
//! Asked only after the driver's library refused to start. The finding becomes part of the driver's answer, so a snapshot
//! replays it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// What keeps this process from the driver that is loaded. `None`: it is not loaded, or its files can be used.
pub(super) fn trouble() -> Option<String> {
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
