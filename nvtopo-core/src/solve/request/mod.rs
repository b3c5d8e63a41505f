//! What a job asks for.

mod builder;
mod candidates;
mod decide;
pub(in crate::solve) mod decision;
mod explain;
mod large;
pub(in crate::solve) mod limits;
mod preferred;
mod solver;
mod witness;

pub use builder::Request;
pub use preferred::preferred_allocation;
pub use solver::Solver;
