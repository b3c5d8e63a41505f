//! `numa-span`: how many NUMA nodes the set lies beside.
//!
//! |⋃ nodes(i)| over i in S: fewer is better. A GPU that several nodes are equally near to counts all of them; one whose nodes
//! nobody states is compared as if beside one of its own, and then the value is unknown.

use super::{Objective, Partial, Quantity, Set, Value, Weight, Weights};
use crate::model::Topology;

/// No set spans more, since a GPU is near to fewer nodes than there are numbers for.
const MOST: u64 = u32::MAX as u64;

pub(super) struct NumaSpan;

impl Objective for NumaSpan {
    fn name(&self) -> &'static str {
        "numa-span"
    }

    fn summary(&self) -> &'static str {
        "how many NUMA nodes the set lies beside; fewer is better"
    }

    fn twins(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.surroundings().twins(a, b)
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], _worth: Weight) -> bool {
        let nodes = |gpu: usize| topology.local_nodes(topology.devices()[gpu]);
        gpus.iter().all(|gpu| nodes(*gpu).known().is_some_and(|nodes| !nodes.is_empty()))
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        worth(partial.weights.surroundings().span(partial.chosen).into()).into()
    }

    /// Who joins needs one node more at least, unless enough lie beside the nodes of the chosen.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let surroundings = partial.weights.surroundings();
        let span = surroundings.span(partial.chosen);
        let more = partial.missing > 0 && surroundings.within(partial.open, partial.chosen) < partial.missing;
        worth(u64::from(span) + u64::from(more))
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::NumaNodes(MOST.saturating_sub(worth.0) as u32)
    }
}

/// What so many nodes are worth.
pub(in crate::solve) fn worth(span: u64) -> Weight {
    Weight(MOST.saturating_sub(span))
}
