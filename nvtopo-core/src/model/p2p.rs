//! What the driver allows two GPUs to do with each other's memory.

use crate::model::NodeId;

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
