//! The Python face: the module `nvtopo._nvtopo`, which the package `nvtopo` re-exports.
//!
//! Each function and method converts, calls the core inside [`call`], and converts back. Nothing here decides,
//! reads or prints; classes are frozen, and what they say in `__doc__` stands in `_nvtopo.pyi` word by word.

// What stands in `///` here is read with Python's `help`.
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes)]

mod bind;
mod cpuset;
mod devices;
mod error;
mod placement;
mod source;
mod topology;

use error::raise;
use pyo3::prelude::*;

/// Calls the core with the interpreter lock released, and raises what it answers with.
fn call<T: Send>(py: Python<'_>, core: impl FnOnce() -> nvtopo::Result<T> + Send) -> PyResult<T> {
    py.detach(core).map_err(|error| raise(py, &error))
}

/// The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job.
#[pymodule(gil_used = false)]
mod _nvtopo {
    use super::{PyModule, PyResult, Python, error};
    use pyo3::prelude::*;
    use std::ffi::OsString;

    #[pymodule_export]
    use super::bind::{Bound, bind};
    #[pymodule_export]
    use super::cpuset::{CpuSet, NodeSet};
    #[pymodule_export]
    use super::devices::{Fabric, Gpu, GpuInstance, HugePages, Nic, NumaNode, NvLink, P2p, PcieLink};
    #[pymodule_export]
    use super::placement::{PlacedGpu, Placement, Score};
    #[pymodule_export]
    use super::source::{discover, load, loads, open, preset, presets, snapshot};
    #[pymodule_export]
    use super::topology::{Pair, Share, Shares, Topology};

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
