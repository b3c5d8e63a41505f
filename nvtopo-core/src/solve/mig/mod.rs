//! Instances of divided GPUs (MIG): where a new one should lie so that most of what may come next still fits.
//!
//! An instance has no NVLink, whatever its GPU has; which GPU is chosen depends on what is left, not on paths.

mod geometry;
mod request;

pub use geometry::{FOUR_SLICES, MigGeometry, MigProfile, SEVEN_SLICES};
pub use request::{InstancePlacement, InstanceRequest, InstanceSize};
