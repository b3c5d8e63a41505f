//! The readings of the node: one at a time on a thread of its own, the last one kept for all who ask.

use nvtopo::source::{Contents, Locator};
use nvtopo::{Error, Result};
use nvtopo_audit::metrics::{Family, metrics};
use nvtopo_audit::{Audit, AuditedProcess, Profile, evidence};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::exposition::{classic, open_metrics};

/// A reading, as both formats of exposition.
pub(crate) struct Page {
    pub(crate) open_metrics: String,
    pub(crate) classic: String,
    at: Instant,
}

/// The last reading. It is replaced as a whole, so each request sees one consistent reading.
#[derive(Clone, Default)]
pub(crate) struct Last(Arc<RwLock<Option<Arc<Page>>>>);

impl Last {
    /// Returns the last reading.
    pub(crate) fn page(&self) -> Option<Arc<Page>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the last reading is younger than a time.
    pub(crate) fn is_fresh(&self, most: Duration) -> bool {
        self.page().is_some_and(|page| page.at.elapsed() <= most)
    }

    fn put(&self, page: Page) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(page));
    }
}

/// The reader of a node. Counters are judged by their growth from one reading to the next.
pub(crate) struct Reader {
    from: Vec<Locator>,
    profile: Profile,
    earlier: Option<Contents>,
}

impl Reader {
    pub(crate) fn new(from: Vec<Locator>, profile: Profile) -> Self {
        Self { from, profile, earlier: None }
    }

    /// Reads the node.
    pub(crate) fn read(&mut self) -> Result<Page> {
        let contents = evidence(&self.from, &self.profile, &AuditedProcess::Own)?;
        let mut audit = Audit::of(&contents).profile(self.profile.clone()).today(today());
        if let Some(earlier) = &self.earlier {
            audit = audit.earlier(earlier);
        }
        let report = audit.run()?;
        let families: Vec<Family> = metrics(&report, &self.profile, now());
        self.earlier = Some(contents);
        let open_metrics = open_metrics(families)
            .map_err(|_| Error::input("the metrics of this node cannot be written as text"))?;
        Ok(Page { classic: classic(&open_metrics), open_metrics, at: Instant::now() })
    }

    /// Reads the node again and again, and keeps the last reading. A reading that fails leaves the one before it, which
    /// grows old.
    pub(crate) fn run(mut self, last: &Last, interval: Duration) -> ! {
        loop {
            match self.read() {
                Ok(page) => last.put(page),
                Err(error) => eprintln!("nvtopod: the node cannot be read: {error}"),
            }
            std::thread::sleep(interval);
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take(10).collect()
}
