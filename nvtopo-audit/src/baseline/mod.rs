//! [`Baseline`]: a machine as it was accepted once, to compare it with later.

mod drift;
mod facts;
mod fingerprint;

pub use drift::{Drift, DriftKind};
pub(crate) use drift::{is_told, tells};
pub(crate) use facts::Facts;
pub use fingerprint::structure;
pub(crate) use fingerprint::{counted_firmware, inventory, lines_that_differ, of_inventory};

use crate::evidence::Evidence;
use crate::profile::seconds_of;
use nvtopo::source::{Contents, read_file};
use nvtopo::{Error, Result, Topology};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the format of a baseline's file.
const FORMAT: &str = "nvtopo-baseline";

/// The version of the format.
const VERSION: u32 = 1;

/// A machine as it was accepted: its topology, facts beside it, and fingerprints.
///
/// ```
/// use nvtopo::source::{Contents, Locator};
/// use nvtopo_audit::{Audit, Baseline, Status};
///
/// let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?;
/// let baseline = Baseline::of(&node).with_date("2026-03-31");
/// let read = Baseline::parse("baseline.json", baseline.to_json()?.as_bytes())?;
/// assert_eq!(read.structure(), baseline.structure());
/// let report = Audit::of(&node).baseline(&read).only(["drift"]).run()?;
/// assert_eq!(report.count(Status::Fail), 0);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Baseline {
    date: Option<String>,
    topology: Topology,
    facts: Facts,
}

/// The file of a baseline.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    format: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    fingerprints: Fingerprints,
    #[serde(default)]
    inventory: BTreeMap<String, String>,
    #[serde(default)]
    facts: Facts,
    #[serde(borrow)]
    topology: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Fingerprints {
    structure: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inventory: Option<String>,
}

impl Baseline {
    /// Accepts a machine as it is.
    pub fn of(contents: &Contents) -> Self {
        let evidence = Evidence::plain(contents);
        Self { date: None, topology: contents.topology.clone(), facts: Facts::of(&evidence) }
    }

    /// Sets the date on which it was accepted, such as `2026-03-31`.
    #[must_use]
    pub fn with_date(mut self, date: impl Into<String>) -> Self {
        self.date = Some(date.into());
        self
    }

    /// Reads a baseline's file. Messages call it by `name`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the line for what is none, for another version, for a
    /// date that is none, and for a topology that cannot be read. Fingerprints are computed from the topology, not read.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| {
            let text = format!("this is no baseline: {error}");
            let advice = "write one with nvtopo baseline -o FILE";
            Error::input(text).in_input(name).at(error.line(), error.column()).help(advice)
        })?;
        if document.format != FORMAT || document.version != VERSION {
            let text = format!(
                "this is format {:?} of version {}, and a baseline is {FORMAT:?} of version {VERSION}",
                document.format, document.version
            );
            return Err(Error::input(text)
                .in_input(name)
                .help("write it again with nvtopo baseline -o FILE"));
        }
        if let Some(date) = document.date.as_deref().filter(|date| seconds_of(date).is_none()) {
            let text = format!("the baseline is of {date:?}, which is no date");
            return Err(Error::input(text).in_input(name).help("write a date as in 2026-03-31"));
        }
        let topology = Topology::parse(name, document.topology.get().as_bytes())?;
        Ok(Self { date: document.date, topology, facts: document.facts })
    }

    /// Reads a baseline's file.
    ///
    /// Errors are those of [`parse`](Self::parse), and those of reading a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &read_file(path)?)
    }

    /// Returns the baseline as a JSON document: `format`, `version`, `date`, `fingerprints`, `inventory`, `facts` and
    /// `topology`, which is a document of [`Topology::to_json`].
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for a machine that cannot be written as JSON; none is known.
    pub fn to_json(&self) -> Result<String> {
        let failed =
            |error: serde_json::Error| Error::input(format!("the baseline cannot be written: {error}"));
        let topology = self.topology.to_json();
        let topology = serde_json::from_str::<&RawValue>(topology.trim()).map_err(failed)?;
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            date: self.date.clone(),
            fingerprints: Fingerprints { structure: self.structure(), inventory: self.inventory_hash() },
            inventory: inventory(&self.topology, &self.facts),
            facts: self.facts.clone(),
            topology,
        };
        let mut text = serde_json::to_string_pretty(&document).map_err(failed)?;
        text.push('\n');
        Ok(text)
    }

    /// Returns the date on which it was accepted.
    pub fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// Returns the begin of its [date](Self::date) in UTC, in seconds since 1970. `None`: it has no date, or another form than
    /// `2026-03-31` and `2026-03-31T12:00:00Z`.
    pub fn accepted_at(&self) -> Option<i64> {
        self.date().and_then(seconds_of)
    }

    /// Returns the accepted machine.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the [fingerprint of its structure](structure).
    pub fn structure(&self) -> String {
        structure(&self.topology)
    }

    /// Returns its software and firmware by name, such as `driver` and `firmware of GPUs`.
    pub fn inventory(&self) -> BTreeMap<String, String> {
        inventory(&self.topology, &self.facts)
    }

    /// Returns the fingerprint of its software and firmware: `sha256:` and 64 digits. `None`: no source told any.
    pub fn inventory_hash(&self) -> Option<String> {
        of_inventory(&self.inventory())
    }

    /// Returns how a machine differs from the accepted one, the most severe kinds first. Changes that cannot be judged, since
    /// no source tells a fact any more, are among them.
    pub fn drift(&self, contents: &Contents) -> Vec<Drift> {
        self.drift_of(&Evidence::plain(contents))
    }

    pub(crate) fn drift_of(&self, evidence: &Evidence<'_>) -> Vec<Drift> {
        drift::compare(self, evidence)
    }
}
