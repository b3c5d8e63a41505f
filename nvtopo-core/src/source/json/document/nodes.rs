//! The nodes of the document: the parts of a machine.

use super::super::values::{List, MbPerS, OsNumber, StatedIndex, StatedList, StatedText, Text};
use super::facts::{CpuMake, Fabric, HugePages, Learned, MigMode, MigPlacement, NvLinkPort, PciFacts};
use super::names::{CacheKind, CoreClass, GroupKind, LinkLayer, PortState, Source};
use super::record::{Read, Sets, Write};
use crate::error::Result;
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::model::{self, NodeKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The parts of a node besides its own facts: its container, its source if that differs from the topology's, and facts
/// that another source stated.
pub(in super::super) type Beside = (u32, Option<Source>, Vec<Learned>);

/// The kinds of nodes but the machine, each with its struct.
macro_rules! nodes {
    ($($(#[$meta:meta])* $kind:ident: $record:ident,)*) => {
        /// One thing that a machine is made of: an object with one key, its kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        #[expect(clippy::enum_variant_names, reason = "a NUMA node is called so")]
        pub(in super::super) enum Node {
            Machine(Box<Machine>),
            $($(#[$meta])* $kind(Box<$record>),)*
        }

        impl Node {
            pub(in super::super) fn of(kind: NodeKind, (parent, source, learned): Beside) -> Self {
                match kind {
                    NodeKind::Machine(own) => Self::Machine(Box::new(Machine { learned, ..own.write() })),
                    $(NodeKind::$kind(own) => {
                        let own: Box<model::$kind> = own.into();
                        Self::$kind(Box::new($record { parent, source, learned, ..(*own).write() }))
                    })*
                }
            }

            pub(in super::super) fn read(self, sets: &mut Sets) -> Result<(NodeKind, Beside)> {
                Ok(match self {
                    Self::Machine(mut own) => {
                        let learned = std::mem::take(&mut own.learned);
                        (NodeKind::Machine(own.read(sets)?), (0, None, learned))
                    }
                    $(Self::$kind(mut own) => {
                        let beside = (own.parent, own.source, std::mem::take(&mut own.learned));
                        let own: model::$kind = own.read(sets)?;
                        (NodeKind::$kind(own.into()), beside)
                    })*
                })
            }
        }
    };
}

nodes! {
    Package: Package,
    NumaNode: NumaNode,
    Cache: Cache,
    Group: Group,
    Core: Core,
    Pu: Pu,
    HostBridge: HostBridge,
    PcieSwitch: PcieSwitch,
    Gpu: Gpu,
    GpuInstance: GpuInstance,
    #[serde(rename = "nvswitch")]
    NvSwitch: NvSwitch,
    Nic: Nic,
    Nvme: Nvme,
}

record! {
    /// The machine as a whole.
    root Machine = Machine {
        /// The product's name.
        product?: String,
        /// The hypervisor that runs the machine, `n/a` where it is real, or `unreadable`.
        hypervisor?: StatedText,
        /// The CPUs that the reader of the machine may use, where that was stated.
        allowed_cpus?: List,
        /// The NUMA nodes whose memory the reader may use, where that was stated.
        allowed_nodes?: List,
        /// CPUs that are switched off.
        offline_cpus*: List,
        /// CPUs that the kernel keeps out of scheduling.
        isolated_cpus*: List,
        /// CPUs whose timer the kernel stops while they run a single thread.
        nohz_full_cpus*: List,
        /// The version of NVIDIA's driver.
        driver?: String,
        /// The latest CUDA version that the driver serves.
        cuda?: String,
        /// The make of its CPUs.
        cpu*: CpuMake,
    }
}

record! {
    /// A processor package.
    node Package = Package {
        /// The kernel's number.
        os_index: u32,
        /// The CPU's model name.
        model?: String,
    }
}

record! {
    /// A NUMA node.
    node NumaNode = NumaNode {
        /// The kernel's number.
        os_index: OsNumber,
        /// Its CPUs that are online.
        cpus*: List,
        /// Its memory.
        memory_bytes?: u64 = memory,
        /// Pairs of another NUMA node's number and the kernel's distance to it.
        distances*: Vec<(u32, u32)>,
        /// Huge pages reserved on it; a size without pages has a count of 0. Empty: unknown.
        huge_pages*: Vec<HugePages>,
        /// The GPU whose memory this node is.
        gpu?: Text<PciAddress>,
    }
}

record! {
    /// A CPU cache.
    node Cache = Cache {
        /// The level, 1 being the nearest to the core.
        level: u8,
        /// The kind of its content.
        holds: CacheKind = kind,
        /// Its size.
        size_bytes?: u64 = size,
        /// The CPUs that share it.
        cpus*: List,
    }
}

record! {
    /// CPUs that belong together in another way than by a cache.
    node Group = Group {
        /// The kind of group.
        kind: GroupKind,
        /// Its CPUs.
        cpus*: List,
    }
}

record! {
    /// A core.
    node Core = Core {
        /// The kernel's number.
        os_index: u32,
        /// Its class, on machines whose cores differ.
        class?: CoreClass,
    }
}

record! {
    /// A processing unit.
    node Pu = Pu {
        /// The kernel's number.
        os_index: OsNumber,
    }
}

record! {
    /// A host bridge.
    node HostBridge = HostBridge {
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
    }
}

record! {
    /// A PCIe switch.
    node PcieSwitch = PcieSwitch {
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
        /// The facts of the PCI device.
        pci*: PciFacts,
    }
}

record! {
    /// An NVSwitch.
    node NvSwitch = NvSwitch {
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
        /// The facts of the PCI device.
        pci*: PciFacts,
    }
}

record! {
    /// A GPU.
    node Gpu = Gpu {
        /// The number by which tools name it.
        index: u32,
        /// The number of its device file.
        minor?: u32,
        /// The product's name.
        model?: String,
        /// The CUDA compute capability, such as `9.0`.
        compute_capability?: Text<ComputeCapability>,
        /// The driver's UUID.
        uuid?: Text<GpuUuid>,
        /// The serial number of the board.
        serial?: String,
        /// The version of its firmware (VBIOS).
        firmware?: String,
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
        /// The facts of the PCI device.
        pci*: PciFacts,
        /// Its memory.
        memory_bytes?: u64 = memory,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        cpus?: StatedList,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        nodes?: StatedList,
        /// The NUMA node that its memory is: a number, `n/a` or `unreadable`.
        memory_node?: StatedIndex,
        /// The MIG mode.
        mig?: MigMode,
        /// Its place in an NVLink fabric.
        fabric?: Fabric,
        /// Its NVLinks one by one.
        nvlinks*: Vec<NvLinkPort>,
        /// Why no job can use it.
        unusable?: String,
        /// The attributes of its element in NCCL's topology file that no other field holds.
        nccl?: BTreeMap<String, String>,
        in usage: GpuUsage {
            /// The number of processes that used it when it was looked at.
            processes?: u32,
            /// Its memory that was in use then.
            memory_used_bytes?: u64 = memory_used,
            /// Its memory that a new process could have had then.
            memory_free_bytes?: u64 = memory_free,
        }
    }
}

record! {
    /// A part of a GPU that programs use as a GPU (MIG).
    #[expect(clippy::struct_field_names, reason = "a compute instance is in a GPU instance")]
    node GpuInstance = GpuInstance {
        /// The name for `CUDA_VISIBLE_DEVICES`.
        uuid?: String,
        /// The number of the GPU instance.
        gpu_instance?: u32,
        /// The number of the compute instance.
        compute_instance?: u32,
        /// Its profile, such as `1g.10gb`.
        profile?: String,
        /// The number of compute slices.
        slices?: u32,
        /// Its memory.
        memory_bytes?: u64 = memory,
        /// Its place among the memory slices.
        placement?: MigPlacement,
    }
}

record! {
    /// A network adapter.
    node Nic = Nic {
        /// The name that the source uses.
        name: String,
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
        /// The facts of the PCI device.
        pci*: PciFacts,
        /// The RDMA device.
        rdma_device?: String,
        /// The number of the RDMA device's port, from 1.
        port?: NonZeroU32,
        /// The network interfaces.
        net_devices*: Vec<String>,
        /// The name that its maker gave it.
        model?: String,
        /// The version of its firmware.
        firmware?: String,
        /// The state of its port.
        state?: PortState,
        /// The link layer of its port.
        link_layer?: LinkLayer,
        /// The rate of its port, one direction, in MB/s (1e6 bytes per second).
        mb_per_s?: MbPerS = rate,
        /// The measured bandwidth of its port, one direction, in MB/s (1e6 bytes per second).
        measured_mb_per_s?: MbPerS = measured,
        /// The largest packet of its interface in bytes.
        mtu?: u32,
        /// The bond that its interface belongs to.
        bond?: String,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        cpus?: StatedList,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        nodes?: StatedList,
        /// The attributes of its element in NCCL's topology file that no other field holds.
        nccl?: BTreeMap<String, String>,
    }
}

record! {
    /// A solid state disk.
    node Nvme = Nvme {
        /// The kernel's name for its controller.
        name: String,
        /// The place on the PCI bus.
        address?: Text<PciAddress>,
        /// The facts of the PCI device.
        pci*: PciFacts,
        /// The product's name.
        model?: String,
        /// The size of all its name spaces.
        size_bytes?: u64 = size,
    }
}
