//! The Python face: the module `nvtopo._nvtopo`, which the package `nvtopo` re-exports.
//!
//! Each function and method converts, calls the core inside [`call`], and converts back. Nothing here decides,
//! reads or prints; classes are frozen, and what they say in `__doc__` stands in `_nvtopo.pyi` word by word.

// What stands in `///` here is read with Python's `help`.
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes)]

mod allocator;
mod arguments;
mod best_set;
mod bind;
mod bind_request;
mod chooser;
mod cpuset;
mod devices;
mod diff;
mod drawing;
mod error;
mod explanation;
mod gpus;
mod instance;
mod k8s;
mod matrix;
mod note;
mod outputs;
mod pairs;
mod pickle;
mod placement;
mod plan;
mod ranks;
mod shares;
mod source;
mod terms;
mod topology;
mod visible;
mod written;

use error::raise;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Calls the core with the interpreter lock released, and raises what it answers with.
fn call<T: Send>(py: Python<'_>, core: impl FnOnce() -> nvtopo::Result<T> + Send) -> PyResult<T> {
    py.detach(core).map_err(|error| raise(py, &error))
}

/// The indices of GPUs by their positions.
fn indices_of(topology: &nvtopo::Topology, positions: &[usize]) -> Vec<u32> {
    let indices: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    positions.iter().filter_map(|position| indices.get(*position).copied()).collect()
}

/// Variables as a dict.
fn variables(
    py: Python<'_>,
    told: impl IntoIterator<Item = (&'static str, String)>,
) -> PyResult<Bound<'_, PyDict>> {
    let environment = PyDict::new(py);
    for (name, value) in told {
        environment.set_item(name, value)?;
    }
    Ok(environment)
}

/// A text as notebooks show it.
fn pre(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<pre>{escaped}</pre>")
}

/// The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job.
#[pymodule(gil_used = false)]
mod _nvtopo {
    use super::{PyModule, PyResult, Python, error};
    use pyo3::prelude::*;
    use std::ffi::OsString;

    #[pymodule_export]
    use super::allocator::{Allocator, Batch, Job, Request};
    #[pymodule_export]
    use super::best_set::{BestSet, best_set};
    #[pymodule_export]
    use super::bind::{Binding, bind, bound, hazards};
    #[pymodule_export]
    use super::bind_request::Bound;
    #[pymodule_export]
    use super::chooser::Chooser;
    #[pymodule_export]
    use super::cpuset::{CpuSet, NodeSet};
    #[pymodule_export]
    use super::devices::{HugePages, Nic, NumaNode, PcieLink};
    #[pymodule_export]
    use super::diff::{Change, Diff};
    #[pymodule_export]
    use super::explanation::{Alternative, Explanation, Loss};
    #[pymodule_export]
    use super::gpus::{Fabric, Gpu, GpuInstance, NvLink};
    #[pymodule_export]
    use super::instance::InstancePlacement;
    #[pymodule_export]
    use super::k8s::{k8s_claims, k8s_claims_check, k8s_playbook, k8s_resource_topology, k8s_taints};
    #[pymodule_export]
    use super::k8s::{k8s_kubelet_config, k8s_kubelet_lint, k8s_kubelet_predict, k8s_kubelet_predict_mix};
    #[pymodule_export]
    use super::k8s::{k8s_labels, k8s_pod, k8s_policies};
    #[pymodule_export]
    use super::matrix::BandwidthMatrix;
    #[pymodule_export]
    use super::note::Note;
    #[pymodule_export]
    use super::pairs::{P2p, Pair};
    #[pymodule_export]
    use super::pickle::remake;
    #[pymodule_export]
    use super::placement::{PlacedGpu, Placement, Score};
    #[pymodule_export]
    use super::plan::{Part, Plan, cpu_policies, launch_formats};
    #[pymodule_export]
    use super::ranks::{DimensionTime, RankGroup, RankMap};
    #[pymodule_export]
    use super::shares::{Share, Shares};
    #[pymodule_export]
    use super::source::{discover, load, loads, open, preset, presets, snapshot};
    #[pymodule_export]
    use super::topology::Topology;
    #[pymodule_export]
    use super::visible::VisibleGpus;
    #[pymodule_export]
    use super::written::{Written, writers};

    /// Runs the command `nvtopo` with these arguments and returns its exit code.
    ///
    /// 0: done, 1: the request cannot be satisfied, 2: bad usage or input. `exec` does not come back when it
    /// succeeds: the process becomes the command.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
        let arguments: Vec<OsString> = std::iter::once("nvtopo".into()).chain(arguments).collect();
        py.detach(|| nvtopo_cli::run(arguments))
    }

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        error::add_to(module)
    }
}
