//! The arguments of `nvtopo k8s pod`, `nvtopo k8s policies` and `nvtopo k8s playbook`.

use super::FileArgs;
use crate::args::input::SourceArgs;
use clap::Args;
use nvtopo::solve::HugePageNeed;
use nvtopo::{Bytes, CpuSet, PciAddress};
use nvtopo_k8s::Version;
use nvtopo_k8s::labels::Prefix;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct PodArgs {
    /// Number of GPUs
    #[arg(long, value_name = "N")]
    pub(crate) gpus: usize,
    /// The pod's name
    #[arg(long, value_name = "NAME", default_value = "nvtopo-job")]
    pub(crate) name: String,
    /// The image of its container
    #[arg(long, value_name = "IMAGE", default_value = "nvcr.io/nvidia/pytorch:25.08-py3")]
    pub(crate) image: String,
    /// Claim the GPUs by the `ResourceClaimTemplate` of this name (DRA), and not by a device plugin
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "resource")]
    pub(crate) claim: Option<String>,
    /// The extended resource of the GPUs [default: nvidia.com/gpu]
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) resource: Option<String>,
    /// CPUs for each GPU [default: its share of the machine, as whole cores]
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_gpu: Option<usize>,
    /// CPUs that the kubelet keeps for the system (reservedSystemCPUs)
    #[arg(long, value_name = "CPUS")]
    pub(crate) reserve: Option<CpuSet>,
    /// Memory for each GPU, such as 64GiB [default: three quarters of what is beside it]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_per_gpu: Option<Bytes>,
    /// Huge pages for each GPU, such as 2MiB:1024
    #[arg(long, value_name = "SIZE:N", value_delimiter = ',')]
    pub(crate) hugepages_per_gpu: Vec<HugePageNeed>,
    /// The extended resource of RDMA devices, of which the pod gets one for each GPU
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) rdma: Option<String>,
    /// The prefix of the labels that nodes are selected by
    #[arg(long, value_name = "PREFIX", default_value_t)]
    pub(crate) prefix: Prefix,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PlaybookArgs {
    /// The node's name in the cluster
    #[arg(long, value_name = "NODE")]
    pub(crate) node: String,
    /// The folder that the files are written into; it is made where it is missing
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// The namespace of the jobs
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// The image of the test pods [default: one of NVIDIA's CUDA images]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Memory for each GPU of a test pod [default: three quarters of what is beside it]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_per_gpu: Option<Bytes>,
    /// The prefix of labels
    #[arg(long, value_name = "PREFIX", default_value_t)]
    pub(crate) prefix: Prefix,
    /// The PCI addresses of the GPUs by index, for claims, where the source has none: nvidia-smi --query-gpu=pci.bus_id
    /// --format=csv,noheader
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub(crate) pci_addresses: Vec<PciAddress>,
    /// The version of Kubernetes
    #[arg(long = "for", value_name = "VERSION", default_value_t)]
    pub(crate) version: Version,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PoliciesArgs {
    /// The namespace that they are for
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// Who may ask for more GPUs than one NVLink group has, or for claims: NAMESPACE/SERVICEACCOUNT or NAMESPACE/*
    /// [default: all]
    #[arg(long, value_name = "NAMESPACE/ACCOUNT,…", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// The most GPUs that the namespace may ask for
    #[arg(long, value_name = "N")]
    pub(crate) quota: Option<u64>,
    /// The extended resource of the GPUs
    #[arg(long, value_name = "RESOURCE", default_value = "nvidia.com/gpu")]
    pub(crate) resource: String,
    /// The device class of the GPUs, for claims
    #[arg(long, value_name = "CLASS", default_value = "gpu.nvidia.com")]
    pub(crate) class: String,
    /// The beginnings of the extended resources of RDMA devices [default: rdma/, and those of the networks printed here]
    #[arg(long, value_name = "PREFIX,…", value_delimiter = ',')]
    pub(crate) rdma: Vec<String>,
    /// The prefix of annotations and labels
    #[arg(long, value_name = "PREFIX", default_value_t)]
    pub(crate) prefix: Prefix,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}
