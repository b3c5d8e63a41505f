//! Instances of divided GPUs (MIG). A handle of one is that of its GPU with its own number above.

use crate::machine::{Gpu, Machine};
use crate::state::{INVALID, NOT_FOUND, NOT_SUPPORTED, of_gpu, put, system};
use nvml_wrapper_sys::bindings as nvml;
use std::ffi::c_uint;

/// The most instances of a GPU.
const MOST: u32 = 7;

/// The position of an instance's number in a handle.
const SHIFT: u32 = 16;

pub(crate) struct Instance {
    pub(crate) uuid: String,
    pub(crate) name: String,
    slices: u32,
    memory: u64,
    start: u32,
    size: u32,
}

/// Divides a GPU, from the first memory slice on. Profiles are named `1g`, `2g`, …
pub(crate) fn divide(gpu: &Gpu, profiles: &[&str]) -> Vec<Instance> {
    let slice = gpu.memory / 8;
    let mut start = 0;
    let instances = profiles.iter().zip(1..).map(|(profile, number)| {
        let slices = profile.trim_end_matches('g').parse().unwrap_or(1);
        let size = match slices {
            7 => 8,
            3 | 4 => 4,
            few => few,
        };
        let memory = slice * u64::from(size);
        let gib = memory.div_ceil(1 << 30);
        let instance = Instance {
            uuid: format!("MIG-{:08x}-0000-5000-8000-{number:012x}", gpu.index + 1),
            name: format!("{} MIG {slices}g.{gib}gb", gpu.name),
            slices,
            memory,
            start,
            size,
        };
        start += size;
        instance
    });
    instances.collect()
}

/// Returns whether a GPU can have MIG: Hopper's and Ampere's large GPUs, and their successors.
fn is_capable(gpu: &Gpu) -> bool {
    matches!(gpu.capability, (8 | 9, 0) | (10, _))
}

/// # Safety
/// Both pointers are to numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvml::nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetMigMode", device, |machine, gpu| {
        if !is_capable(gpu) {
            return NOT_SUPPORTED;
        }
        let (now, then) = (gpu.instances.is_some(), machine.faults.mig_pending(gpu.index));
        // SAFETY: as the caller promises.
        unsafe { put(current, now.into()).max(put(pending, then.into())) }
    })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(
    device: nvml::nvmlDevice_t,
    to: *mut c_uint,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetMaxMigDeviceCount", device, |_, gpu| {
        let divided = is_capable(gpu) && gpu.instances.is_some();
        // SAFETY: as the caller promises.
        unsafe { put(to, if divided { MOST } else { 0 }) }
    })
}

/// # Safety
/// The pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvml::nvmlDevice_t,
    index: c_uint,
    to: *mut nvml::nvmlDevice_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetMigDeviceHandleByIndex", device, |_, gpu| match &gpu.instances {
        None => NOT_SUPPORTED,
        Some(_) if index >= MOST => INVALID,
        Some(instances) if index as usize >= instances.len() => NOT_FOUND,
        // SAFETY: as the caller promises.
        Some(_) => unsafe { put(to, above(device, index as usize)) },
    })
}

fn above(device: nvml::nvmlDevice_t, instance: usize) -> nvml::nvmlDevice_t {
    std::ptr::without_provenance_mut(device.addr() | (instance + 1) << SHIFT)
}

/// # Safety
/// The pointer is to a handle.
pub(crate) unsafe fn handle_by_uuid(uuid: &str, to: *mut nvml::nvmlDevice_t) -> nvml::nvmlReturn_t {
    system(|machine| {
        let found = machine.gpus.iter().zip(1..).find_map(|(gpu, handle)| {
            let instance = gpu.instances.iter().flatten().position(|instance| instance.uuid == uuid)?;
            Some(above(std::ptr::without_provenance_mut(handle), instance))
        });
        // SAFETY: as the caller promises.
        found.map_or(NOT_FOUND, |handle| unsafe { put(to, handle) })
    })
}

/// Returns the GPU that a handle of an instance belongs to, and the number of the instance.
pub(crate) fn parts(device: nvml::nvmlDevice_t) -> (nvml::nvmlDevice_t, Option<usize>) {
    let (gpu, instance) = (device.addr() & ((1 << SHIFT) - 1), device.addr() >> SHIFT);
    (std::ptr::without_provenance_mut(gpu), instance.checked_sub(1))
}

/// Answers a call about an instance.
pub(crate) fn of_instance(
    call: &str,
    device: nvml::nvmlDevice_t,
    answer: impl FnOnce(&Machine, usize, &Instance) -> nvml::nvmlReturn_t,
) -> nvml::nvmlReturn_t {
    let (gpu, number) = parts(device);
    of_gpu(call, gpu, |machine, gpu| {
        let Some(number) = number else { return NOT_SUPPORTED };
        match gpu.instances.as_ref().and_then(|instances| instances.get(number)) {
            Some(instance) => answer(machine, number, instance),
            None => INVALID,
        }
    })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceIsMigDeviceHandle(
    device: nvml::nvmlDevice_t,
    to: *mut c_uint,
) -> nvml::nvmlReturn_t {
    let (gpu, instance) = parts(device);
    // SAFETY: as the caller promises.
    of_gpu("nvmlDeviceIsMigDeviceHandle", gpu, |_, _| unsafe { put(to, instance.is_some().into()) })
}

/// # Safety
/// The pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlDevice_t,
) -> nvml::nvmlReturn_t {
    of_instance("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", device, |_, _, _| {
        // SAFETY: as the caller promises.
        unsafe { put(to, parts(device).0) }
    })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(
    device: nvml::nvmlDevice_t,
    to: *mut c_uint,
) -> nvml::nvmlReturn_t {
    of_instance("nvmlDeviceGetGpuInstanceId", device, |_, number, _| {
        // SAFETY: as the caller promises.
        unsafe { put(to, id(number)) }
    })
}

/// Returns the number of a GPU instance; 0 is the whole GPU.
fn id(number: usize) -> c_uint {
    number as c_uint + 1
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(
    device: nvml::nvmlDevice_t,
    to: *mut c_uint,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_instance("nvmlDeviceGetComputeInstanceId", device, |_, _, _| unsafe { put(to, 0) })
}

/// # Safety
/// The pointer is to the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlDeviceAttributes_t,
) -> nvml::nvmlReturn_t {
    of_instance("nvmlDeviceGetAttributes_v2", device, |_, _, instance| {
        let attributes = nvml::nvmlDeviceAttributes_t {
            multiprocessorCount: 14 * instance.slices,
            sharedCopyEngineCount: instance.slices,
            sharedDecoderCount: instance.slices / 2,
            sharedEncoderCount: 0,
            sharedJpegCount: 0,
            sharedOfaCount: 0,
            gpuInstanceSliceCount: instance.slices,
            computeInstanceSliceCount: instance.slices,
            memorySizeMB: instance.memory >> 20,
        };
        // SAFETY: as the caller promises.
        unsafe { put(to, attributes) }
    })
}

/// # Safety
/// The pointer is to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceById(
    device: nvml::nvmlDevice_t,
    number: c_uint,
    to: *mut nvml::nvmlGpuInstance_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetGpuInstanceById", device, |machine, gpu| match &gpu.instances {
        None => NOT_SUPPORTED,
        Some(_) if !machine.faults.root() => nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
        Some(instances) => match (number as usize).checked_sub(1).filter(|own| *own < instances.len()) {
            // SAFETY: as the caller promises.
            Some(own) => unsafe { put(to, above(device, own).cast()) },
            None => NOT_FOUND,
        },
    })
}

/// # Safety
/// The pointer is to the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpuInstanceGetInfo(
    instance: nvml::nvmlGpuInstance_t,
    to: *mut nvml::nvmlGpuInstanceInfo_t,
) -> nvml::nvmlReturn_t {
    let device: nvml::nvmlDevice_t = instance.cast();
    of_instance("nvmlGpuInstanceGetInfo", device, |_, number, instance| {
        let info = nvml::nvmlGpuInstanceInfo_t {
            device: parts(device).0,
            id: id(number),
            profileId: instance.slices,
            placement: nvml::nvmlGpuInstancePlacement_t { start: instance.start, size: instance.size },
        };
        // SAFETY: as the caller promises.
        unsafe { put(to, info) }
    })
}

/// Answers a call about an instance of a GPU, or about the GPU.
pub(crate) fn of_either(
    call: &str,
    device: nvml::nvmlDevice_t,
    answer: impl FnOnce(&Gpu, Option<&Instance>) -> nvml::nvmlReturn_t,
) -> nvml::nvmlReturn_t {
    let (gpu, number) = parts(device);
    of_gpu(call, gpu, |_, gpu| match number {
        None => answer(gpu, None),
        Some(number) => match gpu.instances.as_ref().and_then(|instances| instances.get(number)) {
            Some(instance) => answer(gpu, Some(instance)),
            None => INVALID,
        },
    })
}
