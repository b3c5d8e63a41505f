//! The NVLinks of one GPU: which are up, and where they lead.

use super::calls::Missing;
use super::gpu::address;
use super::seen::{End, SeenNvlink, SeenNvlinks};
use super::troubles::Troubles;
use crate::model::rates::MAX_NVLINKS;
use crate::source::json::Text;
use crate::sys::nvml::{RemoteType, remote_type};
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

/// Reads the NVLinks of a GPU.
pub(super) fn read(device: &Device<'_>, index: u32, troubles: &mut Troubles) -> SeenNvlinks {
    let mut seen = SeenNvlinks::default();
    for link in 0..u32::from(MAX_NVLINKS) {
        let state = match device.link_wrapper_for(link).is_active() {
            // A number beyond those that the GPU has.
            Err(NvmlError::InvalidArg) => Err(Missing::NotSupported),
            answer => troubles.check(index, "nvmlDeviceGetNvLinkState", answer),
        };
        match state {
            Ok(true) => {
                let up = one(device, index, link, troubles);
                seen.links.push(up);
            }
            Ok(false) => seen.links.push(SeenNvlink { number: link, ..SeenNvlink::default() }),
            Err(Missing::NotSupported) => {}
            Err(Missing::NoSuchCall | Missing::Failed) => seen.unknown = true,
        }
        if troubles.is_lost(index) {
            seen.unknown = true;
            break;
        }
    }
    seen
}

fn one(device: &Device<'_>, index: u32, link: u32, troubles: &mut Troubles) -> SeenNvlink {
    let wrapper = device.link_wrapper_for(link);
    let version = troubles.check(index, "nvmlDeviceGetNvLinkVersion", wrapper.version()).ok();
    let kind = troubles.check(index, "nvmlDeviceGetNvLinkRemoteDeviceType", remote_type(device, link));
    let kind = kind.unwrap_or(RemoteType::Unknown);
    // Drivers that hide the other end may refuse the question as well.
    let far = match wrapper.remote_pci_info() {
        Err(NvmlError::InvalidArg | NvmlError::NotFound | NvmlError::NoPermission) => None,
        answer => troubles.check(index, "nvmlDeviceGetNvLinkRemotePciInfo", answer).ok(),
    };
    let end = match (kind, far.as_ref().and_then(address).map(Text)) {
        (RemoteType::Switch, address) => End::Switch(address),
        (RemoteType::Cpu, _) => End::Cpu,
        (RemoteType::Gpu, Some(address)) => End::Gpu(address),
        (RemoteType::Unknown, Some(address)) => End::Something(address),
        // As NCCL takes it: only switches hide.
        (RemoteType::Unknown, None) if far.is_some() => End::Switch(None),
        (RemoteType::Gpu | RemoteType::Unknown, None) => End::Unknown,
    };
    SeenNvlink { number: link, up: true, version, end }
}
