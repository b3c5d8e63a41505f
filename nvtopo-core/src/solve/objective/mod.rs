//! The objectives: criteria by which sets of GPUs are compared, one objective or family in each file, each with its formula.
//!
//! A request compares sets by a list of objectives, lexicographically; a new one is one file and one line in
//! [`OBJECTIVES`].

pub(in crate::solve) mod criteria;
mod cuts;
mod min_pair;
pub(in crate::solve) mod mix;
mod model_span;
mod nic;
mod numa_span;
mod pair_sum;
mod reach;
mod remainder;
mod ring;

use crate::error::{Error, Result};
pub use crate::query::Weight;
pub use crate::solve::search::objective::{Groups, Objective, Partial};
pub use crate::solve::search::set::Set;
pub use crate::solve::search::value::Value;
pub use crate::solve::search::weights::Weights;
pub(super) use remainder::best_rings;

/// Every objective.
pub static OBJECTIVES: &[&dyn Objective] = &[
    &ring::Ring,
    &cuts::TREE,
    &cuts::ALL_TO_ALL,
    &min_pair::MinPair,
    &pair_sum::PairSum,
    &model_span::ModelSpan,
    &numa_span::NumaSpan,
    &nic::Nic,
    &remainder::Remainder,
];

/// The default objectives, which apply if the request names none and break ties after those that it names, as far as they
/// [matter](Objective::matters) on a machine.
pub static DEFAULT_OBJECTIVES: &[&dyn Objective] = &[
    &model_span::ModelSpan,
    &ring::Ring,
    &numa_span::NumaSpan,
    &nic::Nic,
    &pair_sum::PairSum,
    &remainder::Remainder,
];

/// Returns an objective by its name.
pub(super) fn by_name(name: &str) -> Result<&'static dyn Objective> {
    OBJECTIVES.iter().copied().find(|objective| objective.name() == name).ok_or_else(|| {
        let names: Vec<&str> = OBJECTIVES.iter().map(|objective| objective.name()).collect();
        Error::request(format!("there is no objective '{name}'"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// Returns objectives by their names, followed by the default ones that are not among them.
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

/// Checks a list of objectives without a machine: unknown names, duplicate names and an empty list are errors.
///
/// ```
/// use nvtopo::solve::objective::check_names;
///
/// assert!(check_names(["ring", "pair-sum"]).is_ok());
/// assert!(check_names(["speed"]).unwrap_err().to_string().contains("there are ring"));
/// ```
pub fn check_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<()> {
    by_names(names).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topology;
    use crate::solve::quantity::Quantity;
    use crate::solve::search::problem::Task;
    use crate::solve::search::set::{self, members};

    /// An objective that no other file knows: the sum of the positions.
    struct Positions;

    impl Objective for Positions {
        fn name(&self) -> &'static str {
            "positions"
        }

        fn summary(&self) -> &'static str {
            "the sum of the positions"
        }

        fn interchangeable(&self, _weights: &Weights, a: usize, b: usize) -> bool {
            a == b
        }

        fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
            Weight(members(partial.chosen).map(|gpu| gpu as u64).sum()).into()
        }

        fn bound(&self, partial: &Partial<'_>) -> Weight {
            let chosen: u64 = members(partial.chosen).map(|gpu| gpu as u64).sum();
            let mut open: Vec<u64> = members(partial.open).map(|gpu| gpu as u64).collect();
            open.reverse();
            Weight(chosen + open.iter().take(partial.missing).sum::<u64>())
        }

        fn is_known(&self, _topology: &Topology, _gpus: &[usize], _worth: Weight) -> bool {
            true
        }

        fn quantity(&self, worth: Weight) -> Quantity {
            Quantity::NumaNodes(worth.0 as u32)
        }
    }

    #[test]
    fn a_new_objective_is_one_file_and_one_line() {
        let names: Vec<String> = (0..24).map(|gpu| format!("GPU{gpu}")).collect();
        let cell = |a: usize, b: usize| if a == b { "X" } else { "NV18" };
        let row = |a: usize| (0..24).map(|b| cell(a, b)).collect::<Vec<_>>().join("\t");
        let rows: Vec<String> = (0..24).map(|a| format!("GPU{a}\t{}", row(a))).collect();
        let many =
            Topology::parse("many", format!("\t{}\n{}\n", names.join("\t"), rows.join("\n")).as_bytes());
        for topology in [Topology::preset("dgx-1-v100"), Topology::preset("dgx-2"), many] {
            let topology = topology.unwrap();
            let gpus = topology.gpus().len();
            let weights = Weights::of(&topology, &(0..gpus).collect::<Vec<_>>());
            let mut list: Vec<&'static dyn Objective> = vec![&Positions];
            list.extend(DEFAULT_OBJECTIVES);
            let task = Task::new(set::all(gpus), 3, &list, &[]);
            let found = crate::solve::search::solve(&weights, &task).unwrap();
            assert_eq!(found.chosen, set::of(gpus - 3..gpus), "{gpus} GPUs");
            assert_eq!(found.values[0], Weight((3 * gpus - 6) as u64), "{gpus} GPUs");
        }
        assert!(by_name("positions").is_err(), "its line is not in the list");
    }
}
