//! Calls about one GPU.

use crate::machine::{Gpu, Machine};
use crate::mig::of_either;
use crate::state::{INVALID, NOT_SUPPORTED, OK, bits, of_gpu, put, text};
use nvml_wrapper_sys::bindings as nvml;
use nvtopo::PciAddress;
use std::ffi::{c_char, c_int, c_uint, c_ulong};

/// Calls that write one number, which some GPUs do not have.
macro_rules! number {
    ($($name:ident: $type:ty = $value:expr;)*) => {$(
        /// # Safety
        /// The pointer is to a number.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(device: nvml::nvmlDevice_t, to: *mut $type) -> nvml::nvmlReturn_t {
            let value: fn(&Gpu) -> Option<$type> = $value;
            of_gpu(stringify!($name), device, |_, gpu| match value(gpu) {
                // SAFETY: as the caller promises.
                Some(value) => unsafe { put(to, value) },
                None => NOT_SUPPORTED,
            })
        }
    )*};
}

number! {
    nvmlDeviceGetIndex: c_uint = |gpu| Some(gpu.index);
    nvmlDeviceGetMinorNumber: c_uint = |gpu| Some(gpu.minor);
    nvmlDeviceGetNumaNodeId: c_uint = |gpu| gpu.memory_node;
    nvmlDeviceGetMaxPcieLinkGeneration: c_uint = |gpu| gpu.pcie.map(|pcie| pcie.0);
    nvmlDeviceGetGpuMaxPcieLinkGeneration: c_uint = |gpu| gpu.pcie.map(|pcie| pcie.0.max(own_generation(gpu)));
    nvmlDeviceGetMaxPcieLinkWidth: c_uint = |gpu| gpu.pcie.map(|pcie| pcie.1);
    nvmlDeviceGetCurrPcieLinkWidth: c_uint = |gpu| gpu.pcie.map(|pcie| pcie.1);
    // A GPU that rests.
    nvmlDeviceGetCurrPcieLinkGeneration: c_uint = |gpu| gpu.pcie.map(|_| 1);
    nvmlDeviceGetC2cModeInfoV: nvml::nvmlC2cModeInfo_v1_t =
        |gpu| (gpu.capability >= (9, 0)).then_some(nvml::nvmlC2cModeInfo_v1_t { isC2cEnabled: (gpu.c2c > 0).into() });
    nvmlDeviceGetPciInfo_v3: nvml::nvmlPciInfo_t = |gpu| Some(nvml::nvmlPciInfo_t {
        pciDeviceId: gpu.pci.0,
        pciSubSystemId: gpu.pci.1,
        ..pci_info(Some(gpu.address))
    });
    nvmlDeviceGetArchitecture: nvml::nvmlDeviceArchitecture_t = |gpu| Some(match gpu.capability {
        (6, _) => nvml::NVML_DEVICE_ARCH_PASCAL,
        (7, 0) => nvml::NVML_DEVICE_ARCH_VOLTA,
        (8, 9) => nvml::NVML_DEVICE_ARCH_ADA,
        (8, _) => nvml::NVML_DEVICE_ARCH_AMPERE,
        (9, _) => nvml::NVML_DEVICE_ARCH_HOPPER,
        (10, _) => nvml::NVML_DEVICE_ARCH_BLACKWELL,
        _ => nvml::NVML_DEVICE_ARCH_UNKNOWN,
    });
}

/// Returns the PCIe generation that the GPU could have in a better slot.
fn own_generation(gpu: &Gpu) -> c_uint {
    match gpu.capability.0 {
        0..8 => 3,
        8 => 4,
        _ => 5,
    }
}

/// Returns NVML's struct for an address; one that is hidden has all bits set.
pub(crate) fn pci_info(address: Option<PciAddress>) -> nvml::nvmlPciInfo_t {
    let mut info = nvml::nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: u32::MAX,
        bus: 0xff,
        device: 0xff,
        pciDeviceId: u32::MAX,
        pciSubSystemId: u32::MAX,
        busId: [0; 32],
    };
    let mut texts = ["FFFF:FF:FF.F".to_owned(), "FFFFFFFF:FF:FF.F".to_owned()];
    if let Some(PciAddress { domain, bus, device, function }) = address {
        (info.domain, info.bus, info.device) = (domain, bus.into(), device.into());
        texts = [
            format!("{:04X}:{bus:02X}:{device:02X}.{function:X}", domain & 0xffff),
            format!("{domain:08X}:{bus:02X}:{device:02X}.{function:X}"),
        ];
    }
    let buffers: [&mut [c_char]; 2] = [&mut info.busIdLegacy, &mut info.busId];
    for (buffer, text) in buffers.into_iter().zip(texts) {
        for (to, byte) in buffer.iter_mut().zip(text.bytes()) {
            *to = byte.cast_signed() as c_char;
        }
    }
    info
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    device: nvml::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_either("nvmlDeviceGetName", device, |gpu, instance| unsafe {
        text(to, length, instance.map_or(&gpu.name, |instance| &instance.name))
    })
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvml::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_either("nvmlDeviceGetUUID", device, |gpu, instance| unsafe {
        text(to, length, instance.map_or(&gpu.uuid, |instance| &instance.uuid))
    })
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSerial(
    device: nvml::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetSerial", device, |_, gpu| match &gpu.serial {
        // SAFETY: as the caller promises.
        Some(serial) => unsafe { text(to, length, serial) },
        None => NOT_SUPPORTED,
    })
}

/// # Safety
/// The buffer has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetVbiosVersion(
    device: nvml::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_gpu("nvmlDeviceGetVbiosVersion", device, |_, _| unsafe { text(to, length, "92.00.45.00.03") })
}

/// Returns the memory in use, in bytes.
fn used(machine: &Machine, gpu: &Gpu) -> u64 {
    (machine.faults.busy(gpu.index).1 << 30).min(gpu.memory)
}

/// # Safety
/// The pointer is to the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlMemory_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetMemoryInfo", device, |machine, gpu| {
        let used = used(machine, gpu);
        // SAFETY: as the caller promises.
        unsafe { put(to, nvml::nvmlMemory_t { total: gpu.memory, free: gpu.memory - used, used }) }
    })
}

/// Writes the first processes; from the number on which the list of graphics begins with one of computation.
///
/// # Safety
/// The pointers are to a number and to as many structs.
unsafe fn processes(
    call: &str,
    device: nvml::nvmlDevice_t,
    graphics: bool,
    count: *mut c_uint,
    to: *mut nvml::nvmlProcessInfo_t,
) -> nvml::nvmlReturn_t {
    of_gpu(call, device, |machine, gpu| {
        let given = machine.faults.pids(gpu.index);
        let all = given.as_ref().map_or(machine.faults.busy(gpu.index).0, |pids| pids.len() as u32);
        let own = if graphics { all.min(1) } else { all };
        // SAFETY: as the caller promises.
        let Some(room) = (unsafe { count.as_mut() }) else { return INVALID };
        if std::mem::replace(room, own) < own {
            return nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
        }
        for number in 0..own {
            let info = nvml::nvmlProcessInfo_t {
                pid: given.as_ref().map_or(1000 + number, |pids| pids[number as usize]),
                usedGpuMemory: 1 << 20,
                gpuInstanceId: u32::MAX,
                computeInstanceId: u32::MAX,
            };
            // SAFETY: as the caller promises; there is room for as many.
            unsafe { to.add(number as usize).write(info) };
        }
        OK
    })
}

/// # Safety
/// The pointers are to a number and to as many structs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvml::nvmlDevice_t,
    count: *mut c_uint,
    to: *mut nvml::nvmlProcessInfo_t,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { processes("nvmlDeviceGetComputeRunningProcesses_v3", device, false, count, to) }
}

/// # Safety
/// The pointers are to a number and to as many structs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvml::nvmlDevice_t,
    count: *mut c_uint,
    to: *mut nvml::nvmlProcessInfo_t,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { processes("nvmlDeviceGetGraphicsRunningProcesses_v3", device, true, count, to) }
}

/// # Safety
/// The pointer is to the struct with its version filled in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlMemory_v2_t,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetMemoryInfo_v2", device, |machine, gpu| {
        // SAFETY: as the caller promises.
        let Some(memory) = (unsafe { to.as_mut() }) else { return INVALID };
        let version = size_of::<nvml::nvmlMemory_v2_t>() as u32 | 2 << 24;
        if memory.version != version {
            return nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
        }
        let used = used(machine, gpu);
        let free = gpu.memory - used;
        *memory = nvml::nvmlMemory_v2_t { version, total: gpu.memory, reserved: 0, free, used };
        OK
    })
}

/// # Safety
/// Both pointers are to numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: nvml::nvmlDevice_t,
    major: *mut c_int,
    minor: *mut c_int,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetCudaComputeCapability", device, |_, gpu| {
        // SAFETY: as the caller promises.
        unsafe { put(major, gpu.capability.0).max(put(minor, gpu.capability.1)) }
    })
}

/// # Safety
/// The pointer is to so many words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCpuAffinity(
    device: nvml::nvmlDevice_t,
    words: c_uint,
    to: *mut c_ulong,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_gpu("nvmlDeviceGetCpuAffinity", device, |_, gpu| unsafe { bits(to, words, gpu.cpus.iter()) })
}

/// # Safety
/// The pointer is to so many words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryAffinity(
    device: nvml::nvmlDevice_t,
    words: c_uint,
    to: *mut c_ulong,
    _scope: nvml::nvmlAffinityScope_t,
) -> nvml::nvmlReturn_t {
    // SAFETY: as the caller promises.
    of_gpu("nvmlDeviceGetMemoryAffinity", device, |_, gpu| unsafe { bits(to, words, gpu.nodes.iter()) })
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTopologyCommonAncestor(
    device: nvml::nvmlDevice_t,
    other: nvml::nvmlDevice_t,
    to: *mut nvml::nvmlGpuTopologyLevel_t,
) -> nvml::nvmlReturn_t {
    let call = "nvmlDeviceGetTopologyCommonAncestor";
    of_gpu(call, device, |_, gpu| {
        of_gpu(call, other, |_, other| match gpu.levels.get(other.index as usize) {
            // SAFETY: as the caller promises.
            Some(level) => unsafe { put(to, *level) },
            None => INVALID,
        })
    })
}

/// Writes the status as on boards for servers: access over PCIe too, but no atomic operations.
///
/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetP2PStatus(
    device: nvml::nvmlDevice_t,
    other: nvml::nvmlDevice_t,
    way: nvml::nvmlGpuP2PCapsIndex_t,
    to: *mut nvml::nvmlGpuP2PStatus_t,
) -> nvml::nvmlReturn_t {
    let call = "nvmlDeviceGetP2PStatus";
    of_gpu(call, device, |machine, gpu| {
        of_gpu(call, other, |_, other| {
            if gpu.index == other.index || way > nvml::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_PCI {
                return INVALID;
            }
            let over_nvlink = matches!(
                way,
                nvml::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK
                    | nvml::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_ATOMICS
            );
            let status = machine.faults.p2p().unwrap_or(match () {
                () if gpu.instances.is_some() || other.instances.is_some() => {
                    nvml::nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_NOT_SUPPORTED
                }
                () if gpu.serial.is_none() || other.serial.is_none() => {
                    nvml::nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_GPU_NOT_SUPPORTED
                }
                () if over_nvlink && !gpu.is_linked(other) => {
                    nvml::nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_NOT_SUPPORTED
                }
                () => nvml::nvmlGpuP2PStatus_enum_NVML_P2P_STATUS_OK,
            });
            // SAFETY: as the caller promises.
            unsafe { put(to, status) }
        })
    })
}
