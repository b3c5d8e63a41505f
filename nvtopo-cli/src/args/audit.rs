//! The options of `audit`, and those for the evidence and the checks, which `report` has too.

use clap::{Args, ValueEnum};
use nvtopo::source::Locator;
use std::path::PathBuf;

/// The options for the evidence, for the checks to run on it, and for what is expected.
#[derive(Args, Debug)]
pub(crate) struct EvidenceArgs {
    /// Evidence: live (this machine), a snapshot, a directory with a recorded /sys and /proc, saved outputs of tools, or both;
    /// any other source of a topology. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
    /// An earlier reading of the same machine, such as a snapshot: counters are judged by their growth since then
    #[arg(long, value_name = "SOURCE", conflicts_with = "wait")]
    pub(crate) since: Vec<Locator>,
    /// Read a second time after so many seconds (10s, 1m), and judge counters by their growth
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) wait: Option<std::time::Duration>,
    /// Run only these checks: codes, themes, or the begin of codes and *, separated by commas
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Leave these checks out
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Expectations of the fleet and accepted findings, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// A file of nvtopo baseline: what has changed since is judged, and it says what neither the profile nor the board does
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// The process whose allowed CPUs and memory are judged, by number; the reader of the machine without it
    #[arg(long, value_name = "PID", conflicts_with = "cgroup")]
    pub(crate) pid: Option<u32>,
    /// The control group whose allowed CPUs and memory are judged: its path below /sys/fs/cgroup
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Option<PathBuf>,
}

/// Reads a time such as `10s` or `2m`.
fn time(text: &str) -> Result<std::time::Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
    time.ok_or_else(|| "give a number and its unit, as in 10s or 2m".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  nvtopo audit                                   this machine
  nvtopo audit --from node17.tar.gz --all        a file of nvtopo snapshot, with what passed
  nvtopo audit --only nvlink,pcie --wait 10s     two themes, and the growth of their counters
  nvtopo audit --profile fleet.toml --fail-on critical --max-unknown 20 --format junit
  nvtopo audit --explain acs-on-p2p-path         what a check claims, reads and advises

Exit codes: 0 nothing failed, 1 something did (--fail-on says what counts), 2 bad usage or input, 3 more is unknown than
--max-unknown allows.";

/// Exits with 0 where nothing failed, 1 where something did, and 3 where more is unknown than --max-unknown allows. A live
/// machine, a snapshot, recorded files and saved outputs of tools are all evidence. What is missing is unknown, and never
/// passes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// The least that makes the exit code 1
    #[arg(long, value_name = "STATUS", default_value = "fail")]
    pub(crate) fail_on: FailOn,
    /// The most unknown findings with which the exit code is 0; any number without it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_unknown: Option<usize>,
    /// Format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: AuditFormat,
    /// List passed and inapplicable findings one by one too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print what checks claim, read and advise, and nothing else: those of a code, a theme, or the begin of codes and *
    #[arg(long, value_name = "CHECKS", exclusive = true)]
    pub(crate) explain: Option<String>,
}

/// The least that makes an audit fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A failure of a critical check
    Critical,
    /// Any failure
    Fail,
    /// A failure or a warning
    Warn,
    /// Nothing
    Never,
}

impl From<FailOn> for nvtopo_audit::FailOn {
    fn from(asked: FailOn) -> Self {
        match asked {
            FailOn::Critical => Self::Critical,
            FailOn::Fail => Self::Fail,
            FailOn::Warn => Self::Warn,
            FailOn::Never => Self::Never,
        }
    }
}

/// The format of an audit's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For people: what to do first, then everything by severity
    Text,
    /// For programs
    Json,
    /// `JUnit` XML, for CI systems
    Junit,
    /// SARIF 2.1.0, for code scanning of GitHub and other dashboards of scanners
    Sarif,
}
