//! Values of sets of GPUs, and the encodings of values that are no bandwidth: NUMA nodes that a set spans, and shares of what is
//! left.

use crate::query::Weight;

/// The value of a set, and whether it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value; greater is better.
    pub worth: Weight,
    /// True if this is the exact value, false if it is a lower bound.
    pub proven: bool,
    /// The work of computing it, in steps of the search for the best set.
    pub effort: u32,
}

/// The bits of a packed value that hold the effort, in units of sixteen steps.
const EFFORT_BITS: u32 = 14;

impl Value {
    /// Packs the value in one number, which is never 0.
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

/// The bits below the nodes that hold the shortcomings of GPUs, three of each at most: no topology has a third as many devices.
const SHORT_BITS: u32 = 13;

/// The greatest cost of a set, since a GPU is local to fewer nodes than there are numbers for.
const MOST: u64 = (1 << (u32::BITS + SHORT_BITS)) - 1;

/// Returns the cost of a number of nodes, with how often GPUs have unknown nodes, or no CPU or no memory beside them. Costs of
/// sets that share no node add up.
pub(in crate::solve) const fn numa_cost(nodes: u64, short: u64) -> u64 {
    nodes.saturating_mul(1 << SHORT_BITS).saturating_add(short)
}

/// Returns the value of a set by its cost.
pub(in crate::solve) fn numa_worth(cost: u64) -> Weight {
    Weight(MOST.saturating_sub(cost))
}

/// Returns the number of nodes that a value stands for.
pub(in crate::solve) fn numa_nodes(worth: Weight) -> u32 {
    (MOST.saturating_sub(worth.0) >> SHORT_BITS) as u32
}

/// The whole in millionths, and the weight of a job of one GPU, whose bandwidth is not nothing.
pub(in crate::solve) const ONE: u64 = 1_000_000;

/// Returns the mean share of what an empty machine gives that jobs find, weighted by the frequency of their sizes.
pub(in crate::solve) fn share(mix: &[(usize, u64)], mut of: impl FnMut(usize) -> (Weight, Weight)) -> Weight {
    let parts = mix.iter().map(|(size, often)| {
        let (left, all) = of(*size);
        often * part(left, all)
    });
    Weight(parts.sum())
}

/// Returns that share where every job that fits finds all that an empty machine gives it.
pub(in crate::solve) fn all_found(mix: &[(usize, u64)], left: usize) -> Weight {
    let fitting = mix.iter().filter(|(size, _)| *size <= left);
    Weight(fitting.map(|(_, often)| often * ONE).sum())
}

/// Returns a bandwidth as millionths of another, at most one million. Paths do not count: a share of a path has no meaning. `of`
/// exceeds `all` only where the search for `all` had to stop.
pub(in crate::solve) fn part(of: Weight, all: Weight) -> u64 {
    let (of, all) = (of.bandwidth().as_mb_per_s(), all.bandwidth().as_mb_per_s());
    (u128::from(of) * u128::from(ONE)).checked_div(all.into()).unwrap_or(0).min(u128::from(ONE)) as u64
}
