//! How benchmarks measure: means of short runs, and the median of several of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The mean over as many calls as fit into two milliseconds.
pub(crate) fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed() < Duration::from_millis(2) {
        black_box(call());
        calls += 1;
    }
    start.elapsed() / calls
}

/// The middle one.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
