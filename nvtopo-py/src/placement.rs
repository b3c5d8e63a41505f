//! `Placement` and what it consists of.

use crate::arguments::{Names, environment, word};
use crate::cpuset::{CpuSet, NodeSet};
use crate::pickle::{Field, Reduced, answered_otherwise, fields, next, reduce};
use crate::terms::Terms;
use crate::{call, pre, variables};
use nvtopo::apply::{Export, placement_environment};
use nvtopo::render::json;
use nvtopo::solve::{Allocator, NodeMemory, NodePages, Quantity};
use nvtopo::{Solver, Topology};
use nvtopo_draw::{Style, by_name};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// One chosen GPU with what belongs to it.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PlacedGpu {
    /// The index by which tools name it.
    index: u32,
    /// The driver's UUID, or None.
    uuid: Option<String>,
    /// The PCI address, such as "0000:1b:00.0", or None.
    address: Option<String>,
    /// Its share of the CPUs; disjoint between GPUs wherever there are enough CPUs.
    cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    mems: NodeSet,
    /// The bytes of memory that it is to have of each node, such as {0: 68719476736}. None: none was requested, or
    /// the memory of its nodes is unknown.
    memory: Option<BTreeMap<u32, u64>>,
    /// The huge pages that it is to have of each node, by size, such as {0: {2097152: 1024}}. None: none were requested, or
    /// the memory of its nodes is unknown.
    huge_pages: Option<BTreeMap<u32, BTreeMap<u64, u64>>>,
    /// The names of the NICs nearest to it, all of one path class.
    nics: Vec<String>,
    /// The class of the path to these NICs, such as "PIX". None: there is no NIC, or no path is known.
    nic_path: Option<&'static str>,
    /// The name of the NIC to use, so that none serves more GPUs than its share.
    nic: Option<String>,
    /// The indices of the other GPUs of the machine that share this NIC, whoever uses them.
    nic_shared_with: Vec<u32>,
}

crate::pickle::plain!(PlacedGpu {
    index,
    uuid,
    address,
    cpus,
    mems,
    memory,
    huge_pages,
    nics,
    nic_path,
    nic,
    nic_shared_with
});

#[pymethods]
impl PlacedGpu {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "PlacedGpu", self)
    }

    fn __repr__(&self) -> String {
        format!("<PlacedGpu GPU{}: CPUs {}, nodes {}>", self.index, self.cpus.0, self.mems.0)
    }
}

impl PlacedGpu {
    fn of(gpu: &nvtopo::PlacedGpu) -> Self {
        Self {
            index: gpu.index,
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            address: gpu.address.map(|address| address.to_string()),
            cpus: CpuSet(gpu.cpus.clone()),
            mems: NodeSet(gpu.mems.clone()),
            memory: gpu.memory.as_deref().map(by_node),
            huge_pages: gpu.huge_pages.as_deref().map(pages_by_node),
            nics: gpu.nics.clone(),
            nic_path: gpu.nic_path.map(nvtopo::PathType::word),
            nic: gpu.nic.clone(),
            nic_shared_with: gpu.nic_shared_with.clone(),
        }
    }
}

fn by_node(memory: &[NodeMemory]) -> BTreeMap<u32, u64> {
    memory.iter().map(|given| (given.node, given.bytes)).collect()
}

fn pages_by_node(pages: &[NodePages]) -> BTreeMap<u32, BTreeMap<u64, u64>> {
    let mut nodes: BTreeMap<u32, BTreeMap<u64, u64>> = BTreeMap::new();
    for given in pages {
        nodes.entry(given.node).or_default().insert(given.size, given.count);
    }
    nodes
}

/// The value of a placement by one objective.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Score {
    #[pyo3(get)]
    /// The objective's name.
    objective: &'static str,
    own: Option<Quantity>,
    #[pyo3(get)]
    /// The unit: "GB/s" (1e9 bytes per second, one direction), "NUMA nodes", or "share" (a part of 1).
    unit: &'static str,
    limit: Option<Quantity>,
}

crate::pickle::plain!(Score { objective, own, unit, limit });

#[pymethods]
impl Score {
    #[getter]
    /// The value in its unit. None: something that it rests on is unknown.
    fn value(&self) -> Option<f64> {
        self.own.map(Quantity::number)
    }

    #[getter]
    /// No set of GPUs is better than this. None: no bound is known.
    fn bound(&self) -> Option<f64> {
        self.limit.map(Quantity::number)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Score", self)
    }

    fn __repr__(&self) -> String {
        let own = self.own.map_or_else(|| "unknown".to_owned(), |own| own.to_string());
        format!("<Score {}: {own}>", self.objective)
    }
}

impl Score {
    pub(crate) fn of(score: &nvtopo::Score) -> Self {
        Self { objective: score.objective, own: score.value, unit: score.unit, limit: score.bound }
    }
}

/// The GPUs for a job, and what belongs to each. Made by Topology.place.
///
/// Equal to another that says the same. Unpickling computes it again from its topology and arguments, and raises ValueError
/// where this version of nvtopo answers otherwise.
///
/// >>> import nvtopo
/// >>> place = nvtopo.preset("dgx-h100").place(gpus=2)
/// >>> print(place)
/// GPU0,GPU1 on CPUs 0-27,112-139
/// >>> place.per_gpu[0].nics, place.optimal
/// (['mlx5_0'], True)
#[pyclass(frozen, eq, module = "nvtopo")]
#[derive(Clone)]
pub(crate) struct Placement {
    pub(crate) answer: nvtopo::Placement,
    /// The arguments of the call.
    pub(crate) terms: Arc<Terms>,
    /// True for an answer of an Allocator, whose other jobs may have more than the terms say.
    on_allocator: bool,
}

impl PartialEq for Placement {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

#[pymethods]
impl Placement {
    #[getter]
    /// The indices of the chosen GPUs in the order to use: local rank n takes the n-th.
    fn gpus(&self) -> Vec<u32> {
        self.answer.gpu_indices()
    }

    #[getter]
    /// The chosen GPUs with what belongs to each, in the order to use.
    fn per_gpu(&self) -> Vec<PlacedGpu> {
        self.answer.gpus().iter().map(PlacedGpu::of).collect()
    }

    #[getter]
    /// The CPUs of all chosen GPUs together.
    fn cpus(&self) -> CpuSet {
        CpuSet(self.answer.cpus())
    }

    #[getter]
    /// The memory nodes of all chosen GPUs together; empty when any is unknown.
    fn mems(&self) -> NodeSet {
        NodeSet(self.answer.mems())
    }

    #[getter]
    /// One value for each objective, most important first.
    fn score(&self) -> Vec<Score> {
        self.answer.scores().iter().map(Score::of).collect()
    }

    #[getter]
    /// True where it is proven that no set of GPUs is better.
    fn optimal(&self) -> bool {
        self.answer.is_optimal()
    }

    #[getter]
    /// The reason for the choice, in one sentence.
    fn why(&self) -> &str {
        self.answer.why()
    }

    #[getter]
    /// The first of what was preferred that can be met. None: nothing was preferred, or nothing can be met.
    fn preference(&self) -> Option<String> {
        self.answer.preference().map(|constraint| constraint.to_string())
    }

    #[getter]
    /// The preferences before that one, and why each cannot be met.
    fn unmet(&self) -> Vec<String> {
        self.answer.unmet().iter().map(ToString::to_string).collect()
    }

    #[getter]
    /// Remarks for people about the CPUs and memory given.
    fn remarks(&self) -> Vec<String> {
        self.answer.remarks().to_vec()
    }

    /// The variables that show a process just these GPUs, in this order: CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES.
    ///
    /// Set them before the process starts CUDA, and alike in all processes of a job.
    ///
    /// Args:
    ///     export: further variables, the same for all ranks: "ib-hca" (NCCL_IB_HCA: the RDMA devices beside these GPUs),
    ///         "vllm-nics" (VLLM_GPU_NIC_PCIE_MAPPING).
    ///
    /// Raises InvalidRequestError for other names.
    ///
    /// >>> import nvtopo
    /// >>> place = nvtopo.preset("dgx-h100").place(gpus=2)
    /// >>> place.env()
    /// {'CUDA_DEVICE_ORDER': 'PCI_BUS_ID', 'CUDA_VISIBLE_DEVICES': '0,1'}
    /// >>> place.env(["ib-hca"])["NCCL_IB_HCA"]
    /// '=mlx5_0,mlx5_3'
    #[pyo3(signature = (export=Names::default()), text_signature = "($self, export=())")]
    fn env<'py>(&self, py: Python<'py>, export: Names) -> PyResult<Bound<'py, PyDict>> {
        let exports: Vec<Export> =
            export.0.into_iter().map(|name| word(py, &name)).collect::<PyResult<_>>()?;
        let environ = environment(py)?;
        let told = call(py, || placement_environment(&self.answer, &exports, |name| environ.get(name)))?;
        variables(py, told)
    }

    /// The placement as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(json::placement(&self.answer)))
    }

    /// The placement as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.placement(&self.answer, Style::default())))
    }

    /// The placement as notebooks show it.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py).map(|text| pre(&text))
    }

    fn __str__(&self) -> String {
        self.answer.to_string()
    }

    fn __hash__(&self) -> u64 {
        hash(&self.gpus())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Placement", self)
    }

    fn __repr__(&self) -> String {
        format!("<Placement {}>", self.answer)
    }
}

impl Placement {
    /// Answers a request to a machine without jobs.
    pub(crate) fn find(py: Python<'_>, solver: &Solver, terms: Terms) -> PyResult<Self> {
        Self::ask(py, solver, Arc::new(terms), false)
    }

    /// An answer of a machine without jobs.
    pub(crate) fn of(answer: nvtopo::Placement, terms: Arc<Terms>) -> Self {
        Self { answer, terms, on_allocator: false }
    }

    /// An answer of an Allocator, with the terms without the GPUs of other jobs.
    pub(crate) fn on_allocator(answer: nvtopo::Placement, terms: Arc<Terms>) -> Self {
        Self { answer, terms, on_allocator: true }
    }

    /// Places again: on the machine, or by an Allocator without jobs.
    fn ask(py: Python<'_>, solver: &Solver, terms: Arc<Terms>, on_allocator: bool) -> PyResult<Self> {
        let topology = solver.topology();
        let request = terms.request_on(topology);
        let answer = call(py, || {
            if on_allocator { Allocator::new(topology)?.what_if(&request) } else { solver.solve(&request) }
        })?;
        Ok(Self { answer, terms, on_allocator })
    }
}

impl Field for Placement {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let topology = self.answer.topology();
        let again = || Self::ask(py, &Solver::new(topology), Arc::clone(&self.terms), true);
        if self.on_allocator && !again().is_ok_and(|again| again == *self) {
            return Err(PyTypeError::new_err(
                "cannot pickle a placement that depends on the CPUs, memory or NICs of other jobs on its Allocator: send to_json()",
            ));
        }
        let fields =
            [topology.give(py)?, self.terms.give(py)?, self.on_allocator.give(py)?, self.per_gpu().give(py)?];
        Ok(PyTuple::new(py, fields)?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut fields = fields(value, 4)?.into_iter();
        let (topology, terms): (Topology, Terms) = (next(&mut fields)?, next(&mut fields)?);
        let (on_allocator, expected): (bool, Vec<PlacedGpu>) = (next(&mut fields)?, next(&mut fields)?);
        let again = Self::ask(value.py(), &Solver::new(&topology), Arc::new(terms), on_allocator);
        again.ok().filter(|again| again.per_gpu() == expected).ok_or_else(|| answered_otherwise("placement"))
    }
}

/// A hash of the GPUs that were chosen.
pub(crate) fn hash(indices: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    indices.hash(&mut hasher);
    hasher.finish()
}
