//! Matches the devices of two machines, and compares those that are the same.
//!
//! A device is known by its UUID, wherever it is; links, paths and NUMA nodes belong to its site, whatever is there.

use super::facts::{self, is_named, knows_cpus, of_disk, of_nic, of_numa_node};
use super::{Change, ChangeKind, Findings};
use crate::ids::PciAddress;
use crate::model::{Gpu, Nic, NodeKind, Nvme, Provenance, Stated, Topology};
use crate::units::exact_bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The devices of the second machine for those of the first, by their positions.
pub(super) struct Places {
    /// By what a device is.
    pub(super) devices: Vec<Option<usize>>,
    /// By where it is.
    pub(super) sites: Vec<Option<usize>>,
}

impl Places {
    pub(super) fn new(before: &Topology, after: &Topology) -> Self {
        let gpus = Gpus::new(before, after);
        let nics = nics(before, after);
        let (own, others) = (before.gpus().len(), after.gpus().len());
        let joined = |gpus: Vec<Option<usize>>| {
            debug_assert_eq!(gpus.len(), own);
            gpus.into_iter().chain(nics.iter().map(|nic| nic.map(|nic| others + nic))).collect()
        };
        Self { sites: joined(gpus.sites()), devices: joined(gpus.same) }
    }
}

/// A matching of two lists, made key by key.
struct Matching {
    map: Vec<Option<usize>>,
    taken: BTreeSet<usize>,
}

impl Matching {
    fn new(len: usize) -> Self {
        Self { map: vec![None; len], taken: BTreeSet::new() }
    }

    /// Matches items with equal keys that are not matched yet and are allowed to be; the first with the first.
    fn by<K: Ord>(&mut self, own: &[Option<K>], others: &[Option<K>], may: impl Fn(usize, usize) -> bool) {
        let mut places: BTreeMap<&K, Vec<usize>> = BTreeMap::new();
        for (other, key) in others.iter().enumerate().rev().filter(|(other, _)| !self.taken.contains(other)) {
            if let Some(key) = key {
                places.entry(key).or_default().push(other);
            }
        }
        for (item, key) in own.iter().enumerate() {
            let Some(free) = key.as_ref().and_then(|key| places.get_mut(key)) else { continue };
            if self.map[item].is_none() && free.last().is_some_and(|other| may(item, *other)) {
                self.map[item] = free.pop();
                self.taken.extend(self.map[item]);
            }
        }
    }
}

struct Gpus<'a> {
    before: Vec<&'a Gpu>,
    after: Vec<&'a Gpu>,
    same: Vec<Option<usize>>,
}

fn addresses(gpus: &[&Gpu]) -> Vec<Option<PciAddress>> {
    gpus.iter().map(|gpu| gpu.address).collect()
}

/// Returns true where one of the two lists of addresses holds all of the other: buses have their numbers still.
fn same_buses(own: &[Option<PciAddress>], others: &[Option<PciAddress>]) -> bool {
    let set = |list: &[Option<PciAddress>]| list.iter().flatten().copied().collect::<BTreeSet<_>>();
    let (own, others) = (set(own), set(others));
    own.is_subset(&others) || others.is_subset(&own)
}

impl<'a> Gpus<'a> {
    fn new(before: &'a Topology, after: &'a Topology) -> Self {
        let (before, after): (Vec<_>, Vec<_>) = (before.gpus().collect(), after.gpus().collect());
        let mut matching = Matching::new(before.len());
        let uuids = |gpus: &[&Gpu]| gpus.iter().map(|gpu| gpu.uuid).collect::<Vec<_>>();
        let indices = |gpus: &[&Gpu]| gpus.iter().map(|gpu| Some(gpu.index)).collect::<Vec<_>>();
        matching.by(&uuids(&before), &uuids(&after), |_, _| true);
        let sites = (addresses(&before), addresses(&after));
        // Where buses were numbered anew, an address may be another GPU's.
        if same_buses(&sites.0, &sites.1) {
            matching.by(&sites.0, &sites.1, |_, _| true);
        }
        let not_both_known =
            |own: usize, other: usize| before[own].uuid.is_none() || after[other].uuid.is_none();
        matching.by(&indices(&before), &indices(&after), not_both_known);
        matching.by(&sites.0, &sites.1, |_, _| true);
        let same = matching.map;
        Self { before, after, same }
    }

    /// Returns the GPU at the same site.
    fn sites(&self) -> Vec<Option<usize>> {
        let (own, others) = (addresses(&self.before), addresses(&self.after));
        let known = own.iter().chain(&others).all(Option::is_some);
        let mut by_address: Vec<usize> = (0..own.len()).filter(|gpu| self.same[*gpu].is_some()).collect();
        by_address.sort_by_key(|gpu| own[*gpu]);
        let in_order = by_address.iter().filter_map(|gpu| others[self.same[*gpu]?]).is_sorted();
        // Buses that were numbered anew keep their order, and so each GPU its site.
        if !known || in_order && !same_buses(&own, &others) {
            return self.same.clone();
        }
        let mut matching = Matching::new(own.len());
        matching.by(&own, &others, |_, _| true);
        if !same_buses(&own, &others) && own.len() == others.len() {
            let rank = |list: &[Option<PciAddress>]| {
                let sorted: BTreeSet<_> = list.iter().flatten().copied().collect();
                let rank = |address| sorted.iter().position(|own| *own == address);
                list.iter().map(|address| rank((*address)?)).collect::<Vec<_>>()
            };
            matching = Matching::new(own.len());
            matching.by(&rank(&own), &rank(&others), |_, _| true);
        }
        matching.map
    }
}

/// Returns the NIC of the second machine for each of the first.
fn nics(before: &Topology, after: &Topology) -> Vec<Option<usize>> {
    let (before, after): (Vec<_>, Vec<_>) = (before.nics().collect(), after.nics().collect());
    let address = |nics: &[&Nic]| nics.iter().map(|nic| nic.address).collect::<Vec<_>>();
    let site = |nics: &[&Nic]| nics.iter().map(|nic| Some((nic.address?, nic.port))).collect::<Vec<_>>();
    let name = |nics: &[&Nic]| nics.iter().map(|nic| Some(nic.name.clone())).collect::<Vec<_>>();
    let rdma = |nic: &&Nic| nic.rdma_device.clone().unwrap_or_else(|| nic.name.clone());
    let device = |nics: &[&Nic]| nics.iter().map(|nic| Some((rdma(nic), nic.port))).collect::<Vec<_>>();
    let mut matching = Matching::new(before.len());
    let any = |_, _| true;
    let same_buses = same_buses(&address(&before), &address(&after));
    if same_buses {
        matching.by(&site(&before), &site(&after), any);
        matching.by(&address(&before), &address(&after), any);
    }
    // With addresses on both sides that are not the other's, a name alone makes no NIC the same one.
    let not_both_known = |own: usize, other: usize| {
        !same_buses || before[own].address.is_none() || after[other].address.is_none()
    };
    matching.by(&device(&before), &device(&after), not_both_known);
    matching.by(&name(&before), &name(&after), not_both_known);
    matching.by(&site(&before), &site(&after), any);
    // `NIC0` of a matrix without a legend is the first one.
    if before.len() == after.len() {
        let unnamed = |nic: &Nic| nic.rdma_device.is_none() && nic.address.is_none() && !is_named(nic);
        let order: Vec<Option<usize>> = (0..before.len()).map(Some).collect();
        matching.by(&order, &order, |own, other| unnamed(before[own]) || unnamed(after[other]));
    }
    matching.map
}

/// Compares NUMA nodes, GPUs, NICs and disks.
pub(super) fn compare(before: &Topology, after: &Topology, places: &Places, found: &mut Findings) {
    numa_nodes(before, after, found);
    gpus(before, after, places, found);
    let (own, others) = (before.gpus().len(), after.gpus().len());
    let came = |positions: std::ops::Range<usize>| {
        let taken: BTreeSet<usize> = places.devices.iter().flatten().copied().collect();
        positions.filter(move |position| !taken.contains(position))
    };
    for (index, nic) in before.nics().enumerate() {
        let site = |nic: &Nic| nic.address.map(|address| address.to_string());
        let Some(other) = places.devices[own + index] else {
            found.part(ChangeKind::Gone, nic.name.clone(), "NIC", [site(nic), None]);
            continue;
        };
        let Some(same) = after.nics().nth(other - others) else { continue };
        if let (Some(was), Some(is)) = (site(nic), site(same))
            && was != is
        {
            found.part(ChangeKind::Moved, nic.name.clone(), "PCI address", [Some(was), Some(is)]);
        }
        let (was, is) = (before.devices()[own + index], after.devices()[other]);
        found.facts(&nic.name, of_nic(before, was, nic), of_nic(after, is, same));
    }
    for position in came(others..after.devices().len()) {
        let address = after.nics().nth(position - others).and_then(|nic| nic.address);
        let is = address.map(|address| address.to_string());
        found.part(ChangeKind::Added, after.device_name(position), "NIC", [None, is]);
    }
    disks(before, after, found);
}

fn numa_nodes(before: &Topology, after: &Topology, found: &mut Findings) {
    let by_number = |topology: &Topology| -> BTreeMap<u32, _> {
        topology.numa_nodes().map(|numa| (numa.os_index, numa.clone())).collect()
    };
    let (own, mut others) = (by_number(before), by_number(after));
    let knows_cpus = [before, after].map(knows_cpus);
    // A machine whose NUMA nodes nobody told has lost none.
    if own.is_empty() || others.is_empty() {
        if own.len() != others.len() {
            found.one_sided("NUMA nodes", others.is_empty(), "machine");
        }
        return;
    }
    for (number, numa) in own {
        let part = format!("NUMA node {number}");
        let Some(other) = others.remove(&number) else {
            if may_hide(after, before, number) {
                found.one_sided("NUMA node", true, &part);
            } else {
                found.part(ChangeKind::Gone, part, "NUMA node", [None, None]);
            }
            continue;
        };
        memory(&part, numa.memory, other.memory, found);
        found.facts(&part, of_numa_node(&numa, knows_cpus[0]), of_numa_node(&other, knows_cpus[1]));
    }
    for number in others.into_keys() {
        let part = format!("NUMA node {number}");
        if may_hide(before, after, number) {
            found.one_sided("NUMA node", false, &part);
        } else {
            found.part(ChangeKind::Added, part, "NUMA node", [None, None]);
        }
    }
}

/// Returns true where a machine may have a NUMA node that only the other one tells: sources that tell NUMA nodes of devices
/// only do not tell those without. A matrix may tell the nodes of GPUs and not those of all NICs.
pub(super) fn may_hide(topology: &Topology, other: &Topology, number: u32) -> bool {
    use Provenance::{Inferred, Kubernetes, Nccl, Smi};
    let mut nodes = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NumaNode(_)));
    let near = |machine: &Topology, gpus: bool| -> Vec<_> {
        let (own, others) = machine.devices().split_at(machine.gpus().len());
        let devices = if gpus { own } else { others };
        devices.iter().map(|id| machine.local_nodes(*id)).collect()
    };
    let would_tell = |gpus: bool| {
        let (told, wanted) = (near(topology, gpus), near(other, gpus));
        !told.is_empty()
            && told.iter().all(|nodes| matches!(nodes, Stated::Known(_)))
            && wanted
                .iter()
                .any(|nodes| matches!(nodes, Stated::Known(nodes) if nodes.iter().any(|own| own == number)))
    };
    nodes.all(|(_, node)| matches!(node.provenance, Smi | Nccl | Kubernetes | Inferred))
        && !would_tell(true)
        && !would_tell(false)
}

/// Compares two sizes of memory. The part of it that kernel and driver keep for themselves varies by version: 1 % is no
/// difference.
pub(super) fn memory(part: &str, before: Option<u64>, after: Option<u64>, found: &mut Findings) {
    if let Some((was, is)) = found.both("memory", part, before, after)
        && was.abs_diff(is) > was.max(is) / 100
    {
        let values = [was, is].map(|bytes| Some(exact_bytes(bytes)));
        found.part(ChangeKind::Fact, part.to_owned(), "memory", values);
    }
}

fn gpus(before: &Topology, after: &Topology, places: &Places, found: &mut Findings) {
    let (own, others): (Vec<_>, Vec<_>) = (before.gpus().collect(), after.gpus().collect());
    let describe = |gpu: &Gpu| {
        let told = [
            gpu.model.clone(),
            gpu.uuid.map(|uuid| uuid.to_string()),
            gpu.address.map(|own| own.to_string()),
        ];
        Some(told.into_iter().flatten().collect::<Vec<_>>().join(", "))
    };
    let mut moves = BTreeMap::new();
    for (position, gpu) in own.iter().enumerate() {
        let Some(other) = places.devices[position] else {
            found.part(ChangeKind::Gone, gpu.name(), "GPU", [describe(gpu), None]);
            continue;
        };
        let same = others[other];
        let text = |fact: Option<PciAddress>| fact.map(|fact| fact.to_string());
        if let (Some(was), Some(is)) = (gpu.uuid, same.uuid)
            && was != is
        {
            let values = [Some(was.to_string()), Some(is.to_string())];
            found.part(ChangeKind::Replaced, gpu.name(), "UUID", values);
        }
        if gpu.index != same.index {
            let values = [Some(gpu.index.to_string()), Some(same.index.to_string())];
            found.part(ChangeKind::Renumbered, gpu.name(), "number", values);
        }
        if let (Some(was), Some(is)) = (gpu.address, same.address)
            && was != is
        {
            moves.insert(was, is);
            let back =
                |from: &usize| others[places.devices[*from].unwrap_or(usize::MAX)].address == Some(was);
            let partner = (0..own.len())
                .find(|from| own[*from].address == Some(is) && places.devices[*from].is_some() && back(from));
            let values = [text(gpu.address), text(same.address)];
            match partner {
                None => found.part(ChangeKind::Moved, gpu.name(), "PCI address", values),
                // Told once, of the first of the two.
                Some(partner) if partner > position => {
                    let [before, after] = values;
                    let (kind, fact) = (ChangeKind::Swapped, "PCI address");
                    let peers = vec![own[partner].name()];
                    found.changes.push(Change { kind, part: gpu.name(), peers, fact, before, after });
                }
                Some(_) => {}
            }
        }
        facts::gpus(&gpu.name(), (before, position), (after, other), found);
    }
    let taken: BTreeSet<usize> = places.devices.iter().flatten().copied().collect();
    for (_, gpu) in others.iter().enumerate().filter(|(position, _)| !taken.contains(position)) {
        found.part(ChangeKind::Added, gpu.name(), "GPU", [None, describe(gpu)]);
    }
}

fn disks(before: &Topology, after: &Topology, found: &mut Findings) {
    fn of(topology: &Topology) -> Vec<&Nvme> {
        let disks = topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Nvme(own) => Some(&**own),
            _ => None,
        });
        disks.collect()
    }
    let (own, others) = (of(before), of(after));
    let name = |disks: &[&Nvme]| disks.iter().map(|disk| Some(disk.name.clone())).collect::<Vec<_>>();
    let site = |disks: &[&Nvme]| disks.iter().map(|disk| disk.address).collect::<Vec<_>>();
    let mut matching = Matching::new(own.len());
    if same_buses(&site(&own), &site(&others)) {
        matching.by(&site(&own), &site(&others), |_, _| true);
    }
    matching.by(&name(&own), &name(&others), |_, _| true);
    // A source that tells no disks has lost none.
    if others.is_empty() || own.is_empty() {
        if own.len() != others.len() {
            found.one_sided("disks", others.is_empty(), "machine");
        }
        return;
    }
    for (disk, other) in own.iter().zip(&matching.map) {
        match other {
            None => found.part(ChangeKind::Gone, disk.name.clone(), "disk", [disk.model.clone(), None]),
            Some(other) => found.facts(&disk.name, of_disk(disk), of_disk(others[*other])),
        }
    }
    for (_, disk) in others.iter().enumerate().filter(|(other, _)| !matching.taken.contains(other)) {
        found.part(ChangeKind::Added, disk.name.clone(), "disk", [None, disk.model.clone()]);
    }
}
