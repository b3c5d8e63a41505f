//! What makes a set of GPUs good: one objective in each file, each with its formula.
//!
//! A request compares sets by a list of objectives, lexicographically; a new one is one file and one line in
//! [`OBJECTIVES`].

mod collective;
mod min_pair;
mod pair_sum;
mod remainder;

pub use super::weights::{Weight, Weights};
use crate::error::{Error, Result};

/// A set of candidates, one bit for each.
pub type Set = u128;

/// What the search knows of all sets that extend the chosen ones.
#[derive(Debug)]
pub struct Partial<'a> {
    /// The weights between candidates.
    pub weights: &'a Weights,
    /// The chosen candidates.
    pub chosen: Set,
    /// The worst pair among the chosen; [`Weight::MAX`] below two.
    pub worst: Weight,
    /// The sum over the pairs of the chosen.
    pub sum: Weight,
    /// How many are still to be chosen.
    pub missing: usize,
    /// For each candidate that may still be chosen: its worst weight to the chosen, and its sum to them.
    pub open: &'a [(Weight, Weight)],
    /// The candidates of `open`.
    pub open_set: Set,
    /// The greatest weight of any pair of candidates.
    pub greatest: Weight,
}

/// What makes a set of GPUs good. Greater is better.
pub trait Objective: Sync {
    /// The name in every interface.
    fn name(&self) -> &'static str;

    /// One line for people.
    fn summary(&self) -> &'static str;

    /// Whether it sees more than the weights of pairs: the NVLinks themselves.
    fn sees_links(&self) -> bool {
        false
    }

    /// The value of a complete set: `partial` has nothing missing, `rest` are the candidates left over.
    fn value(&self, partial: &Partial<'_>, rest: Set) -> Weight;

    /// Whether the value of a complete set is all that it is worth, and not just what was found of it.
    fn is_proven(&self, _partial: &Partial<'_>) -> bool {
        true
    }

    /// No set that extends the chosen ones is worth more than this.
    fn bound(&self, partial: &Partial<'_>) -> Weight;
}

/// Every objective.
pub static OBJECTIVES: &[&dyn Objective] = &[
    &min_pair::MinPair,
    &pair_sum::PairSum,
    &remainder::Remainder,
    &collective::Ring,
    &collective::Tree,
    &collective::AllToAll,
];

/// What counts where the request does not say, and after what it says.
pub static DEFAULT_OBJECTIVES: &[&dyn Objective] =
    &[&min_pair::MinPair, &pair_sum::PairSum, &remainder::Remainder];

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
