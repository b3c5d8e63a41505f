//! Facts of GPUs that change all the time: the counters of NVLinks, and the processes. A GPU or link that does not answer is
//! left out: discovery notes why.

use super::super::failures::CallFailures;
use super::super::report::MAX_GPUS;
use super::super::{DriverError, GpuProcess, NvLinkCounters};
use super::calls::{Caller, describe};
use super::watchdog::{self, Answer, Message, Progress, Sender, Skip, Step};
use super::{library, nvlinks};
use crate::ids::GpuUuid;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::sys_exports::field_id as id;
use nvml_wrapper::{Device, Nvml};
use std::path::Path;
use std::time::Duration;

/// Reads the counters of all NVLinks.
pub(in crate::source) fn count(
    library: Option<&Path>,
    timeout: Duration,
) -> Result<Vec<NvLinkCounters>, DriverError> {
    of_gpus(library, timeout, counters_of)
}

/// Reads the processes that compute on the GPUs.
pub(in crate::source) fn processes(
    library: Option<&Path>,
    timeout: Duration,
) -> Result<Vec<GpuProcess>, DriverError> {
    of_gpus(library, timeout, processes_of)
}

/// Reads facts of a GPU, by a caller that may find it lost.
type Reader<T> = fn(&mut Caller<'_, '_>) -> Vec<T>;

fn of_gpus<T: Clone + Send + 'static>(
    library: Option<&Path>,
    timeout: Duration,
    of_gpu: Reader<T>,
) -> Result<Vec<T>, DriverError> {
    let library = library.map(Path::to_owned);
    ask(timeout, move |_, progress, sender| {
        library::with(library.as_deref(), sender, |nvml| read(nvml, progress, sender, of_gpu));
    })
}

fn ask<T: Clone + Send + 'static>(
    timeout: Duration,
    work: impl Fn(Facts<T>, &Progress, &Sender<Vec<T>>) + Clone + Send + 'static,
) -> Result<Vec<T>, DriverError> {
    watchdog::ask(timeout, Facts { all: Vec::new(), any_answered: false }, work).map(|(answer, _)| answer.all)
}

/// The facts so far.
#[derive(Clone)]
struct Facts<T> {
    all: Vec<T>,
    /// True if any GPU answered, be it that it has none of them.
    any_answered: bool,
}

impl<T: Clone + Send + 'static> Answer for Facts<T> {
    /// The facts of one GPU.
    type Part = Vec<T>;

    fn add(&mut self, part: Vec<T>) {
        self.all.extend(part);
        self.any_answered = true;
    }

    /// Does nothing: a GPU without an answer has no facts.
    fn skip(&mut self, _: Step, _: Skip) {}

    fn is_empty(&self) -> bool {
        !self.any_answered
    }

    fn needs_pairs(&self) -> bool {
        false
    }
}

/// Asks the GPUs that were not asked yet.
fn read<T>(
    nvml: &Nvml,
    progress: &Progress,
    sender: &Sender<Vec<T>>,
    of_gpu: Reader<T>,
) -> Result<(), DriverError> {
    let count = nvml.device_count().map_err(|error| DriverError::Failed(describe(&error)))?;
    let count = count.min(MAX_GPUS as u32);
    sender.send(Message::Count(count));
    for index in progress.gpus_of(count) {
        if !sender.send(Message::Begin(Step::Gpu(index))) {
            break;
        }
        let mut facts = Vec::new();
        if let Ok(device) = nvml.device_by_index(index) {
            sender.send(Message::Opened);
            facts = of_gpu(&mut Caller { device: &device, index, failures: &mut CallFailures::default() });
        }
        sender.send(Message::Done(facts));
    }
    Ok(())
}

/// Reads the processes of one GPU. Of a MIG-enabled GPU only administrators are told of those on its instances.
fn processes_of(caller: &mut Caller<'_, '_>) -> Vec<GpuProcess> {
    let call = "nvmlDeviceGetComputeRunningProcesses_v3";
    let own = caller.fact(call, Device::running_compute_processes).unwrap_or_default();
    own.into_iter().map(|process| GpuProcess { gpu: caller.index, pid: process.pid }).collect()
}

/// Reads the counters of one GPU.
fn counters_of(caller: &mut Caller<'_, '_>) -> Vec<NvLinkCounters> {
    let uuid = caller.fact("nvmlDeviceGetUUID", Device::uuid).and_then(|uuid| uuid.parse().ok());
    let links = nvlinks::states(caller).links;
    links.into_iter().map(|(link, _)| read_link(caller, uuid, link)).collect()
}

/// The counter that a value belongs to.
type Counter = fn(&mut NvLinkCounters) -> &mut Option<u64>;

/// The fields of a link, each with its counter and the unit. Of two for one counter, the first that has a value counts.
const FIELDS: [(u32, Counter, u64); 14] = [
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

/// Reads the counters of one NVLink.
fn read_link(caller: &mut Caller<'_, '_>, uuid: Option<GpuUuid>, link: u32) -> NvLinkCounters {
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
    let far = caller.fields(&[(id::NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID, link)]);
    own.far_link = far.first().copied().flatten().and_then(|number| u32::try_from(number).ok());
    let values = caller.fields(&FIELDS.map(|(field, ..)| (field, link)));
    for ((_, counter, unit), value) in FIELDS.iter().zip(values) {
        let counter = counter(&mut own);
        *counter = counter.or(value.map(|value| value.saturating_mul(*unit)));
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks four GPUs with one link each, of which some hang.
    fn four(timeout: Duration, hanging: &'static [u32]) -> Result<Vec<u32>, String> {
        let work = move |_, progress: &Progress, sender: &Sender<Vec<NvLinkCounters>>| {
            sender.send(Message::Count(4));
            for gpu in progress.gpus_of(4) {
                sender.send(Message::Begin(Step::Gpu(gpu)));
                if hanging.contains(&gpu) {
                    std::thread::sleep(600 * SECOND);
                }
                sender.send(Message::Done(vec![NvLinkCounters { gpu, ..NvLinkCounters::default() }]));
            }
            sender.send(Message::End(Ok(())));
        };
        numbers(ask(timeout, work))
    }

    fn numbers(answer: Result<Vec<NvLinkCounters>, DriverError>) -> Result<Vec<u32>, String> {
        match answer {
            Ok(counters) => Ok(counters.iter().map(|own| own.gpu).collect()),
            Err(DriverError::Failed(why)) => Err(why),
            Err(DriverError::Absent(_) | DriverError::NotAsked) => panic!("it is asked"),
        }
    }

    #[test]
    fn gpus_that_hang_lose_no_other() {
        for (hanging, answering) in
            [(&[][..], &[0, 1, 2, 3][..]), (&[0], &[1, 2, 3]), (&[1, 2], &[0, 3]), (&[3], &[0, 1, 2])]
        {
            assert_eq!(four(SECOND, hanging).as_deref(), Ok(answering), "{hanging:?}");
        }
    }

    #[test]
    fn time_ends_where_all_hang() {
        let start = std::time::Instant::now();
        assert!(four(SECOND / 2, &[0, 1, 2, 3]).is_err_and(|why| why.contains("within 0.5 seconds")));
        assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
    }

    #[test]
    fn work_that_breaks_off_is_an_error_and_loses_nothing_after_a_gpu_that_hung() {
        assert_eq!(numbers(ask(SECOND, |_, _, _| {})), Err("asking it broke off".to_owned()));
        let work = |_, progress: &Progress, sender: &Sender<Vec<NvLinkCounters>>| {
            if progress.gpus_of(1).is_empty() {
                let error = DriverError::Failed("it does not open again".to_owned());
                sender.send(Message::End(Err(error)));
                return;
            }
            sender.send(Message::Count(9));
            sender.send(Message::Begin(Step::Gpu(0)));
            sender.send(Message::Done(vec![NvLinkCounters::default()]));
            sender.send(Message::Begin(Step::Gpu(1)));
            std::thread::sleep(600 * SECOND);
        };
        assert_eq!(numbers(ask(SECOND / 5, work)), Ok(vec![0]));
        // The library may hang when it is closed.
        let work = |_, _: &Progress, sender: &Sender<Vec<NvLinkCounters>>| {
            sender.send(Message::Count(1));
            sender.send(Message::Begin(Step::Gpu(0)));
            sender.send(Message::Done(Vec::new()));
            sender.send(Message::End(Ok(())));
            std::thread::sleep(600 * SECOND);
        };
        assert_eq!(numbers(ask(SECOND / 5, work)), Ok(Vec::new()));
    }
}
