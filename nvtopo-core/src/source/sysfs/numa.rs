//! NUMA nodes: their CPUs, memory, huge pages and distances, and the GPUs whose memory they are.

use super::super::common;
use super::cpu::Cpus;
use super::tree::{Names, Syntax, Tree};
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::PciAddress;
use crate::model::{Fragment, HugePages, NodeId, NodeKind, Note, NoteCode, NumaNode};
use std::cell::OnceCell;

const ROOT: &str = "sys/devices/system/node";

/// The most sizes of huge pages. ARM has four at most, other architectures up to six.
const MAX_SIZES: usize = 16;

const CPUS: &[(&str, Syntax)] = &[("cpumap", Syntax::Mask), ("cpulist", Syntax::List)];

/// The NUMA nodes of a machine, by number.
pub(super) struct Nodes {
    pub(super) all: Vec<NumaNode>,
    /// True if the kernel shows none, so that the machine as a whole stands in.
    inferred: bool,
    pub(super) notes: Vec<Note>,
}

impl Nodes {
    /// Returns the numbers of all nodes.
    pub(super) fn numbers(&self) -> NodeSet {
        self.all.iter().map(|node| node.os_index).collect()
    }

    /// Returns the position of the node that a device names. A GPU's memory is never near to a device.
    pub(super) fn position(&self, os_index: i64) -> Option<usize> {
        let here = |node: &NumaNode| i64::from(node.os_index) == os_index && node.gpu.is_none();
        self.all.iter().position(here)
    }

    /// Returns the only node with exactly these CPUs.
    pub(super) fn with_cpus(&self, cpus: &CpuSet) -> Option<usize> {
        self.only(|node| !cpus.is_empty() && node.cpus == *cpus)
    }

    /// Returns the only node that has CPUs.
    pub(super) fn only_with_cpus(&self) -> Option<usize> {
        self.only(|node| !node.cpus.is_empty())
    }

    fn only(&self, is: impl Fn(&NumaNode) -> bool) -> Option<usize> {
        let mut found = (0..self.all.len()).filter(|index| is(&self.all[*index]));
        found.next().filter(|_| found.next().is_none())
    }

    /// Adds the nodes, below the package that holds all their CPUs, and the links between them.
    pub(super) fn add(&self, cpus: &Cpus, packages: &[NodeId], fragment: &mut Fragment) -> Vec<NodeId> {
        let mut ids = Vec::new();
        for node in &self.all {
            let parent = cpus.holder(packages, &node.cpus);
            let kind = NodeKind::NumaNode(node.clone());
            let add = if self.inferred { Fragment::add_inferred } else { Fragment::add };
            ids.push(add(fragment, parent, kind));
        }
        let with_cpus: Vec<NodeId> =
            self.all.iter().zip(&ids).filter(|(node, _)| !node.cpus.is_empty()).map(|(_, id)| *id).collect();
        common::link_numa_nodes(fragment, &with_cpus, cpus.model.as_deref());
        ids
    }
}

/// Reads the nodes. `gpus`: the node that is the memory of each GPU, where the driver says so.
pub(super) fn read(tree: &Tree, cpus: &Cpus, gpus: &[(PciAddress, u32)]) -> Nodes {
    tree.prepare(ROOT);
    let numbers: Vec<u32> = match tree.list::<NodeSet>(&format!("{ROOT}/online")) {
        Some(online) if !online.is_empty() => online.iter().collect(),
        _ => tree.numbered(ROOT, "node"),
    };
    let mut result = Nodes { all: Vec::new(), inferred: false, notes: Vec::new() };
    let names = Names::new(CPUS);
    let mut taken = CpuSet::new();
    let mut sizes = None;
    let fake = OnceCell::new();
    for &os_index in &numbers {
        let folder = format!("{ROOT}/node{os_index}");
        // A node without this file is not there: a recorded list may name nodes that were removed.
        let Some(stated) = tree.named_set(&folder, &names) else { continue };
        if !stated.is_disjoint(&taken) && !*fake.get_or_init(|| fake_nodes(tree)) {
            result.notes.push(Note::new(
                NoteCode::Conflict,
                format!("NUMA node {os_index} names CPUs that an earlier node has; it was left out"),
            ));
            continue;
        }
        taken = taken.union(&stated);
        // A node with CPUs is the machine's memory, which an integrated GPU merely uses.
        let gpu = gpus.iter().find(|(_, node)| *node == os_index && stated.is_empty());
        let memory = tree.with_text(&format!("{folder}/meminfo"), memory).flatten();
        result.all.push(NumaNode {
            os_index,
            cpus: stated.intersection(&cpus.online),
            memory,
            distances: distances(tree, &folder, os_index, &numbers),
            huge_pages: huge_pages(tree, &folder, memory, &mut sizes),
            gpu: gpu.map(|(address, _)| *address),
        });
    }
    let present = result.numbers();
    for node in &mut result.all {
        node.distances.retain(|(number, _)| present.contains(*number));
    }
    if result.all.is_empty() {
        whole_machine(tree, cpus, &mut result);
    }
    result
}

/// Returns whether the kernel was started with fake nodes (`numa=fake=`), of which several have the same CPUs on
/// purpose.
fn fake_nodes(tree: &Tree) -> bool {
    tree.text("proc/cmdline").is_some_and(|line| line.contains("numa=fake="))
}

/// Adds the only node of a kernel without NUMA.
fn whole_machine(tree: &Tree, cpus: &Cpus, result: &mut Nodes) {
    let memory = tree.text("proc/meminfo").and_then(|text| memory(&text));
    result.all.push(NumaNode { cpus: cpus.online.clone(), memory, ..NumaNode::default() });
    result.inferred = true;
    let text = "the kernel shows no NUMA nodes; the whole machine was taken as node 0";
    result.notes.push(Note::new(NoteCode::NumaInferred, text));
}

/// Reads `MemTotal:  16384 kB`, in a node's file after `Node 0`.
fn memory(meminfo: &str) -> Option<u64> {
    let (_, rest) = meminfo.split_once("MemTotal:")?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the huge pages reserved on a node. Kernels have the same sizes on all nodes with memory, so the sizes are
/// those of the first such node, in KiB.
fn huge_pages(tree: &Tree, node: &str, memory: Option<u64>, sizes: &mut Option<Vec<u64>>) -> Vec<HugePages> {
    let folder = format!("{node}/hugepages");
    let known = sizes.take().unwrap_or_else(|| {
        let names = tree.names(&folder);
        let size = |name: &String| name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok();
        let mut found: Vec<u64> = names.iter().filter_map(size).take(MAX_SIZES).collect();
        found.sort_unstable();
        found
    });
    let pages = |&size: &u64| {
        let count = |name: &str| tree.text(&format!("{folder}/hugepages-{size}kB/{name}"))?.parse().ok();
        let total = count("nr_hugepages")?;
        let free = if total == 0 { 0 } else { count("free_hugepages")? };
        Some(HugePages { size: size.checked_mul(1024)?, total, free })
    };
    let found = known.iter().filter_map(pages).collect();
    if !known.is_empty() || memory.is_some_and(|bytes| bytes > 0) {
        *sizes = Some(known);
    }
    found
}

/// Reads the distances of a node: the kernel writes one for each online node, in their order.
fn distances(tree: &Tree, folder: &str, own: u32, numbers: &[u32]) -> Vec<(u32, u32)> {
    let Some(text) = tree.text(&format!("{folder}/distance")) else { return Vec::new() };
    let row: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    let Some(row) = row.filter(|row| row.len() == numbers.len()) else {
        tree.damage(format!("{folder}/distance should hold {} numbers", numbers.len()));
        return Vec::new();
    };
    numbers.iter().copied().zip(row).filter(|(number, _)| *number != own).collect()
}
