//! How long it takes to choose GPUs: warm (asked before), and cold (a matrix never seen), beside brute force.

mod timing;

use nvtopo::{Chooser, Topology};
use std::hint::black_box;
use timing::{median, time};

const ROUNDS: usize = 15;

fn main() {
    println!("{:<22} {:>4} {:>12} {:>12}", "machine", "GPUs", "warm", "cold");
    nvtopo::solve::set_class_memory(0);
    for preset in ["dgx-1-v100", "dgx-h100", "l40s-8-pcie", "dgx-2"] {
        let topology = Topology::preset(preset).expect("a preset");
        topology.pairs();
        let gpus = topology.gpus().len();
        let free = (1u128 << gpus) - 1;
        for count in [2, 4, gpus / 2 + 1] {
            let chooser = Chooser::new(&topology).expect("a chooser");
            chooser.choose(free, count);
            let (mut warm, mut cold) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                warm.push(time(|| chooser.choose(black_box(free), count)));
                cold.push(time(|| {
                    Chooser::by_objectives(black_box(&topology), ["min-pair"], None)
                        .expect("a chooser")
                        .choose(free, count)
                }));
            }
            println!("{preset:<22} {count:>4} {:>12.1?} {:>12.1?}", median(warm), median(cold));
        }
    }
}
