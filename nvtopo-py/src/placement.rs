//! `Placement`, what it consists of, and the arguments of a request for one.

use crate::call;
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{invalid_request, raise};
use nvtopo::GpuRef;
use nvtopo::render::{Style, by_name};
use nvtopo::solve::{Constraint, Quantity, SizeMix};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::collections::BTreeMap;

/// A count or a rank: an integer from 0 up.
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) usize);

impl<'a, 'py> FromPyObject<'a, 'py> for Count {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = value.extract::<i128>()?;
        usize::try_from(number)
            .map(Self)
            .map_err(|_| invalid_request(value.py(), &format!("{number} is no count: expected 0 or more")))
    }
}

/// A GPU by its index or one of its names.
pub(crate) struct GpuArgument(pub(crate) GpuRef);

impl<'a, 'py> FromPyObject<'a, 'py> for GpuArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = value.cast::<PyString>() {
            let parsed = name.to_string_lossy().parse();
            return parsed.map(Self).map_err(|error| raise(value.py(), &error));
        }
        let number = value.extract::<i128>()?;
        let index = u32::try_from(number)
            .map_err(|_| invalid_request(value.py(), &format!("{number} is no index of a GPU")))?;
        Ok(Self(GpuRef::Index(index)))
    }
}

/// Several GPUs: an iterable, but not a text, whose letters nobody means.
#[derive(Default)]
pub(crate) struct GpuArguments(pub(crate) Vec<GpuRef>);

impl<'a, 'py> FromPyObject<'a, 'py> for GpuArguments {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let gpu = |item: Bound<'py, PyAny>| Ok(item.extract::<GpuArgument>()?.0);
        items(&value)?.into_iter().map(gpu).collect::<PyResult<_>>().map(Self)
    }
}

/// Several names.
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'a, 'py> FromPyObject<'a, 'py> for Names {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let name = |item: Bound<'py, PyAny>| item.extract::<String>();
        items(&value)?.into_iter().map(name).collect::<PyResult<_>>().map(Self)
    }
}

/// What must hold between GPUs, by its words.
#[derive(Default)]
pub(crate) struct Constraints(pub(crate) Vec<Constraint>);

impl<'a, 'py> FromPyObject<'a, 'py> for Constraints {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let words = Names::extract(value)?.0;
        let constraint = |word: &String| word.parse().map_err(|error| raise(value.py(), &error));
        words.iter().map(constraint).collect::<PyResult<_>>().map(Self)
    }
}

/// How often jobs of each size come, as a mapping from sizes to weights.
pub(crate) struct Mix(pub(crate) SizeMix);

impl<'a, 'py> FromPyObject<'a, 'py> for Mix {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let weights: BTreeMap<usize, f64> = value.extract()?;
        SizeMix::new(weights).map(Self).map_err(|error| raise(value.py(), &error))
    }
}

fn items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        let given = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("expected a list, not {given}: give ['…'] for one")));
    }
    value.try_iter()?.collect()
}

/// One chosen GPU with what belongs to it.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PlacedGpu {
    /// The index by which tools name it.
    index: u32,
    /// The driver's UUID, or None.
    uuid: Option<String>,
    /// The place on the PCI bus, such as "0000:1b:00.0", or None.
    address: Option<String>,
    /// Its share of the CPUs; disjoint between GPUs wherever there are enough CPUs.
    cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    mems: NodeSet,
    /// The names of the NICs nearest to it, all of one path class.
    nics: Vec<String>,
    /// The class of the path to these NICs, such as "PIX". None: there is no NIC, or no path is known.
    nic_path: Option<&'static str>,
    /// The name of the NIC to use, so that none serves more GPUs than its share.
    nic: Option<String>,
}

#[pymethods]
impl PlacedGpu {
    fn __repr__(&self) -> String {
        format!("<PlacedGpu GPU{}: CPUs {}, nodes {}>", self.index, self.cpus.0, self.mems.0)
    }
}

/// The value of a placement by one objective.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Score {
    #[pyo3(get)]
    /// The objective's name.
    objective: &'static str,
    own: Quantity,
    limit: Option<Quantity>,
}

#[pymethods]
impl Score {
    #[getter]
    /// The value in its unit.
    fn value(&self) -> f64 {
        self.own.number()
    }

    #[getter]
    /// The unit: "GB/s" (1e9 bytes per second, one direction), "NUMA nodes", or "share" (a part of 1).
    fn unit(&self) -> &'static str {
        self.own.unit()
    }

    #[getter]
    /// No set of GPUs is better than this. None: no bound is known.
    fn bound(&self) -> Option<f64> {
        self.limit.map(Quantity::number)
    }

    fn __repr__(&self) -> String {
        format!("<Score {}: {}>", self.objective, self.own)
    }
}

/// The GPUs for a job, and what belongs to each. Made by Topology.place.
///
/// >>> import nvtopo
/// >>> place = nvtopo.preset("dgx-h100").place(gpus=2)
/// >>> print(place)
/// GPU0,GPU1 on CPUs 0-27,112-139
/// >>> place.per_gpu[0].nics, place.optimal
/// (['mlx5_0'], True)
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Placement(pub(crate) nvtopo::Placement);

#[pymethods]
impl Placement {
    #[getter]
    /// The indices of the chosen GPUs in the order to use: local rank n takes the n-th.
    fn gpus(&self) -> Vec<u32> {
        self.0.gpu_indices()
    }

    #[getter]
    /// The chosen GPUs with what belongs to each, in the order to use.
    fn per_gpu(&self) -> Vec<PlacedGpu> {
        let gpu = |gpu: &nvtopo::PlacedGpu| PlacedGpu {
            index: gpu.index,
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            address: gpu.address.map(|address| address.to_string()),
            cpus: CpuSet(gpu.cpus.clone()),
            mems: NodeSet(gpu.mems.clone()),
            nics: gpu.nics.clone(),
            nic_path: gpu.nic_path.map(nvtopo::PathType::word),
            nic: gpu.nic.clone(),
        };
        self.0.gpus().iter().map(gpu).collect()
    }

    #[getter]
    /// The CPUs of all chosen GPUs together.
    fn cpus(&self) -> CpuSet {
        CpuSet(self.0.cpus())
    }

    #[getter]
    /// The memory nodes of all chosen GPUs together; empty when any is unknown.
    fn mems(&self) -> NodeSet {
        NodeSet(self.0.mems())
    }

    #[getter]
    /// One value for each objective, most important first.
    fn score(&self) -> Vec<Score> {
        let score = |score: &nvtopo::Score| Score {
            objective: score.objective,
            own: score.value,
            limit: score.bound,
        };
        self.0.scores().iter().map(score).collect()
    }

    #[getter]
    /// Whether it is proven that no set of GPUs is better.
    fn optimal(&self) -> bool {
        self.0.is_optimal()
    }

    #[getter]
    /// One sentence of why.
    fn why(&self) -> &str {
        self.0.why()
    }

    #[getter]
    /// The first of what was preferred that can be met. None: nothing was preferred, or nothing can be met.
    fn preference(&self) -> Option<String> {
        self.0.preference().map(|constraint| constraint.to_string())
    }

    #[getter]
    /// What was preferred to that, and why it cannot be had.
    fn unmet(&self) -> Vec<String> {
        self.0.unmet().iter().map(ToString::to_string).collect()
    }

    #[getter]
    /// What a person should know about the CPUs and memory given.
    fn remarks(&self) -> Vec<String> {
        self.0.remarks().to_vec()
    }

    /// The variables that show a process just these GPUs, in this order: CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES.
    ///
    /// Set them before the process starts CUDA, and alike in all processes of a job.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("dgx-h100").place(gpus=2).env()
    /// {'CUDA_DEVICE_ORDER': 'PCI_BUS_ID', 'CUDA_VISIBLE_DEVICES': '0,1'}
    fn env<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let environment = PyDict::new(py);
        for (name, value) in self.0.cuda_environment() {
            environment.set_item(name, value)?;
        }
        Ok(environment)
    }

    /// The placement as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("json")?.placement(&self.0, Style::default())))
    }

    /// The placement as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.placement(&self.0, Style::default())))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Placement {}>", self.0)
    }
}
