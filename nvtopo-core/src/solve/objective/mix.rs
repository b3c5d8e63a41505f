//! The job mix: the frequency of each job size, by which the remaining GPUs are valued and simulated job streams are drawn.

use crate::error::{Error, Result};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The frequency of each job size.
///
/// ```
/// use nvtopo::solve::SizeMix;
///
/// let mix: SizeMix = "1:.5, 2:.25, 4:.25".parse()?;
/// assert_eq!(mix.mean(), 2.0);
/// assert_eq!(mix.to_string(), "1:0.5,2:0.25,4:0.25");
/// assert!("2:often".parse::<SizeMix>().is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SizeMix(Vec<(usize, f64)>);

// Weights are numbers, never NaN.
impl Eq for SizeMix {}

impl Hash for SizeMix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (size, weight) in &self.0 {
            (size, weight.to_bits()).hash(state);
        }
    }
}

impl SizeMix {
    /// Returns the mix of some sizes with their weights, which need not sum up to 1.
    pub fn new(weights: impl IntoIterator<Item = (usize, f64)>) -> Result<Self> {
        let mut sizes: Vec<(usize, f64)> = weights.into_iter().collect();
        sizes.sort_by_key(|(size, _)| *size);
        if let Some(twice) = sizes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::request(format!("jobs of {} GPUs are named twice", twice[0].0)));
        }
        if let Some((size, weight)) =
            sizes.iter().find(|(size, weight)| *size == 0 || !weight.is_finite() || *weight < 0.0)
        {
            return Err(Error::request(format!("jobs of {size} GPUs cannot have the weight {weight}")));
        }
        let total: f64 = sizes.iter().map(|(_, weight)| weight).sum();
        sizes.retain(|(_, weight)| *weight > 0.0);
        if !total.is_finite() {
            return Err(Error::request("the weights of the sizes of jobs are too large to add"));
        }
        if sizes.is_empty() {
            return Err(Error::request("no size of jobs has a weight").help("give sizes like 1:.5,2:.3,4:.2"));
        }
        for (_, weight) in &mut sizes {
            *weight /= total;
        }
        Ok(Self(sizes))
    }

    /// Returns a mix with odd sizes, as on shared servers: 1, 2, 3, 4, 5 and 8 GPUs with the weights .30, .25, .08, .20, .07 and
    /// .10, as far as the machine has that many.
    pub fn usual(gpus: usize) -> Result<Self> {
        let sizes = [(1, 0.30), (2, 0.25), (3, 0.08), (4, 0.20), (5, 0.07), (8, 0.10)];
        if gpus == 0 {
            return Err(Error::unsatisfiable("there is no GPU for jobs"));
        }
        Self::new(sizes.into_iter().filter(|(size, _)| *size <= gpus))
    }

    /// Returns the mix in which every size from 1 to the number of GPUs of a machine is equally frequent.
    pub fn uniform(gpus: usize) -> Result<Self> {
        Self::new((1..=gpus).map(|size| (size, 1.0)))
    }

    /// Returns the sizes with the number of jobs of each out of a million, for sums that are the same on every machine.
    pub(in crate::solve) fn millionths(&self) -> Vec<(usize, u64)> {
        self.0.iter().map(|(size, weight)| (*size, (weight * 1e6).round() as u64)).collect()
    }

    /// Returns the sizes, increasing, each with its frequency; the frequencies sum up to 1.
    pub fn sizes(&self) -> &[(usize, f64)] {
        &self.0
    }

    /// Returns the mean number of GPUs of a job.
    pub fn mean(&self) -> f64 {
        self.0.iter().map(|(size, weight)| *size as f64 * weight).sum()
    }
}

impl FromStr for SizeMix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size = |part: &str| {
            let (size, weight) = part.split_once(':')?;
            Some((size.trim().parse().ok()?, weight.trim().parse().ok()?))
        };
        let part = |part: &str| {
            size(part).ok_or_else(|| {
                Error::request(format!("'{}' is no size of jobs with its weight", part.trim()))
                    .help("give sizes like 1:.5,2:.3,4:.2")
            })
        };
        Self::new(text.split(',').map(part).collect::<Result<Vec<_>>>()?)
    }
}

impl fmt::Display for SizeMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (size, weight)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{size}:{}", (weight * 1e4).round() / 1e4)?;
        }
        Ok(())
    }
}
