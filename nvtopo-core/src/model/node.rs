//! The nodes of the graph: machine, packages, NUMA nodes, caches, cores, bridges, devices.
//!
//! A fact that no source states is `None` (or [`Stated`] where the reason matters), never zero and never a guess.

use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::PciAddress;
use crate::model::{Gpu, GpuInstance, Nic, PciFacts, Provenance};
use std::borrow::Cow;

/// The number of a node within one topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The machine itself, the root of every topology.
    pub const MACHINE: Self = Self(0);

    /// Returns the number, below the count of nodes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// Its kind, with the facts of that kind.
    pub kind: NodeKind,
    /// The node that contains it: the core of a PU, the PCIe switch or host bridge of a GPU. `None` for the machine only.
    pub parent: Option<NodeId>,
    /// The source that it is known from: the best of several.
    pub provenance: Provenance,
    /// The facts from other sources, in the order in which they were filled in.
    pub learned: Vec<Learned>,
}

/// A fact from a source other than its node's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learned {
    /// The name of the fact in notes: `UUID`, `memory in bytes`.
    pub fact: Cow<'static, str>,
    /// The source that tells it.
    pub provenance: Provenance,
}

/// The name, in [`Learned`], of the CPUs of a NUMA node.
pub(crate) const NODE_CPUS: &str = "set of CPUs";

/// The name of its memory.
pub(crate) const NODE_MEMORY: &str = "memory in bytes";

/// The kinds of nodes, named as in hwloc and NCCL.
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
    /// CPUs that belong together in another way: a die, a cluster of cores, a book of packages.
    Group(Group),
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
    /// A MIG instance of a GPU.
    GpuInstance(Box<GpuInstance>),
    /// An NVSwitch, or one that stands for a whole NVSwitch fabric.
    NvSwitch(NvSwitch),
    /// A network interface or InfiniBand adapter, one for each PCI function or port that has a name.
    Nic(Box<Nic>),
    /// A solid state disk.
    Nvme(Box<Nvme>),
}

macro_rules! from_facts {
    ($($kind:ident),*; boxed $($boxed:ident),*) => {
        $(impl From<$kind> for NodeKind {
            fn from(facts: $kind) -> Self {
                Self::$kind(facts)
            }
        })*
        $(impl From<$boxed> for NodeKind {
            fn from(facts: $boxed) -> Self {
                Self::$boxed(Box::new(facts))
            }
        })*
    };
}

from_facts!(
    Machine, Package, NumaNode, Cache, Group, Core, Pu, HostBridge, PcieSwitch, NvSwitch;
    boxed Gpu, GpuInstance, Nic, Nvme
);

impl NodeKind {
    /// Returns the GPU, if it is one.
    pub fn as_gpu(&self) -> Option<&Gpu> {
        if let Self::Gpu(gpu) = self { Some(gpu) } else { None }
    }

    /// Returns the NIC, if it is one.
    pub fn as_nic(&self) -> Option<&Nic> {
        if let Self::Nic(nic) = self { Some(nic) } else { None }
    }

    /// Returns the NUMA node, if it is one.
    pub fn as_numa_node(&self) -> Option<&NumaNode> {
        if let Self::NumaNode(node) = self { Some(node) } else { None }
    }

    /// Returns the CPUs and NUMA nodes that a source names as nearest to a GPU or NIC.
    pub(crate) fn near(&self) -> Option<(&Stated<CpuSet>, &Stated<NodeSet>)> {
        match self {
            Self::Gpu(gpu) => Some((&gpu.cpus, &gpu.nodes)),
            Self::Nic(nic) => Some((&nic.cpus, &nic.nodes)),
            _ => None,
        }
    }

    /// Returns the same, to fill in.
    pub(crate) fn near_mut(&mut self) -> Option<(&mut Stated<CpuSet>, &mut Stated<NodeSet>)> {
        match self {
            Self::Gpu(gpu) => Some((&mut gpu.cpus, &mut gpu.nodes)),
            Self::Nic(nic) => Some((&mut nic.cpus, &mut nic.nodes)),
            _ => None,
        }
    }
}

/// A fact as a source states it, with the reason where it is unknown. These are all cases: programs may match them
/// without a wildcard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stated<T> {
    /// No source mentions it.
    #[default]
    Unstated,
    /// A source states that there is none (`N/A`).
    NotAvailable,
    /// A source mentions it, but the text is empty or damaged there.
    Unreadable,
    /// The fact.
    Known(T),
}

impl<T> Stated<T> {
    /// Returns the fact, if it is known.
    pub fn known(&self) -> Option<&T> {
        if let Self::Known(fact) = self { Some(fact) } else { None }
    }

    /// Borrows the fact.
    pub fn as_ref(&self) -> Stated<&T> {
        match self {
            Self::Unstated => Stated::Unstated,
            Self::NotAvailable => Stated::NotAvailable,
            Self::Unreadable => Stated::Unreadable,
            Self::Known(fact) => Stated::Known(fact),
        }
    }

    /// Applies a function to a known fact.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Stated<U> {
        match self.try_map(|fact| Ok::<U, std::convert::Infallible>(make(fact))) {
            Ok(stated) => stated,
        }
    }

    /// Applies a function that may fail to a known fact.
    pub fn try_map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Stated<U>, E> {
        Ok(match self {
            Self::Unstated => Stated::Unstated,
            Self::NotAvailable => Stated::NotAvailable,
            Self::Unreadable => Stated::Unreadable,
            Self::Known(fact) => Stated::Known(make(fact)?),
        })
    }
}

/// The machine as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// The product's name, such as `NVIDIA_DGX_Spark`.
    pub product: Option<String>,
    /// The hypervisor that runs the machine, such as `KVM`, or `unnamed`. Not available: the machine is real.
    pub hypervisor: Stated<String>,
    /// The CPUs that the reader of the machine may use (cgroup, affinity). `None`: all, or not stated.
    pub allowed_cpus: Option<CpuSet>,
    /// The NUMA nodes whose memory the reader may use.
    pub allowed_nodes: Option<NodeSet>,
    /// CPUs that exist and are switched off.
    pub offline_cpus: CpuSet,
    /// CPUs that the kernel keeps out of scheduling (`isolcpus`).
    pub isolated_cpus: CpuSet,
    /// CPUs whose timer the kernel stops while they run a single thread (`nohz_full`).
    pub nohz_full_cpus: CpuSet,
    /// The version of NVIDIA's driver, such as `570.124.06`.
    pub driver: Option<String>,
    /// The latest CUDA version that the driver serves, such as `12.8`.
    pub cuda: Option<String>,
    /// The make of its CPUs.
    pub cpu: Box<CpuMake>,
}

/// The make of the CPUs of a machine, by the numbers that they give of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuMake {
    /// The instruction set: `x86_64`, `arm64`, `ppc64`.
    pub architecture: Option<String>,
    /// The maker, as CPUID spells it, such as `AuthenticAMD`.
    pub vendor: Option<String>,
    /// The family, as NCCL writes it: NCCL adds 16 times the extended family to 15, so that AMD's family 23 is 143 there.
    pub family: Option<u32>,
    /// The model within the family.
    pub model: Option<u32>,
}

impl CpuMake {
    /// Returns true where nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// A processor package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// The kernel's number (`physical_package_id`), which need not be contiguous.
    pub os_index: u32,
    /// The CPU's model name.
    pub model: Option<String>,
}

impl Package {
    /// Creates a package by the kernel's number.
    pub fn new(os_index: u32) -> Self {
        Self { os_index, ..Self::default() }
    }
}

/// A NUMA node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumaNode {
    /// The kernel's number, which need not be contiguous.
    pub os_index: u32,
    /// Its CPUs that are online; empty for memory-only nodes.
    pub cpus: CpuSet,
    /// Its memory in bytes; `Some(0)` for a node without memory.
    pub memory: Option<u64>,
    /// The kernel's distances (10 is local) to other nodes: pairs of node number and distance.
    pub distances: Vec<(u32, u32)>,
    /// Its pool of huge pages by increasing size, possible sizes with a count of 0. Empty: unknown.
    pub huge_pages: Vec<HugePages>,
    /// The GPU whose memory this node is (POWER9, GH200, GB200).
    pub gpu: Option<PciAddress>,
}

impl NumaNode {
    /// Creates a NUMA node by the kernel's number.
    pub fn new(os_index: u32) -> Self {
        Self { os_index, ..Self::default() }
    }
}

/// The pool of huge pages of one size on a NUMA node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePages {
    /// The size of one in bytes.
    pub size: u64,
    /// The number of pages in the pool.
    pub total: u64,
    /// The number of free pages.
    pub free: u64,
}

impl HugePages {
    /// Creates a pool of pages of one size in bytes, with the number of all pages and of free ones.
    pub const fn new(size: u64, total: u64, free: u64) -> Self {
        Self { size, total, free }
    }
}

words! {
    /// The contents of a cache.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum CacheKind {
        /// Instructions and data.
        Unified = "unified",
        /// Data.
        Data = "data",
        /// Instructions.
        Instruction = "instruction",
    }
    /// The name used in documents.
    name
}

/// A CPU cache. Cores that share a level 3 cache are a core complex.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cache {
    /// The level, 1 being the nearest to the core.
    pub level: u8,
    /// Its contents.
    pub kind: CacheKind,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The CPUs that share it.
    pub cpus: CpuSet,
}

impl Cache {
    /// Creates a cache of unknown size.
    pub const fn new(level: u8, kind: CacheKind, cpus: CpuSet) -> Self {
        Self { level, kind, size: None, cpus }
    }
}

/// A group of CPUs between a package and its cores, or of several packages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// The kind of group.
    pub kind: GroupKind,
    /// Its CPUs.
    pub cpus: CpuSet,
}

impl Group {
    /// Creates a group of CPUs.
    pub const fn new(kind: GroupKind, cpus: CpuSet) -> Self {
        Self { kind, cpus }
    }
}

words! {
    /// The kinds of groups of CPUs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum GroupKind {
        /// A die of a package.
        Die = "die",
        /// A cluster of cores within a die.
        Cluster = "cluster",
        /// A book of packages (IBM Z).
        Book = "book",
        /// A drawer of books (IBM Z).
        Drawer = "drawer",
        /// Another group, of an hwloc XML file.
        Other = "other",
    }
    /// The name used in documents.
    name
}

/// A physical core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Core {
    /// The kernel's number (`core_id`), unique within its package at best.
    pub os_index: u32,
    /// Its class on a machine whose cores are not alike.
    pub class: Option<CoreClass>,
}

impl Core {
    /// Creates a core by the kernel's number.
    pub fn new(os_index: u32) -> Self {
        Self { os_index, ..Self::default() }
    }
}

words! {
    /// The class of a core on a machine whose cores are not alike: by their make (hybrid CPUs), or by the clocks that cores of
    /// one make may run at (priority cores: Intel's SST-BF and PCT, preferred cores). The fastest class comes last.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum CoreClass {
        /// A hybrid CPU's core that was made for little power.
        Efficiency = "efficiency",
        /// A core beside priority cores of the same make.
        Standard = "standard",
        /// A hybrid CPU's core that was made for speed.
        Performance = "performance",
        /// A core that may run at higher clocks than others of the same make.
        Priority = "priority",
    }
    /// The name used in documents.
    name
}

/// A processing unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pu {
    /// The kernel's CPU number.
    pub os_index: u32,
}

impl Pu {
    /// Creates a processing unit by the kernel's CPU number.
    pub fn new(os_index: u32) -> Self {
        Self { os_index }
    }
}

/// A PCIe host bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostBridge {
    /// Its root bus, as the address of device 0 on it. `None` when the bridge was inferred.
    pub address: Option<PciAddress>,
}

/// A PCIe switch, or a device on the bus of which the source tells the place and not the kind: that has nothing below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PcieSwitch {
    /// Its upstream port. `None` when the switch was inferred.
    pub address: Option<PciAddress>,
    /// The facts of its upstream port.
    pub pci: PciFacts,
}

/// An NVSwitch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NvSwitch {
    /// Its PCI address. `None` when it was inferred; one such node then stands for the whole fabric.
    pub address: Option<PciAddress>,
    /// Its facts of the PCI bus.
    pub pci: PciFacts,
}

/// A solid state disk (NVMe).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nvme {
    /// The kernel's name for its controller, such as `nvme0`.
    pub name: String,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// Its facts of the PCI bus.
    pub pci: PciFacts,
    /// The product's name.
    pub model: Option<String>,
    /// The size in bytes of all its name spaces.
    pub size: Option<u64>,
}

impl Nvme {
    /// Creates a disk of which only the name is known. Other facts are set as fields.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}
