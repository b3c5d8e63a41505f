//! The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server as one graph, and the best GPUs for a job.
//!
//! - [`Topology`]: a machine, from [`discover`](Topology::discover), [`preset`](Topology::preset),
//!   [`parse`](Topology::parse) or [`open`](Topology::open).
//! - [`Request`]: the request of a job. [`Placement`]: the answer, with proof, CPUs, memory nodes and NICs.
//! - [`apply`]: binding of this process beside its GPUs.
//! - [`render`]: answers for programs, as JSON and as launchers read them. Tables and pictures are in `nvtopo-draw`.
//!
//! # Cookbook
//!
//! Print a machine:
//!
//! ```
//! let topology = nvtopo::Topology::preset("dgx-a100")?; // or discover()
//! for gpu in topology.gpus() {
//!     println!("{} {}", gpu.name(), gpu.model.as_deref().unwrap_or("of unknown model"));
//! }
//! for group in topology.nvlink_groups() {
//!     println!("GPUs {:?}: {}", group.gpus, group.shape);
//! }
//! # Ok::<(), nvtopo::Error>(())
//! ```
//!
//! Find the path between two devices:
//!
//! ```
//! let topology = nvtopo::Topology::preset("dgx-1-v100")?;
//! let pair = topology.pairs().pair(0, 3);
//! println!("{:?} over {} NVLinks, {:?}", pair.path, pair.nvlinks, pair.rate.map(|rate| rate.bandwidth));
//! # Ok::<(), nvtopo::Error>(())
//! ```
//!
//! Choose GPUs for a job, when some are taken:
//!
//! ```
//! use nvtopo::{Request, Topology};
//!
//! let topology = Topology::preset("dgx-1-v100")?;
//! let placement = Request::gpus(2).exclude([0, 3]).solve(&topology)?;
//! assert_eq!(placement.gpu_indices(), [1, 2]);
//! for gpu in placement.gpus() {
//!     println!("GPU{}: CPUs {}, memory of node {}, NICs {:?}", gpu.index, gpu.cpus, gpu.mems, gpu.nics);
//! }
//! # Ok::<(), nvtopo::Error>(())
//! ```
//!
//! Find the part of this rank in a parallel job:
//!
//! ```
//! use nvtopo::{CpuLimits, LocalRank, Part, Topology, VisibleGpus};
//!
//! let topology = Topology::preset("dgx-h100")?;
//! let variable = |name: &str| match name { "LOCAL_RANK" => Some("5".to_owned()), "LOCAL_WORLD_SIZE" => Some("8".to_owned()), _ => None }; // std::env::var(name).ok()
//! let rank = LocalRank::from_environment(variable)?;
//! let visible = VisibleGpus::from_environment(&topology, variable);
//! let part = Part::of_visible(&topology, &visible, rank, &CpuLimits::default())?;
//! assert_eq!(part.gpus, [5]);
//! // nvtopo::apply::bind(&topology, &part, BindOptions::default())?;
//! # Ok::<(), nvtopo::Error>(())
//! ```
//!
//! # Features
//!
//! None is on by default, and none but `hwloc` needs a system library. `nvml`: NVIDIA's driver in live discovery, its
//! library opened at run time where there is one. `hwloc`: this machine as libhwloc sees it. `snapshot`: everything that
//! discovery read, in a file. `schema`: the JSON Schema of the documents.

#[macro_use]
mod words;

pub mod apply;
mod bits;
mod cpuset;
mod error;
mod ids;
pub mod model;
mod once;
mod printable;
mod query;
pub mod render;
mod save;
#[cfg(feature = "schema")]
pub mod schema;
pub mod solve;
pub mod source;
mod sys;
mod units;

pub use cpuset::{CpuSet, MAX_INDEX, NodeSet};
pub use error::{Error, ErrorKind, Result};
pub use ids::{ComputeCapability, GpuUuid, PciAddress};
pub use model::root::*;
pub use printable::{printable, printable_lines};
pub use query::{GpuFault, LostPart, NvLinkChoice, Ring, Rings, diff};
pub use save::save_file;
pub use solve::root::*;
pub use units::{Bandwidth, Bytes};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/placement.md")]
struct Documents;
