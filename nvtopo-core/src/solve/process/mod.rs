//! A process of a job: its local rank, the GPUs that it sees, and the names by which it asks for them.

mod cuda_order;
mod gpu_ref;
mod layout;
mod rank;
mod visible;

pub use cuda_order::{CudaOrder, OrderBasis};
pub use gpu_ref::{GpuRef, VisibleDevice};
pub(super) use gpu_ref::{
    Match, by_model, find_instance, is_admitted, listed, no_gpu, no_gpu_error, resolve_names,
};
pub use layout::{Distribution, RankLayout};
pub use rank::{LocalRank, RANK_VARIABLES, rank_variables};
pub(crate) use visible::cuda_environment;
pub(super) use visible::divided;
pub use visible::{VISIBILITY_VARIABLES, VisibleGpus};
