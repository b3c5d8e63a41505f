//! `NodeResourceTopology`: the NUMA nodes of a machine as zones, with their distances and the amounts of their resources.
//!
//! An amount of CPUs or GPUs tells how many there are and not which. Koordinator adds a list of CPUs in an annotation, which is
//! believed where it has as many CPUs as the zones.

use super::quantity;
use super::tree::Node;
use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::error::Result;
use crate::model::{Core, Fragment, NodeId, NoteCode, NoteKind, NumaNode, Package, Pu};
use crate::source::common;
use crate::units::several;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The annotation of Koordinator with the list of CPUs.
const CPUS: &str = "node.koordinator.sh/cpu-topology";

/// More NUMA nodes than any machine has.
const MAX_NODES: usize = 4096;

/// The largest distance: 255 is that of memory out of reach.
const MAX_DISTANCE: u32 = 255;

/// A zone that is a NUMA node.
#[derive(Default)]
struct Zone {
    distances: Vec<(u32, u32)>,
    memory: Option<u64>,
    /// The number of CPUs.
    cpus: Option<u64>,
    /// The numbers of GPUs by resource.
    gpus: BTreeMap<String, u64>,
}

/// A CPU of Koordinator's list.
#[derive(Clone, Copy, Deserialize)]
struct Cpu {
    id: u32,
    core: u32,
    socket: u32,
    node: u32,
}

#[derive(Deserialize)]
struct CpuList {
    detail: Vec<Cpu>,
}

/// The zones of a node.
#[derive(Default)]
pub(super) struct Zones {
    nodes: BTreeMap<u32, Zone>,
    /// Names of zones that are no NUMA nodes.
    others: BTreeSet<String>,
    cpus: Vec<Cpu>,
    notes: Vec<(NoteCode, String)>,
}

impl Zones {
    /// Lists the numbers of GPUs, for people.
    pub(super) fn gpus(&self) -> Vec<String> {
        let of = |(node, zone): (&u32, &Zone)| {
            let counts = zone.gpus.iter().filter(|(_, count)| **count > 0);
            counts.map(|(name, count)| format!("{count} {name} on NUMA node {node}")).collect::<Vec<_>>()
        };
        self.nodes.iter().flat_map(of).collect()
    }
}

/// Reads the zones of objects, which are of one node.
pub(super) fn read(objects: &[&Node]) -> Result<Zones> {
    let mut zones = Zones::default();
    for object in objects {
        for zone in object.get("zones").and_then(Node::items).unwrap_or_default() {
            zones.zone(zone)?;
        }
        if let Some(list) = object.at(&["metadata", "annotations", CPUS]) {
            zones.cpus(list)?;
        }
    }
    Ok(zones)
}

/// Returns the number of the NUMA node that a zone is by its name: `node-0`, `numa-node-1`, `NUMA2`.
fn os_index(name: &str) -> Option<u32> {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let word = name.strip_suffix(digits)?.to_ascii_lowercase().replace(['-', '_'], "");
    let number = digits.parse().ok().filter(|number| *number <= MAX_INDEX)?;
    matches!(&*word, "node" | "numa" | "numanode").then_some(number)
}

impl Zones {
    fn zone(&mut self, node: &Node) -> Result<()> {
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        let kind = text("type").to_ascii_lowercase();
        let is_numa = matches!(&*kind, "" | "node" | "numa" | "numanode");
        let Some(number) = os_index(text("name")).filter(|_| is_numa) else {
            self.others.insert(text("name").to_owned());
            return Ok(());
        };
        if self.nodes.len() >= MAX_NODES {
            return Err(node.error(format!("there are more than {MAX_NODES} zones")));
        }
        let mut zone = Zone::default();
        for cost in node.get("costs").and_then(Node::items).unwrap_or_default() {
            let Some(value) = cost.get("value") else { continue };
            let word = value.text().unwrap_or_default();
            let Some(distance) = word.parse().ok().filter(|own| (1..=MAX_DISTANCE).contains(own)) else {
                return Err(value.error(format!("'{word}' is no distance from 1 to {MAX_DISTANCE}")));
            };
            let to = cost.get("name").and_then(Node::text).and_then(os_index);
            zone.distances.extend(to.filter(|to| *to != number).map(|to| (to, distance)));
        }
        zone.distances.sort_unstable();
        zone.distances.dedup_by_key(|(to, _)| *to);
        for resource in node.get("resources").and_then(Node::items).unwrap_or_default() {
            let name = resource.get("name").and_then(Node::text).unwrap_or_default();
            let Some(capacity) = resource.get("capacity") else { continue };
            let is_gpu = name.split_once('/').is_some_and(|(_, own)| own == "gpu" || own.starts_with("gpu."));
            if !matches!(name, "cpu" | "memory") && !is_gpu {
                continue;
            }
            let word = capacity.text().unwrap_or_default();
            let Some(amount) = quantity::whole(word) else {
                return Err(capacity.error(format!("'{word}' is no quantity of {name}")));
            };
            match name {
                "cpu" => zone.cpus = Some(amount),
                "memory" => zone.memory = Some(amount),
                _ => _ = zone.gpus.insert(name.to_owned(), amount),
            }
        }
        if self.nodes.insert(number, zone).is_some() {
            return Err(node
                .error(format!("NUMA node {number} is there twice"))
                .help("give the object of one node"));
        }
        Ok(())
    }

    /// Reads Koordinator's list of CPUs.
    fn cpus(&mut self, list: &Node) -> Result<()> {
        let Ok(CpuList { detail }) = serde_json::from_str(list.text().unwrap_or_default()) else {
            return Err(list.error(format!("{CPUS} is no list of CPUs")));
        };
        let ids: BTreeSet<u32> = detail.iter().map(|cpu| cpu.id).collect();
        let most = detail.iter().flat_map(|cpu| [cpu.id, cpu.core, cpu.socket, cpu.node]).max();
        if ids.len() != detail.len() || most.is_some_and(|most| most > MAX_INDEX) {
            return Err(list.error(format!("{CPUS} names a CPU twice, or a number above {MAX_INDEX}")));
        }
        let listed = |node: u32| detail.iter().filter(|cpu| cpu.node == node).count() as u64;
        let zones = self.nodes.iter().filter_map(|(node, zone)| Some((*node, zone.cpus?)));
        let wrong: Vec<String> = zones
            .filter(|(node, count)| listed(*node) != *count)
            .map(|(node, count)| format!("{} of {count} on NUMA node {node}", listed(node)))
            .collect();
        if wrong.is_empty() {
            self.cpus = detail;
        } else {
            let text = format!(
                "{CPUS} lists other CPUs than the zones count, and was left out: {}",
                several(&wrong)
            );
            self.notes.push((NoteCode::Conflict, text));
        }
        Ok(())
    }
}

/// Adds the NUMA nodes of zones, and those that devices name. Returns them by number.
pub(super) fn add(fragment: &mut Fragment, mut zones: Zones, named: &BTreeSet<u32>) -> BTreeMap<u32, NodeId> {
    for (code, text) in std::mem::take(&mut zones.notes) {
        fragment.note(code, text);
    }
    if !zones.others.is_empty() {
        let others: Vec<String> = zones.others.iter().cloned().collect();
        let text = format!(
            "zones that are no NUMA nodes by their types and names were left out: {}",
            several(&others)
        );
        fragment.note(NoteKind::Unknown, text);
    }
    for node in named.iter().copied().chain(zones.cpus.iter().map(|cpu| cpu.node)) {
        zones.nodes.entry(node).or_default();
    }
    let mut of_sockets: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for cpu in &zones.cpus {
        of_sockets.entry(cpu.node).or_default().insert(cpu.socket);
    }
    let sockets: BTreeSet<u32> = zones.cpus.iter().map(|cpu| cpu.socket).collect();
    let packages: BTreeMap<u32, NodeId> = sockets
        .iter()
        .map(|socket| (*socket, fragment.add(NodeId::MACHINE, Package::new(*socket))))
        .collect();
    let mut nodes = BTreeMap::new();
    let mut without_cpus = Vec::new();
    for (number, zone) in &zones.nodes {
        let mut node = NumaNode::new(*number);
        node.memory = zone.memory.filter(|memory| *memory > 0);
        node.distances.clone_from(&zone.distances);
        node.cpus = zones.cpus.iter().filter(|cpu| cpu.node == *number).map(|cpu| cpu.id).collect();
        if node.cpus.is_empty() && zone.cpus != Some(0) {
            let count = zone.cpus.map(|count| format!("{count} on NUMA node {number}"));
            without_cpus.push(count.unwrap_or_else(|| format!("NUMA node {number}")));
        }
        let only = of_sockets.get(number).filter(|own| own.len() == 1).and_then(BTreeSet::first);
        let parent = only.and_then(|socket| packages.get(socket)).copied().unwrap_or(NodeId::MACHINE);
        nodes.insert(*number, fragment.add(parent, node));
    }
    cores(fragment, &zones.cpus, &packages, &nodes, &of_sockets);
    let linked: Vec<NodeId> = nodes
        .iter()
        .filter(|(node, _)| zones.nodes.get(node).and_then(|zone| zone.cpus) != Some(0))
        .map(|(_, id)| *id)
        .collect();
    common::link_numa_nodes(fragment, &linked, None);
    if !without_cpus.is_empty() {
        let text = format!(
            "objects of Kubernetes do not tell which CPUs a NUMA node has: {}",
            several(&without_cpus)
        );
        fragment.note(NoteCode::NumaCpusUnknown, text);
    }
    nodes
}

/// Adds cores with their CPUs.
fn cores(
    fragment: &mut Fragment,
    cpus: &[Cpu],
    packages: &BTreeMap<u32, NodeId>,
    nodes: &BTreeMap<u32, NodeId>,
    of_sockets: &BTreeMap<u32, BTreeSet<u32>>,
) {
    let mut cores: BTreeMap<(u32, u32), (u32, CpuSet)> = BTreeMap::new();
    for cpu in cpus {
        cores.entry((cpu.socket, cpu.core)).or_insert((cpu.node, CpuSet::new())).1.insert(cpu.id);
    }
    for ((socket, core), (node, own)) in cores {
        let is_within = of_sockets.get(&node).is_some_and(|sockets| sockets.len() == 1);
        let holder = if is_within { nodes.get(&node) } else { packages.get(&socket) };
        let id = fragment.add(holder.copied().unwrap_or(NodeId::MACHINE), Core::new(core));
        for cpu in own.iter() {
            fragment.add(id, Pu::new(cpu));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::os_index;

    #[test]
    fn zones_are_numa_nodes_by_their_names() {
        for (name, number) in [
            ("node-0", Some(0)),
            ("numa-node-12", Some(12)),
            ("NUMANode1", Some(1)),
            ("numa_3", Some(3)),
            ("NUMANode-cpu-0", None),
            ("PCIE-0-gpu1", None),
            ("node-", None),
            ("0", None),
            ("node-0-1", None),
            ("node-99999999999", None),
            ("", None),
        ] {
            assert_eq!(os_index(name), number, "{name}");
        }
    }
}
