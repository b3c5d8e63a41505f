//! The time of the first request of a process to a machine of many GPUs that is not perfect: measured, or with GPUs that lost
//! links. A fresh process is started each time: nothing is warm.
//!
//! The machine is known, and so are the classes of its pairs; all else is computed for the request.

mod timing;

use nvtopo::{Request, Topology};
use std::hint::black_box;
use std::io::Read;
use std::process::Command;
use std::time::Duration;
use timing::now;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [machine, count] = &arguments[..] {
        println!("{}", place_once(machine, count.parse().expect("a number")).as_nanos());
        return;
    }
    println!("{:<22} {:>10} {:>10} {:>10}", "machine", "median", "95 of 100", "most");
    for file in ["nvl72n", "weak-72-3", "meas-72-2", "sparse-nvlink-64", "swnoise24"] {
        spread(&format!("{file}.json.gz"));
    }
}

/// The first requests for every number of GPUs, each in a process of its own.
fn spread(machine: &str) {
    let gpus = open(machine).gpus().len();
    let mut times: Vec<Duration> = (1..=gpus).map(|count| fresh(machine, count)).collect();
    times.sort_unstable();
    let [middle, most] = [times[gpus / 2], times[gpus - 1]];
    let usual = times[(gpus * 95).div_ceil(100) - 1];
    println!("{machine:<22} {middle:>10.1?} {usual:>10.1?} {most:>10.1?}");
}

/// The time that a process of its own says that it took.
fn fresh(machine: &str, count: usize) -> Duration {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args([machine, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("a number");
    Duration::from_nanos(text.trim().parse().expect("a number"))
}

fn place_once(machine: &str, count: usize) -> Duration {
    let topology = open(machine);
    topology.pairs();
    let request = Request::gpus(count);
    let start = now();
    black_box(request.solve(black_box(&topology)).expect("enough GPUs"));
    now().saturating_sub(start)
}

/// Returns a recorded machine by the name of its file.
fn open(machine: &str) -> Topology {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/solver").join(machine);
    let mut text = Vec::new();
    let bytes = std::fs::read(file).expect("a recorded machine");
    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut text).expect("what was packed");
    Topology::parse(machine.trim_end_matches(".gz"), &text).expect("a recorded machine")
}
