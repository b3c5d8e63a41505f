//! The best set of GPUs by a bare matrix of pair weights, without a topology.
//!
//! For schedulers that have numbers and no machine: from a measurement, a simulation, or another tool. Nothing is precomputed or
//! kept. Only the two objectives that depend on pairs alone are available; rings, NUMA nodes and NICs need a [`Topology`], and a
//! [`Request`](crate::Request).

mod branch;
mod min_pair;
mod numbers;
mod pairs;
mod pick;

use crate::solve::search::set::{Set, all};
pub use numbers::{BestByNumbers, NumberMatrix, PairObjective};
pub use pairs::{BestSet, PairMatrix};
use pick::Pick;

impl PairMatrix {
    /// Finds the `count` GPUs among `free`, with all of `include`, whose pairs have the greatest sum; ties go to the lowest GPUs.
    /// `None`: too few are free, `count` is 0, or `include` has more than `count` GPUs or one that is not free.
    pub fn best_by_pair_sum(&self, free: u128, include: u128, count: usize) -> Option<BestSet> {
        let pick = Pick::new(self, self.asked(free, include, count)?, include, count);
        let (picked, gain) = match pick.size {
            0..=8 => pick::pick::<8>(self, &pick),
            9..=16 => pick::pick::<16>(self, &pick),
            _ => return Some(branch::best(self, &pick)),
        };
        let (set, value) = pick.answer(picked, gain);
        Some(BestSet::proven(set, value))
    }

    /// Finds the `count` GPUs among `free`, with all of `include`, whose worst pair is best; ties go to the lowest GPUs. `None`
    /// as for [`best_by_pair_sum`](Self::best_by_pair_sum).
    pub fn best_by_min_pair(&self, free: u128, include: u128, count: usize) -> Option<BestSet> {
        self.asked(free, include, count).map(|free| min_pair::best(self, free, include, count))
    }

    /// Returns the free GPUs of the matrix, if the question has an answer.
    fn asked(&self, free: Set, include: Set, count: usize) -> Option<Set> {
        let free = free & all(self.gpus);
        let sound = include & !free == 0 && include.count_ones() as usize <= count;
        (sound && count > 0 && count <= free.count_ones() as usize).then_some(free)
    }
}
