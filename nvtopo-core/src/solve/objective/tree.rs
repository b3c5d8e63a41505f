//! `tree`: what trees of NVLink through the set carry together, as for all-gather.
//!
//! [`Topology::tree_bandwidth`](crate::Topology::tree_bandwidth), in GB/s, one direction. One GPU is worth nothing by it. A set
//! whose value is unknown is compared as if worth nothing.

use super::reach::{self, nvlinks_are_known};
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, Partial};
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

pub(super) struct Tree;

impl Objective for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn summary(&self) -> &'static str {
        "what trees of NVLink through the set carry together, as for all-gather"
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
            let worth = weights.topology().tree_bandwidth(&gpus).map_or_else(Weight::default, Weight::of);
            Value { worth, proven: true, effort: effort(gpus.len()) }
        })
    }

    /// The cut around one GPU holds the rest on one side, whose size times the cut's share is what the GPU can send.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        reach::weakest(partial)
    }
}

/// Every cut is looked at.
pub(super) fn effort(gpus: usize) -> u32 {
    if gpus > 16 { 0 } else { 1 << gpus >> 3 }
}
