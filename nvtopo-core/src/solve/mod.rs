//! Placement: which GPUs for a job, the CPUs, memory and NICs beside each, and which rank uses which.
//!
//! Pure and deterministic: the same topology and request give the same answer, and nothing here reads a file, an
//! environment variable or the state of a process. What is chosen is proven: see [`Proof`].

mod answers;
mod bounded;
mod candidates;
pub mod check;
mod chooser;
mod class;
mod constraint;
mod cpus;
mod criteria;
mod cuda_order;
mod decision;
mod domains;
mod exact;
mod explain;
mod gpu_ref;
mod kept;
mod large;
mod layout;
mod links;
mod matrix;
mod memo;
mod memory_policy;
pub mod mig;
mod mix;
mod needs;
mod nics;
mod no_gpu;
mod node;
pub mod objective;
mod part;
pub mod partition;
mod placement;
mod plan;
mod preferred;
mod quota;
mod rank;
mod ranks;
mod request;
mod score;
mod set;
pub mod simulate;
mod surroundings;
mod unmet;
mod visible;
mod weights;
mod without_gpus;

pub use crate::model::{Share, Shares};
pub use chooser::Chooser;
pub use class::{class_memory, set_class_memory};
pub use constraint::Constraint;
pub use cpus::{
    CPU_POLICIES, Cores, CpuLimits, CpuPolicy, CpuRules, Isolated, Kubelet, KubeletCpus, Smt, core_classes,
    logical_cpus, nic_interrupt_cpus, share_cpus, share_cpus_by,
};
pub use cuda_order::{CudaOrder, OrderBasis};
pub use explain::{Alternative, Explanation, Loss};
pub use gpu_ref::GpuRef;
pub use layout::{Distribution, RankLayout};
pub use matrix::{BestSet, PairMatrix};
pub use memory_policy::MemoryPolicy;
pub use mix::SizeMix;
pub use needs::{HugePageNeed, NodeMemory, NodePages};
pub(crate) use nics::nic_at;
pub use nics::{assign_nics, fair_nics, gpus_per_nic, nearest_nics, nics_of_gpus};
pub use node::{Batch, JobId, Node};
pub use part::Part;
pub(crate) use placement::cuda_environment;
pub use placement::{PlacedGpu, Placement, Proof};
pub use plan::{MAX_LOCAL_RANKS, Plan};
pub use preferred::preferred_allocation;
pub use rank::{LocalRank, RANK_VARIABLES, rank_variables};
pub use ranks::{
    Dimension, DimensionTime, Experts, ParallelJob, RankGroup, RankMap, RankOrder, Traffic, Transformer,
};
pub use request::Request;
pub use score::{Quantity, Score};
pub use unmet::Unmet;
pub use visible::{VISIBILITY_VARIABLES, VisibleDevice, VisibleGpus};
