//! The arguments of `nvtopo k8s`.

mod claims;
mod kubelet;
mod pod;
mod predict;

pub(crate) use claims::{CheckArgs, ClaimsArgs, ClaimsCommand, ResourceTopologyArgs, TaintsArgs};
pub(crate) use kubelet::{ConfigArgs, ConfigForm, KubeletArgs, KubeletCommand, LintArgs};
pub(crate) use pod::{PlaybookArgs, PodArgs, PoliciesArgs};
pub(crate) use predict::{CpuManager, PluginKind, PredictArgs};

use super::input::SourceArgs;
use clap::{Args, Subcommand, ValueEnum};
use nvtopo_k8s::labels::{LABELS, Prefix};
use std::path::PathBuf;

/// Objects for Kubernetes that follow from the machine. Nothing is asked of a cluster, and nothing is applied: objects are read from files
/// and printed.
#[derive(Args, Debug)]
pub(crate) struct K8sArgs {
    #[command(subcommand)]
    pub(crate) command: K8sCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum K8sCommand {
    /// Print node labels, as a feature file of Node Feature Discovery, a `NodeFeature` object, or a command for kubectl
    Labels(LabelsArgs),
    /// The kubelet of a node like this machine
    Kubelet(KubeletArgs),
    /// Print claims of Dynamic Resource Allocation: which GPUs a pod may get, the best first
    Claims(Box<ClaimsArgs>),
    /// Print rules that keep GPUs with faults from claims (`DeviceTaintRule`)
    Taints(TaintsArgs),
    /// Print the NUMA nodes and what is beside them as a `NodeResourceTopology` object
    ResourceTopology(ResourceTopologyArgs),
    /// Print a pod for a job of some GPUs: whole CPUs, memory, huge pages, RDMA, and the labels of its nodes
    Pod(Box<PodArgs>),
    /// Print admission policies, a quota, rights and networks for nodes like this machine
    Policies(PoliciesArgs),
    /// Write all of it into a folder, with a README of what to apply in which order, how to verify each step and take it back
    Playbook(Box<PlaybookArgs>),
}

#[derive(Args, Debug)]
#[command(after_long_help = label_list())]
pub(crate) struct LabelsArgs {
    /// Form of the labels
    #[arg(long = "as", value_name = "FORM", default_value = "features")]
    pub(crate) form: LabelForm,
    /// Text before each name: a namespace and a slash, the beginning of names (gpu), or both
    #[arg(long, value_name = "PREFIX", default_value_t)]
    pub(crate) prefix: Prefix,
    /// Labels of each GPU too
    #[arg(long)]
    pub(crate) per_gpu: bool,
    /// The node's name, for `NodeFeature` and kubectl
    #[arg(long, value_name = "NODE", required_if_eq_any = [("form", "nodefeature"), ("form", "kubectl")])]
    pub(crate) node: Option<String>,
    /// Time for which a feature file holds, such as 2h; without it until the file is removed
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<jiff::SignedDuration>,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// The file that an object is written to.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// Write it into this file, whole or not at all, and not to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelForm {
    /// Lines for the feature files of Node Feature Discovery
    Features,
    /// A `NodeFeature` object
    Nodefeature,
    /// A command of kubectl
    Kubectl,
}

fn label_list() -> String {
    let lines = LABELS.iter().map(|label| format!("  {:<24} {}", label.name, label.summary));
    format!("Labels:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
