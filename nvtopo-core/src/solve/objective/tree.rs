//! `tree`: what trees of NVLink through the set carry together, as for all-gather.
//!
//! [`Topology::tree_bandwidth`](crate::Topology::tree_bandwidth), in GB/s, one direction. One GPU is worth nothing by it, nor
//! is a set whose value is unknown.

use super::{Objective, Partial, Set, Value, Weight, Weights, reach};
use crate::solve::memo::Function;

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

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let weights = partial.weights;
        weights.memo.value(Function::Tree, partial.chosen, || {
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
