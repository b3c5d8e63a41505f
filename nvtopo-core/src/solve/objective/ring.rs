//! `ring`: the bandwidth of the set in all-reduce and similar collectives.
//!
//! The bandwidth of [`Topology::rings`](crate::Topology::rings), in GB/s, one direction; at equal bandwidth the class of the
//! worst path that a ring uses counts. One GPU has the value 0. A set whose value is unknown is compared as if its value were 0.

use super::reach;
use crate::model::PathType;
use crate::query::Weight;
use crate::solve::search::objective::{Objective, OverDomains, Partial, Threshold};
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

pub(super) struct Ring;

impl Objective for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn summary(&self) -> &'static str {
        "what the rings through the set carry together, as for all-reduce"
    }

    fn over_domains(&self) -> Option<OverDomains> {
        Some(OverDomains::Within)
    }

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        // The order of the GPUs decides which GPU relays.
        weights.links().interchangeable(a, b) && weights.links().no_relay
    }

    fn threshold(&self) -> Option<Threshold> {
        Some(Threshold::Rings)
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        let weights = partial.weights;
        weights.memo.value(self.name(), partial.chosen, || {
            if let Some(known) = reach::direct(weights, partial.chosen) {
                return known;
            }
            let (rings, effort) = weights.topology().rings_with_effort(&weights.positions(partial.chosen));
            let (worth, proven) = rings.map_or((Weight::default(), true), |own| {
                (
                    own.path
                        .map_or_else(|| Weight::of(own.bandwidth), |path| Weight::over(own.bandwidth, path)),
                    own.bound <= own.bandwidth,
                )
            });
            Value { worth, proven, effort }
        })
    }

    /// Returns an upper bound: rings go over NVLink, or over pairs of which the worst counts; these must be good enough to
    /// connect the set.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        match (partial.size(), partial.missing) {
            (0 | 1, _) => Weight::default(),
            (2, 0) => partial.worst,
            (2, 1) => partial.worst_to_join(|gpu| partial.to_chosen[gpu].0),
            (_, missing) => {
                let links = partial.weights.links();
                let cuts = if missing == 0 { links.cuts() } else { None };
                let least = cuts.map(|cuts| cuts.least(partial.chosen));
                if let Some((most, _)) = cuts.and_then(|cuts| cuts.direct_rings(partial.chosen, least?)) {
                    return reach::over_nvlink(most);
                }
                let over_nvlink = least.map_or_else(|| reach::weakest(partial), reach::over_nvlink);
                let single = over_nvlink.max(connecting(partial));
                single.max(reach::beyond(partial, single))
            }
        }
    }

    /// Returns what NCCL's rings carry at most that leave NVLink, where they do.
    fn tighter_bound(&self, partial: &Partial<'_>, known: Weight) -> Weight {
        let weights = partial.weights;
        let cuts = if partial.missing == 0 { weights.links().cuts() } else { None };
        let over_nvlink =
            cuts.map_or_else(Weight::default, |cuts| reach::over_nvlink(cuts.least(partial.chosen)));
        if known <= over_nvlink || over_nvlink == Weight::default() {
            return known;
        }
        let gpus = weights.positions(partial.chosen);
        match weights.topology().most_beside_nvlink(&gpus, weights.widest_host()) {
            Some(Bandwidth::ZERO) => over_nvlink,
            Some(beside) => {
                let beside = Weight::over(beside, PathType::Pix);
                known.min(over_nvlink.max(connecting(partial)).max(beside))
            }
            None => known,
        }
    }
}

/// Returns the greatest weight such that the pairs of at least that weight connect all chosen candidates and enough of the open
/// ones.
fn connecting(partial: &Partial<'_>) -> Weight {
    let connects = |near: &[Set]| reach::connected(near, partial) != 0;
    let levels = partial.weights.levels();
    // Of the levels that are better than the compared value, the last connects the most; of the others, the first is the best.
    let looked_at = partial.compared.map_or(0..levels.len(), |value| {
        let at = levels.partition_point(|level| level.most > value);
        at.saturating_sub(1)..(at + 1).min(levels.len())
    });
    let first = looked_at.start + levels[looked_at].partition_point(|level| !connects(&level.near));
    levels.get(first).map_or(Weight::default(), |level| level.most)
}
