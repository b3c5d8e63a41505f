//! The report on a GPU server for people: what to do first, the verdicts of an audit, what has changed since a baseline, the
//! picture of the machine, the matrix of paths, the best GPUs for jobs, the facts and where they come from.
//!
//! [`NodeReport`] puts together what the audit, the solver and the pictures say; it judges nothing itself. It is one page that
//! stands alone, a Markdown text for a ticket, or a JSON document.
//!
//! ```
//! use nvtopo::source::{Contents, Locator};
//! use nvtopo_audit::Audit;
//! use nvtopo_report::{NodeReport, ReportFormat};
//!
//! let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?; // Locator::Live for this machine
//! let audit = Audit::of(&node).run()?;
//! let report = NodeReport::of(&node, &audit).date("2026-03-31");
//! assert!(report.to_html().starts_with("<!doctype html>"));
//! assert!(report.write(ReportFormat::Markdown).starts_with("# "));
//! # Ok::<(), nvtopo::Error>(())
//! ```

mod facts;
mod format;
mod html;
mod json;
mod markdown;
mod matrix;
mod node_report;
mod placements;
mod table;

pub use format::ReportFormat;
pub use node_report::NodeReport;
