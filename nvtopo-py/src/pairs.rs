//! What lies between two devices, and between all of them.

use crate::pickle::{Field, Reduced, other_version, reduce};
use nvtopo::{Bandwidth, Topology};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

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

/// What the paths between all devices carry in one direction, in GB/s: a row for each of `Topology.devices`, and in it a
/// column for each. NaN where nothing is known, and from a device to itself.
///
/// It never changes, and `numpy.asarray` takes it without a copy, by the array interface.
///
/// >>> import nvtopo
/// >>> rates = nvtopo.preset("dgx-1-v100").bandwidth_matrix()
/// >>> rates.shape, rates[0, 3], rates.tolist()[0][1]
/// ((12, 12), 50.0, 25.0)
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct BandwidthMatrix {
    devices: usize,
    /// Row by row. What numpy points to: it is never moved.
    rates: Box<[f64]>,
}

impl Field for BandwidthMatrix {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rates.give(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let rates = Box::<[f64]>::take(value)?;
        let devices = rates.len().isqrt();
        if devices * devices == rates.len() { Ok(Self { devices, rates }) } else { Err(other_version()) }
    }
}

#[pymethods]
impl BandwidthMatrix {
    #[getter]
    /// How many rows and columns there are.
    fn shape(&self) -> (usize, usize) {
        (self.devices, self.devices)
    }

    #[getter]
    /// How numpy finds the numbers: version 3 of its array interface.
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", self.shape())?;
        interface.set_item("typestr", if cfg!(target_endian = "little") { "<f8" } else { ">f8" })?;
        // The address, and that it is read only.
        interface.set_item("data", (self.rates.as_ptr() as usize, true))?;
        Ok(interface)
    }

    /// The rows as lists of numbers.
    fn tolist(&self) -> Vec<Vec<f64>> {
        self.rates.chunks(self.devices.max(1)).map(<[f64]>::to_vec).collect()
    }

    /// The rate from one device to another, by their positions.
    fn __getitem__(&self, key: (usize, usize)) -> PyResult<f64> {
        let (row, column) = key;
        let inside = row < self.devices && column < self.devices;
        inside.then(|| self.rates[row * self.devices + column]).ok_or_else(|| {
            let message = format!("({row}, {column}) is outside of {0} rows and {0} columns", self.devices);
            PyIndexError::new_err(message)
        })
    }

    fn __len__(&self) -> usize {
        self.devices
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "BandwidthMatrix", self)
    }

    fn __repr__(&self) -> String {
        format!("<BandwidthMatrix of {} devices>", self.devices)
    }
}

impl BandwidthMatrix {
    pub(crate) fn of(topology: &Topology) -> Self {
        let devices = topology.devices().len();
        let rate =
            |a: usize, b: usize| topology.pairs().pair(a, b).rate.map(|rate| rate.bandwidth.as_gb_per_s());
        let all = (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b)));
        Self { devices, rates: all.map(|(a, b)| rate(a, b).unwrap_or(f64::NAN)).collect() }
    }
}
