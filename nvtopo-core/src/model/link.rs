//! Links between nodes, the classes of paths that lead over them, and what two GPUs may do with each other's memory.

use crate::error::{Error, Result};
use crate::model::NodeId;
use crate::units::Bandwidth;
use std::fmt;
use std::str::FromStr;

/// What a link is made of. Its lane count is a number on the [`Link`], never a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// NVLink, between GPUs or from a GPU to an NVSwitch.
    NvLink,
    /// NVLink-C2C, between a Grace CPU and its GPU.
    C2c,
    /// PCI Express.
    Pcie,
    /// The interconnect between NUMA nodes (UPI, Infinity Fabric, X-Bus).
    Smp,
    /// A network.
    Net,
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
        /// The generation is unknown, and a usual one was taken for it; a note says which.
        Assumed = "assumed",
    }
    /// The name used in documents.
    name
}

/// A bandwidth and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// One direction.
    pub bandwidth: Bandwidth,
    /// How it is known.
    pub basis: Basis,
}

/// A link between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is made of.
    pub kind: LinkKind,
    /// How many NVLinks are bonded, or how wide the PCIe link is.
    pub lanes: Option<u16>,
    /// The rate of all lanes together: what links of this generation and width have, or what was told instead. `None`:
    /// unknown.
    pub rate: Option<Rate>,
    /// What the hardware or its driver reports for all lanes together, one direction, where it does. See
    /// [`Topology::with_reported_rates`](crate::Topology::with_reported_rates).
    pub reported: Option<Bandwidth>,
    /// Whether a port on this PCIe link sends what one device writes to another up to the root complex first (access
    /// control services, ACS). `None`: unknown, as for ordinary users.
    pub redirects: Option<bool>,
}

impl Link {
    /// A link of which nothing else is known.
    pub const fn new(kind: LinkKind) -> Self {
        Self { kind, lanes: None, rate: None, reported: None, redirects: None }
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
        /// The same device.
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
    /// The word for it. NVLink pairs are printed with their count instead (`NV12`).
    word, Display
}

impl FromStr for PathType {
    type Err = Error;

    /// Reads the words of [`PathType::word`], and `SOC`, which drivers before R384 print for `SYS`.
    fn from_str(text: &str) -> Result<Self> {
        let word = if text == "SOC" { "SYS" } else { text };
        Self::ALL
            .into_iter()
            .find(|path| path.word() == word)
            .ok_or_else(|| Error::input(format!("'{text}' is not a path class")))
    }
}

/// Which words a source of pairwise classes uses; printing uses the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `SYS` for a path between sockets.
    #[default]
    Sys,
    /// `SOC` for it, as drivers before R384 print it.
    Soc,
}

/// What lies between two devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The class of the best path. `None`: unknown.
    pub path: Option<PathType>,
    /// How many NVLinks the pair can use at once; 0 where the path is not NVLink.
    pub nvlinks: u16,
    /// What the path carries in one direction. `None`: unknown.
    pub rate: Option<Rate>,
}

impl Pair {
    /// A pair of which nothing is known.
    pub const UNKNOWN: Self = Self { path: None, nvlinks: 0, rate: None };

    /// The pair in `nvidia-smi`'s words: `X`, `NV12`, `PIX`, … `None`: unknown.
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
    /// Asks `between` for each ordered pair of different devices.
    pub(crate) fn new(devices: usize, mut between: impl FnMut(usize, usize) -> Pair) -> Self {
        let own = Pair { path: Some(PathType::Loc), nvlinks: 0, rate: None };
        let pairs = (0..devices * devices)
            .map(|cell| (cell / devices, cell % devices))
            .map(|(a, b)| if a == b { own } else { between(a, b) })
            .collect();
        Self { devices, pairs }
    }

    /// How many devices the table covers.
    pub fn len(&self) -> usize {
        self.devices
    }

    /// Whether there is no device.
    pub fn is_empty(&self) -> bool {
        self.devices == 0
    }

    /// The pair of two devices by their positions, [`Pair::UNKNOWN`] out of range.
    pub fn pair(&self, a: usize, b: usize) -> Pair {
        let inside = a < self.devices && b < self.devices;
        if inside { self.pairs[a * self.devices + b] } else { Pair::UNKNOWN }
    }
}

/// How the GPUs of an NVLink group are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupShape {
    /// One GPU.
    Single,
    /// Every pair has NVLinks of its own.
    FullyConnected,
    /// Through NVSwitches: every pair can use all links of a GPU.
    Switched,
    /// Some pairs have no NVLink between them.
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
pub struct NvlinkGroup {
    /// The positions of its GPUs in [`Topology::gpus`](crate::Topology::gpus), increasing.
    pub gpus: Vec<usize>,
    /// How they are connected.
    pub shape: GroupShape,
}

/// Peer-to-peer access between two GPUs, by what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P2p {
    /// The GPU with the lower number.
    pub a: NodeId,
    /// The GPU with the higher number.
    pub b: NodeId,
    /// Reading. `None`, here and below: nobody could tell.
    pub read: Option<P2pStatus>,
    /// Writing.
    pub write: Option<P2pStatus>,
    /// Going over NVLink.
    pub nvlink: Option<P2pStatus>,
    /// Atomic operations.
    pub atomics: Option<P2pStatus>,
}

words! {
    /// Whether something is allowed, and why not, in the words of `nvidia-smi topo -p2p`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum P2pStatus {
        /// It is.
        Ok = "OK",
        /// The chipset does not support it (`CNS`).
        ChipsetNotSupported = "CNS",
        /// The GPU does not support it (`GNS`).
        GpuNotSupported = "GNS",
        /// The way between them does not support it (`TNS`).
        TopologyNotSupported = "TNS",
        /// A setting of the driver forbids it (`DR`).
        DisabledBySetting = "DR",
        /// It is not supported (`NS`).
        NotSupported = "NS",
        /// The driver does not know (`U`).
        Unknown = "U",
    }
    /// The word of `nvidia-smi topo -p2p`.
    word
}
