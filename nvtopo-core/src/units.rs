//! Units: [`Bandwidth`], and sizes for people. No conversion factors of the field (those of links are in
//! [`crate::model::rates`]).

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// A bandwidth in one direction. 1 GB/s is 1e9 bytes per second.
///
/// Held in whole MB/s (1e6 bytes per second), so that sums and comparisons are exact and placements
/// deterministic.
///
/// ```
/// use nvtopo::Bandwidth;
///
/// let nvlink = Bandwidth::from_gb_per_s(25.0);
/// assert_eq!(nvlink.times(12).to_string(), "300 GB/s");
/// assert!(nvlink > Bandwidth::from_gb_per_s(15.8));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(u64);

impl Bandwidth {
    /// No bandwidth at all. Unknown is `Option::None`, never this.
    pub const ZERO: Self = Self(0);

    /// From whole MB/s (1e6 bytes per second).
    pub const fn from_mb_per_s(mb_per_s: u64) -> Self {
        Self(mb_per_s)
    }

    /// From GB/s, rounded to whole MB/s; negative numbers and NaN give zero.
    pub fn from_gb_per_s(gb_per_s: f64) -> Self {
        Self((gb_per_s * 1e3).round() as u64)
    }

    /// In whole MB/s.
    pub const fn as_mb_per_s(self) -> u64 {
        self.0
    }

    /// In GB/s.
    pub fn as_gb_per_s(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// `count` links side by side.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Bandwidth {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Bandwidth {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000 / 100) {
            (whole, tenths) if tenths != 0 && whole < 100 => write!(f, "{whole}.{tenths} GB/s"),
            _ => write!(f, "{} GB/s", (self.0 + 500) / 1000),
        }
    }
}

/// A size in bytes, written with the binary unit that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut size = self.0;
        while size >= 10 * 1024 && unit + 1 < UNITS.len() {
            size = (size + 512) / 1024;
            unit += 1;
        }
        write!(f, "{size} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_prints_what_matters() {
        assert_eq!(Bandwidth::from_gb_per_s(15.754).to_string(), "15.7 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(450.0).to_string(), "450 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(-1.0), Bandwidth::ZERO);
        assert_eq!(Bandwidth::from_gb_per_s(f64::NAN), Bandwidth::ZERO);
    }

    #[test]
    fn bytes_print_with_their_unit() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes(128 << 30).to_string(), "128 GiB");
    }
}
