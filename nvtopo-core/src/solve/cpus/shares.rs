//! The rules by which CPUs are dealt out, and the resulting share of each GPU.

use super::limits::{CpuLimits, Smt};
use super::policy::CpuPolicy;
use crate::cpuset::{CpuSet, NodeSet};
use crate::solve::process::RankLayout;

/// The share of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Its CPUs.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
}

/// The shares of all GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shares {
    /// The shares, by position in [`Topology::gpus`](crate::Topology::gpus).
    pub gpus: Vec<Share>,
    /// The positions of the GPUs none of whose near CPUs may be used.
    pub strays: Vec<usize>,
    /// Remarks for people: shared or remote CPUs, unknown locality.
    pub remarks: Vec<String>,
}

/// The rules by which CPUs are dealt out to the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRules {
    /// The policy.
    pub policy: CpuPolicy,
    /// The use of sibling threads.
    pub smt: Smt,
    /// The CPUs to deal out.
    pub limits: CpuLimits,
    /// The number of GPUs and cores for each rank of a plan. Shares of GPUs do not depend on it.
    pub layout: RankLayout,
}

impl From<&CpuLimits> for CpuRules {
    /// The default rules within limits.
    fn from(limits: &CpuLimits) -> Self {
        Self { limits: limits.clone(), ..Self::default() }
    }
}
