//! The devices of each NUMA node, as text and pictures group them.

use nvtopo::PciAddress;
use nvtopo::Topology;
use nvtopo::model::{Gpu, Node, NodeId, NodeKind, NumaNode, Nvme, Stated};
use nvtopo::{CpuSet, NodeSet};
use std::collections::{BTreeMap, BTreeSet};

/// Devices that are shown together.
pub(crate) struct Place<'a> {
    /// The NUMA node that they are on; `None` where it is unknown, or no one node of the topology.
    pub(crate) node: Option<(NodeId, &'a NumaNode)>,
    /// The numbers of the NUMA nodes near to them, where known.
    pub(crate) nodes: Option<NodeSet>,
    /// The CPUs near to them, where known.
    pub(crate) cpus: Option<CpuSet>,
    /// Positions in [`Topology::devices`].
    pub(crate) devices: Vec<usize>,
}

/// The most nodes with CPUs and without devices that are shown one by one; more are shown as one entry.
const FEW: usize = 3;

/// NUMA nodes without devices and disks, shown as one entry.
pub(crate) struct Empty {
    /// Their numbers.
    pub(crate) nodes: NodeSet,
    /// The CPUs of all of them.
    pub(crate) cpus: CpuSet,
    /// In bytes; `None` where that of a node is unknown.
    pub(crate) memory: Option<u64>,
}

/// The places of a machine, and its empty NUMA nodes.
pub(crate) struct Shown<'a> {
    /// Places with something on them.
    pub(crate) places: Vec<Place<'a>>,
    /// Nodes with nothing on them.
    pub(crate) empty: Vec<Empty>,
}

/// Groups the devices by place. Nodes that are the memory of a GPU are left out: they are shown with the GPU.
pub(crate) fn shown(topology: &Topology) -> Shown<'_> {
    let gpus: BTreeSet<PciAddress> = topology.gpus().filter_map(|gpu| gpu.address).collect();
    let memories: NodeSet = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).collect();
    let is_memory = |numa: &NumaNode| {
        let named = numa.gpu.is_some_and(|gpu| gpus.contains(&gpu));
        numa.cpus.is_empty() && (named || memories.contains(numa.os_index))
    };
    let is_disk = |node: &Node| matches!(node.kind, NodeKind::Nvme(_));
    let with_disks: BTreeSet<NodeId> = topology
        .nodes()
        .filter(|(_, node)| is_disk(node))
        .filter_map(|(id, _)| topology.numa_ancestor(id))
        .collect();
    let (mut places, mut bare) = (Vec::new(), Vec::new());
    for place in self::places(topology) {
        match place.node {
            Some((_, numa)) if place.devices.is_empty() && is_memory(numa) => {}
            Some((id, _)) if place.devices.is_empty() && !with_disks.contains(&id) => {
                bare.push(place);
            }
            _ => places.push(place),
        }
    }
    let mut empty = Vec::new();
    let (with, without): (Vec<_>, Vec<_>) = bare.into_iter().partition(|place| place.cpus.is_some());
    for (own, few) in [(with, FEW), (without, 1)] {
        if own.len() > few {
            empty.push(together(&own));
        } else {
            places.extend(own);
        }
    }
    places.sort_by_key(|place| (place.node.is_none(), place.node.map(|(id, _)| id)));
    Shown { places, empty }
}

fn together(places: &[Place<'_>]) -> Empty {
    let nodes = places.iter().filter_map(|place| place.node);
    Empty {
        nodes: nodes.clone().map(|(_, numa)| numa.os_index).collect(),
        cpus: nodes.clone().flat_map(|(_, numa)| numa.cpus.iter()).collect(),
        memory: nodes.map(|(_, numa)| numa.memory).try_fold(0_u64, |sum, own| Some(sum.saturating_add(own?))),
    }
}

/// Finds the NUMA node that is the memory of a GPU.
pub(crate) fn memory_node<'a>(topology: &'a Topology, gpu: &Gpu) -> Option<&'a NumaNode> {
    let is_its = |numa: &&NumaNode| {
        (numa.gpu.is_some() && numa.gpu == gpu.address) || gpu.memory_node == Stated::Known(numa.os_index)
    };
    topology.numa_nodes().filter(|numa| numa.cpus.is_empty()).find(is_its)
}

/// Returns every NUMA node in the source's order, then the devices on no one of them, grouped by their near nodes and CPUs.
fn places(topology: &Topology) -> Vec<Place<'_>> {
    let nodes = || topology.nodes().filter_map(|(id, node)| Some((id, node.kind.as_numa_node()?)));
    let ids: BTreeMap<u32, NodeId> = nodes().map(|(id, numa)| (numa.os_index, id)).collect();
    let mut by_node: BTreeMap<Option<NodeId>, Vec<usize>> = BTreeMap::new();
    for (device, id) in topology.devices().iter().enumerate() {
        by_node.entry(numa_node_of(topology, *id, &ids)).or_default().push(device);
    }
    let mut places: Vec<Place<'_>> = Vec::new();
    for (id, numa) in nodes() {
        let devices = by_node.remove(&Some(id)).unwrap_or_default();
        let cpus = (!numa.cpus.is_empty()).then(|| numa.cpus.clone());
        places.push(Place {
            node: Some((id, numa)),
            nodes: Some([numa.os_index].into_iter().collect()),
            cpus,
            devices,
        });
    }
    let known = places.len();
    for device in by_node.into_values().flatten() {
        let id = topology.devices()[device];
        let cpus = topology.local_cpus(id).known().cloned();
        let nodes = topology.local_nodes(id).known().cloned();
        match places[known..].iter_mut().find(|place| place.cpus == cpus && place.nodes == nodes) {
            Some(place) => place.devices.push(device),
            None => places.push(Place { node: None, nodes, cpus, devices: vec![device] }),
        }
    }
    places
}

/// Iterates over the disks on a NUMA node, or those of unknown node.
pub(crate) fn disks(topology: &Topology, on: Option<NodeId>) -> impl Iterator<Item = &Nvme> {
    let disks = topology.nodes().filter_map(|(id, node)| match &node.kind {
        NodeKind::Nvme(disk) => Some((id, &**disk)),
        _ => None,
    });
    disks.filter(move |(id, _)| topology.numa_ancestor(*id) == on).map(|(_, disk)| disk)
}

/// Returns the NUMA node that a device is on: the only one that is near to it, or else the one that contains it.
fn numa_node_of(topology: &Topology, device: NodeId, ids: &BTreeMap<u32, NodeId>) -> Option<NodeId> {
    match topology.local_nodes(device).known() {
        Some(nodes) => {
            let mut nodes = nodes.iter();
            nodes.next().filter(|_| nodes.next().is_none()).and_then(|only| ids.get(&only).copied())
        }
        None => topology.numa_ancestor(device),
    }
}
