//! The tables of facts that presets consist of. No logic: see [`super::expand`].

use crate::ids::PciAddress;

/// A machine as a table of facts.
#[derive(Debug)]
pub(super) struct Layout {
    /// The maker's name of it, or a description where there are several makers.
    pub(super) product: &'static str,
    pub(super) summary: &'static str,
    pub(super) cpu: Cpu,
    pub(super) gpu: GpuModel,
    /// The PCIe generation of every link.
    pub(super) pcie: u8,
    /// The host bridges, in the order in which the NICs are counted.
    pub(super) bridges: &'static [Bridge],
    pub(super) nvlink: Nvlink,
    /// The GPUs whose memory is a NUMA node, over C2C.
    pub(super) coherent: &'static [Coherent],
    /// Remarks for people about the layout beyond the table.
    pub(super) remarks: &'static [&'static str],
}

/// The packages, all alike. CPUs are numbered as Linux does it on servers: first one thread of every core,
/// package by package, then their siblings in the same order.
#[derive(Debug)]
pub(super) struct Cpu {
    pub(super) model: &'static str,
    pub(super) packages: u32,
    /// Cores of one package.
    pub(super) cores: u32,
    /// Threads of one core.
    pub(super) threads: u32,
    /// NUMA nodes of one package.
    pub(super) nodes: u32,
    /// Memory of one NUMA node, where the product fixes it.
    pub(super) memory_gib: Option<u64>,
    /// The kernel's distance to the other nodes of the package, and to those of another.
    pub(super) distances: (u32, u32),
}

/// The model of all GPUs.
#[derive(Debug)]
pub(super) struct GpuModel {
    /// The name as `nvidia-smi -L` prints it.
    pub(super) name: &'static str,
    /// The memory as `nvidia-smi` prints it.
    pub(super) memory_mib: u64,
}

/// A host bridge and what hangs on it.
#[derive(Debug)]
pub(super) struct Bridge {
    /// The NUMA node that it belongs to.
    pub(super) node: u32,
    pub(super) below: &'static [Item],
}

/// A device on PCIe.
#[derive(Debug)]
pub(super) enum Item {
    /// A PCIe switch, or a root port with several functions below it.
    Switch(&'static [Item]),
    /// The GPU of this index.
    Gpu(u32, Option<PciAddress>),
    /// `mlx5_` and this number, with a rate in Gb/s.
    Nic(u32, u64, Option<PciAddress>),
    /// An adapter whose RDMA device has another name, with a rate in Gb/s.
    Named(&'static str, u64, Option<PciAddress>),
}

/// The NVLinks between the GPUs.
#[derive(Debug)]
pub(super) enum Nvlink {
    None,
    /// From GPU to GPU: both, and how many links.
    Direct {
        generation: u8,
        pairs: &'static [(u32, u32, u16)],
    },
    /// Direct links over the slower bridges of workstation GPUs.
    Bridges {
        pairs: &'static [(u32, u32, u16)],
    },
    /// Over NVSwitches.
    Switched {
        generation: u8,
        /// The number of links of each GPU to each switch of its board.
        links: &'static [u16],
        boards: &'static [Board],
        /// The number of links between each switch of a board and its counterpart on the next.
        trunk: u16,
    },
}

/// GPUs that share NVSwitches.
#[derive(Debug)]
pub(super) struct Board {
    /// The first GPU, and the one after the last.
    pub(super) gpus: (u32, u32),
    /// The addresses of its switches, in the order of `links`; empty where they are not published.
    pub(super) switches: &'static [Option<PciAddress>],
}

/// A GPU that shares a coherent address space with its CPU.
#[derive(Debug)]
pub(super) struct Coherent {
    pub(super) gpu: u32,
    /// The NUMA node of the CPU at the other end of C2C.
    pub(super) cpu_node: u32,
    /// The NUMA node that is the GPU's memory.
    pub(super) memory_node: u32,
    /// The kernel's distance between the two, and to every other node.
    pub(super) distances: (u32, u32),
    /// The links of C2C.
    pub(super) links: u16,
}

/// Returns device 0 of a bus.
#[expect(clippy::unnecessary_wraps, reason = "the tables hold `None` where no address is published")]
pub(super) const fn bus(bus: u8) -> Option<PciAddress> {
    Some(address(0, bus, 0))
}

/// Returns a function of device 0 of a bus.
#[expect(clippy::unnecessary_wraps, reason = "the tables hold `None` where no address is published")]
pub(super) const fn function(bus: u8, function: u8) -> Option<PciAddress> {
    Some(address(0, bus, function))
}

/// Returns device 0 of a bus in a PCI domain.
#[expect(clippy::unnecessary_wraps, reason = "the tables hold `None` where no address is published")]
pub(super) const fn domain(domain: u32, bus: u8) -> Option<PciAddress> {
    Some(address(domain, bus, 0))
}

/// Returns a device of a bus.
#[expect(clippy::unnecessary_wraps, reason = "the tables hold `None` where no address is published")]
pub(super) const fn slot(bus: u8, device: u8) -> Option<PciAddress> {
    Some(PciAddress { device, ..address(0, bus, 0) })
}

const fn address(domain: u32, bus: u8, function: u8) -> PciAddress {
    PciAddress { domain, bus, device: 0, function }
}
