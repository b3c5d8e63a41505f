//! The best worst pair: the greatest weight such that the pairs of at least that weight hold a clique.

use super::pairs::{BestSet, LANES, PairMatrix};
use crate::solve::search::clique::{Cliques, Found};
use crate::solve::search::set::{Set, above, members, of};
use crate::solve::search::threshold::{Fit, greatest};

pub(super) fn best(matrix: &PairMatrix, free: Set, include: Set, count: usize) -> BestSet {
    if count == 1 {
        let first = if include == 0 { free & free.wrapping_neg() } else { include };
        return BestSet::proven(first, 0);
    }
    match matrix.gpus {
        0..=16 => within::<16>(matrix, free, include, count, u64::MAX),
        17..=64 => within::<64>(matrix, free, include, count, matrix.most_steps.max(1)),
        _ => within::<128>(matrix, free, include, count, matrix.most_steps.max(1)),
    }
}

/// Bisects between a worst pair that some set reaches and one that none reaches.
fn within<const N: usize>(
    matrix: &PairMatrix,
    free: Set,
    include: Set,
    count: usize,
    mut steps: u64,
) -> BestSet {
    let missing = count - include.count_ones() as usize;
    // The other candidates that may be in a set that is as good as the best one so far.
    let mut open = free & !include;
    let mut near = [0; N];
    let beside = |near: &[Set; N], open: Set| members(include).fold(open, |open, gpu| open & near[gpu]);
    let lowest = include | of(members(open).take(missing));
    let most = members(free).map(|gpu| matrix.row(gpu).iter().copied().fold(0, u32::max)).fold(0, u32::max);
    let high = matrix.worst(include).min(most);
    let reached = greatest(
        high.into(),
        lowest,
        |set| matrix.worst(set).into(),
        |threshold| {
            let below = connect(matrix, free, threshold as u32, &mut near);
            // Steps are reserved for lower thresholds.
            let some = steps.div_ceil(4);
            let mut cliques = Cliques::new(&near, some);
            let found = cliques.any(beside(&near, open), missing);
            steps -= some - cliques.steps;
            let fit = match found {
                Found::Yes { clique, open: left } => {
                    open = left;
                    Fit::Yes(clique | include)
                }
                Found::No => Fit::No,
                Found::Unknown => Fit::Unknown,
            };
            (fit, below.into())
        },
    );
    connect(matrix, free, reached.level as u32, &mut near);
    let (first, known) = Cliques::new(&near, steps).first(beside(&near, open), reached.set & !include);
    let proven = known && reached.bound == reached.level;
    BestSet { set: first | include, value: reached.level, bound: reached.bound, proven }
}

/// Connects the pairs of at least the threshold, and returns the greatest weight below it.
fn connect<const N: usize>(matrix: &PairMatrix, free: Set, threshold: u32, connected: &mut [Set; N]) -> u32 {
    // The matrix is symmetric, so each row gives one bit of all candidates. Without a branch, the compiler processes several
    // entries of a row at once.
    let mut words = [[0; N]; Set::BITS.div_ceil(u32::BITS) as usize];
    let mut below = [0; LANES];
    for gpu in members(free) {
        let (word, bit) = (&mut words[gpu / u32::BITS as usize], 1u32 << (gpu as u32 % u32::BITS));
        let (word, row) = (word.as_chunks_mut::<LANES>().0, matrix.row(gpu).as_chunks::<LANES>().0);
        for (near, weights) in word.iter_mut().zip(row) {
            let joined = weights.map(|weight| u32::from(weight >= threshold).wrapping_neg());
            *near = std::array::from_fn(|lane| near[lane] | joined[lane] & bit);
            below = std::array::from_fn(|lane| below[lane].max(weights[lane] & !joined[lane]));
        }
    }
    for gpu in members(free) {
        let near = words.iter().rev().fold(0, |near, word| near << u32::BITS | Set::from(word[gpu]));
        connected[gpu] = near & !(1 << gpu);
    }
    below.into_iter().fold(0, u32::max)
}

impl PairMatrix {
    /// Returns the worst pair of a set.
    fn worst(&self, set: Set) -> u32 {
        let pairs = members(set).flat_map(|a| {
            let row = self.row(a);
            members(set & above(a)).map(move |b| row[b])
        });
        pairs.min().unwrap_or(u32::MAX)
    }
}
