//! The time to choose GPUs.
//!
//! Warm: a [`Chooser`] of a machine that is known. First: this was never asked of it, since each time it goes by another mix of
//! jobs; one call is measured, the asking of the clock included. Again: this was asked before. Where all free GPUs are alike,
//! nothing is kept and nothing searched. Never seen: three in four of 72 GPUs are free, by chance, and each such set is asked for
//! once; means of ten calls. Cold: a matrix of numbers that nobody has seen before, made from a slice and answered,
//! beside brute force over all sets of the size. Both look at the same numbers in alternating rounds, and must agree on the set
//! and its value, or the benchmark stops. Then the best worst pair among 72 GPUs of which every pair is one of four numbers at
//! random: a matrix is asked once in each round, and what counts is its median.

mod timing;

use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NumaNode, NvSwitch, Provenance, TopologyBuilder, rates};
use nvtopo::solve::{BestSet, PairMatrix, SizeMix};
use nvtopo::{Chooser, Topology};
use std::hint::black_box;
use std::time::Duration;
use timing::{median, now, time};

const ROUNDS: usize = 9;

/// The most time that a choice among more than 16 GPUs may take.
const MANY_GPUS: Duration = Duration::from_micros(1);

/// Random matrices of 72 GPUs.
const MATRICES: u64 = 300;

fn main() {
    warm();
    new_free_sets();
    cold();
    random_72();
}

fn warm() {
    println!("{:<34} {:>4} {:>12} {:>12}", "machine", "GPUs", "first", "again");
    for name in ["dgx-1-v100", "dgx-h100", "l40s-8-pcie", "dgx-2"] {
        let topology = Topology::preset(name).expect("a preset");
        let gpus = topology.gpus().len();
        warm_rows(name, &topology, u128::MAX >> (128 - gpus), &[2, 4, gpus / 2 + 1]);
    }
    let all = u128::MAX >> 56;
    warm_rows("72 on NVSwitches", &switched(72, 1), all, &[2, 4, 37]);
    let nodes = switched(72, 36);
    warm_rows("72 on NVSwitches, 36 NUMA nodes", &nodes, all, &[2, 4, 16, 37]);
    let mut random = Random(1);
    let mut half = 0u128;
    while half.count_ones() < 36 {
        half |= 1 << (random.next() % 72);
    }
    warm_rows("of these 36 free at random", &nodes, half, &[2, 4, 16, 19]);
}

fn warm_rows(name: &str, topology: &Topology, free: u128, counts: &[usize]) {
    let gpus = topology.gpus().len();
    let goal = if gpus > 16 { MANY_GPUS } else { Duration::from_nanos(50) };
    for &count in counts {
        let chooser = Chooser::new(topology).expect("a chooser");
        // Later requests repeat one of many.
        for taken in 0..gpus * gpus {
            chooser.choose(free & !(1 << (taken / gpus) | 1 << (taken % gpus)), 2);
        }
        let expected = chooser.choose(free, count);
        let again = median((0..ROUNDS).map(|_| time(|| chooser.choose(black_box(free), count))).collect());
        let once = |turn: usize| {
            let weight = |size: usize| if size == 1 { 1.1 + turn as f64 / 100.0 } else { 1.0 };
            let mix = SizeMix::new((1..=gpus).map(|size| (size, weight(size)))).expect("a mix");
            let other = Chooser::by_objectives::<&str>(topology, [], Some(&mix)).expect("a chooser");
            let start = now();
            let set = other.choose(black_box(free), count);
            let passed = now().saturating_sub(start);
            assert_eq!(set.is_some(), expected.is_some());
            passed
        };
        let first = median((0..ROUNDS).map(once).collect());
        println!("{name:<34} {count:>4} {first:>12.1?} {again:>12.1?}{}", missed(again, goal));
    }
}

fn new_free_sets() {
    println!();
    println!("{:<34} {:>4} {:>12} {:>12}", "free GPUs that were never seen", "GPUs", "p50", "p99");
    for nodes in [1, 18, 36] {
        let topology = switched(72, nodes);
        for count in [2, 4, 16, 37] {
            let chooser = Chooser::new(&topology).expect("a chooser");
            let mut random = Random(u64::from(nodes));
            let mut bits = || {
                let words = [0; 4].map(|_| u128::from(random.next()));
                words.into_iter().enumerate().fold(0, |bits, (place, word)| bits | word << (32 * place))
            };
            let mut sets = || -> [u128; 10] { [0; 10].map(|_| (bits() | bits()) & u128::MAX >> 56) };
            let mut batch = || {
                let sets = sets();
                let start = now();
                for free in sets {
                    black_box(chooser.choose(black_box(free), count));
                }
                now().saturating_sub(start) / sets.len() as u32
            };
            // The machine's class is warm.
            batch();
            let mut times: Vec<Duration> = (0..ROUNDS * 500).map(|_| batch()).collect();
            times.sort_unstable();
            let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            let name = format!("72 on NVSwitches, NUMA nodes: {nodes}");
            println!("{name:<34} {count:>4} {half:>12.1?} {most:>12.1?}{}", missed(most, MANY_GPUS));
        }
    }
}

fn cold() {
    println!();
    println!(
        "{:<12} {:>4} {:<10} {:>12} {:>14} {:>9}",
        "matrix", "GPUs", "best", "cold", "brute force", "ratio"
    );
    let preset = |name: &str| {
        let matrix = PairMatrix::of(&Topology::preset(name).expect("a preset")).expect("few enough GPUs");
        rows(matrix.gpus(), |a, b| matrix.pair(a, b))
    };
    let mut random = Random(1);
    let numbers: Vec<u32> = (0..256).map(|_| random.next() % 1000).collect();
    let random = rows(16, |a, b| numbers[a * 16 + b]);
    for (name, numbers) in
        [("dgx-1-v100", preset("dgx-1-v100")), ("dgx-2", preset("dgx-2")), ("random", random)]
    {
        let gpus = numbers.len().isqrt();
        for (objective, sum) in [("pair-sum", true), ("min-pair", false)] {
            for count in 2..gpus {
                row(name, objective, &numbers, count, sum);
            }
        }
    }
}

fn row(name: &str, objective: &str, numbers: &[u32], count: usize, sum: bool) {
    let gpus = numbers.len().isqrt();
    let free = (1u128 << gpus) - 1;
    let ours = || {
        let matrix = PairMatrix::from_rows(gpus, black_box(numbers)).expect("a matrix");
        let best = if sum {
            matrix.best_by_pair_sum(free, 0, count)
        } else {
            matrix.best_by_min_pair(free, 0, count)
        };
        best.expect("enough GPUs")
    };
    let theirs = || brute_force(black_box(numbers), gpus, count, sum);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(time(ours));
        other.push(time(theirs));
    }
    let BestSet { set, value, proven, .. } = ours();
    assert_eq!((set, value, proven), (theirs().0, theirs().1, true), "{name}, {count} GPUs by {objective}");
    let (own, other) = (median(own), median(other));
    let ratio = other.as_secs_f64() / own.as_secs_f64();
    let goal = match (gpus, count) {
        (..=8, _) => 1,
        (_, ..=4) => 10,
        _ => 100,
    };
    let missed = missed(own, Duration::from_micros(goal));
    println!("{name:<12} {count:>4} {objective:<10} {own:>12.1?} {other:>14.1?} {ratio:>8.1}x{missed}");
}

/// The greatest value of all sets, and the first set by its members that has it.
fn brute_force(numbers: &[u32], gpus: usize, count: usize, sum: bool) -> (u128, u64) {
    let mut best: Option<(u32, u64)> = None;
    for set in (1..1u32 << gpus).filter(|set| set.count_ones() as usize == count) {
        let (mut total, mut worst, mut left) = (0, u32::MAX, set);
        while left != 0 {
            let row = &numbers[left.trailing_zeros() as usize * gpus..][..gpus];
            left &= left - 1;
            let mut others = left;
            while others != 0 {
                let number = row[others.trailing_zeros() as usize];
                total += u64::from(number);
                worst = worst.min(number);
                others &= others - 1;
            }
        }
        let value = if sum { total } else { worst.into() };
        let better = |(best, most): (u32, u64)| {
            let differ = set ^ best;
            value > most || value == most && set & differ & differ.wrapping_neg() != 0
        };
        if best.is_none_or(better) {
            best = Some((set, value));
        }
    }
    best.map(|(set, value)| (set.into(), value)).expect("some set")
}

fn random_72() {
    println!();
    println!("{:<34} {:>4} {:>12} {:>12} {:>9}", "best worst pair", "GPUs", "p50", "p99", "proven");
    let mut all = Vec::new();
    for count in [2, 4, 8, 12, 16, 18, 24, 32, 48] {
        let (mut times, mut proven) = (Vec::new(), 0);
        for seed in 0..MATRICES {
            let mut random = Random(seed);
            let numbers: Vec<u32> =
                (0..72 * 72).map(|_| [12, 25, 50, 100][random.next() as usize % 4]).collect();
            let matrix = PairMatrix::new(72, |a, b| numbers[a * 72 + b]).expect("a matrix");
            let ask = || matrix.best_by_min_pair(u128::MAX >> 56, 0, count).expect("enough GPUs");
            let once = |_| {
                let start = now();
                black_box(ask());
                now().saturating_sub(start)
            };
            times.push(median((0..5).map(once).collect()));
            proven += u32::from(ask().proven);
        }
        times.sort_unstable();
        all.extend(&times);
        percentiles(&count.to_string(), &times, &format!("{proven}/{MATRICES}"));
    }
    all.sort_unstable();
    percentiles("all", &all, "");
}

fn percentiles(count: &str, times: &[Duration], proven: &str) {
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let missed = missed(most, Duration::from_micros(100));
    println!(
        "{:<34} {count:>4} {half:>12.1?} {most:>12.1?} {proven:>9}{missed}",
        "72 of 4 numbers at random"
    );
}

fn missed(time: Duration, goal: Duration) -> String {
    if time > goal { format!("  above {goal:?}") } else { String::new() }
}

fn rows(gpus: usize, pair: impl Fn(usize, usize) -> u32) -> Vec<u32> {
    let cells = (0..gpus * gpus).map(|cell| (cell / gpus, cell % gpus));
    cells.map(|(a, b)| if a == b { 0 } else { pair(a.min(b), a.max(b)) }).collect()
}

/// GPUs on one NVSwitch, in equal parts on some NUMA nodes; each of several nodes has a NIC.
fn switched(gpus: u32, nodes: u32) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
    for os_index in 0..nodes {
        let numa = NumaNode::new(os_index);
        let node = fragment.add(NodeId::MACHINE, numa);
        for index in os_index * gpus / nodes..(os_index + 1) * gpus / nodes {
            let gpu = fragment.add(node, Gpu::new(index));
            fragment.link(gpu, switch, rates::nvlink(5, 18));
        }
        if nodes > 1 {
            let nic = Nic::new(format!("mlx5_{os_index}"));
            fragment.add(node, nic);
        }
    }
    TopologyBuilder::new().with(fragment).build().expect("a machine")
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}
