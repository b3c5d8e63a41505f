//! The arguments of `nvtopo k8s kubelet`.

use super::predict::PredictArgs;
use super::{FileArgs, SourceArgs};
use clap::{Args, Subcommand, ValueEnum};
use nvtopo::Bytes;
use nvtopo::solve::HugePageNeed;
use nvtopo::source::Locator;
use nvtopo_k8s::Version;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct KubeletArgs {
    #[command(subcommand)]
    pub(crate) command: KubeletCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KubeletCommand {
    /// Print a configuration for the kubelet of this machine, with the reason for each line, and the kernel command line that
    /// goes with it
    Config(ConfigArgs),
    /// Say what is wrong with a kubelet's configuration, also where the kubelet itself takes it. Exit code 1 where there are
    /// errors
    Lint(LintArgs),
    /// Print what the kubelet does with a pod here: admit it, refuse it, or give it GPUs that are not linked
    Predict(Box<PredictArgs>),
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Format of the configuration
    #[arg(long = "as", value_name = "FORM", default_value = "yaml")]
    pub(crate) form: ConfigForm,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    /// Cores kept from pods for the system; without it one in 16, and at least one of each socket
    #[arg(long, value_name = "COUNT")]
    pub(crate) reserved_cores: Option<NonZeroUsize>,
    /// Memory kept from pods for the system and for eviction, on all NUMA nodes together, such as 16GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) reserved_memory: Option<Bytes>,
    /// GPUs of the largest pod that is to run; without it all of the machine
    #[arg(long, value_name = "COUNT")]
    pub(crate) largest_pod: Option<NonZeroUsize>,
    /// Huge pages to set aside on each NUMA node, such as 1GiB:16
    #[arg(long, value_name = "SIZE:COUNT", value_delimiter = ',')]
    pub(crate) hugepages: Vec<HugePageNeed>,
    /// Cores that the kernel is to isolate (isolcpus), for programs outside Kubernetes; they are kept from pods too
    #[arg(long, value_name = "COUNT")]
    pub(crate) isolated_cores: Option<NonZeroUsize>,
    /// Use options that are alpha in this version, with their feature gates
    #[arg(long)]
    pub(crate) alpha: bool,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigForm {
    /// A `KubeletConfiguration` with comments
    Yaml,
    /// A `KubeletConfiguration` alone
    Json,
    /// The kernel command line, in one line below comments
    Cmdline,
}

#[derive(Args, Debug)]
pub(crate) struct LintArgs {
    /// The file, YAML or JSON; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    /// GPUs of the largest pod that is to run; without it all of the machine, whose refusal is a warning only
    #[arg(long, value_name = "COUNT", requires = "from")]
    pub(crate) largest_pod: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The machine that the file is for: live, preset:NAME, or any file that --from of other commands takes; without it the
    /// file is held against itself only
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Vec<Locator>,
}
