//! How long a placement takes, beside brute force in the same run.
//!
//! Both answer the same question with the same objectives and must agree on the score. Rounds alternate, so that a
//! busy machine slows both; the ratio is what counts.

use nvtopo::{PathType, Request, Topology};
use std::hint::black_box;
use std::time::{Duration, Instant};

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
    let request = Request::gpus(count).objectives(["min-pair", "pair-sum"]);
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
        .map(|score| score.value.as_mb_per_s())
        .collect();
    let (worst, sum) = brute_force(&matrix, count);
    assert_eq!(scores[..2], [worst.0, sum.0], "{name}, {count} GPUs");
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

/// The best worst pair and sum, and for each candidate set what the rest can still form: every set is looked at.
fn brute_force(matrix: &[Vec<Weight>], count: usize) -> (Weight, Weight) {
    let mut best = ((0, 0), (0, 0));
    for set in (0u32..1 << matrix.len()).filter(|set| set.count_ones() as usize == count) {
        best = best.max(value(matrix, set));
    }
    best
}

fn value(matrix: &[Vec<Weight>], set: u32) -> (Weight, Weight) {
    let members: Vec<usize> = (0..matrix.len()).filter(|gpu| set >> gpu & 1 == 1).collect();
    let (mut worst, mut sum) = ((u64::MAX, 0), (0, 0));
    for (index, &a) in members.iter().enumerate() {
        for &b in &members[index + 1..] {
            worst = worst.min(matrix[a][b]);
            sum = (sum.0 + matrix[a][b].0, sum.1 + matrix[a][b].1);
        }
    }
    (worst, sum)
}

/// The mean over as many calls as fit into two milliseconds.
fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed() < Duration::from_millis(2) {
        black_box(call());
        calls += 1;
    }
    start.elapsed() / calls
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
