//! Placement: the GPUs for a job, the CPUs, memory and NICs local to each, and the GPUs of each rank.
//!
//! Pure and deterministic: the same topology and request give the same answer, and nothing here reads a file, an environment
//! variable or the state of a process. Answers state whether they are proven: see [`Proof`].

mod allocator;
pub mod check;
mod chooser;
mod constraint;
mod cpus;
mod launch;
mod matrix;
pub mod mig;
pub mod objective;
mod placement;
mod process;
mod quantity;
mod ranks;
mod request;
mod search;

pub(crate) use crate::query::nic_at;
pub use crate::query::{assign_nics, gpus_per_nic, nics_of_gpus};
pub use allocator::{Allocator, Batch, JobId};
pub use constraint::Constraint;
pub use cpus::{CPU_POLICIES, core_classes, logical_cpus};
pub use launch::MAX_LOCAL_RANKS;
pub use matrix::{BestByNumbers, BestSet, NumberMatrix, PairMatrix, PairObjective};
pub use objective::mix::SizeMix;
pub use placement::Unmet;
pub use placement::amounts::{HugePageNeed, NodeMemory, NodePages};
pub use placement::explain::{Alternative, Explanation, Loss};
pub(crate) use process::cuda_environment;
pub use process::{
    Distribution, OrderBasis, RANK_VARIABLES, VISIBILITY_VARIABLES, VisibleDevice, rank_variables,
};
pub use quantity::Quantity;
pub use ranks::{Dimension, DimensionTime, Experts, RankGroup, Traffic, Transformer};
pub use request::{AllowedSets, preferred_allocation};
pub use search::set::joint_gpus;
pub use search::tolerance::Tolerance;

/// The names that are public at the root of the crate, and only there.
pub(crate) mod root {
    pub use super::chooser::Chooser;
    pub use super::cpus::shares::{Share, Shares};
    pub use super::cpus::{
        Cores, CpuLimits, CpuPolicy, CpuRules, Isolated, Kubelet, KubeletCpus, Smt, nic_interrupt_cpus,
        share_cpus, split_cpus,
    };
    pub use super::launch::{MemoryPolicy, Part, Plan};
    pub use super::placement::score::Score;
    pub use super::placement::{PlacedGpu, Placement, Proof};
    pub use super::process::{CudaOrder, GpuRef, LocalRank, RankLayout, VisibleGpus};
    pub use super::ranks::{ParallelJob, RankMap, RankOrder};
    pub use super::request::{Request, Solver};
    pub use crate::query::{fair_nics, nearest_nics};
}

pub(crate) use root::*;
