//! `Placement` and what it consists of; `Explanation`, which holds it against others.

use crate::cpuset::{CpuSet, NodeSet};
use crate::pickle::{Reduced, reduce};
use crate::{call, pre, variables};
use nvtopo::render::{Style, by_name};
use nvtopo::solve::{NodeMemory, NodePages, Quantity};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;

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
    /// The bytes of memory that it is to have of each node, such as {0: 68719476736}. None: none was asked for, or
    /// nobody knows what its nodes have.
    memory: Option<BTreeMap<u32, u64>>,
    /// The huge pages that it is to have of each node, by size, such as {0: {2097152: 1024}}. None: none were asked for, or
    /// nobody knows what its nodes have.
    huge_pages: Option<BTreeMap<u32, BTreeMap<u64, u64>>>,
    /// The names of the NICs nearest to it, all of one path class.
    nics: Vec<String>,
    /// The class of the path to these NICs, such as "PIX". None: there is no NIC, or no path is known.
    nic_path: Option<&'static str>,
    /// The name of the NIC to use, so that none serves more GPUs than its share.
    nic: Option<String>,
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
    nic
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
    own: Quantity,
    limit: Option<Quantity>,
}

crate::pickle::plain!(Score { objective, own, limit });

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

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Score", self)
    }

    fn __repr__(&self) -> String {
        format!("<Score {}: {}>", self.objective, self.own)
    }
}

impl Score {
    fn of(score: &nvtopo::Score) -> Self {
        Self { objective: score.objective, own: score.value, limit: score.bound }
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
            memory: gpu.memory.as_deref().map(by_node),
            huge_pages: gpu.huge_pages.as_deref().map(pages_by_node),
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
        self.0.scores().iter().map(Score::of).collect()
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
        variables(py, self.0.cuda_environment())
    }

    /// The placement as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("json")?.placement(&self.0, Style::default())))
    }

    /// The placement as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.placement(&self.0, Style::default())))
    }

    /// The placement as notebooks show it.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py).map(|text| pre(&text))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Placement {}>", self.0)
    }
}

/// A placement, and what would have been chosen instead. Made by Topology.explain.
///
/// >>> import nvtopo
/// >>> why = nvtopo.preset("dgx-1-v100").explain(gpus=5)
/// >>> why.first_fit.gpus, str(why.first_fit.loss)
/// ([0, 1, 2, 3, 4], 'ring: 6 GB/s instead of 50 GB/s')
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Explanation(pub(crate) nvtopo::solve::Explanation);

#[pymethods]
impl Explanation {
    #[getter]
    /// The GPUs for the job.
    fn placement(&self) -> Placement {
        Placement(self.0.placement.clone())
    }

    #[getter]
    /// The best set besides, under the same constraints. None: there is no other.
    fn next(&self) -> Option<Alternative> {
        self.0.next.as_ref().map(Alternative::of)
    }

    #[getter]
    /// The free GPUs with the lowest numbers, which those take who count GPUs only. None: they are what was chosen, or
    /// others were included.
    fn first_fit(&self) -> Option<Alternative> {
        self.0.first_fit.as_ref().map(Alternative::of)
    }

    /// The explanation as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("json")?.explanation(&self.0, Style::default())))
    }

    /// The explanation as text for people.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.explanation(&self.0, Style::default())))
    }

    fn __repr__(&self) -> String {
        format!("<Explanation of {}>", self.0.placement)
    }
}

/// A set of GPUs that was not chosen.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Alternative {
    /// The indices of its GPUs.
    gpus: Vec<u32>,
    /// One value for each objective, most important first.
    score: Vec<Score>,
    /// Whether it meets what is required, and what is preferred as far as that can be had.
    meets: bool,
    /// The first objective by which it differs from what was chosen. None: both are as good, and the lowest indices
    /// decided.
    loss: Option<Loss>,
}

crate::pickle::plain!(Alternative { gpus, score, loss, meets });

#[pymethods]
impl Alternative {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Alternative", self)
    }

    fn __repr__(&self) -> String {
        let names: Vec<String> = self.gpus.iter().map(|index| format!("GPU{index}")).collect();
        format!("<Alternative {}>", names.join(","))
    }
}

impl Alternative {
    fn of(other: &nvtopo::solve::Alternative) -> Self {
        Self {
            gpus: other.gpu_indices.clone(),
            score: other.scores.iter().map(Score::of).collect(),
            meets: other.meets,
            loss: other.loss.map(|loss| Loss {
                objective: loss.objective,
                own: loss.own,
                best: loss.chosen,
                text: loss.to_string(),
            }),
        }
    }
}

/// By what an alternative is worse. `str()` says it in words.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Loss {
    #[pyo3(get)]
    /// The objective's name.
    objective: &'static str,
    own: Quantity,
    best: Quantity,
    text: String,
}

crate::pickle::plain!(Loss { objective, own, best, text });

#[pymethods]
impl Loss {
    #[getter]
    /// What the alternative has, in the unit.
    fn value(&self) -> f64 {
        self.own.number()
    }

    #[getter]
    /// What the chosen set has, in the unit. Equal where only the nearness of the paths differs.
    fn chosen(&self) -> f64 {
        self.best.number()
    }

    #[getter]
    /// The unit, as in Score.
    fn unit(&self) -> &'static str {
        self.own.unit()
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Loss", self)
    }

    fn __repr__(&self) -> String {
        format!("<Loss {}>", self.text)
    }
}
