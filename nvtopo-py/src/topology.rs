//! `Topology` and what it consists of.

use crate::call;
use crate::cpuset::{CpuArgument, CpuSet, NodeSet};
use crate::devices::{Gpu, Nic, NumaNode, P2p};
use crate::error::raise;
use crate::placement::{Constraints, Count, GpuArgument, GpuArguments, Mix, Names, Placement};
use nvtopo::model::{Origin, Stated};
use nvtopo::render::{Style, by_name};
use nvtopo::{Bandwidth, CpuLimits, Request};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::hash::{DefaultHasher, Hash, Hasher};

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

#[pymethods]
impl Pair {
    #[getter]
    /// What the path carries in one direction, in GB/s (1e9 bytes per second). None: unknown.
    fn gb_per_s(&self) -> Option<f64> {
        self.rate.map(Bandwidth::as_gb_per_s)
    }

    fn __repr__(&self) -> String {
        let rate = self.rate.map_or_else(|| "unknown bandwidth".to_owned(), |rate| rate.to_string());
        format!("<Pair {}, {} NVLinks, {rate}>", self.path.unwrap_or("unknown path"), self.nvlinks)
    }
}

/// The share of one GPU in the CPUs.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    /// The GPU's index.
    index: u32,
    /// Its CPUs.
    cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    mems: NodeSet,
}

#[pymethods]
impl Share {
    fn __repr__(&self) -> String {
        format!("<Share of GPU{}: CPUs {}, nodes {}>", self.index, self.cpus.0, self.mems.0)
    }
}

/// The shares of all GPUs in the CPUs.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Shares {
    /// One share for each GPU, in the order of `Topology.gpus`.
    per_gpu: Vec<Share>,
    /// What a person should know: shared or remote CPUs, unknown locality.
    remarks: Vec<String>,
}

#[pymethods]
impl Shares {
    fn __repr__(&self) -> String {
        format!("<Shares of {} GPUs>", self.per_gpu.len())
    }
}

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
#[derive(PartialEq)]
pub(crate) struct Topology(pub(crate) nvtopo::Topology);

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
    /// The paths between all devices in nvidia-smi's words, such as "X", "NV12", "PIX": a row for each of `devices`,
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
        call(py, || {
            let groups = self.0.nvlink_groups().iter();
            let names = groups.map(|group| group.gpus.iter().map(|gpu| self.0.device_name(*gpu)).collect());
            Ok(names.collect())
        })
    }

    #[getter]
    /// What a person should know about this topology, one sentence each.
    fn notes(&self) -> Vec<String> {
        self.0.notes().iter().map(ToString::to_string).collect()
    }

    #[getter]
    /// Which machine it describes: "machine" for a certain one, "preset:NAME" for a product, or "unknown".
    fn origin(&self) -> String {
        match self.0.origin() {
            Origin::Unknown => "unknown".to_owned(),
            Origin::Preset(name) => format!("preset:{name}"),
            Origin::Machine(_) => "machine".to_owned(),
        }
    }

    /// What lies between two devices.
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
        let pair = call(py, || Ok(self.0.pairs().pair(a, b)))?;
        Ok(Pair {
            path: pair.path.map(nvtopo::PathType::word),
            nvlinks: pair.nvlinks,
            rate: pair.rate.map(|rate| rate.bandwidth),
            basis: pair.rate.map(|rate| rate.basis.name()),
        })
    }

    /// What the driver allows two GPUs to do with each other's memory, or None where nobody says.
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
        call(py, || Ok(self.0.with_reported_rates())).map(Self)
    }

    /// Chooses the best GPUs, and the CPUs, memory and NICs beside each.
    ///
    /// A GPU is named by its index (3), its name ("GPU3"), its UUID or the start of one, or its PCI address. CPUs are
    /// a CpuSet, an iterable of integers, or a list like "0-1,16".
    ///
    /// Args:
    ///     gpus: how many.
    ///     only: choose among these, the free ones. None: among all.
    ///     exclude: do not take these.
    ///     include: take these in any case.
    ///     objectives: what counts, most important first: "ring", "tree", "all-to-all", "min-pair", "pair-sum",
    ///         "numa-span", "nic", "remainder", "mapa". What they leave open the defaults decide.
    ///     require: what must hold between all of them: "nvlink-group", "numa-node", "pcie-switch", "at-least:50"
    ///         (GB/s between each two).
    ///     prefer: the first of these that can be met must be met as well; the placement says why not a better one.
    ///     mix: how often jobs of each size come, such as {1: 0.5, 4: 0.5}: what is left over is judged by it. None:
    ///         all sizes alike.
    ///     reserve_cpus: CPUs that are kept for others.
    ///     allowed_cpus: only these CPUs may be given to the job. None: on a topology of this machine those of
    ///         the calling thread, on any other all.
    ///
    /// Raises InvalidRequestError for unknown names and contradictions, and UnsatisfiableError where there are not
    /// enough GPUs.
    ///
    /// >>> import nvtopo
    /// >>> place = nvtopo.preset("dgx-a100").place(gpus=2, exclude=["GPU0"], reserve_cpus="0-1")
    /// >>> len(place.gpus), place.optimal
    /// (2, True)
    #[pyo3(
        signature = (
            gpus, *, only=None, exclude=GpuArguments::default(), include=GpuArguments::default(),
            objectives=None, require=Constraints::default(), prefer=Constraints::default(), mix=None,
            reserve_cpus=None, allowed_cpus=None
        ),
        text_signature = "($self, gpus, *, only=None, exclude=(), include=(), objectives=None, require=(), prefer=(), \
                          mix=None, reserve_cpus=None, allowed_cpus=None)"
    )]
    #[allow(clippy::too_many_arguments)] // They are keywords to Python.
    fn place(
        &self,
        py: Python<'_>,
        gpus: Count,
        only: Option<GpuArguments>,
        exclude: GpuArguments,
        include: GpuArguments,
        objectives: Option<Names>,
        require: Constraints,
        prefer: Constraints,
        mix: Option<Mix>,
        reserve_cpus: Option<CpuArgument>,
        allowed_cpus: Option<CpuArgument>,
    ) -> PyResult<Placement> {
        let mut request = Request::gpus(gpus.0).exclude(exclude.0).include(include.0);
        request = request.require(require.0).prefer(prefer.0);
        if let Some(mix) = mix {
            request = request.mix(mix.0);
        }
        if let Some(only) = only {
            request = request.only(only.0);
        }
        if let Some(objectives) = objectives {
            request = request.objectives(objectives.0);
        }
        if let Some(cpus) = reserve_cpus {
            request = request.reserved_cpus(cpus.0);
        }
        if let Some(cpus) = self.allowed(py, allowed_cpus)? {
            request = request.allowed_cpus(cpus);
        }
        call(py, || request.solve(&self.0)).map(Placement)
    }

    /// Deals the CPUs out to all GPUs: each gets its share of those nearest to it.
    ///
    /// Args:
    ///     reserve: CPUs that are kept for others.
    ///     allowed: only these CPUs are dealt out. None: on a topology of this machine those of the calling
    ///         thread, on any other all.
    ///
    /// >>> import nvtopo
    /// >>> share = nvtopo.preset("dgx-h100").cpus(reserve="0-1").per_gpu[7]
    /// >>> share.index, str(share.cpus), str(share.mems)
    /// (7, '98-111,210-223', '1')
    #[pyo3(signature = (*, reserve=None, allowed=None))]
    fn cpus(
        &self,
        py: Python<'_>,
        reserve: Option<CpuArgument>,
        allowed: Option<CpuArgument>,
    ) -> PyResult<Shares> {
        let limits =
            CpuLimits { allowed: self.allowed(py, allowed)?, reserved: reserve.unwrap_or_default().0 };
        let shares = call(py, || Ok(nvtopo::share_cpus(&self.0, &limits)))?;
        let gpus = self.0.gpus().zip(shares.gpus);
        let share = |(gpu, share): (&nvtopo::model::Gpu, nvtopo::Share)| Share {
            index: gpu.index,
            cpus: CpuSet(share.cpus),
            mems: NodeSet(share.mems),
        };
        Ok(Shares { per_gpu: gpus.map(share).collect(), remarks: shares.remarks })
    }

    /// The topology as JSON that load and loads read back, equal in everything.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(self.0.to_json()))
    }

    /// The topology as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.topology(&self.0, Style::default())))
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
        Ok((py.import("nvtopo")?.getattr("loads")?, (self.to_json(py)?,)))
    }
}

impl Topology {
    /// The CPUs to which an answer is limited: those given, else on this machine those of the calling thread.
    fn allowed(&self, py: Python<'_>, given: Option<CpuArgument>) -> PyResult<Option<nvtopo::CpuSet>> {
        match given {
            Some(cpus) => Ok(Some(cpus.0)),
            None => call(py, || nvtopo::apply::cpus_here(&self.0)),
        }
    }

    /// The position of a device by a name of the matrix, or else by any name of a GPU.
    fn device(&self, name: &Bound<'_, PyAny>) -> PyResult<usize> {
        let found = match name.cast::<PyString>() {
            Ok(name) => self.0.device(&name.to_string_lossy()),
            Err(_) => name.extract::<GpuArgument>()?.0.resolve(&self.0),
        };
        found.map_err(|error| raise(name.py(), &error))
    }
}
