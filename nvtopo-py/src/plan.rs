//! `Plan` and `Part`: what every rank of a job on one machine gets.

use crate::arguments::{Count, Environment, Names, environment, word};
use crate::cpuset::{CpuSet, NodeSet};
use crate::pickle::{Field, Reduced, answered_otherwise, fields, next, other_version, reduce};
use crate::visible::instance_name;
use crate::{call, indices_of, pre, variables};
use nvtopo::apply::{self, Export, PlanHere, Scope, Variables, plan_here};
use nvtopo::render::{LAUNCH_FORMATS, LaunchMemory, json, launch_format};
use nvtopo::solve::{CPU_POLICIES, OrderBasis, VisibleDevice};
use nvtopo::{CpuLimits, CpuRules, RankLayout, Topology, VisibleGpus};
use nvtopo_draw::{Style, by_name};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PySlice, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The GPUs, CPUs, memory and NICs of each rank of a job on one machine: a sequence of one Part for each local rank. Made by
/// Topology.plan.
///
/// Every rank works it out alone: the same topology, variables and rules give the same plan everywhere.
///
/// `plan[n]` is the part of local rank n, and `plan[2:4]` a list of parts. Unpickling computes the plan again, and raises
/// ValueError where this version of nvtopo answers otherwise.
///
/// >>> import nvtopo
/// >>> plan = nvtopo.preset("dgx-h100").plan(ranks=8)
/// >>> len(plan), plan[5].gpu, str(plan[5].cpus), plan[5].nic
/// (8, 5, '70-83,182-195', 'mlx5_9')
/// >>> print(plan.format("rankfile-ompi5").splitlines()[1])
/// rank 0=localhost slot=0-27
#[pyclass(frozen, eq, module = "nvtopo")]
#[derive(PartialEq)]
pub(crate) struct Plan(pub(crate) Arc<PlanHere>);

#[pymethods]
impl Plan {
    #[getter]
    /// The policy by which the CPUs were dealt out.
    fn policy(&self) -> &'static str {
        self.0.plan.policy().name()
    }

    #[getter]
    /// Remarks for people.
    fn remarks(&self) -> Vec<String> {
        self.0.plan.remarks().to_vec()
    }

    /// The plan as a launcher takes it; `launch_formats()` lists the names.
    ///
    /// Args:
    ///     memory: how ranks are to take memory: "preferred", "local", "bind" or "interleave"; "none" says nothing of it.
    ///         None: "preferred" for numactl and systemd, "none" for others.
    ///
    /// Raises InvalidRequestError for an unknown name, where a rank has no CPUs, and where the format cannot say how
    /// memory is to be taken.
    ///
    /// >>> import nvtopo
    /// >>> print(nvtopo.preset("dgx-a100").plan(ranks=2).format("taskset"), end="")
    /// taskset -c 48-55,176-183
    /// taskset -c 56-63,184-191
    #[pyo3(signature = (name, *, memory=None))]
    fn format(&self, py: Python<'_>, name: &str, memory: Option<&str>) -> PyResult<String> {
        let memory: LaunchMemory = memory.map_or(Ok(LaunchMemory::Usual), |memory| word(py, memory))?;
        call(py, || launch_format(name)?.print_with(&self.0.plan, memory))
    }

    /// The plan as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(json::plan(&self.0.plan)))
    }

    /// The plan as a table for people; `str()` gives the same.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.plan(&self.0.plan, Style::default())))
    }

    fn __len__(&self) -> usize {
        self.0.plan.parts().len()
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, ranks) = (key.py(), self.__len__());
        if let Ok(slice) = key.cast::<PySlice>() {
            let slice = slice.indices(ranks.cast_signed())?;
            let each = (0..slice.slicelength).map(|nth| slice.start + nth.cast_signed() * slice.step);
            let parts: Vec<Part> = each.filter_map(|rank| self.part(usize::try_from(rank).ok()?)).collect();
            return Ok(PyList::new(py, parts)?.into_any());
        }
        let rank: isize = key.extract()?;
        // Negative ranks count from the end, as everywhere in Python.
        let from_start = if rank < 0 { ranks.checked_add_signed(rank) } else { usize::try_from(rank).ok() };
        let part = from_start.and_then(|rank| self.part(rank)).ok_or_else(|| {
            PyIndexError::new_err(format!("there is no rank {rank} in a plan of {ranks} ranks"))
        })?;
        part.into_bound_py_any(py)
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

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.plan.parts().iter().for_each(|part| (&part.gpus, &part.cpus).hash(&mut hasher));
        hasher.finish()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Plan", self)
    }

    fn __repr__(&self) -> String {
        format!("<Plan of {} ranks by the policy {}>", self.__len__(), self.policy())
    }
}

impl Plan {
    /// Makes the plan of a request for the place of this process.
    pub(crate) fn find(
        py: Python<'_>,
        topology: &Topology,
        ranks: Option<Count>,
        rules: CpuRules,
        scope: Scope,
        environ: Option<Environment>,
    ) -> PyResult<Self> {
        let own = environment(py)?;
        let here = call(py, move || {
            let own = |name: &str| own.get(name);
            let given = environ.as_ref().map(|environ| move |name: &str| environ.get(name));
            let given = given.as_ref().map(|given| given as Variables<'_>);
            plan_here(topology, ranks.map(|ranks| ranks.0), rules, scope, given, &own)
        });
        here.map(|here| Self(Arc::new(here)))
    }

    fn part(&self, rank: usize) -> Option<Part> {
        let own = self.0.plan.part(rank)?;
        Some(Part { whole: Arc::clone(&self.0), rank, own })
    }
}

/// The question that a plan answers, and the answer.
struct Recipe {
    topology: Topology,
    /// The visible devices: the position of the GPU, and which of its instances it is.
    devices: Vec<(usize, Option<usize>)>,
    order: String,
    unresolved: bool,
    remarks: Vec<String>,
    policy: String,
    smt: String,
    allowed: Option<CpuSet>,
    reserved: CpuSet,
    isolated: String,
    cores: String,
    gpus_per_rank: Option<usize>,
    distribution: Option<String>,
    cores_per_rank: Option<usize>,
    gpus: Vec<Vec<usize>>,
    cpus: Vec<CpuSet>,
}

crate::pickle::plain!(Recipe {
    topology,
    devices,
    order,
    unresolved,
    remarks,
    policy,
    smt,
    allowed,
    reserved,
    isolated,
    cores,
    gpus_per_rank,
    distribution,
    cores_per_rank,
    gpus,
    cpus
});

impl Recipe {
    fn of(PlanHere { plan, visible, rules, .. }: &PlanHere) -> Self {
        let topology = plan.topology();
        let device = |device: &VisibleDevice| {
            let is_it = |id| topology.gpu_instances(device.gpu).position(|(own, _)| own == id);
            (device.gpu, device.instance.and_then(is_it))
        };
        Self {
            topology: topology.clone(),
            devices: visible.devices.iter().map(device).collect(),
            order: visible.order.word().to_owned(),
            unresolved: visible.unresolved,
            remarks: visible.remarks.clone(),
            policy: rules.policy.to_string(),
            smt: rules.smt.to_string(),
            allowed: rules.limits.allowed.clone().map(CpuSet),
            reserved: CpuSet(rules.limits.reserved.clone()),
            isolated: rules.limits.isolated.to_string(),
            cores: rules.limits.cores.to_string(),
            gpus_per_rank: rules.layout.gpus,
            distribution: rules.layout.distribution.map(|distribution| distribution.to_string()),
            cores_per_rank: rules.layout.cores,
            gpus: plan.parts().iter().map(|part| part.gpus.clone()).collect(),
            cpus: plan.parts().iter().map(|part| CpuSet(part.cpus.clone())).collect(),
        }
    }

    /// The GPUs that the ranks see.
    fn visible(&self) -> PyResult<VisibleGpus> {
        let device = |&(gpu, instance): &(usize, Option<usize>)| {
            let id = |nth| Some(self.topology.gpu_instances(gpu).nth(nth)?.0);
            let instance = instance.map(|nth| id(nth).ok_or_else(other_version)).transpose()?;
            let is_there = gpu < self.topology.gpus().len();
            is_there.then_some(VisibleDevice { gpu, instance }).ok_or_else(other_version)
        };
        Ok(VisibleGpus {
            devices: self.devices.iter().map(device).collect::<PyResult<_>>()?,
            order: OrderBasis::ALL
                .into_iter()
                .find(|order| order.word() == self.order)
                .ok_or_else(other_version)?,
            unresolved: self.unresolved,
            remarks: self.remarks.clone(),
            ..VisibleGpus::default()
        })
    }
}

impl Field for Plan {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Recipe::of(&self.0).give(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let recipe = Recipe::take(value)?;
        let limits = CpuLimits {
            allowed: recipe.allowed.as_ref().map(|cpus| cpus.0.clone()),
            reserved: recipe.reserved.0.clone(),
            isolated: word(py, &recipe.isolated)?,
            cores: word(py, &recipe.cores)?,
        };
        let layout = RankLayout {
            gpus: recipe.gpus_per_rank,
            distribution: recipe.distribution.as_deref().map(|name| word(py, name)).transpose()?,
            cores: recipe.cores_per_rank,
        };
        let rules =
            CpuRules { policy: word(py, &recipe.policy)?, smt: word(py, &recipe.smt)?, limits, layout };
        let visible = recipe.visible()?;
        let again = PlanHere::new(&recipe.topology, visible, recipe.gpus.len(), rules);
        let same = |again: &PlanHere| {
            let parts = again.plan.parts().iter();
            let (gpus, cpus): (Vec<_>, Vec<_>) = parts.map(|part| (&part.gpus, &part.cpus)).unzip();
            gpus.into_iter().eq(&recipe.gpus) && cpus.into_iter().eq(recipe.cpus.iter().map(|cpus| &cpus.0))
        };
        let again = again.ok().filter(same).ok_or_else(|| answered_otherwise("plan"))?;
        Ok(Self(Arc::new(again)))
    }
}

/// The part of one rank in a plan. bind takes it. Unpickling computes the plan again, as that of a Plan.
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
    /// The index of its GPU, of several the first, or None where it has none.
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
    /// Its CPUs; empty where it sees no GPU, for then nothing is known of where to run.
    fn cpus(&self) -> CpuSet {
        CpuSet(self.own.cpus.clone())
    }

    #[getter]
    /// The NUMA nodes to take memory from; empty when unknown.
    fn mems(&self) -> NodeSet {
        NodeSet(self.own.mems.clone())
    }

    #[getter]
    /// The number of cores that no other rank shares; 0 where all are shared or that is unknown.
    fn own_cores(&self) -> usize {
        self.own.own_cores
    }

    #[getter]
    /// The names of the NICs to use, one for each of its GPUs as far as known.
    fn nics(&self) -> Vec<String> {
        self.own.nics.iter().map(|nic| self.topology().device_name(*nic)).collect()
    }

    #[getter]
    /// The name of the NIC to use, of several the first, or None where none is known.
    fn nic(&self) -> Option<String> {
        self.nics().into_iter().next()
    }

    #[getter]
    /// Remarks for people.
    fn remarks(&self) -> Vec<String> {
        self.own.remarks.clone()
    }

    /// Splits its CPUs into parts for the workers of the rank, as Topology.split_cpus does: one for each worker of a
    /// DataLoader, which binds itself to its part as it starts.
    ///
    /// >>> import nvtopo
    /// >>> workers = nvtopo.preset("dgx-h100").plan(ranks=8)[0].split_cpus(2)
    /// >>> [str(cpus) for cpus in workers]
    /// ['0-6,112-118', '7-13,119-125']
    /// >>> bind_worker = lambda worker: os.sched_setaffinity(0, workers[worker])  # DataLoader(worker_init_fn=bind_worker)
    fn split_cpus(&self, py: Python<'_>, parts: Count) -> PyResult<Vec<CpuSet>> {
        let split = || nvtopo::split_cpus(self.topology(), &self.own.cpus, parts.0);
        call(py, || Ok(split()?.into_iter().map(CpuSet).collect()))
    }

    /// The variables that go with it. Unasked, only OMP_NUM_THREADS, where it is not set and the cores are its own.
    ///
    /// Args:
    ///     export: what else to tell: "gpus" (CUDA_VISIBLE_DEVICES, the same for all ranks), "threads" (OMP_NUM_THREADS
    ///         even where it is set), "ib-hca" (NCCL_IB_HCA, the same for all ranks), "ucx-device" (UCX_NET_DEVICES),
    ///         "uccl-device" (UCCL_P2P_RDMA_DEV), "nvshmem-hca" (NVSHMEM_HCA_LIST), "vllm-nics"
    ///         (VLLM_GPU_NIC_PCIE_MAPPING, the same for all ranks).
    ///     environ: the variables that are set. None: os.environ.
    ///
    /// Raises InvalidRequestError for other names.
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

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Part", self)
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

impl Field for Part {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let fields = [Plan(Arc::clone(&self.whole)).give(py)?, self.rank.give(py)?];
        Ok(PyTuple::new(py, fields)?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut fields = fields(value, 2)?.into_iter();
        let (whole, rank): (Plan, usize) = (next(&mut fields)?, next(&mut fields)?);
        whole.part(rank).ok_or_else(other_version)
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
