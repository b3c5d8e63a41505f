//! The measure of benchmarks: means of short runs, and the median of several of them. What counts is the time that this
//! thread had a processor, so that a busy machine does not change the answer much.

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// The mean over as many calls as take a millisecond. The clock is asked before and after, not for each call: that alone
/// takes longer than some of them.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub(crate) fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let mut calls = 1;
    loop {
        let start = now();
        for _ in 0..calls {
            black_box(call());
        }
        let passed = now().saturating_sub(start);
        if passed >= Duration::from_millis(1) {
            return passed / calls;
        }
        calls *= 4;
    }
}

/// The middle one.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The time that this thread has run, in its own code and in the kernel.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
