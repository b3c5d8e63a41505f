//! `tree` and `all-to-all`: the bandwidth of NVLink over every cut through the set.
//!
//! [`Topology::tree_bandwidth`] and [`Topology::all_to_all_bound`], in GB/s, one direction. One GPU has the value 0. A set whose
//! value is unknown is compared as if its value were 0.

use super::reach::{self, nvlinks_are_known};
use crate::model::Topology;
use crate::query::{MAX_EXACT, Weight};
use crate::solve::search::objective::{Objective, Partial};
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

pub(super) struct Cuts {
    name: &'static str,
    summary: &'static str,
    carried: fn(&Topology, &[usize]) -> Option<Bandwidth>,
}

/// The `tree` objective. The cut around one GPU has the rest on one side, whose size times the share of the cut is what the GPU
/// can send.
pub(super) static TREE: Cuts = Cuts {
    name: "tree",
    summary: "what trees of NVLink through the set carry together, as for all-gather",
    carried: Topology::tree_bandwidth,
};

/// The `all-to-all` objective. The cut around one GPU is what it can send.
pub(super) static ALL_TO_ALL: Cuts = Cuts {
    name: "all-to-all",
    summary: "what each GPU of the set can send over NVLink at most when all send to all",
    carried: Topology::all_to_all_bound,
};

impl Objective for Cuts {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.links().interchangeable(a, b)
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        let is_computed = || (self.carried)(topology, gpus).is_some();
        worth.bandwidth() > Bandwidth::ZERO
            || gpus.len() < 2
            || (nvlinks_are_known(topology, gpus) && is_computed())
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let weights = partial.weights;
        weights.memo.value(self.name, partial.chosen, || {
            let gpus = weights.positions(partial.chosen);
            let carried = (self.carried)(weights.topology(), &gpus);
            // Every cut is examined, unless there are too many.
            let proven = gpus.len() <= MAX_EXACT;
            let effort = if proven { 1 << gpus.len() >> 3 } else { 0 };
            Value { worth: carried.map_or_else(Weight::default, Weight::of), proven, effort }
        })
    }

    fn bound(&self, partial: &Partial<'_>) -> Weight {
        reach::weakest(partial)
    }
}
