//! What is wrong with the machine: words between commas.
//!
//! `mismatch` and `not-loaded` at the start; of GPU 3 `lost:3` (it has fallen off the bus), `gone:3` (so early that
//! not even a handle is given), `hidden:3` (this process is not shown it), `mig:3`, `hang:3`, `down:3:5` (NVLink 5);
//! `unsupported:CALL` and `failing:CALL` of any GPU; `anonymous` hides the addresses of NVSwitches.

use crate::state::{FAILED, NOT_SUPPORTED, OK};
use nvml_wrapper_sys::bindings as nvml;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn read(text: &str) -> Self {
        Self(text.split(',').map(|word| word.trim().to_owned()).collect())
    }

    pub(crate) fn of_start(&self) -> nvml::nvmlReturn_t {
        match () {
            () if self.has("mismatch") => nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            () if self.has("not-loaded") => nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
            () => OK,
        }
    }

    pub(crate) fn of_handle(&self, gpu: u32) -> nvml::nvmlReturn_t {
        if self.has(&format!("gone:{gpu}")) { nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST } else { OK }
    }

    pub(crate) fn of_call(&self, call: &str, gpu: u32) -> nvml::nvmlReturn_t {
        if self.has(&format!("hang:{gpu}")) {
            std::thread::sleep(Duration::from_secs(3600));
        }
        match () {
            () if self.has(&format!("lost:{gpu}")) => nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
            () if self.has(&format!("unsupported:{call}")) => NOT_SUPPORTED,
            () if self.has(&format!("failing:{call}")) => FAILED,
            () => OK,
        }
    }

    pub(crate) fn hides(&self, gpu: u32) -> bool {
        self.has(&format!("hidden:{gpu}"))
    }

    pub(crate) fn mig(&self, gpu: u32) -> bool {
        self.has(&format!("mig:{gpu}"))
    }

    /// The NVLinks that are down, by GPU and number.
    pub(crate) fn down(&self) -> impl Iterator<Item = (u32, usize)> {
        self.0.iter().filter_map(|word| {
            let (gpu, link) = word.strip_prefix("down:")?.split_once(':')?;
            Some((gpu.parse().ok()?, link.parse().ok()?))
        })
    }

    pub(crate) fn anonymous(&self) -> bool {
        self.has("anonymous")
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }
}
