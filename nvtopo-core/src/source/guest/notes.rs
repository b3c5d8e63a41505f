//! Notes about a guest: the facts that it hides from programs in it, and the proposals.

use super::cells::{ASSUMED_CPUS, ASSUMED_GIB, Cell};
use super::devices::{address, device_name};
use super::layout::{Layout, Model, numa_node};
use crate::model::{NodeId, NodeKind, Note, NoteCode, NvLinkFar, Topology};
use crate::units::listed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The most names that a note lists.
const LISTED: usize = 16;

pub(super) fn of(host: &Topology, layout: &Layout, cells: &[Cell]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |code: NoteCode, text: String| notes.push(Note::new(code, text));
    let passed: BTreeSet<NodeId> = layout.nodes().collect();
    let named = |ids: &mut dyn Iterator<Item = NodeId>| few(ids.map(|id| device_name(host, id)));

    let lost = passed.iter().copied().filter(|id| numa_node(host, *id).is_none());
    if let Some(names) = named(&mut { lost }) {
        let text =
            format!("the NUMA node of {names} is unknown: an expander bus without a node stands for it");
        note(NoteCode::NumaUnknown, text);
    }
    if layout.controllers.iter().any(|controller| matches!(controller.model, Model::Upstream(_))) {
        let text = "the guest cannot see whether the host's PCIe ports redirect peer-to-peer traffic (ACS); where they do, it goes \
                    through the host's root complex, whatever the guest's switches promise";
        note(NoteCode::GuestAcs, text.to_owned());
    }
    let text = "the guest reads wrong speeds of PCIe links, such as 2.5 GT/s x1, from the emulated ports; its NCCL topology file \
                has those of the host";
    note(NoteCode::GuestLinkSpeeds, text.to_owned());
    nvlinks(host, &passed, &mut note);
    iommu(host, &passed, &mut note);
    let mig = host
        .gpus()
        .zip(host.devices())
        .filter(|(gpu, id)| passed.contains(id) && gpu.mig.is_some_and(|mig| mig.current));
    if let Some(names) = named(&mut mig.map(|(_, id)| *id)) {
        let text = format!(
            "{names}: MIG-enabled on the host; the guest gets whole GPUs, and makes instances itself"
        );
        note(NoteCode::Unknown, text);
    }
    gpu_order(host, layout, &mut note);
    cells_of(cells, &mut note);
    notes
}

/// Tells the NVLinks that end outside, and the NVSwitches that the guest does not see.
fn nvlinks(host: &Topology, passed: &BTreeSet<NodeId>, note: &mut impl FnMut(NoteCode, String)) {
    let is_gpu = |id: NodeId| host.node(id).kind.as_gpu().is_some();
    let (mut cut, mut hidden) = (BTreeSet::new(), BTreeSet::new());
    for (a, b, _) in host.links().filter(|(_, _, link)| link.kind.is_fabric()) {
        for (own, far) in [(a, b), (b, a)] {
            if passed.contains(&own) && is_gpu(own) && !passed.contains(&far) {
                let list = if is_gpu(far) { &mut cut } else { &mut hidden };
                list.insert(own);
            }
        }
    }
    let inside: BTreeSet<_> = passed.iter().filter_map(|id| address(host, *id)).collect();
    for id in passed {
        let Some(gpu) = host.node(*id).kind.as_gpu() else { continue };
        let ends = |far: &NvLinkFar| matches!(far, NvLinkFar::Gpu(far) if !inside.contains(far));
        if gpu.nvlinks.iter().any(|port| ends(&port.far)) {
            cut.insert(*id);
        }
    }
    let names = |ids: BTreeSet<NodeId>| few(ids.into_iter().map(|id| device_name(host, id)));
    if let Some(names) = names(cut) {
        let text =
            format!("NVLinks of {names} lead to GPUs that are not passed: the guest does not have them");
        note(NoteCode::GuestNvlinks, text);
    }
    if let Some(names) = names(hidden) {
        let text = format!(
            "the NVSwitches of {names} are not passed: the guest has these NVLinks only if the host's fabric manager makes a \
             partition of its GPUs"
        );
        note(NoteCode::GuestNvlinks, text);
    }
}

/// Tells the devices that VFIO passes only together with others.
fn iommu(host: &Topology, passed: &BTreeSet<NodeId>, note: &mut impl FnMut(NoteCode, String)) {
    let mut groups: BTreeMap<u32, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (id, node) in host.nodes() {
        let group = match &node.kind {
            NodeKind::Gpu(gpu) => gpu.pci.iommu_group,
            NodeKind::Nic(nic) => nic.pci.iommu_group,
            NodeKind::NvSwitch(switch) => switch.pci.iommu_group,
            _ => None,
        };
        let Some((inside, outside)) = group.map(|group| groups.entry(group).or_default()) else { continue };
        if passed.contains(&id) { inside } else { outside }.push(device_name(host, id));
    }
    for (group, (inside, outside)) in groups {
        if let (Some(inside), Some(outside)) = (few(inside.into_iter()), few(outside.into_iter())) {
            let text = format!(
                "{inside} shares IOMMU group {group} with {outside}, which the guest does not get: VFIO passes whole groups only"
            );
            note(NoteCode::GuestIommuGroup, text);
        }
    }
}

/// Tells which GPU has which number, where that is not the host's order.
fn gpu_order(host: &Topology, layout: &Layout, note: &mut impl FnMut(NoteCode, String)) {
    let mut gpus: Vec<_> = layout
        .passed
        .iter()
        .filter_map(|passed| Some((passed.address, host.node(passed.function[0]).kind.as_gpu()?.index)))
        .collect();
    gpus.sort_unstable();
    if gpus.windows(2).any(|pair| pair[0].1 > pair[1].1) {
        let mut text = "the guest numbers its GPUs in the order of their PCI addresses:".to_owned();
        for (number, (_, index)) in gpus.iter().enumerate().take(LISTED) {
            let _ = write!(text, "{} {number} is the host's {index}", if number == 0 { "" } else { "," });
        }
        note(NoteCode::GuestGpus, text);
    }
}

fn cells_of(cells: &[Cell], note: &mut impl FnMut(NoteCode, String)) {
    let list = |cells: &mut dyn Iterator<Item = &Cell>| few(cells.map(|cell| cell.node.to_string()));
    let text = match list(&mut cells.iter()) {
        Some(nodes) => format!(
            "a proposal: the guest has the CPUs of the host's NUMA nodes {nodes}, all of them and in the order of cores, and \
             seven eighths of their memory; it sees no other CPUs, and those by numbers of its own"
        ),
        None => format!(
            "no NUMA node of the passed devices is known: {ASSUMED_CPUS} CPUs and {ASSUMED_GIB} GiB stand for those of the guest"
        ),
    };
    note(NoteCode::GuestCpus, text);
    if let Some(nodes) = list(&mut cells.iter().filter(|cell| cell.cores.is_empty())) {
        note(
            NoteCode::GuestCpus,
            format!(
                "the CPUs of the host's NUMA nodes {nodes} are unknown: {ASSUMED_CPUS} stand for those of each, unpinned"
            ),
        );
    }
    if let Some(nodes) = list(&mut cells.iter().filter(|cell| cell.memory.is_none())) {
        note(
            NoteCode::GuestMemory,
            format!(
                "the memory of the host's NUMA nodes {nodes} is unknown: {ASSUMED_GIB} GiB stand for that of each"
            ),
        );
    }
}

/// Lists names, the first of many; `None` for none.
fn few(names: impl Iterator<Item = String>) -> Option<String> {
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| listed(&names, LISTED))
}
