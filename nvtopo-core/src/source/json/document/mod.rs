//! The structs of the document, from which its JSON Schema is made too. No logic: single values are in
//! [`super::values`].
//!
//! What is unknown is left out. Inside `topology` an unknown key is an error: it would be lost.

mod convert;
mod facts;
mod nodes;
mod words;

pub(super) use convert::Convert;
pub(super) use facts::Learned;
pub(super) use nodes::{
    Cache, Core, Gpu, GpuInstance, Group, Located, Machine, Nic, Node, NumaNode, NvSwitch, Nvme, Package, Pu,
};
pub(super) use words::{Basis, LinkKind, NoteKind, P2pStatus, PathType, Source};

use super::values::MbPerS;
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
    /// What was measured from one GPU to another, and between GPUs and NICs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) measured: Vec<Measured>,
    /// What the driver allows two GPUs to do with each other's memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) p2p: Vec<P2p>,
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
    /// What the hardware reports that all lanes carry together, one direction, in MB/s (1e6 bytes per second).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reported_mb_per_s: Option<MbPerS>,
    /// Whether a port on it sends what devices write to each other up to the root complex first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redirects: Option<bool>,
}

/// A bandwidth and how it is known.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// One direction, in MB/s (1e6 bytes per second).
    pub(super) mb_per_s: MbPerS,
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

/// What was measured from one device to another; one of them at least is a GPU.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The position in `nodes` of the GPU or NIC that sends.
    pub(super) from: u32,
    /// The position in `nodes` of the GPU or NIC that receives.
    pub(super) to: u32,
    /// What it received, in 1e6 bytes per second.
    pub(super) mb_per_s: MbPerS,
}

/// Peer-to-peer access between two GPUs.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct P2p {
    /// The positions in `nodes` of the two GPUs.
    pub(super) between: (u32, u32),
    /// Reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read: Option<P2pStatus>,
    /// Writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) write: Option<P2pStatus>,
    /// Going over NVLink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nvlink: Option<P2pStatus>,
    /// Atomic operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) atomics: Option<P2pStatus>,
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
