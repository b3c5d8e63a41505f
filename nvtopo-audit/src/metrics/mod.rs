//! The metrics of a node, as values: families of samples with labels. A server or a file writes them as text.
//!
//! [`Metrics`] are of one reading: a topology with its files, the report on it, and what is known beside it. An unknown value
//! has no sample.
//!
//! Left to others, which publish them already: totals of GPUs' NVLinks, PCIe replays, memory, load and temperatures
//! (`dcgm-exporter`); counters of RDMA ports, link values of PCIe, memory and MTU (`node_exporter`).

mod devices;
mod events;
mod processes;
mod state;
mod traffic;

use crate::audit;
use crate::baseline::Baseline;
use crate::evidence::{Evidence, OWN};
use crate::profile::Profile;
use crate::report::Report;
use nvtopo::source::{Contents, Files, Locator};
use nvtopo::{Result, Topology};
use std::path::Path;

pub use crate::reading::kernel_log::{DriverEvent, DriverEventKind};
pub use crate::reading::log_device::KernelLog;
pub use events::DriverEvents;
pub use processes::{GpuWork, Job, Locality};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows, until the node or its driver starts anew.
    Counter,
}

/// A metric with its samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name, without the `_total` of counters.
    pub name: &'static str,
    /// A line for people.
    pub help: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Family {
    /// Creates a metric with its samples.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, kind: Kind, samples: Vec<Sample>) -> Self {
        Self { name, help, kind, samples }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The labels by name.
    pub labels: Vec<(&'static str, String)>,
    /// The value, in base units: bytes, seconds.
    pub value: f64,
}

impl Sample {
    /// Creates a value with labels.
    #[must_use]
    pub const fn new(labels: Vec<(&'static str, String)>, value: f64) -> Self {
        Self { labels, value }
    }
}

/// The metrics of one reading of a node.
///
/// ```
/// use nvtopo::source::{Contents, Locator};
/// use nvtopo_audit::metrics::Metrics;
/// use nvtopo_audit::{Audit, Profile};
///
/// let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?;
/// let (report, profile) = (Audit::of(&node).run()?, Profile::default());
/// let families = Metrics::of(&node, &report, &profile).read_at(1_764_000_000.0).families();
/// assert!(families.iter().any(|family| family.name == "nvtopo_topology_info"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub struct Metrics<'a> {
    evidence: Evidence<'a>,
    report: &'a Report,
    read_at: Option<f64>,
    driver_hangs: bool,
    events: Option<&'a DriverEvents>,
    work: Option<&'a GpuWork>,
}

impl<'a> Metrics<'a> {
    /// Creates the metrics of a reading and of the report on it.
    pub fn of(contents: &'a Contents, report: &'a Report, profile: &'a Profile) -> Self {
        Self {
            evidence: Evidence::of(contents, profile, &OWN),
            report,
            read_at: None,
            driver_hangs: false,
            events: None,
            work: None,
        }
    }

    /// Sets the time of the last reading without an error, in seconds since 1970.
    #[must_use]
    pub fn read_at(mut self, seconds: f64) -> Self {
        self.read_at = Some(seconds);
        self
    }

    /// Sets the reading before, by which rates and the diagnosis of RDMA ports are computed.
    #[must_use]
    pub fn earlier(mut self, earlier: &'a Contents) -> Self {
        self.evidence.earlier = Some(Box::new(Evidence::of(earlier, self.evidence.profile, &OWN)));
        self
    }

    /// Sets the accepted state of the node.
    #[must_use]
    pub fn baseline(mut self, baseline: &'a Baseline) -> Self {
        self.evidence.baseline = Some(baseline);
        self
    }

    /// Sets that calls to the driver hang, so that the reading lacks what only the driver tells. The node is then not compared
    /// with its baseline, and has no fingerprint: both would tell of changes that are none.
    #[must_use]
    pub fn driver_hangs(mut self, hangs: bool) -> Self {
        self.driver_hangs = hangs;
        self
    }

    /// Sets the events of the driver in the kernel's log.
    #[must_use]
    pub fn events(mut self, events: &'a DriverEvents) -> Self {
        self.events = Some(events);
        self
    }

    /// Sets the work on the GPUs: processes with their jobs, threads and memory.
    #[must_use]
    pub fn work(mut self, work: &'a GpuWork) -> Self {
        self.work = Some(work);
        self
    }

    /// Returns the families that have samples.
    pub fn families(&self) -> Vec<Family> {
        let evidence = &self.evidence;
        let build = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        let mut families = vec![
            gauge("nvtopo_build_info", "Version of the exporter", vec![info(build)]),
            gauge(
                "nvtopo_snapshot_timestamp_seconds",
                "Unix time of the last reading of the node without an error",
                self.read_at.map(alone).into_iter().collect(),
            ),
            state::sources(self),
        ];
        if !self.driver_hangs {
            families.push(state::identity(evidence));
        }
        families.extend(devices::gpus(evidence));
        families.extend(devices::nvlinks(evidence));
        families.extend(devices::paths(evidence));
        families.extend(traffic::nvlinks(evidence));
        families.push(traffic::diagnosis(evidence));
        families.push(state::pcie_errors(evidence));
        families.push(state::checks(self.report));
        families.push(state::containers(evidence, self.report));
        families.extend(state::baseline(self));
        families.extend(self.events.map(|events| events::families(events, evidence)).into_iter().flatten());
        families.extend(self.work.map(processes::families).into_iter().flatten());
        families.retain(|family| !family.samples.is_empty());
        families
    }
}

/// Reads a node for its metrics, and for an audit with this profile. This machine is read at once, so that metrics and
/// verdicts are of one moment; with it the events of its devices in `kernel_log`, such as `/dev/kmsg`, the version of the fabric
/// manager, and the priorities with PFC of its NICs.
///
/// Errors are those of [`Topology::open`](nvtopo::Topology::open).
pub fn evidence(locators: &[Locator], profile: &Profile, kernel_log: &Path) -> Result<Contents> {
    let look = |topology: &Topology, files: &Files| {
        let evidence = Evidence::of_files(topology, files, profile, &OWN);
        audit::look(&evidence);
        drop(state::nics_of_containers(&evidence));
    };
    let mut contents = Contents::open_at_once(locators, look, audit::is_evidence)?;
    audit::add_told_here(locators, &mut contents, kernel_log);
    Ok(contents)
}

fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family::new(name, help, Kind::Gauge, samples)
}

fn counter(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family::new(name, help, Kind::Counter, samples)
}

/// Returns a sample without labels.
fn alone(value: f64) -> Sample {
    Sample::new(Vec::new(), value)
}

fn info<const N: usize>(labels: [(&'static str, String); N]) -> Sample {
    value(labels, 1.0)
}

fn value<const N: usize>(labels: [(&'static str, String); N], value: f64) -> Sample {
    Sample::new(labels.into(), value)
}
