//! The bridges between a host bridge and its devices: which of them are nodes of the graph, and which are wires.
//!
//! A switch is an upstream port with its downstream ports; it is one node. A root port with one device below is a
//! wire; with several (the functions of a card) it is a node, so that they are seen to be near each other. Only
//! bridges above devices that matter are looked at.

use super::pci::{Device, wire};
use super::port::{self, Port};
use super::tree::Tree;
use crate::ids::PciAddress;
use crate::model::{Fragment, Link, NodeId, NodeKind, PcieSwitch};
use std::collections::{BTreeMap, BTreeSet};

/// The bridges below one host bridge.
pub(super) struct Bridges(BTreeMap<PciAddress, Bridge>);

struct Bridge {
    folder: String,
    /// Devices and bridges that matter directly below.
    below: BTreeSet<PciAddress>,
    leads_on: bool,
    port: Option<Port>,
    link: Link,
    node: Option<NodeId>,
}

impl Bridges {
    /// The bridges above some devices.
    pub(super) fn above<'a>(tree: &Tree, devices: impl Iterator<Item = &'a Device>) -> Self {
        let mut bridges = Self(BTreeMap::new());
        for device in devices {
            let chain = &device.chain;
            for (place, (address, end)) in chain.iter().enumerate() {
                let next = chain.get(place + 1).map(|(address, _)| *address);
                let folder = &device.folder[..*end];
                let bridge = bridges.0.entry(*address).or_insert_with(|| Bridge {
                    folder: folder.to_owned(),
                    below: BTreeSet::new(),
                    leads_on: false,
                    port: port::read(&tree.head(&format!("{folder}/config"), 256)),
                    link: wire(tree, folder, false),
                    node: None,
                });
                bridge.below.insert(next.unwrap_or(device.address));
                bridge.leads_on |= next.is_some();
            }
        }
        bridges
    }

    /// What holds a device, with the link to it. Switches on the way are added when they are first met.
    pub(super) fn place(
        &mut self,
        tree: &Tree,
        fragment: &mut Fragment,
        host: NodeId,
        device: &Device,
    ) -> (NodeId, Link) {
        let (mut parent, mut links, mut above) = (host, Vec::new(), None);
        for (address, _) in &device.chain {
            let Some(bridge) = self.0.get_mut(address) else { continue };
            let port = *bridge.port.get_or_insert_with(|| by_place(above, bridge.leads_on));
            links.push(bridge.link.clone());
            // Below a switch, the port belongs to it; functions that share the port are on the switch.
            let is_node = match port {
                Port::Upstream => true,
                Port::Downstream if above == Some(Port::Upstream) => false,
                _ => bridge.below.len() > 1,
            };
            if is_node {
                parent = *bridge.node.get_or_insert_with(|| {
                    let kind = NodeKind::PcieSwitch(PcieSwitch { address: Some(*address) });
                    let node = fragment.add(parent, kind);
                    fragment.link(node, parent, slowest(&links));
                    node
                });
                links.clear();
            }
            above = Some(port);
        }
        if let (Some(last), Some((address, _))) = (links.last_mut(), device.chain.last()) {
            // The other end of the device's own link, which rests with it.
            if let Some(bridge) = self.0.get(address).filter(|_| device.rests) {
                *last = wire(tree, &bridge.folder, true);
            }
        }
        links.push(wire(tree, &device.folder, device.rests));
        (parent, slowest(&links))
    }
}

/// The kind of a port by its place: a root port, then pairs of upstream and downstream ports.
fn by_place(above: Option<Port>, leads_on: bool) -> Port {
    match above {
        None => Port::Root,
        Some(Port::Upstream) => Port::Downstream,
        Some(Port::Root | Port::Downstream) if leads_on => Port::Upstream,
        Some(_) => Port::Other,
    }
}

/// The slowest of the links in a row; of those without a rate, the last.
fn slowest(links: &[Link]) -> Link {
    let known = links.iter().filter(|link| link.rate.is_some());
    let slowest = known.min_by_key(|link| link.rate.map(|rate| rate.bandwidth));
    slowest.or(links.last()).cloned().unwrap_or_else(crate::model::rates::pcie_unknown)
}
