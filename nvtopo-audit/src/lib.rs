//! The readiness audit of a GPU server: checks of its NVLinks, PCIe, NUMA nodes, network, kernel and kubelet, each with a
//! verdict, the reason, and what to do.
//!
//! - [`Audit`]: the checks to run and what to run them on. [`Report`]: the verdicts.
//! - [`check`]: the registry of all checks.
//! - [`Baseline`]: a machine as it was accepted, and [`Drift`] from it. [`Fleet`]: many machines compared with each other.
//! - [`Drill`]: a machine without some of its parts, and what placement, labels, pods, claims and checks then say.
//! - [`Profile`]: what a fleet expects of its nodes, and which findings it has accepted.
//!
//! Evidence is whatever [`Contents`](nvtopo::source::Contents) holds: this machine, a recorded `/sys` and `/proc`, a
//! snapshot, or a directory of saved outputs. The same machine gets the same verdicts from each, as far as each tells of
//! it. Evidence that is missing makes a verdict `unknown`, and never `pass`.
//!
//! ```
//! use nvtopo::source::{Contents, Locator};
//! use nvtopo_audit::{Audit, Status};
//!
//! let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?; // Locator::Live for this machine
//! let report = Audit::of(&node).run()?;
//! assert_eq!(report.count(Status::Fail), 0);
//! for finding in report.findings() {
//!     println!("{} {} {}: {}", finding.status, finding.check.code, finding.subject, finding.text);
//! }
//! # Ok::<(), nvtopo::Error>(())
//! ```

mod audit;
mod baseline;
mod board;
pub mod check;
mod diagnosis;
mod drill;
mod evidence;
mod finding;
mod fleet;
pub mod metrics;
mod pairing;
mod process;
mod profile;
mod reading;
mod render;
mod report;

pub use audit::{Audit, AuditedProcess, evidence, record};
pub use baseline::{Baseline, Drift, DriftKind, structure};
pub use diagnosis::{PortGrowth, diagnosis};
pub use drill::{
    CheckChange, ClaimChange, Damage, Drill, DrillOutcome, DrillReport, LabelChange, Lost, Placed,
    PlacementChange, PodChange,
};
pub use finding::{Finding, Severity, Status};
pub use fleet::{Fleet, FleetBoard, FleetDevice, FleetNode, FleetOptions, Outlier};
pub use profile::{Expected, Profile, Waiver, today};
pub use render::TextStyle;
pub use report::{FailOn, FindingGroup, Limits, Outcome, Report};
