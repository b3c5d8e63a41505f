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
pub use crate::query::{assign_nics, fair_nics, gpus_per_nic, nearest_nics, nics_of_gpus};
pub use allocator::{Allocator, Batch, JobId};
pub use chooser::Chooser;
pub use constraint::Constraint;
pub use cpus::shares::{Share, Shares};
pub use cpus::{
    CPU_POLICIES, Cores, CpuLimits, CpuPolicy, CpuRules, Isolated, Kubelet, KubeletCpus, Smt, core_classes,
    logical_cpus, nic_interrupt_cpus, share_cpus, share_cpus_by, split_cpus,
};
pub use launch::{MAX_LOCAL_RANKS, MemoryPolicy, Part, Plan};
pub use matrix::{BestByNumbers, BestSet, NumberMatrix, PairMatrix, PairObjective};
pub use objective::mix::SizeMix;
pub use placement::amounts::{HugePageNeed, NodeMemory, NodePages};
pub use placement::explain::{Alternative, Explanation, Loss};
pub use placement::score::Score;
pub use placement::{PlacedGpu, Placement, Proof, Unmet};
pub use process::cuda_order::{CudaOrder, OrderBasis};
pub use process::gpu_ref::{GpuRef, VisibleDevice};
pub use process::layout::{Distribution, RankLayout};
pub use process::rank::{LocalRank, RANK_VARIABLES, rank_variables};
pub(crate) use process::visible::cuda_environment;
pub use process::visible::{VISIBILITY_VARIABLES, VisibleGpus};
pub use quantity::Quantity;
pub use ranks::{
    Dimension, DimensionTime, Experts, ParallelJob, RankGroup, RankMap, RankOrder, Traffic, Transformer,
};
pub use request::{AllowedSets, Request, Solver, preferred_allocation};
pub use search::set::joint_gpus;
pub use search::tolerance::Tolerance;
