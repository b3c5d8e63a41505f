//! The time of a placement, beside brute force in the same run.
//!
//! Both answer the same question by the worst pair and then the sum of all pairs, and must agree on both; ours also looks at
//! rings, NUMA nodes, NICs and what is left where these leave sets equal, deals out the CPUs and finds the NICs. Rounds alternate,
//! so that a busy machine slows both; the ratio is what counts.
//!
//! First: the machine is known, and nobody asked for this yet, so that the search runs. Again: the same request as before, of
//! which the set is remembered. Brute force remembers nothing, so that its ratio is to the first.

mod timing;

use nvtopo::solve::SizeMix;
use nvtopo::{Bandwidth, PathType, Request, Topology};
use std::hint::black_box;
use timing::{median, time};

const ROUNDS: usize = 15;

/// Requests that are asked in turn. More than the 64 answers that are remembered, so that none is when its turn comes again.
const REQUESTS: usize = 130;

fn main() {
    println!(
        "{:<12} {:>4} {:>10} {:>10} {:>14} {:>8}",
        "machine", "GPUs", "first", "again", "brute force", "ratio"
    );
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
    let others: Vec<Request> =
        (0..REQUESTS).map(|turn| request.clone().mix(mix(topology.gpus().len(), turn))).collect();
    let mut others = others.iter().cycle();
    let solve =
        |request: &Request| request.solve(black_box(topology)).expect("enough GPUs").scores()[1].value;
    let (mut first, mut again, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        first.push(time(|| others.next().map(solve)));
        again.push(time(|| solve(&request)));
        theirs.push(time(|| brute_force(black_box(&matrix), count)));
    }
    let placement = request.solve(topology).expect("enough GPUs");
    let scores =
        [0, 1].map(|index| placement.scores()[index].value.and_then(nvtopo::solve::Quantity::as_bandwidth));
    let best = brute_force(&matrix, count);
    let best = best.map(|(mb_per_s, _)| Some(Bandwidth::from_mb_per_s(mb_per_s)));
    assert_eq!(scores, best, "{name}, {count} GPUs");
    let (first, again, theirs) = (median(first), median(again), median(theirs));
    let ratio = theirs.as_secs_f64() / first.as_secs_f64();
    println!("{name:<12} {count:>4} {first:>10.1?} {again:>10.1?} {theirs:>14.1?} {ratio:>7.2}x");
}

/// Nearly as many jobs of each size, and never quite the same: answers are remembered by this, too.
fn mix(gpus: usize, turn: usize) -> SizeMix {
    let weight = |size: usize| if size == 1 { 1.0 + turn as f64 / 1000.0 } else { 1.0 };
    SizeMix::new((1..=gpus).map(|size| (size, weight(size)))).expect("a mix")
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

/// Worst pair and sum: every set is looked at.
fn brute_force(matrix: &[Vec<Weight>], count: usize) -> [Weight; 2] {
    let sets = (0..1u32 << matrix.len()).filter(|set| set.count_ones() as usize == count);
    sets.map(|set| value(matrix, set)).max().unwrap_or_default()
}

fn value(matrix: &[Vec<Weight>], set: u32) -> [Weight; 2] {
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
    [worst, sum]
}
