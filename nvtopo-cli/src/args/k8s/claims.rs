//! The arguments of `nvtopo k8s claims`, `taints` and `resource-topology`.

use super::FileArgs;
use crate::args::input::SourceArgs;
use clap::{Args, Subcommand};
use nvtopo::source::Locator;
use nvtopo::{CpuSet, PciAddress};
use nvtopo_k8s::Version;
use nvtopo_k8s::claims::TaintEffect;
use nvtopo_k8s::kubelet::predict::{Policy, Scope};
use std::path::PathBuf;

/// A claim names GPUs by their PCI addresses, which NVIDIA's DRA driver publishes: it holds for nodes whose GPUs have the same.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[allow(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(crate) struct ClaimsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ClaimsCommand>,
    /// Number of GPUs
    #[arg(long, value_name = "N", required = true)]
    pub(crate) gpus: Option<usize>,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    /// The name of the template [default: gpus-N]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The device class of the GPUs
    #[arg(long, value_name = "CLASS", default_value = "gpu.nvidia.com")]
    pub(crate) class: String,
    /// Objectives, most important first; the defaults break ties. See nvtopo place
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) objective: Vec<String>,
    /// A table of the sets that may be used, one a line (0,1 or 4-7), such as Fabric Manager's partitions
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed: Option<PathBuf>,
    /// Any GPUs as the last alternative
    #[arg(long)]
    pub(crate) any: bool,
    /// Claim the RDMA NIC of each GPU too, from dranet
    #[arg(long)]
    pub(crate) rdma: bool,
    /// Claim so many CPUs beside each GPU too, from dra-driver-cpu
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_gpu: Option<usize>,
    /// Derived attributes (an alpha of 1.37): one request for any GPUs of one NVLink group, or requests tied to one another
    #[arg(long, conflicts_with_all = ["any", "allowed"])]
    pub(crate) derived: bool,
    /// Print examples of the device classes too
    #[arg(long)]
    pub(crate) device_classes: bool,
    /// The PCI addresses of the GPUs by index, where the source has none: nvidia-smi --query-gpu=pci.bus_id
    /// --format=csv,noheader
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub(crate) pci_addresses: Vec<PciAddress>,
    /// Another node that the claims are for: checked to have the same GPUs at the same addresses. Can be repeated
    #[arg(long, value_name = "SOURCE")]
    pub(crate) with_node: Vec<Locator>,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClaimsCommand {
    /// Tell which devices of a cluster's slices a claim is given, whether there are better ones, and what breaks it
    Check(Box<CheckArgs>),
}

/// Slices, classes and other claims are read as kubectl prints them: kubectl get resourceslices,deviceclasses,resourceclaims -A
/// -o yaml. Claims that have devices keep them.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// A file of claims or templates of them
    #[arg(value_name = "CLAIM")]
    pub(crate) claim: PathBuf,
    /// A file of slices, and of classes and other claims. Can be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) slices: Vec<PathBuf>,
    /// The node; needed where the slices are of several
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Devices that others have: gpu-0, or gpu.nvidia.com/POOL/gpu-0
    #[arg(long, value_name = "DEVICE,…", value_delimiter = ',')]
    pub(crate) taken: Vec<String>,
    /// Check only the claims of these names
    #[arg(long = "claim", value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    /// The gate `DRAListTypeAttributes` is on
    #[arg(long)]
    pub(crate) list_attributes: bool,
    /// The node's topology, to tell whether there are better GPUs. See nvtopo show
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Vec<Locator>,
    /// The PCI addresses of the GPUs by index, where the topology has none
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',', requires = "from")]
    pub(crate) pci_addresses: Vec<PciAddress>,
    #[command(flatten)]
    pub(crate) file: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TaintsArgs {
    /// The node's name
    #[arg(long, value_name = "NODE")]
    pub(crate) node: String,
    /// A file of the node's slices, which tell the devices' names
    #[arg(long, value_name = "FILE")]
    pub(crate) slices: Option<PathBuf>,
    /// Effect of the taints: `NoSchedule`, or `NoExecute`, which evicts pods as well
    #[arg(long, value_name = "EFFECT", default_value_t)]
    pub(crate) effect: TaintEffect,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ResourceTopologyArgs {
    /// The node's name
    #[arg(long, value_name = "NODE")]
    pub(crate) node: String,
    /// The topology manager's policy on it
    #[arg(long, value_name = "POLICY")]
    pub(crate) topology_manager_policy: Option<Policy>,
    /// The topology manager's scope
    #[arg(long, value_name = "SCOPE")]
    pub(crate) topology_manager_scope: Option<Scope>,
    /// CPUs that the kubelet keeps for the system (reservedSystemCPUs)
    #[arg(long, value_name = "CPUS")]
    pub(crate) reserve: Option<CpuSet>,
    /// The extended resource of the GPUs
    #[arg(long, value_name = "RESOURCE", default_value = "nvidia.com/gpu")]
    pub(crate) resource: String,
    /// The extended resource of the NICs
    #[arg(long, value_name = "RESOURCE", default_value = "rdma/nic")]
    pub(crate) rdma: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}
