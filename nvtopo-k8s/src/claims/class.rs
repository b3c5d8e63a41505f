//! The nodes of one class: machines whose GPUs have the same PCI addresses and the same links between them.

use nvtopo::model::Gpu;
use nvtopo::{Error, PciAddress, Result, Topology};
use std::fmt::Write;

/// The PCI address of each GPU by its position: those of the machine, else the given ones.
///
/// Errors where some are unknown, or cannot be the value of `resource.kubernetes.io/pciBusID`.
pub(super) fn addresses(topology: &Topology, given: &[PciAddress]) -> Result<Vec<PciAddress>> {
    let gpus = topology.gpus().len();
    let addresses: Vec<PciAddress> = if given.is_empty() {
        topology.gpus().map_while(|gpu| gpu.address).collect()
    } else {
        given.to_vec()
    };
    if addresses.len() != gpus {
        let message = if given.is_empty() {
            let unknown = topology.gpus().filter(|gpu| gpu.address.is_none()).map(Gpu::name);
            let unknown = unknown.collect::<Vec<_>>().join(", ");
            format!("the PCI addresses of {unknown} are unknown, and claims name GPUs by them")
        } else {
            format!("{} PCI addresses were given for {gpus} GPUs", given.len())
        };
        return Err(Error::unsatisfiable(message).help(
            "a text of topo -m has none: add what tells them (a snapshot, a recorded /sys, hwloc's XML), or give by \
             --pci-addresses what nvidia-smi --query-gpu=pci.bus_id --format=csv,noheader prints",
        ));
    }
    let mut sorted = addresses.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != gpus {
        return Err(Error::request("a PCI address was given twice"));
    }
    if let Some(wide) = addresses.iter().find(|address| address.domain > 0xffff) {
        let message = format!("no driver publishes {wide}: PCI domains of pciBusID have four digits");
        return Err(Error::unsatisfiable(message).help("claim by productName or uuid on such machines"));
    }
    Ok(addresses)
}

/// Checks that other machines are of the class of the first: the same GPUs at the same addresses, linked alike, and beside the
/// same NUMA nodes. `machines`: each with its name and its addresses.
///
/// Errors with what differs.
pub(super) fn check(machines: &[(String, &Topology, Vec<PciAddress>)]) -> Result<()> {
    let Some(((_, first, own), others)) = machines.split_first() else { return Ok(()) };
    for (name, other, addresses) in others {
        let differences = differences((*first, own), (*other, addresses));
        if !differences.is_empty() {
            let mut message = format!("{name} is of another class than the first machine: ");
            let shown = differences.len().min(3);
            let _ = write!(message, "{}", differences[..shown].join("; "));
            if differences.len() > shown {
                let _ = write!(message, "; and {} more", differences.len() - shown);
            }
            return Err(Error::unsatisfiable(message)
                .help("make claims for each class of nodes, and choose between them by a label such as the fingerprint"));
        }
    }
    Ok(())
}

type Machine<'a> = (&'a Topology, &'a [PciAddress]);

fn differences((first, own): (&Topology, &[PciAddress]), (other, addresses): Machine<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let missing = own.iter().filter(|address| !addresses.contains(address));
    found.extend(missing.map(|address| format!("it has no GPU at {address}")));
    let more = addresses.iter().filter(|address| !own.contains(address));
    found.extend(more.map(|address| format!("it has a GPU at {address} as well")));
    if !found.is_empty() {
        return found;
    }
    let there = |at: usize| addresses.iter().position(|address| *address == own[at]).unwrap_or_default();
    let gpu = |topology: &Topology, at: usize| topology.gpus().nth(at).cloned().unwrap_or_default();
    for a in 0..own.len() {
        let (mine, its) = (gpu(first, a), gpu(other, there(a)));
        if let (Some(mine), Some(its)) = (&mine.model, &its.model)
            && mine != its
        {
            found.push(format!("the GPU at {} is a {its}, not a {mine}", own[a]));
        }
        let nodes =
            |topology: &Topology, at: usize| topology.local_nodes(topology.devices()[at]).known().cloned();
        let (mine, its) = (nodes(first, a), nodes(other, there(a)));
        if let (Some(mine), Some(its)) = (mine, its)
            && mine != its
        {
            found.push(format!("the GPU at {} is beside NUMA node {its}, not {mine}", own[a]));
        }
        for b in a + 1..own.len() {
            let word = |topology: &Topology, a, b| {
                topology.pairs().pair(a, b).word(topology.dialect()).unwrap_or_else(|| "unknown".to_owned())
            };
            let (mine, its) = (word(first, a, b), word(other, there(a), there(b)));
            if mine != its {
                found.push(format!("{} and {} are {its} to each other, not {mine}", own[a], own[b]));
            }
        }
    }
    found
}
