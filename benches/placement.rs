//! The time of a placement, beside brute force and the walk of NVIDIA's device plugin in the same run.
//!
//! `process`: the first request of a process that knows its machine; a fresh process each time, so that nothing is warm.
//! `first`: a request that nobody made before, to a solver that has answered others. `again`: a request that the solver has
//! answered before. All are whole placements by the default objectives, with CPUs, memory and NICs.
//!
//! Brute force answers only which GPUs have the best worst pair, then the best sum of pairs. `pairs` is a placement by just these
//! two objectives, which nobody asked for before; both must agree.
//! The device plugin's walk answers only which GPUs it would prefer. Rounds alternate, so that a busy machine slows all alike: the
//! ratios of one row are what counts.

mod go_gpuallocator;
mod timing;

use go_gpuallocator::{devices, walk};
use nvtopo::solve::{Quantity, SizeMix};
use nvtopo::{Bandwidth, PathType, Request, Solver, Topology};
use nvtopo_simulate::partition::Scores;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;
use timing::{median, now, time};

const ROUNDS: usize = 15;

/// The requests that are asked in turn. More than the 64 answers that a solver keeps, so that none is kept when its turn comes again.
const REQUESTS: usize = 130;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [preset, count] = &arguments[..] {
        println!("{}", first_of_process(preset, count.parse().expect("a number")).as_nanos());
        return;
    }
    println!(
        "{:<12} {:>4} {:>9} {:>9} {:>9} {:>9} {:>12} {:>16}",
        "machine", "GPUs", "process", "first", "again", "pairs", "brute force", "go-gpuallocator"
    );
    for (preset, counts) in [
        ("dgx-1-v100", &[1, 2, 3, 4, 5, 6, 7, 8][..]),
        ("dgx-h100", &[2, 4, 6]),
        ("l40s-8-pcie", &[2, 4, 6]),
        ("dgx-2", &[1, 2, 4, 8, 12, 16]),
    ] {
        let topology = Topology::preset(preset).expect("a preset");
        topology.pairs();
        for &count in counts {
            row(preset, &topology, count);
        }
    }
}

fn row(name: &str, topology: &Topology, count: usize) {
    let (solver, request, gpus) = (Solver::new(topology), Request::gpus(count), topology.gpus().len());
    let (pairs, scores) = (matrix(topology), Scores::of(topology).expect("few enough GPUs"));
    let plugin = devices(&scores);
    let others: Vec<Request> = (0..REQUESTS).map(|turn| request.clone().mix(mix(gpus, turn))).collect();
    let solve = |request: &Request| solver.solve(black_box(request)).expect("enough GPUs");
    let by_pairs: Vec<Request> =
        others.iter().map(|request| request.clone().objectives(["min-pair", "pair-sum"])).collect();
    let (mut others, mut pair_requests) = (others.iter().cycle(), by_pairs.iter().cycle());
    others.by_ref().take(REQUESTS).for_each(|request| drop(solve(request)));
    // It is not made for one GPU, and takes from seconds to minutes through all divisions of 16 GPUs, but for halves.
    let walks = count > 1 && (gpus <= 8 || 2 * count >= gpus);
    let (mut process, mut first, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own_pairs, mut brute, mut walked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        process.push(fresh(name, count));
        first.push(time(|| others.next().map(solve)));
        again.push(time(|| solve(&request)));
        own_pairs.push(time(|| pair_requests.next().map(solve)));
        brute.push(time(|| brute_force(black_box(&pairs), count)));
        if walks {
            walked.push(time(|| walk(black_box(&plugin), count)));
        }
    }
    let values = [0, 1].map(|at| solve(&by_pairs[0]).scores()[at].value.and_then(Quantity::as_bandwidth));
    let best = brute_force(&pairs, count).map(|(mb_per_s, _)| Some(Bandwidth::from_mb_per_s(mb_per_s)));
    assert!(count == 1 || values == best, "{name}, {count} GPUs: {values:?} {best:?}");
    let [process, first, again, own_pairs, brute] = [process, first, again, own_pairs, brute].map(median);
    let walked = if walks { format!("{:.1?}", median(walked)) } else { "-".to_owned() };
    println!(
        "{name:<12} {count:>4} {process:>9.1?} {first:>9.1?} {again:>9.1?} {own_pairs:>9.1?} {brute:>12.1?} {walked:>16}"
    );
}

/// Returns the time that a process of its own says that its first request took.
fn fresh(preset: &str, count: usize) -> Duration {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args([preset, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("a number");
    Duration::from_nanos(text.trim().parse().expect("a number"))
}

fn first_of_process(preset: &str, count: usize) -> Duration {
    let topology = Topology::preset(preset).expect("a preset");
    topology.pairs();
    let request = Request::gpus(count);
    let start = now();
    black_box(request.solve(black_box(&topology)).expect("enough GPUs"));
    now().saturating_sub(start)
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
