//! Matches the nodes of two fragments that are the same thing.
//!
//! Keys are tried from the surest to the weakest, each among the nodes that are still unmatched on both sides.
//! Among equal keys the first belongs to the first, so that a fragment matches itself.

use super::near;
use crate::ids::PciAddress;
use crate::model::{Fragment, Nic, Node, NodeId, NodeKind, Provenance, tree};
use std::collections::{BTreeMap, VecDeque};

/// Returns the node of `base` for each node of `other`.
pub(super) fn matches(of_base: &Fragment, of_other: &Fragment) -> Vec<Option<NodeId>> {
    let (base, other) = (&of_base.nodes[..], &of_other.nodes[..]);
    let (map, taken) = (vec![None; other.len()], vec![false; base.len()]);
    let side = |nodes| Side { nodes, first_pus: first_pus(nodes) };
    let mut matching = Matching { base: side(base), other: side(other), map, taken };
    matching.put(NodeId::MACHINE, NodeId::MACHINE);
    matching.by(|_, _, kind| kind.as_gpu()?.uuid);
    matching.by(|_, _, kind| kind.as_gpu()?.address);
    if other.first().is_some_and(|machine| machine.provenance == Provenance::Measurement) {
        // Some benchmarks leave the domain out.
        matching.by(|side, _, kind| side.only_bus(kind.as_gpu()?.address?));
    }
    matching.by(|_, _, kind| kind.as_gpu().map(|gpu| gpu.index));
    matching.by(|_, _, kind| kind.as_nic()?.address);
    matching.by(|_, _, kind| Some(rdma_device(kind.as_nic()?).to_owned()));
    matching.by(|_, _, kind| Some(kind.as_nic()?.name.clone()));
    matching.by_interface();
    for (base, other) in near::nics(of_base, of_other, &matching.map) {
        matching.put(base, other);
    }
    matching.by(|_, _, kind| match kind {
        NodeKind::GpuInstance(instance) => instance.uuid.clone(),
        _ => None,
    });
    matching.by(|side, index, kind| {
        let NodeKind::GpuInstance(instance) = kind else { return None };
        let gpu = side.nodes[index].parent.and_then(|parent| side.nodes[parent.index()].kind.as_gpu())?;
        Some((gpu.index, instance.gpu_instance, instance.compute_instance))
    });
    matching.instances();
    matching.by(|_, _, kind| if let NodeKind::Nvme(nvme) = kind { nvme.address } else { None });
    matching.by(|_, _, kind| if let NodeKind::Nvme(nvme) = kind { Some(nvme.name.clone()) } else { None });
    matching.by(|_, _, kind| kind.as_numa_node().map(|numa| numa.os_index));
    matching.by(|_, _, kind| match kind {
        NodeKind::Package(package) => Some((0, package.os_index)),
        NodeKind::Pu(pu) => Some((1, pu.os_index)),
        _ => None,
    });
    matching.cores();
    matching.by(|_, _, kind| match kind {
        NodeKind::Cache(cache) => Some((cache.level, cache.kind, cache.cpus.clone())),
        _ => None,
    });
    matching.by(|_, _, kind| match kind {
        NodeKind::Group(group) => Some((group.kind, group.cpus.clone())),
        _ => None,
    });
    matching.by(|_, _, kind| match kind {
        NodeKind::HostBridge(bridge) => Some((0, bridge.address?)),
        NodeKind::PcieSwitch(switch) => Some((1, switch.address?)),
        NodeKind::NvSwitch(switch) => Some((2, switch.address?)),
        _ => None,
    });
    matching.bridges();
    matching.map
}

/// Returns the RDMA device of a NIC, or its name, which may be one.
fn rdma_device(nic: &Nic) -> &str {
    nic.rdma_device.as_deref().unwrap_or(&nic.name)
}

/// Returns the interfaces of a NIC; its name is one where it has no RDMA device.
fn interfaces(nic: &Nic) -> impl Iterator<Item = &str> {
    let name = Some(nic.name.as_str()).filter(|_| nic.rdma_device.is_none() && nic.net_devices.is_empty());
    nic.net_devices.iter().map(String::as_str).chain(name)
}

/// One of the two fragments.
struct Side<'a> {
    nodes: &'a [Node],
    /// The lowest PU of each core.
    first_pus: BTreeMap<usize, u32>,
}

impl Side<'_> {
    /// Returns the bus and device of an address, if only one GPU has them.
    fn only_bus(&self, address: PciAddress) -> Option<(u8, u8)> {
        let place = |address: PciAddress| (address.bus, address.device);
        let gpus = self.nodes.iter().filter_map(|node| node.kind.as_gpu()?.address);
        (gpus.filter(|own| place(*own) == place(address)).count() == 1).then(|| place(address))
    }
}

struct Matching<'a> {
    base: Side<'a>,
    other: Side<'a>,
    map: Vec<Option<NodeId>>,
    taken: Vec<bool>,
}

impl Matching<'_> {
    fn put(&mut self, base: NodeId, other: NodeId) {
        self.map[other.index()] = Some(base);
        self.taken[base.index()] = true;
    }

    /// Matches nodes with equal keys.
    fn by<K: Ord>(&mut self, key: impl Fn(&Side<'_>, usize, &NodeKind) -> Option<K>) {
        let open = self.other.nodes.iter().enumerate().filter(|(index, _)| self.map[*index].is_none());
        let wanted = open.filter_map(|(index, node)| Some((index, key(&self.other, index, &node.kind)?)));
        let wanted: Vec<(usize, K)> = wanted.collect();
        // The base may have become large, of many small sources.
        if wanted.is_empty() {
            return;
        }
        let mut free: BTreeMap<K, VecDeque<NodeId>> = BTreeMap::new();
        for (index, node) in self.base.nodes.iter().enumerate().filter(|(index, _)| !self.taken[*index]) {
            if let Some(key) = key(&self.base, index, &node.kind) {
                free.entry(key).or_default().push_back(NodeId(index as u32));
            }
        }
        for (index, key) in wanted {
            if let Some(base) = free.get_mut(&key).and_then(VecDeque::pop_front) {
                self.put(base, NodeId(index as u32));
            }
        }
    }

    /// Matches NICs that have an interface in common, unless both have an RDMA device or an address: these differ.
    fn by_interface(&mut self) {
        let nic = |side: &Side<'_>, index: usize| -> Option<Nic> { side.nodes[index].kind.as_nic().cloned() };
        let mut free: BTreeMap<String, Vec<(usize, Nic)>> = BTreeMap::new();
        for index in (0..self.base.nodes.len()).filter(|index| !self.taken[*index]) {
            let Some(nic) = nic(&self.base, index) else { continue };
            for name in interfaces(&nic) {
                free.entry(name.to_owned()).or_default().push((index, nic.clone()));
            }
        }
        for index in 0..self.other.nodes.len() {
            let other = nic(&self.other, index).filter(|_| self.map[index].is_none());
            let Some(other) = other else { continue };
            let apart = |base: &Nic| {
                let known = |a: bool, b: bool| a && b;
                known(base.rdma_device.is_some(), other.rdma_device.is_some())
                    || known(base.address.is_some(), other.address.is_some())
            };
            let same = interfaces(&other).filter_map(|name| free.get(name)).flatten();
            let same = same.filter(|(base, nic)| !self.taken[*base] && !apart(nic));
            if let Some(base) = same.map(|(base, _)| *base).next() {
                self.put(NodeId(base as u32), NodeId(index as u32));
            }
        }
    }

    /// Matches MIG instances by their order on a GPU, where one source has their UUIDs only and the other their numbers only:
    /// `nvidia-smi` lists as many in the same order.
    fn instances(&mut self) {
        let of = |side: &Side<'_>, gpu: NodeId| -> Vec<(NodeId, bool, bool)> {
            let nodes = (0..).map(NodeId).zip(side.nodes).filter(|(_, node)| node.parent == Some(gpu));
            let instances = nodes.filter_map(|(id, node)| match &node.kind {
                NodeKind::GpuInstance(own) => Some((id, own.uuid.is_some(), own.gpu_instance.is_some())),
                _ => None,
            });
            instances.collect()
        };
        let gpus: Vec<(NodeId, NodeId)> =
            (0..).map(NodeId).zip(&self.map).filter_map(|(other, base)| Some(((*base)?, other))).collect();
        for (base, other) in
            gpus.into_iter().filter(|(_, other)| self.other.nodes[other.index()].kind.as_gpu().is_some())
        {
            let (own, theirs) = (of(&self.base, base), of(&self.other, other));
            let only = |all: &[(NodeId, bool, bool)], uuid: bool| {
                all.iter().all(|part| (part.1, part.2) == (uuid, !uuid))
            };
            let apart =
                (only(&own, true) && only(&theirs, false)) || (only(&own, false) && only(&theirs, true));
            if apart && own.len() == theirs.len() {
                for ((base, ..), (other, ..)) in own.into_iter().zip(theirs) {
                    self.put(base, other);
                }
            }
        }
    }

    /// Matches cores by their first PU, and others by their number in the package.
    fn cores(&mut self) {
        self.by(|side, index, _| side.first_pus.get(&index).copied());
        self.by(|side, index, kind| {
            let NodeKind::Core(core) = kind else { return None };
            let above = tree::ancestors(|id| &side.nodes[id.index()], NodeId(index as u32));
            let mut above = above.map(|id| &side.nodes[id.index()].kind);
            let package = above.find_map(|kind| match kind {
                NodeKind::Package(package) => Some(package.os_index),
                _ => None,
            });
            Some((package, core.os_index))
        });
    }

    /// Matches bridges and switches without an address by the devices below them, and then upwards.
    fn bridges(&mut self) {
        let kind = |node: &Node| match node.kind {
            NodeKind::HostBridge(_) => Some(0),
            NodeKind::PcieSwitch(_) => Some(1),
            _ => None,
        };
        let (base_nodes, other_nodes) = (self.base.nodes, self.other.nodes);
        for index in 0..other_nodes.len() {
            let (mut base, mut other) = (self.map[index], &other_nodes[index]);
            if !matches!(other.kind, NodeKind::Gpu(_) | NodeKind::Nic(_)) {
                continue;
            }
            while let (Some(own), Some(parent)) = (base, other.parent) {
                base = base_nodes[own.index()].parent;
                other = &other_nodes[parent.index()];
                let Some(above) = base else { break };
                if self.map[parent.index()] == Some(above) {
                    continue;
                }
                let same = kind(other).is_some() && kind(other) == kind(&base_nodes[above.index()]);
                let free = self.map[parent.index()].is_none() && !self.taken[above.index()];
                if !same || !free || contradict(&base_nodes[above.index()], other) {
                    break;
                }
                self.put(above, parent);
            }
        }
    }
}

/// Returns true where both have an address: equal ones would have matched before.
fn contradict(a: &Node, b: &Node) -> bool {
    let known = |node: &Node| match &node.kind {
        NodeKind::HostBridge(bridge) => bridge.address.is_some(),
        NodeKind::PcieSwitch(switch) => switch.address.is_some(),
        _ => false,
    };
    known(a) && known(b)
}

/// Finds the lowest PU of each core.
fn first_pus(nodes: &[Node]) -> BTreeMap<usize, u32> {
    let mut first = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let NodeKind::Pu(pu) = &node.kind {
            let mut above = tree::ancestors(|id| &nodes[id.index()], NodeId(index as u32));
            if let Some(core) = above.find(|id| matches!(nodes[id.index()].kind, NodeKind::Core(_))) {
                let lowest = first.entry(core.index()).or_insert(pu.os_index);
                *lowest = pu.os_index.min(*lowest);
            }
        }
    }
    first
}
