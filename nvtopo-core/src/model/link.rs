//! Links between nodes, the classes of paths that lead over them, and what two GPUs may do with each other's memory.

use crate::error::{Error, Result};
use crate::model::NodeId;
use crate::units::Bandwidth;
use std::fmt;
use std::str::FromStr;

words! {
    /// The kind of a link. Its lane count is a number on the [`Link`], never a variant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum LinkKind {
        /// NVLink, between GPUs or from a GPU to an NVSwitch.
        NvLink = "nvlink",
        /// NVLink-C2C, between a Grace CPU and its GPU.
        C2c = "c2c",
        /// xGMI, between GPUs of AMD. Queries take it for NVLink.
        Xgmi = "xgmi",
        /// PCI Express.
        Pcie = "pcie",
        /// The interconnect between NUMA nodes (UPI, Infinity Fabric, X-Bus).
        Smp = "smp",
        /// A network.
        Net = "net",
    }
    /// The name used in documents.
    name
}

impl LinkKind {
    /// Returns true for links between GPUs that are no part of PCIe: NVLink, and AMD's xGMI.
    pub const fn is_fabric(self) -> bool {
        matches!(self, Self::NvLink | Self::Xgmi)
    }
}

words! {
    /// How a bandwidth is known.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Basis {
        /// Measured on this machine.
        Measured = "measured",
        /// Reported by the hardware or its driver.
        Reported = "reported",
        /// The published rate of the link's generation and lane count.
        Nominal = "nominal",
        /// A planning constant for this class of machine (NCCL's), where no rate is published.
        Typical = "typical",
        /// The rate of a usual generation, where that of the link is unknown; a note says which.
        Assumed = "assumed",
    }
    /// The name used in documents.
    name
}

/// A bandwidth and its basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rate {
    /// One direction.
    pub bandwidth: Bandwidth,
    /// The basis on which it is known.
    pub basis: Basis,
}

impl Rate {
    /// Creates a bandwidth on a basis.
    pub const fn new(bandwidth: Bandwidth, basis: Basis) -> Self {
        Self { bandwidth, basis }
    }
}

/// A link between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its kind.
    pub kind: LinkKind,
    /// The number of bonded NVLinks, or of PCIe lanes.
    pub lanes: Option<u16>,
    /// The rate of all lanes together. `None`: unknown.
    pub rate: Option<Rate>,
    /// The rate that the hardware or its driver reports for all lanes together, one direction. See
    /// [`Topology::with_reported_rates`](crate::Topology::with_reported_rates).
    pub reported: Option<Bandwidth>,
    /// True where a port on this PCIe link redirects peer-to-peer traffic to the root complex (access control services,
    /// ACS). `None`: unknown, as for ordinary users.
    pub redirects: Option<bool>,
}

impl Link {
    /// Creates a link of which nothing else is known.
    pub const fn new(kind: LinkKind) -> Self {
        Self { kind, lanes: None, rate: None, reported: None, redirects: None }
    }

    /// Sets the number of bonded NVLinks, or of PCIe lanes.
    #[must_use]
    pub const fn with_lanes(mut self, lanes: u16) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// Sets the rate of all lanes together.
    #[must_use]
    pub const fn with_rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets the rate that the hardware or its driver reports for all lanes together.
    #[must_use]
    pub const fn with_reported(mut self, reported: Bandwidth) -> Self {
        self.reported = Some(reported);
        self
    }

    /// States that a port on the link redirects peer-to-peer traffic (ACS), or that none does.
    #[must_use]
    pub const fn with_redirects(mut self, redirects: bool) -> Self {
        self.redirects = Some(redirects);
        self
    }
}

words! {
    /// The class of the path between two devices, from best to worst, as NCCL and `nvidia-smi` name it.
    ///
    /// ```
    /// use nvtopo::PathType;
    ///
    /// assert!(PathType::Pix < PathType::Sys);
    /// assert_eq!("PHB".parse::<PathType>()?, PathType::Phb);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum PathType {
        /// A device and itself.
        Loc = "X",
        /// NVLink, directly or through NVSwitches.
        Nvl = "NVL",
        /// NVLink through one other GPU.
        Nvb = "NVB",
        /// NVLink-C2C.
        C2c = "C2C",
        /// At most one PCIe switch.
        Pix = "PIX",
        /// Several PCIe switches, no host bridge.
        Pxb = "PXB",
        /// A PCIe host bridge.
        Phb = "PHB",
        /// Several host bridges of one NUMA node.
        Node = "NODE",
        /// The interconnect between NUMA nodes.
        Sys = "SYS",
        /// A network.
        Net = "NET",
        /// No path.
        Dis = "DIS",
    }
    /// Its name in a matrix. NVLink pairs are printed with their count instead (`NV12`).
    word, Display
}

impl FromStr for PathType {
    type Err = Error;

    /// Reads the names of [`PathType::word`], and `SOC`, which drivers before R384 print for `SYS`.
    fn from_str(text: &str) -> Result<Self> {
        let word = if text == "SOC" { "SYS" } else { text };
        Self::ALL
            .into_iter()
            .find(|path| path.word() == word)
            .ok_or_else(|| Error::input(format!("'{text}' is not a path class")))
    }
}

/// The spelling of path classes in a source; printing uses the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `SYS` for a path between sockets.
    #[default]
    Sys,
    /// `SOC` for a path between sockets, as drivers before R384 print it.
    Soc,
}

/// The path between two devices: its class, its NVLinks, its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pair {
    /// The class of the best path. `None`: unknown.
    pub path: Option<PathType>,
    /// The number of NVLinks that the pair can use at once; 0 where the path is not NVLink.
    pub nvlinks: u16,
    /// The rate of the path, one direction. `None`: unknown.
    pub rate: Option<Rate>,
}

impl Pair {
    /// Creates a pair by the class of its path, its number of NVLinks, and its rate.
    pub const fn new(path: Option<PathType>, nvlinks: u16, rate: Option<Rate>) -> Self {
        Self { path, nvlinks, rate }
    }

    /// An unknown path.
    pub const UNKNOWN: Self = Self { path: None, nvlinks: 0, rate: None };

    /// Returns the cell of `nvidia-smi topo -m`: `X`, `NV12`, `PIX`, … `None`: unknown.
    pub fn word(&self, dialect: Dialect) -> Option<String> {
        match (self.path?, dialect) {
            (PathType::Nvl, _) => Some(format!("NV{}", self.nvlinks)),
            (PathType::Sys, Dialect::Soc) => Some("SOC".to_owned()),
            (path, _) => Some(path.word().to_owned()),
        }
    }
}

/// The pairs of all devices of a topology: its GPUs first, then its NICs, in the order of
/// [`Topology::devices`](crate::Topology::devices).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTable {
    devices: usize,
    pairs: Box<[Pair]>,
}

impl PairTable {
    /// Fills the table: `between` is called once for every two devices, the lower position first.
    pub(crate) fn new(devices: usize, mut between: impl FnMut(usize, usize) -> Pair) -> Self {
        let own = Pair { path: Some(PathType::Loc), nvlinks: 0, rate: None };
        let mut pairs = vec![own; devices * devices];
        for (a, b) in (0..devices).flat_map(|a| (a + 1..devices).map(move |b| (a, b))) {
            let pair = between(a, b);
            pairs[a * devices + b] = pair;
            pairs[b * devices + a] = pair;
        }
        Self { devices, pairs: pairs.into() }
    }

    /// Returns the number of devices.
    pub fn len(&self) -> usize {
        self.devices
    }

    /// Returns true where there is no device.
    pub fn is_empty(&self) -> bool {
        self.devices == 0
    }

    /// Returns the pair of two devices by their positions, [`Pair::UNKNOWN`] out of range.
    pub fn pair(&self, a: usize, b: usize) -> Pair {
        let inside = a < self.devices && b < self.devices;
        if inside { self.pairs[a * self.devices + b] } else { Pair::UNKNOWN }
    }
}

/// The shape of an NVLink group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupShape {
    /// One GPU.
    Single,
    /// NVLinks between all pairs.
    FullyConnected,
    /// NVSwitches between all pairs: each can use all links of a GPU.
    Switched,
    /// Pairs without an NVLink between them.
    Partial,
}

impl fmt::Display for GroupShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "no NVLink",
            Self::FullyConnected => "fully connected",
            Self::Switched => "switched",
            Self::Partial => "partially connected",
        })
    }
}

/// GPUs that are connected over NVLink, directly or through others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NvlinkGroup {
    /// The positions of its GPUs in [`Topology::gpus`](crate::Topology::gpus), increasing.
    pub gpus: Vec<usize>,
    /// Its shape.
    pub shape: GroupShape,
}

/// Peer-to-peer access between two GPUs, by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct P2p {
    /// The GPU with the lower number.
    pub a: NodeId,
    /// The GPU with the higher number.
    pub b: NodeId,
    /// Reading. `None`, here and below: unknown.
    pub read: Option<P2pStatus>,
    /// Writing.
    pub write: Option<P2pStatus>,
    /// Access over NVLink.
    pub nvlink: Option<P2pStatus>,
    /// Atomic operations.
    pub atomics: Option<P2pStatus>,
}

impl P2p {
    /// Creates the access between two GPUs, of which nothing is known yet.
    pub fn new(a: NodeId, b: NodeId) -> Self {
        Self { a: a.min(b), b: a.max(b), read: None, write: None, nvlink: None, atomics: None }
    }
}

words! {
    /// The answer of the driver for one operation, as `nvidia-smi topo -p2p` prints it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum P2pStatus {
        /// Supported (`OK`).
        Ok = "OK",
        /// Not supported by the chipset (`CNS`).
        ChipsetNotSupported = "CNS",
        /// Not supported by the GPU (`GNS`).
        GpuNotSupported = "GNS",
        /// Not supported by the path between them (`TNS`).
        TopologyNotSupported = "TNS",
        /// Disabled by a setting of the driver (`DR`).
        DisabledBySetting = "DR",
        /// Not supported (`NS`).
        NotSupported = "NS",
        /// Unknown to the driver (`U`).
        Unknown = "U",
    }
    /// The name that `nvidia-smi topo -p2p` prints.
    word
}
