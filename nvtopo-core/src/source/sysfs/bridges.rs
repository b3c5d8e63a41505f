//! The bridges above the devices of a host bridge, as the kernel shows them; what becomes of them is for
//! [`super::super::pci_tree`].

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
    /// The link of each, as it runs.
    now: BTreeMap<PciAddress, PcieSpeed>,
    /// The most that those could do that have a device directly below.
    most: BTreeMap<PciAddress, PcieSpeed>,
    /// Those that hide whether they redirect.
    untold: BTreeSet<PciAddress>,
}

impl Bridges {
    /// The bridges above some devices. `unseen` tells whether their configuration space is hidden from us.
    pub(super) fn above<'d>(
        tree: &Tree,
        devices: impl Iterator<Item = &'d Device>,
        unseen: &Cell<bool>,
    ) -> Self {
        let mut bridges = pci_tree::Bridges::default();
        let (now, mut most) = (RefCell::new(BTreeMap::new()), BTreeMap::new());
        let untold = RefCell::new(BTreeSet::new());
        for device in devices {
            let folder = |place: usize| &device.placed()[..device.chain[place].1];
            bridges.add(chain(device), device.address, |place| {
                let own = facts::now(tree, folder(place));
                now.borrow_mut().insert(device.chain[place].0, own);
                let hidden = unseen.get();
                let config = config(tree, folder(place), unseen);
                // Where not even the start is there, as in a copy, nobody hides the rest.
                let begins = || !tree.part(&format!("{}/config", folder(place)), 0, 1).is_empty();
                if config.redirects.is_none() && (hidden || begins()) {
                    untold.borrow_mut().insert(device.chain[place].0);
                }
                (config.port, Link { redirects: config.redirects, ..facts::wire(own, None) })
            });
            if let Some(place) = device.chain.len().checked_sub(1) {
                most.entry(device.chain[place].0).or_insert_with(|| facts::most(tree, folder(place)));
            }
        }
        Self { tree: bridges, now: now.into_inner(), most, untold: untold.into_inner() }
    }

    /// What holds a device, with the link to it.
    pub(super) fn place(&mut self, fragment: &mut Fragment, host: NodeId, device: &Device) -> (NodeId, Link) {
        let own = facts::wire(device.now, device.rests.then_some(device.most));
        // The other end of the device's own link, which rests with it.
        let far = device.chain.last().filter(|_| device.rests).map(|(port, _)| {
            facts::wire(self.now.get(port).copied().unwrap_or_default(), self.most.get(port).copied())
        });
        self.tree.place(fragment, host, chain(device), own, far)
    }

    /// Whether a GPU and another of some devices meet below one port, with a port on the way of which it is unknown
    /// whether it redirects what they write to each other.
    pub(super) fn hide_redirects(&self, devices: &[&Device]) -> bool {
        let mut ports: BTreeMap<PciAddress, Vec<&Device>> = BTreeMap::new();
        for &device in devices.iter().filter(|device| matches!(device.kind, Kind::Gpu | Kind::Nic)) {
            if let Some((port, _)) = device.chain.first() {
                ports.entry(*port).or_default().push(device);
            }
        }
        let untold = |device: &&Device| chain(device).any(|bridge| self.untold.contains(&bridge));
        ports.values().any(|below| {
            let meet = below.len() > 1 && below.iter().any(|device| device.kind == Kind::Gpu);
            meet && below.iter().any(untold)
        })
    }

    /// How the link of a device trained. `None`: nothing is known of it.
    pub(super) fn training(&self, device: &Device) -> Option<PcieTraining> {
        let port = device.chain.last().and_then(|(port, _)| self.most.get(port));
        let port = port.copied().unwrap_or_default();
        let training = PcieTraining { now: device.now, device: device.most, port };
        (training != PcieTraining::default()).then_some(training)
    }
}

/// Who may not read one configuration space of this machine may read none.
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
