//! Devices by the names that people give: `GPU3`, `3`, `mlx5_0`, a UUID, a PCI address.

use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{NodeId, NodeKind, Topology};
use crate::units::listed;

/// The most names that an error lists.
pub(crate) const LISTED: usize = 24;

/// Returns the name of a device for people.
pub(crate) fn device_name(topology: &Topology, id: NodeId) -> String {
    let at = |kind: &str, article: &str| match address(topology, id) {
        Some(own) => format!("{kind} {own}"),
        None => format!("{article} {kind}"),
    };
    match &topology.node(id).kind {
        NodeKind::Gpu(gpu) => gpu.name(),
        NodeKind::Nic(nic) => nic.name.clone(),
        NodeKind::PcieSwitch(_) => at("PCIe switch", "a"),
        _ => at("NVSwitch", "an"),
    }
}

/// Returns the PCI address of a device.
pub(crate) fn address(topology: &Topology, id: NodeId) -> Option<PciAddress> {
    match &topology.node(id).kind {
        NodeKind::Gpu(gpu) => gpu.address,
        NodeKind::Nic(nic) => nic.address,
        NodeKind::NvSwitch(switch) => switch.address,
        NodeKind::PcieSwitch(switch) => switch.address,
        _ => None,
    }
}

/// Reads the number in `3`, `GPU3` or `gpu3`.
pub(crate) fn gpu_index(name: &str) -> Option<u32> {
    let start = name.get(..3).filter(|start| start.eq_ignore_ascii_case("gpu")).map_or(0, str::len);
    let number = &name[start..];
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

/// Returns the one of some devices that has a name; several are ports that share a PCI address. Errors call them by `kind`,
/// and list which there are.
pub(crate) fn find(topology: &Topology, all: &[NodeId], kind: &str, name: &str) -> Result<Vec<NodeId>> {
    let is_name = |id: &&NodeId| topology.node(**id).kind.as_nic().is_some_and(|nic| nic.name == name);
    let is_nic = |id: &&NodeId| {
        topology.node(**id).kind.as_nic().is_some_and(|nic| {
            nic.rdma_device.as_deref() == Some(name) || nic.net_devices.iter().any(|own| own == name)
        })
    };
    let number = gpu_index(name);
    let is_gpu = |id: &&NodeId| {
        topology.node(**id).kind.as_gpu().is_some_and(|gpu| {
            number == Some(gpu.index) || name.len() > 4 && gpu.uuid.is_some_and(|uuid| uuid.starts_with(name))
        })
    };
    let by_address = name.parse::<PciAddress>().ok();
    let is_there = |id: &&NodeId| by_address.is_some() && address(topology, **id) == by_address;
    for is_it in [&is_name as &dyn Fn(&&NodeId) -> bool, &is_nic, &is_gpu, &is_there] {
        let found: Vec<NodeId> = all.iter().filter(is_it).copied().collect();
        let share = |id: &NodeId| {
            address(topology, *id).is_some() && address(topology, *id) == address(topology, found[0])
        };
        match found[..] {
            [] => {}
            [_] => return Ok(found),
            [..] if found.iter().all(share) => return Ok(found),
            [..] => {
                let text = format!("'{name}' stands for several devices: {}", list(topology, &found));
                return Err(Error::request(text).help("give a PCI address"));
            }
        }
    }
    let advice = match all {
        [] => format!("it has no {kind}"),
        _ => format!("there are {}; PCI addresses and UUIDs of GPUs are names too", list(topology, all)),
    };
    Err(Error::request(format!("the machine has no {kind} '{name}'")).help(advice))
}

/// Lists the names of devices, the first ones of many.
pub(crate) fn list(topology: &Topology, devices: &[NodeId]) -> String {
    let names: Vec<String> = devices.iter().map(|id| device_name(topology, *id)).collect();
    listed(&names, LISTED)
}
