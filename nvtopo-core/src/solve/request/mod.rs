//! Requests for GPUs, and the decisions on them.

pub(super) mod allowed;
mod builder;
mod candidates;
mod decide;
pub(super) mod decision;
mod preferred;
mod solver;

pub use allowed::AllowedSets;
pub use builder::Request;
pub use preferred::preferred_allocation;
pub use solver::Solver;
