//! The selection of `count` candidates with the greatest sum, each with a gain of its own and one with each other. Among 16
//! candidates or fewer every set is examined, its sum computed from that of the set before.

use super::pairs::PairMatrix;
use crate::solve::search::set::{Set, members, of};

/// The candidates to pick. The included GPUs are no candidates: they are part of the gains. If more than half of the candidates
/// are asked for, the ones to leave out are picked instead.
pub(super) struct Pick {
    /// The candidates by their GPUs.
    pub(super) open: Set,
    /// The number of candidates.
    pub(super) size: usize,
    /// The number of candidates to pick.
    pub(super) count: usize,
    /// True if the picked candidates are left out.
    pub(super) out: bool,
    /// The GPUs that must be included.
    include: Set,
    /// The value before anything is picked.
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

    /// Returns what one candidate adds if nothing else is picked.
    pub(super) fn gain(&self, matrix: &PairMatrix, gpu: usize) -> i64 {
        let row = matrix.row(gpu);
        if self.out { -sum(row, self.open | self.include) } else { sum(row, self.include) }
    }

    /// Returns the complete set and its value from what was picked.
    pub(super) fn answer(&self, picked: Set, gains: i64) -> (Set, u64) {
        let set = if self.out { self.open & !picked } else { picked };
        (set | self.include, self.value(gains))
    }

    /// Returns the value that gains come to.
    pub(super) fn value(&self, gains: i64) -> u64 {
        (self.base + gains).cast_unsigned()
    }
}

fn sum(row: &[u32], set: Set) -> i64 {
    members(set).map(|other| i64::from(row[other])).sum()
}

/// Finds the set to pick among up to `N` candidates, and what it gains.
pub(super) fn pick<const N: usize>(matrix: &PairMatrix, pick: &Pick) -> (Set, i64) {
    let mut gpus = [0; N];
    for (own, gpu) in gpus.iter_mut().zip(members(pick.open)) {
        *own = gpu as u8;
    }
    let mut gains = [0; N];
    let mut weights = [[0; N]; N];
    for ((weights, gain), gpu) in weights.iter_mut().zip(&mut gains).zip(&gpus[..pick.size]) {
        let row = matrix.row(usize::from(*gpu));
        for (weight, other) in weights.iter_mut().zip(&gpus[..pick.size]) {
            *weight = i64::from(row[usize::from(*other)]);
        }
        *gain = pick.gain(matrix, usize::from(*gpu));
    }
    let mut sets = Sets { size: pick.size, last: pick.out, weights, best: i64::MIN, picked: 0 };
    sets.grow(0, 0, pick.count, 0, &gains);
    let (picked, best) = (sets.picked, sets.best);
    (of(members(picked.into()).map(|member| usize::from(gpus[member]))), best)
}

struct Sets<const N: usize> {
    size: usize,
    /// True if the last of several best sets counts, false for the first.
    last: bool,
    weights: [[i64; N]; N],
    best: i64,
    picked: u16,
}

impl<const N: usize> Sets<N> {
    /// Tries every set that adds `missing` candidates from `next` on. `gains` is what each would add.
    fn grow(&mut self, set: u16, next: usize, missing: usize, sum: i64, gains: &[i64; N]) {
        match missing {
            0 => (self.picked, self.best) = (set, sum),
            1 => self.finish(set, next, sum, gains),
            2 => {
                for member in next..self.size - 1 {
                    let mut more = [0; N];
                    add(&mut more, gains, &self.weights[member]);
                    self.finish(set | 1 << member, member + 1, sum + gains[member], &more);
                }
            }
            _ => {
                for member in next..=self.size - missing {
                    let mut more = [0; N];
                    add(&mut more, gains, &self.weights[member]);
                    self.grow(set | 1 << member, member + 1, missing - 1, sum + gains[member], &more);
                }
            }
        }
    }

    fn finish(&mut self, set: u16, next: usize, sum: i64, gains: &[i64; N]) {
        let gains = &gains[next..self.size];
        let most = gains.iter().copied().max().unwrap_or_default();
        if sum + most > self.best || self.last && sum + most == self.best {
            let first = gains.iter().position(|gain| *gain == most);
            let last = || gains.iter().rposition(|gain| *gain == most);
            let member = next + if self.last { last() } else { first }.unwrap_or_default();
            (self.best, self.picked) = (sum + most, set | 1 << member);
        }
    }
}

fn add<const N: usize>(sums: &mut [i64; N], gains: &[i64; N], weights: &[i64; N]) {
    for ((sum, gain), weight) in sums.iter_mut().zip(gains).zip(weights) {
        *sum = gain + weight;
    }
}
