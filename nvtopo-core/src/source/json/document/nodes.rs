//! The nodes of the document: what a machine is made of.

use super::super::values::{List, MbPerS, OsNumber, StatedIndex, StatedList, StatedText, Text};
use super::facts::{Fabric, HugePages, Learned, MigMode, MigPlacement, NvLinkPort, PciFacts};
use super::words::{CacheKind, CoreClass, GroupKind, LinkLayer, PortState, Source};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// One thing that a machine is made of: an object with one key, its kind.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "a NUMA node is called so")]
pub(in super::super) enum Node {
    Machine(Box<Machine>),
    Package(Box<Package>),
    NumaNode(Box<NumaNode>),
    Cache(Box<Cache>),
    Group(Box<Group>),
    Core(Core),
    Pu(Pu),
    HostBridge(Located),
    PcieSwitch(Located),
    Gpu(Box<Gpu>),
    GpuInstance(Box<GpuInstance>),
    #[serde(rename = "nvswitch")]
    NvSwitch(Box<NvSwitch>),
    Nic(Box<Nic>),
    Nvme(Box<Nvme>),
}

/// The machine as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Machine {
    /// The product's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) product: Option<String>,
    /// The hypervisor that runs the machine, `n/a` where it is real, or `unreadable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) hypervisor: Option<StatedText>,
    /// The CPUs that the reader of the machine may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) allowed_cpus: Option<List>,
    /// The NUMA nodes whose memory the reader may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) allowed_nodes: Option<List>,
    /// CPUs that are switched off.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(in super::super) offline_cpus: List,
    /// CPUs that the kernel keeps out of scheduling.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(in super::super) isolated_cpus: List,
    /// CPUs whose timer the kernel stops while they run a single thread.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(in super::super) nohz_full_cpus: List,
    /// The version of NVIDIA's driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) driver: Option<String>,
    /// The latest CUDA version that the driver serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) cuda: Option<String>,
    /// Facts that another source told, each with that source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) learned: Vec<Learned>,
}

/// A kind of node: its own fields, and those that all but the machine have.
macro_rules! node {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(in super::super) struct $name {
            /// The position in `nodes` of what contains it.
            pub(in super::super) parent: u32,
            $($(#[$meta])* pub(in super::super) $field: $type,)*
            /// Where it was learned, if elsewhere than the topology as a whole.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(in super::super) source: Option<Source>,
            /// Facts that another source told, each with that source.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub(in super::super) learned: Vec<Learned>,
        }
    };
}

node! {
    /// A processor package.
    Package {
        /// The kernel's number.
        os_index: u32,
        /// The CPU's model name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    }
}

node! {
    /// A NUMA node.
    NumaNode {
        /// The kernel's number.
        os_index: OsNumber,
        /// Its CPUs that are online.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// Pairs of another NUMA node's number and the kernel's distance to it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        distances: Vec<(u32, u32)>,
        /// Pages that were set aside on it; a size of which there are none has a count of 0. Empty: nobody says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        huge_pages: Vec<HugePages>,
        /// The GPU whose memory this node is.
        #[serde(skip_serializing_if = "Option::is_none")]
        gpu: Option<Text<PciAddress>>,
    }
}

node! {
    /// A CPU cache.
    Cache {
        /// The level, 1 being the nearest to the core.
        level: u8,
        /// What it holds.
        holds: CacheKind,
        /// Its size.
        #[serde(skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
        /// The CPUs that share it.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
    }
}

node! {
    /// CPUs that belong together in another way than by a cache.
    Group {
        /// The kind of group.
        kind: GroupKind,
        /// Its CPUs.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
    }
}

node! {
    /// A core.
    Core {
        /// The kernel's number.
        os_index: u32,
        /// What it is among cores that are not alike.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<CoreClass>,
    }
}

node! {
    /// A processing unit.
    Pu {
        /// The kernel's number.
        os_index: OsNumber,
    }
}

node! {
    /// A host bridge or PCIe switch.
    Located {
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
    }
}

node! {
    /// An NVSwitch.
    NvSwitch {
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// What the bus tells of it.
        #[serde(default, skip_serializing_if = "is_default")]
        pci: PciFacts,
    }
}

node! {
    /// A GPU.
    Gpu {
        /// The number by which tools name it.
        index: u32,
        /// The number of its device file.
        #[serde(skip_serializing_if = "Option::is_none")]
        minor: Option<u32>,
        /// The product's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The CUDA compute capability, such as `9.0`.
        #[serde(skip_serializing_if = "Option::is_none")]
        compute_capability: Option<Text<ComputeCapability>>,
        /// The driver's UUID.
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<Text<GpuUuid>>,
        /// The serial number of the board.
        #[serde(skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// What the bus tells of it.
        #[serde(default, skip_serializing_if = "is_default")]
        pci: PciFacts,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpus: Option<StatedList>,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<StatedList>,
        /// The NUMA node that its memory is: a number, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_node: Option<StatedIndex>,
        /// Whether it is divided into instances.
        #[serde(skip_serializing_if = "Option::is_none")]
        mig: Option<MigMode>,
        /// Its place in an NVLink fabric.
        #[serde(skip_serializing_if = "Option::is_none")]
        fabric: Option<Fabric>,
        /// Its NVLinks one by one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nvlinks: Vec<NvLinkPort>,
        /// Why no job can use it.
        #[serde(skip_serializing_if = "Option::is_none")]
        unusable: Option<String>,
        /// The number of processes that used it when it was looked at.
        #[serde(skip_serializing_if = "Option::is_none")]
        processes: Option<u32>,
        /// Its memory that was in use then.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_used_bytes: Option<u64>,
        /// Its memory that a new process could have had then.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_free_bytes: Option<u64>,
    }
}

node! {
    /// A part of a GPU that programs use as a GPU (MIG).
    #[expect(clippy::struct_field_names, reason = "a compute instance is in a GPU instance")]
    GpuInstance {
        /// The name for `CUDA_VISIBLE_DEVICES`.
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<String>,
        /// The number of the GPU instance.
        #[serde(skip_serializing_if = "Option::is_none")]
        gpu_instance: Option<u32>,
        /// The number of the compute instance.
        #[serde(skip_serializing_if = "Option::is_none")]
        compute_instance: Option<u32>,
        /// Its profile, such as `1g.10gb`.
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// How many compute slices it has.
        #[serde(skip_serializing_if = "Option::is_none")]
        slices: Option<u32>,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// Where it lies among the memory slices.
        #[serde(skip_serializing_if = "Option::is_none")]
        placement: Option<MigPlacement>,
    }
}

node! {
    /// A network adapter.
    Nic {
        /// The name that the source uses.
        name: String,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// What the bus tells of it.
        #[serde(default, skip_serializing_if = "is_default")]
        pci: PciFacts,
        /// The RDMA device.
        #[serde(skip_serializing_if = "Option::is_none")]
        rdma_device: Option<String>,
        /// The number of the RDMA device's port, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<NonZeroU32>,
        /// The network interfaces.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        net_devices: Vec<String>,
        /// What its maker calls it.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The version of its firmware.
        #[serde(skip_serializing_if = "Option::is_none")]
        firmware: Option<String>,
        /// Whether its port can carry data.
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<PortState>,
        /// What its port speaks.
        #[serde(skip_serializing_if = "Option::is_none")]
        link_layer: Option<LinkLayer>,
        /// The rate of its port, one direction, in MB/s (1e6 bytes per second).
        #[serde(skip_serializing_if = "Option::is_none")]
        mb_per_s: Option<MbPerS>,
        /// What its port was measured to carry, one direction, in MB/s (1e6 bytes per second).
        #[serde(skip_serializing_if = "Option::is_none")]
        measured_mb_per_s: Option<MbPerS>,
        /// The largest packet of its interface in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<u32>,
        /// The bond that its interface belongs to.
        #[serde(skip_serializing_if = "Option::is_none")]
        bond: Option<String>,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpus: Option<StatedList>,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<StatedList>,
    }
}

node! {
    /// A solid state disk.
    Nvme {
        /// The kernel's name for its controller.
        name: String,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// What the bus tells of it.
        #[serde(default, skip_serializing_if = "is_default")]
        pci: PciFacts,
        /// The product's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The size of all its name spaces.
        #[serde(skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
