//! The devices of each NUMA node, as text and pictures group them.

use nvtopo::PciAddress;
use nvtopo::Topology;
use nvtopo::model::{Gpu, NodeId, NodeKind, NumaNode, Nvme, Stated};
use nvtopo::{CpuSet, NodeSet};
use std::collections::BTreeSet;

/// Devices that are shown together.
pub(crate) struct Place<'a> {
    /// The NUMA node that they are on; `None` where it is unknown.
    pub(crate) node: Option<(NodeId, &'a NumaNode)>,
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
    let (mut places, mut bare) = (Vec::new(), Vec::new());
    for place in self::places(topology) {
        match place.node {
            Some((_, numa)) if place.devices.is_empty() && is_memory(numa) => {}
            Some((id, _)) if place.devices.is_empty() && disks(topology, Some(id)).next().is_none() => {
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

/// Returns every NUMA node in the source's order, then the devices of unknown node, grouped by their near CPUs.
fn places(topology: &Topology) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    let mut unplaced: Vec<usize> = (0..topology.devices().len()).collect();
    for (id, numa) in topology.nodes().filter_map(|(id, node)| Some((id, node.kind.as_numa_node()?))) {
        let here = |device: &usize| is_on(topology, topology.devices()[*device], id, numa);
        let (devices, others) = unplaced.into_iter().partition(here);
        unplaced = others;
        let cpus = (!numa.cpus.is_empty()).then(|| numa.cpus.clone());
        places.push(Place { node: Some((id, numa)), cpus, devices });
    }
    let known = places.len();
    for device in unplaced {
        let cpus = topology.local_cpus(topology.devices()[device]).known().cloned();
        match places[known..].iter_mut().find(|place| place.cpus == cpus) {
            Some(place) => place.devices.push(device),
            None => places.push(Place { node: None, cpus, devices: vec![device] }),
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

fn is_on(topology: &Topology, device: NodeId, id: NodeId, numa: &NumaNode) -> bool {
    let stated = topology.local_nodes(device);
    match stated.known() {
        Some(nodes) => *nodes == NodeSet::from_iter([numa.os_index]),
        None => topology.numa_ancestor(device) == Some(id),
    }
}
