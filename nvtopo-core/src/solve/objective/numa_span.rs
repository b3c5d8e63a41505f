//! `numa-span`: the number of NUMA nodes that the set is local to.
//!
//! |⋃ nodes(i)| over i in S: fewer is better. A GPU that is equally close to several nodes counts all of them; a GPU whose nodes
//! are unknown is compared as if it had a node of its own, and then the value is unknown. Ties go to sets with fewer such GPUs,
//! so that sets of equal value are equally known, and with fewer GPUs beside which no CPU or no memory is left.

use crate::model::Topology;
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::solve::search::objective::{Objective, OverDomains, Partial};
use crate::solve::search::set::Set;
use crate::solve::search::value::{Value, numa_cost, numa_nodes, numa_worth};
use crate::solve::search::weights::Weights;

pub(super) struct NumaSpan;

impl Objective for NumaSpan {
    fn name(&self) -> &'static str {
        "numa-span"
    }

    fn summary(&self) -> &'static str {
        "how many NUMA nodes the set lies beside; fewer is better"
    }

    fn tie(&self) -> &'static str {
        "with more GPUs beside which no CPUs or memory are known or left"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Span)
    }

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.locality().interchangeable(a, b)
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], _worth: Weight) -> bool {
        gpus.iter().all(|gpu| topology.known_nodes(*gpu).is_some())
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let locality = partial.weights.locality();
        let short = locality.shortcomings(partial.chosen);
        numa_worth(numa_cost(locality.span(partial.chosen).into(), short.into())).into()
    }

    /// Returns an upper bound: GPUs that join add as many nodes as the fullest groups need to hold them, unless enough GPUs share
    /// the nodes of the chosen; a GPU with unknown nodes adds its own. Those without CPUs or memory join last.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let locality = partial.weights.locality();
        let span = locality.span(partial.chosen);
        let beyond = |set: Set| (partial.missing as u32).saturating_sub((partial.open & !set).count_ones());
        let join = beyond(locality.unknown);
        let within = if partial.missing > 0 { locality.within(partial.open, partial.chosen) } else { 0 };
        let more = partial.missing.saturating_sub(within);
        let more = locality.fewest_groups(partial.open, partial.chosen, more);
        numa_worth(numa_cost(
            u64::from(span) + u64::from(join.max(more)),
            (locality.shortcomings(partial.chosen)
                + join
                + beyond(locality.without_cpus)
                + beyond(locality.without_memory))
            .into(),
        ))
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::NumaNodes(numa_nodes(worth))
    }
}
