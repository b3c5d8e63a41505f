//! The CPUs and memory of each GPU.

use crate::cpuset::{CpuSet, NodeSet};

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
