//! The best worst pair: the greatest weight such that the pairs of at least that weight hold a clique.

use super::pairs::{BestSet, LANES, PairMatrix};
use crate::solve::search::clique::{Cliques, Found};
use crate::solve::search::set::{Set, above, members};

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

/// The bisection between a worst pair that some set reaches and one that none reaches.
struct Thresholds<'a, const N: usize> {
    matrix: &'a PairMatrix,
    free: Set,
    include: Set,
    /// The other candidates that may be in a set that is as good as the best one so far.
    open: Set,
    missing: usize,
    /// The pairs of at least the threshold.
    near: [Set; N],
    steps: u64,
}

impl<'a, const N: usize> Thresholds<'a, N> {
    fn new(matrix: &'a PairMatrix, free: Set, include: Set, count: usize) -> Self {
        let missing = count - include.count_ones() as usize;
        let steps = if matrix.gpus <= 16 { u64::MAX } else { matrix.most_steps.max(1) };
        Self { matrix, free, include, open: free & !include, missing, near: [0; N], steps }
    }

    fn run(mut self) -> BestSet {
        // The initial set: the lowest.
        let others = members(self.open).take(self.missing).fold(0, |set, gpu| set | 1 << gpu);
        let mut set = self.include | others;
        let mut value = self.worst(set);
        let mut high = self.worst(self.include).min(self.greatest());
        let mut bound = high;
        while value < high {
            let threshold = value + (high - value).div_ceil(2);
            let below = self.connect(threshold);
            // Steps are reserved for lower thresholds.
            let (steps, missing) = (self.steps.div_ceil(4), self.missing);
            match self.search(steps, |cliques, open| cliques.any(open, missing)) {
                Found::Yes { clique, open } => {
                    set = clique | self.include;
                    self.open = open;
                    value = self.worst(set);
                }
                Found::No => {
                    high = below.max(value);
                    bound = high;
                }
                Found::Unknown => high = below.max(value),
            }
        }
        self.connect(value);
        let some = set & !self.include;
        let (first, known) = self.search(self.steps, |cliques, open| cliques.first(open, some));
        let proven = known && bound <= value;
        BestSet { set: first | self.include, value: value.into(), bound: bound.max(value).into(), proven }
    }

    /// Connects the pairs of at least the threshold, and returns the greatest weight below it.
    fn connect(&mut self, threshold: u32) -> u32 {
        // The matrix is symmetric, so each row gives one bit of all candidates. Without a branch, the compiler processes several
        // entries of a row at once.
        let mut words = [[0; N]; Set::BITS.div_ceil(u32::BITS) as usize];
        let mut below = [0; LANES];
        for gpu in members(self.free) {
            let (word, bit) = (&mut words[gpu / u32::BITS as usize], 1u32 << (gpu as u32 % u32::BITS));
            let (word, row) = (word.as_chunks_mut::<LANES>().0, self.matrix.row(gpu).as_chunks::<LANES>().0);
            for (near, weights) in word.iter_mut().zip(row) {
                let joined = weights.map(|weight| u32::from(weight >= threshold).wrapping_neg());
                *near = std::array::from_fn(|lane| near[lane] | joined[lane] & bit);
                below = std::array::from_fn(|lane| below[lane].max(weights[lane] & !joined[lane]));
            }
        }
        for gpu in members(self.free) {
            let near = words.iter().rev().fold(0, |near, word| near << u32::BITS | Set::from(word[gpu]));
            self.near[gpu] = near & !(1 << gpu);
        }
        below.into_iter().fold(0, u32::max)
    }

    /// Searches among the candidates that may join the included ones, with at most `steps` steps.
    fn search<T>(&mut self, steps: u64, search: impl FnOnce(&mut Cliques<'_, N>, Set) -> T) -> T {
        let open = members(self.include).fold(self.open, |open, gpu| open & self.near[gpu]);
        let mut cliques = Cliques::new(&self.near, steps);
        let found = search(&mut cliques, open);
        self.steps -= steps - cliques.steps;
        found
    }

    fn greatest(&self) -> u32 {
        let rows = members(self.free).map(|gpu| self.matrix.row(gpu).iter().copied().fold(0, u32::max));
        rows.fold(0, u32::max)
    }

    /// Returns the worst pair of a set.
    fn worst(&self, set: Set) -> u32 {
        let pairs = members(set).flat_map(|a| {
            let row = self.matrix.row(a);
            members(set & above(a)).map(move |b| row[b])
        });
        pairs.min().unwrap_or(u32::MAX)
    }
}
