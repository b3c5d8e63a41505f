//! The arguments of `nvtopo k8s kubelet predict`. What the kubelet has an option for, has its name here.

use super::super::input::{JsonArgs, SourceArgs};
use clap::{Args, ValueEnum};
use nvtopo::CpuSet;
use nvtopo::solve::SizeMix;
use nvtopo_k8s::Version;
use nvtopo_k8s::kubelet::predict::{Policy, Scope, Taken, USUAL_LIMIT};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct PredictArgs {
    /// The pod, as YAML or JSON
    #[arg(long, value_name = "FILE", required_unless_present = "mix", conflicts_with = "mix")]
    pub(crate) pod: Option<PathBuf>,
    /// Not one pod but many: sizes in GPUs with their weights, such as 1:.5,4:.3,8:.2. Can nodes come to a state in which
    /// the scheduler sends pods and the kubelet refuses them, again and again?
    #[arg(long, value_name = "SIZE:WEIGHT,…")]
    pub(crate) mix: Option<SizeMix>,
    /// The CPUs that a pod of the mix asks for with each GPU; without it it is not Guaranteed
    #[arg(long, value_name = "N", requires = "mix")]
    pub(crate) mix_cpus: Option<u64>,
    /// The most states of a node that are walked through for a mix
    #[arg(long, value_name = "N", default_value_t = USUAL_LIMIT)]
    pub(crate) states: usize,
    /// The kubelet's configuration, from which all settings of its managers are taken; see what it says with
    /// 'nvtopo k8s kubelet lint'
    #[arg(long, value_name = "FILE", conflicts_with_all = ["topology_manager_policy_options", "cpu_manager_policy",
        "cpu_manager_policy_options", "reserved_cpus", "reserved_memory"])]
    pub(crate) config: Option<PathBuf>,
    /// The version of Kubernetes: before 1.37 the kubelet looks for devices on all NUMA nodes, not on those that have some
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    /// The policy: none, best-effort, restricted or single-numa-node; without it that of --config, else all
    #[arg(long, value_name = "POLICY")]
    pub(crate) topology_manager_policy: Option<Policy>,
    /// The scope of the policy: container or pod; without it that of --config, else both
    #[arg(long, value_name = "SCOPE", conflicts_with = "mix")]
    pub(crate) topology_manager_scope: Option<Scope>,
    /// Options of the topology manager, such as prefer-closest-numa-nodes=true,max-allowable-numa-nodes=16
    #[arg(long, value_name = "OPTIONS", default_value = "")]
    pub(crate) topology_manager_policy_options: String,
    /// The CPU manager
    #[arg(long, value_name = "POLICY", default_value = "static")]
    pub(crate) cpu_manager_policy: CpuManager,
    /// Options of the CPU manager, such as full-pcpus-only=true,align-by-socket=true
    #[arg(long, value_name = "OPTIONS", default_value = "")]
    pub(crate) cpu_manager_policy_options: String,
    /// The CPUs that no container gets for itself
    #[arg(long, value_name = "CPUS")]
    pub(crate) reserved_cpus: Option<CpuSet>,
    /// The memory manager Static with the memory reserved on a node, such as 0:memory=1Gi; once for each node
    #[arg(long, value_name = "NODE:KIND=SIZE,…", value_delimiter = ';')]
    pub(crate) reserved_memory: Vec<String>,
    /// The devices behind an extended resource: NAME=gpus, NAME=nics, or NAME= and names of devices; nvidia.com/gpu=gpus
    /// is known
    #[arg(long, value_name = "NAME=DEVICES", value_delimiter = ';')]
    pub(crate) devices: Vec<String>,
    /// Preference of the device plugin where it is asked
    #[arg(long, value_name = "PLUGIN", default_value = "linked")]
    pub(crate) plugin: PluginKind,
    /// Devices and CPUs that are taken: GPUs, and CPUs behind a slash, such as 0,3/8-15
    #[arg(long, value_name = "GPUS/CPUS")]
    pub(crate) taken: Option<Taken>,
    /// A checkpoint file of the kubelet that says what is taken: `cpu_manager_state`, `memory_manager_state`,
    /// `kubelet_internal_checkpoint`
    #[arg(long, value_name = "FILE", value_delimiter = ';')]
    pub(crate) state: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CpuManager {
    /// No container gets CPUs for itself
    None,
    /// Guaranteed containers with whole CPUs get them for themselves
    Static,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    /// GPUs that are linked best
    Linked,
    /// Nothing: the kubelet takes any
    Silent,
}
