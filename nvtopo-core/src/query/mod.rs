//! What can be asked of a topology. Pure: no input or output, and nothing that decides.

mod affinity;
mod collective;
mod groups;
mod health;
mod paths;
mod rate_classes;

#[cfg(test)]
pub(crate) use collective::LOOKS_LEFT;
pub use collective::{Ring, Rings};
pub(crate) use collective::{cycle, ring_core};
pub use health::GpuFault;
