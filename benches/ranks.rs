//! The time to map the ranks of a job, beside trying all 40,320 orders of 8 GPUs in the same run.
//!
//! Both minimize the same time and must agree on it. The naive search is given the bandwidth of every set of GPUs
//! beforehand; ours works out those that it needs. Rounds alternate, so that a busy machine slows both; the ratio is what
//! counts.

mod timing;

use nvtopo::solve::{Dimension, Traffic};
use nvtopo::{ParallelJob, Topology};
use std::hint::black_box;
use std::time::Instant;
use timing::{median, time};

const ROUNDS: usize = 9;

/// The most that the median of an exact answer may take.
const LIMIT_MS: f64 = 1.0;

fn main() {
    println!(
        "{:<14} {:<22} {:>12} {:>14} {:>8} {:>6}",
        "machine", "job", "nvtopo", "all orders", "ratio", "gain"
    );
    for preset in ["dgx-1-v100", "l40s-8-pcie", "dgx-h100"] {
        let topology = Topology::preset(preset).expect("a preset");
        topology.pairs();
        for (tp, pp, dp) in [(2, 1, 4), (2, 2, 2), (2, 4, 1), (4, 1, 2), (1, 8, 1), (1, 1, 8)] {
            row(preset, &topology, &ParallelJob::new().tp(tp).pp(pp).dp(dp));
        }
        row(preset, &topology, &ParallelJob::new().dp(8).ep(4));
    }
}

fn row(name: &str, topology: &Topology, job: &ParallelJob) {
    let weights = [
        (Dimension::Tp, 34),
        (Dimension::Ep, 20),
        (Dimension::Dp, 10),
        (Dimension::Edp, 5),
        (Dimension::Pp, 1),
    ];
    let job = weights.into_iter().fold(job.clone(), |job, (dimension, gigabytes)| {
        job.traffic(Traffic { dimension, bytes: gigabytes * 1_000_000_000 })
    });
    // One order more than all others: launchers that see the GPUs as the machine does not.
    let gpus = [0, 5, 2, 7, 4, 1, 6, 3];
    let naive = Naive::of(topology, &job);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(time(|| job.map_to(black_box(topology), &gpus).expect("8 GPUs").seconds()));
        let start = Instant::now();
        black_box(naive.best());
        theirs.push(start.elapsed());
    }
    let map = job.map_to(topology, &gpus).expect("8 GPUs");
    assert!((map.seconds() - naive.best()).abs() < 1e-9, "{name}: {} and {}", map.seconds(), naive.best());
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{name:<14} {:<22} {ours:>12.1?} {theirs:>14.1?} {ratio:>7.1}x {:>5.2}x",
        job.shape(),
        map.gain()
    );
    assert!(ours.as_secs_f64() * 1e3 < LIMIT_MS, "{name}: more than {LIMIT_MS} ms");
}

/// The groups of each dimension with the seconds that every set of GPUs takes.
struct Naive(Vec<(Vec<Vec<usize>>, Vec<f64>)>);

impl Naive {
    fn of(topology: &Topology, job: &ParallelJob) -> Self {
        let mut families = Vec::new();
        for dimension in Dimension::ALL {
            let mut groups = job.groups(dimension).expect("a sound job");
            if dimension == Dimension::Pp {
                groups = groups.iter().flat_map(|group| group.windows(2).map(<[usize]>::to_vec)).collect();
            }
            let experts = job.groups(Dimension::Ep).expect("a sound job")[0].len();
            if groups.first().is_none_or(|group| group.len() < 2)
                || (dimension == Dimension::Edp && experts == 1)
            {
                continue;
            }
            let bytes = job.bytes(dimension).expect("traffic for all") as f64;
            let seconds = |set: usize| {
                let gpus: Vec<usize> = (0..8).filter(|gpu| set >> gpu & 1 == 1).collect();
                if gpus.len() != groups[0].len() {
                    return f64::NAN;
                }
                bytes / (bandwidth(topology, dimension, &gpus) * 1e6)
            };
            families.push(((0..256).map(seconds).collect(), groups));
        }
        Self(families.into_iter().map(|(seconds, groups)| (groups, seconds)).collect())
    }

    fn best(&self) -> f64 {
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        let mut best = f64::INFINITY;
        self.permute(&mut order, 0, &mut best);
        best
    }

    fn permute(&self, order: &mut [usize; 8], from: usize, best: &mut f64) {
        if from == order.len() {
            *best = best.min(self.time(order));
        }
        for other in from..order.len() {
            order.swap(from, other);
            self.permute(order, from + 1, best);
            order.swap(from, other);
        }
    }

    fn time(&self, order: &[usize; 8]) -> f64 {
        let of = |(groups, seconds): &(Vec<Vec<usize>>, Vec<f64>)| {
            let sets = groups.iter().map(|group| group.iter().fold(0, |set, rank| set | 1 << order[*rank]));
            sets.map(|set: usize| seconds[set]).fold(0.0, f64::max)
        };
        self.0.iter().map(of).sum()
    }
}

/// MB/s by the definition.
fn bandwidth(topology: &Topology, dimension: Dimension, gpus: &[usize]) -> f64 {
    let rate =
        |a: usize, b: usize| topology.pairs().pair(a, b).rate.expect("a known rate").bandwidth.as_mb_per_s();
    let cut = topology.all_to_all_bound(gpus).expect("a small set").as_mb_per_s();
    let found = match dimension {
        Dimension::Ep if cut > 0 => cut,
        Dimension::Ep => {
            let of = |a: usize| {
                let others = gpus.iter().filter(|b| **b != a).map(|b| 1.0 / rate(a, *b) as f64);
                (gpus.len() - 1) as f64 / others.sum::<f64>()
            };
            gpus.iter().map(|a| of(*a)).fold(f64::INFINITY, f64::min).round() as u64
        }
        Dimension::Pp => rate(gpus[0], gpus[1]),
        _ => topology.rings(gpus).expect("known paths").bandwidth.as_mb_per_s(),
    };
    found as f64
}
