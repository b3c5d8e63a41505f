//! Calls about the NVLinks of one GPU.

use crate::device::pci_info;
use crate::fields::counted;
use crate::machine::{End, Gpu, NvLink};
use crate::state::{INVALID, NOT_SUPPORTED, of_gpu, put};
use nvml_wrapper_sys::bindings as nvml;
use std::ffi::{c_uint, c_ulonglong};

/// Calls that write one value about a link.
macro_rules! link {
    ($($name:ident: $type:ty = $value:expr;)*) => {$(
        /// # Safety
        /// The pointer is to such a value.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            device: nvml::nvmlDevice_t,
            link: c_uint,
            to: *mut $type,
        ) -> nvml::nvmlReturn_t {
            let value: fn(&Gpu, &NvLink) -> $type = $value;
            of_gpu(stringify!($name), device, |_, gpu| match gpu.links.get(link as usize) {
                // SAFETY: as the caller promises.
                Some(link) => unsafe { put(to, value(gpu, link)) },
                None if gpu.links.is_empty() => NOT_SUPPORTED,
                None => INVALID,
            })
        }
    )*};
}

link! {
    nvmlDeviceGetNvLinkState: nvml::nvmlEnableState_t = |_, link| match () {
        () if !link.up => nvml::NVML_NVLINK_STATE_INACTIVE,
        () if link.asleep => nvml::NVML_NVLINK_STATE_SLEEP,
        () => nvml::NVML_NVLINK_STATE_ACTIVE,
    };
    nvmlDeviceGetNvLinkVersion: c_uint = |gpu, _| version(gpu);
    nvmlDeviceGetNvLinkRemotePciInfo_v2: nvml::nvmlPciInfo_t = |_, link| pci_info(match link.end {
        End::Gpu(address) => Some(address),
        End::Switch(address) => address,
    });
    nvmlDeviceGetNvLinkRemoteDeviceType: nvml::nvmlIntNvLinkDeviceType_t = |_, link| match link.end {
        End::Gpu(_) => nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU,
        End::Switch(_) => nvml::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH,
    };
}

/// Returns the version of NVLink. H100 has that of 5.0, as in its drivers; see `rates::nvlink_of`.
fn version(gpu: &Gpu) -> c_uint {
    match gpu.capability {
        (6, _) => nvml::nvmlNvlinkVersion_enum_NVML_NVLINK_VERSION_1_0,
        (7, _) => nvml::nvmlNvlinkVersion_enum_NVML_NVLINK_VERSION_2_2,
        (8, 0) => nvml::nvmlNvlinkVersion_enum_NVML_NVLINK_VERSION_3_0,
        (8, _) => nvml::nvmlNvlinkVersion_enum_NVML_NVLINK_VERSION_3_1,
        _ => nvml::nvmlNvlinkVersion_enum_NVML_NVLINK_VERSION_5_0,
    }
}

/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkCapability(
    device: nvml::nvmlDevice_t,
    link: c_uint,
    capability: nvml::nvmlNvLinkCapability_t,
    to: *mut c_uint,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetNvLinkCapability", device, |_, gpu| match gpu.links.get(link as usize) {
        Some(link) => {
            let able = match capability {
                nvml::nvmlNvLinkCapability_enum_NVML_NVLINK_CAP_SLI_BRIDGE => false,
                nvml::nvmlNvLinkCapability_enum_NVML_NVLINK_CAP_VALID => link.up,
                _ => true,
            };
            // SAFETY: as the caller promises.
            unsafe { put(to, able.into()) }
        }
        None if gpu.links.is_empty() => NOT_SUPPORTED,
        None => INVALID,
    })
}

/// Writes an error counter, which GPUs up to Hopper have.
///
/// # Safety
/// The pointer is to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkErrorCounter(
    device: nvml::nvmlDevice_t,
    link: c_uint,
    counter: nvml::nvmlNvLinkErrorCounter_t,
    to: *mut c_ulonglong,
) -> nvml::nvmlReturn_t {
    of_gpu("nvmlDeviceGetNvLinkErrorCounter", device, |_, gpu| match gpu.links.get(link as usize) {
        _ if gpu.links.is_empty() || gpu.capability >= (10, 0) => NOT_SUPPORTED,
        Some(_) if counter <= nvml::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_DATA => {
            // SAFETY: as the caller promises.
            unsafe { put(to, counted(gpu, link, counter)) }
        }
        _ => INVALID,
    })
}
