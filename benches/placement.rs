//! How long a placement takes, beside brute force in the same run.
//!
//! Both answer the same question by the default objectives and must agree on every score; ours also deals out the CPUs
//! and finds the NICs. Rounds alternate, so that a busy machine slows both; the ratio is what counts.

mod timing;

use nvtopo::{PathType, Request, Topology};
use std::hint::black_box;
use timing::{median, time};

const ROUNDS: usize = 15;

fn main() {
    println!("{:<22} {:>4} {:>12} {:>14} {:>8}", "machine", "GPUs", "nvtopo", "brute force", "ratio");
    for (preset, counts) in [
        ("dgx-1-v100", &[2, 3, 4, 5, 6, 7][..]),
        ("dgx-h100", &[2, 4, 6]),
        ("l40s-8-pcie", &[2, 4, 6]),
        ("dgx-2", &[2, 4, 8, 12]),
    ] {
        let topology = Topology::preset(preset).expect("a preset");
        topology.pairs();
        for &count in counts {
            row(preset, &topology, count);
        }
    }
}

fn row(name: &str, topology: &Topology, count: usize) {
    let request = Request::gpus(count);
    let matrix = matrix(topology);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(time(|| request.solve(black_box(topology)).expect("enough GPUs").scores()[1].value));
        theirs.push(time(|| brute_force(black_box(&matrix), count)));
    }
    let scores: Vec<u64> = request
        .solve(topology)
        .expect("enough GPUs")
        .scores()
        .iter()
        .map(|score| score.value.number())
        .collect();
    let best = brute_force(&matrix, count);
    assert_eq!(scores, best.map(|(bandwidth, _)| bandwidth), "{name}, {count} GPUs");
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{name:<22} {count:>4} {ours:>12.1?} {theirs:>14.1?} {ratio:>7.2}x");
}

/// Bandwidth in MB/s, then nearness.
type Weight = (u64, u64);

fn matrix(topology: &Topology) -> Vec<Vec<Weight>> {
    let gpus = topology.gpus().len();
    let weight = |a: usize, b: usize| {
        let pair = topology.pairs().pair(a, b);
        let nearness = pair.path.map_or(0, |path| PathType::Dis as u64 - path as u64);
        (pair.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s()), nearness)
    };
    (0..gpus).map(|a| (0..gpus).map(|b| weight(a, b)).collect()).collect()
}

/// Worst pair, sum, and what the rest can still form: every set is looked at, and the rest only of those that are
/// not worse already.
fn brute_force(matrix: &[Vec<Weight>], count: usize) -> [Weight; 3] {
    let all = (1u32 << matrix.len()) - 1;
    let mut best = [(0, 0); 3];
    for set in (0..=all).filter(|set| set.count_ones() as usize == count) {
        let (worst, sum) = value(matrix, set);
        if (worst, sum) >= (best[0], best[1]) {
            best = best.max([worst, sum, remainder(matrix, all & !set)]);
        }
    }
    best
}

/// The best worst pairs of the sets of each size, summed.
fn remainder(matrix: &[Vec<Weight>], rest: u32) -> Weight {
    let mut best = [(0, 0); 33];
    let mut set = rest;
    while set != 0 {
        let size = set.count_ones() as usize;
        if size > 1 {
            best[size] = best[size].max(value(matrix, set).0);
        }
        set = (set - 1) & rest;
    }
    best.iter().fold((0, 0), |sum, worst| (sum.0 + worst.0, sum.1 + worst.1))
}

fn value(matrix: &[Vec<Weight>], set: u32) -> (Weight, Weight) {
    let members = |set: u32| {
        std::iter::successors(Some(set), |set| Some(set & set.wrapping_sub(1)))
            .take_while(|set| *set != 0)
            .map(|set| set.trailing_zeros() as usize)
    };
    let (mut worst, mut sum) = ((u64::MAX, 0), (0, 0));
    for a in members(set) {
        for b in members(set & !((2 << a) - 1)) {
            worst = worst.min(matrix[a][b]);
            sum = (sum.0 + matrix[a][b].0, sum.1 + matrix[a][b].1);
        }
    }
    (worst, sum)
}
