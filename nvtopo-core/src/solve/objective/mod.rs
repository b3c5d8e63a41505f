//! What makes a set of GPUs good: one objective in each file, each with its formula.
//!
//! A request compares sets by a list of objectives, lexicographically; a new one is one file and one line in
//! [`OBJECTIVES`].

mod all_to_all;
pub(in crate::solve) mod criteria;
mod min_pair;
pub(in crate::solve) mod mix;
mod nic;
mod numa_span;
mod pair_sum;
mod reach;
mod remainder;
mod ring;
mod tree;

use crate::error::{Error, Result};
pub use crate::query::Weight;
pub use crate::solve::search::objective::{Objective, Partial};
pub use crate::solve::search::set::Set;
pub use crate::solve::search::value::Value;
pub use crate::solve::search::weights::Weights;
pub(super) use remainder::best_rings;

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
];

/// What counts where the request does not say, and after what it says.
pub static DEFAULT_OBJECTIVES: &[&dyn Objective] =
    &[&ring::Ring, &numa_span::NumaSpan, &nic::Nic, &pair_sum::PairSum, &remainder::Remainder];

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
