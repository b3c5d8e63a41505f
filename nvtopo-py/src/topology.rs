//! `Topology`: what a machine consists of, and what can be asked of it.

use crate::arguments::{Count, Environment, GpuArgument, GpuArguments, Word, environment, word};
use crate::cpuset::{CpuArgument, CpuSet};
use crate::devices::{Nic, NumaNode};
use crate::error::invalid_request;
use crate::explanation::Explanation;
use crate::gpus::Gpu;
use crate::instance::{InstancePlacement, SizeArgument};
use crate::note::Note;
use crate::pairs::{P2p, Pair};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::ranks::{ParallelTerms, RankMap, TrafficArgument};
use crate::shares::Shares;
use crate::visible::VisibleGpus;
use crate::{call, indices_of};
use nvtopo::model::{Origin, Stated};
use nvtopo::{Cores, CpuLimits, CpuRules, CudaOrder, Isolated, Solver};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A machine as one graph: immutable, comparable, hashable, picklable, and safe to share between threads.
///
/// Made by discover, load, loads, open and preset.
///
/// >>> import nvtopo
/// >>> dgx = nvtopo.preset("dgx-1-v100")
/// >>> dgx.pair(0, 3).nvlinks
/// 2
/// >>> dgx.place(gpus=4, exclude=[0]).gpus
/// [4, 5, 6, 7]
#[pyclass(frozen, eq, module = "nvtopo")]
pub(crate) struct Topology(pub(crate) nvtopo::Topology, pub(crate) Solver);

impl Topology {
    pub(crate) fn of(topology: nvtopo::Topology) -> Self {
        let solver = Solver::new(&topology);
        Self(topology, solver)
    }
}

impl PartialEq for Topology {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[pymethods]
impl Topology {
    #[getter]
    /// The GPUs by increasing index.
    fn gpus(&self) -> Vec<Gpu> {
        (0..self.0.gpus().len()).filter_map(|position| Gpu::of(&self.0, position)).collect()
    }

    #[getter]
    /// The NICs in the source's order.
    fn nics(&self) -> Vec<Nic> {
        let first = self.0.gpus().len();
        (first..self.0.devices().len()).filter_map(|device| Nic::of(&self.0, device)).collect()
    }

    #[getter]
    /// The NUMA nodes in the source's order.
    fn numa_nodes(&self) -> Vec<NumaNode> {
        self.0.numa_nodes().map(NumaNode::of).collect()
    }

    #[getter]
    /// The version of NVIDIA's driver, such as "570.124.06", or None.
    fn driver(&self) -> Option<String> {
        self.0.machine().driver.clone()
    }

    #[getter]
    /// The latest CUDA version that the driver serves, such as "12.8", or None.
    fn cuda(&self) -> Option<String> {
        self.0.machine().cuda.clone()
    }

    #[getter]
    /// The hypervisor that runs the machine, such as "KVM", or "unnamed"; "" where there is none. None: nobody says.
    fn hypervisor(&self) -> Option<String> {
        match &self.0.machine().hypervisor {
            Stated::NotAvailable => Some(String::new()),
            other => other.known().cloned(),
        }
    }

    #[getter]
    /// The names of the GPUs and then of the NICs: what the rows and columns of `matrix` stand for.
    fn devices(&self) -> Vec<String> {
        (0..self.0.devices().len()).map(|device| self.0.device_name(device)).collect()
    }

    #[getter]
    /// The paths between all devices as nvidia-smi names them, such as "X", "NV12", "PIX": a row for each of `devices`,
    /// and in it a column for each. None: unknown.
    fn matrix(&self, py: Python<'_>) -> PyResult<Vec<Vec<Option<String>>>> {
        let devices = self.0.devices().len();
        call(py, || {
            let word = |a: usize, b: usize| self.0.pairs().pair(a, b).word(self.0.dialect());
            Ok((0..devices).map(|a| (0..devices).map(|b| word(a, b)).collect()).collect())
        })
    }

    #[getter]
    /// The names of the GPUs that NVLink connects, group by group; a GPU without NVLink is a group of its own.
    fn nvlink_groups(&self, py: Python<'_>) -> PyResult<Vec<Vec<String>>> {
        let names = |gpus: &[usize]| gpus.iter().map(|gpu| self.0.device_name(*gpu)).collect();
        call(py, || Ok(self.0.nvlink_groups().iter().map(|group| names(&group.gpus)).collect()))
    }

    #[getter]
    /// The notes on this topology.
    fn notes(&self) -> Vec<Note> {
        self.0.notes().iter().map(Note::of).collect()
    }

    #[getter]
    /// The machine that it describes: "machine" for a certain one, "preset:NAME" for a product, or "unknown".
    fn origin(&self) -> String {
        match self.0.origin() {
            Origin::Preset(name) => format!("preset:{name}"),
            Origin::Machine(_) => "machine".to_owned(),
            _ => "unknown".to_owned(),
        }
    }

    /// Returns the GPU of an index, a name ("GPU3"), a UUID or a PCI address.
    ///
    /// Raises InvalidRequestError where there is no such GPU.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("dgx-h100").gpu("GPU3").index
    /// 3
    fn gpu(&self, py: Python<'_>, gpu: GpuArgument) -> PyResult<Gpu> {
        let GpuArgument(gpu) = gpu;
        let found = call(py, || Ok(Gpu::of(&self.0, gpu.resolve(&self.0)?)))?;
        found.ok_or_else(|| invalid_request(py, &format!("there is no GPU {gpu}")))
    }

    /// Returns the best path between two devices.
    ///
    /// A device is given by the index of a GPU, by its name ("GPU3", "mlx5_0"), or by a GPU's UUID or PCI address.
    ///
    /// Raises InvalidRequestError where there is no such device.
    ///
    /// >>> import nvtopo
    /// >>> pair = nvtopo.preset("dgx-h100").pair(0, "GPU7")
    /// >>> pair.path, pair.nvlinks, pair.gb_per_s, pair.basis
    /// ('NVL', 18, 450.0, 'nominal')
    fn pair(&self, py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Pair> {
        let (a, b) = (self.device(a)?, self.device(b)?);
        call(py, || Ok(Pair::of(&self.0.pairs().pair(a, b))))
    }

    /// Returns the peer-to-peer access that the driver allows two GPUs. None: unknown.
    ///
    /// A GPU is named as in place.
    ///
    /// Raises InvalidRequestError where there is no such GPU.
    fn p2p(&self, a: GpuArgument, b: GpuArgument, py: Python<'_>) -> PyResult<Option<P2p>> {
        let (a, b) = (a.0, b.0);
        call(py, || {
            let (a, b) = (a.resolve(&self.0)?, b.resolve(&self.0)?);
            Ok(self.0.p2p(self.0.devices()[a], self.0.devices()[b]).map(P2p::of))
        })
    }

    /// The same machine with the rates that the hardware reports for its links, where it reports some. What was measured
    /// still counts more.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-a100")  # a preset reports nothing
    /// >>> dgx.with_reported_rates() == dgx
    /// True
    fn with_reported_rates(&self, py: Python<'_>) -> PyResult<Self> {
        call(py, || Ok(self.0.with_reported_rates())).map(Self::of)
    }

    /// Chooses the best GPUs, and the CPUs, memory and NICs beside each.
    ///
    /// A GPU is named by its index (3), its name ("GPU3"), its UUID or the start of one, or its PCI address; "model:A100" are
    /// all GPUs whose model's name has these words. CPUs are a CpuSet, an iterable of integers, or a list like "0-1,16".
    ///
    /// Args:
    ///     gpus: how many.
    ///     only: choose among these, the free ones. None: on a topology of this machine among those that
    ///         CUDA_VISIBLE_DEVICES shows, on any other among all.
    ///     exclude: do not take these.
    ///     include: take these in any case.
    ///     objectives: what counts, most important first: "ring", "tree", "all-to-all", "min-pair", "pair-sum",
    ///         "model-span", "numa-span", "nic", "remainder". What they leave open the defaults decide.
    ///     require: what must hold between all of them: "nvlink-group", "numa-node", "pcie-switch", "same-model",
    ///         "at-least:50" (GB/s between each two); or of each of them: "gpu-memory:40GiB" (at least so much memory).
    ///     prefer: the first of these that can be met must be met as well; the placement says why not a better one.
    ///     free: choose only GPUs that no process uses, as the driver told it when the topology was made; one of which that is
    ///         unknown is not chosen. The remarks or the error tell why each was left out.
    ///     free_memory: choose only GPUs of which so much memory is unused, in bytes or as a text like "20GiB".
    ///     allowed_sets: choose one of these sets of GPUs as a whole, such as the partitions of a Fabric Manager. None: any GPUs
    ///         may be chosen together.
    ///     mix: how often jobs of each size come, such as {1: 0.5, 4: 0.5}: what is left over is judged by it. None:
    ///         all sizes alike.
    ///     tolerance: measured rates that differ by less than this part count as equal when sets are compared; 0 tells all
    ///         apart. None: 0.05.
    ///     reserve_cpus: CPUs that are kept for others.
    ///     allowed_cpus: only these CPUs may be given to the job. None: on a topology of this machine those of
    ///         the calling thread, on any other all.
    ///     isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
    ///         are others ("avoid"), or are as all others ("use").
    ///     cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.
    ///     cpus_per_gpu: so many CPUs (hardware threads) near each GPU, whole cores first. None: each gets its share.
    ///     memory_per_gpu: so much memory for each GPU from the NUMA nodes beside it, in bytes or as a text like "64GiB".
    ///     hugepages_per_gpu: so many huge pages of each size for each GPU from the NUMA nodes beside it, such as
    ///         {"2MiB": 1024}.
    ///     gpus_per_nic: a NIC serves at most so many GPUs. None: as many as it has to where all GPUs use NICs.
    ///
    /// Raises InvalidRequestError for unknown names and contradictions, and UnsatisfiableError where there are not
    /// enough GPUs, or none for which there is what is required.
    ///
    /// >>> import nvtopo
    /// >>> place = nvtopo.preset("dgx-a100").place(gpus=2, exclude=["GPU0"], reserve_cpus="0-1")
    /// >>> len(place.gpus), place.optimal
    /// (2, True)
    #[pyo3(
        signature = (gpus, **terms),
        text_signature = "($self, gpus, *, only=None, exclude=(), include=(), objectives=None, require=(), prefer=(), \
                          free=False, free_memory=None, allowed_sets=None, mix=None, tolerance=None, reserve_cpus=None, allowed_cpus=None, isolated='avoid', cores='all', \
                          cpus_per_gpu=None, \
                          memory_per_gpu=None, hugepages_per_gpu=None, gpus_per_nic=None)"
    )]
    fn place(&self, py: Python<'_>, gpus: Count, terms: Option<&Bound<'_, PyDict>>) -> PyResult<Placement> {
        Placement::find(py, &self.1, self.terms(py, "place", gpus, terms)?)
    }

    /// As place, and what would have been chosen instead: the next best set, and the free GPUs with the lowest numbers.
    ///
    /// The arguments are those of place, and so is what it raises.
    ///
    /// >>> import nvtopo
    /// >>> why = nvtopo.preset("dgx-1-v100").explain(gpus=2, exclude=[0])
    /// >>> why.placement.gpus, why.next.gpus, why.first_fit.gpus
    /// ([2, 3], [4, 7], [1, 2])
    #[pyo3(
        signature = (gpus, **terms),
        text_signature = "($self, gpus, *, only=None, exclude=(), include=(), objectives=None, require=(), prefer=(), \
                          free=False, free_memory=None, allowed_sets=None, mix=None, tolerance=None, reserve_cpus=None, allowed_cpus=None, isolated='avoid', cores='all', \
                          cpus_per_gpu=None, \
                          memory_per_gpu=None, hugepages_per_gpu=None, gpus_per_nic=None)"
    )]
    fn explain(
        &self,
        py: Python<'_>,
        gpus: Count,
        terms: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Explanation> {
        Explanation::find(py, &self.1, self.terms(py, "explain", gpus, terms)?)
    }

    /// Finds the place for a new instance on a MIG-enabled GPU that leaves the most room for further instances.
    ///
    /// Args:
    ///     size: a profile, such as "3g.40gb", or a number of compute slices, such as 3.
    ///     only: choose among these GPUs. None: among all MIG-enabled ones.
    ///     exclude: not on these.
    ///
    /// Raises InvalidRequestError where no MIG-enabled GPU has such a profile, and UnsatisfiableError where none has room. GPUs
    /// on which the places of present instances are not known, which drivers tell to administrators only, are not chosen.
    ///
    /// >>> import json, nvtopo
    /// >>> gpu = {"parent": 0, "index": 0, "model": "NVIDIA H100", "memory_bytes": 80 << 30,
    /// ...        "mig": {"current": True, "pending": True}}
    /// >>> topology = {"source": "nvml", "nvlink_known": True, "nodes": [{"machine": {}}, {"gpu": gpu}]}
    /// >>> mig = nvtopo.loads(json.dumps({"format": "nvtopo-topology", "version": 1, "topology": topology}))
    /// >>> mig.place_instance("1g.10gb")
    /// <InstancePlacement of 1g.10gb: GPU0 from memory slice 6>
    #[pyo3(
        signature = (size, *, only=None, exclude=GpuArguments::default()),
        text_signature = "($self, size, *, only=None, exclude=())"
    )]
    fn place_instance(
        &self,
        py: Python<'_>,
        size: SizeArgument,
        only: Option<GpuArguments>,
        exclude: GpuArguments,
    ) -> PyResult<InstancePlacement> {
        InstancePlacement::find(py, &self.0, size, only, exclude)
    }

    /// Chooses which of the available devices a container should get: the decision of a device plugin for Kubernetes
    /// (GetPreferredAllocation).
    ///
    /// Args:
    ///     available: the devices by the plugin's names: the GPU's UUID, index or PCI address, "nvidia0" by its device file, or
    ///         the UUID of a MIG instance; "::" and a number behind it make it one of several replicas.
    ///     size: the number of devices for the container.
    ///     must_include: those that must be among them.
    ///
    /// Returns names from available, in their order. NVLink groups stay whole, and a single GPU comes from a group that is
    /// broken already. GPUs that work less well, that cannot be used, and names that this topology does not know come last,
    /// and never are a reason to fail.
    ///
    /// Raises InvalidRequestError where fewer devices are available than asked for, or what must be included is not
    /// available.
    ///
    /// >>> import nvtopo
    /// >>> bridged = nvtopo.preset("rtx-a6000-4-bridged")
    /// >>> bridged.preferred_allocation(["0", "2", "3"], 1), bridged.preferred_allocation(["0", "2", "3"], 2)
    /// (['0'], ['2', '3'])
    #[pyo3(
        signature = (available, size, *, must_include=Vec::new()),
        text_signature = "($self, available, size, *, must_include=())"
    )]
    #[allow(clippy::needless_pass_by_value, reason = "what is taken from Python is owned")]
    fn preferred_allocation(
        &self,
        py: Python<'_>,
        available: Vec<String>,
        size: usize,
        must_include: Vec<String>,
    ) -> PyResult<Vec<String>> {
        let names: Vec<&str> = available.iter().map(String::as_str).collect();
        let must: Vec<&str> = must_include.iter().map(String::as_str).collect();
        let chosen = call(py, || nvtopo::solve::preferred_allocation(&self.0, &names, &must, size))?;
        Ok(chosen.into_iter().map(|position| available[position].clone()).collect())
    }

    /// Deals the CPUs out to all GPUs: each gets its share of those nearest to it.
    ///
    /// Args:
    ///     reserve: CPUs that are kept for others.
    ///     allowed: only these CPUs are dealt out. None: on a topology of this machine those of the calling
    ///         thread, on any other all.
    ///     isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
    ///         are others ("avoid"), or are as all others ("use").
    ///     cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.
    ///
    /// >>> import nvtopo
    /// >>> share = nvtopo.preset("dgx-h100").cpus(reserve="0-1").per_gpu[7]
    /// >>> share.index, str(share.cpus), str(share.mems)
    /// (7, '98-111,210-223', '1')
    #[pyo3(
        signature = (*, reserve=None, allowed=None, isolated=Word(Isolated::Avoid), cores=Word(Cores::All)),
        text_signature = "($self, *, reserve=None, allowed=None, isolated='avoid', cores='all')"
    )]
    fn cpus(
        &self,
        py: Python<'_>,
        reserve: Option<CpuArgument>,
        allowed: Option<CpuArgument>,
        isolated: Word<Isolated>,
        cores: Word<Cores>,
    ) -> PyResult<Shares> {
        let limits = CpuLimits {
            allowed: self.allowed(py, allowed)?,
            reserved: reserve.unwrap_or_default().0,
            isolated: isolated.0,
            cores: cores.0,
        };
        call(py, || Ok(Shares::of(&self.0, nvtopo::share_cpus(&self.0, &(&limits).into()))))
    }

    /// Splits CPUs into parts of about equal size, for the workers of one rank. Near cores stay together, and cores stay whole
    /// as long as there are enough; where there are more parts than CPUs, some are alike.
    ///
    /// Args:
    ///     cpus: the CPUs, such as those of a placement or of a rank's part.
    ///     parts: the number of parts.
    ///
    /// Raises InvalidRequestError for more parts than CPUs can be numbered.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-h100")
    /// >>> [str(cpus) for cpus in dgx.split_cpus("0-13,112-125", 2)]
    /// ['0-6,112-118', '7-13,119-125']
    fn split_cpus(&self, py: Python<'_>, cpus: CpuArgument, parts: Count) -> PyResult<Vec<CpuSet>> {
        let CpuArgument(cpus) = cpus;
        call(py, || Ok(nvtopo::split_cpus(&self.0, &cpus, parts.0)?.into_iter().map(CpuSet).collect()))
    }

    /// The GPUs that CUDA_VISIBLE_DEVICES shows a process, as CUDA reads it, counted as CUDA_DEVICE_ORDER says.
    ///
    /// Args:
    ///     environ: the variables of the process. None: os.environ.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-h100")
    /// >>> visible = dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,1,-1,2"})
    /// >>> visible.gpus, visible.order
    /// ([3, 1], 'known')
    #[pyo3(signature = (environ=None))]
    fn visible_gpus(&self, py: Python<'_>, environ: Option<Environment>) -> PyResult<VisibleGpus> {
        let environ = environ.map_or_else(|| environment(py), Ok)?;
        call(py, || {
            let visible = nvtopo::VisibleGpus::from_environment(&self.0, |name| environ.get(name));
            Ok(VisibleGpus::of(&self.0, visible))
        })
    }

    /// The indices of the GPUs in the order in which CUDA counts them. None where nobody can tell: CUDA puts the fastest
    /// first, and the GPUs are not known to be of one model.
    ///
    /// Args:
    ///     order: what CUDA_DEVICE_ORDER says: "PCI_BUS_ID", or anything else for the fastest first, as CUDA reads it.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("dgx-h100").cuda_order()
    /// [0, 1, 2, 3, 4, 5, 6, 7]
    #[pyo3(signature = (order="FASTEST_FIRST"))]
    fn cuda_order(&self, order: &str) -> Option<Vec<u32>> {
        let Ok(order) = order.parse::<CudaOrder>();
        self.0.cuda_order(order).map(|gpus| indices_of(&self.0, &gpus))
    }

    /// Works out what each rank of a job on this machine gets.
    ///
    /// Local rank n uses the n-th of the visible GPUs; where there are more ranks than GPUs, they begin again at the first.
    ///
    /// Args:
    ///     ranks: how many. None: on a topology of this machine as many as the launcher says; else one for each visible
    ///         GPU.
    ///     policy: how CPUs are dealt out; `cpu_policies()` lists the names.
    ///     smt: "all" threads of a core, or "one".
    ///     scope: on a topology of this machine, what allowed_cpus=None means: the "affinity" of the calling thread, or
    ///         all that the kernel would let it have ("cpuset"). Under a launcher that binds each rank by itself, only
    ///         "cpuset" gives all ranks the same plan.
    ///     gpus_per_rank: so many GPUs for each rank. 0: ranks use no GPU, and share the CPUs equally. None: one, which ranks
    ///         share where they are more than the GPUs.
    ///     distribution: "block": neighbouring ranks on neighbouring GPUs, or NUMA nodes where they use no GPU. "cyclic":
    ///         in turns. None: "block", but ranks that share GPUs take turns.
    ///     cores_per_rank: so many cores of those that each rank would get; the rest stays free. None: all.
    ///     reserve_cpus: CPUs that are kept for others.
    ///     allowed_cpus: only these CPUs are dealt out. None: see scope; on any other topology all.
    ///     isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
    ///         are others ("avoid"), or are as all others ("use").
    ///     cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.
    ///     environ: the variables that say which GPUs are visible. None: on a topology of this machine os.environ, on
    ///         any other all GPUs are visible.
    ///
    /// Raises InvalidRequestError for unknown names and for no ranks, UnsatisfiableError where there are fewer GPUs or cores
    /// than each rank is to get.
    ///
    /// >>> import nvtopo
    /// >>> plan = nvtopo.preset("dgx-h100").plan(ranks=2, policy="node", smt="one")
    /// >>> [(part.gpu, str(part.cpus)) for part in plan]
    /// [(0, '0-55'), (1, '0-55')]
    /// >>> plan = nvtopo.preset("dgx-h100").plan(gpus_per_rank=4, cores_per_rank=8)
    /// >>> [(part.gpus, str(part.cpus)) for part in plan]
    /// [([0, 1, 2, 3], '0-7,112-119'), ([4, 5, 6, 7], '56-63,168-175')]
    #[pyo3(
        signature = (
            ranks=None, *, policy="exclusive", smt="all", scope="affinity", gpus_per_rank=None, distribution=None,
            cores_per_rank=None, reserve_cpus=None, allowed_cpus=None, isolated=Word(Isolated::Avoid),
            cores=Word(Cores::All), environ=None
        ),
        text_signature = "($self, ranks=None, *, policy='exclusive', smt='all', scope='affinity', gpus_per_rank=None, \
                          distribution=None, cores_per_rank=None, reserve_cpus=None, allowed_cpus=None, \
                          isolated='avoid', cores='all', environ=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords to Python.
    fn plan(
        &self,
        py: Python<'_>,
        ranks: Option<Count>,
        policy: &str,
        smt: &str,
        scope: &str,
        gpus_per_rank: Option<Count>,
        distribution: Option<&str>,
        cores_per_rank: Option<Count>,
        reserve_cpus: Option<CpuArgument>,
        allowed_cpus: Option<CpuArgument>,
        isolated: Word<Isolated>,
        cores: Word<Cores>,
        environ: Option<Environment>,
    ) -> PyResult<Plan> {
        let mut rules = CpuRules { policy: word(py, policy)?, smt: word(py, smt)?, ..CpuRules::default() };
        rules.limits.reserved = reserve_cpus.unwrap_or_default().0;
        rules.limits.allowed = allowed_cpus.map(|cpus| cpus.0);
        (rules.limits.isolated, rules.limits.cores) = (isolated.0, cores.0);
        rules.layout.gpus = gpus_per_rank.map(|count| count.0);
        rules.layout.distribution = distribution.map(|name| word(py, name)).transpose()?;
        rules.layout.cores = cores_per_rank.map(|count| count.0);
        Plan::find(py, &self.0, ranks, rules, word(py, scope)?, environ)
    }

    /// Finds the GPUs for the ranks of a parallel job, so that it communicates in the least time.
    ///
    /// Args:
    ///     tp, cp, ep, dp, pp: the sizes of tensor, context, expert, data and pipeline parallelism.
    ///     traffic: what a rank sends in each dimension in one step: {"tp": "34.4GB", "pp": 10**9}. It counts before
    ///         what follows from the model.
    ///     model: the transformer from which the traffic follows, such as
    ///         "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"; micro-batch, expert-parameters
    ///         and top-k may be added.
    ///     order: how ranks run through the dimensions, in Megatron's words ("tp-cp-ep-dp-pp") or DeepSpeed's
    ///         ("pipe,data,model").
    ///     gpus: the GPUs to map to in the order in which the ranks see them, as many as there are ranks. None: all
    ///         that can be used.
    ///
    /// Raises InvalidRequestError for contradictions and for unknown traffic, UnsatisfiableError where the
    /// number of GPUs is another.
    ///
    /// >>> import nvtopo
    /// >>> model = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"
    /// >>> nvtopo.preset("dgx-1-v100").rank_map(tp=2, dp=4, model=model).gpu_of_rank
    /// [0, 3, 1, 2, 4, 7, 5, 6]
    #[pyo3(
        signature = (
            *, tp=Count(1), cp=Count(1), ep=Count(1), dp=Count(1), pp=Count(1),
            traffic=TrafficArgument::default(), model=None, order=None, gpus=None
        ),
        text_signature = "($self, *, tp=1, cp=1, ep=1, dp=1, pp=1, traffic={}, model=None, order=None, gpus=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords to Python.
    fn rank_map(
        &self,
        py: Python<'_>,
        tp: Count,
        cp: Count,
        ep: Count,
        dp: Count,
        pp: Count,
        traffic: TrafficArgument,
        model: Option<&str>,
        order: Option<&str>,
        gpus: Option<GpuArguments>,
    ) -> PyResult<RankMap> {
        let (model, order) = (model.map(str::to_owned), order.map(str::to_owned));
        let job = ParallelTerms { tp, cp, ep, dp, pp, traffic, model, order, gpus };
        RankMap::find(py, &self.0, job)
    }

    fn __repr__(&self) -> String {
        let (gpus, nics) = (self.0.gpus().len(), self.0.nics().len());
        format!("<Topology of {gpus} GPUs and {nics} NICs, origin {}>", self.origin())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0.node_count(), self.0.links().len(), self.devices()).hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((py.import("nvtopo")?.getattr("loads")?, (call(py, || Ok(self.0.to_json()))?,)))
    }
}
