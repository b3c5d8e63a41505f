//! A number with its unit.

use crate::units::Bandwidth;
use std::fmt;

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
    /// The bandwidth in GB/s, one direction. More is better.
    Bandwidth(Bandwidth),
    /// The number of NUMA nodes. Fewer is better.
    NumaNodes(u32),
    /// The number of GPU models. Fewer is better.
    Models(u32),
    /// The share of what the empty machine gives, in millionths. More is better.
    Share(u32),
}

impl Quantity {
    /// Returns the number: GB/s, a count, or a share from 0 to 1.
    pub fn number(self) -> f64 {
        match self {
            Self::Bandwidth(bandwidth) => bandwidth.as_gb_per_s(),
            Self::NumaNodes(number) | Self::Models(number) => number.into(),
            Self::Share(millionths) => f64::from(millionths) / 1e6,
        }
    }

    /// Returns the unit of the number.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Bandwidth(_) => "GB/s",
            Self::NumaNodes(_) => "NUMA nodes",
            Self::Models(_) => "models",
            Self::Share(_) => "share",
        }
    }

    /// Returns the bandwidth, if it is one.
    pub const fn as_bandwidth(self) -> Option<Bandwidth> {
        match self {
            Self::Bandwidth(bandwidth) => Some(bandwidth),
            _ => None,
        }
    }

    /// Returns whether this is better than another of the same unit.
    pub fn is_better_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::NumaNodes(own), Self::NumaNodes(other)) | (Self::Models(own), Self::Models(other)) => {
                own < other
            }
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
            Self::Models(1) => f.write_str("1 model"),
            Self::Models(models) => write!(f, "{models} models"),
            Self::Share(millionths) => {
                let tenths = (millionths + 500) / 1000;
                write!(f, "{}.{} % of the whole machine", tenths / 10, tenths % 10)
            }
        }
    }
}
