//! The pick of NVIDIA's device plugin, found exactly: the free GPUs are divided into sets of the size asked for so that
//! the sum of the pair scores inside the sets is greatest, and the best set of that division is given out.
//!
//! For comparison, and for clusters that want the same picks faster. Nothing else here chooses this way: dividing all
//! GPUs well is not the same as choosing one set well. Source of the objective and of the scores: `bestEffortPolicy`
//! in NVIDIA/go-gpuallocator, which walks through all divisions.

mod division;
mod halves;
mod task;

use nvtopo::{Error, ErrorKind, Result};
use nvtopo::{PathType, Topology};
use task::{Tables, Task};

/// The most GPUs that are divided.
pub const MAX_GPUS: usize = 16;

/// The loss of a division that does not exist; the sum of two still fits.
const IMPOSSIBLE: i32 = i32::MAX / 4;

/// The score of each pair of GPUs, by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    gpus: usize,
    cells: Vec<u16>,
}

impl Scores {
    /// Scores from a function of two positions, of which the first is lower.
    pub fn new(gpus: usize, pair: impl Fn(usize, usize) -> u16) -> Result<Self> {
        if gpus > MAX_GPUS {
            let message = format!("{gpus} GPUs are more than the {MAX_GPUS} that are divided into sets");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let cell = |a: usize, b: usize| if a == b { 0 } else { pair(a.min(b), a.max(b)) };
        let cells = (0..gpus * gpus).map(|index| cell(index / gpus, index % gpus)).collect();
        Ok(Self { gpus, cells })
    }

    /// The scores that NVIDIA's device plugin gives, without a unit: for the path over PCIe and the CPUs 10 (`SYS`), 20
    /// (`NODE`), 30 (`PHB`), 40 (`PXB`) or 50 (`PIX`), nothing where it is unknown, and 100 for each NVLink.
    ///
    /// NVLinks over NVSwitches count, which the plugin itself does not see.
    pub fn of(topology: &Topology) -> Result<Self> {
        let devices = topology.devices();
        Self::new(topology.gpus().len(), |a, b| {
            let host = match topology.host_path(devices[a], devices[b]) {
                Some(PathType::Pix) => 50,
                Some(PathType::Pxb) => 40,
                Some(PathType::Phb) => 30,
                Some(PathType::Node) => 20,
                Some(PathType::Sys) => 10,
                _ => 0,
            };
            topology.pairs().pair(a, b).nvlinks.saturating_mul(100).saturating_add(host)
        })
    }

    /// The number of GPUs.
    pub fn gpus(&self) -> usize {
        self.gpus
    }

    /// The score of a pair.
    pub fn pair(&self, a: usize, b: usize) -> u16 {
        self.cells[a * self.gpus + b]
    }

    /// The sum over the pairs of a set, one bit for each GPU.
    pub fn of_set(&self, set: u32) -> u32 {
        let (mut sum, mut left) = (0, set & ((1 << self.gpus) - 1));
        while left != 0 {
            let a = left.trailing_zeros() as usize;
            left &= left - 1;
            let mut others = left;
            while others != 0 {
                sum += u32::from(self.pair(a, others.trailing_zeros() as usize));
                others &= others - 1;
            }
        }
        sum
    }
}

/// A division of the free GPUs into sets, one bit for each GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The sets by their lowest members; one may be smaller than the others.
    pub sets: Vec<u32>,
    /// The sum over the pairs inside the sets: no division has more.
    pub total: u32,
    /// The full set with the greatest sum that holds the required GPUs; the first of several.
    pub chosen: u32,
}

/// Divides the `free` GPUs into sets of `count`, and one of what is left over, so that the scores inside the sets sum up to
/// the most, and one full set holds all `required` GPUs. Of equal divisions it is the one whose sets have the lowest
/// members, which is the one that a walk through all divisions meets first.
///
/// `None`: there are not enough free GPUs, no GPU is asked for, or more are required than fit or are free.
///
/// ```
/// use nvtopo_simulate::partition::{Scores, best};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let pairs = best(&Scores::of(&dgx1)?, 0xff, 0, 2).unwrap();
/// assert_eq!(pairs.total, 920);
/// // Four pairs with two NVLinks each: not the single best pair, which would break another.
/// assert_eq!(pairs.sets, [0b1001, 0b0110, 0b1001_0000, 0b0110_0000]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn best(scores: &Scores, free: u32, required: u32, count: usize) -> Option<Partition> {
    let all = (1u32 << scores.gpus) - 1;
    let size = free.count_ones() as usize;
    let sound = free & !all == 0 && required & !free == 0 && required.count_ones() as usize <= count;
    if count == 0 || size < count || !sound {
        return None;
    }
    let (sets, total) = match size {
        // The tables of few GPUs are small enough for the stack.
        0..=8 => Task::<8>::new(scores, free, required, count).run(|task| {
            let (mut losses, mut known, mut taken) = ([0; 256], [0; 129], [0; 129]);
            task.divide(Tables { losses: &mut losses, known: &mut known, taken: &mut taken })
        }),
        _ => Task::<MAX_GPUS>::new(scores, free, required, count).run(|task| {
            let parts = (1 << (size - 1)) + 1;
            let (mut losses, mut known, mut taken) = (vec![0; 1 << size], vec![0; parts], vec![0; parts]);
            task.divide(Tables { losses: &mut losses, known: &mut known, taken: &mut taken })
        }),
    };
    let whole = |set: &u32| set.count_ones() as usize == count && set & required == required;
    let chosen = sets
        .iter()
        .copied()
        .filter(whole)
        .reduce(|best, set| if scores.of_set(set) > scores.of_set(best) { set } else { best })?;
    Some(Partition { sets, total, chosen })
}
