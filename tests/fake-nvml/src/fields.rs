//! Fields: numbers of a GPU or of one of its links, asked for by NVML's number for each, many at once.

use crate::machine::{Gpu, Machine};
use crate::state::{INVALID, NOT_SUPPORTED, OK, of_gpu};
use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::field_id as id;
use std::ffi::c_int;

/// A value of the type that NVML gives it.
enum Value {
    Int(u32),
    Long(u64),
}

/// The bandwidth of a C2C link in MB/s. Source: `nvidia-smi c2c -s` on GH200.
const C2C_SPEED: u32 = 44_712;

/// Returns the bandwidth of an NVLink in MB/s, as `nvidia-smi nvlink -s` prints it.
fn speed(gpu: &Gpu) -> u32 {
    match gpu.capability {
        (6, _) => 19_531,
        (7, _) => 25_781,
        (8, 0) => 25_000,
        (8, _) => 14_062,
        (9, _) => 26_562,
        _ => 53_125,
    }
}

/// Returns the value of a counter: a different constant for each counter, link and GPU.
pub(crate) fn counted(gpu: &Gpu, link: u32, counter: u32) -> u64 {
    u64::from(gpu.index) * 100_000 + u64::from(link) * 1000 + u64::from(counter)
}

/// Returns the value of a field. `None`: not supported.
fn value(machine: &Machine, gpu: &Gpu, field: u32, scope: u32) -> Option<Value> {
    let hopper = gpu.capability >= (9, 0);
    let nvlink_5 = gpu.capability >= (10, 0) && !gpu.links.is_empty();
    let link = gpu.links.get(scope as usize);
    let all = || (0..gpu.links.len() as u32).map(|link| counted(gpu, link, field)).sum();
    let of_link =
        |number: u32| gpu.links.get(number as usize).map(|link| if link.up { speed(gpu) } else { 0 });
    let active = |scope: u32| !machine.faults.c2c_down(gpu.index, scope);
    Some(match field {
        id::NVML_FI_DEV_NVLINK_LINK_COUNT => Value::Int(gpu.links.len() as u32),
        id::NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON if !gpu.links.is_empty() => Value::Int(speed(gpu)),
        id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L0..=id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L5 => {
            Value::Int(of_link(field - id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L0)?)
        }
        id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L6..=id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L11 => {
            Value::Int(of_link(field - id::NVML_FI_DEV_NVLINK_SPEED_MBPS_L6 + 6)?)
        }
        id::NVML_FI_DEV_NVLINK_GET_SPEED if hopper => Value::Int(of_link(scope)?),
        id::NVML_FI_DEV_NVLINK_GET_STATE if hopper => Value::Int(link?.up.into()),
        id::NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID => Value::Int(link.filter(|link| link.up)?.far as u32),
        id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX | id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX => {
            match scope {
                u32::MAX if !gpu.links.is_empty() => Value::Long(all()),
                _ => link.map(|_| Value::Long(counted(gpu, scope, field)))?,
            }
        }
        id::NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS..=id::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS
            if nvlink_5 && field != id::NVML_FI_DEV_NVLINK_COUNT_VL15_DROPPED =>
        {
            link.map(|_| Value::Long(counted(gpu, scope, field)))?
        }
        id::NVML_FI_DEV_C2C_LINK_COUNT if hopper => Value::Int(gpu.c2c),
        id::NVML_FI_DEV_C2C_LINK_GET_STATUS if scope < gpu.c2c => Value::Int(active(scope).into()),
        id::NVML_FI_DEV_C2C_LINK_GET_MAX_BW if scope < gpu.c2c && active(scope) => Value::Int(C2C_SPEED),
        id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION if gpu.capability >= (8, 0) => {
            Value::Int(machine.faults.recovery(gpu.index))
        }
        _ => return None,
    })
}

/// # Safety
/// The pointer is to so many structs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvml::nvmlDevice_t,
    count: c_int,
    values: *mut nvml::nvmlFieldValue_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetFieldValues", device, |machine, gpu| {
        let Ok(count @ 1..) = usize::try_from(count) else { return INVALID };
        if values.is_null() {
            return INVALID;
        }
        // SAFETY: as the caller promises.
        for field in unsafe { std::slice::from_raw_parts_mut(values, count) } {
            (field.timestamp, field.latencyUsec) = (1_700_000_000_000_000, 1);
            field.nvmlReturn = machine.faults.of_name(&format!("field-{}", field.fieldId));
            if field.nvmlReturn != OK {
                continue;
            }
            match value(machine, gpu, field.fieldId, field.scopeId) {
                None => field.nvmlReturn = NOT_SUPPORTED,
                Some(Value::Int(number)) => {
                    field.valueType = nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
                    field.value.uiVal = number;
                }
                Some(Value::Long(number)) => {
                    field.valueType = nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
                    field.value.ullVal = number;
                }
            }
        }
        OK
    })
}
