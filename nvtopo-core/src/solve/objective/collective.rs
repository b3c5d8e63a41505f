//! `ring`, `tree` and `all-to-all`: what the set can do together.
//!
//! Their formulas are those of [`Topology::rings`](crate::Topology::rings),
//! [`tree_bandwidth`](crate::Topology::tree_bandwidth) and [`all_to_all_bound`](crate::Topology::all_to_all_bound), in
//! GB/s, one direction. One GPU is worth nothing by them, nor is a set whose value is unknown.

use super::{Objective, Partial, Set, Weight};
use crate::units::Bandwidth;

pub(super) struct Ring;

impl Objective for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn summary(&self) -> &'static str {
        "what the rings through the set carry together, as for all-reduce"
    }

    fn sees_links(&self) -> bool {
        true
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Weight {
        rings(partial).0
    }

    /// The search for rings gives up on some meshes.
    fn is_proven(&self, partial: &Partial<'_>) -> bool {
        rings(partial).1
    }

    fn bound(&self, partial: &Partial<'_>) -> Weight {
        least_reach(partial)
    }
}

pub(super) struct Tree;

impl Objective for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn summary(&self) -> &'static str {
        "what trees of NVLink through the set carry together, as for all-gather"
    }

    fn sees_links(&self) -> bool {
        true
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Weight {
        value(partial, 1, |gpus| partial.weights.topology().tree_bandwidth(gpus))
    }

    /// The cut around one GPU holds the rest on one side, whose size times the cut's share is what the GPU can send.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        least_reach(partial)
    }
}

pub(super) struct AllToAll;

impl Objective for AllToAll {
    fn name(&self) -> &'static str {
        "all-to-all"
    }

    fn summary(&self) -> &'static str {
        "what each GPU of the set can send over NVLink at most when all send to all"
    }

    fn sees_links(&self) -> bool {
        true
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Weight {
        value(partial, 2, |gpus| partial.weights.topology().all_to_all_bound(gpus))
    }

    fn bound(&self, partial: &Partial<'_>) -> Weight {
        least_reach(partial)
    }
}

/// What the rings of the chosen carry, and whether none carry more.
fn rings(partial: &Partial<'_>) -> (Weight, bool) {
    let said = partial.weights.remember(0, partial.chosen, || {
        let rings = partial.weights.topology().rings(&partial.weights.positions(partial.chosen));
        let (bandwidth, bound) = rings.map_or_else(Default::default, |own| (own.bandwidth, own.bound));
        Weight::of(bandwidth).0 << 1 | u64::from(bound <= bandwidth)
    });
    (Weight(said >> 1), said & 1 == 1)
}

fn value(partial: &Partial<'_>, function: usize, of: impl Fn(&[usize]) -> Option<Bandwidth>) -> Weight {
    Weight(partial.weights.remember(function, partial.chosen, || {
        of(&partial.weights.positions(partial.chosen)).map_or_else(Weight::default, Weight::of).0
    }))
}

/// No set is worth more than what its weakest member can send.
fn least_reach(partial: &Partial<'_>) -> Weight {
    let reach = partial.weights.reach();
    let of = |set: Set| (0..reach.len()).filter(move |gpu| set >> gpu & 1 == 1).map(|gpu| reach[gpu]);
    let mut open: Vec<Weight> = of(partial.open_set).collect();
    let joins = match partial.missing {
        0 => Weight::MAX,
        missing if missing > open.len() => Weight::default(),
        missing => *open.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a)).1,
    };
    of(partial.chosen).min().unwrap_or(Weight::MAX).min(joins)
}
