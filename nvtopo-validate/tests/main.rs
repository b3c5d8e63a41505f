//! Tests of the crate: saved outputs, verdicts, real processes that stand in for benchmarks, canaries, and workloads.

#[cfg(target_os = "linux")]
#[path = "../../tests/support/beside_one_cpu.rs"]
mod beside_one_cpu;
mod canary;
mod judge;
#[cfg(target_os = "linux")]
mod runs;
mod saved;
mod support;
#[cfg(target_os = "linux")]
mod workload;
