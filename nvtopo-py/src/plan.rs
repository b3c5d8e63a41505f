//! `Plan` and `Part`: what every rank of a job on one machine gets.

use crate::arguments::{Names, word};
use crate::cpuset::{CpuSet, NodeSet};
use crate::environment::{Environment, environment};
use crate::visible::instance_name;
use crate::{call, indices_of, pre, variables};
use nvtopo::Topology;
use nvtopo::apply::{self, Export, PlanHere};
use nvtopo::render::{LAUNCH_FORMATS, Style, by_name, launch_format};
use nvtopo::solve::CPU_POLICIES;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};
use std::sync::Arc;

/// What each rank of a job on one machine gets: a sequence of one Part for each local rank. Made by Topology.plan.
///
/// Every rank works it out alone: the same topology, variables and rules give the same plan everywhere.
///
/// >>> import nvtopo
/// >>> plan = nvtopo.preset("dgx-h100").plan(ranks=8)
/// >>> len(plan), plan[5].gpu, str(plan[5].cpus), plan[5].nic
/// (8, 5, '70-83,182-195', 'mlx5_9')
/// >>> print(plan.format("rankfile-ompi5").splitlines()[1])
/// rank 0=localhost slot=0-27
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Plan(pub(crate) Arc<PlanHere>);

#[pymethods]
impl Plan {
    #[getter]
    /// The policy by which the CPUs were dealt out.
    fn policy(&self) -> &'static str {
        self.0.plan.policy().name()
    }

    #[getter]
    /// What a person should know.
    fn remarks(&self) -> Vec<String> {
        self.0.plan.remarks().to_vec()
    }

    /// The plan as a launcher takes it; `launch_formats()` lists the names.
    ///
    /// Raises InvalidRequestError for an unknown name, and where a rank has no CPUs.
    ///
    /// >>> import nvtopo
    /// >>> print(nvtopo.preset("dgx-a100").plan(ranks=2).format("taskset"), end="")
    /// taskset -c 48-55,176-183
    /// taskset -c 56-63,184-191
    fn format(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        call(py, || launch_format(name)?.print(&self.0.plan))
    }

    /// The plan as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("json")?.plan(&self.0.plan, Style::default())))
    }

    /// The plan as a table for people; `str()` gives the same.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.plan(&self.0.plan, Style::default())))
    }

    fn __len__(&self) -> usize {
        self.0.plan.parts().len()
    }

    fn __getitem__(&self, rank: isize) -> PyResult<Part> {
        let ranks = self.__len__();
        // Negative ranks count from the end, as everywhere in Python.
        let from_start = if rank < 0 { ranks.checked_add_signed(rank) } else { usize::try_from(rank).ok() };
        from_start.and_then(|rank| self.part(rank)).ok_or_else(|| {
            PyIndexError::new_err(format!("there is no rank {rank} in a plan of {ranks} ranks"))
        })
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let parts: Vec<Part> = (0..self.__len__()).filter_map(|rank| self.part(rank)).collect();
        PyList::new(py, parts)?.try_iter()
    }

    /// The plan as notebooks show it.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py).map(|text| pre(&text))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.to_text(py)
    }

    fn __repr__(&self) -> String {
        format!("<Plan of {} ranks by the policy {}>", self.__len__(), self.policy())
    }
}

impl Plan {
    fn part(&self, rank: usize) -> Option<Part> {
        let own = self.0.plan.part(rank)?;
        Some(Part { whole: Arc::clone(&self.0), rank, own })
    }
}

/// What one rank gets of a plan. bind takes it.
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Part {
    pub(crate) whole: Arc<PlanHere>,
    rank: usize,
    pub(crate) own: nvtopo::Part,
}

#[pymethods]
impl Part {
    #[getter]
    /// The local rank.
    fn rank(&self) -> usize {
        self.rank
    }

    #[getter]
    /// The index of its GPU, or None where it has none.
    fn gpu(&self) -> Option<u32> {
        self.gpus().first().copied()
    }

    #[getter]
    /// The indices of its GPUs.
    fn gpus(&self) -> Vec<u32> {
        indices_of(self.topology(), &self.own.gpus)
    }

    #[getter]
    /// The names of the MIG instances that it uses of them; empty where it uses whole GPUs.
    fn instances(&self) -> Vec<String> {
        self.own.instances.iter().map(|id| instance_name(self.topology(), *id)).collect()
    }

    #[getter]
    /// Its CPUs; empty where it has no GPU, for then nothing is known of where to run.
    fn cpus(&self) -> CpuSet {
        CpuSet(self.own.cpus.clone())
    }

    #[getter]
    /// The NUMA nodes to take memory from; empty when unknown.
    fn mems(&self) -> NodeSet {
        NodeSet(self.own.mems.clone())
    }

    #[getter]
    /// How many cores it has threads of that no other rank has; 0 where they are shared or that is unknown.
    fn own_cores(&self) -> usize {
        self.own.own_cores
    }

    #[getter]
    /// The names of the NICs to use, one for each of its GPUs as far as known.
    fn nics(&self) -> Vec<String> {
        self.own.nics.iter().map(|nic| self.topology().device_name(*nic)).collect()
    }

    #[getter]
    /// The name of the NIC to use, or None where none is known.
    fn nic(&self) -> Option<String> {
        self.nics().into_iter().next()
    }

    #[getter]
    /// What a person should know.
    fn remarks(&self) -> Vec<String> {
        self.own.remarks.clone()
    }

    /// The variables that go with it. Unasked, only OMP_NUM_THREADS, where it is not set and the cores are its own.
    ///
    /// Args:
    ///     export: what else to tell: "gpus" (CUDA_VISIBLE_DEVICES, the same for all ranks), "threads" (OMP_NUM_THREADS
    ///         even where it is set), "ib-hca" (NCCL_IB_HCA, the same for all ranks), "ucx-device" (UCX_NET_DEVICES).
    ///     environ: the variables that are set. None: os.environ.
    ///
    /// Raises InvalidRequestError for other words.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("dgx-h100").plan(ranks=8)[1].env(environ={})
    /// {'OMP_NUM_THREADS': '14'}
    #[pyo3(
        signature = (export=Names::default(), *, environ=None),
        text_signature = "($self, export=(), *, environ=None)"
    )]
    fn env<'py>(
        &self,
        py: Python<'py>,
        export: Names,
        environ: Option<Environment>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let exports: Vec<Export> =
            export.0.into_iter().map(|name| word(py, &name)).collect::<PyResult<_>>()?;
        let environ = environ.map_or_else(|| environment(py), Ok)?;
        let PlanHere { visible, .. } = &*self.whole;
        let told =
            apply::environment(self.topology(), visible, &self.own, &exports, |name| environ.get(name));
        variables(py, told)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let same = |other: &Self| {
            (self.rank, &self.own) == (other.rank, &other.own) && self.topology() == other.topology()
        };
        other.cast::<Self>().is_ok_and(|other| same(other.get()))
    }

    fn __hash__(&self) -> isize {
        self.rank.cast_signed()
    }

    fn __repr__(&self) -> String {
        let names: Vec<String> = self.gpus().iter().map(|index| format!("GPU{index}")).collect();
        format!("<Part of rank {}: {}, CPUs {}>", self.rank, names.join(","), self.own.cpus)
    }
}

impl Part {
    pub(crate) fn topology(&self) -> &Topology {
        self.whole.plan.topology()
    }
}

/// The names that Plan.format takes.
///
/// >>> import nvtopo
/// >>> "rankfile-ompi5" in nvtopo.launch_formats()
/// True
#[pyfunction]
pub(crate) fn launch_formats() -> Vec<&'static str> {
    LAUNCH_FORMATS.iter().map(|format| format.name).collect()
}

/// The names of the policies by which CPUs are dealt out; the first is the default.
///
/// >>> import nvtopo
/// >>> nvtopo.cpu_policies()[0]
/// 'exclusive'
#[pyfunction]
pub(crate) fn cpu_policies() -> Vec<&'static str> {
    CPU_POLICIES.iter().map(nvtopo::CpuPolicy::name).collect()
}
