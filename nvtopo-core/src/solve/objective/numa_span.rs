//! `numa-span`: how many NUMA nodes the set lies beside.
//!
//! |⋃ nodes(i)| over i in S: fewer is better. A GPU that several nodes are equally near to counts all of them; one whose nodes
//! nobody states is compared as if beside one of its own, and then the value is unknown. Of sets that span as many, those with
//! fewer such GPUs are better: sets of equal worth are known alike.

use super::{Objective, Partial, Quantity, Set, Value, Weight, Weights};
use crate::model::Topology;

/// Bits below the nodes that hold the number of GPUs whose nodes are unknown: no topology has as many devices.
const UNKNOWN_BITS: u32 = 12;

/// No set costs more, since a GPU is near to fewer nodes than there are numbers for.
const MOST: u64 = (1 << (u32::BITS + UNKNOWN_BITS)) - 1;

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
        let surroundings = partial.weights.surroundings();
        let unknown = (partial.chosen & surroundings.unknown()).count_ones();
        worth(cost(surroundings.span(partial.chosen).into(), unknown.into())).into()
    }

    /// Who joins needs one node more at least, unless enough lie beside the nodes of the chosen; and one whose nodes are unknown
    /// needs its own.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let surroundings = partial.weights.surroundings();
        let span = surroundings.span(partial.chosen);
        let unknown = (partial.chosen & surroundings.unknown()).count_ones();
        let known = (partial.open & !surroundings.unknown()).count_ones();
        let join = (partial.missing as u32).saturating_sub(known);
        let more = partial.missing > 0 && surroundings.within(partial.open, partial.chosen) < partial.missing;
        worth(cost(u64::from(span) + u64::from(join.max(more.into())), u64::from(unknown) + u64::from(join)))
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::NumaNodes((MOST.saturating_sub(worth.0) >> UNKNOWN_BITS) as u32)
    }
}

/// The cost of a number of nodes, with a number of GPUs whose nodes are unknown. Costs of sets that share no node add up.
pub(in crate::solve) const fn cost(nodes: u64, unknown: u64) -> u64 {
    nodes.saturating_mul(1 << UNKNOWN_BITS).saturating_add(unknown)
}

/// The worth of a set by its cost.
pub(in crate::solve) fn worth(cost: u64) -> Weight {
    Weight(MOST.saturating_sub(cost))
}
