//! Pairs of devices: the best path between two, and the peer-to-peer access of two GPUs.

use crate::arguments::GpuArgument;
use crate::error::raise;
use crate::pickle::{Reduced, reduce};
use crate::topology::Topology;
use nvtopo::Bandwidth;
use nvtopo::model::{self, P2pStatus};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The best path between two devices.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    #[pyo3(get)]
    /// The class of the best path as nvidia-smi names it: "NVL" for NVLink, "PIX", "PXB", "PHB", "NODE", "SYS", …
    /// None: unknown.
    path: Option<&'static str>,
    #[pyo3(get)]
    /// The number of NVLinks that the pair can use at once; 0 where the path is not NVLink.
    nvlinks: u16,
    rate: Option<Bandwidth>,
    #[pyo3(get)]
    /// The basis of the bandwidth: "measured", "reported", "nominal", "typical" or "assumed". None: it is not.
    basis: Option<&'static str>,
}

crate::pickle::plain!(Pair { path, nvlinks, rate, basis });

#[pymethods]
impl Pair {
    #[getter]
    /// The bandwidth of the path, one direction, in GB/s (1e9 bytes per second). None: unknown.
    fn gb_per_s(&self) -> Option<f64> {
        self.rate.map(Bandwidth::as_gb_per_s)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Pair", self)
    }

    fn __repr__(&self) -> String {
        let rate = self.rate.map_or_else(|| "unknown bandwidth".to_owned(), |rate| rate.to_string());
        format!("<Pair {}, {} NVLinks, {rate}>", self.path.unwrap_or("unknown path"), self.nvlinks)
    }
}

impl Pair {
    pub(crate) fn of(pair: &model::Pair) -> Self {
        Self {
            path: pair.path.map(nvtopo::PathType::word),
            nvlinks: pair.nvlinks,
            rate: pair.rate.map(|rate| rate.bandwidth),
            basis: pair.rate.map(|rate| rate.basis.name()),
        }
    }
}

/// Peer-to-peer access of two GPUs, as `nvidia-smi topo -p2p` names it: "OK", or the reason why
/// not ("CNS", "GNS", "TNS", "DR", "NS", "U"). None: unknown.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct P2p {
    /// Reading.
    read: Option<&'static str>,
    /// Writing.
    write: Option<&'static str>,
    /// Going over NVLink.
    nvlink: Option<&'static str>,
    /// Atomic operations.
    atomics: Option<&'static str>,
}

crate::pickle::plain!(P2p { read, write, nvlink, atomics });

#[pymethods]
impl P2p {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "P2p", self)
    }

    fn __repr__(&self) -> String {
        let word = |status: Option<&'static str>| status.unwrap_or("unknown");
        format!("<P2p read {}, write {}>", word(self.read), word(self.write))
    }
}

impl P2p {
    pub(crate) fn of(p2p: &model::P2p) -> Self {
        Self {
            read: p2p.read.map(P2pStatus::word),
            write: p2p.write.map(P2pStatus::word),
            nvlink: p2p.nvlink.map(P2pStatus::word),
            atomics: p2p.atomics.map(P2pStatus::word),
        }
    }
}

impl Topology {
    /// Returns the position of a device by a name of the matrix, or else by any name of a GPU.
    pub(crate) fn device(&self, name: &Bound<'_, PyAny>) -> PyResult<usize> {
        let found = match name.cast::<PyString>() {
            Ok(name) => self.0.device(&name.to_string_lossy()),
            Err(_) => name.extract::<GpuArgument>()?.0.resolve(&self.0),
        };
        found.map_err(|error| raise(name.py(), &error))
    }
}
