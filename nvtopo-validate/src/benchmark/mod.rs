//! The programs that are known, one value each: what to plan for it, and how its output is read.
//!
//! A new one is a value here, and a function in `reading` where its output is in a format of its own.

mod collective;
mod gpus;
mod rdma;

use crate::figure::Subject;
use crate::plan::{Job, Targets};
use crate::reading;
use nvtopo::{Error, Result, Topology};

pub(crate) use rdma::TCP_PORT;

/// A microbenchmark.
#[non_exhaustive]
pub struct Benchmark {
    /// The name of the program, as it is found through `PATH`.
    pub program: &'static str,
    /// The quantity that it measures, for people.
    pub measures: &'static str,
    /// The place where it comes from.
    pub home: &'static str,
    pub(crate) plan: fn(&Targets<'_>) -> Vec<Job>,
    pub(crate) read: fn(&Topology, &Job, &str) -> Result<Vec<crate::Figure>>,
}

impl std::fmt::Debug for Benchmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Benchmark").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Every program that is known, in the order in which they run.
pub static BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        program: "nvbandwidth",
        measures: "copies between each two GPUs, and between each GPU and memory of the host",
        home: "https://github.com/NVIDIA/nvbandwidth",
        plan: gpus::nvbandwidth,
        read: gpus::read,
    },
    Benchmark {
        program: "p2pBandwidthLatencyTest",
        measures: "copies between each two GPUs",
        home: "https://github.com/NVIDIA/cuda-samples",
        plan: gpus::p2p_test,
        read: gpus::read,
    },
    Benchmark {
        program: "ib_write_bw",
        measures: "writes from each RDMA port to each other one",
        home: "https://github.com/linux-rdma/perftest",
        plan: rdma::write_bw,
        read: rdma::read_bandwidth,
    },
    Benchmark {
        program: "ib_read_lat",
        measures: "the time of a small read between each two RDMA ports",
        home: "https://github.com/linux-rdma/perftest",
        plan: rdma::read_lat,
        read: |topology, job, text| one(topology, job, reading::latency::perftest(text)),
    },
    Benchmark {
        program: "ibv_rc_pingpong",
        measures: "the time of a message there and back between each two RDMA ports",
        home: "https://github.com/linux-rdma/rdma-core",
        plan: rdma::pingpong,
        read: |topology, job, text| one(topology, job, reading::latency::pingpong(text)),
    },
    Benchmark {
        program: "all_reduce_perf",
        measures: "the bus bandwidth of an all-reduce of each NVLink group",
        home: "https://github.com/NVIDIA/nccl-tests",
        plan: collective::plan,
        read: collective::read,
    },
];

/// Returns a benchmark by the name of its program.
///
/// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for another name.
pub fn by_name(program: &str) -> Result<&'static Benchmark> {
    BENCHMARKS.iter().find(|own| own.program == program).ok_or_else(|| {
        let names: Vec<&str> = BENCHMARKS.iter().map(|own| own.program).collect();
        Error::request(format!("'{program}' is no benchmark that is known"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// Returns the one latency of a job.
fn one(_topology: &Topology, job: &Job, found: Result<f64>) -> Result<Vec<crate::Figure>> {
    let subject: Subject = job.subject.clone();
    Ok(vec![crate::Figure::new(job.program, subject, crate::Metric::Latency, found?)])
}
