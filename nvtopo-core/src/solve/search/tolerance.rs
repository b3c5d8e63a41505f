//! The tolerance within which measured rates count as equal.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The relative difference within which two measured rates count as equal when sets are compared: 0.05 by default. With 0, all
/// rates are distinct.
///
/// ```
/// use nvtopo::solve::Tolerance;
///
/// let tolerance: Tolerance = "2.5%".parse()?;
/// assert_eq!(tolerance, Tolerance::new(0.025)?);
/// assert_eq!((tolerance.to_string(), Tolerance::default().as_f64()), ("2.5%".to_owned(), 0.05));
/// assert!(Tolerance::new(1.0).is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tolerance {
    millionths: u32,
}

/// The whole in millionths.
const WHOLE: f64 = 1e6;

impl Default for Tolerance {
    fn default() -> Self {
        Self { millionths: 50_000 }
    }
}

impl Tolerance {
    /// Returns the tolerance of a relative difference: at least 0, and below 1.
    // Not inlined: where a request may have none, the compiler rounds it as well, and memory checkers report an error.
    #[inline(never)]
    pub fn new(part: f64) -> Result<Self> {
        let millionths = part * WHOLE;
        if millionths >= 0.0 && millionths.round() < WHOLE {
            Ok(Self { millionths: millionths.round() as u32 })
        } else {
            Err(Error::request(format!("a tolerance of {part} is not at least 0 and below 1"))
                .help("0.05 is the default: rates that differ by less than 5 % count as equal"))
        }
    }

    /// Returns the relative difference.
    pub fn as_f64(self) -> f64 {
        f64::from(self.millionths) / WHOLE
    }

    /// Returns the relative difference in millionths.
    pub(in crate::solve) fn millionths(self) -> u32 {
        self.millionths
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / (WHOLE / 100.0))
    }
}

impl FromStr for Tolerance {
    type Err = Error;

    /// Parses a percentage such as `5%`, or a part such as `0.05`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 100.0));
        let part: Option<f64> = number.parse().ok();
        let part = part
            .ok_or_else(|| Error::request(format!("'{text}' is no tolerance")).help("such as 5% or 0.05"))?;
        Self::new(part / whole)
    }
}
