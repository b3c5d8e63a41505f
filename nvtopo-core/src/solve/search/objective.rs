//! What the search knows of an objective: the value of a set, and a bound on all sets that extend one.

use super::set::{Set, members};
use super::value::Value;
use super::weights::Weights;
use crate::model::{Pair, Topology};
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::units::Bandwidth;

/// What the search knows of all sets that extend the chosen ones.
#[derive(Debug)]
pub struct Partial<'a> {
    /// The weights between candidates.
    pub weights: &'a Weights,
    /// How many of a million jobs have each number of GPUs.
    pub mix: &'a [(usize, u64)],
    /// The candidates that are free: those that are not chosen are left over.
    pub free: Set,
    /// The chosen candidates.
    pub chosen: Set,
    /// The worst pair among the chosen; [`Weight::MAX`] below two.
    pub worst: Weight,
    /// The sum over the pairs of the chosen.
    pub sum: Weight,
    /// How many are still to be chosen.
    pub missing: usize,
    /// The candidates that may still be chosen.
    pub open: Set,
    /// For each candidate: its worst weight to the chosen, and its sum to them.
    pub to_chosen: &'a [(Weight, Weight)],
    /// The greatest weight of any pair of candidates.
    pub greatest: Weight,
    /// How many GPUs each usable NIC has room for, where the request says so.
    pub nic_room: Option<&'a [usize]>,
}

impl<'a> Partial<'a> {
    /// A whole set, of which nothing is missing, with no other candidate free.
    pub(in crate::solve) fn of_set(weights: &'a Weights, set: Set) -> Self {
        let (mut worst, mut sum) = (Weight::MAX, 0);
        for a in members(set) {
            let row = weights.row(a);
            for b in members(set & !(Set::MAX << a)) {
                worst = worst.min(row[b]);
                sum += row[b].0;
            }
        }
        Self {
            weights,
            mix: &[],
            free: set,
            chosen: set,
            worst,
            sum: Weight(sum),
            missing: 0,
            open: 0,
            to_chosen: &[],
            greatest: Weight::default(),
            nic_room: None,
        }
    }

    /// How many GPUs a complete set has.
    pub(in crate::solve) fn size(&self) -> usize {
        self.chosen.count_ones() as usize + self.missing
    }

    /// The worst of the best `missing` values of the open candidates: one that joins has no better. [`Weight::MAX`] where
    /// none joins, nothing where there are too few.
    pub(in crate::solve) fn worst_to_join(&self, value: impl Fn(usize) -> Weight) -> Weight {
        let mut room = [Weight::default(); Set::BITS as usize];
        let mut count = 0;
        for gpu in members(self.open) {
            room[count] = value(gpu);
            count += 1;
        }
        match self.missing {
            0 => Weight::MAX,
            missing if missing > count => Weight::default(),
            missing => *room[..count].select_nth_unstable_by(missing - 1, |a, b| b.cmp(a)).1,
        }
    }
}

/// How the value of a set follows from the numbers of GPUs that it takes of each domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverDomains {
    /// The weight of the smallest domain that holds the set.
    Within,
    /// The worst way of its GPUs to their NICs.
    Nic,
    /// The sum of the NUMA nodes of its domains.
    Span,
    /// The sum of the weights of its pairs.
    Pairs,
    /// The shares of what is left.
    Remainder,
}

/// A number that all parts of a set must reach, so that the set is worth as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// The weight of each pair.
    Pairs,
    /// The weight of each GPU to the NIC nearest to it, where there are NICs enough.
    Nics,
    /// The links of each GPU to the switches, or the weight of each pair of one cycle.
    Rings,
}

/// Groups of candidates of which no two overlap: a set within one of them is worth as much as any set can be by an objective,
/// and every other set is worth less.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The groups.
    pub sets: Vec<Set>,
    /// The worth of a set within one.
    pub worth: Weight,
}

/// An objective: what makes a set of GPUs good. Greater is better.
pub trait Objective: Sync {
    /// The name in every interface.
    fn name(&self) -> &'static str;

    /// One line for people.
    fn summary(&self) -> &'static str;

    /// Whether it sees no difference between two candidates whose weights to all others are equal.
    fn twins(&self, _weights: &Weights, _a: usize, _b: usize) -> bool {
        true
    }

    /// The value of a complete set: `partial` has nothing missing, `rest` are the candidates left over.
    fn value(&self, partial: &Partial<'_>, rest: Set) -> Value;

    /// No set that extends the chosen ones is worth more than this.
    fn bound(&self, partial: &Partial<'_>) -> Weight;

    /// Whether a value takes so long to find out that it is looked at of few sets only.
    fn is_slow(&self) -> bool {
        false
    }

    /// By which threshold the value of a set can be held, where there is one.
    fn threshold(&self) -> Option<Threshold> {
        None
    }

    /// Whether all that the value of these GPUs rests on is known. They are positions in [`Topology::gpus`], and the worth is
    /// that which the search found for them.
    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        worth.bandwidth() > Bandwidth::ZERO || pairs(topology, gpus).all(|pair| pair.rate.is_some())
    }

    /// Whether sets of this machine can differ by it. One by which they cannot is no default objective there.
    fn matters(&self, _topology: &Topology) -> bool {
        true
    }

    /// The groups within which a set is as good as it can be; `None`: there are none such.
    fn groups(&self, _weights: &Weights) -> Option<Groups> {
        None
    }

    /// How a value follows from the numbers of GPUs that a set takes of each domain of a machine; `None`: it does not.
    fn over_domains(&self) -> Option<OverDomains> {
        None
    }

    /// A worth in its unit.
    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Bandwidth(worth.bandwidth())
    }
}

/// The pairs of these GPUs.
pub(in crate::solve) fn pairs<'a>(
    topology: &'a Topology,
    gpus: &'a [usize],
) -> impl Iterator<Item = Pair> + 'a {
    let pairs = gpus.iter().enumerate().flat_map(|(at, a)| gpus[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| topology.pairs().pair(a, b))
}

/// The most objectives that one search compares by.
pub(super) const MAX_OBJECTIVES: usize = 16;
