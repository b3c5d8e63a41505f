//! `all-to-all`: what each GPU of the set can send at most when all send to all over NVLink.
//!
//! [`Topology::all_to_all_bound`](crate::Topology::all_to_all_bound), in GB/s, one direction. One GPU is worth nothing by it.
//! A set whose value is unknown is compared as if worth nothing.

use super::reach::{self, nvlinks_are_known};
use super::tree;
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, Partial};
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

pub(super) struct AllToAll;

impl Objective for AllToAll {
    fn name(&self) -> &'static str {
        "all-to-all"
    }

    fn summary(&self) -> &'static str {
        "what each GPU of the set can send over NVLink at most when all send to all"
    }

    fn twins(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.links().twins(a, b)
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        worth.bandwidth() > Bandwidth::ZERO || gpus.len() < 2 || nvlinks_are_known(topology, gpus)
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let weights = partial.weights;
        weights.memo.value(self.name(), partial.chosen, || {
            let gpus = weights.positions(partial.chosen);
            let worth = weights.topology().all_to_all_bound(&gpus).map_or_else(Weight::default, Weight::of);
            Value { worth, proven: true, effort: tree::effort(gpus.len()) }
        })
    }

    /// The cut around one GPU is what it can send.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        reach::weakest(partial)
    }
}
