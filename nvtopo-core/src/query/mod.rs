//! Queries of a topology. Pure: no input or output, and no decisions.

mod affinity;
mod collective;
pub mod diff;
mod groups;
mod health;
mod lost;
mod nics;
mod paths;
mod rate_classes;
mod weight;

#[cfg(test)]
pub(crate) use collective::LOOKS_LEFT;
pub(crate) use collective::{MAX_CYCLE_LOOKS, MAX_EXACT, Room, cycle, host_rings, part_of, ring_core};
pub use collective::{Ring, Rings};
pub use health::GpuFault;
pub use lost::{LostPart, NvLinkChoice};
pub use nics::{assign_nics, fair_nics, gpus_per_nic, nearest_nics, nics_of_gpus};
pub(crate) use nics::{assign_within, bottleneck, nic_at, repeated, to_nics, usable_nics};
pub use weight::Weight;
pub(crate) use weight::of_pair;
