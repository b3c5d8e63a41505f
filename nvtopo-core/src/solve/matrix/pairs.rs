//! A matrix of pair weights.

use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::solve::search::set::{MAX_CANDIDATES, Set};

/// The number of entries of a row that are compared at once.
pub(super) const LANES: usize = 8;

/// The number of steps after which a search stops by default.
const MAX_STEPS: u64 = 100_000;

/// A matrix of the weight of each pair of up to 128 GPUs: any integers of which more is better, such as MB/s or a number of
/// links.
///
/// ```
/// use nvtopo::solve::PairMatrix;
///
/// // GPU0 and GPU1 are a good pair, GPU2 is near to both.
/// let matrix = PairMatrix::from_rows(4, &[
///     0, 9, 5, 1,
///     9, 0, 5, 1,
///     5, 5, 0, 1,
///     1, 1, 1, 0,
/// ])?;
/// let best = matrix.best_by_pair_sum(0b1111, 0, 3).unwrap();
/// assert_eq!((best.set, best.value, best.proven), (0b0111, 19, true));
/// // GPU0 is taken, and GPU3 has to be in.
/// let best = matrix.best_by_min_pair(0b1110, 0b1000, 2).unwrap();
/// assert_eq!((best.set, best.value), (0b1010, 1));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairMatrix {
    pub(super) gpus: usize,
    /// The length of a row.
    width: usize,
    /// The weights row by row, each padded with zeros to a multiple of [`LANES`]; zeros on the diagonal.
    cells: Box<[u32]>,
    pub(super) most_steps: u64,
}

/// The best set of GPUs that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BestSet {
    /// The chosen GPUs, one bit for each.
    pub set: u128,
    /// The sum over its pairs or its worst pair, in the unit of the matrix. One GPU has no pair and the value 0.
    pub value: u64,
    /// The upper bound: no set has a greater value; the value itself where that is proven.
    pub bound: u64,
    /// True if no set has a greater value, and none of equal value has lower GPUs: always, for 16 candidates or fewer.
    pub proven: bool,
}

impl BestSet {
    pub(super) fn proven(set: Set, value: u64) -> Self {
        Self { set, value, bound: value, proven: true }
    }
}

impl PairMatrix {
    /// Returns the matrix of a function of two positions, of which the first is lower.
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) for more than 128 GPUs.
    ///
    /// ```
    /// let islands = nvtopo::solve::PairMatrix::new(8, |a, b| if a / 4 == b / 4 { 100 } else { 10 })?;
    /// assert_eq!(islands.best_by_min_pair(0b1111_1000, 0, 4).unwrap().set, 0b1111_0000);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn new(gpus: usize, pair: impl Fn(usize, usize) -> u32) -> Result<Self> {
        let mut own = Self::nothing(gpus)?;
        for (a, b) in (0..gpus).flat_map(|a| (a + 1..gpus).map(move |b| (a, b))) {
            let weight = pair(a, b);
            (own.cells[a * own.width + b], own.cells[b * own.width + a]) = (weight, weight);
        }
        Ok(own)
    }

    /// Returns the matrix of all numbers, row by row. The diagonal is ignored.
    ///
    /// A request error if the number of entries is wrong, or the two directions of a pair differ;
    /// [`Unsupported`](ErrorKind::Unsupported) for more than 128 GPUs.
    ///
    /// ```
    /// use nvtopo::solve::PairMatrix;
    ///
    /// assert!(PairMatrix::from_rows(2, &[0, 7, 7, 0]).is_ok());
    /// let error = PairMatrix::from_rows(2, &[0, 7, 6, 0]).unwrap_err();
    /// assert!(error.to_string().contains("from GPU 0 to GPU 1 is 7, and back it is 6"));
    /// ```
    pub fn from_rows(gpus: usize, numbers: &[u32]) -> Result<Self> {
        let mut own = Self::nothing(gpus)?;
        Self::check_count(gpus, numbers.len())?;
        for (a, row) in numbers.chunks_exact(gpus.max(1)).enumerate() {
            for (b, there) in row.iter().enumerate().skip(a + 1) {
                let back = numbers[b * gpus + a];
                if *there != back {
                    let message =
                        format!("the number from GPU {a} to GPU {b} is {there}, and back it is {back}");
                    return Err(Error::request(message).help("give the lower of the two for both"));
                }
            }
            own.cells[a * own.width..][..gpus].copy_from_slice(row);
            own.cells[a * own.width + a] = 0;
        }
        Ok(own)
    }

    /// Returns the matrix of the bandwidths between the GPUs of a machine in MB/s, one direction, by their positions in
    /// [`Topology::gpus`]; 0 where one is unknown.
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) for more than 128 GPUs.
    ///
    /// ```
    /// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
    /// let matrix = nvtopo::solve::PairMatrix::of(&dgx1)?;
    /// let best = matrix.best_by_min_pair(0xff, 0, 2).unwrap();
    /// assert_eq!((best.set, best.value), (0b1001, 50_000));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of(topology: &Topology) -> Result<Self> {
        Self::new(topology.gpus().len(), |a, b| {
            let rate = topology.pairs().pair(a, b).rate;
            rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s().try_into().unwrap_or(u32::MAX))
        })
    }

    /// Stops a search among more than 16 GPUs after this number of steps, each a microsecond or a few; the answer is then not
    /// proven. The default is 100,000.
    ///
    /// ```
    /// let matrix = nvtopo::solve::PairMatrix::new(64, |a, b| (a * 31 + b * 17) as u32 % 97)?.most_steps(10);
    /// let best = matrix.best_by_pair_sum(u128::from(u64::MAX), 0, 12).unwrap();
    /// assert!(!best.proven && best.value < best.bound);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[must_use]
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.most_steps = steps;
        self
    }

    /// Returns the number of GPUs.
    pub fn gpus(&self) -> usize {
        self.gpus
    }

    /// Returns the weight of a pair.
    ///
    /// # Panics
    /// For a GPU that the matrix does not have.
    pub fn pair(&self, a: usize, b: usize) -> u32 {
        self.row(a)[..self.gpus][b]
    }

    /// Checks the number of GPUs: [`Unsupported`](ErrorKind::Unsupported) if a matrix cannot have as many. For interfaces that
    /// read one.
    pub fn check_size(gpus: usize) -> Result<()> {
        if gpus > MAX_CANDIDATES {
            let message = format!("{gpus} GPUs are more than the {MAX_CANDIDATES} of one matrix");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(())
    }

    pub(super) fn check_count(gpus: usize, numbers: usize) -> Result<()> {
        let needed = gpus * gpus;
        if numbers != needed {
            let message = format!("the matrix has {numbers} numbers, and {gpus} GPUs need {needed}");
            return Err(Error::request(message));
        }
        Ok(())
    }

    fn nothing(gpus: usize) -> Result<Self> {
        Self::check_size(gpus)?;
        let width = gpus.next_multiple_of(LANES);
        Ok(Self { gpus, width, cells: vec![0; gpus * width].into(), most_steps: MAX_STEPS })
    }

    pub(super) fn row(&self, a: usize) -> &[u32] {
        &self.cells[a * self.width..][..self.width]
    }
}
