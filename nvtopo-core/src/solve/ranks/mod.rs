//! Ranks: which rank of a parallel job uses which GPU, such that the job communicates fastest.
//!
//! Launchers give local rank n the n-th visible GPU and know nothing of links; Megatron-core and DeepSpeed then build
//! their groups from ranks alone. Here the groups stay as they build them, and the GPUs are dealt out to the ranks.
//!
//! Up to 8 ranks the answer is exact: every mapping is examined or excluded, but for those that only exchange ranks
//! which the groups cannot tell apart. Beyond, groups are packed into NVLink groups and NUMA nodes, each of them is
//! searched exactly, and a bound says how much better any mapping could be. What one transfer takes from another on the
//! way (a shared PCIe link, overlap with computation) is left out.

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
