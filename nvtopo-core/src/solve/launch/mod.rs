//! The ranks of this machine: the part of one, and the plan of all.

mod devices;
mod layout;
mod memory_policy;
mod part;
mod plan;
mod without_gpus;

pub use memory_policy::MemoryPolicy;
pub use part::Part;
pub use plan::{MAX_LOCAL_RANKS, Plan};
