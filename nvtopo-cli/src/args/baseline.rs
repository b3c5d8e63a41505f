//! The options of `baseline`.

use clap::Args;
use nvtopo::source::Locator;
use std::path::PathBuf;

/// `nvtopo audit --baseline FILE` tells what has changed since. The file holds the topology, the kernel, its command line,
/// the kubelet's settings, and fingerprints: equal machines have the same fingerprint of their structure.
#[derive(Args, Debug)]
pub(crate) struct BaselineArgs {
    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The machine to accept: live (this machine), a snapshot, a directory with a recorded /sys and /proc, saved outputs of
    /// tools; any other source of a topology. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
}
