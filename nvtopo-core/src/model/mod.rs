//! The graph of a machine: nodes with their containment, links between them, and the facts of both.
//!
//! A source writes a [`Fragment`]; [`TopologyBuilder`] merges fragments; [`Topology`] is the immutable result.
//! Reading files is for [`crate::source`], following paths for the queries.

mod builder;
pub(crate) mod cores;
mod fragment;
mod gaps;
mod gpu;
mod health;
pub(crate) mod identities;
mod link;
mod merge;
pub(crate) mod named;
mod nic;
mod node;
mod note;
mod nvlinks;
mod pci;
pub mod rates;
mod texts;
mod topology;
pub(crate) mod tree;

pub use builder::TopologyBuilder;
pub(crate) use builder::freeze;
pub use fragment::{Fragment, Measured, StatedPath};
pub use gpu::{
    Fabric, FabricState, Gpu, GpuInstance, GpuUsage, MigMode, MigPlacement, NvLinkFar, NvLinkPort,
};
pub use health::FabricFault;
pub use link::{
    Basis, Dialect, GroupShape, Link, LinkKind, NvlinkGroup, P2p, P2pStatus, Pair, PairTable, Rate,
};
pub use nic::{LinkLayer, Nic, PortState};
pub use node::{
    Cache, CacheKind, Core, CoreClass, CpuMake, Group, GroupKind, HostBridge, HugePages, Learned, Machine,
    Node, NodeId, NodeKind, NumaNode, NvSwitch, Nvme, Package, PcieSwitch, Pu, Stated,
};
pub use note::{MachineIdentity, Note, NoteCode, NoteKind, Origin, Provenance};
pub(crate) use nvlinks::{Bundle, Nvlinks, components};
pub use pci::{PciFacts, PcieSpeed, PcieTraining, VirtualFunctions};
pub use topology::MAX_DEVICES;

/// The names that are public at the root of the crate, and only there.
pub(crate) mod root {
    pub use super::link::PathType;
    pub use super::topology::Topology;
}

pub(crate) use root::*;
use topology::{Computed, Inner};
