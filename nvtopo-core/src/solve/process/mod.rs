//! A process of a job: its local rank, the GPUs that it sees, and the names by which it asks for them.

pub(in crate::solve) mod cuda_order;
pub(in crate::solve) mod gpu_ref;
pub(in crate::solve) mod layout;
pub(in crate::solve) mod no_gpu;
pub(in crate::solve) mod rank;
pub(in crate::solve) mod visible;
