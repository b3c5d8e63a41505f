//! NVIDIA's driver: the calls of its management library that `nvml-wrapper` 0.13 lacks or gets wrong.
//!
//! The wrapper's own calls are used everywhere else. A symbol that the library lacks is an error of its own, which
//! readers take for "not supported".
#![allow(unsafe_code)]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper_sys::bindings::{
    nvmlC2cModeInfo_v1_t, nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU as TYPE_GPU,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_IBMNPU as TYPE_IBMNPU,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH as TYPE_SWITCH,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_UNKNOWN as TYPE_UNKNOWN, nvmlMemory_t,
};

/// What an NVLink leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteType {
    Gpu,
    /// A POWER CPU.
    Cpu,
    Switch,
    Unknown,
}

/// What is at the other end of an NVLink. The wrapper's own call always answers that it is unknown.
pub(crate) fn remote_type(device: &Device<'_>, link: u32) -> Result<RemoteType, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetNvLinkRemoteDeviceType.as_ref())?;
    let mut kind = TYPE_UNKNOWN;
    // SAFETY: the handle is of a device of this library, which `device` keeps open; the library writes one number.
    nvml_try(unsafe { call(device.handle(), link, &raw mut kind) })?;
    Ok(match kind {
        TYPE_GPU => RemoteType::Gpu,
        TYPE_IBMNPU => RemoteType::Cpu,
        TYPE_SWITCH => RemoteType::Switch,
        _ => RemoteType::Unknown,
    })
}

/// Whether NVLink-C2C connects the GPU with its CPU.
pub(crate) fn has_c2c(device: &Device<'_>) -> Result<bool, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetC2cModeInfoV.as_ref())?;
    let mut mode = nvmlC2cModeInfo_v1_t { isC2cEnabled: 0 };
    // SAFETY: the handle is of a device of this library, which `device` keeps open; the library writes the struct.
    nvml_try(unsafe { call(device.handle(), &raw mut mode) })?;
    Ok(mode.isC2cEnabled != 0)
}

/// The memory in bytes, by the call that drivers before R510 have.
pub(crate) fn memory_before_r510(device: &Device<'_>) -> Result<u64, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the handle is of a device of this library, which `device` keeps open; the library writes the struct.
    nvml_try(unsafe { call(device.handle(), &raw mut memory) })?;
    Ok(memory.total)
}
