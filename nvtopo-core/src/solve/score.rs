//! What a set of GPUs is worth by one objective, with its unit.

use super::exact::Solution;
use super::objective::Objective;
use super::weights::Weight;
use crate::model::Topology;
use crate::units::Bandwidth;
use std::fmt;

/// The value of the chosen set by one objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Score {
    /// The objective's name.
    pub objective: &'static str,
    /// The value; sets of equal value were told apart by how near their paths are. `None`: something that it rests on is
    /// unknown. Such a set is chosen only where none is known to be better.
    pub value: Option<Quantity>,
    /// The unit of the value, as [`Quantity::unit`] names it.
    pub unit: &'static str,
    /// No set is better than this. `None`: no bound is known.
    pub bound: Option<Quantity>,
}

impl fmt::Display for Score {
    /// The value with its unit, or `unknown`.
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

/// The values that a search found for these GPUs, in their units.
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

/// The value of these GPUs in its unit. `None`: unknown.
pub(super) fn known(
    topology: &Topology,
    gpus: &[usize],
    objective: &dyn Objective,
    worth: Weight,
) -> Option<Quantity> {
    objective.is_known(topology, gpus, worth).then(|| objective.quantity(worth))
}

/// A number with its unit.
///
/// ```
/// use nvtopo::{Bandwidth, solve::Quantity};
///
/// let rings = Quantity::Bandwidth(Bandwidth::from_gb_per_s(150.0));
/// assert_eq!((rings.number(), rings.unit(), rings.to_string().as_str()), (150.0, "GB/s", "150 GB/s"));
/// assert_eq!(Quantity::NumaNodes(2).to_string(), "2 NUMA nodes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// In GB/s, one direction. More is better.
    Bandwidth(Bandwidth),
    /// How many NUMA nodes. Fewer is better.
    NumaNodes(u32),
    /// A part of what the whole machine could give, in millionths. More is better.
    Share(u32),
}

impl Quantity {
    /// The number: GB/s, a count, or a share from 0 to 1.
    pub fn number(self) -> f64 {
        match self {
            Self::Bandwidth(bandwidth) => bandwidth.as_gb_per_s(),
            Self::NumaNodes(nodes) => nodes.into(),
            Self::Share(millionths) => f64::from(millionths) / 1e6,
        }
    }

    /// The unit of the number.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Bandwidth(_) => "GB/s",
            Self::NumaNodes(_) => "NUMA nodes",
            Self::Share(_) => "share",
        }
    }

    /// The bandwidth, if it is one.
    pub const fn as_bandwidth(self) -> Option<Bandwidth> {
        match self {
            Self::Bandwidth(bandwidth) => Some(bandwidth),
            _ => None,
        }
    }

    /// Whether this is better than another of the same unit.
    pub fn is_better_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::NumaNodes(own), Self::NumaNodes(other)) => own < other,
            _ => self.number() > other.number(),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bandwidth(bandwidth) => bandwidth.fmt(f),
            Self::NumaNodes(1) => f.write_str("1 NUMA node"),
            Self::NumaNodes(nodes) => write!(f, "{nodes} NUMA nodes"),
            Self::Share(millionths) => {
                let tenths = (millionths + 500) / 1000;
                write!(f, "{}.{} % of the whole machine", tenths / 10, tenths % 10)
            }
        }
    }
}
