//! `nvtopo_best_set`: the best GPUs by a bare matrix of numbers, for schedulers that have no topology.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::chooser::nvtopo_gpu_set;
use crate::handle::{Doubles, Text};
use crate::status::{answer, nvtopo_status};
use nvtopo::solve::{NumberMatrix, PairMatrix, PairObjective};
use std::mem::MaybeUninit;

/// The best set of GPUs by a matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct nvtopo_best {
    /// The chosen GPUs, by their rows.
    pub set: nvtopo_gpu_set,
    /// The worst pair of the set or the sum of its pairs, in the unit of the matrix. One GPU has no pair and is worth 0. NaN: a
    /// pair of the set is unknown.
    pub value: f64,
    /// No set is worth more, unknown pairs taken as 0.
    pub bound: f64,
    /// True where no set is worth more, and none that is worth as much has lower GPUs: always, where there are 16 GPUs or fewer.
    /// Sums are of numbers to one part in 4 billion of the greatest.
    pub proven: bool,
}

/// The best `count` GPUs by the value of each pair of them, for schedulers that have numbers and no topology.
///
/// `rows` are `gpus` rows of `gpus` numbers, for up to 128 GPUs, of which more is better. The diagonal is not looked at. Where
/// the two directions of a pair differ, the lower number counts. NaN is unknown: such a pair is compared as if it were
/// worth 0. `free` are the GPUs that may be chosen, and bits of no GPU are not looked at; `include` are those that must be.
/// `objective` is "min-pair", the worst pair of the set, or "pair-sum", the sum of its pairs. The lowest GPUs of several
/// best sets are chosen.
///
/// Fails with `NVTOPO_STATUS_UNSATISFIABLE` where not so many GPUs are free, `NVTOPO_STATUS_INVALID_REQUEST` for a contradiction or a
/// number that is negative, infinite or above 1e300, and `NVTOPO_STATUS_UNSUPPORTED` for more than 128 GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_best_set(
    rows: Doubles,
    gpus: usize,
    free: nvtopo_gpu_set,
    include: nvtopo_gpu_set,
    count: usize,
    objective: Text,
    best: Option<&mut MaybeUninit<nvtopo_best>>,
) -> nvtopo_status {
    answer(best, "best", || {
        PairMatrix::check_size(gpus)?;
        let matrix = NumberMatrix::from_rows(gpus, rows.read(gpus * gpus, "rows")?)?;
        let objective: PairObjective = objective.read("objective")?.parse()?;
        let best = matrix.best_set(objective, free.into(), include.into(), count)?;
        let (set, value) = (best.set.into(), best.value.unwrap_or(f64::NAN));
        Ok(nvtopo_best { set, value, bound: best.bound, proven: best.proven })
    })
}
