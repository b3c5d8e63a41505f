//! Symmetries of the groups of ranks.
//!
//! Exchanging the ranks of a job by a permutation that maps every group to a group changes no time. Of the mappings
//! that differ by such permutations only the first in the order of the GPUs needs to be examined; each permutation
//! gives one constraint on that one (symmetry breaking).

use super::cost::Problem;
use crate::solve::search::set::{Set, members, of};

/// Returns, for each rank, the earlier ranks that have an earlier GPU in the first of equal mappings.
pub(super) fn constraints(problem: &Problem<'_>) -> Vec<Vec<usize>> {
    let ranks = problem.ranks();
    let families: Vec<Vec<Set>> = problem
        .families
        .iter()
        .map(|family| {
            let mut sets: Vec<Set> = family.groups.iter().map(|group| of(group.iter().copied())).collect();
            sets.sort_unstable();
            sets
        })
        .collect();
    let keeps = |exchange: &[usize]| {
        families.iter().all(|sets| {
            sets.iter().all(|set| {
                let moved = members(*set).fold(0, |moved, rank| moved | 1 << exchange[rank]);
                sets.binary_search(&moved).is_ok()
            })
        })
    };
    let mut before = vec![Vec::new(); ranks];
    for exchange in candidates(problem).filter(|exchange| keeps(exchange)) {
        // The first rank that moves gets a later GPU by the exchange, or the exchanged mapping would be first.
        if let Some(first) = (0..ranks).find(|rank| exchange[*rank] != *rank) {
            let later: &mut Vec<usize> = &mut before[exchange[first]];
            if !later.contains(&first) {
                later.push(first);
            }
        }
    }
    before
}

/// Returns permutations that may keep the groups: an exchange of two ranks or of two coordinates of an axis, the
/// reversal of an axis, and exchanges of a rank's coordinates with those of the origin.
fn candidates(problem: &Problem<'_>) -> impl Iterator<Item = Vec<usize>> {
    let ranks = problem.ranks();
    let all = move |exchange: &dyn Fn(usize) -> usize| (0..ranks).map(exchange).collect::<Vec<_>>();
    let mut found = Vec::new();
    for (a, b) in (0..ranks).flat_map(|a| (a + 1..ranks).map(move |b| (a, b))) {
        found.push(all(&|rank| swap(rank, a, b)));
    }
    for grid in &problem.grids {
        for axis in grid.axes().iter().filter(|axis| axis.size > 1) {
            let moved =
                |rank: usize, to: usize| rank - axis.coordinate(rank) * axis.stride + to * axis.stride;
            for (a, b) in (0..axis.size).flat_map(|a| (a + 1..axis.size).map(move |b| (a, b))) {
                found.push(all(&|rank| moved(rank, swap(axis.coordinate(rank), a, b))));
            }
            found.push(all(&|rank| moved(rank, axis.size - 1 - axis.coordinate(rank))));
        }
        for origin in 1..ranks {
            found.push(all(&|rank| {
                grid.axes()
                    .iter()
                    .map(|axis| swap(axis.coordinate(rank), 0, axis.coordinate(origin)) * axis.stride)
                    .sum()
            }));
        }
    }
    found.into_iter()
}

fn swap(value: usize, a: usize, b: usize) -> usize {
    match value {
        _ if value == a => b,
        _ if value == b => a,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ParallelJob;
    use super::super::parallel::tests::problem;
    use super::*;
    use crate::model::Topology;

    /// Counts the mappings of 8 ranks that satisfy the constraints.
    fn left(job: &ParallelJob) -> usize {
        fn count(before: &[Vec<usize>], taken: &mut Vec<usize>) -> usize {
            if taken.len() == before.len() {
                return 1;
            }
            let rank = taken.len();
            let mut sum = 0;
            for slot in 0..before.len() {
                if !taken.contains(&slot) && before[rank].iter().all(|earlier| taken[*earlier] < slot) {
                    taken.push(slot);
                    sum += count(before, taken);
                    taken.pop();
                }
            }
            sum
        }
        let topology = Topology::preset("dgx-1-v100").unwrap();
        problem(job, &topology, &[0, 1, 2, 3, 4, 5, 6, 7], |problem| {
            count(&constraints(problem), &mut Vec::new())
        })
    }

    #[test]
    fn what_cannot_be_told_apart_is_looked_at_once() {
        let job = |tp, dp, pp| ParallelJob::new().tp(tp).dp(dp).pp(pp);
        let all = |job: ParallelJob| {
            ["tp=1", "dp=1", "pp=1"]
                .into_iter()
                .fold(job, |job, traffic| job.traffic(traffic.parse().unwrap()))
        };
        // One group of all: one mapping.
        assert_eq!(left(&all(job(1, 8, 1))), 1);
        // Pairs without more: 8! / (2^4 · 4!), each pair by its first GPU.
        assert_eq!(left(&all(job(2, 4, 1)).traffic("dp=0".parse().unwrap())), 105);
        // 8! / (2! · 4!).
        assert_eq!(left(&all(job(2, 4, 1))), 840);
        // A pipeline is symmetric under reversal.
        assert_eq!(left(&all(job(1, 1, 8))), 20_160);
    }
}
