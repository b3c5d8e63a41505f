//! The explanation of a placement: its alternatives, and what they would lose.

use super::Placement;
use super::score::{Score, as_measured, known, scores, write_known};
use crate::model::Topology;
use crate::solve::quantity::Quantity;
use crate::solve::search::objective::Objective;
use crate::solve::search::problem::Solution;
use std::fmt;

/// A placement with its alternatives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The GPUs for the job.
    pub placement: Placement,
    /// The best other set under the same constraints. `None`: there is no other.
    pub next: Option<Alternative>,
    /// The free GPUs with the lowest numbers, as a scheduler that only counts GPUs chooses them, whether or not they meet the
    /// constraints. `None`: they are the chosen ones, or the request includes others.
    pub first_fit: Option<Alternative>,
}

/// A set of GPUs that was not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternative {
    /// The positions of the GPUs in [`Topology::gpus`](crate::Topology::gpus).
    pub gpus: Vec<usize>,
    /// The indices of the GPUs.
    pub gpu_indices: Vec<u32>,
    /// One value for each objective, most important first.
    pub scores: Vec<Score>,
    /// True if it meets the required constraints, and the preference that the placement meets.
    pub meets: bool,
    /// The first objective by which it differs from the chosen set. `None`: both are equally good, and the lowest indices
    /// decided.
    pub loss: Option<Loss>,
}

impl Alternative {
    /// Returns the reason why it was not chosen, as a part of a sentence.
    pub fn why(&self) -> String {
        match self.loss {
            _ if !self.meets => "do not have what is asked for".to_owned(),
            Some(loss) => loss.to_string(),
            None => "as good; the lowest numbers decided".to_owned(),
        }
    }
}

/// The loss of an alternative by one objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The objective's name.
    pub objective: &'static str,
    /// The value of the alternative. `None`: a fact that it rests on is unknown.
    pub own: Option<Quantity>,
    /// The value of the chosen set. Equal to `own` if only the closeness of the paths differs, or the number of
    /// GPUs of which the fact is unknown or beside which no CPU or memory is left.
    pub chosen: Option<Quantity>,
    /// The unit of both.
    pub unit: &'static str,
    tie: &'static str,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.objective)?;
        write_known(f, self.own)?;
        if self.own == self.chosen {
            return write!(f, " as well, but {}", self.tie);
        }
        f.write_str(" instead of ")?;
        write_known(f, self.chosen)
    }
}

/// Returns the alternative of a set.
pub(in crate::solve) fn alternative(
    topology: &Topology,
    gpus: Vec<usize>,
    other: &Solution,
    (chosen_gpus, chosen): (&[usize], &Solution),
    objectives: &[&'static dyn Objective],
    nic_room: Option<&[usize]>,
    meets: bool,
) -> Alternative {
    let all: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    let as_measured = |gpus, solution| as_measured(topology, gpus, objectives, solution, nic_room);
    let own = as_measured(&gpus, other);
    let worse = other.values.iter().zip(&chosen.values).position(|(own, chosen)| own != chosen);
    let loss = worse.map(|place| {
        let (objective, chosen) = (objectives[place], as_measured(chosen_gpus, chosen));
        Loss {
            objective: objective.name(),
            own: known(topology, &gpus, objective, own.values[place]),
            chosen: known(topology, chosen_gpus, objective, chosen.values[place]),
            unit: objective.quantity(own.values[place]).unit(),
            tie: objective.tie(),
        }
    });
    let scores = scores(topology, &gpus, objectives, &own);
    let gpu_indices = gpus.iter().map(|gpu| all[*gpu]).collect();
    Alternative { gpus, gpu_indices, scores, meets, loss }
}
