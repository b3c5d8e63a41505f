//! `RankMap`: which rank of a parallel job uses which GPU, and what that saves.

use crate::error::raise;
use crate::pickle::{Reduced, reduce};
use crate::{call, indices_of, pre, variables};
use nvtopo::render::{Style, by_name};
use nvtopo::solve::Traffic;
use nvtopo::{Bandwidth, Topology};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::collections::BTreeMap;

/// What a rank sends in each dimension: a mapping from dimensions to bytes, or to texts such as "34.4GB".
#[derive(Default)]
pub(crate) struct TrafficArgument(pub(crate) Vec<Traffic>);

impl<'a, 'py> FromPyObject<'a, 'py> for TrafficArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let amounts: BTreeMap<String, Bound<'py, PyAny>> = value.extract()?;
        let traffic = |(dimension, amount): (String, Bound<'py, PyAny>)| {
            let read = if let Ok(text) = amount.cast::<PyString>() {
                format!("{dimension}={}", text.to_string_lossy()).parse()
            } else {
                let bytes = amount.extract::<u64>()?;
                dimension.parse().map(|dimension| Traffic { dimension, bytes })
            };
            read.map_err(|error| raise(value.py(), &error))
        };
        amounts.into_iter().map(traffic).collect::<PyResult<_>>().map(Self)
    }
}

/// Ranks that communicate, and what their GPUs carry.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RankGroup {
    #[pyo3(get)]
    /// The ranks in the order of the group; of a pipeline, two neighbouring stages.
    ranks: Vec<usize>,
    #[pyo3(get)]
    /// The indices of their GPUs, in the same order.
    gpus: Vec<u32>,
    bandwidth: Bandwidth,
}

crate::pickle::plain!(RankGroup { ranks, gpus, bandwidth });

#[pymethods]
impl RankGroup {
    #[getter]
    /// What these carry together in one direction, in GB/s (1e9 bytes per second).
    fn gb_per_s(&self) -> f64 {
        self.bandwidth.as_gb_per_s()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "RankGroup", self)
    }

    fn __repr__(&self) -> String {
        format!("<RankGroup {:?} on GPUs {:?}, {}>", self.ranks, self.gpus, self.bandwidth)
    }
}

impl RankGroup {
    fn of(topology: &Topology, group: &nvtopo::solve::RankGroup) -> Self {
        let gpus = indices_of(topology, &group.gpus);
        Self { ranks: group.ranks.clone(), gpus, bandwidth: group.bandwidth }
    }
}

/// What one dimension of a job takes in one step.
#[pyclass(frozen, eq, get_all, module = "nvtopo")]
#[derive(PartialEq)]
pub(crate) struct DimensionTime {
    /// The dimension: "tp", "cp", "ep", "dp", "edp" or "pp".
    dimension: &'static str,
    /// What a rank sends, in bytes.
    bytes: u64,
    /// How many groups there are; of a pipeline, how many pairs of neighbouring stages.
    groups: usize,
    /// What the slowest group takes, in seconds.
    seconds: f64,
    /// The slowest group, the first of several.
    worst: RankGroup,
    /// What the slowest group takes in the launcher's order, in seconds.
    launcher_seconds: f64,
    /// The slowest group in the launcher's order.
    launcher_worst: RankGroup,
}

crate::pickle::plain!(DimensionTime {
    dimension,
    bytes,
    groups,
    seconds,
    worst,
    launcher_seconds,
    launcher_worst
});

#[pymethods]
impl DimensionTime {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "DimensionTime", self)
    }

    fn __repr__(&self) -> String {
        format!("<DimensionTime {}: {} s>", self.dimension, self.seconds)
    }
}

/// The GPUs for the ranks of a parallel job, so that it communicates in the least time. Made by Topology.rank_map.
///
/// >>> import nvtopo
/// >>> ranks = nvtopo.preset("dgx-1-v100").rank_map(tp=2, pp=4, traffic={"tp": "8GB", "pp": 10**9})
/// >>> ranks.seconds < ranks.launcher_seconds, ranks.optimal, len(ranks.gpu_of_rank)
/// (True, True, 8)
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct RankMap(pub(crate) nvtopo::RankMap);

#[pymethods]
impl RankMap {
    #[getter]
    /// The sizes of the job in the words of its order, such as "tp 2 × dp 4".
    fn shape(&self) -> &str {
        self.0.shape()
    }

    #[getter]
    /// How ranks run through the dimensions, such as "tp-cp-ep-dp-pp".
    fn order(&self) -> String {
        self.0.order().to_string()
    }

    #[getter]
    /// The index of the GPU of each rank.
    fn gpu_of_rank(&self) -> Vec<u32> {
        indices_of(self.0.topology(), self.0.gpu_of_rank())
    }

    #[getter]
    /// The same in the launcher's order.
    fn launcher_order(&self) -> Vec<u32> {
        indices_of(self.0.topology(), self.0.launcher_order())
    }

    #[getter]
    /// What the job communicates for in one step, in seconds.
    fn seconds(&self) -> f64 {
        self.0.seconds()
    }

    #[getter]
    /// The same in the launcher's order.
    fn launcher_seconds(&self) -> f64 {
        self.0.launcher_seconds()
    }

    #[getter]
    /// How many times faster it is than in the launcher's order; 1 where nothing is gained.
    fn gain(&self) -> f64 {
        self.0.gain()
    }

    #[getter]
    /// No mapping takes less, in seconds.
    fn bound_seconds(&self) -> f64 {
        self.0.bound_seconds()
    }

    #[getter]
    /// Whether no mapping takes less time.
    fn optimal(&self) -> bool {
        self.0.is_optimal()
    }

    #[getter]
    /// What each dimension takes, of those that communicate.
    fn dimensions(&self) -> Vec<DimensionTime> {
        let topology = self.0.topology();
        let time = |own: &nvtopo::solve::DimensionTime| DimensionTime {
            dimension: own.dimension.name(),
            bytes: own.bytes,
            groups: own.groups,
            seconds: own.seconds,
            worst: RankGroup::of(topology, &own.worst),
            launcher_seconds: own.launcher_seconds,
            launcher_worst: RankGroup::of(topology, &own.launcher_worst),
        };
        self.0.dimensions().iter().map(time).collect()
    }

    /// The variables with which a launcher that gives local rank n the n-th visible GPU gives each rank its own:
    /// CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES. The deepspeed command sorts what it finds there, so that the order is
    /// lost: start such jobs with torchrun.
    fn env<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        variables(py, self.0.cuda_environment())
    }

    /// The mapping as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("json")?.ranks(&self.0, Style::default())))
    }

    /// The mapping as text for people, with tables; `str()` gives the same.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.ranks(&self.0, Style::default())))
    }

    /// The mapping as notebooks show it.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py).map(|text| pre(&text))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py)
    }

    fn __repr__(&self) -> String {
        format!("<RankMap {}: GPUs {:?}>", self.0.shape(), self.gpu_of_rank())
    }
}
