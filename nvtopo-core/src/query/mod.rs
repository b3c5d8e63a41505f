//! What can be asked of a topology. Pure: no input or output, and nothing that decides.

mod affinity;
mod collective;
mod groups;
mod health;
mod paths;

#[cfg(test)]
pub(crate) use collective::LOOKS_LEFT;
pub use collective::{Ring, Rings};
pub use health::GpuFault;
