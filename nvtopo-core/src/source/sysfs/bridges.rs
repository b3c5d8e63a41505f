//! The bridges above the devices of a host bridge, as the kernel shows them; [`super::super::pci_tree`] makes nodes of
//! them.

use super::super::pci_tree;
use super::pci::{Device, Kind};
use super::tree::Tree;
use super::{facts, port};
use crate::ids::PciAddress;
use crate::model::{Fragment, Link, NodeId, PcieSpeed, PcieTraining};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// The bridges below one host bridge.
pub(super) struct Bridges {
    tree: pci_tree::Bridges,
    /// The current speed of each link.
    now: BTreeMap<PciAddress, PcieSpeed>,
    /// The highest speed of each bridge with a device directly below.
    most: BTreeMap<PciAddress, PcieSpeed>,
    /// The bridges that hide whether they redirect.
    opaque: BTreeSet<PciAddress>,
}

impl Bridges {
    /// Returns the bridges above some devices. `unseen`: their configuration space is hidden from this user.
    pub(super) fn above<'d>(
        tree: &Tree,
        devices: impl Iterator<Item = &'d Device>,
        unseen: &Cell<bool>,
    ) -> Self {
        let mut bridges = pci_tree::Bridges::default();
        let (now, mut most) = (RefCell::new(BTreeMap::new()), BTreeMap::new());
        let opaque = RefCell::new(BTreeSet::new());
        for device in devices {
            let folder = |place: usize| &device.placed()[..device.chain[place].1];
            bridges.add(chain(device), device.address, |place| {
                let own = facts::current_speed(tree, folder(place));
                now.borrow_mut().insert(device.chain[place].0, own);
                let hidden = unseen.get();
                let config = config(tree, folder(place), unseen);
                // A copy may lack the file as a whole: then the rest is not hidden.
                let begins = || !tree.part(&format!("{}/config", folder(place)), 0, 1).is_empty();
                if config.redirects.is_none() && (hidden || begins()) {
                    opaque.borrow_mut().insert(device.chain[place].0);
                }
                (config.port, Link { redirects: config.redirects, ..pci_tree::link(own, None) })
            });
            if let Some(place) = device.chain.len().checked_sub(1) {
                most.entry(device.chain[place].0)
                    .or_insert_with(|| facts::highest_speed(tree, folder(place)));
            }
        }
        Self { tree: bridges, now: now.into_inner(), most, opaque: opaque.into_inner() }
    }

    /// Returns the node that holds a device, and the link to it.
    pub(super) fn place(&mut self, fragment: &mut Fragment, host: NodeId, device: &Device) -> (NodeId, Link) {
        let own = pci_tree::link(device.now, device.rests.then_some(device.most));
        // The other end of the device's own link, which rests with it.
        let far = device.chain.last().filter(|_| device.rests).map(|(port, _)| {
            pci_tree::link(self.now.get(port).copied().unwrap_or_default(), self.most.get(port).copied())
        });
        self.tree.place(fragment, host, chain(device), own, far)
    }

    /// Returns whether a GPU and another of some devices meet below one port, with a port on the way of which it is
    /// unknown whether it redirects what they write to each other.
    pub(super) fn hide_redirects(&self, devices: &[&Device]) -> bool {
        let mut ports: BTreeMap<PciAddress, Vec<&Device>> = BTreeMap::new();
        for &device in devices.iter().filter(|device| matches!(device.kind, Kind::Gpu | Kind::Nic)) {
            if let Some((port, _)) = device.chain.first() {
                ports.entry(*port).or_default().push(device);
            }
        }
        let opaque = |device: &&Device| chain(device).any(|bridge| self.opaque.contains(&bridge));
        ports.values().any(|below| {
            let meet = below.len() > 1 && below.iter().any(|device| device.kind == Kind::Gpu);
            meet && below.iter().any(opaque)
        })
    }

    /// Returns how the link of a device trained. `None`: nothing is known of it.
    pub(super) fn training(&self, device: &Device) -> Option<PcieTraining> {
        let port = device.chain.last().and_then(|(port, _)| self.most.get(port));
        let port = port.copied().unwrap_or_default();
        let training = PcieTraining { now: device.now, device: device.most, port };
        (training != PcieTraining::default()).then_some(training)
    }
}

/// Reads the configuration space of a port. A user who may not read one of this machine may read none.
fn config(tree: &Tree, folder: &str, unseen: &Cell<bool>) -> port::Config {
    if unseen.get() {
        return port::Config::default();
    }
    let path = format!("{folder}/config");
    let config = port::read(|at, length| tree.part(&path, at.into(), length));
    unseen.set(tree.is_own() && config.cut);
    config
}

fn chain(device: &Device) -> impl Iterator<Item = PciAddress> {
    device.chain.iter().map(|(address, _)| *address)
}
