//! GPUs, and what belongs to one: its NVLinks, its instances, and its place in an NVLink fabric.

use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::model::{PciFacts, Stated};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Gpu {
    /// The number by which tools name it, in PCI bus order (NVML, `nvidia-smi`, `CUDA_DEVICE_ORDER=PCI_BUS_ID`).
    pub index: u32,
    /// The number of its device file: 3 for `/dev/nvidia3`. It need not be the index.
    pub minor: Option<u32>,
    /// The product's name, such as `NVIDIA H100 80GB HBM3`.
    pub model: Option<String>,
    /// The architecture, as CUDA numbers it.
    pub compute_capability: Option<ComputeCapability>,
    /// The driver's UUID.
    pub uuid: Option<GpuUuid>,
    /// The serial number of the board.
    pub serial: Option<String>,
    /// The version of its firmware (VBIOS), such as `96.00.74.00.0D`.
    pub firmware: Option<String>,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// Its facts of the PCI bus.
    pub pci: PciFacts,
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
    /// Its MIG mode.
    pub mig: Option<MigMode>,
    /// Its place in an NVLink fabric.
    pub fabric: Option<Fabric>,
    /// Its NVLinks one by one, by increasing number. [`Link`](crate::model::Link)s sum those with the same ends.
    pub nvlinks: Vec<NvLinkPort>,
    /// The reason why no job can use it, such as `has fallen off the bus`. `None`: nothing is known against it.
    pub unusable: Option<String>,
    /// Its use when it was looked at.
    pub usage: GpuUsage,
    /// The attributes of its element in NCCL's topology file that no other field holds, such as `rank`. `None`: no such
    /// file has the element.
    pub nccl: Option<BTreeMap<String, String>>,
}

/// The use of a GPU when it was looked at. It changes all the time, and is no part of what a machine is: machines are equal
/// whatever it is.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GpuUsage {
    /// The number of processes that use it, for computation or graphics.
    pub processes: Option<u32>,
    /// The memory in use, in bytes, as the driver tells it.
    pub memory_used: Option<u64>,
    /// The memory in bytes that a new process could have.
    pub memory_free: Option<u64>,
}

impl PartialEq for GpuUsage {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for GpuUsage {}

impl GpuUsage {
    /// Returns true where nothing is known of it.
    pub fn is_unknown(self) -> bool {
        self.processes.is_none() && self.memory_used.is_none() && self.memory_free.is_none()
    }
}

impl Gpu {
    /// Creates a GPU of which only the index is known. Other facts are set as fields.
    ///
    /// ```
    /// let mut gpu = nvtopo::model::Gpu::new(3);
    /// gpu.model = Some("NVIDIA H100 80GB HBM3".to_owned());
    /// assert_eq!(gpu.name(), "GPU3");
    /// ```
    pub fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    /// Returns the name that people and `nvidia-smi` use: `GPU` and the index.
    pub fn name(&self) -> String {
        format!("GPU{}", self.index)
    }

    /// Returns true for a GPU that is there for screens and not for jobs: the `NVIDIA DGX Display` of a DGX Station.
    pub fn is_display(&self) -> bool {
        let model = self.model.as_deref().unwrap_or_default();
        let word = |wanted: &str| model.split([' ', '-']).any(|word| word.eq_ignore_ascii_case(wanted));
        word("DGX") && word("Display")
    }
}

/// The MIG mode of a GPU: on where it is divided into instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigMode {
    /// Now.
    pub current: bool,
    /// After the next reset of the GPU.
    pub pending: bool,
}

impl MigMode {
    /// Creates a mode: now, and after the next reset.
    pub const fn new(current: bool, pending: bool) -> Self {
        Self { current, pending }
    }
}

/// A part of a GPU that looks like a GPU of its own to programs (MIG): a compute instance within a GPU instance. Its
/// parent is the GPU. It has no NVLink, whatever its GPU has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuInstance {
    /// The name for `CUDA_VISIBLE_DEVICES`: `MIG-` and a UUID, or `MIG-GPU-…/1/0` of drivers before R470.
    pub uuid: Option<String>,
    /// The number of the GPU instance in its GPU.
    pub gpu_instance: Option<u32>,
    /// The number of the compute instance in its GPU instance.
    pub compute_instance: Option<u32>,
    /// Its profile, such as `1g.10gb`.
    pub profile: Option<String>,
    /// The number of its compute slices.
    pub slices: Option<u32>,
    /// The memory in bytes.
    pub memory: Option<u64>,
    /// The memory slices of its GPU instance. Drivers tell them to administrators only.
    pub placement: Option<MigPlacement>,
}

/// The memory slices of a GPU instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigPlacement {
    /// The first memory slice.
    pub start: u32,
    /// The number of memory slices.
    pub size: u32,
}

impl MigPlacement {
    /// Creates a placement: a number of memory slices from the first one on.
    pub const fn new(start: u32, size: u32) -> Self {
        Self { start, size }
    }
}

/// A GPU's place in an NVLink fabric that a fabric manager runs (Hopper and later).
///
/// Source: `nvmlGpuFabricInfoV_t` of NVML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fabric {
    /// The progress of its registration.
    pub state: FabricState,
    /// The outcome of the registration as NVML numbers errors; 0 is success. Holds once the state is completed.
    pub status: Option<u32>,
    /// The UUID of the NVLink domain; `None` within one server.
    pub cluster: Option<String>,
    /// The number of the group in the domain whose GPUs reach each other.
    pub clique: Option<u32>,
    /// NVML's bits of what is wrong (`NVML_GPU_FABRIC_HEALTH_MASK_…`); [`faults`](Self::faults) names them.
    pub health: Option<u32>,
    /// NVML's number for the health as a whole (`NVML_GPU_FABRIC_HEALTH_SUMMARY_…`): 1 healthy, 2 unhealthy, 3 of limited
    /// capacity.
    pub health_summary: Option<u32>,
}

impl Fabric {
    /// Returns true where the GPU is part of the fabric, so that its NVLinks can be used. `None`: unknown.
    pub fn is_up(&self) -> Option<bool> {
        match self.state {
            FabricState::Unknown => None,
            FabricState::NotStarted | FabricState::InProgress => Some(false),
            FabricState::Completed => Some(self.status.is_none_or(|status| status == 0)),
        }
    }
}

words! {
    /// The progress of a GPU's registration with its NVLink fabric.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum FabricState {
        /// Nobody could tell.
        #[default]
        Unknown = "unknown",
        /// The fabric manager has not begun.
        NotStarted = "not-started",
        /// It is at work.
        InProgress = "in-progress",
        /// It is done; [`Fabric::status`] tells how it went.
        Completed = "completed",
    }
    /// The name used in documents.
    word
}

/// One NVLink of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NvLinkPort {
    /// Its number on this GPU.
    pub number: u32,
    /// True where it is up. `None`: the driver did not tell.
    pub up: Option<bool>,
    /// The generation of NVLink, from 1: that of the GPU's architecture, which drivers of H100 contradict, else the driver's.
    pub generation: Option<u8>,
    /// The bandwidth that the driver reports, one direction.
    pub reported: Option<Bandwidth>,
    /// The device at its other end.
    pub far: NvLinkFar,
}

impl NvLinkPort {
    /// Creates a port of which only the number is known.
    pub const fn new(number: u32) -> Self {
        Self { number, up: None, generation: None, reported: None, far: NvLinkFar::Unknown }
    }
}

/// The device at the other end of an NVLink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NvLinkFar {
    /// Unknown, as of a link that is down.
    #[default]
    Unknown,
    /// The GPU at this address.
    Gpu(PciAddress),
    /// An NVSwitch, with its address unless the driver hides it.
    Switch(Option<PciAddress>),
    /// A CPU (POWER).
    Cpu,
    /// The device at this address, of unknown kind.
    Device(PciAddress),
}
