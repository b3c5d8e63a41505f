//! Faults of the machine: words between commas.
//!
//! `mismatch` and `not-loaded` at the start; of GPU 3 `lost:3` (it has fallen off the bus), `gone:3` (so early that not
//! even a handle is given), `denied:3` (this user gets no handle), `hidden:3` (this process is not shown it), `hang:3`
//! (once it has a handle), `hang:3:CALL`, `hang-while:3:/a/file` (as long as there is that file), `slow:3:CALL:200` (it takes that many milliseconds), `stuck:3` (every call
//! asks for a reset), `recovery:3:1` (the driver asks for that action, by its number), `down:3:5` (NVLink 5),
//! `asleep:3:5`, `c2c-down:3:5`, `mig:3` (MIG instances 3g, 2g and 1g), `mig:3:1g+1g` (these instances), `mig:3:none`
//! (no instance yet), `mig-pending:3`; `unsupported:CALL` and `failing:CALL` of any GPU, where a call may be a field
//! (`field-164`), and `slow:CALL:200` too; a handle is slow only once, as it wakes the GPU; `anonymous` hides the
//! addresses of NVSwitches; `p2p:4` gives all pairs that status (4 is a setting); `fabric:in-progress`,
//! `fabric:not-started` and `fabric:failed`; `health:3:425:3` (these bits of the fabric's health, and that summary).
//! `root` is no fault: this user is an administrator; nor is `busy:3:2:30`: two processes use 30 GiB of it, one of them
//! for graphics too; nor `pids:3:17+18`, the processes that compute on it.

use crate::state::{FAILED, NOT_SUPPORTED, OK};
use nvml_wrapper_sys::bindings as nvml;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const HANDLE: &str = "nvmlDeviceGetHandleByIndex";

#[derive(Default)]
pub(crate) struct Faults {
    words: Vec<String>,
    /// The GPUs that were woken.
    awake: Mutex<BTreeSet<u32>>,
}

impl Faults {
    pub(crate) fn read(text: &str) -> Self {
        Self { words: text.split(',').map(|word| word.trim().to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn of_start(&self) -> nvml::nvmlReturn_t {
        match () {
            () if self.has("mismatch") => nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            () if self.has("not-loaded") => nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
            () => OK,
        }
    }

    pub(crate) fn of_handle(&self, gpu: u32) -> nvml::nvmlReturn_t {
        self.wait_for(HANDLE, gpu);
        if self.awake.lock().unwrap_or_else(PoisonError::into_inner).insert(gpu) {
            self.slow(HANDLE, gpu);
        }
        match () {
            () if self.has(&format!("gone:{gpu}")) => nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
            () if self.has(&format!("denied:{gpu}")) => nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
            () => OK,
        }
    }

    pub(crate) fn of_call(&self, call: &str, gpu: u32) -> nvml::nvmlReturn_t {
        if self.has(&format!("hang:{gpu}")) {
            hang();
        }
        if let Some(file) = self.of(&format!("hang-while:{gpu}")) {
            while std::path::Path::new(file).exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.wait_for(call, gpu);
        self.slow(call, gpu);
        match () {
            () if self.has(&format!("lost:{gpu}")) => nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
            () if self.has(&format!("stuck:{gpu}")) => nvml::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
            () => self.of_name(call),
        }
    }

    fn wait_for(&self, call: &str, gpu: u32) {
        if self.has(&format!("hang:{gpu}:{call}")) {
            hang();
        }
    }

    fn slow(&self, call: &str, gpu: u32) {
        let own = self.of(&format!("slow:{gpu}:{call}")).or_else(|| self.of(&format!("slow:{call}")));
        if let Some(milliseconds) = own.and_then(|own| own.parse().ok()) {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
    }

    /// Returns the answer to a call or field by its name alone.
    pub(crate) fn of_name(&self, call: &str) -> nvml::nvmlReturn_t {
        match () {
            () if self.has(&format!("unsupported:{call}")) => NOT_SUPPORTED,
            () if self.has(&format!("failing:{call}")) => FAILED,
            () => OK,
        }
    }

    pub(crate) fn hides(&self, gpu: u32) -> bool {
        self.has(&format!("hidden:{gpu}"))
    }

    /// Returns the profiles of the MIG instances of a GPU, if it is MIG-enabled.
    pub(crate) fn mig(&self, gpu: u32) -> Option<Vec<&str>> {
        match self.of(&format!("mig:{gpu}"))? {
            "" => Some(vec!["3g", "2g", "1g"]),
            "none" => Some(Vec::new()),
            profiles => Some(profiles.split('+').collect()),
        }
    }

    pub(crate) fn mig_pending(&self, gpu: u32) -> bool {
        self.mig(gpu).is_some() != self.has(&format!("mig-pending:{gpu}"))
    }

    /// Returns the number of the recovery action that the driver asks for.
    pub(crate) fn recovery(&self, gpu: u32) -> u32 {
        self.of(&format!("recovery:{gpu}")).and_then(|action| action.parse().ok()).unwrap_or_default()
    }

    /// Returns the NVLinks that are down, or asleep, by GPU and number.
    pub(crate) fn links(&self, what: &str) -> impl Iterator<Item = (u32, usize)> {
        self.words.iter().filter_map(move |word| {
            let (gpu, link) = word.strip_prefix(what)?.strip_prefix(':')?.split_once(':')?;
            Some((gpu.parse().ok()?, link.parse().ok()?))
        })
    }

    pub(crate) fn c2c_down(&self, gpu: u32, link: u32) -> bool {
        self.has(&format!("c2c-down:{gpu}:{link}"))
    }

    /// Returns the status of all pairs.
    pub(crate) fn p2p(&self) -> Option<u32> {
        self.of("p2p")?.parse().ok()
    }

    pub(crate) fn fabric(&self) -> Option<&str> {
        self.of("fabric")
    }

    /// Returns the bits of what is wrong with a GPU's place in the fabric, and the number for it as a whole.
    pub(crate) fn health(&self, gpu: u32) -> Option<(u32, u32)> {
        let (bits, summary) = self.of(&format!("health:{gpu}"))?.split_once(':')?;
        Some((bits.parse().ok()?, summary.parse().ok()?))
    }

    /// Returns the processes that use a GPU, and the memory that is in use, in GiB.
    pub(crate) fn busy(&self, gpu: u32) -> (u32, u64) {
        let of = |text: &str| {
            let (processes, memory) = text.split_once(':')?;
            Some((processes.parse().ok()?, memory.parse().ok()?))
        };
        self.of(&format!("busy:{gpu}")).and_then(of).unwrap_or_default()
    }

    /// Returns the numbers of the processes that compute on a GPU, where they are given.
    pub(crate) fn pids(&self, gpu: u32) -> Option<Vec<u32>> {
        self.of(&format!("pids:{gpu}"))?.split('+').map(|pid| pid.parse().ok()).collect()
    }

    pub(crate) fn root(&self) -> bool {
        self.has("root")
    }

    pub(crate) fn anonymous(&self) -> bool {
        self.has("anonymous")
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// Returns the text after a word and a colon; it is empty if only the word is there.
    fn of(&self, word: &str) -> Option<&str> {
        self.words.iter().find_map(|own| match own.strip_prefix(word)? {
            "" => Some(""),
            rest => rest.strip_prefix(':'),
        })
    }
}

fn hang() {
    std::thread::sleep(Duration::from_secs(3600));
}
