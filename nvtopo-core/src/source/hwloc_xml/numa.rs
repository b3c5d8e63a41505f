//! NUMA nodes: their CPUs, memory and distances, and the nodes near a device.
//!
//! Since its second version hwloc gives memory without CPUs those of the object that it is attached to. The kernel
//! gives a CPU to one node only, so of nodes with the same CPUs one has them: ordinary memory of the smallest object.

use super::super::common;
use super::cpus::{self, Budget};
use super::element::Element;
use super::objects::{Memory, Objects};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Fragment, NodeId, NodeKind, NoteCode, NoteKind, NumaNode};

/// The NUMA nodes of a machine.
pub(super) struct Nodes {
    pub(super) all: Vec<NumaNode>,
    pub(super) ids: Vec<NodeId>,
}

/// The CPUs and NUMA nodes near a device.
#[derive(Clone, Default)]
pub(super) struct Near {
    /// The position of the only node with CPUs.
    pub(super) node: Option<usize>,
    /// A part of those of the node; else those of several nodes, where they are not all.
    pub(super) cpus: Option<CpuSet>,
    pub(super) nodes: NodeSet,
}

impl Nodes {
    /// Returns the CPUs and NUMA nodes near an object that is no I/O object.
    pub(super) fn near(&self, objects: &Objects<'_>, holder: Element<'_>) -> Result<Near> {
        let nodes = holder.set("nodeset")?;
        let cpus = holder.set("cpuset")?;
        let is_near = |node: &NumaNode| match (&nodes, &cpus) {
            (Some(nodes), _) => nodes.contains(node.os_index),
            (None, Some(cpus)) => node.cpus.iter().any(|cpu| cpus.contains(cpu)),
            (None, None) => true,
        };
        let with_cpus = || (0..self.all.len()).filter(|node| !self.all[*node].cpus.is_empty());
        let near: Vec<usize> = with_cpus().filter(|node| is_near(&self.all[*node])).collect();
        let own: Option<CpuSet> =
            cpus.map(|set| objects.online.iter().filter(|cpu| set.contains(*cpu)).collect());
        if let [only] = near[..] {
            // Firmware can state a locality finer than a node.
            let all = &self.all[only].cpus;
            let part = own.filter(|own| !own.is_empty() && own != all && own.is_subset(all));
            return Ok(Near { node: Some(only), cpus: part, ..Near::default() });
        }
        let cpus = own.filter(|own| !own.is_empty() && *own != objects.online);
        let all = near.len() == with_cpus().count();
        let near = near.iter().map(|node| self.all[*node].os_index);
        Ok(Near { node: None, cpus, nodes: near.filter(|_| !all).collect() })
    }
}

/// Reads the nodes and adds them, below the package that holds them.
pub(super) fn add(
    objects: &Objects<'_>,
    packages: &[NodeId],
    distances: &[(u32, u32, u32)],
    budget: &mut Budget,
    fragment: &mut Fragment,
) -> Result<Nodes> {
    let mut nodes = Nodes { all: read(objects, budget, fragment)?, ids: Vec::new() };
    for (node, memory) in nodes.all.iter_mut().zip(&objects.nodes) {
        node.distances = row(distances, node.os_index);
        let package = package_of(objects, memory, &node.cpus).map(|package| packages[package]);
        let kind = NodeKind::NumaNode(node.clone());
        nodes.ids.push(fragment.add(package.unwrap_or(NodeId::MACHINE), kind));
    }
    if objects.nodes_made_up {
        let text = "the NUMA nodes of the machine were unknown when the file was written";
        fragment.note(NoteKind::Unknown, text);
    } else if nodes.all.is_empty() && !objects.online.is_empty() {
        // The first version writes the memory of such a machine there.
        let memory = objects.root.number("local_memory")?.filter(|memory| *memory > 0);
        let node = NumaNode { cpus: objects.online.clone(), memory, ..NumaNode::default() };
        nodes.ids.push(fragment.add_inferred(NodeId::MACHINE, node.clone()));
        nodes.all.push(node);
        let text = "the file shows no NUMA nodes; the whole machine was taken as node 0";
        fragment.note(NoteCode::NumaInferred, text);
    }
    let with_cpus = nodes.all.iter().zip(&nodes.ids).filter(|(node, _)| !node.cpus.is_empty());
    let with_cpus: Vec<NodeId> = with_cpus.map(|(_, id)| *id).collect();
    common::link_numa_nodes(fragment, &with_cpus, cpus::model(objects));
    Ok(nodes)
}

/// Returns the distances from one node, which are sorted by where they are from.
fn row(distances: &[(u32, u32, u32)], own: u32) -> Vec<(u32, u32)> {
    let start = distances.partition_point(|(from, ..)| *from < own);
    let row = distances[start..].iter().take_while(|(from, ..)| *from == own);
    row.map(|(_, to, distance)| (*to, *distance)).collect()
}

fn read(objects: &Objects<'_>, budget: &mut Budget, fragment: &mut Fragment) -> Result<Vec<NumaNode>> {
    let mut places = Vec::new();
    for memory in &objects.nodes {
        places.push(place(objects, memory)?);
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|node| {
        let memory = &objects.nodes[*node];
        (!is_plain(memory.element), places[*node].len(), memory.os_index)
    });
    let mut taken = CpuSet::new();
    let mut without = NodeSet::new();
    for node in order {
        let cpus = std::mem::take(&mut places[node]);
        let memory = &objects.nodes[node];
        if is_gpu_memory(memory.element) {
            continue;
        }
        if cpus.is_disjoint(&taken) {
            taken = taken.union(&cpus);
            places[node] = budget.keep(cpus)?;
        } else {
            without.insert(memory.os_index);
        }
    }
    if !without.is_empty() {
        let text = format!(
            "the file gives NUMA nodes {without} CPUs that are those of others, so they were taken as memory only"
        );
        fragment.note(NoteCode::NumaInferred, text);
    }
    let nodes = objects.nodes.iter().zip(places);
    nodes.map(|(memory, cpus)| one(memory, cpus)).collect()
}

fn one(memory: &Memory<'_>, cpus: CpuSet) -> Result<NumaNode> {
    let element = memory.element;
    let gpu: Option<PciAddress> =
        element.info("PCIBusID").filter(|_| is_gpu_memory(element)).and_then(|text| text.parse().ok());
    let memory = NumaNode { os_index: memory.os_index, cpus, gpu, ..NumaNode::default() };
    Ok(NumaNode { memory: element.number("local_memory")?, ..memory })
}

/// Returns the CPUs of the place where memory hangs.
fn place(objects: &Objects<'_>, memory: &Memory<'_>) -> Result<CpuSet> {
    let within = |set: super::set::Bitmap| objects.online.iter().filter(|cpu| set.contains(*cpu)).collect();
    Ok(memory.element.set("cpuset")?.map_or_else(|| objects.cpus(&memory.pus), within))
}

/// Returns whether memory is of the usual kind: hwloc names others HBM, NVM and so on.
fn is_plain(element: Element<'_>) -> bool {
    element.attribute("subtype").is_none_or(|subtype| subtype.is_empty() || subtype == "DRAM")
}

fn is_gpu_memory(element: Element<'_>) -> bool {
    element.attribute("subtype").is_some_and(|subtype| subtype.contains("GPUMemory"))
}

/// Returns the package that memory hangs in, or that holds all its CPUs.
fn package_of(objects: &Objects<'_>, memory: &Memory<'_>, cpus: &CpuSet) -> Option<usize> {
    memory.package.or_else(|| {
        let first = cpus.first()?;
        let package = objects.pus.iter().find(|pu| pu.os_index == first)?.package?;
        cpus.is_subset(&objects.cpus(&objects.packages[package].pus)).then_some(package)
    })
}
