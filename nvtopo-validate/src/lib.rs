//! Measurements of a GPU server by the usual microbenchmarks, held against what its graph says is possible.
//!
//! - [`benchmark`]: the registry of programs that are known, such as `nvbandwidth` and `all_reduce_perf`.
//! - [`Plan`]: what to run, which devices each run uses, and the CPUs and memory beside them. [`run`](Plan::run) runs it.
//! - [`Results`]: figures, of runs or of saved outputs. [`Report`]: each of them beside the rate of its path, and the links
//!   that explain those that fall short.
//! - [`canary`]: the same figures before and after a change of the driver.
//! - [`workload`]: a real program under a good and a poor placement.
//!
//! Nothing is read of the environment and nothing is printed: the caller says where programs are looked for, and is told of
//! progress.
//!
//! ```
//! use nvtopo_validate::{Judge, Results};
//!
//! let text = "Running device_to_device_memcpy_write_ce.
//! memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)
//!            0         1
//!  0       N/A    121.30
//!  1    242.70       N/A
//! ";
//! let dgx = nvtopo::Topology::preset("dgx-a100")?;
//! let mut results = Results::default();
//! results.read_saved(&dgx, "nvbandwidth.txt", text.as_bytes())?;
//! let report = Judge::default().report(&dgx, &results);
//! assert_eq!(report.suspects()[0].name, "path over NVSwitches from GPU0 to GPU1");
//! # Ok::<(), nvtopo::Error>(())
//! ```

pub mod benchmark;
pub mod canary;
mod device;
mod figure;
mod path;
mod plan;
mod possible;
mod reading;
mod render;
mod report;
mod results;
mod run;
mod spread;
mod suspects;
pub mod workload;

pub use device::{LeftOut, gpus, ports};
pub use figure::{Figure, Metric, Subject};
pub use plan::{Job, Plan, PlanOptions, Step};
pub use possible::{Possible, possible};
pub use report::{Judge, Judged, Report, Verdict};
pub use results::{Failed, Results};
pub use run::{RunOptions, find};
pub use suspects::Suspect;
