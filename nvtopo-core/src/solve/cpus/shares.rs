//! The rules by which CPUs are dealt out, and what each GPU gets by them.

use super::limits::{CpuLimits, Smt};
use super::policy::CpuPolicy;
use crate::cpuset::{CpuSet, NodeSet};
use crate::solve::process::layout::RankLayout;

/// The share of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Its CPUs.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
}

/// The shares of all GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// By position in [`Topology::gpus`](crate::Topology::gpus).
    pub gpus: Vec<Share>,
    /// The positions of the GPUs none of whose near CPUs may be used.
    pub strays: Vec<usize>,
    /// What a person should know: shared or remote CPUs, unknown locality.
    pub remarks: Vec<String>,
}

/// How CPUs are dealt out to the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRules {
    /// By which policy.
    pub policy: CpuPolicy,
    /// Whether siblings are used.
    pub smt: Smt,
    /// Which CPUs there are to deal out.
    pub limits: CpuLimits,
    /// How many GPUs and cores each rank of a plan gets. Shares of GPUs do not go by it.
    pub layout: RankLayout,
}
