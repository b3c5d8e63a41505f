//! The options of `fleet`.

use clap::{Args, ValueEnum};
use std::num::NonZero;
use std::path::PathBuf;

/// Nodes of one board are compared with each other: those that differ from more than half of them are outliers. What cannot
/// be read is listed, and does not stop it. The exit code is 0 with outliers and unreadable nodes too: JSON lists both.
#[derive(Args, Debug)]
pub(crate) struct FleetArgs {
    /// Directory with a snapshot, a topology document, a saved output or a directory of one for each node
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: FleetFormat,
    /// Leave out serial numbers and UUIDs
    #[arg(long)]
    pub(crate) redact: bool,
    /// Number of nodes that are read at once [default: as many as there are CPUs]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

/// The format of the answer about a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FleetFormat {
    /// For people: boards, counts and outliers
    Text,
    /// One document for programs
    Json,
    /// A row for each node, for a CMDB
    Csv,
    /// A JSON object for each node, one a line
    Jsonl,
    /// A bill of materials: `CycloneDX` 1.6 in JSON
    Cyclonedx,
}
