//! The one machine of the process, and how every call goes: started, a sound handle, no fault, then the answer.

use crate::faults::Faults;
use crate::machine::{Gpu, Machine};
use nvml_wrapper_sys::bindings as nvml;
use std::ffi::{c_char, c_uint, c_ulong};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) const OK: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_SUCCESS;
pub(crate) const INVALID: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
pub(crate) const NOT_FOUND: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND;
pub(crate) const NOT_SUPPORTED: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED;
pub(crate) const FAILED: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN;
const UNINITIALIZED: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED;
const NOT_LOADED: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED;
const TOO_SMALL: nvml::nvmlReturn_t = nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;

static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
static USERS: AtomicUsize = AtomicUsize::new(0);

fn machine() -> Option<&'static Machine> {
    let read = || {
        let path = std::env::var("FAKE_NVML_MACHINE").ok()?;
        let faults = Faults::read(&std::env::var("FAKE_NVML_FAULTS").unwrap_or_default());
        let topology = nvtopo::Topology::parse(&path, &std::fs::read(&path).ok()?);
        topology.map(|topology| Machine::of(&topology, faults)).ok()
    };
    MACHINE.get_or_init(read).as_ref()
}

pub(crate) fn start() -> nvml::nvmlReturn_t {
    match machine().map(|machine| machine.faults.of_start()) {
        None => NOT_LOADED,
        Some(OK) => {
            USERS.fetch_add(1, Ordering::SeqCst);
            OK
        }
        Some(code) => code,
    }
}

pub(crate) fn stop() -> nvml::nvmlReturn_t {
    let users = USERS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |users| users.checked_sub(1));
    if users.is_ok() { OK } else { UNINITIALIZED }
}

/// Answers a call about the machine.
pub(crate) fn system(answer: impl FnOnce(&Machine) -> nvml::nvmlReturn_t) -> nvml::nvmlReturn_t {
    match machine() {
        Some(machine) if USERS.load(Ordering::SeqCst) > 0 => answer(machine),
        _ => UNINITIALIZED,
    }
}

/// Answers a call about a GPU.
pub(crate) fn of_gpu(
    call: &str,
    device: nvml::nvmlDevice_t,
    answer: impl FnOnce(&Machine, &Gpu) -> nvml::nvmlReturn_t,
) -> nvml::nvmlReturn_t {
    system(|machine| {
        let gpu = device.addr().checked_sub(1).and_then(|position| machine.gpus.get(position));
        match gpu.map(|gpu| (gpu, machine.faults.of_call(call, gpu.index))) {
            None => INVALID,
            Some((gpu, OK)) => answer(machine, gpu),
            Some((_, code)) => code,
        }
    })
}

/// Writes an answer.
///
/// # Safety
/// The pointer is NULL or to such a value.
pub(crate) unsafe fn put<T>(to: *mut T, value: T) -> nvml::nvmlReturn_t {
    if to.is_null() {
        return INVALID;
    }
    // SAFETY: as the caller promises.
    unsafe { to.write(value) };
    OK
}

/// Writes a text with its end.
///
/// # Safety
/// The pointer is NULL or to a buffer of this length.
pub(crate) unsafe fn text(to: *mut c_char, length: c_uint, text: &str) -> nvml::nvmlReturn_t {
    if to.is_null() {
        return INVALID;
    }
    if text.len() >= length as usize {
        return TOO_SMALL;
    }
    for (place, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the text and its end fit into the buffer.
        unsafe { to.add(place).write(byte.cast_signed() as c_char) };
    }
    OK
}

/// Writes a set of numbers into words, all of them.
///
/// # Safety
/// The pointer is NULL or to so many words.
pub(crate) unsafe fn bits(
    to: *mut c_ulong,
    words: c_uint,
    numbers: impl Iterator<Item = u32>,
) -> nvml::nvmlReturn_t {
    if to.is_null() {
        return INVALID;
    }
    let mut set = vec![0; words as usize];
    for number in numbers {
        match set.get_mut((number / c_ulong::BITS) as usize) {
            Some(word) => *word |= 1 << (number % c_ulong::BITS),
            None => return TOO_SMALL,
        }
    }
    for (place, word) in set.into_iter().enumerate() {
        // SAFETY: there are as many words as the caller says.
        unsafe { to.add(place).write(word) };
    }
    OK
}
