//! Collectives of a set of GPUs: rings, trees and all-to-all over NVLink, without choosing anything.
//!
//! Bandwidths are bounds of the wires ("bus bandwidth"), not of an implementation. Rings take the paths of NCCL's
//! planning code: direct NVLinks, relays, PCIe. NVLink paths over a third GPU outside the set do not count.

mod cuts;
mod cycles;
mod directed;
mod fabric;
mod fraction;
mod hamilton;
mod hops;
mod packing;
mod plan;
mod planned;
mod program;
mod rings;
mod spread;

use crate::model::Topology;

/// The most members for which all sets or cycles are examined.
pub(crate) const MAX_EXACT: usize = 16;

/// Returns the positions of GPUs as a set, increasing. `None`: fewer than two, one twice, or one that does not exist.
fn members(topology: &Topology, gpus: &[usize]) -> Option<Vec<usize>> {
    let mut set = gpus.to_vec();
    set.sort_unstable();
    let sound = set.windows(2).all(|pair| pair[0] < pair[1]) && *set.last()? < topology.gpus().len();
    (set.len() >= 2 && sound).then_some(set)
}

pub(crate) use cycles::{MAX_LOOKS as MAX_CYCLE_LOOKS, cycle, ring_core};
pub(crate) use fabric::part_of;
#[cfg(test)]
pub(crate) use packing::LOOKS_LEFT;
pub(crate) use planned::Room;
pub(crate) use rings::host_rings;
pub use rings::{Ring, Rings};
