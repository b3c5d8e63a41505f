//! `RankMap`: which rank of a parallel job uses which GPU, and what that saves.

use crate::arguments::{Count, GpuArguments, word};
use crate::error::raise;
use crate::pickle::{Field, Reduced, answered_otherwise, fields, next, reduce};
use crate::{call, indices_of, pre, variables};
use nvtopo::render::json;
use nvtopo::solve::Traffic;
use nvtopo::{Bandwidth, ParallelJob, Topology};
use nvtopo_draw::{Style, by_name};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The traffic of a rank in each dimension: a mapping from dimensions to bytes, or to texts such as "34.4GB".
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

impl Field for TrafficArgument {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let amounts: BTreeMap<&str, u64> =
            self.0.iter().map(|traffic| (traffic.dimension.name(), traffic.bytes)).collect();
        amounts.into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.extract()
    }
}

/// The arguments of Topology.rank_map. They are kept beside the answer, so that unpickling can compute it again.
pub(crate) struct ParallelTerms {
    pub(crate) tp: Count,
    pub(crate) cp: Count,
    pub(crate) ep: Count,
    pub(crate) dp: Count,
    pub(crate) pp: Count,
    pub(crate) traffic: TrafficArgument,
    pub(crate) model: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) gpus: Option<GpuArguments>,
}

crate::pickle::plain!(ParallelTerms { tp, cp, ep, dp, pp, traffic, model, order, gpus });

/// Ranks that communicate, and the bandwidth of their GPUs.
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
    /// The bandwidth of these together, one direction, in GB/s (1e9 bytes per second).
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

/// The communication time of one dimension of a job in one step.
#[pyclass(frozen, eq, get_all, module = "nvtopo")]
#[derive(PartialEq)]
pub(crate) struct DimensionTime {
    /// The dimension: "tp", "cp", "ep", "dp", "edp" or "pp".
    dimension: &'static str,
    /// The bytes that a rank sends.
    bytes: u64,
    /// The number of groups; of a pipeline, of pairs of neighbouring stages.
    groups: usize,
    /// The time of the slowest group, in seconds.
    seconds: f64,
    /// The slowest group, the first of several.
    worst: RankGroup,
    /// The time of the slowest group in the launcher's order, in seconds.
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
/// Unpickling computes it again, as that of a Placement.
///
/// >>> import nvtopo
/// >>> ranks = nvtopo.preset("dgx-1-v100").rank_map(tp=2, pp=4, traffic={"tp": "8GB", "pp": 10**9})
/// >>> ranks.seconds < ranks.launcher_seconds, ranks.optimal, len(ranks.gpu_of_rank)
/// (True, True, 8)
#[pyclass(frozen, eq, module = "nvtopo")]
pub(crate) struct RankMap {
    answer: nvtopo::RankMap,
    job: ParallelTerms,
}

impl PartialEq for RankMap {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

#[pymethods]
impl RankMap {
    #[getter]
    /// The sizes of the job as its order names them, such as "tp 2 × dp 4".
    fn shape(&self) -> &str {
        self.answer.shape()
    }

    #[getter]
    /// The order in which ranks run through the dimensions, such as "tp-cp-ep-dp-pp".
    fn order(&self) -> String {
        self.answer.order().to_string()
    }

    #[getter]
    /// The index of the GPU of each rank.
    fn gpu_of_rank(&self) -> Vec<u32> {
        indices_of(self.answer.topology(), self.answer.gpu_of_rank())
    }

    #[getter]
    /// The same in the launcher's order.
    fn launcher_order(&self) -> Vec<u32> {
        indices_of(self.answer.topology(), self.answer.launcher_order())
    }

    #[getter]
    /// The communication time of one step, in seconds.
    fn seconds(&self) -> f64 {
        self.answer.seconds()
    }

    #[getter]
    /// The same in the launcher's order.
    fn launcher_seconds(&self) -> f64 {
        self.answer.launcher_seconds()
    }

    #[getter]
    /// The speedup over the launcher's order; 1 where nothing is gained.
    fn gain(&self) -> f64 {
        self.answer.gain()
    }

    #[getter]
    /// The lower bound of the time of any mapping, in seconds.
    fn bound_seconds(&self) -> f64 {
        self.answer.bound_seconds()
    }

    #[getter]
    /// True where no mapping takes less time.
    fn optimal(&self) -> bool {
        self.answer.is_optimal()
    }

    #[getter]
    /// The times of the dimensions that communicate.
    fn dimensions(&self) -> Vec<DimensionTime> {
        let topology = self.answer.topology();
        let time = |own: &nvtopo::solve::DimensionTime| DimensionTime {
            dimension: own.dimension.name(),
            bytes: own.bytes,
            groups: own.groups,
            seconds: own.seconds,
            worst: RankGroup::of(topology, &own.worst),
            launcher_seconds: own.launcher_seconds,
            launcher_worst: RankGroup::of(topology, &own.launcher_worst),
        };
        self.answer.dimensions().iter().map(time).collect()
    }

    /// The variables with which a launcher that gives local rank n the n-th visible GPU gives each rank its own:
    /// CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES. The deepspeed command sorts what it finds there, so that the order is
    /// lost: start such jobs with torchrun.
    fn env<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        variables(py, self.answer.cuda_environment())
    }

    /// The mapping as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(json::ranks(&self.answer)))
    }

    /// The mapping as text for people, with tables; `str()` gives the same.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.ranks(&self.answer, Style::default())))
    }

    /// The mapping as notebooks show it.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py).map(|text| pre(&text))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.answer.gpu_of_rank().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "RankMap", self)
    }

    fn __repr__(&self) -> String {
        format!("<RankMap {}: GPUs {:?}>", self.answer.shape(), self.gpu_of_rank())
    }
}

impl RankMap {
    /// Answers a parallel job.
    pub(crate) fn find(py: Python<'_>, topology: &Topology, terms: ParallelTerms) -> PyResult<Self> {
        let ParallelTerms { tp, cp, ep, dp, pp, .. } = terms;
        let mut job = ParallelJob::new().tp(tp.0).cp(cp.0).ep(ep.0).dp(dp.0).pp(pp.0);
        if let Some(model) = &terms.model {
            job = job.model(word(py, model)?);
        }
        if let Some(order) = &terms.order {
            job = job.order(word(py, order)?);
        }
        job = terms.traffic.0.iter().copied().fold(job, ParallelJob::traffic);
        let answer = call(py, || match &terms.gpus {
            None => job.map(topology),
            Some(gpus) => {
                let positions = gpus.0.iter().map(|gpu| gpu.resolve(topology));
                job.map_to(topology, &positions.collect::<nvtopo::Result<Vec<usize>>>()?)
            }
        })?;
        Ok(Self { answer, job: terms })
    }
}

impl Field for RankMap {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let fields = [self.answer.topology().give(py)?, self.job.give(py)?, self.gpu_of_rank().give(py)?];
        Ok(PyTuple::new(py, fields)?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut fields = fields(value, 3)?.into_iter();
        let (topology, job): (Topology, ParallelTerms) = (next(&mut fields)?, next(&mut fields)?);
        let expected: Vec<u32> = next(&mut fields)?;
        let again = Self::find(value.py(), &topology, job);
        again
            .ok()
            .filter(|again| again.gpu_of_rank() == expected)
            .ok_or_else(|| answered_otherwise("mapping"))
    }
}
