//! What a machine is made of: the nodes of the graph.
//!
//! A field that nobody stated is `None` (or [`Stated`] where the reason matters), never zero and never a guess.

use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::model::note::Provenance;
use crate::units::Bandwidth;

/// The number of a node within one topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The machine itself, the root of every topology.
    pub const MACHINE: Self = Self(0);

    /// The number, below the count of nodes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thing that a machine is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// What contains it: a PU its core, a GPU its PCIe switch or host bridge. `None` for the machine only.
    pub parent: Option<NodeId>,
    /// Where it was learned.
    pub provenance: Provenance,
}

/// The kinds of nodes, in the words of hwloc and NCCL.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeKind {
    /// The root.
    Machine(Machine),
    /// A processor package (socket).
    Package(Package),
    /// A NUMA node: memory, and the CPUs nearest to it.
    NumaNode(NumaNode),
    /// A CPU cache.
    Cache(Cache),
    /// A physical core.
    Core(Core),
    /// A processing unit: one hardware thread, what the kernel calls a CPU.
    Pu(Pu),
    /// A PCIe host bridge (root complex).
    HostBridge(HostBridge),
    /// A PCIe switch, or a bridge with several devices below it.
    PcieSwitch(PcieSwitch),
    /// A GPU.
    Gpu(Box<Gpu>),
    /// An NVSwitch, or one that stands for a whole NVSwitch fabric.
    NvSwitch(NvSwitch),
    /// A network interface or InfiniBand adapter, one for each PCI function or port that has a name.
    Nic(Box<Nic>),
}

impl NodeKind {
    /// The GPU, if it is one.
    pub fn as_gpu(&self) -> Option<&Gpu> {
        if let Self::Gpu(gpu) = self { Some(gpu) } else { None }
    }

    /// The NIC, if it is one.
    pub fn as_nic(&self) -> Option<&Nic> {
        if let Self::Nic(nic) = self { Some(nic) } else { None }
    }

    /// The NUMA node, if it is one.
    pub fn as_numa_node(&self) -> Option<&NumaNode> {
        if let Self::NumaNode(node) = self { Some(node) } else { None }
    }
}

/// What a source said of a fact, with the reason where it said nothing useful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stated<T> {
    /// No source spoke of it.
    #[default]
    Unstated,
    /// A source says that there is none (`N/A`).
    NotAvailable,
    /// A source speaks of it, but the text is empty or damaged there.
    Unreadable,
    /// The fact.
    Known(T),
}

impl<T> Stated<T> {
    /// The fact, if it is known.
    pub fn known(&self) -> Option<&T> {
        if let Self::Known(fact) = self { Some(fact) } else { None }
    }
}

/// The machine as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The product's name, such as `NVIDIA_DGX_Spark`.
    pub product: Option<String>,
    /// The CPUs that the reader of the machine may use (cgroup, affinity). `None`: all, or not stated.
    pub allowed_cpus: Option<CpuSet>,
    /// The NUMA nodes whose memory the reader may use.
    pub allowed_nodes: Option<NodeSet>,
    /// CPUs that exist and are switched off.
    pub offline_cpus: CpuSet,
    /// CPUs that the kernel keeps out of scheduling (`isolcpus`).
    pub isolated_cpus: CpuSet,
    /// The version of NVIDIA's driver, such as `570.124.06`.
    pub driver: Option<String>,
    /// The latest CUDA version that the driver serves, such as `12.8`.
    pub cuda: Option<String>,
}

/// A processor package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The kernel's number (`physical_package_id`), which need not be contiguous.
    pub os_index: u32,
    /// The CPU's model name.
    pub model: Option<String>,
}

/// A NUMA node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumaNode {
    /// The kernel's number, which need not be contiguous.
    pub os_index: u32,
    /// Its CPUs that are online; empty for memory-only nodes.
    pub cpus: CpuSet,
    /// Its memory in bytes; `Some(0)` for a node without memory.
    pub memory: Option<u64>,
    /// The kernel's distances (10 is local) to other nodes: pairs of node number and distance.
    pub distances: Vec<(u32, u32)>,
    /// The GPU whose memory this node is (POWER9, GH200, GB200).
    pub gpu: Option<PciAddress>,
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// Instructions and data.
    Unified,
    /// Data.
    Data,
    /// Instructions.
    Instruction,
}

/// A CPU cache. Cores that share a level 3 cache are a core complex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The level, 1 being the nearest to the core.
    pub level: u8,
    /// What it holds.
    pub kind: CacheKind,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The CPUs that share it.
    pub cpus: CpuSet,
}

/// A physical core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Core {
    /// The kernel's number (`core_id`), unique within its package at best.
    pub os_index: u32,
}

/// A processing unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pu {
    /// The kernel's CPU number.
    pub os_index: u32,
}

/// A PCIe host bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostBridge {
    /// Its root bus, as the address of device 0 on it. `None` when the bridge was inferred.
    pub address: Option<PciAddress>,
}

/// A PCIe switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcieSwitch {
    /// Its upstream port. `None` when the switch was inferred.
    pub address: Option<PciAddress>,
}

/// An NVSwitch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NvSwitch {
    /// Its PCI address. `None` when it was inferred; one such node then stands for the whole fabric.
    pub address: Option<PciAddress>,
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    /// The number by which tools name it, in PCI bus order (NVML, `CUDA_DEVICE_ORDER=PCI_BUS_ID`).
    pub index: u32,
    /// The product's name, such as `NVIDIA H100 80GB HBM3`.
    pub model: Option<String>,
    /// The architecture, as CUDA numbers it.
    pub compute_capability: Option<ComputeCapability>,
    /// The driver's UUID.
    pub uuid: Option<GpuUuid>,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// The memory in bytes.
    pub memory: Option<u64>,
    /// The CPUs that a source names as nearest, where one does; see [`Topology::local_cpus`].
    ///
    /// [`Topology::local_cpus`]: crate::Topology::local_cpus
    pub cpus: Stated<CpuSet>,
    /// The NUMA nodes that a source names as nearest, where one does.
    pub nodes: Stated<NodeSet>,
    /// The NUMA node that the GPU's own memory is.
    pub memory_node: Stated<u32>,
}

impl Gpu {
    /// The name that people and `nvidia-smi` use: `GPU` and the index.
    pub fn name(&self) -> String {
        format!("GPU{}", self.index)
    }
}

/// A network adapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nic {
    /// The name that the source uses: `NIC0`, `mlx5_0`, `eth0`.
    pub name: String,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// The RDMA device, such as `mlx5_0`.
    pub rdma_device: Option<String>,
    /// The network interfaces, such as `eth0`.
    pub net_devices: Vec<String>,
    /// The rate of its port, one direction.
    pub rate: Option<Bandwidth>,
    /// The CPUs that a source names as nearest, where one does.
    pub cpus: Stated<CpuSet>,
    /// The NUMA nodes that a source names as nearest, where one does.
    pub nodes: Stated<NodeSet>,
}
