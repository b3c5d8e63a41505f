//! The options of `drill`.

use clap::{Args, ValueEnum};
use nvtopo::source::Locator;
use nvtopo_audit::Lost;

/// Nothing is changed: the machine is taken as it is told, without the lost parts. NVLinks are down, CPUs offline, devices
/// gone. Files and outputs of tools beside it still name them. Exits with 0, whatever is lost.
#[derive(Args, Debug)]
pub(crate) struct DrillArgs {
    /// The machine: live (this machine), a snapshot, a directory with a recorded /sys and /proc, saved outputs of tools; any
    /// other source of a topology. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
    /// A part to lose: gpu:3, nic:NAME, nvlink:0-1 (all between two GPUs), nvlink:0-1:1 (one of them), nvlink:0 (all of a GPU),
    /// nvlink:0#4 (its link 4), cpus:0-3, numa:1 (its CPUs), switch:ADDRESS, nvswitch:0, label:KEY. Several are lost at once.
    /// Without any, each is lost by itself, and the worst come first
    #[arg(long, value_name = "PART")]
    pub(crate) lose: Vec<Lost>,
    /// Numbers of GPUs of the jobs to place, separated by commas [default: 1, 2, 4, … and all]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) gpus: Vec<usize>,
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: DrillFormat,
}

/// The format of the answer of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrillFormat {
    /// For people: a table of what changes
    Text,
    /// For programs
    Json,
}
