//! NVIDIA's driver: the calls of its management library that `nvml-wrapper` 0.13 lacks or gets wrong.
//!
//! The wrapper's own calls are used everywhere else. A symbol that the library lacks is an error of its own, which
//! readers treat as "not supported". Numbers are NVML's; no conclusions are drawn from them here.
#![allow(unsafe_code)]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::{
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU as TYPE_GPU,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_IBMNPU as TYPE_IBMNPU,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH as TYPE_SWITCH,
    nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_UNKNOWN as TYPE_UNKNOWN,
    nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH as VERSION_MISMATCH,
};

/// Returns what a call about a device writes through its last argument, which begins as a given value.
macro_rules! answer {
    ($device:ident, $call:ident($($argument:expr),*), $answer:expr) => {{
        let call = nvml_sym($device.nvml().lib().$call.as_ref())?;
        let mut answer = $answer;
        // SAFETY: all handles are of devices of this library, which the first keeps open; the library writes one value
        // of the type that its signature says.
        nvml_try(unsafe { call($device.handle(), $($argument,)* &raw mut answer) })?;
        answer
    }};
}

/// The type of the device at the other end of an NVLink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteType {
    Gpu,
    /// A POWER CPU.
    Cpu,
    Switch,
    Unknown,
}

/// Returns the state of an NVLink, by NVML's number for it. The wrapper's own call knows no link that sleeps.
pub(crate) fn link_state(device: &Device<'_>, link: u32) -> Result<u32, NvmlError> {
    Ok(answer!(device, nvmlDeviceGetNvLinkState(link), nvml::NVML_NVLINK_STATE_INACTIVE))
}

/// Returns the type of the device at the other end of an NVLink. The wrapper's own call always answers that it is
/// unknown.
pub(crate) fn remote_type(device: &Device<'_>, link: u32) -> Result<RemoteType, NvmlError> {
    Ok(match answer!(device, nvmlDeviceGetNvLinkRemoteDeviceType(link), TYPE_UNKNOWN) {
        TYPE_GPU => RemoteType::Gpu,
        TYPE_IBMNPU => RemoteType::Cpu,
        TYPE_SWITCH => RemoteType::Switch,
        _ => RemoteType::Unknown,
    })
}

/// Returns whether NVLink-C2C connects the GPU with its CPU.
pub(crate) fn has_c2c(device: &Device<'_>) -> Result<bool, NvmlError> {
    let mode = nvml::nvmlC2cModeInfo_v1_t { isC2cEnabled: 0 };
    Ok(answer!(device, nvmlDeviceGetC2cModeInfoV(), mode).isC2cEnabled != 0)
}

/// The memory of a GPU in bytes.
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) free: u64,
}

/// Returns the memory, by the call that drivers before R510 have.
pub(crate) fn memory_before_r510(device: &Device<'_>) -> Result<Memory, NvmlError> {
    let memory = nvml::nvmlMemory_t { total: 0, free: 0, used: 0 };
    let memory = answer!(device, nvmlDeviceGetMemoryInfo(), memory);
    Ok(Memory { total: memory.total, used: memory.used, free: memory.free })
}

/// Returns the latest generation of PCIe that the GPU itself can do, wherever it is plugged in.
pub(crate) fn own_pcie_generation(device: &Device<'_>) -> Result<u32, NvmlError> {
    Ok(answer!(device, nvmlDeviceGetGpuMaxPcieLinkGeneration(), 0))
}

/// Returns the level of the common ancestor of two GPUs. The wrapper's own call takes the second device for itself.
pub(crate) fn common_ancestor(a: &Device<'_>, b: &Device<'_>) -> Result<u32, NvmlError> {
    Ok(answer!(a, nvmlDeviceGetTopologyCommonAncestor(b.handle()), 0))
}

/// Returns whether two GPUs may use each other's memory in one way, by NVML's number for it. The wrapper's own call
/// refuses answers that it does not know.
pub(crate) fn p2p_status(a: &Device<'_>, b: &Device<'_>, way: u32) -> Result<u32, NvmlError> {
    let unknown = nvml::nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_UNKNOWN;
    Ok(answer!(a, nvmlDeviceGetP2PStatus(b.handle(), way), unknown))
}

/// A GPU's place in an NVLink fabric.
pub(crate) struct FabricInfo {
    pub(crate) cluster: [u8; 16],
    pub(crate) status: u32,
    pub(crate) clique: u32,
    pub(crate) state: u32,
    /// Known since the second version of the call.
    pub(crate) health: Option<u32>,
    /// Known since the third version of the call.
    pub(crate) health_summary: Option<u32>,
}

/// Returns a GPU's place in an NVLink fabric, by the latest version of the call that the library knows.
pub(crate) fn fabric(device: &Device<'_>) -> Result<FabricInfo, NvmlError> {
    let versions = [version(3, size_of::<nvml::nvmlGpuFabricInfo_v3_t>()), FABRIC_V2];
    for version in versions {
        match fabric_by_version(device, version) {
            Err(NvmlError::UnexpectedVariant(VERSION_MISMATCH) | NvmlError::InvalidArg) => {}
            Err(NvmlError::FailedToLoadSymbol(_)) => break,
            answer => return answer,
        }
    }
    let info = nvml::nvmlGpuFabricInfo_t { clusterUuid: [0; 16], status: 0, cliqueId: 0, state: 0 };
    let info = answer!(device, nvmlDeviceGetGpuFabricInfo(), info);
    let (status, clique, state) = (info.status, info.cliqueId, info.state.into());
    Ok(FabricInfo { cluster: info.clusterUuid, status, clique, state, health: None, health_summary: None })
}

const FABRIC_V2: u32 = version(2, size_of::<nvml::nvmlGpuFabricInfo_v2_t>());

/// Returns NVML's mark of a struct's version: its size, and the number above.
const fn version(number: u32, size: usize) -> u32 {
    size as u32 | number << 24
}

fn fabric_by_version(device: &Device<'_>, version: u32) -> Result<FabricInfo, NvmlError> {
    let info = nvml::nvmlGpuFabricInfo_v3_t {
        version,
        clusterUuid: [0; 16],
        status: 0,
        cliqueId: 0,
        state: 0,
        healthMask: 0,
        healthSummary: 0,
    };
    // The library writes as much as the version says, and the second version is the beginning of the third.
    let info = answer!(device, nvmlDeviceGetGpuFabricInfoV(), info);
    let (status, clique, state) = (info.status, info.cliqueId, info.state.into());
    // The second version leaves the summary as it was, 0: not supported.
    let (health, health_summary) = (Some(info.healthMask), Some(info.healthSummary.into()));
    Ok(FabricInfo { cluster: info.clusterUuid, status, clique, state, health, health_summary })
}

/// Returns the values of fields, each with its scope: the link, for those of links. The wrapper's own call knows no
/// scope.
pub(crate) fn fields(
    device: &Device<'_>,
    fields: &[(u32, u32)],
) -> Result<Vec<Result<u64, NvmlError>>, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetFieldValues.as_ref())?;
    let field = |&(id, scope): &(u32, u32)| nvml::nvmlFieldValue_t {
        fieldId: id,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: nvml::nvmlValueType_enum_NVML_VALUE_TYPE_COUNT,
        nvmlReturn: nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN,
        value: nvml::nvmlValue_t { ullVal: 0 },
    };
    let mut values: Vec<nvml::nvmlFieldValue_t> = fields.iter().map(field).collect();
    let count = i32::try_from(values.len()).map_err(|_| NvmlError::InvalidArg)?;
    // SAFETY: the handle is of a device of this library, which `device` keeps open; the library writes into as many
    // structs as the count says.
    nvml_try(unsafe { call(device.handle(), count, values.as_mut_ptr()) })?;
    Ok(values.iter().map(|value| nvml_try(value.nvmlReturn).and_then(|()| number(value))).collect())
}

/// Returns a value as a number, whatever type it has.
fn number(field: &nvml::nvmlFieldValue_t) -> Result<u64, NvmlError> {
    let value = field.value;
    // SAFETY: all bytes of the union were set, those of the longest number before the library wrote, and every pattern of
    // bits is a number.
    let number = unsafe {
        match field.valueType {
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE => Some(value.dVal as u64),
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT => Some(value.uiVal.into()),
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG
            | nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG => Some(value.ullVal),
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG => u64::try_from(value.sllVal).ok(),
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT => u64::try_from(value.siVal).ok(),
            nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT => Some(value.usVal.into()),
            other => return Err(NvmlError::UnexpectedVariant(other)),
        }
    };
    number.ok_or(NvmlError::NoData)
}

/// Returns the number of the GPU instance that a MIG device belongs to.
pub(crate) fn gpu_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    Ok(answer!(device, nvmlDeviceGetGpuInstanceId(), 0))
}

/// Returns the number of a MIG device's compute instance in its GPU instance.
pub(crate) fn compute_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    Ok(answer!(device, nvmlDeviceGetComputeInstanceId(), 0))
}

/// Returns the first memory slice of a GPU instance of a GPU, and how many it has. For administrators.
pub(crate) fn placement(gpu: &Device<'_>, instance: u32) -> Result<(u32, u32), NvmlError> {
    let library = gpu.nvml().lib();
    let by_id = nvml_sym(library.nvmlDeviceGetGpuInstanceById.as_ref())?;
    let info_of = nvml_sym(library.nvmlGpuInstanceGetInfo.as_ref())?;
    let mut handle = std::ptr::null_mut();
    // SAFETY: the handle is of a device of this library, which `gpu` keeps open; the library writes a handle.
    nvml_try(unsafe { by_id(gpu.handle(), instance, &raw mut handle) })?;
    let placement = nvml::nvmlGpuInstancePlacement_t { start: 0, size: 0 };
    let mut info =
        nvml::nvmlGpuInstanceInfo_t { device: std::ptr::null_mut(), id: 0, profileId: 0, placement };
    // SAFETY: the handle was just given by the library; the library writes the struct.
    nvml_try(unsafe { info_of(handle, &raw mut info) })?;
    Ok((info.placement.start, info.placement.size))
}
