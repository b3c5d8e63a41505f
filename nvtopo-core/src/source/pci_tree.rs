//! The bridges between a host bridge and its devices, divided into nodes of the graph and wires.
//!
//! A switch is an upstream port with its downstream ports; it is one node. A root port with one device below is a wire;
//! with several (the functions of a card) it is a node, so that they are seen to be near each other. Sources find the
//! bridges, and add only those above devices of the graph.

use crate::ids::PciAddress;
use crate::model::{Fragment, Link, NodeId, NodeKind, PcieSpeed, PcieSwitch, rates};
use std::collections::BTreeMap;

/// The kinds of ports that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Below the root complex.
    Root,
    /// The upper side of a switch.
    Upstream,
    /// The lower side of a switch.
    Downstream,
    /// Any other bridge, such as one to conventional PCI.
    Other,
}

/// The bridges below one host bridge.
#[derive(Default)]
pub(super) struct Bridges(BTreeMap<PciAddress, Bridge>);

struct Bridge {
    /// The first device or bridge that matters directly below.
    below: PciAddress,
    /// True if there are others beside it.
    branches: bool,
    leads_on: bool,
    port: Option<Port>,
    link: Link,
    node: Option<NodeId>,
}

impl Bridges {
    /// Adds a device and the bridges above it, from the host bridge down. `facts` is called once for each bridge, by
    /// its position: its port, where the source knows it, and its link, whose `redirects` is that of this port alone.
    pub(super) fn add(
        &mut self,
        chain: impl Iterator<Item = PciAddress>,
        device: PciAddress,
        facts: impl Fn(usize) -> (Option<Port>, Link),
    ) {
        let mut chain = chain.enumerate().peekable();
        while let Some((place, address)) = chain.next() {
            let next = chain.peek().map(|(_, address)| *address);
            let below = next.unwrap_or(device);
            let bridge = self.0.entry(address).or_insert_with(|| {
                let (port, link) = facts(place);
                Bridge { below, branches: false, leads_on: false, port, link, node: None }
            });
            bridge.branches |= bridge.below != below;
            bridge.leads_on |= next.is_some();
        }
    }

    /// Returns the node that holds a device, and the link to it. Switches on the way are added when they are first met.
    /// `own` is the link as the device states it, `far` replaces the statement of the bridge at its other end.
    pub(super) fn place(
        &mut self,
        fragment: &mut Fragment,
        host: NodeId,
        chain: impl Iterator<Item = PciAddress>,
        own: Link,
        far: Option<Link>,
    ) -> (NodeId, Link) {
        let (mut parent, mut links, mut ports, mut above) = (host, Vec::new(), Vec::new(), None);
        for address in chain {
            let Some(bridge) = self.0.get_mut(&address) else { continue };
            let port = *bridge.port.get_or_insert_with(|| by_place(above, bridge.leads_on));
            links.push(bridge.link.clone());
            // Below a switch, the port belongs to it; functions that share the port are on the switch.
            let is_node = match port {
                Port::Upstream => true,
                Port::Downstream if above == Some(Port::Upstream) => false,
                _ => bridge.branches,
            };
            if is_node {
                parent = *bridge.node.get_or_insert_with(|| {
                    let kind =
                        NodeKind::PcieSwitch(PcieSwitch { address: Some(address), ..PcieSwitch::default() });
                    let node = fragment.add(parent, kind);
                    let link = Link { redirects: any_redirects(&ports), ..slowest(&links) };
                    fragment.link(node, parent, link);
                    node
                });
                links.clear();
                ports.clear();
            }
            // A port decides about what comes from below. All that comes to an upstream port goes up anyway.
            if port != Port::Upstream {
                ports.push(bridge.link.redirects);
            }
            above = Some(port);
        }
        if let (Some(last), Some(far)) = (links.last_mut(), far) {
            *last = far;
        }
        links.push(own);
        (parent, Link { redirects: any_redirects(&ports), ..slowest(&links) })
    }
}

/// Returns the link itself. A device that rests shows a slow link until it is used, so for it the `best` speed counts.
pub(super) fn link(now: PcieSpeed, best: Option<PcieSpeed>) -> Link {
    let generation = best.and_then(|best| best.generation).or(now.generation);
    match (generation, now.width) {
        (Some(generation), Some(width)) => rates::pcie(generation, width),
        (_, lanes) => Link { lanes, ..rates::pcie_unknown() },
    }
}

/// Returns the kind of a port by its place: a root port, then pairs of upstream and downstream ports.
fn by_place(above: Option<Port>, leads_on: bool) -> Port {
    match above {
        None => Port::Root,
        Some(Port::Upstream) => Port::Downstream,
        Some(Port::Root | Port::Downstream) if leads_on => Port::Upstream,
        Some(_) => Port::Other,
    }
}

/// Returns whether one of the ports on a wire redirects. That none does must be known of all; on a wire without ports
/// it does not matter.
fn any_redirects(ports: &[Option<bool>]) -> Option<bool> {
    let any = ports.contains(&Some(true));
    let known = !ports.is_empty() && ports.iter().all(Option::is_some);
    (any || known).then_some(any)
}

/// Returns the slowest of the links in a row; of those without a rate, the last.
fn slowest(links: &[Link]) -> Link {
    let known = links.iter().filter(|link| link.rate.is_some());
    let slowest = known.min_by_key(|link| link.rate.map(|rate| rate.bandwidth));
    slowest.or(links.last()).cloned().unwrap_or_else(rates::pcie_unknown)
}
