//! The instances that a GPU is divided into (MIG).

use super::calls::Caller;
use super::seen::{MAX_INSTANCES, SeenInstance};
use crate::sys::nvml as sys;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

/// Reads the instances of a GPU that is divided, and whether the driver keeps from this user where they lie. Numbers
/// are not all taken.
pub(super) fn read(gpu: &mut Caller<'_, '_>) -> (Vec<SeenInstance>, bool) {
    let most = gpu.fact("nvmlDeviceGetMaxMigDeviceCount", Device::mig_device_count).unwrap_or_default();
    let (mut instances, mut denied) = (Vec::new(), false);
    for number in 0..most.min(MAX_INSTANCES as u32) {
        let answer =
            gpu.fact("nvmlDeviceGetMigDeviceHandleByIndex", |gpu| match gpu.mig_device_by_index(number) {
                Err(NvmlError::NotFound | NvmlError::InvalidArg) => Ok(None),
                answer => answer.map(Some),
            });
        if let Some(device) = answer.flatten() {
            instances.push(one(gpu, &device, &mut denied));
        }
    }
    (instances, denied)
}

fn one(gpu: &mut Caller<'_, '_>, device: &Device<'_>, denied: &mut bool) -> SeenInstance {
    let attributes = gpu.fact("nvmlDeviceGetAttributes", |_| device.attributes());
    let gpu_instance = gpu.fact("nvmlDeviceGetGpuInstanceId", |_| sys::gpu_instance(device));
    SeenInstance {
        uuid: gpu.fact("nvmlDeviceGetUUID", |_| device.uuid()),
        name: gpu.fact("nvmlDeviceGetName", |_| device.name()),
        gpu_instance,
        compute_instance: gpu.fact("nvmlDeviceGetComputeInstanceId", |_| sys::compute_instance(device)),
        slices: attributes.as_ref().map(|attributes| attributes.compute_instance_slice_count),
        memory: attributes.as_ref().map(|attributes| attributes.memory_size_mb),
        placement: gpu_instance.and_then(|instance| placement(gpu, instance, denied)),
    }
}

/// Drivers tell it to administrators only; that others are not told is one note, however many instances there are.
fn placement(gpu: &mut Caller<'_, '_>, instance: u32, denied: &mut bool) -> Option<(u32, u32)> {
    let answer = gpu.fact("nvmlGpuInstanceGetInfo", |gpu| match sys::placement(gpu, instance) {
        Err(NvmlError::NoPermission) => {
            *denied = true;
            Ok(None)
        }
        answer => answer.map(Some),
    });
    answer.flatten()
}
