//! The structs of the document, from which its JSON Schema is made too. No logic: single values are in
//! [`super::values`].
//!
//! What is unknown is left out. Inside `topology` an unknown key is an error: it would be lost.

use super::values::{List, StatedIndex, StatedList, Text};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use serde::{Deserialize, Serialize};

/// A topology of a machine. Keys beside these three are derived from them, and ignored by readers.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "nvtopo topology, version 1"))]
pub(crate) struct Document {
    pub(super) format: Format,
    /// The version of the format.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1)))]
    pub(super) version: u32,
    pub(super) topology: Body,
}

/// What kind of document this is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Format {
    #[serde(rename = "nvtopo-topology")]
    Topology,
}

/// The topology itself: everything that is known, and nothing that can be derived.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// Which machine this is; left out where nothing says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
    /// Where the nodes were learned that do not say so themselves.
    pub(super) source: Source,
    /// The word that the source of pairwise classes uses for paths between sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dialect: Option<Dialect>,
    /// Whether the absence of an NVLink means that there is none.
    pub(super) nvlink_known: bool,
    /// The nodes. The machine comes first, and every node after the one that contains it.
    pub(super) nodes: Vec<Node>,
    /// The links between nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
    /// Classes of paths as a source stated them; they hold over what the nodes say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) paths: Vec<Path>,
    /// What was measured from one GPU to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) measured: Vec<Measured>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<Note>,
}

/// Which machine a topology describes.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// The layout of a product, by the preset's name.
    Preset(String),
    /// A machine, by digests of what identifies it.
    Machine(Identity),
}

/// Digests of what tells machines apart.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// Of the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<String>,
    /// Of the running kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<String>,
}

/// The word for a path between sockets.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Dialect {
    /// As drivers before R384 print it.
    #[serde(rename = "SOC")]
    Soc,
}

/// One thing that a machine is made of: an object with one key, its kind.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "a NUMA node is called so")]
pub(super) enum Node {
    Machine(Box<Machine>),
    Package(Box<Package>),
    NumaNode(Box<NumaNode>),
    Cache(Box<Cache>),
    Core(Numbered),
    Pu(Numbered),
    HostBridge(Located),
    PcieSwitch(Located),
    Gpu(Box<Gpu>),
    #[serde(rename = "nvswitch")]
    NvSwitch(Located),
    Nic(Box<Nic>),
}

/// The machine as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// The product's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<String>,
    /// The CPUs that the reader of the machine may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_cpus: Option<List>,
    /// The NUMA nodes whose memory the reader may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_nodes: Option<List>,
    /// CPUs that are switched off.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(super) offline_cpus: List,
    /// CPUs that the kernel keeps out of scheduling.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(super) isolated_cpus: List,
    /// The version of NVIDIA's driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) driver: Option<String>,
    /// The latest CUDA version that the driver serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cuda: Option<String>,
}

/// A kind of node: its own fields, and those that all but the machine have.
macro_rules! node {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            /// The position in `nodes` of what contains it.
            pub(super) parent: u32,
            $($(#[$meta])* pub(super) $field: $type,)*
            /// Where it was learned, if elsewhere than the topology as a whole.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) source: Option<Source>,
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
        os_index: u32,
        /// Its CPUs that are online.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// Pairs of another NUMA node's number and the kernel's distance to it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        distances: Vec<(u32, u32)>,
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
    /// A core or a processing unit.
    Numbered {
        /// The kernel's number.
        os_index: u32,
    }
}

node! {
    /// A host bridge, PCIe switch or NVSwitch.
    Located {
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
    }
}

node! {
    /// A GPU.
    Gpu {
        /// The number by which tools name it.
        index: u32,
        /// The product's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The CUDA compute capability, such as `9.0`.
        #[serde(skip_serializing_if = "Option::is_none")]
        compute_capability: Option<Text<ComputeCapability>>,
        /// The driver's UUID.
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<Text<GpuUuid>>,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
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
        /// The RDMA device.
        #[serde(skip_serializing_if = "Option::is_none")]
        rdma_device: Option<String>,
        /// The network interfaces.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        net_devices: Vec<String>,
        /// The rate of its port, one direction, in MB/s (1e6 bytes per second).
        #[serde(skip_serializing_if = "Option::is_none")]
        mb_per_s: Option<u64>,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpus: Option<StatedList>,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<StatedList>,
    }
}

/// A link between two nodes.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// The positions in `nodes` of its ends.
    pub(super) between: (u32, u32),
    /// What it is made of.
    pub(super) kind: LinkKind,
    /// How many NVLinks are bonded, or how wide the PCIe link is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lanes: Option<u16>,
    /// What all lanes carry together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Rate>,
}

/// A bandwidth and how it is known.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// One direction, in MB/s (1e6 bytes per second).
    pub(super) mb_per_s: u64,
    pub(super) basis: Basis,
}

/// The class of the path between two nodes, as a source stated it.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Path {
    /// The positions in `nodes` of its ends.
    pub(super) between: (u32, u32),
    pub(super) path: PathType,
}

/// What was measured from one GPU to another.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The position in `nodes` of the GPU that sends.
    pub(super) from: u32,
    /// The position in `nodes` of the GPU that receives.
    pub(super) to: u32,
    /// What it received, in 1e6 bytes per second.
    pub(super) mb_per_s: u64,
}

/// Something that a person should know.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) kind: NoteKind,
    /// One sentence.
    pub(super) text: String,
}

/// An enumeration of the document with the words for it, and the model's values that they stand for.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:literal $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub(super) enum $name {
            $(#[serde(rename = $word)] $variant,)*
        }

        impl From<crate::model::$name> for $name {
            fn from(value: crate::model::$name) -> Self {
                match value {
                    $(crate::model::$name::$variant => Self::$variant,)*
                }
            }
        }

        impl From<$name> for crate::model::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }
    };
}

/// Where something was learned.
pub(super) type Source = Provenance;

words! {
    /// Where something was learned.
    Provenance {
        "sysfs" Sysfs, "nvml" Nvml, "hwloc" Hwloc, "nvidia-smi" SmiMatrix, "preset" Preset,
        "measurement" Measurement, "inferred" Inferred,
    }
}

words! {
    /// What a cache holds.
    CacheKind { "unified" Unified, "data" Data, "instruction" Instruction, }
}

words! {
    /// What a link is made of.
    LinkKind { "nvlink" NvLink, "c2c" C2c, "pcie" Pcie, "smp" Smp, "net" Net, }
}

words! {
    /// How a bandwidth is known.
    Basis {
        "measured" Measured, "reported" Reported, "nominal" Nominal, "typical" Typical, "assumed" Assumed,
    }
}

words! {
    /// The class of a path, in `nvidia-smi`'s words.
    PathType {
        "X" Loc, "NVL" Nvl, "NVB" Nvb, "C2C" C2c, "PIX" Pix, "PXB" Pxb, "PHB" Phb, "NODE" Node, "SYS" Sys,
        "NET" Net, "DIS" Dis,
    }
}

words! {
    /// What a note is about.
    NoteKind { "damage" Damage, "unknown" Unknown, "conflict" Conflict, "inferred" Inferred, }
}
