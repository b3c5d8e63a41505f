//! The parts of a topology besides GPUs: NICs and NUMA nodes, and the PCIe link that a device has.

use crate::cpuset::{CpuSet, NodeSet};
use crate::pickle::{Reduced, reduce};
use nvtopo::model::{self, LinkLayer, PortState};
use nvtopo::{Bandwidth, Topology};
use pyo3::prelude::*;

/// The PCIe link of a device.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PcieLink {
    /// The generation that it runs at now, or None. A GPU that is idle slows its link down.
    generation: Option<u8>,
    /// The number of lanes that it runs with now, or None.
    width: Option<u16>,
    /// The highest generation that both ends can do, or None.
    max_generation: Option<u8>,
    /// The most lanes that both ends can do, or None.
    max_width: Option<u16>,
}

crate::pickle::plain!(PcieLink { generation, width, max_generation, max_width });

#[pymethods]
impl PcieLink {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "PcieLink", self)
    }

    fn __repr__(&self) -> String {
        let number = |number: Option<u16>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        format!(
            "<PcieLink of generation {}, x{}>",
            number(self.generation.map(u16::from)),
            number(self.width)
        )
    }
}

impl PcieLink {
    pub(crate) fn of(link: model::PcieTraining) -> Self {
        let most = link.most();
        Self {
            generation: link.now.generation,
            width: link.now.width,
            max_generation: most.generation,
            max_width: most.width,
        }
    }
}

/// One network interface or InfiniBand adapter.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Nic {
    #[pyo3(get)]
    /// The name that the source uses: "mlx5_0", "eth0", "NIC0".
    name: String,
    #[pyo3(get)]
    /// The PCI address, such as "0000:1b:00.0", or None.
    address: Option<String>,
    #[pyo3(get)]
    /// Its PCIe link, or None.
    pcie: Option<PcieLink>,
    #[pyo3(get)]
    /// The RDMA device, such as "mlx5_0", or None.
    rdma_device: Option<String>,
    #[pyo3(get)]
    /// The number of the RDMA device's port that the facts here are of, from 1. None: unknown.
    port: Option<u32>,
    #[pyo3(get)]
    /// The network interfaces, such as ["eth0"].
    net_devices: Vec<String>,
    #[pyo3(get)]
    /// The maker's name for it: the type of the RDMA device ("MT4129") or the driver of the interface. Or None.
    model: Option<String>,
    #[pyo3(get)]
    /// The version of its firmware, or None.
    firmware: Option<String>,
    #[pyo3(get)]
    /// The state of its port: "down", "initialize", "armed" or "active". Only an active one carries data. None: unknown.
    state: Option<&'static str>,
    #[pyo3(get)]
    /// The link layer of its port: "infiniband" or "ethernet". None: unknown.
    link_layer: Option<&'static str>,
    rate: Option<Bandwidth>,
    measured: Option<Bandwidth>,
    #[pyo3(get)]
    /// The largest packet of its interface in bytes, or None.
    mtu: Option<u32>,
    #[pyo3(get)]
    /// The bond that its interface belongs to, such as "bond0", or None.
    bond: Option<String>,
    #[pyo3(get)]
    /// The CPUs nearest to it. None: unknown.
    cpus: Option<CpuSet>,
    #[pyo3(get)]
    /// The NUMA nodes nearest to it. None: unknown.
    nodes: Option<NodeSet>,
}

crate::pickle::plain!(Nic {
    name,
    address,
    pcie,
    rdma_device,
    port,
    net_devices,
    model,
    firmware,
    state,
    link_layer,
    rate,
    measured,
    mtu,
    bond,
    cpus,
    nodes
});

#[pymethods]
impl Nic {
    #[getter]
    /// The rate of its port, one direction, in GB/s (1e9 bytes per second). None: unknown.
    fn gb_per_s(&self) -> Option<f64> {
        self.rate.map(Bandwidth::as_gb_per_s)
    }

    #[getter]
    /// The measured rate of its port, one direction, in GB/s (1e9 bytes per second). None: not measured.
    fn measured_gb_per_s(&self) -> Option<f64> {
        self.measured.map(Bandwidth::as_gb_per_s)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Nic", self)
    }

    fn __repr__(&self) -> String {
        format!("<Nic {}>", self.name)
    }
}

impl Nic {
    pub(crate) fn of(topology: &Topology, device: usize) -> Option<Self> {
        let id = *topology.devices().get(device)?;
        let nic = topology.node(id).kind.as_nic()?;
        Some(Self {
            name: nic.name.clone(),
            address: nic.address.map(|address| address.to_string()),
            pcie: nic.pci.link.map(PcieLink::of),
            rdma_device: nic.rdma_device.clone(),
            port: nic.port,
            net_devices: nic.net_devices.clone(),
            model: nic.model.clone(),
            firmware: nic.firmware.clone(),
            state: nic.state.map(PortState::word),
            link_layer: nic.link_layer.map(LinkLayer::word),
            rate: nic.rate,
            measured: nic.measured,
            mtu: nic.mtu,
            bond: nic.bond.clone(),
            cpus: topology.local_cpus(id).known().cloned().map(CpuSet),
            nodes: topology.local_nodes(id).known().cloned().map(NodeSet),
        })
    }
}

/// A NUMA node: memory, and the CPUs nearest to it.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct NumaNode {
    /// The kernel's number, which need not be contiguous.
    index: u32,
    /// Its CPUs that are online; empty for nodes of memory only.
    cpus: CpuSet,
    /// Its memory in bytes, or None.
    memory: Option<u64>,
    /// Huge pages on it, by increasing size; sizes without pages with a count of 0. Empty: unknown.
    huge_pages: Vec<HugePages>,
    /// The PCI address of the GPU whose memory it is, or None.
    gpu: Option<String>,
}

crate::pickle::plain!(NumaNode { index, cpus, memory, huge_pages, gpu });

#[pymethods]
impl NumaNode {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "NumaNode", self)
    }

    fn __repr__(&self) -> String {
        format!("<NumaNode {}: CPUs {}>", self.index, self.cpus.0)
    }
}

impl NumaNode {
    pub(crate) fn of(node: &model::NumaNode) -> Self {
        let pages =
            |pages: &model::HugePages| HugePages { size: pages.size, total: pages.total, free: pages.free };
        Self {
            index: node.os_index,
            cpus: CpuSet(node.cpus.clone()),
            memory: node.memory,
            huge_pages: node.huge_pages.iter().map(pages).collect(),
            gpu: node.gpu.map(|address| address.to_string()),
        }
    }
}

/// Pages of one size that were set aside on a NUMA node.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HugePages {
    /// The size of one in bytes.
    size: u64,
    /// The number of pages.
    total: u64,
    /// The number of free pages.
    free: u64,
}

crate::pickle::plain!(HugePages { size, total, free });

#[pymethods]
impl HugePages {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "HugePages", self)
    }

    fn __repr__(&self) -> String {
        format!("<HugePages {} of {} bytes, {} free>", self.total, self.size, self.free)
    }
}
