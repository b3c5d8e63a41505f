//! The NVLinks of one GPU: their numbers, states, bandwidths and other ends.

use super::super::failures::CallFailures;
use super::super::report::{End, ReportedNvlink, ReportedNvlinks};
use super::calls::{Caller, Missing};
use super::gpu::address;
use crate::source::json::Text;
use crate::sys::nvml::{RemoteType, link_state, remote_type};
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_NVLINK_GET_SPEED, NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, NVML_FI_DEV_NVLINK_SPEED_MBPS_L0,
    NVML_FI_DEV_NVLINK_SPEED_MBPS_L6,
};

/// The most links that libraries count: 18, and 36 in those for GPUs after Blackwell (`NVML_NVLINK_MAX_LINKS`).
const MOST: u32 = 36;

/// The states of the links that a GPU has.
pub(super) struct States {
    /// The links by increasing number, each with true if it is up.
    pub(super) links: Vec<(u32, bool)>,
    /// True if the driver gave no answer about some of them.
    unknown: bool,
}

/// Reads the states of the links that a GPU has.
pub(super) fn states(caller: &mut Caller<'_, '_>) -> States {
    let mut states = States { links: Vec::new(), unknown: false };
    for link in 0..MOST {
        let state = caller.ask("nvmlDeviceGetNvLinkState", |device| {
            match link_state(device, link) {
                // The GPU has no link of this number.
                Err(NvmlError::InvalidArg) => Err(NvmlError::NotSupported),
                // A link that sleeps is up: it wakes when it is used.
                answer => answer.map(|state| state != 0),
            }
        });
        match state {
            Ok(up) => states.links.push((link, up)),
            // No GPU has links beyond a gap, and most have none.
            Err(Missing::NotSupported) => break,
            Err(Missing::NoSuchCall | Missing::Failed) => states.unknown = true,
        }
        if caller.failures.is_lost(caller.index) {
            states.unknown = true;
            break;
        }
    }
    states
}

/// Reads the NVLinks of a GPU.
pub(super) fn read(device: &Device<'_>, index: u32, failures: &mut CallFailures) -> ReportedNvlinks {
    let mut caller = Caller { device, index, failures };
    let States { links, mut unknown } = states(&mut caller);
    let one = |(number, up)| ReportedNvlink { number, up, ..one(&mut caller, number, up) };
    let mut links: Vec<ReportedNvlink> = links.into_iter().map(one).collect();
    unknown |= caller.failures.is_lost(index);
    speeds(&mut caller, &mut links);
    ReportedNvlinks { unknown, links }
}

fn one(caller: &mut Caller<'_, '_>, link: u32, up: bool) -> ReportedNvlink {
    let version = caller.fact("nvmlDeviceGetNvLinkVersion", |device| device.link_wrapper_for(link).version());
    let version = version.filter(|version| *version > 0);
    if !up {
        return ReportedNvlink { version, ..ReportedNvlink::default() };
    }
    let kind = caller.fact("nvmlDeviceGetNvLinkRemoteDeviceType", |device| remote_type(device, link));
    let kind = kind.unwrap_or(RemoteType::Unknown);
    // Drivers that hide the other end may refuse the call as well.
    let far = caller.fact("nvmlDeviceGetNvLinkRemotePciInfo", |device| {
        match device.link_wrapper_for(link).remote_pci_info() {
            Err(NvmlError::InvalidArg | NvmlError::NotFound | NvmlError::NoPermission) => Ok(None),
            answer => answer.map(Some),
        }
    });
    let far = far.flatten();
    let end = match (kind, far.as_ref().and_then(address).map(Text)) {
        (RemoteType::Switch, address) => End::Switch(address),
        (RemoteType::Cpu, _) => End::Cpu,
        (RemoteType::Gpu, Some(address)) => End::Gpu(address),
        (RemoteType::Unknown, Some(address)) => End::Untyped(address),
        // The rule of NCCL: only switches are hidden.
        (RemoteType::Unknown, None) if far.is_some() => End::Switch(None),
        (RemoteType::Gpu | RemoteType::Unknown, None) => End::Unknown,
    };
    ReportedNvlink { version, end, ..ReportedNvlink::default() }
}

/// Reads the bandwidths of links that are up: by the field for any link, else by that of the link alone (the first 12
/// have one), else by the one for all links of the GPU.
fn speeds(caller: &mut Caller<'_, '_>, links: &mut [ReportedNvlink]) {
    let of_link = |link: u32| {
        let own = match link {
            0..6 => NVML_FI_DEV_NVLINK_SPEED_MBPS_L0 + link,
            6..12 => NVML_FI_DEV_NVLINK_SPEED_MBPS_L6 + link - 6,
            _ => NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON,
        };
        [NVML_FI_DEV_NVLINK_GET_SPEED, own, NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON].map(|field| (field, link))
    };
    let mut up: Vec<&mut ReportedNvlink> = links.iter_mut().filter(|link| link.up).collect();
    let fields: Vec<[(u32, u32); 3]> = up.iter().map(|link| of_link(link.number)).collect();
    if fields.is_empty() {
        return;
    }
    let speeds = caller.fields(fields.as_flattened());
    for (link, speeds) in up.iter_mut().zip(speeds.chunks(3)) {
        link.speed = speeds.iter().flatten().copied().find(|speed| *speed > 0);
    }
}
