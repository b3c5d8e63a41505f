//! A GPU's place in the NVLink fabric, as a fabric manager would have it.

use crate::faults::Faults;
use crate::machine::{End, Gpu};
use crate::state::{INVALID, NOT_SUPPORTED, OK, of_gpu, put};
use nvml_wrapper_sys::bindings as nvml;

#[derive(Clone, Copy)]
pub(crate) struct Fabric {
    cluster: [u8; 16],
    status: nvml::nvmlReturn_t,
    clique: u32,
    state: u32,
    health: u32,
    summary: u32,
}

/// No bandwidth is degraded, no route is being repaired or broken, no access timed out: two bits for each.
const SOUND: u32 = 0b10_10_10_10;

/// Returns the fabric of a GPU, which Hopper and later have; without an NVSwitch its state is not supported. Only racks
/// have a name.
pub(crate) fn of(gpu: &Gpu, faults: &Faults) -> Option<Fabric> {
    if gpu.capability < (9, 0) {
        return None;
    }
    let switched = gpu.links.iter().any(|link| matches!(link.end, End::Switch(_)));
    let rack = gpu.name.contains("GB200");
    let (state, status) = match faults.fabric() {
        _ if !switched => (nvml::NVML_GPU_FABRIC_STATE_NOT_SUPPORTED, OK),
        Some("in-progress") => (nvml::NVML_GPU_FABRIC_STATE_IN_PROGRESS, OK),
        Some("not-started") => (nvml::NVML_GPU_FABRIC_STATE_NOT_STARTED, OK),
        Some("failed") => {
            (nvml::NVML_GPU_FABRIC_STATE_COMPLETED, nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_RESOURCES)
        }
        _ => (nvml::NVML_GPU_FABRIC_STATE_COMPLETED, OK),
    };
    let named = rack && state == nvml::NVML_GPU_FABRIC_STATE_COMPLETED;
    let cluster = std::array::from_fn(|place| if named { 0xa0 + place as u8 } else { 0 });
    let (health, summary) =
        faults.health(gpu.index).unwrap_or((SOUND, nvml::NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY));
    Some(Fabric { cluster, status, clique: if named { 32_766 } else { 0 }, state, health, summary })
}

/// # Safety
/// The pointer is to the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuFabricInfo(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlGpuFabricInfo_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetGpuFabricInfo", device, |_, gpu| {
        let Some(Fabric { cluster, status, clique, state, .. }) = gpu.fabric else { return NOT_SUPPORTED };
        let info =
            nvml::nvmlGpuFabricInfo_t { clusterUuid: cluster, status, cliqueId: clique, state: state as u8 };
        // SAFETY: as the caller promises.
        unsafe { put(to, info) }
    })
}

/// # Safety
/// The pointer is to the struct of the version that is filled in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuFabricInfoV(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlGpuFabricInfoV_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetGpuFabricInfoV", device, |machine, gpu| {
        let Some(Fabric { cluster, status, clique, state, health, summary }) = gpu.fabric else {
            return NOT_SUPPORTED;
        };
        if to.is_null() {
            return INVALID;
        }
        // SAFETY: every version begins with its number.
        let version = unsafe { to.cast::<u32>().read() };
        let state = state as u8;
        let v2 = nvml::nvmlGpuFabricInfo_v2_t {
            version,
            clusterUuid: cluster,
            status,
            cliqueId: clique,
            state,
            healthMask: health,
        };
        let v3 = nvml::nvmlGpuFabricInfo_v3_t {
            version,
            clusterUuid: cluster,
            status,
            cliqueId: clique,
            state,
            healthMask: health,
            healthSummary: summary as u8,
        };
        let third = size_of::<nvml::nvmlGpuFabricInfo_v3_t>() as u32 | 3 << 24;
        let second = size_of::<nvml::nvmlGpuFabricInfo_v2_t>() as u32 | 2 << 24;
        match version {
            // SAFETY: the caller's struct is of the version that it names.
            _ if version == third && machine.faults.of_name("fabric-v3") == OK => unsafe { put(to, v3) },
            // SAFETY: as above; a library knows the versions before its own.
            _ if version == second && machine.faults.of_name("fabric-v2") == OK => unsafe {
                put(to.cast(), v2)
            },
            _ => nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        }
    })
}
