//! Rank mapping: an assignment of the ranks of a parallel job to GPUs such that the job communicates fastest.
//!
//! Launchers give local rank n the n-th visible GPU and do not know the links; Megatron-core and DeepSpeed then build
//! their groups from ranks alone. Here the groups stay as they build them, and the GPUs are permuted.
//!
//! Up to 8 ranks the result is exact: every mapping is examined or excluded, except for those that differ by a symmetry
//! of the groups. Beyond, groups are packed into NVLink groups and NUMA nodes, each of them is searched exactly, and a
//! lower bound limits how much better any mapping could be. Interference between transfers (a shared PCIe link, overlap
//! with computation) is not modelled.

mod cost;
mod exact;
mod groups;
mod large;
mod map;
mod order;
mod parallel;
mod symmetry;
mod traffic;

pub use map::{DimensionTime, RankGroup, RankMap};
pub use order::{Dimension, RankOrder};
pub use parallel::ParallelJob;
pub use traffic::{Experts, Traffic, Transformer};
