//! The build that asks the driver: one pass over its GPUs and their pairs, under a [`watchdog`].

mod calls;
mod counters;
mod gpu;
mod library;
mod mailbox;
mod nvlinks;
mod watchdog;

use super::failures::CallFailures;
use super::report::{DriverReport, MAX_GPUS, ReportedGpu, ReportedNvlinks, ReportedP2p};
use super::{DriverAnswer, DriverError};
use crate::model::PathType;
use crate::source::json::Text;
use crate::sys::nvml as sys;
use calls::{Missing, describe};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings as raw;
use std::path::Path;
use std::time::Duration;
use watchdog::{Answer, Message, Progress, Skip, Step};

pub(in crate::source) use counters::{count, processes};

/// Asks the driver, through its library at a path or wherever the system finds it.
pub(in crate::source) fn ask(library: Option<&Path>, timeout: Duration) -> DriverAnswer {
    let library = library.map(Path::to_owned);
    let work = move |known: Discovery, progress: &Progress, sender: &Sender| {
        library::with(library.as_deref(), sender, |nvml| {
            let report = known.report.map(|report| *report).unwrap_or_default();
            read(nvml, report, progress, sender).map_err(|error| DriverError::Failed(describe(&error)))
        });
    };
    match discover(timeout, work) {
        Ok(report) => DriverAnswer::Reported(report),
        Err(DriverError::Absent(why)) => DriverAnswer::Absent(why),
        Err(DriverError::Failed(why)) => DriverAnswer::Failed(why),
        Err(DriverError::NotAsked) => DriverAnswer::NotAsked,
    }
}

fn discover(
    timeout: Duration,
    work: impl Fn(Discovery, &Progress, &Sender) + Clone + Send + 'static,
) -> Result<Box<DriverReport>, DriverError> {
    let (answer, progress) = watchdog::ask(timeout, Discovery::default(), work)?;
    let mut report = answer.report.unwrap_or_default();
    count_unasked_pairs(&mut report, &progress);
    Ok(report)
}

type Sender = watchdog::Sender<Part>;

/// The report so far.
#[derive(Clone, Default)]
struct Discovery {
    /// `None` until the library is open.
    report: Option<Box<DriverReport>>,
    /// The GPU that is being asked, as far as it is identified.
    identity: Option<Box<ReportedGpu>>,
}

/// A part of the report.
enum Part {
    /// The report with everything known so far.
    Report(Box<DriverReport>),
    /// The identity of the GPU that is being asked, in case that it hangs later.
    Identity(Box<ReportedGpu>),
    /// The path between two GPUs, their peer-to-peer access, and all failures so far.
    Pair(Option<(usize, usize, Text<PathType>)>, Option<ReportedP2p>, Box<CallFailures>),
}

impl Answer for Discovery {
    type Part = Part;

    fn add(&mut self, part: Part) {
        match (part, &mut self.report) {
            (Part::Report(report), _) => (self.report, self.identity) = (Some(report), None),
            (Part::Identity(gpu), _) => self.identity = Some(gpu),
            (Part::Pair(path, p2p, failures), Some(report)) => {
                report.paths.extend(path);
                report.p2p.extend(p2p);
                report.failures = *failures;
            }
            (Part::Pair(..), None) => {}
        }
    }

    /// Keeps a GPU in the report with its identity.
    fn skip(&mut self, step: Step, why: Skip) {
        let identity = self.identity.take();
        let Some(report) = &mut self.report else { return };
        match step {
            Step::Library => {}
            Step::Gpu(index) => {
                match why {
                    Skip::Hung => report.failures.mark_hung(index),
                    Skip::OutOfTime => report.failures.mark_not_asked(index),
                }
                match identity {
                    Some(gpu) => report.gpus.push(*gpu),
                    None => report.lost.push(index),
                }
            }
            Step::Pair(pair, call) => {
                let why = match why {
                    Skip::Hung => "it did not answer in time; one of these GPUs may hang",
                    Skip::OutOfTime => "the time for all calls ran out",
                };
                for gpu in pair {
                    report.failures.record(gpu, call, why);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.report.is_none()
    }

    fn needs_pairs(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.gpus.len() > 1)
    }
}

/// Counts the pairs of GPUs that answer about which no call was made.
fn count_unasked_pairs(report: &mut DriverReport, progress: &Progress) {
    let failures = &report.failures;
    let answers =
        |gpu: &u32| !(failures.is_lost(*gpu) || failures.needs_reset(*gpu) || failures.is_silent(*gpu));
    let gpus: Vec<u32> = report.gpus.iter().map(|gpu| gpu.index).filter(answers).collect();
    let pairs = gpus.iter().enumerate().flat_map(|(place, a)| gpus[..place].iter().map(|b| [*b, *a]));
    report.failures.unasked_pairs = pairs.filter(|pair| !progress.has_asked(*pair)).count();
}

/// Asks everything that is not known yet.
fn read(
    nvml: &Nvml,
    mut report: DriverReport,
    progress: &Progress,
    sender: &Sender,
) -> Result<(), NvmlError> {
    report.driver = nvml.sys_driver_version().ok();
    report.cuda = nvml.sys_cuda_driver_version().ok().map(cuda_version);
    let count = nvml.device_count()?.min(MAX_GPUS as u32);
    let done = |report: &DriverReport| sender.send(Message::Done(Part::Report(Box::new(report.clone()))));
    sender.send(Message::Count(count));
    done(&report);
    for index in progress.gpus_of(count) {
        if !sender.send(Message::Begin(Step::Gpu(index))) {
            return Ok(());
        }
        let device = nvml.device_by_index(index);
        match report.failures.check(index, "nvmlDeviceGetHandleByIndex", device) {
            Ok(device) => {
                sender.send(Message::Opened);
                let mut gpu = gpu::read(&device, index, &mut report.failures, |gpu| identify(sender, gpu));
                identify(sender, &gpu);
                gpu.nvlinks = nvlinks::read(&device, index, &mut report.failures);
                report.gpus.push(gpu);
            }
            Err(_) => report.lost.push(index),
        }
        done(&report);
    }
    pairs(nvml, &mut report, progress, sender);
    done(&report);
    Ok(())
}

/// Sends the identity of a GPU, in case that it hangs later.
fn identify(sender: &Sender, gpu: &ReportedGpu) {
    let nvlinks = ReportedNvlinks { unknown: true, ..ReportedNvlinks::default() };
    sender.send(Message::Part(Part::Identity(Box::new(ReportedGpu { nvlinks, ..gpu.clone() }))));
}

/// Returns the version of CUDA that a number means: `12080` is 12.8.
fn cuda_version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// Asks about the path and the peer-to-peer access of each pair of GPUs, by their positions.
fn pairs(nvml: &Nvml, report: &mut DriverReport, progress: &Progress, sender: &Sender) {
    const ANCESTOR: &str = "nvmlDeviceGetTopologyCommonAncestor";
    const P2P: &str = "nvmlDeviceGetP2PStatus";
    let gpus: Vec<u32> = report.gpus.iter().map(|gpu| gpu.index).collect();
    let devices: Vec<Option<Device<'_>>> = gpus
        .iter()
        .map(|index| if report.failures.is_silent(*index) { None } else { nvml.device_by_index(*index).ok() })
        .collect();
    for (a, device) in devices.iter().enumerate() {
        for (b, other) in devices.iter().enumerate().skip(a + 1) {
            let (Some(device), Some(other)) = (device, other) else { continue };
            let pair = [gpus[a], gpus[b]];
            let dead = |gpu: &u32| report.failures.is_lost(*gpu) || report.failures.needs_reset(*gpu);
            if pair.iter().any(dead) || !progress.is_open(pair) {
                continue;
            }
            let check = |failures: &mut CallFailures, call, answer| match answer {
                // The driver does not say which of the two.
                Err(NvmlError::GpuLost | NvmlError::ResetRequired) => {
                    for gpu in pair {
                        failures.record(gpu, call, "one of these GPUs is gone, or needs a reset");
                    }
                    Err(Missing::Failed)
                }
                answer => failures.check(pair[0], call, answer),
            };
            if !sender.send(Message::Begin(Step::Pair(pair, ANCESTOR))) {
                return;
            }
            let level = sys::common_ancestor(device, other);
            let level = level.and_then(|level| match path(level) {
                Some(_) => Ok(level),
                None => Err(NvmlError::UnexpectedVariant(level)),
            });
            let level = check(&mut report.failures, ANCESTOR, level);
            let path = level.ok().and_then(path).map(|path| (a, b, Text(path)));
            report.paths.extend(path);
            sender.send(Message::Part(Part::Pair(path, None, Box::new(report.failures.clone()))));
            sender.send(Message::Begin(Step::Pair(pair, P2P)));
            let failures = &mut report.failures;
            let mut may = |way| check(failures, P2P, sys::p2p_status(device, other, way));
            let read = may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_READ);
            let p2p = (read != Err(Missing::NoSuchCall)).then(|| ReportedP2p {
                a,
                b,
                read: read.ok(),
                write: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_WRITE).ok(),
                nvlink: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK).ok(),
                atomics: may(raw::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_ATOMICS).ok(),
            });
            report.p2p.extend(p2p);
            sender.send(Message::Part(Part::Pair(None, p2p, Box::new(report.failures.clone()))));
        }
    }
}

/// Returns the path class of a level of NVML.
fn path(level: u32) -> Option<PathType> {
    Some(match level {
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL | raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_SINGLE => {
            PathType::Pix
        }
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_MULTIPLE => PathType::Pxb,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_HOSTBRIDGE => PathType::Phb,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_NODE => PathType::Node,
        raw::nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM => PathType::Sys,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn gpu(index: u32) -> ReportedGpu {
        ReportedGpu { index, ..ReportedGpu::default() }
    }

    fn report_of(known: Discovery) -> DriverReport {
        known.report.map(|report| *report).unwrap_or_default()
    }

    fn done(sender: &Sender, report: &DriverReport) {
        sender.send(Message::Done(Part::Report(Box::new(report.clone()))));
    }

    fn end(sender: &Sender) {
        sender.send(Message::End(Ok(())));
    }

    /// Asks four GPUs in turn, of which some hang, identified or not at all.
    fn four(timeout: Duration, hanging: &'static [u32], identified: bool) -> Box<DriverReport> {
        let work = move |known: Discovery, progress: &Progress, sender: &Sender| {
            let mut report = report_of(known);
            sender.send(Message::Count(4));
            done(sender, &report);
            for index in progress.gpus_of(4) {
                sender.send(Message::Begin(Step::Gpu(index)));
                if identified {
                    sender.send(Message::Part(Part::Identity(Box::new(gpu(index)))));
                }
                if hanging.contains(&index) {
                    std::thread::sleep(600 * SECOND);
                }
                report.gpus.push(gpu(index));
                done(sender, &report);
            }
            end(sender);
        };
        discover(timeout, work).unwrap_or_else(|_| panic!("it answers"))
    }

    fn numbers(report: &DriverReport) -> Vec<u32> {
        report.gpus.iter().map(|gpu| gpu.index).collect()
    }

    #[test]
    fn gpus_that_hang_lose_no_other() {
        let report = four(SECOND, &[], false);
        assert_eq!((numbers(&report), report.lost.len()), (vec![0, 1, 2, 3], 0));
        let report = four(SECOND, &[0, 2], false);
        assert_eq!((numbers(&report), &*report.lost), (vec![1, 3], &[0, 2][..]));
        let failures = &report.failures;
        assert!(failures.is_hung(0) && failures.is_hung(2) && !failures.is_hung(1));
        let report = four(SECOND, &[1], true);
        assert_eq!((numbers(&report), report.lost.len()), (vec![0, 1, 2, 3], 0));
        assert!(report.failures.is_hung(1));
    }

    #[test]
    fn time_ends_where_all_hang() {
        let start = Instant::now();
        let report = four(SECOND / 2, &[0, 1, 2, 3], false);
        assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
        assert_eq!((report.gpus.len(), report.lost.len()), (0, 4));
        let failures = &report.failures;
        assert!(failures.is_hung(0) && !failures.is_hung(3) && failures.is_not_asked(3));
    }

    #[test]
    fn slow_gpus_have_their_own_time() {
        let work = |known: Discovery, progress: &Progress, sender: &Sender| {
            let mut report = report_of(known);
            sender.send(Message::Count(8));
            done(sender, &report);
            for index in progress.gpus_of(8) {
                sender.send(Message::Begin(Step::Gpu(index)));
                std::thread::sleep(SECOND / 5);
                report.gpus.push(gpu(index));
                done(sender, &report);
            }
            end(sender);
        };
        let start = Instant::now();
        let Ok(report) = discover(SECOND, work) else { panic!("it answers") };
        assert!(start.elapsed() > SECOND, "{:?}", start.elapsed());
        assert_eq!((numbers(&report).len(), report.lost.len()), (8, 0));
    }

    #[test]
    fn work_that_breaks_off_or_never_begins_is_an_error() {
        let why = |work: fn(Discovery, &Progress, &Sender)| match discover(SECOND / 10, work) {
            Err(DriverError::Failed(why)) => why,
            _ => panic!("it fails"),
        };
        assert_eq!(why(|_, _, _| {}), "asking it broke off");
        assert!(
            why(|_, _, _| std::thread::sleep(600 * SECOND)).contains("did not answer within 0.1 seconds")
        );
        // The report counts that was complete before the library hung while it was closed.
        let complete = |_: Discovery, _: &Progress, sender: &Sender| {
            done(sender, &DriverReport { lost: vec![7], ..DriverReport::default() });
            end(sender);
            std::thread::sleep(600 * SECOND);
        };
        assert!(discover(SECOND / 5, complete).is_ok_and(|report| report.lost == [7]));
    }

    #[test]
    fn a_gpu_whose_worker_breaks_off_stays_in_the_report() {
        let work = |known: Discovery, _: &Progress, sender: &Sender| {
            sender.send(Message::Count(3));
            done(sender, &DriverReport { gpus: vec![gpu(0)], ..report_of(known) });
            sender.send(Message::Begin(Step::Gpu(0)));
            sender.send(Message::Begin(Step::Gpu(1)));
            sender.send(Message::Part(Part::Identity(Box::new(gpu(1)))));
        };
        let Ok(report) = discover(SECOND, work) else { panic!("it answers") };
        assert_eq!((numbers(&report), &*report.lost), (vec![0, 1], &[2][..]));
        assert!(report.failures.is_not_asked(1) && report.failures.is_not_asked(2));
    }

    #[test]
    fn pairs_that_hang_lose_no_gpu_no_other_pair_and_no_failure_before() {
        // GPU1 hangs in all calls with others, and opening takes longer than a call may.
        let work = |known: Discovery, progress: &Progress, sender: &Sender| {
            let mut report = report_of(known);
            std::thread::sleep(7 * SECOND / 10);
            sender.send(Message::Count(5));
            for index in progress.gpus_of(5) {
                sender.send(Message::Begin(Step::Gpu(index)));
                report.gpus.push(gpu(index));
            }
            done(sender, &report);
            let all = (0..5).flat_map(|a| (a + 1..5).map(move |b| [a, b]));
            for pair in all.filter(|pair| progress.is_open(*pair)) {
                sender.send(Message::Begin(Step::Pair(pair, "call")));
                if pair.contains(&1) {
                    std::thread::sleep(600 * SECOND);
                }
                if pair == [0, 2] {
                    report.failures.record(2, "another call", "it failed");
                }
                let [a, b] = pair.map(|gpu| gpu as usize);
                let path = Some((a, b, Text(PathType::Sys)));
                sender.send(Message::Part(Part::Pair(path, None, Box::new(report.failures.clone()))));
            }
            sender.send(Message::End(Err(DriverError::broken_off())));
        };
        let Ok(report) = discover(SECOND, work) else { panic!("it answers") };
        assert_eq!((report.gpus.len(), report.lost.len()), (5, 0));
        assert_eq!(report.paths.len(), 6);
        assert_eq!(report.failures.unasked_pairs, 2);
        let notes = report.failures.notes();
        assert!(
            notes[0].text.contains("GPU0, GPU1, GPU2: the driver did not answer call"),
            "{}",
            notes[0].text
        );
        assert!(notes.iter().any(|note| note.text.contains("another call")), "{notes:?}");
    }
}
