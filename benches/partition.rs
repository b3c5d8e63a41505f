//! The time to divide GPUs into sets, beside the walk through all divisions that NVIDIA's device plugin makes,
//! in the same run. Rounds alternate, so that a busy machine slows both; the ratio is what counts.
//!
//! With `--all`, 16 GPUs in sets of 3 and 5 too, for which the walk needs half a minute each.

mod go_gpuallocator;
mod timing;

use go_gpuallocator::{devices, walk};
use nvtopo::Topology;
use nvtopo_simulate::partition::{Scores, best};
use std::hint::black_box;
use std::time::Duration;
use timing::{now, time};

const ROUNDS: usize = 25;
const CALLS: u32 = 20;

fn main() {
    let all = std::env::args().any(|argument| argument == "--all");
    println!("{:<22} {:>4} {:>12} {:>14} {:>9}", "machine", "GPUs", "nvtopo", "all divisions", "ratio");
    for preset in ["dgx-1-v100", "dgx-h100", "l40s-8-pcie"] {
        let topology = Topology::preset(preset).expect("a preset");
        let scores = Scores::of(&topology).expect("few enough GPUs");
        for count in 2..=7 {
            // The least speedup at each size.
            row(preset, &scores, count, ROUNDS, 20.0);
        }
    }
    let islands = Scores::new(16, |a, b| if a / 8 == b / 8 { 610 } else { 10 }).expect("few enough GPUs");
    row("2 islands of 8", &islands, 8, ROUNDS, 40.0);
    let dgx2 = Topology::preset("dgx-2").expect("a preset");
    let dgx2 = Scores::of(&dgx2).expect("few enough GPUs");
    row("dgx-2", &dgx2, 8, ROUNDS, 40.0);
    // Nothing about this one can be exchanged, and no bound is tight.
    let uneven = Scores::new(16, |a, b| 100 * (((a * 31 + b * 17) * (a + b + 7)) % 7) as u16 + 10);
    let uneven = uneven.expect("few enough GPUs");
    for count in 2..=6 {
        if all || count % 2 == 0 {
            row("16 uneven", &uneven, count, 1, 500.0);
            row("dgx-2", &dgx2, count, 1, 500.0);
        }
    }
}

fn row(name: &str, scores: &Scores, count: usize, rounds: usize, goal: f64) {
    let free = (1 << scores.gpus()) - 1;
    let devices = devices(scores);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Several calls at once: a look at the clock takes a good part of one.
        let once = || best(black_box(scores), black_box(free), 0, count).expect("enough GPUs").total;
        ours.push(time(|| (0..CALLS).map(|_| black_box(once())).max()) / CALLS);
        if rounds > 1 {
            theirs.push(time(|| walk(black_box(&devices), count)));
        }
    }
    let start = now();
    let (total, set) = walk(&devices, count);
    if rounds == 1 {
        theirs.push(now().saturating_sub(start));
    }
    let found = best(scores, free, 0, count).expect("enough GPUs");
    assert_eq!(found.total, total, "{name}, {count} GPUs");
    assert_eq!(found.chosen, set, "{name}, {count} GPUs: ties are broken alike too");
    // On a machine with other work, the round that was disturbed least says most.
    let least = |times: Vec<Duration>| times.into_iter().min().expect("a round");
    let (ours, theirs) = (least(ours), least(theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let reached = if ratio < goal { format!("  below {goal}x") } else { String::new() };
    println!("{name:<22} {count:>4} {ours:>12.2?} {theirs:>14.2?} {ratio:>8.1}x{reached}");
}
