//! `all-to-all`: what each GPU of the set can send at most when all send to all over NVLink.
//!
//! [`Topology::all_to_all_bound`](crate::Topology::all_to_all_bound), in GB/s, one direction. One GPU is worth nothing by it,
//! nor is a set whose value is unknown.

use super::{Objective, Partial, Set, Value, Weight, Weights, reach, tree};
use crate::solve::memo::Function;

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

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let weights = partial.weights;
        weights.memo.value(Function::AllToAll, partial.chosen, || {
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
