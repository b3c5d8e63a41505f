//! What the NVLinks of all GPUs count. A GPU or link that does not answer is left out: discovery tells why.

use super::calls::Caller;
use super::nvlinks;
use super::seen::MAX_GPUS;
use super::troubles::Troubles;
use crate::ids::GpuUuid;
use crate::source::nvml::NvLinkCounters;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::sys_exports::field_id as id;
use nvml_wrapper::{Device, Nvml};

/// Where a value goes.
type Place = fn(&mut NvLinkCounters) -> &mut Option<u64>;

/// The fields of a link, with where their values go and the unit. Of two for one place the first counts.
const FIELDS: [(u32, Place, u64); 14] = [
    (id::NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS, |own| &mut own.malformed_packets, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS, |own| &mut own.buffer_overruns, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS, |own| &mut own.receive_errors, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS, |own| &mut own.remote_errors, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS, |own| &mut own.header_errors, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS, |own| &mut own.integrity_errors, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS, |own| &mut own.send_discards, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS, |own| &mut own.recoveries_succeeded, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS, |own| &mut own.recoveries_failed, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS, |own| &mut own.recoveries_begun, 1),
    (id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, |own| &mut own.sent_bytes, 1024),
    (id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, |own| &mut own.received_bytes, 1024),
    (id::NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, |own| &mut own.sent_bytes, 1),
    (id::NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES, |own| &mut own.received_bytes, 1),
];

pub(super) fn read(nvml: &Nvml) -> Result<Vec<NvLinkCounters>, NvmlError> {
    let mut counters = Vec::new();
    for index in 0..nvml.device_count()?.min(MAX_GPUS as u32) {
        let Ok(device) = nvml.device_by_index(index) else { continue };
        let mut caller = Caller { device: &device, index, troubles: &mut Troubles::default() };
        let uuid = caller.fact("nvmlDeviceGetUUID", Device::uuid).and_then(|uuid| uuid.parse().ok());
        for (link, _) in nvlinks::states(&mut caller).links {
            counters.push(one(&mut caller, uuid, link));
        }
    }
    Ok(counters)
}

fn one(caller: &mut Caller<'_, '_>, uuid: Option<GpuUuid>, link: u32) -> NvLinkCounters {
    let gpu = caller.index;
    let mut counter = |counter| {
        caller.fact("nvmlDeviceGetNvLinkErrorCounter", |device| {
            device.link_wrapper_for(link).error_counter(counter)
        })
    };
    let mut own = NvLinkCounters {
        gpu,
        uuid,
        link,
        replays: counter(ErrorCounter::DlReplay),
        recoveries: counter(ErrorCounter::DlRecovery),
        crc_flit: counter(ErrorCounter::DlCrcFlit),
        crc_data: counter(ErrorCounter::DlCrcData),
        ..NvLinkCounters::default()
    };
    let values = caller.fields(&FIELDS.map(|(field, ..)| (field, link)));
    for ((_, place, unit), value) in FIELDS.iter().zip(values) {
        let place = place(&mut own);
        *place = place.or(value.map(|value| value.saturating_mul(*unit)));
    }
    own
}
