//! The text of `nvidia-smi topo -m`, as drivers since 2015 print it and as people pass it on.
//!
//! The text gives a class for each pair of devices, never the bridges themselves: the tree of switches, host
//! bridges and NUMA nodes is rebuilt from the classes ([`tree`]), and every class is kept as it is in the text.
//! Damaged text whose meaning is clear is read, with a note; anything else is an error that names its place.

mod affinity;
mod cell;
mod columns;
mod lines;
mod nodes;
mod nvlink;
mod p2p;
mod place;
mod reader;
mod stops;
mod table;
mod tree;
pub(super) mod write;

use super::{Input, Line, TextFormat, common, text};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::Result;
use crate::model::{
    Dialect, Fragment, Gpu, HostBridge, Nic, NodeId, NodeKind, NoteCode, NoteKind, NumaNode, PcieSwitch,
    Provenance, Stated, rates,
};
use crate::units::{count_of, listed};
use affinity::Affinity;
use cell::Word;
use table::{Matrix, Pairs};
use tree::{Forest, Tree};

pub(super) use p2p::P2pMatrix;

/// The most names that a note lists.
const LISTED: usize = 8;

pub(super) struct SmiMatrix;

impl TextFormat for SmiMatrix {
    const NAME: &'static str = "the text of nvidia-smi topo -m";
    const BEGINNINGS: &'static [&'static str] = &["nvidia-smi", "topo -"];

    fn recognizes(input: &Input<'_>) -> bool {
        let start = input.decoded().trim_start();
        let json = start.starts_with('{')
            || start.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', '"', ']']));
        !json && !is_xml(start) && lines::of(input.lines()).any(|line| reader::is_matrix_line(&line))
    }

    fn begins(line: &Line<'_>) -> bool {
        lines::of(std::iter::once(line.clone())).any(|line| reader::is_header(&line))
    }

    /// A header by itself may be that of any matrix, or prose.
    fn recognizes_part(part: &Input<'_>) -> bool {
        lines::of(part.lines()).any(|line| reader::is_row_line(&line)) && Self::recognizes(part)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = reader::Reader::new();
        for line in lines::of(text::lines(&text)) {
            reader.feed(&line)?;
        }
        let mut matrix = reader.finish()?;
        if let Some(damage) = damage {
            matrix.damage(damage);
        }
        build(matrix)
    }
}

/// Returns whether a text is an XML file, and not one that begins with a tag of HTML, such as `<details>`.
fn is_xml(start: &str) -> bool {
    ["<?xml", "<!DOCTYPE topology", "<!DOCTYPE nvidia", "<topology", "<nvidia_smi_log", "<system"]
        .iter()
        .any(|begin| start.starts_with(begin))
}

fn build(mut matrix: Matrix) -> Result<Fragment> {
    matrix.drop_nameless();
    let pairs = matrix.pairs()?;
    let (affinities, to_tell) = affinity::read(&mut matrix);
    let mut fragment = Fragment::new(Provenance::Smi);
    let nodes: Vec<Option<u32>> = affinities.iter().map(single_node).collect();
    let forest = tree::grow(&pairs, &nodes);
    let ids = plant(&mut fragment, &matrix, &forest, &affinities);
    state_paths(&mut fragment, &pairs, &ids);
    let unseen = nvlink::link(&mut fragment, &matrix, &pairs, &ids);
    if pairs.any(|word| word == Word::Soc) {
        fragment.set_dialect(Dialect::Soc);
    }
    note_damage(&mut fragment, &matrix);
    fragment.notes.extend(to_tell);
    note_left_out(&mut fragment, &matrix);
    note_tree(&mut fragment, &matrix, &pairs, &forest);
    nvlink::note_unknown(&mut fragment, &matrix, &pairs, unseen);
    Ok(fragment)
}

fn single_node(affinity: &Affinity) -> Option<u32> {
    affinity.nodes.known().filter(|nodes| nodes.len() == 1).and_then(NodeSet::first)
}

/// Adds the containers and the devices, and returns the node of each device.
fn plant(fragment: &mut Fragment, matrix: &Matrix, forest: &Forest, affinities: &[Affinity]) -> Vec<NodeId> {
    let mut parents = vec![NodeId::MACHINE; affinities.len()];
    let cpus = cpus_of_nodes(fragment, forest, affinities);
    let mut numa = Vec::new();
    for (branch, cpus) in forest.branches.iter().zip(cpus) {
        let parent = match branch.node {
            Some(os_index) => {
                let node = NumaNode { os_index, cpus, ..NumaNode::default() };
                numa.push(fragment.add(NodeId::MACHINE, node));
                numa[numa.len() - 1]
            }
            None => NodeId::MACHINE,
        };
        for tree in &branch.trees {
            plant_containers(fragment, parent, tree, &mut parents);
        }
    }
    if numa.len() <= common::MAX_LINKED {
        common::link_numa_nodes(fragment, &numa, None);
    }
    // The devices come last, in the order of their columns, which is the order of NICs in a topology.
    let devices = parents.into_iter().enumerate();
    let ids = devices.map(|(device, parent)| {
        let mut kind = kind_of(matrix, device, &affinities[device]);
        // Its distance to others on its node is unknown, so it stands apart; its cells tell which node that is.
        if let (Some((_, nodes @ Stated::Unstated)), NodeId::MACHINE) = (kind.near_mut(), parent) {
            let numa_node = forest.numa_nodes[device];
            *nodes =
                numa_node.map_or(Stated::Unstated, |node| Stated::Known(std::iter::once(node).collect()));
        }
        let id = fragment.add(parent, kind);
        if parent != NodeId::MACHINE {
            fragment.link(parent, id, rates::pcie_unknown());
        }
        id
    });
    ids.collect()
}

/// Returns the CPUs of each branch's NUMA node: those of its GPUs, unless nodes would then share CPUs.
fn cpus_of_nodes(fragment: &mut Fragment, forest: &Forest, affinities: &[Affinity]) -> Vec<CpuSet> {
    let own = |number: Option<u32>| {
        let there = affinities.iter().filter(|affinity| number.is_some() && single_node(affinity) == number);
        there.filter_map(|affinity| affinity.cpus.known()).collect::<CpuSet>()
    };
    let sets: Vec<CpuSet> = forest.branches.iter().map(|branch| own(branch.node)).collect();
    let total: usize = sets.iter().map(CpuSet::len).sum();
    let all = sets.iter().collect::<CpuSet>();
    if total == all.len() {
        return sets;
    }
    fragment
        .note(NoteKind::Conflict, "GPUs of different NUMA nodes share CPUs, so the nodes' CPUs are unknown");
    sets.iter().map(|_| CpuSet::new()).collect()
}

/// Adds the switches and bridges of a tree, and says which of them is each device's parent.
fn plant_containers(fragment: &mut Fragment, parent: NodeId, tree: &Tree, parents: &mut [NodeId]) {
    let (kind, below) = match tree {
        Tree::Device(device) => {
            parents[*device] = parent;
            return;
        }
        Tree::Switch(below) => (NodeKind::PcieSwitch(PcieSwitch::default()), below),
        Tree::Bridge(below) => (NodeKind::HostBridge(HostBridge::default()), below),
    };
    let switch = matches!(kind, NodeKind::PcieSwitch(_));
    let id = fragment.add_inferred(parent, kind);
    if switch && parent != NodeId::MACHINE {
        fragment.link(parent, id, rates::pcie_unknown());
    }
    for tree in below {
        plant_containers(fragment, id, tree, parents);
    }
}

fn kind_of(matrix: &Matrix, device: usize, affinity: &Affinity) -> NodeKind {
    let name = matrix.name(device);
    let Affinity { cpus, nodes, memory_node } = affinity.clone();
    if let Some(index) = columns::gpu_index(name) {
        return NodeKind::Gpu(Box::new(Gpu { index, cpus, nodes, memory_node, ..Gpu::default() }));
    }
    let rdma_device = matrix.rdma_device(name);
    let name = name.to_owned();
    NodeKind::Nic(Box::new(Nic { name, rdma_device, cpus, nodes, ..Nic::default() }))
}

fn state_paths(fragment: &mut Fragment, pairs: &Pairs, ids: &[NodeId]) {
    for a in 0..pairs.len() {
        for b in a + 1..pairs.len() {
            if let Some(path) = pairs.word(a, b).path() {
                fragment.state_path(ids[a], ids[b], path);
            }
        }
    }
}

fn note_damage(fragment: &mut Fragment, matrix: &Matrix) {
    for damage in matrix.all_damages() {
        fragment.note(NoteKind::Damage, damage);
    }
    let missing: Vec<usize> =
        (0..matrix.rows.len()).filter(|device| matrix.rows[*device].is_none()).collect();
    if let Some(first) = missing.first() {
        let (count, name) = (count_of(missing.len(), "device"), matrix.name(*first));
        let text = format!("the rows of {count} are missing, first {name}; the columns tell what they can");
        fragment.note(NoteCode::TextCut, text);
    }
    let short = matrix.rows.iter().flatten().find(|row| row.cells.iter().any(Option::is_none));
    if let Some(row) = short.filter(|_| matrix.tail.is_some()) {
        fragment.note(NoteCode::TextCut, format!("the text is cut in line {}", row.line));
    }
}

/// Notes the parts of the text that are not read.
fn note_left_out(fragment: &mut Fragment, matrix: &Matrix) {
    let columns = matrix.columns.as_ref().map_or(&[][..], |columns| &columns.left_out);
    if columns.is_empty() {
        return;
    }
    let shown = |heading: &String| format!("'{}'", heading.chars().take(40).collect::<String>());
    let names: Vec<String> = columns.iter().map(shown).collect();
    let (count, names) = (count_of(names.len(), "column"), listed(&names, LISTED));
    fragment.note(
        NoteKind::Unknown,
        format!("{count} of the matrix left out, as nothing is known of it here: {names}"),
    );
}

fn note_tree(fragment: &mut Fragment, matrix: &Matrix, pairs: &Pairs, forest: &Forest) {
    if let (count, Some((a, b))) = forest.misfits {
        let (one, other, word) = (matrix.name(a), matrix.name(b), pairs.word(a, b).text());
        let text = format!(
            "{count} pairs fit no tree of bridges and NUMA nodes, first {one} and {other} ({word}); their classes are kept"
        );
        fragment.note(NoteKind::Conflict, text);
    }
    if forest.torn > 0 {
        let text = format!("devices of one host bridge have different NUMA nodes, in {} cases", forest.torn);
        fragment.note(NoteKind::Conflict, text);
    }
    let unknown = (0..pairs.len())
        .map(|a| (a + 1..pairs.len()).filter(|b| pairs.word(a, *b) == Word::Unknown).count())
        .sum::<usize>();
    if unknown > 0 {
        fragment.note(
            NoteCode::PathsUnknown,
            format!("the text does not say what lies between {unknown} pairs of devices"),
        );
    }
    let text = "the generation and width of PCIe links are unknown; where a rate is needed, generation 3 with 16 lanes is assumed";
    fragment.note(NoteCode::PcieRateAssumed, text);
}
