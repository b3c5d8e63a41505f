//! `pair-sum`: the total over all pairs.
//!
//! Σ over pairs i < j of S of b(i, j), in GB/s, one direction; at equal totals the nearer paths count.

use super::{Objective, Partial, Set, Weight};

pub(super) struct PairSum;

impl Objective for PairSum {
    fn name(&self) -> &'static str {
        "pair-sum"
    }

    fn summary(&self) -> &'static str {
        "the sum of the bandwidths of all pairs in the set"
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Weight {
        partial.sum
    }

    /// The best `missing` sums to the chosen, and the greatest weight for each pair among those that join.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let missing = partial.missing.min(partial.open.len());
        let mut sums: Vec<u64> = partial.open.iter().map(|(_, sum)| sum.0).collect();
        if missing > 0 && missing < sums.len() {
            sums.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a));
        }
        let joins: u64 = sums[..missing].iter().sum();
        let among = (missing * missing.saturating_sub(1) / 2) as u64;
        Weight(partial.sum.0 + joins + among * partial.greatest.0)
    }
}
