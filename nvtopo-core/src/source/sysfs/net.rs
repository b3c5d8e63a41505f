//! The kernel's names for network devices: which PCI function an RDMA device or a network interface is of.
//!
//! Software devices (bridges, loopback, RDMA over a software driver) are of no hardware and left out.

use super::tree::Tree;
use crate::ids::PciAddress;
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// RDMA devices and network interfaces.
#[derive(Default)]
pub(super) struct Names {
    /// RDMA devices by PCI function, sorted by name.
    pub(super) rdma: BTreeMap<PciAddress, Vec<String>>,
    /// Network interfaces by PCI function, sorted by name.
    pub(super) interfaces: BTreeMap<PciAddress, Vec<String>>,
    /// RDMA devices of hardware that is not on PCI (a hypervisor's bus).
    pub(super) elsewhere: Vec<String>,
}

/// Reads the names from `/sys/class`.
pub(super) fn read(tree: &Tree) -> Names {
    let mut names = Names::default();
    for rdma in tree.names("sys/class/infiniband") {
        match place(tree, "sys/class/infiniband", &rdma) {
            Place::Pci(address) => names.rdma.entry(address).or_default().push(rdma),
            Place::Elsewhere => names.elsewhere.push(rdma),
            Place::Nowhere => {}
        }
    }
    for interface in tree.names("sys/class/net") {
        if let Place::Pci(address) = place(tree, "sys/class/net", &interface) {
            names.interfaces.entry(address).or_default().push(interface);
        }
    }
    names
}

enum Place {
    Pci(PciAddress),
    Elsewhere,
    Nowhere,
}

/// Where the device is, from the link that names it: `../../devices/pci0000:00/…/0000:82:00.0/net/ib0`.
fn place(tree: &Tree, class: &str, name: &str) -> Place {
    let entry = tree.link(&format!("{class}/{name}"));
    // Old kernels have a folder here, and a link to the device in it.
    let Some(target) = entry.or_else(|| tree.link(&format!("{class}/{name}/device"))) else {
        return Place::Nowhere;
    };
    match target.rsplit('/').find_map(|part| part.parse().ok()) {
        Some(address) => Place::Pci(address),
        None if target.contains("/virtual/") => Place::Nowhere,
        None => Place::Elsewhere,
    }
}

/// The rate of an RDMA device's first port: `400 Gb/sec (4X NDR)`. `None` when the port is down, as the kernel
/// then names the slowest rate there is.
pub(super) fn rdma_rate(tree: &Tree, device: &str) -> Option<Bandwidth> {
    let ports = format!("sys/class/infiniband/{device}/ports");
    let port = tree.names(&ports).into_iter().next()?;
    let up = tree.text(&format!("{ports}/{port}/state")).is_none_or(|state| !state.contains("DOWN"));
    let text = tree.text(&format!("{ports}/{port}/rate")).filter(|_| up)?;
    let gigabits: f64 = text.split_whitespace().next()?.parse().ok()?;
    let sane = (0.1..1e6).contains(&gigabits) && text.contains("Gb/sec");
    sane.then(|| Bandwidth::from_gb_per_s(gigabits / 8.0))
}

/// The rate of a network interface in Mb/s; the kernel writes -1 for unknown.
pub(super) fn interface_rate(tree: &Tree, interface: &str) -> Option<Bandwidth> {
    // Reading the speed of an interface that is down is an error, which is no damage.
    let megabits: u64 = tree.text(&format!("sys/class/net/{interface}/speed"))?.parse().ok()?;
    // Older kernels write -1 as an unsigned number.
    (1..u64::from(u16::MAX) * 1000).contains(&megabits).then(|| Bandwidth::from_mb_per_s(megabits / 8))
}
