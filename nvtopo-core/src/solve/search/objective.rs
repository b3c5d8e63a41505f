//! Objectives as the search sees them: the value of a set, and an upper bound on all sets that extend one.

use super::set::{Set, members};
use super::value::Value;
use super::weights::Weights;
use crate::model::{Pair, Topology};
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::units::Bandwidth;

/// A partial set of the search, and what it knows of all sets that extend it.
#[derive(Clone, Copy, Debug)]
pub struct Partial<'a> {
    /// The weights between candidates.
    pub weights: &'a Weights,
    /// The number of jobs of each size, out of a million.
    pub mix: &'a [(usize, u64)],
    /// The free candidates: those that are not chosen are left over.
    pub free: Set,
    /// The chosen candidates.
    pub chosen: Set,
    /// The worst pair among the chosen; [`Weight::MAX`] below two.
    pub worst: Weight,
    /// The sum over the pairs of the chosen.
    pub sum: Weight,
    /// The number of candidates still to be chosen.
    pub missing: usize,
    /// The candidates that may still be chosen.
    pub open: Set,
    /// The worst weight of each candidate to the chosen, and the sum of its weights to them.
    pub to_chosen: &'a [(Weight, Weight)],
    /// The greatest weight of any pair of candidates.
    pub greatest: Weight,
    /// The number of GPUs that each usable NIC has room for, where the request states it.
    pub nic_room: Option<&'a [usize]>,
    /// The value with which a bound is compared: only whether it is above, equal or below matters. `None`: the bound itself is
    /// used.
    pub compared: Option<Weight>,
}

impl<'a> Partial<'a> {
    /// Returns a complete set, with no other candidate free.
    pub(in crate::solve) fn of_set(weights: &'a Weights, set: Set) -> Self {
        let none = Self {
            weights,
            mix: &[],
            free: set,
            chosen: 0,
            worst: Weight::MAX,
            sum: Weight::default(),
            missing: 0,
            open: 0,
            to_chosen: &[],
            greatest: Weight::default(),
            nic_room: None,
            compared: None,
        };
        members(set).fold(none, Self::with)
    }

    /// Returns the chosen set with one more candidate.
    pub(in crate::solve) fn with(self, gpu: usize) -> Self {
        let row = self.weights.row(gpu);
        let (mut worst, mut sum) = (self.worst, self.sum.0);
        for other in members(self.chosen) {
            worst = worst.min(row[other]);
            sum += row[other].0;
        }
        Self { chosen: self.chosen | 1 << gpu, worst, sum: Weight(sum), ..self }
    }

    /// Returns the number of GPUs of a complete set.
    pub(in crate::solve) fn size(&self) -> usize {
        self.chosen.count_ones() as usize + self.missing
    }

    /// Returns the `missing`-th best value of the open candidates, an upper bound on the worst of those that join.
    /// [`Weight::MAX`] where none joins, zero where the open candidates are too few.
    pub(in crate::solve) fn worst_to_join(&self, value: impl Fn(usize) -> Weight) -> Weight {
        let mut all = [Weight::default(); Set::BITS as usize];
        let (mut count, mut least, mut greatest) = (0, Weight::MAX, Weight::default());
        for gpu in members(self.open) {
            let own = value(gpu);
            all[count] = own;
            count += 1;
            (least, greatest) = (least.min(own), greatest.max(own));
        }
        match self.missing {
            0 => Weight::MAX,
            missing if missing > count => Weight::default(),
            missing if missing == count || least == greatest => least,
            missing => *all[..count].select_nth_unstable_by(missing - 1, |a, b| b.cmp(a)).1,
        }
    }
}

/// The rule by which the value of a set follows from the numbers of GPUs that it takes of each domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverDomains {
    /// The weight of the smallest domain that holds the set.
    Within,
    /// The worst path from one of its GPUs to its NIC.
    Nic,
    /// The sum of the NUMA nodes of its domains.
    Span,
    /// The sum of the weights of its pairs.
    Pairs,
    /// The value of the remaining GPUs for later jobs.
    Remainder,
}

/// A threshold that all parts of a set must reach for the set to have that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// The weight of each pair.
    Pairs,
    /// The weight of each GPU to its nearest NIC, where there are enough NICs.
    Nics,
    /// The links of each GPU to the switches, or the weight of each pair of one cycle.
    Rings,
}

/// Disjoint groups of candidates: a set within one of them has the greatest value that an objective can give, and every other set
/// has less.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The groups.
    pub sets: Vec<Set>,
    /// The value of a set within one group.
    pub worth: Weight,
}

/// An objective: a criterion by which sets of GPUs are compared. Greater is better.
pub trait Objective: Sync {
    /// Returns the name in every interface.
    fn name(&self) -> &'static str;

    /// Returns a summary of one line for people.
    fn summary(&self) -> &'static str;

    /// Returns how the worse of two sets is worse whose values are shown alike.
    fn tie(&self) -> &'static str {
        "over farther paths"
    }

    /// Returns whether two candidates whose weights to all others are equal are interchangeable to it.
    fn interchangeable(&self, _weights: &Weights, _a: usize, _b: usize) -> bool {
        true
    }

    /// Returns the value of a complete set: `partial` has nothing missing, `rest` are the candidates left over.
    fn value(&self, partial: &Partial<'_>, rest: Set) -> Value;

    /// Returns an upper bound: no set that extends the chosen candidates has a greater value.
    fn bound(&self, partial: &Partial<'_>) -> Weight;

    /// Returns an upper bound that is at most a known one, where it takes more work to compute.
    fn tighter_bound(&self, _partial: &Partial<'_>, known: Weight) -> Weight {
        known
    }

    /// Returns whether a value is so expensive to compute that the search evaluates few sets only.
    fn is_slow(&self) -> bool {
        false
    }

    /// Returns the threshold that guarantees a value, where there is one.
    fn threshold(&self) -> Option<Threshold> {
        None
    }

    /// Returns whether the value of these GPUs rests on known facts only. They are positions in [`Topology::gpus`], and `worth`
    /// is the value that the search found for them.
    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        worth.bandwidth() > Bandwidth::ZERO || pairs(topology, gpus).all(|pair| pair.rate.is_some())
    }

    /// Returns whether sets of this machine can differ by it. An objective by which they cannot is no default objective there.
    fn matters(&self, _topology: &Topology) -> bool {
        true
    }

    /// Returns the groups within which a set is as good as it can be; `None`: there are no such groups.
    fn groups(&self, _weights: &Weights) -> Option<Groups> {
        None
    }

    /// Returns the rule by which a value follows from the numbers of GPUs that a set takes of each domain; `None`: it does not.
    fn over_domains(&self) -> Option<OverDomains> {
        None
    }

    /// Returns a value in its unit.
    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Bandwidth(worth.bandwidth())
    }
}

/// Returns the pairs of these GPUs.
pub(in crate::solve) fn pairs<'a>(
    topology: &'a Topology,
    gpus: &'a [usize],
) -> impl Iterator<Item = Pair> + 'a {
    let pairs = gpus.iter().enumerate().flat_map(|(at, a)| gpus[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| topology.pairs().pair(a, b))
}

/// The greatest number of objectives of one search.
pub(super) const MAX_OBJECTIVES: usize = 16;
