//! The instances that a GPU is divided into (MIG).

use super::calls::Caller;
use super::seen::{MAX_INSTANCES, SeenInstance};
use crate::sys::nvml as sys;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

/// Reads the instances of a GPU that is divided. Numbers are not all taken.
pub(super) fn read(gpu: &mut Caller<'_, '_>) -> Vec<SeenInstance> {
    let most = gpu.fact("nvmlDeviceGetMaxMigDeviceCount", Device::mig_device_count).unwrap_or_default();
    let mut instances = Vec::new();
    for number in 0..most.min(MAX_INSTANCES as u32) {
        let answer =
            gpu.fact("nvmlDeviceGetMigDeviceHandleByIndex", |gpu| match gpu.mig_device_by_index(number) {
                Err(NvmlError::NotFound | NvmlError::InvalidArg) => Ok(None),
                answer => answer.map(Some),
            });
        if let Some(device) = answer.flatten() {
            instances.push(one(gpu, &device));
        }
    }
    instances
}

fn one(gpu: &mut Caller<'_, '_>, device: &Device<'_>) -> SeenInstance {
    let attributes = gpu.fact("nvmlDeviceGetAttributes", |_| device.attributes());
    let gpu_instance = gpu.fact("nvmlDeviceGetGpuInstanceId", |_| sys::gpu_instance(device));
    SeenInstance {
        uuid: gpu.fact("nvmlDeviceGetUUID", |_| device.uuid()),
        name: gpu.fact("nvmlDeviceGetName", |_| device.name()),
        gpu_instance,
        compute_instance: gpu.fact("nvmlDeviceGetComputeInstanceId", |_| sys::compute_instance(device)),
        slices: attributes.as_ref().map(|attributes| attributes.compute_instance_slice_count),
        memory: attributes.as_ref().map(|attributes| attributes.memory_size_mb),
        placement: gpu_instance.and_then(|instance| placement(gpu, instance)),
    }
}

/// Drivers tell it to administrators only; that others are not told is no trouble.
fn placement(gpu: &mut Caller<'_, '_>, instance: u32) -> Option<(u32, u32)> {
    let answer = gpu.fact("nvmlGpuInstanceGetInfo", |gpu| match sys::placement(gpu, instance) {
        Err(NvmlError::NoPermission) => Ok(None),
        answer => answer.map(Some),
    });
    answer.flatten()
}
