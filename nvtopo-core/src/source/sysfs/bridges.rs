//! The bridges above the devices of a host bridge, as the kernel shows them; what becomes of them is for
//! [`super::super::pci_tree`].

use super::super::pci_tree;
use super::pci::{Device, wire};
use super::port;
use super::tree::Tree;
use crate::ids::PciAddress;
use crate::model::{Fragment, Link, NodeId};

/// The bridges below one host bridge.
pub(super) struct Bridges<'a> {
    tree: &'a Tree,
    bridges: pci_tree::Bridges,
}

impl<'a> Bridges<'a> {
    /// The bridges above some devices.
    pub(super) fn above<'d>(tree: &'a Tree, devices: impl Iterator<Item = &'d Device>) -> Self {
        let mut bridges = pci_tree::Bridges::default();
        for device in devices {
            bridges.add(chain(device), device.address, |place| {
                let folder = &device.folder[..device.chain[place].1];
                let port = port::read(&tree.head(&format!("{folder}/config"), 256));
                (port, wire(tree, folder, false))
            });
        }
        Self { tree, bridges }
    }

    /// What holds a device, with the link to it.
    pub(super) fn place(&mut self, fragment: &mut Fragment, host: NodeId, device: &Device) -> (NodeId, Link) {
        let own = wire(self.tree, &device.folder, device.rests);
        // The other end of the device's own link, which rests with it.
        let last = device.chain.last().filter(|_| device.rests);
        let far = last.map(|(_, end)| wire(self.tree, &device.folder[..*end], true));
        self.bridges.place(fragment, host, chain(device), own, far)
    }
}

fn chain(device: &Device) -> impl Iterator<Item = PciAddress> {
    device.chain.iter().map(|(address, _)| *address)
}
