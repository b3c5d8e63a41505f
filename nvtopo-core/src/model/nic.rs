//! Network adapters.

use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::PciAddress;
use crate::model::{PciFacts, Stated};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// A network adapter.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Nic {
    /// The name that the source uses: `NIC0`, `mlx5_0`, `eth0`.
    pub name: String,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// Its facts of the PCI bus.
    pub pci: PciFacts,
    /// The RDMA device, such as `mlx5_0`.
    pub rdma_device: Option<String>,
    /// The number of the RDMA device's port that the facts here are of, from 1. `None`: unknown.
    pub port: Option<u32>,
    /// The network interfaces, such as `eth0`.
    pub net_devices: Vec<String>,
    /// The product: the type of the RDMA device (`MT4129`) or the driver of the interface.
    pub model: Option<String>,
    /// The version of its firmware.
    pub firmware: Option<String>,
    /// The state of its port: only an active one carries data.
    pub state: Option<PortState>,
    /// The link layer of its port.
    pub link_layer: Option<LinkLayer>,
    /// The rate of its port, one direction.
    pub rate: Option<Bandwidth>,
    /// The bandwidth measured between its port and memory of the host, one direction.
    pub measured: Option<Bandwidth>,
    /// The largest packet of its interface in bytes.
    pub mtu: Option<u32>,
    /// The bond that its interface belongs to, such as `bond0`: the ports of a bond act as one.
    pub bond: Option<String>,
    /// The CPUs that a source names as nearest, where one does.
    pub cpus: Stated<CpuSet>,
    /// The NUMA nodes that a source names as nearest, where one does.
    pub nodes: Stated<NodeSet>,
    /// The attributes of its element in NCCL's topology file that no other field holds, such as `guid`. `None`: no such
    /// file has the element.
    pub nccl: Option<BTreeMap<String, String>>,
}

impl Nic {
    /// Creates a NIC of which only the name is known. Other facts are set as fields.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

words! {
    /// The state of a port, in InfiniBand's terms.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum PortState {
        /// No cable, switched off, or nothing at the other end.
        Down = "down",
        /// The cable is good, and no subnet manager has spoken to it.
        Initialize = "initialize",
        /// It is configured and not yet active.
        Armed = "armed",
        /// It carries data.
        Active = "active",
    }
    /// The name used in documents.
    word
}

words! {
    /// The link layer of a port.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum LinkLayer {
        /// InfiniBand.
        InfiniBand = "infiniband",
        /// Ethernet; RDMA over it is RoCE or iWARP.
        Ethernet = "ethernet",
    }
    /// The name used in documents.
    word
}

impl PortState {
    /// Reads the word of the kernel or of a tool for it: `ACTIVE`, `Active`, `PORT_ACTIVE`. `None`: another word, such as
    /// `ACTIVE_DEFER` of a port that waits for its link to come back, which is neither up nor down.
    ///
    /// ```
    /// use nvtopo::model::PortState;
    ///
    /// assert_eq!(PortState::of_tool("PORT_INIT"), Some(PortState::Initialize));
    /// ```
    pub fn of_tool(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        match word.strip_prefix("PORT_").unwrap_or(&word) {
            "DOWN" => Some(Self::Down),
            "INIT" | "INITIALIZING" | "INITIALIZE" => Some(Self::Initialize),
            "ARMED" => Some(Self::Armed),
            "ACTIVE" => Some(Self::Active),
            _ => None,
        }
    }
}

impl LinkLayer {
    /// Reads the word of the kernel or of a tool for it: `InfiniBand`, `Ethernet`, `ether`.
    ///
    /// ```
    /// use nvtopo::model::LinkLayer;
    ///
    /// assert_eq!(LinkLayer::of_tool("Ethernet"), Some(LinkLayer::Ethernet));
    /// ```
    pub fn of_tool(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "infiniband" => Some(Self::InfiniBand),
            "ethernet" | "ether" => Some(Self::Ethernet),
            _ => None,
        }
    }
}
