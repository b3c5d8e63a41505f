//! The options of `report`.

use super::audit::EvidenceArgs;
use clap::{Args, ValueEnum};
use nvtopo_report::ReportFormat;
use std::path::PathBuf;

/// A page for people, to read or to print, which needs no network and no scripts; Markdown for a ticket; JSON for programs. The
/// machine is read once for all files. The exit code is 0 whatever the verdicts are: that of nvtopo audit tells them.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// File to write: .html, .json or .md; - for standard output. Several are written beside each other
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: Vec<PathBuf>,
    /// Format, whatever the files are named [default: what their endings say; Markdown on standard output]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ReportedAs>,
    /// Numbers of GPUs of the jobs to place, separated by commas [default: powers of two, and all GPUs]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(crate) gpus: Vec<usize>,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportedAs {
    /// A page for people
    Html,
    /// A document for programs
    Json,
    /// A short text for a ticket
    Markdown,
}

impl From<ReportedAs> for ReportFormat {
    fn from(reported: ReportedAs) -> Self {
        match reported {
            ReportedAs::Html => Self::Html,
            ReportedAs::Json => Self::Json,
            ReportedAs::Markdown => Self::Markdown,
        }
    }
}
