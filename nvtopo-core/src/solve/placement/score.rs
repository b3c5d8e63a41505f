//! Scores: the values of a set of GPUs by the objectives, with their units.

use crate::model::Topology;
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::solve::search::objective::{Objective, Partial};
use crate::solve::search::problem::Solution;
use crate::solve::search::set::{self, MAX_CANDIDATES};
use crate::solve::search::weights::Weights;
use std::borrow::Cow;
use std::fmt;

/// The value of the chosen set by one objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Score {
    /// The objective's name.
    pub objective: &'static str,
    /// The value; the closeness of the paths breaks ties. `None`: a fact that it rests on is unknown. Such a set is chosen only
    /// if none is known to be better.
    pub value: Option<Quantity>,
    /// The unit of the value, as [`Quantity::unit`] names it.
    pub unit: &'static str,
    /// The upper bound: no set is better. `None`: no bound is known.
    pub bound: Option<Quantity>,
}

impl fmt::Display for Score {
    /// Writes the value with its unit, or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_known(f, self.value)
    }
}

/// Writes a value, or that it is unknown.
pub(super) fn write_known(f: &mut fmt::Formatter<'_>, value: Option<Quantity>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{value}"),
        None => f.write_str("unknown"),
    }
}

/// Returns the values that a search found for these GPUs, in their units.
pub(super) fn scores(
    topology: &Topology,
    gpus: &[usize],
    objectives: &[&'static dyn Objective],
    solution: &Solution,
) -> Vec<Score> {
    let values = solution.values.iter().zip(&solution.bounds).zip(objectives);
    let score = |((worth, bound), objective): ((&Weight, &Weight), &&'static dyn Objective)| {
        let value = known(topology, gpus, *objective, *worth);
        Score {
            objective: objective.name(),
            value,
            unit: objective.quantity(*worth).unit(),
            bound: (*bound != Weight::MAX && value.is_some()).then(|| objective.quantity(*bound)),
        }
    };
    values.map(score).collect()
}

/// Returns a solution by classes of measured rates with the bandwidths that were measured. If the class is proven to be the best,
/// so is the value: no set is better by more than the tolerance.
pub(in crate::solve) fn as_measured<'a>(
    topology: &Topology,
    gpus: &[usize],
    objectives: &[&'static dyn Objective],
    solution: &'a Solution,
    nic_room: Option<&[usize]>,
) -> Cow<'a, Solution> {
    if !topology.has_measured_rates() || gpus.len() > MAX_CANDIDATES {
        return Cow::Borrowed(solution);
    }
    let weights = Weights::of(topology, gpus);
    let partial = Partial { nic_room, ..Partial::of_set(&weights, set::all(gpus.len())) };
    let mut own = solution.clone();
    for ((value, bound), objective) in own.values.iter_mut().zip(&mut own.bounds).zip(objectives) {
        if matches!(objective.quantity(*value), Quantity::Bandwidth(_)) {
            let proven = value == bound;
            *value = objective.value(&partial, 0).worth;
            *bound = if proven { *value } else { (*bound).max(*value) };
        }
    }
    Cow::Owned(own)
}

/// Returns the value of these GPUs in its unit. `None`: unknown.
pub(super) fn known(
    topology: &Topology,
    gpus: &[usize],
    objective: &dyn Objective,
    worth: Weight,
) -> Option<Quantity> {
    objective.is_known(topology, gpus, worth).then(|| objective.quantity(worth))
}
