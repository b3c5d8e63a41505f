//! The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server as one graph, and the best GPUs for a job.
#![doc = ""]

pub mod apply;
mod cpuset;
mod error;
mod ids;
pub mod model;
mod query;
pub mod render;
#[cfg(feature = "schema")]
pub mod schema;
pub mod solve;
pub mod source;
mod sys;
mod units;

pub use cpuset::{CpuSet, MAX_INDEX, NodeSet};
pub use error::{Error, ErrorKind, Result};
pub use ids::{GpuUuid, PciAddress};
pub use model::{PathType, Topology};
pub use solve::{
    CpuLimits, GpuRef, LocalRank, Part, PlacedGpu, Placement, Proof, Request, Score, Share, Shares,
    nearest_nics, share_cpus, visible_gpus,
};
pub use units::{Bandwidth, Bytes};
