//! The question by the sum of pairs, reduced: so many of some candidates, each with a gain of its own and one with each other.

use super::pairs::PairMatrix;
use crate::solve::search::set::{Set, members};

/// Which candidates to pick. What must be included is no candidate: it is part of the gains. Where more than half of the
/// candidates are asked for, those to leave out are picked instead.
pub(super) struct Pick {
    /// The candidates by their GPUs.
    pub(super) open: Set,
    /// How many candidates there are.
    pub(super) size: usize,
    /// How many to pick.
    pub(super) count: usize,
    /// Whether the picked are left out.
    pub(super) out: bool,
    /// What must be included.
    include: Set,
    /// What is worth something before anything is picked.
    base: i64,
}

impl Pick {
    pub(super) fn new(matrix: &PairMatrix, free: Set, include: Set, count: usize) -> Self {
        let open = free & !include;
        let (size, asked) = (open.count_ones() as usize, count - include.count_ones() as usize);
        let out = asked > size - asked;
        let kept = if out { free } else { include };
        let base = members(kept).map(|gpu| sum(matrix.row(gpu), kept)).sum::<i64>() / 2;
        Self { open, size, count: if out { size - asked } else { asked }, out, include, base }
    }

    /// What one candidate adds where nothing else is picked.
    pub(super) fn gain(&self, matrix: &PairMatrix, gpu: usize) -> i64 {
        let row = matrix.row(gpu);
        if self.out { -sum(row, self.open | self.include) } else { sum(row, self.include) }
    }

    /// The whole set, and what it is worth, from what was picked.
    pub(super) fn answer(&self, picked: Set, gains: i64) -> (Set, u64) {
        let set = if self.out { self.open & !picked } else { picked };
        (set | self.include, self.value(gains))
    }

    /// What gains come to.
    pub(super) fn value(&self, gains: i64) -> u64 {
        (self.base + gains).cast_unsigned()
    }
}

fn sum(row: &[u32], set: Set) -> i64 {
    members(set).map(|other| i64::from(row[other])).sum()
}
