//! The devices that a guest gets, by the names that people give.

use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{NodeId, NodeKind, Topology};
use crate::source::plain::number;
use crate::units::listed;
use std::collections::BTreeSet;

/// A PCI function of the host: a GPU, an NVSwitch, or the NICs that are ports of one adapter.
pub(super) type Function = Vec<NodeId>;

/// Returns the functions that names stand for, in the host's order of devices: GPUs, NICs, NVSwitches.
pub(super) fn find(host: &Topology, names: &[String]) -> Result<Vec<Function>> {
    let switches = host.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_)));
    let all: Vec<NodeId> = host.devices().iter().copied().chain(switches.map(|(id, _)| id)).collect();
    let mut wanted = BTreeSet::new();
    for name in names {
        for name in expand(name.trim()) {
            for id in named(host, &all, &name)? {
                if !wanted.insert(id) {
                    let text = format!("{} is in the list of devices twice", device_name(host, id));
                    return Err(Error::request(text).help("name each device once"));
                }
            }
        }
    }
    if names.is_empty() {
        wanted.extend(host.devices());
    }
    if wanted.is_empty() {
        return Err(Error::request("the machine has no GPU and no NIC that a virtual machine could get"));
    }
    let mut functions: Vec<(Option<PciAddress>, Function)> = Vec::new();
    for id in all {
        let own = address(host, id);
        // A port that is not named comes along with its function.
        let is_wanted =
            wanted.contains(&id) || own.is_some() && wanted.iter().any(|other| address(host, *other) == own);
        if !is_wanted {
            continue;
        }
        match functions.iter_mut().find(|(address, _)| own.is_some() && *address == own) {
            Some((_, function)) => function.push(id),
            None => functions.push((own, vec![id])),
        }
    }
    Ok(functions.into_iter().map(|(_, function)| function).collect())
}

/// Returns the name of a device for people.
pub(super) fn device_name(host: &Topology, id: NodeId) -> String {
    match &host.node(id).kind {
        NodeKind::Gpu(gpu) => gpu.name(),
        NodeKind::Nic(nic) => nic.name.clone(),
        _ => address(host, id).map_or_else(|| "an NVSwitch".to_owned(), |own| format!("NVSwitch {own}")),
    }
}

/// Returns the PCI address of a device on the host.
pub(super) fn address(host: &Topology, id: NodeId) -> Option<PciAddress> {
    match &host.node(id).kind {
        NodeKind::Gpu(gpu) => gpu.address,
        NodeKind::Nic(nic) => nic.address,
        NodeKind::NvSwitch(switch) => switch.address,
        _ => None,
    }
}

/// Returns the names in a range such as `GPU0-GPU3` or `0-3`; other names as they are.
fn expand(name: &str) -> Vec<String> {
    let range = name.split_once('-').and_then(|(first, last)| Some((index(first)?, index(last)?)));
    match range {
        Some((first, last)) if last.checked_sub(first).is_some_and(|more| more < 2048) => {
            (first..=last).map(|index| format!("GPU{index}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// Reads the number in `3`, `GPU3` or `gpu3`.
fn index(name: &str) -> Option<u32> {
    let start = name.get(..3).filter(|start| start.eq_ignore_ascii_case("gpu")).map_or(0, str::len);
    number(&name[start..])
}

/// Returns the device of a name; several are ports that share a PCI address.
fn named(host: &Topology, all: &[NodeId], name: &str) -> Result<Vec<NodeId>> {
    if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("MIG-")) {
        let text =
            format!("'{name}' is a MIG instance, and a virtual machine gets whole GPUs by passthrough");
        return Err(Error::request(text).help("name its GPU"));
    }
    let is_nic = |id: &&NodeId| {
        host.node(**id).kind.as_nic().is_some_and(|nic| {
            nic.name == name
                || nic.rdma_device.as_deref() == Some(name)
                || nic.net_devices.iter().any(|own| own == name)
        })
    };
    let number = index(name);
    let is_gpu = |id: &&NodeId| {
        host.node(**id).kind.as_gpu().is_some_and(|gpu| {
            number == Some(gpu.index) || name.len() > 4 && gpu.uuid.is_some_and(|uuid| uuid.starts_with(name))
        })
    };
    let by_address = name.parse::<PciAddress>().ok();
    let is_there = |id: &&NodeId| by_address.is_some() && address(host, **id) == by_address;
    for is_it in [&is_nic as &dyn Fn(&&NodeId) -> bool, &is_gpu, &is_there] {
        let found: Vec<NodeId> = all.iter().filter(is_it).copied().collect();
        let share =
            |id: &NodeId| address(host, *id).is_some() && address(host, *id) == address(host, found[0]);
        match found[..] {
            [] => {}
            [_] => return Ok(found),
            [..] if found.iter().all(share) => return Ok(found),
            [..] => {
                let names: Vec<String> = found.iter().map(|id| device_name(host, *id)).collect();
                let text = format!("'{name}' stands for several devices: {}", names.join(", "));
                return Err(Error::request(text).help("give a PCI address"));
            }
        }
    }
    let known: Vec<String> = (0..host.devices().len()).map(|device| host.device_name(device)).collect();
    let known = listed(&known, 24);
    Err(Error::request(format!("the machine has no device '{name}'"))
        .help(format!("there are {known}; PCI addresses and UUIDs of GPUs are names too")))
}
