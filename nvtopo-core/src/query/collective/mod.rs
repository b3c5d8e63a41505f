//! What a set of GPUs can do together: rings, trees and all-to-all over NVLink, without choosing anything.
//!
//! Bandwidths are bounds of the wires ("bus bandwidth"), not of an implementation. What two GPUs share over a third that
//! is not of the set does not count, nor do PCIe and NVLink at once.

mod cuts;
mod fabric;
mod hamilton;
mod packing;
mod rings;
mod spread;

pub use rings::{Ring, Rings};
