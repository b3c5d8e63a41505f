//! The readings of the node: one at a time on a thread of its own, the last one kept for all who ask.

use crate::exposition::{classic, open_metrics};
use nvtopo::source::{Contents, Files, Live, Locator, driver_calls};
use nvtopo::{Error, Result};
use nvtopo_audit::metrics::{self, DriverEvents, GpuWork, KernelLog, Metrics};
use nvtopo_audit::{Audit, Baseline, Profile};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// A reading, as both formats of exposition.
pub(crate) struct Page {
    pub(crate) open_metrics: String,
    pub(crate) classic: String,
    /// The time of the reading.
    at: Instant,
    /// The driver hung, so that the reading lacks what only the driver tells.
    is_incomplete: bool,
}

/// The last reading. It is replaced as a whole, so each request sees one consistent reading.
pub(crate) struct Last(watch::Receiver<Option<Arc<Page>>>);

impl Last {
    /// Starts a thread that reads the node again and again.
    pub(crate) fn start(options: Options, interval: Duration) -> Result<Self> {
        let (sender, last) = watch::channel(None);
        let spawned = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || Reader::new(options).run(&sender, interval));
        spawned.map_err(|error| Error::cannot_run("the thread that reads the node".as_ref(), error))?;
        Ok(Self(last))
    }

    /// Returns the last reading.
    pub(crate) fn page(&self) -> Option<Arc<Page>> {
        self.0.borrow().clone()
    }

    /// Waits for a reading that was not returned here before. `None`: the thread that reads the node is gone.
    pub(crate) async fn next(&mut self) -> Option<Arc<Page>> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }

    /// Returns why the last reading is not to be relied on: there is none, it is older than a time, or incomplete. `None`: it
    /// is sound.
    pub(crate) fn flaw(&self, most: Duration) -> Option<&'static str> {
        match self.page() {
            None => Some("the node has not been read yet\n"),
            Some(page) if page.at.elapsed() > most => Some("the last reading of the node is old\n"),
            Some(page) if page.is_incomplete => {
                Some("NVIDIA's driver hangs, so the last reading is incomplete\n")
            }
            Some(_) => None,
        }
    }
}

/// The places to read, and what a reading is compared with.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) from: Vec<Locator>,
    pub(crate) profile: Profile,
    /// The accepted state of the node.
    pub(crate) baseline: Option<Baseline>,
    pub(crate) kernel_log: PathBuf,
    /// The time between counts of the memory of processes on GPUs.
    pub(crate) memory_interval: Duration,
}

/// The reader of a node. Counters are judged by their growth from one reading to the next.
pub(crate) struct Reader {
    options: Options,
    earlier: Option<Contents>,
    events: DriverEvents,
    log: KernelLog,
    /// The work on the GPUs at the last reading that told it.
    work: Option<GpuWork>,
    memory_counted: Option<Instant>,
    /// The time of the last complete reading, in seconds since 1970.
    complete_at: Option<f64>,
}

/// The longest pause between readings while the driver hangs: each reading may leave threads in it.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Reader {
    pub(crate) fn new(options: Options) -> Self {
        let log = KernelLog::new(options.kernel_log.clone());
        Self {
            options,
            earlier: None,
            events: DriverEvents::default(),
            log,
            work: None,
            memory_counted: None,
            complete_at: None,
        }
    }

    /// Reads the node.
    pub(crate) fn read(&mut self) -> Result<Page> {
        let calls = driver_calls();
        let Options { from, profile, kernel_log, .. } = &self.options;
        let contents = metrics::evidence(from, profile, kernel_log)?;
        let is_live = self.options.from.contains(&Locator::Live);
        let work = if is_live { self.read_work(&contents) } else { None };
        let now = driver_calls();
        let hangs = is_live && (now.given_up > calls.given_up || now.hanging > 0);
        self.events.learn(&contents);
        if is_live {
            self.read_log(work.as_ref());
        } else {
            self.events.set_saved(&contents);
        }
        if !hangs {
            self.complete_at = Some(seconds_now());
        }
        let profile = &self.options.profile;
        let mut audit = Audit::of(&contents).profile(profile.clone()).today(nvtopo_audit::today());
        if let Some(earlier) = &self.earlier {
            audit = audit.earlier(earlier);
        }
        if let Some(baseline) = self.options.baseline.as_ref().filter(|_| !hangs) {
            audit = audit.baseline(baseline);
        }
        let report = audit.run()?;
        let mut metrics = Metrics::of(&contents, &report, profile).driver_hangs(hangs).events(&self.events);
        if let Some(at) = self.complete_at {
            metrics = metrics.read_at(at);
        }
        if let Some(earlier) = &self.earlier {
            metrics = metrics.earlier(earlier);
        }
        if let Some(baseline) = &self.options.baseline {
            metrics = metrics.baseline(baseline);
        }
        if let Some(work) = &work {
            metrics = metrics.work(work);
        }
        let open_metrics = open_metrics(metrics.families())
            .map_err(|_| Error::input("the metrics of this node cannot be written as text"))?;
        self.earlier = Some(contents);
        self.work = work.or(self.work.take());
        let classic = classic(&open_metrics);
        Ok(Page { classic, open_metrics, at: Instant::now(), is_incomplete: hangs })
    }

    /// Reads the work on the GPUs of this machine. `None`: the driver does not tell.
    fn read_work(&mut self, contents: &Contents) -> Option<GpuWork> {
        // A GPU that hangs would hang this call too.
        if driver_calls().hanging > 0 || contents.topology.gpus().len() == 0 {
            return None;
        }
        let processes = Live::default().gpu_processes().ok()?;
        let interval = self.options.memory_interval;
        let is_due = self.memory_counted.is_none_or(|at| at.elapsed() >= interval);
        let earlier = self.work.as_ref().filter(|_| !is_due);
        if is_due {
            self.memory_counted = Some(Instant::now());
        }
        Some(GpuWork::read(&Files::of("/".as_ref()), &contents.topology, &processes, earlier))
    }

    /// Reads what is new in the kernel's log, and tells it with the jobs that it struck. Jobs that an event ended are known of
    /// the reading before.
    fn read_log(&mut self, work: Option<&GpuWork>) {
        let (text, is_first) = self.log.read();
        self.events.set_read(self.log.is_read());
        let new = self.events.add(&text);
        if is_first {
            return;
        }
        for event in new {
            let (gpu, link) = self.events.resolve(&event);
            let jobs = match self.work.as_ref().or(work) {
                Some(work) => self.events.strike(&event, work, seconds_now()),
                None => Vec::new(),
            };
            let number = |word: &str, number: Option<u32>| {
                number.map_or_else(String::new, |number| format!(" {word}{number}"))
            };
            let jobs: Vec<String> = jobs.iter().map(|job| format!(" {} {}", job.kind(), job.id())).collect();
            eprintln!(
                "nvtopod: {} {} at {}{}{}{}",
                event.kind.word(),
                event.code,
                event.device,
                number("GPU", gpu),
                number("NVLink ", link),
                jobs.concat()
            );
        }
    }

    /// Reads the node again and again, and keeps the last reading. A reading that fails leaves the one before it, which
    /// grows old. While the driver hangs, pauses grow.
    fn run(mut self, last: &watch::Sender<Option<Arc<Page>>>, interval: Duration) -> ! {
        let mut pause = interval;
        loop {
            match self.read() {
                Ok(page) => {
                    let longer = pause.saturating_mul(2).min(LONGEST_PAUSE.max(interval));
                    pause = if page.is_incomplete { longer } else { interval };
                    last.send_replace(Some(Arc::new(page)));
                }
                Err(error) => eprintln!("nvtopod: the node cannot be read: {error}"),
            }
            std::thread::sleep(pause);
        }
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flaw_of_the_last_reading_is_told() {
        let (sender, last) = watch::channel(None);
        let (last, most) = (Last(last), Duration::from_secs(60));
        assert!(last.flaw(most).is_some_and(|flaw| flaw.contains("not been read yet")));
        let page = |seconds: u64, is_incomplete: bool| {
            let at = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            let page = Page { open_metrics: String::new(), classic: String::new(), at, is_incomplete };
            sender.send_replace(Some(Arc::new(page)));
            last.flaw(most)
        };
        assert_eq!(page(59, false), None);
        assert!(page(59, true).is_some_and(|flaw| flaw.contains("driver hangs")));
        // A reader that hangs itself leaves a reading that grows old.
        assert!(page(61, true).is_some_and(|flaw| flaw.contains("is old")));
    }
}
