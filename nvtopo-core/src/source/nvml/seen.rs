//! What the driver says, as plain facts: no call, and nothing concluded.

use super::troubles::Troubles;
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::model::{Link, PathType, Stated};

/// A machine as the driver sees it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) driver: Option<String>,
    pub(super) cuda: Option<String>,
    /// Those that it could hand out; see `lost`.
    pub(super) gpus: Vec<SeenGpu>,
    /// The numbers of GPUs that it counts and could not hand out.
    pub(super) lost: Vec<u32>,
    /// The classes of paths between GPUs, by their positions in `gpus`.
    pub(super) paths: Vec<(usize, usize, PathType)>,
    pub(super) troubles: Troubles,
}

/// A GPU.
#[derive(Clone, Default)]
pub(super) struct SeenGpu {
    pub(super) index: u32,
    pub(super) model: Option<String>,
    pub(super) capability: Option<ComputeCapability>,
    pub(super) uuid: Option<GpuUuid>,
    pub(super) address: Option<PciAddress>,
    pub(super) memory: Option<u64>,
    pub(super) cpus: Option<CpuSet>,
    pub(super) nodes: Option<NodeSet>,
    pub(super) memory_node: Stated<u32>,
    pub(super) pcie: Option<Link>,
    pub(super) c2c: bool,
    pub(super) mig: bool,
    pub(super) nvlinks: SeenNvlinks,
}

/// The NVLinks of a GPU.
#[derive(Clone, Default)]
pub(super) struct SeenNvlinks {
    /// Whether some could not be asked of.
    pub(super) unknown: bool,
    /// The numbers of links that exist and are down.
    pub(super) down: Vec<u32>,
    /// Those that are up.
    pub(super) up: Vec<SeenNvlink>,
}

/// An NVLink that is up.
#[derive(Clone, Debug)]
pub(super) struct SeenNvlink {
    /// NVML's number for the version of NVLink.
    pub(super) version: Option<u32>,
    pub(super) end: End,
}

/// What an NVLink leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Gpu(PciAddress),
    /// An NVSwitch, with its address unless the driver hides it.
    Switch(Option<PciAddress>),
    /// A POWER CPU.
    Cpu,
    /// Something with an address, of a kind that the driver did not tell.
    Something(PciAddress),
    Unknown,
}
