//! Tests of the crate: saved outputs, verdicts, real processes that stand in for benchmarks, canaries, and workloads.

mod canary;
mod judge;
#[cfg(target_os = "linux")]
mod runs;
mod saved;
mod support;
#[cfg(target_os = "linux")]
mod workload;
