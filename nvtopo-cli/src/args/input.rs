//! Where a topology comes from, and how answers are printed.

use clap::Args;
use nvtopo::render::RENDERERS;
use nvtopo::source::Locator;

/// Where the topology comes from, and how answers are printed.
#[derive(Args, Debug)]
pub(crate) struct InputArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SourceArgs {
    /// Where to read the topology: live (this machine), hwloc (this machine by libhwloc, where it is built in),
    /// preset:NAME, a file (a text of nvidia-smi: topo -m, nvlink --status, topo -p2p; hwloc's XML, nvtopo's JSON,
    /// nvbandwidth, p2pBandwidthLatencyTest, `ib_write_bw`, a snapshot), a directory with a recorded /sys and /proc, or -
    /// for standard input. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
    /// Count links by what the hardware reports of them, where it does, and not by what their generation can do
    #[arg(long)]
    pub(crate) reported: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// How to print the answer
    #[arg(long, value_name = "FORMAT", default_value = RENDERERS[0].name(), value_parser = formats())]
    pub(crate) format: String,
}

fn formats() -> clap::builder::PossibleValuesParser {
    RENDERERS.iter().map(|render| render.name()).collect::<Vec<_>>().into()
}
