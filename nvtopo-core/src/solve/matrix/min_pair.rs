//! The best worst pair: the greatest weight such that the pairs of at least so much hold a clique.

use super::clique::{Cliques, Found};
use super::{BestSet, LANES, PairMatrix};
use crate::solve::set::{Set, above, members};

pub(super) fn best(matrix: &PairMatrix, free: Set, include: Set, count: usize) -> BestSet {
    if count == 1 {
        let first = if include == 0 { free & free.wrapping_neg() } else { include };
        return BestSet::proven(first, 0);
    }
    match matrix.gpus {
        0..=16 => Thresholds::<16>::new(matrix, free, include, count).run(),
        17..=64 => Thresholds::<64>::new(matrix, free, include, count).run(),
        _ => Thresholds::<128>::new(matrix, free, include, count).run(),
    }
}

/// Halves what is between a worst pair that some set has and one that none has.
struct Thresholds<'a, const N: usize> {
    matrix: &'a PairMatrix,
    free: Set,
    include: Set,
    missing: usize,
    /// The pairs of at least the threshold.
    near: [Set; N],
    steps: u64,
}

impl<'a, const N: usize> Thresholds<'a, N> {
    fn new(matrix: &'a PairMatrix, free: Set, include: Set, count: usize) -> Self {
        let missing = count - include.count_ones() as usize;
        let steps = if matrix.gpus <= 16 { u64::MAX } else { matrix.most_steps.max(1) };
        Self { matrix, free, include, missing, near: [0; N], steps }
    }

    fn run(mut self) -> BestSet {
        let open = self.free & !self.include;
        // Something to begin with: the lowest.
        let others = members(open).take(self.missing).fold(0, |set, gpu| set | 1 << gpu);
        let mut set = self.include | others;
        let mut value = self.worst(set);
        let mut high = self.worst(self.include).min(self.greatest());
        let mut bound = high;
        while value < high {
            let threshold = value + (high - value).div_ceil(2);
            self.connect(threshold);
            // Some steps are left for lower thresholds.
            let (steps, missing) = (self.steps.div_ceil(4), self.missing);
            match self.search(steps, |cliques, open| cliques.any(open, missing)) {
                Found::Yes(found) => {
                    set = found | self.include;
                    value = self.worst(set);
                }
                Found::No => {
                    high = self.below(threshold).max(value);
                    bound = high;
                }
                Found::Unknown => high = self.below(threshold).max(value),
            }
        }
        self.connect(value);
        let some = set & !self.include;
        let (first, known) = self.search(self.steps, |cliques, open| cliques.first(open, some));
        let proven = known && bound <= value;
        BestSet { set: first | self.include, value: value.into(), bound: bound.max(value).into(), proven }
    }

    /// Joins the pairs of at least so much.
    fn connect(&mut self, threshold: u32) {
        for gpu in members(self.free) {
            let lanes = self.matrix.row(gpu).chunks_exact(LANES).enumerate();
            let near = lanes.fold(0, |near, (lane, weights)| {
                near | Set::from(at_least(weights, threshold)) << (lane * LANES)
            });
            self.near[gpu] = near & !(1 << gpu);
        }
    }

    /// The greatest weight below a threshold.
    fn below(&self, threshold: u32) -> u32 {
        let below = |weight: u32| if weight < threshold { weight } else { 0 };
        let rows =
            members(self.free).map(|gpu| self.matrix.row(gpu).iter().map(|weight| below(*weight)).max());
        rows.max().flatten().unwrap_or(0)
    }

    /// A search among those that may join what is included, with at most so many of the steps.
    fn search<T>(&mut self, steps: u64, search: impl FnOnce(&mut Cliques<'_, N>, Set) -> T) -> T {
        let open = members(self.include).fold(self.free & !self.include, |open, gpu| open & self.near[gpu]);
        let mut cliques = Cliques::new(&self.near, steps);
        let found = search(&mut cliques, open);
        self.steps -= steps - cliques.steps;
        found
    }

    fn greatest(&self) -> u32 {
        let rows = members(self.free).map(|gpu| self.matrix.row(gpu).iter().max());
        rows.max().flatten().copied().unwrap_or(0)
    }

    /// The worst pair of a set.
    fn worst(&self, set: Set) -> u32 {
        let pairs = members(set).flat_map(|a| {
            let row = self.matrix.row(a);
            members(set & above(a)).map(move |b| row[b])
        });
        pairs.min().unwrap_or(u32::MAX)
    }
}

/// A bit for each of the weights that is at least so much.
fn at_least(weights: &[u32], threshold: u32) -> u8 {
    let mut bytes = [0; LANES];
    for (byte, weight) in bytes.iter_mut().zip(weights) {
        *byte = u8::from(*weight >= threshold);
    }
    // Moves the lowest bit of each byte to the place of the byte, all into the highest one.
    (u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> (u64::BITS - u8::BITS)) as u8
}
