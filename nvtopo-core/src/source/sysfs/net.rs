//! The kernel's names for network devices: the PCI function of an RDMA device or of a network interface, and bonds of
//! interfaces.
//!
//! Software devices (bridges, loopback, RDMA over a software driver) have no hardware and are left out.

use super::tree::Tree;
use crate::ids::PciAddress;
use std::collections::BTreeMap;

const RDMA: &str = "sys/class/infiniband";
const INTERFACES: &str = "sys/class/net";

/// The file beside the interfaces that lists the bonds.
const BONDS: &str = "bonding_masters";

/// RDMA devices and network interfaces.
#[derive(Default)]
pub(super) struct Names {
    /// RDMA devices by PCI function, sorted by name.
    pub(super) rdma: BTreeMap<PciAddress, Vec<String>>,
    /// Network interfaces by PCI function, sorted by name.
    pub(super) interfaces: BTreeMap<PciAddress, Vec<String>>,
    /// RDMA devices of hardware that is not on PCI (a hypervisor's bus).
    pub(super) elsewhere: Vec<String>,
    /// The bonds by the interfaces that belong to them.
    bonds: BTreeMap<String, String>,
}

impl Names {
    /// Returns whether a PCI function has a name.
    pub(super) fn has(&self, address: PciAddress) -> bool {
        self.rdma.contains_key(&address) || self.interfaces.contains_key(&address)
    }

    /// Returns the bond that an interface belongs to. Bridges and teams have interfaces, too, and are no bonds.
    pub(super) fn bond_of(&self, tree: &Tree, interface: &str) -> Option<String> {
        self.bonds.get(interface).cloned().or_else(|| {
            let target = tree.link(&format!("{INTERFACES}/{interface}/master"))?;
            let master = target.rsplit('/').next()?;
            tree.has_folder(&format!("{INTERFACES}/{master}/bonding")).then(|| master.to_owned())
        })
    }
}

/// Reads the names from `/sys/class`.
pub(super) fn read(tree: &Tree) -> Names {
    let mut names = Names::default();
    for rdma in tree.names(RDMA) {
        match place(tree, RDMA, &rdma) {
            Place::Pci(address) => names.rdma.entry(address).or_default().push(rdma),
            Place::Elsewhere => names.elsewhere.push(rdma),
            Place::Nowhere => {}
        }
    }
    for interface in tree.names(INTERFACES) {
        if interface == BONDS {
            names.bonds = bonds(tree);
        } else if let Place::Pci(address) = place(tree, INTERFACES, &interface) {
            names.interfaces.entry(address).or_default().push(interface);
        }
    }
    names
}

/// Returns the bonds by their interfaces.
fn bonds(tree: &Tree) -> BTreeMap<String, String> {
    let mut bonds = BTreeMap::new();
    let listed = tree.text(&format!("{INTERFACES}/{BONDS}")).unwrap_or_default();
    for bond in listed.split_whitespace().filter(|bond| !bond.contains('/')) {
        let slaves = tree.text(&format!("{INTERFACES}/{bond}/bonding/slaves")).unwrap_or_default();
        bonds.extend(slaves.split_whitespace().map(|slave| (slave.to_owned(), bond.to_owned())));
    }
    bonds
}

/// The place of a device.
pub(super) enum Place {
    /// A function of the PCI bus.
    Pci(PciAddress),
    /// Another bus.
    Elsewhere,
    /// None: software makes the device.
    Nowhere,
}

/// Returns the place of a device, from the link that names it: `../../devices/pci0000:00/…/0000:82:00.0/net/ib0`.
pub(super) fn place(tree: &Tree, class: &str, name: &str) -> Place {
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
