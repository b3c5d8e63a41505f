//! Which devices are shown on which NUMA node.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeId, NodeKind, NumaNode, Nvme, Topology};

/// Devices that are shown together.
pub(super) struct Place<'a> {
    /// The NUMA node that they are on; `None` where it is unknown.
    pub(super) node: Option<(NodeId, &'a NumaNode)>,
    /// The CPUs near to them, where known.
    pub(super) cpus: Option<CpuSet>,
    /// Positions in [`Topology::devices`].
    pub(super) devices: Vec<usize>,
}

/// Every NUMA node in the source's order, then the devices of which the node is unknown, by the CPUs near to them.
pub(super) fn places(topology: &Topology) -> Vec<Place<'_>> {
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

/// The disks on a NUMA node, or those of which it is unknown.
pub(super) fn disks(topology: &Topology, on: Option<NodeId>) -> impl Iterator<Item = &Nvme> {
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
