//! [`DriverEvents`]: what the driver wrote to the kernel's log, counted, and resolved to GPUs, links and jobs.

use super::processes::{GpuWork, Job};
use super::{Family, Sample, counter, gauge};
use crate::evidence::Evidence;
use crate::reading::growth;
use crate::reading::kernel_log::{DriverEvent, DriverEventKind};
use crate::reading::nvlink_ends::{self, Ends};
use nvtopo::PciAddress;
use nvtopo::source::Contents;
use std::collections::{BTreeMap, VecDeque};

/// The most kinds of events that are counted. Machines that break have a few dozen.
const MOST_KINDS: usize = 4096;

/// The most jobs that are remembered with the event that struck them, and for how long, in seconds.
const MOST_JOBS: usize = 256;
const REMEMBERED: f64 = 3600.0;

/// The events of the driver so far: counted by device, number and link, with the GPU of each device as it was known last.
///
/// ```
/// use nvtopo_audit::metrics::DriverEvents;
///
/// let mut events = DriverEvents::default();
/// let new = events.add("[52.1] NVRM: Xid (PCI:0000:3b:00): 79, pid=17, name=python3, GPU has fallen off the bus.");
/// assert_eq!((new[0].code, new[0].pid), (79, Some(17)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct DriverEvents {
    counts: BTreeMap<Key, Count>,
    gpus: BTreeMap<PciAddress, u32>,
    ends: Ends,
    jobs: VecDeque<Struck>,
    pub(super) is_read: Option<bool>,
}

/// The facts by which events are counted together: kind, device, number, link.
type Key = (DriverEventKind, PciAddress, u32, Option<u32>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    number: u64,
    is_fatal: Option<bool>,
    /// In seconds since the start of the machine.
    last: Option<f64>,
}

/// A job that was on a GPU when an event struck it.
#[derive(Clone, Debug)]
struct Struck {
    /// In seconds since 1970.
    at: f64,
    gpu: u32,
    kind: DriverEventKind,
    code: u32,
    job: Job,
}

impl DriverEvents {
    /// Sets whether the log could be read.
    pub fn set_read(&mut self, is_read: bool) {
        self.is_read = Some(is_read);
    }

    /// Adds lines of the log, and returns the events in them.
    pub fn add(&mut self, text: &str) -> Vec<DriverEvent> {
        let new: Vec<DriverEvent> = text.lines().filter_map(DriverEvent::parse).collect();
        for event in &new {
            let key = (event.kind, event.device, event.code, event.link);
            if self.counts.len() >= MOST_KINDS && !self.counts.contains_key(&key) {
                continue;
            }
            let count = self.counts.entry(key).or_default();
            count.number += 1;
            count.is_fatal = event.is_fatal;
            count.last = event.at.or(count.last);
        }
        new
    }

    /// Learns the GPUs of a reading, and the links at the ports of NVSwitches. What was known stays known: a device that
    /// fails is not told any more.
    pub fn learn(&mut self, contents: &Contents) {
        let evidence = Evidence::plain(contents);
        let gpus = evidence.topology.gpus();
        self.gpus.extend(gpus.filter_map(|gpu| Some((gpu.address?, gpu.index))));
        self.ends.extend(nvlink_ends::ends(&evidence));
    }

    /// Counts the events in the saved texts of a reading, such as an output of `dmesg`. Several texts may hold the same
    /// events, so those of the text with most of them count.
    pub fn set_saved(&mut self, contents: &Contents) {
        self.counts.clear();
        self.is_read = None;
        for saved in &contents.texts {
            let mut own = Self::default();
            if own.add(&saved.text).is_empty() {
                continue;
            }
            self.is_read = Some(true);
            for (key, count) in own.counts {
                let known = self.counts.entry(key).or_default();
                if count.number > known.number {
                    *known = count;
                }
            }
        }
    }

    /// Returns the numbers of the GPU of an event, and of its `NVLink`. `None`: not known.
    pub fn resolve(&self, event: &DriverEvent) -> (Option<u32>, Option<u32>) {
        self.resolved(event.kind, event.device, event.link)
    }

    fn resolved(
        &self,
        kind: DriverEventKind,
        device: PciAddress,
        link: Option<u32>,
    ) -> (Option<u32>, Option<u32>) {
        match kind {
            DriverEventKind::Xid => (self.gpus.get(&device).copied(), link),
            DriverEventKind::Sxid => {
                let end = link.and_then(|port| self.ends.get(&(device, port)));
                (end.map(|own| own.0), end.map(|own| own.1))
            }
        }
    }

    /// Remembers for an hour which jobs an event struck: the one of the process that it names, else all on its GPU. Returns
    /// them. `now` is in seconds since 1970.
    pub fn strike(&mut self, event: &DriverEvent, work: &GpuWork, now: f64) -> Vec<Job> {
        let Some(gpu) = self.resolve(event).0 else { return Vec::new() };
        let named = event.pid.and_then(|pid| work.job_of(pid));
        let jobs: Vec<Job> = named.map_or_else(|| work.jobs_on(gpu), |job| vec![job]);
        self.jobs.retain(|own| now - own.at < REMEMBERED);
        for job in &jobs {
            let job = job.clone();
            self.jobs.push_back(Struck { at: now, gpu, kind: event.kind, code: event.code, job });
        }
        let surplus = self.jobs.len().saturating_sub(MOST_JOBS);
        self.jobs.drain(..surplus);
        jobs
    }
}

/// Returns the families of events.
pub(super) fn families(events: &DriverEvents, evidence: &Evidence<'_>) -> Vec<Family> {
    let boot = growth::boot_time(evidence);
    let mut counts: [Vec<Sample>; 2] = Default::default();
    let mut times: [Vec<Sample>; 2] = Default::default();
    for ((kind, device, code, link), count) in &events.counts {
        let (gpu, own_link) = events.resolved(*kind, *device, *link);
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let severity = count.is_fatal.map(|is_fatal| if is_fatal { "fatal" } else { "non_fatal" });
        let labels = match kind {
            DriverEventKind::Xid => vec![("device", Some(device.to_string()))],
            DriverEventKind::Sxid => vec![
                ("nvswitch", Some(device.to_string())),
                ("port", number(*link)),
                ("severity", severity.map(str::to_owned)),
            ],
        };
        let all = labels.into_iter().chain([
            (kind.word(), Some(code.to_string())),
            ("gpu", number(gpu)),
            ("link", number(own_link)),
        ]);
        let labels: Vec<(&'static str, String)> =
            all.filter_map(|(name, value)| Some((name, value?))).collect();
        let place = usize::from(*kind == DriverEventKind::Sxid);
        if let (Some(boot), Some(last)) = (boot, count.last) {
            times[place].push(Sample { labels: labels.clone(), value: boot as f64 + last });
        }
        counts[place].push(Sample { labels, value: count.number as f64 });
    }
    let [xids, sxids] = counts;
    let [of_gpus, of_switches] = times;
    let struck: BTreeMap<Vec<(&'static str, String)>, f64> = events
        .jobs
        .iter()
        .map(|own| {
            let labels = vec![
                ("gpu", own.gpu.to_string()),
                ("event", own.kind.word().to_owned()),
                ("code", own.code.to_string()),
                ("job_kind", own.job.kind().to_owned()),
                ("job_id", own.job.id().to_owned()),
            ];
            (labels, 1.0)
        })
        .collect();
    let struck = struck.into_iter().map(|(labels, value)| Sample { labels, value });
    vec![
        counter("nvtopo_xid_events", "Xid events of a GPU in the kernel's log", xids),
        counter("nvtopo_sxid_events", "SXid events of an NVSwitch in the kernel's log", sxids),
        gauge("nvtopo_xid_last_timestamp_seconds", "Unix time of the last such Xid event", of_gpus),
        gauge("nvtopo_sxid_last_timestamp_seconds", "Unix time of the last such SXid event", of_switches),
        gauge("nvtopo_event_job_info", "Jobs that an event of the last hour struck", struck.collect()),
    ]
}
