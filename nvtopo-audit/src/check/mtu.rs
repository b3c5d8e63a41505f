//! The largest packets of the interfaces that carry RDMA, of what stands on them, and of overlays.

use super::rdma::ports_of;
use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::interfaces::{Interface, interfaces};
use crate::reading::ports::{Port, compute_devices};
use nvtopo::model::LinkLayer;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "mtu-active",
        theme: Theme::Mtu,
        severity: Severity::Warning,
        claim: "RDMA uses packets of 4096 bytes, the largest there are.",
        evidence: "The MTU of the interface of each active Ethernet port, from which the kernel derives that of RDMA, and \
                   active_mtu of ibv_devinfo.",
        rule: "Warns below 4096. Fails where ibv_devinfo tells another MTU than the interface allows. On Ethernet it is the \
               largest of 4096, 2048, 1024, 512 and 256 that fits into the interface's less 96 bytes of headers, so 4096 \
               needs an MTU of 4192. On InfiniBand only ibv_devinfo tells it. Does not apply where no port is active.",
        remedy: "Set the interface's MTU to 9000, on the switches too.",
        source: "Linux, include/rdma/ib_addr.h, iboe_get_mtu",
        run: active,
    },
    Check {
        code: "mtu-aligned",
        theme: Theme::Mtu,
        severity: Severity::Critical,
        claim: "The interfaces of the GPUs' network, and the bonds and VLANs on them, have one MTU.",
        evidence: "The MTU of each interface (/sys/class/net/*/mtu, ip link), and the profile's mtu.",
        rule: "Fails where they differ from each other or from the profile. What switches and other nodes have cannot be seen \
               from here.",
        remedy: "Set one MTU on all of them.",
        source: "Linux, Documentation/ABI/testing/sysfs-class-net; NVIDIA's RoCE configuration guide",
        run: aligned,
    },
    Check {
        code: "mtu-overlay",
        theme: Theme::Mtu,
        severity: Severity::Warning,
        claim: "Packets of an overlay network fit into those of the network below.",
        evidence: "The MTU of interfaces for VXLAN, Geneve, IPIP and WireGuard, and that of the interface below.",
        rule: "Fails where an overlay's MTU is larger than the one below less its headers: 50 bytes for VXLAN and Geneve, 20 \
               for IPIP, 60 for WireGuard (over IPv4). Where the interface below is not told, all interfaces of adapters must \
               agree on the verdict. Does not apply without an overlay, and to devices whose users set the size (genev_sys, \
               vxlan_sys, cilium).",
        remedy: "Set the MTU of the network plugin. RDMA over host devices or virtual functions is not concerned.",
        source: "RFC 7348 and RFC 8926 (headers); Project Calico, MTU and overlay networks",
        run: overlay,
    },
];

/// The headers of RoCE v2 that the kernel leaves room for.
const HEADERS: u32 = 96;

/// Returns the MTU of RDMA over an interface. `None`: it fits no packet.
fn of_interface(mtu: u32) -> Option<u32> {
    let room = mtu.checked_sub(HEADERS)?;
    [4096, 2048, 1024, 512, 256].into_iter().find(|own| *own <= room)
}

/// The largest MTU of RDMA.
const LARGEST: u32 = 4096;

/// Returns the largest packet of a port's interface.
fn mtu_of(port: &Port, all: &BTreeMap<String, Interface>) -> Option<(String, u32)> {
    port.interfaces.iter().find_map(|name| Some((name.clone(), all.get(name)?.mtu?)))
}

fn active(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports = ports_of(evidence, verdicts);
    let all = interfaces(evidence);
    for port in ports.iter().filter(|port| !port.is_down()) {
        let name = port.name();
        let interface = mtu_of(port, &all).filter(|_| port.layer == Some(LinkLayer::Ethernet));
        let derived = interface.as_ref().map(|(_, mtu)| of_interface(*mtu).unwrap_or(0));
        match (derived, port.active_mtu, &interface) {
            (Some(derived), Some(told), Some((interface, mtu))) if derived != told => {
                let text =
                    format!("RDMA uses {told} bytes, where the MTU {mtu} of {interface} gives {derived}");
                verdicts.fail(name, text);
            }
            (Some(derived), _, Some((interface, mtu))) if derived < LARGEST => {
                let text = format!(
                    "the MTU {mtu} of {interface} leaves RDMA {derived} bytes, where {LARGEST} are possible"
                );
                verdicts.warn(name, text);
            }
            (_, Some(told), _) if told < LARGEST => {
                verdicts.warn(name, format!("RDMA uses {told} bytes, where {LARGEST} are possible"));
            }
            (None, None, _) if port.layer == Some(LinkLayer::Ethernet) => {
                verdicts.unknown(name, "no source tells the MTU of its interface");
            }
            (None, None, _) => verdicts.unknown(name, "no source tells its MTU; ibv_devinfo does"),
            _ => verdicts.pass(name, format!("RDMA uses {LARGEST} bytes")),
        }
    }
    verdicts.otherwise_not_applicable("no RDMA port is active");
}

fn aligned(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports = ports_of(evidence, verdicts);
    let compute = compute_devices(evidence, &ports);
    let all = interfaces(evidence);
    let is_own = |port: &&Port| compute.contains(&port.device) && port.layer == Some(LinkLayer::Ethernet);
    let own: Vec<&Port> = ports.iter().filter(is_own).filter(|port| !port.is_virtual).collect();
    if own.is_empty() && ports.iter().any(|port| port.layer.is_none()) {
        verdicts.unknown(NODE, "no source tells the link layer of its RDMA ports");
    }
    if own.is_empty() {
        return verdicts.otherwise_not_applicable("the GPUs' network is not Ethernet");
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for port in &own {
        let name = port.interfaces.iter().find(|name| all.get(*name).is_some_and(|own| own.mtu.is_some()));
        let Some(name) = name else {
            return verdicts.unknown(NODE, format!("no source tells the MTU of {}", port.name()));
        };
        names.insert(name);
    }
    // What stands on them: bonds, then VLANs.
    let bonds: Vec<&str> = names.iter().filter_map(|name| all[*name].master.as_deref()).collect();
    let is_bond = |name: &&str| all.get(*name).is_some_and(|own| own.kind.as_deref() != Some("bridge"));
    names.extend(bonds.into_iter().filter(is_bond));
    let is_above = |own: &Interface| {
        own.kind.as_deref().is_none_or(|kind| kind == "vlan")
            && own.below.as_deref().is_some_and(|below| names.contains(below))
    };
    let above: Vec<&str> =
        all.iter().filter(|(_, own)| is_above(own)).map(|(name, _)| name.as_str()).collect();
    names.extend(above);
    let mut by_mtu: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for name in names {
        if let Some(mtu) = all.get(name).and_then(|own| own.mtu) {
            by_mtu.entry(mtu).or_default().push(name);
        }
    }
    let list = |(mtu, names): (&u32, &Vec<&str>)| format!("{mtu} on {}", names.join(", "));
    let told: Vec<String> = by_mtu.iter().map(list).collect();
    let expected = evidence.profile.expect.mtu;
    match (by_mtu.keys().next(), expected) {
        _ if by_mtu.len() > 1 => verdicts.fail(NODE, format!("the MTU is {}", told.join("; "))),
        (Some(mtu), Some(expected)) if *mtu != expected => {
            verdicts
                .fail(NODE, format!("the MTU is {}, where the profile expects {expected}", told.join("; ")));
        }
        (Some(mtu), _) => {
            verdicts.pass(NODE, format!("all interfaces of the GPUs' network have an MTU of {mtu}"));
        }
        (None, _) => verdicts.unknown(NODE, "no source tells the MTU of the GPUs' network"),
    }
}

/// The kinds of overlays, the begin of names that network plugins give to them, and their headers over IPv4.
const OVERLAYS: [(&str, &[&str], u32); 4] = [
    ("vxlan", &["vxlan", "flannel."], 50),
    ("geneve", &["geneve"], 50),
    ("ipip", &["tunl"], 20),
    ("wireguard", &["wg", "wireguard"], 60),
];

/// The begin of names of devices on which each packet names its tunnel: their MTU limits nothing.
const BY_PACKET: [&str; 3] = ["genev_sys", "vxlan_sys", "cilium_"];

fn overlay(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let all = interfaces(evidence);
    if all.is_empty() {
        return verdicts.unknown(NODE, "no source lists network interfaces");
    }
    let hardware: Vec<u32> = evidence
        .topology
        .nics()
        .flat_map(|nic| &nic.net_devices)
        .filter_map(|name| all.get(name)?.mtu)
        .collect();
    for (name, own) in &all {
        let of_kind = |(kind, begins, _): &&(&str, &[&str], u32)| match &own.kind {
            Some(own) => own == kind,
            None => begins.iter().any(|begin| name.starts_with(begin)),
        };
        let Some((kind, _, headers)) = OVERLAYS.iter().find(of_kind) else { continue };
        if BY_PACKET.iter().any(|begin| name.starts_with(begin)) {
            verdicts.not_applicable(name, "its users set the size of packets");
            continue;
        }
        let Some(mtu) = own.mtu else {
            verdicts.unknown(name, "no source tells its MTU");
            continue;
        };
        let below = own.below.as_ref().and_then(|below| Some((below.as_str(), all.get(below)?.mtu?)));
        let needed = u64::from(mtu) + u64::from(*headers);
        match (below, hardware.iter().min(), hardware.iter().max()) {
            (Some((below, room)), ..) if u64::from(room) < needed => {
                let text =
                    format!("its MTU {mtu} and {headers} bytes of {kind} exceed the {room} of {below}");
                verdicts.fail(name, text);
            }
            (Some((below, room)), ..) => {
                verdicts.pass(
                    name,
                    format!("its MTU {mtu} and {headers} bytes of {kind} fit into the {room} of {below}"),
                );
            }
            (None, Some(least), _) if u64::from(*least) >= needed => {
                verdicts.pass(
                    name,
                    format!("its MTU {mtu} and {headers} bytes of {kind} fit into each adapter's"),
                );
            }
            (None, _, Some(most)) if u64::from(*most) < needed => {
                verdicts
                    .fail(name, format!("its MTU {mtu} and {headers} bytes of {kind} exceed each adapter's"));
            }
            _ => verdicts.unknown(name, format!("its MTU is {mtu}; no source tells the interface below")),
        }
    }
    verdicts.otherwise_not_applicable("it has no interface of an overlay network");
}
