//! `pair-sum`: the total over all pairs.
//!
//! Σ over pairs i < j of S of b(i, j), in GB/s, one direction; at equal totals the nearer paths count.

use crate::model::Topology;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains, Partial, pairs};
use crate::solve::search::set::{Set, members};
use crate::solve::search::value::Value;

pub(super) struct PairSum;

impl Objective for PairSum {
    fn name(&self) -> &'static str {
        "pair-sum"
    }

    fn summary(&self) -> &'static str {
        "the sum of the bandwidths of all pairs in the set"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Pairs)
    }

    /// A part of the sum is no value of it.
    fn is_known(&self, topology: &Topology, gpus: &[usize], _worth: Weight) -> bool {
        pairs(topology, gpus).all(|pair| pair.rate.is_some())
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        partial.sum.into()
    }

    /// The best `missing` sums to the chosen, and the greatest weight for each pair among those that join.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let mut room = [0; Set::BITS as usize];
        let mut count = 0;
        for gpu in members(partial.open) {
            room[count] = partial.to_chosen[gpu].1.0;
            count += 1;
        }
        let sums = &mut room[..count];
        let missing = partial.missing.min(count);
        if missing > 0 && missing < count {
            sums.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a));
        }
        let joins: u64 = sums[..missing].iter().sum();
        let among = (missing * missing.saturating_sub(1) / 2) as u64;
        Weight(partial.sum.0 + joins + among * partial.greatest.0)
    }
}
