//! NUMA affinities that name many nodes, of which one has CPUs.
//!
//! If the memory of GPUs is NUMA nodes (GB200), the driver reserves nodes for it and its parts, and `nvidia-smi` lists
//! them among those near a GPU: `0,3-9,11-17`. Nodes with CPUs have the lowest numbers.

use super::LISTED;
use super::affinity::Affinity;
use crate::cpuset::NodeSet;
use crate::model::{Note, NoteCode, NoteKind, Stated};
use crate::units;
use std::collections::{BTreeMap, BTreeSet};

/// A GPU has at most seven MIG instances, each with a node for its memory.
const MANY: usize = 7;

/// Reduces such a list to the node with CPUs, and returns a note.
pub(super) fn with_cpus(affinities: &mut [Affinity], name: impl Fn(usize) -> String) -> Option<Note> {
    let listed: Vec<usize> =
        (0..affinities.len()).filter(|device| list(&affinities[*device]).is_some()).collect();
    if listed.is_empty() || !keeps_memory(affinities, &listed) {
        return None;
    }
    let memory: BTreeSet<u32> =
        affinities.iter().filter_map(|affinity| affinity.memory_node.known().copied()).collect();
    let lowest = |affinity: &Affinity| affinity.nodes.known()?.iter().find(|node| !memory.contains(node));
    let found: Option<Vec<u32>> = listed.iter().map(|device| lowest(&affinities[*device])).collect();
    let names: Vec<String> = listed.iter().map(|device| name(*device)).collect();
    let names = units::listed(&names, LISTED);
    let Some(found) = found.filter(|_| is_sound(affinities, lowest)) else {
        let text =
            format!("the NUMA affinity names several nodes, and which of them have CPUs is unknown: {names}");
        return Some(Note::new(NoteKind::Unknown, text));
    };
    for (device, node) in listed.iter().zip(&found) {
        affinities[*device].nodes = Stated::Known(std::iter::once(*node).collect());
    }
    let numbers: BTreeSet<u32> = found.into_iter().collect();
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let text = format!(
        "the NUMA affinity names nodes that are kept for the memory of GPUs as well; the lowest is taken to be the one with CPUs: {names} (NUMA nodes {})",
        units::listed(&numbers, LISTED)
    );
    Some(Note::new(NoteCode::NumaInferred, text))
}

fn list(affinity: &Affinity) -> Option<&NodeSet> {
    affinity.nodes.known().filter(|nodes| nodes.len() > 1)
}

/// Returns whether nodes are kept for the memory of GPUs: a GPU has one, or a list is longer than any of nodes with
/// CPUs that have others between them.
fn keeps_memory(affinities: &[Affinity], listed: &[usize]) -> bool {
    let has_one = affinities.iter().any(|affinity| affinity.memory_node.known().is_some());
    let mut lists = listed.iter().filter_map(|device| list(&affinities[*device]));
    has_one
        || lists.any(|nodes| {
            let ends = nodes.first().zip(nodes.iter().last());
            nodes.len() > MANY && ends.is_some_and(|(first, last)| (last - first) as usize >= nodes.len())
        })
}

/// Returns whether the nodes that were found go with the CPUs: GPUs beside the same CPUs have the same, those beside
/// others have others.
fn is_sound(affinities: &[Affinity], lowest: impl Fn(&Affinity) -> Option<u32>) -> bool {
    let (mut by_cpus, mut by_node) = (BTreeMap::new(), BTreeMap::new());
    affinities.iter().all(|affinity| {
        let (Some(node), Some(cpus)) = (lowest(affinity), affinity.cpus.known()) else { return true };
        let cpus = cpus.to_string();
        *by_cpus.entry(cpus.clone()).or_insert(node) == node
            && *by_node.entry(node).or_insert(cpus.clone()) == cpus
    })
}
