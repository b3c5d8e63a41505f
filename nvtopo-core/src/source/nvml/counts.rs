//! What the NVLinks of all GPUs count. A GPU or link that does not answer is left out: discovery tells why. The GPUs are
//! asked in turn; those after one that hangs are asked by another thread, as in discovery.

use super::calls::{Caller, words};
use super::enabled::open;
use super::mailbox::{Listener, Patience, Teller, Turn};
use super::seen::MAX_GPUS;
use super::troubles::Troubles;
use super::{NvLinkCounters, Refusal, nvlinks};
use crate::ids::GpuUuid;
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::sys_exports::field_id as id;
use nvml_wrapper::{Device, Nvml};
use std::path::Path;
use std::time::Duration;

/// What a thread tells while it asks.
enum News {
    /// The GPU that it asks next, and how many there are.
    At(u32, u32),
    /// That GPU is open.
    Opened,
    /// What the NVLinks of that GPU count.
    Told(Vec<NvLinkCounters>),
    /// Nothing is left to be asked. The library is closed after that, which may hang as well.
    End(Result<(), Refusal>),
}

/// Asks the driver for what its NVLinks count.
pub(in crate::source) fn count(
    library: Option<&Path>,
    patience: Duration,
) -> Result<Vec<NvLinkCounters>, Refusal> {
    let library = library.map(Path::to_owned);
    ask(patience, move |first, teller| {
        let (_open, told) = match open(library.as_deref()) {
            Ok(nvml) => {
                let told = read(&nvml, first, teller);
                (Some(nvml), told)
            }
            Err(refusal) => (None, Err(refusal)),
        };
        teller.tell(News::End(told));
    })
}

/// Asks, by threads that begin at a GPU by its number, until all GPUs have told or time is out.
fn ask(
    patience: Duration,
    question: impl Fn(u32, &Teller<News>) + Clone + Send + 'static,
) -> Result<Vec<NvLinkCounters>, Refusal> {
    let mut talk = Talk::default();
    let time = Patience::of(patience);
    let mut first = 0;
    loop {
        let question = question.clone();
        match (talk.turn(time, move |teller| question(first, teller)), talk.at.take()) {
            (Turn::Over(answer), _) if first == 0 => return answer.map(|()| talk.counters),
            (Turn::Silent, Some((gpu, count))) if gpu + 1 < count && !time.left(count).is_zero() => {
                first = gpu + 1;
            }
            // All are asked; or the library hangs as a whole, or does not open again after a GPU hung.
            _ => break,
        }
    }
    if talk.any { Ok(talk.counters) } else { Err(Refusal::silent(patience)) }
}

/// What was told.
#[derive(Default)]
struct Talk {
    counters: Vec<NvLinkCounters>,
    /// Whether any GPU told, be it that it has no NVLinks.
    any: bool,
    /// The GPU that is asked, and how many there are.
    at: Option<(u32, u32)>,
    opened: bool,
    count: u32,
}

impl Listener for Talk {
    type News = News;
    type Answer = ();

    fn gpus(&self) -> u32 {
        self.count
    }

    fn is_opening(&self) -> bool {
        !self.opened
    }

    fn hear(&mut self, news: News) -> Option<Result<(), Refusal>> {
        self.opened = matches!(news, News::Opened);
        match news {
            News::At(gpu, count) => (self.at, self.count) = (Some((gpu, count)), count),
            News::Opened => {}
            News::Told(counters) => {
                self.counters.extend(counters);
                self.any = true;
            }
            News::End(told) => return Some(told),
        }
        None
    }
}

/// Asks the GPUs from one on.
fn read(nvml: &Nvml, first: u32, teller: &Teller<News>) -> Result<(), Refusal> {
    let count = nvml.device_count().map_err(|error| Refusal::Failed(words(&error)))?;
    let count = count.min(MAX_GPUS as u32);
    for index in first..count {
        if !teller.tell(News::At(index, count)) {
            break;
        }
        teller.tell(News::Told(of_gpu(nvml, index, teller)));
    }
    Ok(())
}

fn of_gpu(nvml: &Nvml, index: u32, teller: &Teller<News>) -> Vec<NvLinkCounters> {
    let Ok(device) = nvml.device_by_index(index) else { return Vec::new() };
    teller.tell(News::Opened);
    let mut caller = Caller { device: &device, index, troubles: &mut Troubles::default() };
    let uuid = caller.fact("nvmlDeviceGetUUID", Device::uuid).and_then(|uuid| uuid.parse().ok());
    let links = nvlinks::states(&mut caller).links;
    links.into_iter().map(|(link, _)| one(&mut caller, uuid, link)).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks four GPUs with one link each, of which some hang.
    fn four(patience: Duration, hanging: &'static [u32]) -> Result<Vec<u32>, String> {
        let question = move |first: u32, teller: &Teller<News>| {
            for gpu in first..4 {
                teller.tell(News::At(gpu, 4));
                if hanging.contains(&gpu) {
                    std::thread::sleep(600 * SECOND);
                }
                teller.tell(News::Told(vec![NvLinkCounters { gpu, ..NvLinkCounters::default() }]));
            }
            teller.tell(News::End(Ok(())));
        };
        numbers(ask(patience, question))
    }

    fn numbers(told: Result<Vec<NvLinkCounters>, Refusal>) -> Result<Vec<u32>, String> {
        match told {
            Ok(counters) => Ok(counters.iter().map(|own| own.gpu).collect()),
            Err(Refusal::Failed(why)) => Err(why),
            Err(Refusal::Absent(_) | Refusal::NotAsked) => panic!("it is asked"),
        }
    }

    #[test]
    fn gpus_that_hang_lose_no_other() {
        for (hanging, told) in
            [(&[][..], &[0, 1, 2, 3][..]), (&[0], &[1, 2, 3]), (&[1, 2], &[0, 3]), (&[3], &[0, 1, 2])]
        {
            assert_eq!(four(SECOND, hanging).as_deref(), Ok(told), "{hanging:?}");
        }
    }

    #[test]
    fn patience_ends_where_all_hang() {
        let start = std::time::Instant::now();
        assert!(four(SECOND / 2, &[0, 1, 2, 3]).is_err_and(|why| why.contains("within 0.5 seconds")));
        assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
    }

    #[test]
    fn work_that_breaks_off_is_told_and_loses_nothing_after_a_gpu_that_hung() {
        assert_eq!(numbers(ask(SECOND, |_, _| {})), Err("asking it broke off".to_owned()));
        let question = |first: u32, teller: &Teller<News>| match first {
            0 => {
                teller.tell(News::At(0, 9));
                teller.tell(News::Told(vec![NvLinkCounters::default()]));
                teller.tell(News::At(1, 9));
                std::thread::sleep(600 * SECOND);
            }
            _ => _ = teller.tell(News::End(Err(Refusal::Failed("it does not open again".to_owned())))),
        };
        assert_eq!(numbers(ask(SECOND / 5, question)), Ok(vec![0]));
        // The library may hang when it is closed.
        let question = |_: u32, teller: &Teller<News>| {
            teller.tell(News::At(0, 1));
            teller.tell(News::Told(Vec::new()));
            teller.tell(News::End(Ok(())));
            std::thread::sleep(600 * SECOND);
        };
        assert_eq!(numbers(ask(SECOND / 5, question)), Ok(Vec::new()));
    }
}
