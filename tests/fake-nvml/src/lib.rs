//! A stand-in for NVIDIA's management library: the same symbols, answering for a machine that a file describes.
//!
//! `FAKE_NVML_MACHINE` names a topology that nvtopo reads (its JSON); `FAKE_NVML_FAULTS` what is wrong with the
//! machine, see [`faults`]. What it cannot imitate is left out: time, load, and anything that sets something. The types
//! are NVML's own, by `nvml-wrapper-sys`; `tests/fake-nvml/check.py` holds them against NVIDIA's Python client.
#![allow(unsafe_code, reason = "a C library")]
#![allow(non_snake_case, reason = "NVML's names")]
#![allow(missing_docs, reason = "NVIDIA documents its functions")]
#![allow(unreachable_pub, reason = "the symbols are for the loader")]

mod device;
mod fabric;
mod faults;
mod fields;
mod machine;
mod mig;
mod nvlink;
mod products;
mod state;

use nvml_wrapper_sys::bindings as nvml;
use state::{INVALID, NOT_FOUND, OK, put, text};
use std::ffi::{CStr, c_char, c_int, c_uint};

const DRIVER: &str = "570.124.06";

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvml::nvmlReturn_t {
    state::start()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvml::nvmlReturn_t {
    state::start()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvml::nvmlReturn_t {
    state::stop()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: nvml::nvmlReturn_t) -> *const c_char {
    let text: &CStr = match code {
        OK => c"Success",
        nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED => c"Uninitialized",
        INVALID => c"Invalid Argument",
        nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED => c"Not Supported",
        nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION => c"Insufficient Permissions",
        nvml::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED => c"GPU requires reset",
        nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH => c"Argument version mismatch",
        nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE => c"Insufficient Size",
        NOT_FOUND => c"Not Found",
        nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED => c"Driver Not Loaded",
        nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST => c"GPU is lost",
        nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH => c"Driver/library version mismatch",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    state::system(|_| unsafe { text(to, length, DRIVER) })
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(to: *mut c_char, length: c_uint) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    state::system(|_| unsafe { text(to, length, &format!("12.{DRIVER}")) })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion(to: *mut c_int) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    state::system(|_| unsafe { put(to, 12_080) })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { nvmlSystemGetCudaDriverVersion(to) }
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    state::system(|machine| unsafe { put(to, machine.gpus.len() as c_uint) })
}

/// # Safety
/// The pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    to: *mut nvml::nvmlDevice_t,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { handle(to, INVALID, |gpu| gpu.index == index) }
}

/// # Safety
/// The text ends with a zero byte, and the pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    to: *mut nvml::nvmlDevice_t,
) -> nvml::nvmlReturn_t {
    if uuid.is_null() {
        return INVALID;
    }
    // SAFETY: as the caller promises.
    let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
    // SAFETY: as the caller promises.
    match unsafe { handle(to, NOT_FOUND, |gpu| gpu.uuid == uuid) } {
        // SAFETY: as the caller promises.
        NOT_FOUND => unsafe { mig::handle_by_uuid(&uuid, to) },
        answer => answer,
    }
}

/// # Safety
/// The text ends with a zero byte, and the pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    bus_id: *const c_char,
    to: *mut nvml::nvmlDevice_t,
) -> nvml::nvmlReturn_t {
    if bus_id.is_null() {
        return INVALID;
    }
    // SAFETY: as the caller promises.
    let address = unsafe { CStr::from_ptr(bus_id) }.to_string_lossy().parse();
    // SAFETY: as the caller promises.
    unsafe { handle(to, NOT_FOUND, |gpu| address.as_ref().ok() == Some(&gpu.address)) }
}

/// Writes the handle of a GPU: its position, counted from 1.
unsafe fn handle(
    to: *mut nvml::nvmlDevice_t,
    absent: nvml::nvmlReturn_t,
    is: impl Fn(&machine::Gpu) -> bool,
) -> nvml::nvmlReturn_t {
    state::system(|machine| match machine.gpus.iter().position(is) {
        None => absent,
        Some(position) => match machine.faults.of_handle(machine.gpus[position].index) {
            // SAFETY: as the caller promises.
            OK => unsafe { put(to, std::ptr::without_provenance_mut(position + 1)) },
            code => code,
        },
    })
}
