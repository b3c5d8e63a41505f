//! A network adapter as the kernel shows it: the ports of its RDMA device, and its interfaces.
//!
//! The RDMA device is read first; facts that it lacks are those of the interface.

use super::net::Names;
use super::pci::driver_of;
use super::tree::Tree;
use crate::model::{LinkLayer, Nic, PortState};
use crate::units::Bandwidth;

/// The names under which the facts of one adapter are found.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    /// Its RDMA device.
    pub(super) rdma: Option<&'a str>,
    /// Its network interfaces.
    pub(super) interfaces: &'a [String],
    /// The folder of its PCI function.
    pub(super) folder: Option<&'a str>,
}

/// A port of an RDMA device.
struct Port {
    number: u32,
    folder: String,
    state: Option<PortState>,
}

/// Reads an adapter, without names and place; the text is a note about the choice of a port.
pub(super) fn read(tree: &Tree, names: &Names, ends: Ends<'_>) -> (Nic, Option<String>) {
    let ports = ends.rdma.map(|rdma| ports(tree, rdma)).unwrap_or_default();
    let (port, note) = choose(ends.rdma, &ports);
    let lead = lead(tree, names, ends.interfaces, port.filter(|_| ports.len() > 1));
    let device = |name: &str| {
        let text = tree.text(&format!("sys/class/infiniband/{}/{name}", ends.rdma?))?;
        Some(text).filter(|text| !text.is_empty())
    };
    let driver = || driver_of(tree, ends.folder?);
    let state = port.and_then(|port| port.state);
    let nic = Nic {
        model: device("hca_type").or_else(|| device("board_id")).or_else(driver),
        firmware: device("fw_ver"),
        port: port.map(|port| port.number),
        state: state.or_else(|| interface_state(tree, lead?)),
        link_layer: port.and_then(|port| link_layer(tree, port)).or_else(|| interface_layer(tree, lead?)),
        rate: port.and_then(|port| port_rate(tree, port)).or_else(|| {
            // Reading the speed of an interface that is down is an error, which is no damage.
            let others = ends.interfaces.iter().map(String::as_str).filter(|name| Some(*name) != lead);
            lead.into_iter().chain(others).find_map(|name| interface_rate(tree, name))
        }),
        mtu: lead.and_then(|lead| mtu(tree, lead)),
        bond: lead.and_then(|lead| names.bond_of(tree, lead)),
        ..Nic::default()
    };
    (nic, note)
}

/// Returns the ports of an RDMA device. Of several, those after the first that carries data are not asked for their
/// state.
fn ports(tree: &Tree, rdma: &str) -> Vec<Port> {
    let folder = format!("sys/class/infiniband/{rdma}/ports");
    let mut active = false;
    let port = |number| {
        let folder = format!("{folder}/{number}");
        let state = if active { None } else { port_state(tree, &folder) };
        active |= state == Some(PortState::Active);
        Port { number, folder, state }
    };
    tree.numbered(&folder, "").into_iter().map(port).collect()
}

/// Returns the port that stands for the device: the first that carries data, else the first. Jobs take no other.
fn choose<'p>(rdma: Option<&str>, ports: &'p [Port]) -> (Option<&'p Port>, Option<String>) {
    let active = ports.iter().find(|port| port.state == Some(PortState::Active));
    let chosen = active.or(ports.first());
    let note = rdma.zip(chosen).filter(|_| ports.len() > 1).map(|(rdma, chosen)| {
        let why = if active.is_some() { "the first that is active" } else { "as none is active" };
        format!("{rdma} has {} ports; what is said of it is of port {}, {why}", ports.len(), chosen.number)
    });
    (chosen, note)
}

/// Reads a state such as `4: ACTIVE`.
fn port_state(tree: &Tree, folder: &str) -> Option<PortState> {
    PortState::of_tool(tree.text(&format!("{folder}/state"))?.rsplit(' ').next()?)
}

fn link_layer(tree: &Tree, port: &Port) -> Option<LinkLayer> {
    LinkLayer::of_tool(&tree.text(&format!("{}/link_layer", port.folder))?)
}

/// Returns the rate of a port: `400 Gb/sec (4X NDR)`. `None` when it is down, as the kernel then names the slowest rate
/// there is.
fn port_rate(tree: &Tree, port: &Port) -> Option<Bandwidth> {
    if port.state == Some(PortState::Down) {
        return None;
    }
    let text = tree.text(&format!("{}/rate", port.folder))?;
    let gigabits: f64 = text.split_whitespace().next()?.parse().ok()?;
    let sane = (0.1..1e6).contains(&gigabits) && text.contains("Gb/sec");
    sane.then(|| Bandwidth::from_gb_per_s(gigabits / 8.0))
}

/// Returns the interface that stands for all of a function: that of the port, where one of several was chosen; else one
/// that belongs to a bond, else one that is up, else the first.
fn lead<'n>(tree: &Tree, names: &Names, interfaces: &'n [String], port: Option<&Port>) -> Option<&'n str> {
    let (first, rest) = interfaces.split_first()?;
    if rest.is_empty() {
        return Some(first);
    }
    let of_port = |port: &Port| {
        interfaces.iter().find(|name| port_of(tree, name).is_some_and(|own| own + 1 == port.number))
    };
    let found = match port {
        Some(port) => of_port(port),
        None => interfaces.iter().find(|name| names.bond_of(tree, name).is_some()).or_else(|| {
            interfaces.iter().find(|name| interface_state(tree, name) == Some(PortState::Active))
        }),
    };
    Some(found.unwrap_or(first))
}

/// Returns the port of its function that an interface belongs to, from 0. Kernels before 3.15 have only the second
/// file, as `0x1`.
fn port_of(tree: &Tree, interface: &str) -> Option<u32> {
    let text = |name: &str| tree.text(&format!("sys/class/net/{interface}/{name}"));
    let number = text("dev_port").and_then(|text| text.parse().ok());
    number.or_else(|| u32::from_str_radix(text("dev_id")?.strip_prefix("0x")?, 16).ok())
}

/// Returns whether an interface can carry data, in the words of RFC 2863; drivers that do not know still see the cable.
fn interface_state(tree: &Tree, interface: &str) -> Option<PortState> {
    match &*tree.text(&format!("sys/class/net/{interface}/operstate"))? {
        "up" => Some(PortState::Active),
        "down" | "lowerlayerdown" | "notpresent" => Some(PortState::Down),
        "unknown" => match &*tree.text(&format!("sys/class/net/{interface}/carrier"))? {
            "1" => Some(PortState::Active),
            "0" => Some(PortState::Down),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the link layer by the hardware type. Source: Linux, `ARPHRD_ETHER` and `ARPHRD_INFINIBAND`.
fn interface_layer(tree: &Tree, interface: &str) -> Option<LinkLayer> {
    match &*tree.text(&format!("sys/class/net/{interface}/type"))? {
        "1" => Some(LinkLayer::Ethernet),
        "32" => Some(LinkLayer::InfiniBand),
        _ => None,
    }
}

fn mtu(tree: &Tree, interface: &str) -> Option<u32> {
    let bytes = tree.text(&format!("sys/class/net/{interface}/mtu"))?.parse().ok();
    bytes.filter(|bytes| *bytes > 0)
}

/// Returns the rate of a network interface in Mb/s; the kernel writes -1 for unknown.
fn interface_rate(tree: &Tree, interface: &str) -> Option<Bandwidth> {
    let megabits: u64 = tree.text(&format!("sys/class/net/{interface}/speed"))?.parse().ok()?;
    // Older kernels write -1 as an unsigned number.
    (1..u64::from(u16::MAX) * 1000).contains(&megabits).then(|| Bandwidth::from_mb_per_s(megabits / 8))
}
