//! The options of `validate` and `compare`.

use super::input::SourceArgs;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use nvtopo::solve::Tolerance;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

/// Runs the microbenchmarks that are installed (nvbandwidth, p2pBandwidthLatencyTest, `ib_write_bw`, `ib_read_lat`, `ibv_rc_pingpong`,
/// `all_reduce_perf`), one pair or group at a time and beside its devices, and compares each figure with what the machine's graph
/// says is possible, and with equal ones. Exits with 0 where all pass, 1 where a figure falls short or a run has no result, and 3
/// where more is unknown than --max-unknown allows.
#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Run nothing, and judge these saved outputs, one of a run each
    #[arg(long, value_name = "FILE", num_args = 1..,
        conflicts_with_all = ["dry_run", "only", "limit", "runs", "time_limit", "trust_topology"])]
    pub(crate) results: Vec<PathBuf>,
    /// Run only these programs, separated by commas [default: all that are installed]
    #[arg(long, value_name = "PROGRAM,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Run at most so many pairs or groups by each program; the first ones reach all devices
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZero<usize>>,
    /// Number of times that each pair or group is measured [default: 1, with --canary 3]
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<NonZero<usize>>,
    /// Time that one run may take (90s, 2m); then it is killed with what it started
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub(crate) time_limit: SignedDuration,
    /// Print the commands, and run none. Programs need not be installed
    #[arg(long, visible_alias = "print")]
    pub(crate) dry_run: bool,
    /// Part by which a bandwidth may stay below what is expected of its links, such as 10% or 0.1
    #[arg(long, value_name = "PART", default_value = "10%")]
    pub(crate) tolerance: Tolerance,
    /// Part by which a bandwidth may be below the median of equal ones
    #[arg(long, value_name = "PART", default_value = "5%")]
    pub(crate) equal_tolerance: Tolerance,
    /// The most figures without a verdict, and pairs of saved outputs without a figure, with which the exit code is 0; any number
    /// without it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_unknown: Option<usize>,
    /// Around a change of the driver: before records to --record (3 where a run has no result), after measures again and says go
    /// on (0), roll back (1), or that it cannot be told (3). --equal-tolerance is what a figure may lose
    #[arg(long, value_name = "WHEN", requires = "record",
        conflicts_with_all = ["dry_run", "all", "tolerance", "max_unknown"])]
    pub(crate) canary: Option<CanaryWhen>,
    /// The file of the canary
    #[arg(long, value_name = "FILE", requires = "canary")]
    pub(crate) record: Option<PathBuf>,
    /// List the figures that pass one by one too
    #[arg(long)]
    pub(crate) all: bool,
    /// Bind by a topology of unknown origin, such as a text or a preset. One of another machine is refused even so
    #[arg(long)]
    pub(crate) trust_topology: bool,
    /// Format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// The side of a change that a canary is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CanaryWhen {
    /// Record the figures
    Before,
    /// Compare with them
    After,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Runs the command under the best placement of GPUs and CPUs and under a poor one, in turn, and tells how many times as good the
/// best one is, where the spread of the runs allows a verdict. Exits with 0 where the best placement is better, or meets the
/// thresholds of --slo; 1 where the poor one is better, or a threshold is not met; and 3 where the runs do not tell.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Number of GPUs
    #[arg(long, value_name = "N")]
    pub(crate) gpus: usize,
    /// The part of the poor placement that is poor
    #[arg(long, value_name = "WHAT", default_value = "both")]
    pub(crate) poor: PoorWhat,
    /// Number of runs under each placement
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) runs: NonZero<usize>,
    /// Number of runs before, which do not count
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) warmup: usize,
    /// Compare a number that the program prints, and not its wall time: the text around it with {} in its place, as in
    /// 'throughput: {} img/s'. The last one counts
    #[arg(long, value_name = "PATTERN")]
    pub(crate) metric: Option<String>,
    /// The direction in which that number is better
    #[arg(long, value_name = "higher|lower", default_value = "higher", requires = "metric")]
    pub(crate) better: BetterWhat,
    /// Time that one run may take (90s, 2m); then it is killed with what it started
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) time_limit: SignedDuration,
    /// Thresholds of this node's workloads, in TOML: the best placement has to meet those of this command
    #[arg(long, value_name = "FILE")]
    pub(crate) slo: Option<PathBuf>,
    /// Write what was measured into --slo as the threshold, in the place of an earlier one
    #[arg(long, requires = "slo")]
    pub(crate) accept: bool,
    /// Part by which an accepted threshold may be missed, such as 10% or 0.1
    #[arg(long, value_name = "PART", default_value = "10%", requires = "accept")]
    pub(crate) tolerance: Tolerance,
    /// Print the commands, and run none
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Bind by a topology of unknown origin, such as a text or a preset. One of another machine is refused even so
    #[arg(long)]
    pub(crate) trust_topology: bool,
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// The part of a placement that is poor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoorWhat {
    /// The GPUs with the slowest paths between them
    Gpus,
    /// The CPUs farthest from the GPUs
    Cpus,
    /// Both, as far as the machine allows
    Both,
}

/// The direction in which a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BetterWhat {
    /// As of a throughput
    Higher,
    /// As of a time
    Lower,
}
