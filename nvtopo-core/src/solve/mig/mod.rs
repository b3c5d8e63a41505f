//! Instances of MIG-enabled GPUs: the placement of a new one that leaves most room for further ones.
//!
//! An instance has no NVLink, whatever its GPU has; the choice of GPU depends on the room left, not on paths.

mod geometry;
mod request;

pub use geometry::{FOUR_SLICES, MigGeometry, MigProfile, SEVEN_SLICES};
pub use request::{InstancePlacement, InstanceRequest, InstanceSize};
