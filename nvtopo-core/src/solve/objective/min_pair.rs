//! `min-pair`: the bandwidth of the bottleneck pair.
//!
//! min over pairs i < j of S of b(i, j), in GB/s, one direction. b is the bandwidth of the pair's best path
//! ([`Topology::pairs`](crate::Topology::pairs)); at equal bandwidth the worse path class counts.

use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains, Partial, Threshold};
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;

pub(super) struct MinPair;

impl Objective for MinPair {
    fn name(&self) -> &'static str {
        "min-pair"
    }

    fn summary(&self) -> &'static str {
        "the bandwidth of the worst pair in the set"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Within)
    }

    fn threshold(&self) -> Option<Threshold> {
        Some(Threshold::Pairs)
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        // One GPU has no pair; all single GPUs are equal.
        if partial.worst == Weight::MAX { Weight::default().into() } else { partial.worst.into() }
    }

    /// Returns an upper bound: the `missing`-th best of the open candidates limits the set.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let joins = partial.worst_to_join(|gpu| partial.to_chosen[gpu].0);
        partial.worst.min(joins).min(partial.greatest)
    }
}
