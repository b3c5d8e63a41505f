//! The structs of the document, from which its JSON Schema is made too. No logic: single values are in
//! [`super::values`].
//!
//! Unknown facts are left out. Inside `topology` an unknown key is an error: it would be lost.

#[macro_use]
mod record;
mod facts;
mod names;
mod nodes;

pub(super) use names::Source;
pub(super) use nodes::Node;
pub(super) use record::{Read, Sets, Write};

use super::values::MbPerS;
use crate::error::Result;
use crate::model;
use names::{Basis, LinkKind, NoteKind, P2pStatus, PathType};
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

/// The kind of document.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Format {
    #[serde(rename = "nvtopo-topology")]
    Topology,
}

record! {
    /// The topology itself: everything that is known, and nothing that can be derived.
    Body {
        /// The origin of the topology; left out where it is unknown.
        origin?: Origin,
        /// The source of the nodes that name none themselves.
        source: Source,
        /// The word that the source of pairwise classes uses for paths between sockets.
        dialect?: Dialect,
        /// True if the absence of an NVLink means that there is none.
        nvlink_known: bool,
        /// The nodes. The machine comes first, and every node after the one that contains it.
        nodes: Vec<Node>,
        /// The links between nodes.
        links*: Vec<Link>,
        /// Classes of paths as a source stated them; they hold over what the nodes say.
        paths*: Vec<Path>,
        /// The bandwidths measured from one GPU to another, and between GPUs and NICs.
        measured*: Vec<Measured>,
        /// The peer-to-peer access of pairs of GPUs.
        p2p*: Vec<P2p>,
        /// The notes for people.
        notes*: Vec<Note>,
    }
}

/// The origin of a topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// The layout of a product, by the preset's name.
    Preset(String),
    /// A machine, by digests of what identifies it.
    Machine(Identity),
}

record! {
    /// Digests of the identifiers of a machine.
    Identity = MachineIdentity {
        /// Of the installation.
        machine?: String,
        /// Of the running kernel.
        boot?: String,
    }
}

/// The word for a path between sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Dialect {
    /// The class in the output of drivers before R384.
    #[serde(rename = "SOC")]
    Soc,
}

record! {
    /// A link between two nodes.
    Link {
        /// The positions in `nodes` of its ends.
        between: (u32, u32),
        /// The kind of link.
        kind: LinkKind,
        /// The number of bonded NVLinks, or of PCIe lanes.
        lanes?: u16,
        /// The bandwidth of all lanes together.
        rate?: Rate,
        /// The bandwidth of all lanes together that the hardware reports, one direction, in MB/s (1e6 bytes per
        /// second).
        reported_mb_per_s?: MbPerS,
        /// True if a port on it sends what devices write to each other up to the root complex first.
        redirects?: bool,
    }
}

record! {
    /// A bandwidth and how it is known.
    Rate = Rate {
        /// One direction, in MB/s (1e6 bytes per second).
        mb_per_s: MbPerS = bandwidth,
        basis: Basis,
    }
}

record! {
    /// The class of the path between two nodes, as a source stated it.
    Path {
        /// The positions in `nodes` of its ends.
        between: (u32, u32),
        path: PathType,
    }
}

record! {
    /// A bandwidth measured from one device to another, of which at least one is a GPU.
    Measured {
        /// The position in `nodes` of the GPU or NIC that sends.
        from: u32,
        /// The position in `nodes` of the GPU or NIC that receives.
        to: u32,
        /// The bandwidth, in 1e6 bytes per second.
        mb_per_s: MbPerS,
    }
}

record! {
    /// Peer-to-peer access between two GPUs.
    P2p {
        /// The positions in `nodes` of the two GPUs.
        between: (u32, u32),
        /// Reading.
        read?: P2pStatus,
        /// Writing.
        write?: P2pStatus,
        /// Going over NVLink.
        nvlink?: P2pStatus,
        /// Atomic operations.
        atomics?: P2pStatus,
    }
}

record! {
    /// Something that a person should know.
    Note {
        kind: NoteKind,
        /// The stable code: `nvlinks-unknown`. Readers take an unknown or missing one for the general code of the kind.
        code?: String,
        /// One sentence.
        text: String,
    }
}
