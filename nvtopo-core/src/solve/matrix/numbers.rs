//! A matrix of arbitrary numbers, as measurements and other programs give them, and the one call over it.

use super::pairs::{BestSet, PairMatrix};
use crate::error::{Error, Result};
use crate::solve::search::set::{Set, all, members, of};
use crate::units::count_of;

words! {
    /// The objective by which sets of a bare matrix are compared.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum PairObjective {
        /// `min-pair`: the worst pair of the set.
        #[default]
        MinPair = "min-pair",
        /// `pair-sum`: the sum over all pairs of the set.
        PairSum = "pair-sum",
    }
    /// Returns its word.
    word, |text| {
        Error::request(format!("a matrix has no objective '{text}'"))
            .help("there are min-pair and pair-sum; the others need a topology")
    }
}

/// The greatest number of a matrix: sums of such numbers are finite.
const MOST: f64 = 1e300;

/// A matrix of the value of each pair of up to 128 GPUs: any numbers of which more is better, such as measured GB/s.
///
/// If the two directions of a pair differ, the lower number counts. NaN is unknown: such a pair is compared as if it were 0, and
/// a set that holds it has no value.
///
/// ```
/// use nvtopo::solve::{NumberMatrix, PairObjective};
///
/// let measured = NumberMatrix::from_rows(3, &[
///     f64::NAN, 48.3, 9.1,
///     48.1, f64::NAN, 9.7,
///     9.0, 9.9, f64::NAN,
/// ])?;
/// let best = measured.best_set(PairObjective::MinPair, u128::MAX, 0, 2)?;
/// assert_eq!((best.set, best.value, best.proven), (0b011, Some(48.1), true));
/// let best = measured.best_set(PairObjective::MinPair, u128::MAX, 0b100, 2)?;
/// assert_eq!((best.set, best.value), (0b110, Some(9.7)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NumberMatrix {
    gpus: usize,
    /// The numbers row by row, symmetric.
    numbers: Vec<f64>,
}

/// The best set by a [`NumberMatrix`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BestByNumbers {
    /// The chosen GPUs, one bit for each.
    pub set: u128,
    /// The worst pair or the sum of the pairs, in the unit of the matrix. One GPU has no pair and the value 0. `None`: a pair of
    /// the set is unknown.
    pub value: Option<f64>,
    /// The upper bound: no set has a greater value, unknown pairs taken as 0.
    pub bound: f64,
    /// True if no set has a greater value, and none of equal value has lower GPUs: always, for 16 GPUs or fewer. Sums are of
    /// numbers to one part in 4 billion of the greatest.
    pub proven: bool,
}

impl NumberMatrix {
    /// Returns the matrix of all numbers, row by row. The diagonal is ignored.
    ///
    /// A request error if the number of entries is wrong, or one is negative or above 1e300;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for more than 128 GPUs.
    pub fn from_rows(gpus: usize, rows: &[f64]) -> Result<Self> {
        PairMatrix::check_size(gpus)?;
        PairMatrix::check_count(gpus, rows.len())?;
        let mut numbers = vec![0.0; rows.len()];
        for (a, b) in (0..gpus).flat_map(|a| (0..gpus).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let (there, back) = (rows[a * gpus + b], rows[b * gpus + a]);
            if !there.is_nan() && !(0.0..=MOST).contains(&there) {
                return Err(Error::request(format!("the number from GPU {a} to GPU {b} is {there}")).help(
                    "give a number from 0 to 1e300, of which more is better, or NaN where it is unknown",
                ));
            }
            // NaN is not less than anything; -0 becomes 0.
            numbers[a * gpus + b] = 0.0 + if there.is_nan() || there < back { there } else { back };
        }
        Ok(Self { gpus, numbers })
    }

    /// Returns the set of the GPUs of some rows. A request error for a row that the matrix does not have.
    pub fn set(&self, rows: &[usize]) -> Result<u128> {
        if let Some(outside) = rows.iter().find(|row| **row >= self.gpus) {
            let message = format!("there is no GPU {outside}: the matrix has {}", count_of(self.gpus, "row"));
            return Err(Error::request(message).help("GPUs are named by their rows, from 0"));
        }
        Ok(of(rows.iter().copied()))
    }

    /// Finds the best `count` GPUs among `free`, with all of `include`; ties go to the lowest GPUs. Bits beyond the matrix are
    /// ignored.
    ///
    /// Errors are [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a contradiction, and
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) if too few are free.
    pub fn best_set(
        &self,
        objective: PairObjective,
        free: u128,
        include: u128,
        count: usize,
    ) -> Result<BestByNumbers> {
        let (free, include) = (free & all(self.gpus), include & all(self.gpus));
        self.check(free, include, count)?;
        let scale = match objective {
            PairObjective::MinPair => Scale::ranks(&self.numbers),
            PairObjective::PairSum => Scale::sums(&self.numbers),
        };
        let matrix = PairMatrix::new(self.gpus, |a, b| scale.weight(self.pair(a, b)))?;
        let best = match objective {
            PairObjective::MinPair => matrix.best_by_min_pair(free, include, count),
            PairObjective::PairSum => matrix.best_by_pair_sum(free, include, count),
        };
        let Some(BestSet { set, bound, proven, value: worth }) = best else {
            return Err(Error::unsatisfiable("no set of GPUs meets the request"));
        };
        let value = self.value(objective, set);
        let bound = match value {
            // Rounding must not put the bound below the value.
            Some(value) if bound == worth => value,
            _ => scale.number(bound).max(value.unwrap_or_default()),
        };
        Ok(BestByNumbers { set, value, bound, proven })
    }

    fn check(&self, free: Set, include: Set, count: usize) -> Result<()> {
        let (available, included) = (free.count_ones() as usize, include.count_ones() as usize);
        if count == 0 {
            return Err(Error::request("0 GPUs were asked for").help("ask for at least 1"));
        }
        if let Some(gpu) = members(include & !free).next() {
            return Err(Error::request(format!("GPU {gpu} is included, but is not free")));
        }
        if included > count {
            let message = format!("{} are included, but only {count} asked for", count_of(included, "GPU"));
            return Err(Error::request(message));
        }
        if available < count {
            let asked = format!("{} {}", count_of(count, "GPU"), if count == 1 { "was" } else { "were" });
            let message = format!("{asked} asked for, but only {available} of {} are free", self.gpus);
            return Err(Error::unsatisfiable(message));
        }
        Ok(())
    }

    fn pair(&self, a: usize, b: usize) -> f64 {
        self.numbers[a * self.gpus + b]
    }

    fn value(&self, objective: PairObjective, set: Set) -> Option<f64> {
        let gpus: Vec<usize> = members(set).collect();
        let (mut worst, mut sum) = (f64::INFINITY, 0.0);
        for (index, a) in gpus.iter().enumerate() {
            for b in &gpus[index + 1..] {
                let number = self.pair(*a, *b);
                if number.is_nan() {
                    return None;
                }
                worst = worst.min(number);
                sum += number;
            }
        }
        Some(match objective {
            PairObjective::MinPair if gpus.len() > 1 => worst,
            PairObjective::MinPair => 0.0,
            PairObjective::PairSum => sum,
        })
    }
}

/// The conversion of the numbers to the integers that are compared.
enum Scale {
    /// Ranks: sufficient for a worst pair, and exact.
    Ranks(Vec<f64>),
    /// A factor, then rounded: needed for sums.
    Times(f64),
}

impl Scale {
    fn ranks(numbers: &[f64]) -> Self {
        let known = numbers.iter().copied().filter(|number| *number > 0.0);
        let mut ranks: Vec<f64> = std::iter::once(0.0).chain(known).collect();
        ranks.sort_unstable_by(f64::total_cmp);
        ranks.dedup();
        Self::Ranks(ranks)
    }

    /// Returns the least power of ten that makes all numbers whole, so that decimals are added without an error; else the
    /// greatest factor that fits.
    fn sums(numbers: &[f64]) -> Self {
        let known = || numbers.iter().copied().filter(|number| *number > 0.0);
        let greatest = known().fold(0.0, f64::max);
        let most = f64::from(u32::MAX);
        let whole = |scale: &f64| {
            greatest * scale <= most
                && known().all(|number| {
                    let scaled = number * scale;
                    (scaled - scaled.round()).abs() <= scaled * 4.0 * f64::EPSILON
                })
        };
        let decimal = (0..=9).map(|digits| 10_f64.powi(digits)).find(whole);
        Self::Times(match decimal {
            Some(scale) => scale,
            None => (most / greatest).min(f64::MAX),
        })
    }

    fn weight(&self, number: f64) -> u32 {
        if number.is_nan() {
            return 0;
        }
        match self {
            Self::Ranks(ranks) => ranks.partition_point(|rank| *rank < number) as u32,
            Self::Times(scale) => (number * scale).round() as u32,
        }
    }

    fn number(&self, weight: u64) -> f64 {
        match self {
            Self::Ranks(ranks) => {
                let rank = usize::try_from(weight).unwrap_or(usize::MAX).min(ranks.len() - 1);
                ranks[rank]
            }
            Self::Times(scale) => weight as f64 / scale,
        }
    }
}
