//! What lies between two devices.

use crate::pickle::{Reduced, reduce};
use nvtopo::Bandwidth;
use pyo3::prelude::*;

/// What lies between two devices.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    #[pyo3(get)]
    /// The class of the best path as nvidia-smi names it: "NVL" for NVLink, "PIX", "PXB", "PHB", "NODE", "SYS", …
    /// None: unknown.
    path: Option<&'static str>,
    #[pyo3(get)]
    /// How many NVLinks the pair can use at once; 0 where the path is not NVLink.
    nvlinks: u16,
    rate: Option<Bandwidth>,
    #[pyo3(get)]
    /// How the bandwidth is known: "measured", "reported", "nominal", "typical" or "assumed". None: it is not.
    basis: Option<&'static str>,
}

crate::pickle::plain!(Pair { path, nvlinks, rate, basis });

#[pymethods]
impl Pair {
    #[getter]
    /// What the path carries in one direction, in GB/s (1e9 bytes per second). None: unknown.
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
    pub(crate) fn of(pair: &nvtopo::model::Pair) -> Self {
        Self {
            path: pair.path.map(nvtopo::PathType::word),
            nvlinks: pair.nvlinks,
            rate: pair.rate.map(|rate| rate.bandwidth),
            basis: pair.rate.map(|rate| rate.basis.name()),
        }
    }
}
