//! The devices that a guest gets, by the names that people give.

use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::named::{self, gpu_index};
pub(super) use crate::model::named::{address, device_name};
use crate::model::{NodeId, NodeKind, Topology};
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

/// Returns the names in a range such as `GPU0-GPU3` or `0-3`; other names as they are.
fn expand(name: &str) -> Vec<String> {
    let range = name.split_once('-').and_then(|(first, last)| Some((gpu_index(first)?, gpu_index(last)?)));
    match range {
        Some((first, last)) if last.checked_sub(first).is_some_and(|more| more < 2048) => {
            (first..=last).map(|index| format!("GPU{index}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// Returns the device of a name; several are ports that share a PCI address.
fn named(host: &Topology, all: &[NodeId], name: &str) -> Result<Vec<NodeId>> {
    if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("MIG-")) {
        let text =
            format!("'{name}' is a MIG instance, and a virtual machine gets whole GPUs by passthrough");
        return Err(Error::request(text).help("name its GPU"));
    }
    named::find(host, all, "device", name)
}
