//! What makes a set of GPUs good: one objective in each file, each with its formula.
//!
//! A request compares sets by a list of objectives, lexicographically; a new one is one file and one line in
//! [`OBJECTIVES`].

mod all_to_all;
pub(in crate::solve) mod criteria;
mod mapa;
mod min_pair;
pub(in crate::solve) mod mix;
mod nic;
mod numa_span;
mod pair_sum;
mod quantity;
mod reach;
mod remainder;
mod ring;
mod tree;

use crate::error::{Error, Result};
use crate::model::{Pair, Topology};
pub use crate::solve::search::set::Set;
use crate::solve::search::set::members;
pub use crate::solve::search::weights::{Weight, Weights};
use crate::units::Bandwidth;
pub(super) use mapa::{Links as MapaLinks, best_ring as mapa_best_ring};
pub(super) use numa_span::{cost as numa_cost, worth as numa_worth};
pub use quantity::Quantity;
pub(super) use remainder::{ONE as REMAINDER_ONE, all_found, best_rings, part, share};

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

impl Partial<'_> {
    /// How many GPUs a complete set has.
    fn size(&self) -> usize {
        self.chosen.count_ones() as usize + self.missing
    }

    /// The worst of the best `missing` values of the open candidates: one that joins has no better. [`Weight::MAX`] where
    /// none joins, nothing where there are too few.
    fn worst_to_join(&self, value: impl Fn(usize) -> Weight) -> Weight {
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

/// What a set is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// How good it is; greater is better.
    pub worth: Weight,
    /// Whether that is all that it is worth, and not just what was found of it.
    pub proven: bool,
    /// How much work it was to find out, in steps of the search for the best set.
    pub effort: u32,
}

/// Bits of a packed value that hold the effort, of which sixteen steps are the least that is told apart.
const EFFORT_BITS: u32 = 14;

impl Value {
    /// In one number, which is never 0.
    pub(super) fn pack(self) -> u64 {
        let effort = u64::from(self.effort / 16).min((1 << EFFORT_BITS) - 1);
        ((self.worth.0 << EFFORT_BITS | effort) << 1 | u64::from(self.proven)).wrapping_add(1)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let packed = packed.wrapping_sub(1);
        let effort = (packed >> 1) as u32 % (1 << EFFORT_BITS) * 16;
        Self { worth: Weight(packed >> (EFFORT_BITS + 1)), proven: packed & 1 == 1, effort }
    }
}

impl From<Weight> for Value {
    fn from(worth: Weight) -> Self {
        Self { worth, proven: true, effort: 0 }
    }
}

/// What makes a set of GPUs good. Greater is better.
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

    /// Whether all that the value of these GPUs rests on is known. They are positions in [`Topology::gpus`], and the worth is
    /// that which the search found for them.
    fn is_known(&self, topology: &Topology, gpus: &[usize], worth: Weight) -> bool {
        worth.bandwidth() > Bandwidth::ZERO || pairs(topology, gpus).all(|pair| pair.rate.is_some())
    }

    /// A worth in its unit.
    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Bandwidth(worth.bandwidth())
    }
}

/// The pairs of these GPUs.
fn pairs<'a>(topology: &'a Topology, gpus: &'a [usize]) -> impl Iterator<Item = Pair> + 'a {
    let pairs = gpus.iter().enumerate().flat_map(|(at, a)| gpus[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| topology.pairs().pair(a, b))
}

/// Whether it is known which NVLinks these GPUs have among each other, and what each carries.
fn nvlinks_are_known(topology: &Topology, gpus: &[usize]) -> bool {
    topology.nvlink_known() && pairs(topology, gpus).all(|pair| pair.nvlinks == 0 || pair.rate.is_some())
}

/// Every objective.
pub static OBJECTIVES: &[&dyn Objective] = &[
    &ring::Ring,
    &tree::Tree,
    &all_to_all::AllToAll,
    &min_pair::MinPair,
    &pair_sum::PairSum,
    &numa_span::NumaSpan,
    &nic::Nic,
    &remainder::Remainder,
    &mapa::Mapa,
];

/// What counts where the request does not say, and after what it says.
pub static DEFAULT_OBJECTIVES: &[&dyn Objective] =
    &[&ring::Ring, &numa_span::NumaSpan, &nic::Nic, &pair_sum::PairSum, &remainder::Remainder];

/// The most objectives that one search compares by.
pub(super) const MAX_OBJECTIVES: usize = 16;

/// What the sets of GPUs that are left over are compared by.
static REST: &[&dyn Objective] = &[&ring::Ring];

/// An objective by its name.
pub(super) fn by_name(name: &str) -> Result<&'static dyn Objective> {
    OBJECTIVES.iter().copied().find(|objective| objective.name() == name).ok_or_else(|| {
        let names: Vec<&str> = OBJECTIVES.iter().map(|objective| objective.name()).collect();
        Error::request(format!("there is no objective '{name}'"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// Objectives by their names, and after them the default ones that are not among them.
pub(super) fn by_names<S: AsRef<str>>(
    names: impl IntoIterator<Item = S>,
) -> Result<Vec<&'static dyn Objective>> {
    let mut objectives: Vec<&'static dyn Objective> = Vec::new();
    for name in names {
        let objective = by_name(name.as_ref().trim())?;
        if objectives.iter().any(|other| other.name() == objective.name()) {
            return Err(Error::request(format!("the objective '{}' is named twice", name.as_ref())));
        }
        objectives.push(objective);
    }
    if objectives.is_empty() {
        return Err(Error::request("the list of objectives is empty"));
    }
    let own = objectives.len();
    for objective in DEFAULT_OBJECTIVES {
        if objectives[..own].iter().all(|other| other.name() != objective.name()) {
            objectives.push(*objective);
        }
    }
    Ok(objectives)
}
