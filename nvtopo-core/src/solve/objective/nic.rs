//! `nic`: the bandwidth of each GPU of the set to the NIC that it uses.
//!
//! max over assignments a of NICs to the GPUs of S of min over i in S of b(i, a(i)), in GB/s, one direction; at equal bandwidth
//! the worse path class counts. b is the bandwidth of the path between GPU and NIC ([`Topology::pairs`](crate::Topology::pairs)),
//! and at most the GPU's part of what the NIC's port carries, where its rate is known: ⌈GPUs / NICs⌉ GPUs share a port. A NIC
//! serves as many GPUs at most as are needed if all GPUs of the machine use NICs: ⌈GPUs / NICs⌉, or as many as the request says
//! less those of other jobs. NICs whose port is down do not count; if there is none, all sets have the least value. Where no NIC
//! is known, the value is unknown.

use crate::model::Topology;
use crate::query::{Weight, bottleneck, repeated, usable_nics};
use crate::solve::search::objective::{Objective, OverDomains, Partial, Threshold};
use crate::solve::search::set::{Set, members};
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

pub(super) struct Nic;

impl Objective for Nic {
    fn name(&self) -> &'static str {
        "nic"
    }

    fn summary(&self) -> &'static str {
        "the bandwidth between the worst-off GPU of the set and its NIC, at most its part of the NIC's port"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Nic)
    }

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        weights.locality().to_nics(a) == weights.locality().to_nics(b)
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        if worth.bandwidth() > Bandwidth::ZERO {
            return true;
        }
        let nics = usable_nics(topology);
        let known = |gpu: usize| nics.iter().all(|nic| topology.pairs().pair(gpu, *nic).rate.is_some());
        topology.nics().len() > 0 && gpus.iter().all(|gpu| known(*gpu))
    }

    fn threshold(&self) -> Option<Threshold> {
        Some(Threshold::Nics)
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let locality = partial.weights.locality();
        if let Some(room) = partial.nic_room {
            let count = partial.chosen.count_ones() as usize;
            let rows: Vec<Vec<Weight>> =
                members(partial.chosen).map(|gpu| repeated(locality.to_nics(gpu), room, count)).collect();
            let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
            return bottleneck(&rows, 1).unwrap_or_default().into();
        }
        // No set can have more than its members have each alone.
        let alone = members(partial.chosen).map(|gpu| locality.nearest[gpu]).min();
        let reached = |worth: &Weight| *worth == Weight::default() || locality.all_at_once() == Some(*worth);
        if let Some(worth) = alone.filter(reached) {
            return worth.into();
        }
        partial.weights.memo.value(self.name(), partial.chosen, || {
            let rows: Vec<&[Weight]> = members(partial.chosen).map(|gpu| locality.to_nics(gpu)).collect();
            bottleneck(&rows, locality.per_nic).unwrap_or_default().into()
        })
    }

    /// Returns an upper bound: no GPU has a better path than that to its nearest NIC.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let locality = partial.weights.locality();
        if let Some(worth) = locality.nearest_of_all {
            return worth;
        }
        let nearest = &locality.nearest;
        let chosen = members(partial.chosen).map(|gpu| nearest[gpu]).min().unwrap_or(Weight::MAX);
        chosen.min(partial.worst_to_join(|gpu| nearest[gpu]))
    }
}
