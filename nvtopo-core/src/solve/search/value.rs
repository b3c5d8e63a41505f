//! The value of a set of GPUs, and worths that are no bandwidth: NUMA nodes that a set spans, and shares of what is left.

use crate::query::Weight;

/// What a set is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// How good it is; greater is better.
    pub worth: Weight,
    /// Whether that is all that it is worth, and not just what was found of it.
    pub proven: bool,
    /// How much work it was to find out, in steps of the search for the best set.
    pub effort: u32,
}

/// Bits of a packed value that hold the effort, of which sixteen steps are the least that is told apart.
const EFFORT_BITS: u32 = 14;

impl Value {
    /// In one number, which is never 0.
    pub(super) fn pack(self) -> u64 {
        let effort = u64::from(self.effort / 16).min((1 << EFFORT_BITS) - 1);
        ((self.worth.0 << EFFORT_BITS | effort) << 1 | u64::from(self.proven)).wrapping_add(1)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let packed = packed.wrapping_sub(1);
        let effort = (packed >> 1) as u32 % (1 << EFFORT_BITS) * 16;
        Self { worth: Weight(packed >> (EFFORT_BITS + 1)), proven: packed & 1 == 1, effort }
    }
}

impl From<Weight> for Value {
    fn from(worth: Weight) -> Self {
        Self { worth, proven: true, effort: 0 }
    }
}

/// Bits below the nodes that hold the number of GPUs whose nodes are unknown: no topology has as many devices.
const UNKNOWN_BITS: u32 = 12;

/// No set costs more, since a GPU is near to fewer nodes than there are numbers for.
const MOST: u64 = (1 << (u32::BITS + UNKNOWN_BITS)) - 1;

/// The cost of a number of nodes, with a number of GPUs whose nodes are unknown. Costs of sets that share no node add up.
pub(in crate::solve) const fn numa_cost(nodes: u64, unknown: u64) -> u64 {
    nodes.saturating_mul(1 << UNKNOWN_BITS).saturating_add(unknown)
}

/// The worth of a set by its cost.
pub(in crate::solve) fn numa_worth(cost: u64) -> Weight {
    Weight(MOST.saturating_sub(cost))
}

/// The number of nodes that a worth stands for.
pub(in crate::solve) fn numa_nodes(worth: Weight) -> u32 {
    (MOST.saturating_sub(worth.0) >> UNKNOWN_BITS) as u32
}

/// The whole in millionths, and as a weight what a job of one GPU finds, whose bandwidth is not nothing.
pub(in crate::solve) const ONE: u64 = 1_000_000;

/// The parts that jobs find of what an empty machine gives them, by how often they come.
pub(in crate::solve) fn share(mix: &[(usize, u64)], mut of: impl FnMut(usize) -> (Weight, Weight)) -> Weight {
    let parts = mix.iter().map(|(size, often)| {
        let (left, all) = of(*size);
        often * part(left, all)
    });
    Weight(parts.sum())
}

/// The same where every job that is not larger than what is left finds all that it would on an empty machine.
pub(in crate::solve) fn all_found(mix: &[(usize, u64)], left: usize) -> Weight {
    let fitting = mix.iter().filter(|(size, _)| *size <= left);
    Weight(fitting.map(|(_, often)| often * ONE).sum())
}

/// How many millionths of a bandwidth another is, all of them at most. Paths do not count: as parts they mean nothing. More than
/// all is found where the search for all had to stop.
pub(in crate::solve) fn part(of: Weight, all: Weight) -> u64 {
    let (of, all) = (of.bandwidth().as_mb_per_s(), all.bandwidth().as_mb_per_s());
    (u128::from(of) * u128::from(ONE)).checked_div(all.into()).unwrap_or(0).min(u128::from(ONE)) as u64
}
