//! `min-pair`: the bottleneck pair.
//!
//! min over pairs i < j of S of b(i, j), in GB/s, one direction. b is the bandwidth of the pair's best path
//! ([`Topology::pairs`](crate::Topology::pairs)); at equal bandwidth the worse path class counts.

use super::{Objective, Partial, Set, Weight};

pub(super) struct MinPair;

impl Objective for MinPair {
    fn name(&self) -> &'static str {
        "min-pair"
    }

    fn summary(&self) -> &'static str {
        "the bandwidth of the worst pair in the set"
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Weight {
        // One GPU has no pair; all single GPUs are alike.
        if partial.worst == Weight::MAX { Weight::default() } else { partial.worst }
    }

    /// `missing` of the open candidates join, so the worst of the best `missing` of them limits the set.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let mut worst: Vec<Weight> = partial.open.iter().map(|(worst, _)| *worst).collect();
        let joins = match partial.missing {
            0 => Weight::MAX,
            missing if missing > worst.len() => Weight::default(),
            missing => *worst.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a)).1,
        };
        partial.worst.min(joins).min(partial.greatest)
    }
}
