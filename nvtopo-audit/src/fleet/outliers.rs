//! [`Outlier`]: nodes that differ from most of their like, without any baseline.

use super::node::{FIELDS, FleetNode, PRODUCT, STRUCTURAL, STRUCTURE};
use crate::baseline::lines_that_differ;
use nvtopo::diff::Diff;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The least nodes of a board that make a majority.
const LEAST: usize = 3;

/// The most nodes that are read a second time, to tell how their structure differs.
const EXPLAINED: usize = 20;

/// The most differences of a structure that are told.
const DIFFERENCES: usize = 8;

/// The nodes of one board.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FleetBoard {
    /// Its name.
    pub name: Arc<str>,
    /// The positions of its nodes.
    pub nodes: Vec<usize>,
    /// For each field the values, those of most nodes first, each with the number of nodes that have it.
    pub(super) values: Vec<Vec<(Arc<str>, usize)>>,
}

impl FleetBoard {
    /// Returns the values of a field, such as `driver`, those of most nodes first, each with the number of nodes.
    pub fn values(&self, field: &str) -> &[(Arc<str>, usize)] {
        let index = FIELDS.iter().position(|(own, _)| *own == field);
        index.map_or(&[], |index| &self.values[index])
    }

    /// Returns the value that more than half of the nodes have that tell the field; only where three or more do.
    pub(super) fn majority(&self, field: usize) -> Option<&Arc<str>> {
        let told: usize = self.values[field].iter().map(|(_, count)| count).sum();
        let (value, count) = self.values[field].first()?;
        (told >= LEAST && count * 2 > told).then_some(value)
    }
}

/// A node that differs from more than half of the nodes of its board.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlier {
    /// The name of the node.
    pub node: String,
    /// The board.
    pub board: Arc<str>,
    /// The fields that differ: their names, the node's values, and those of most nodes.
    pub differences: Vec<(&'static str, Arc<str>, Arc<str>)>,
    /// How its structure differs from that of most nodes, where no field tells.
    pub details: Vec<String>,
}

/// Groups the nodes by their boards, and finds those that differ.
pub(super) fn compare(nodes: &[FleetNode]) -> (Vec<FleetBoard>, Vec<Outlier>) {
    let boards = boards(nodes);
    let mut outliers = Vec::new();
    let mut to_explain = EXPLAINED;
    for board in &boards {
        let majority: Vec<Option<&Arc<str>>> = (0..FIELDS.len()).map(|field| board.majority(field)).collect();
        let is_other = |node: &FleetNode, field: usize| {
            node.values[field].as_ref().is_some_and(|own| majority[field].is_some_and(|most| own != most))
        };
        // What is told of an outlier must be its own: the node beside it is usual in all fields, or in most.
        let usual = board.nodes.iter().map(|node| &nodes[*node]).filter(|node| !is_other(node, STRUCTURE));
        let model = usual.min_by_key(|node| (0..FIELDS.len()).filter(|field| is_other(node, *field)).count());
        let mut usual_topology = None;
        for node in board.nodes.iter().map(|node| &nodes[*node]) {
            let differs = |field: usize| {
                let (own, most) = (node.values[field].as_ref()?, majority[field]?);
                is_other(node, field).then(|| (FIELDS[field].0, own.clone(), most.clone()))
            };
            let differences: Vec<_> = (0..FIELDS.len()).filter_map(differs).collect();
            if differences.is_empty() {
                continue;
            }
            let is_explained = STRUCTURAL.into_iter().any(|field| differs(field).is_some());
            let mut details = Vec::new();
            if differs(STRUCTURE).is_some() && !is_explained && to_explain > 0 {
                to_explain -= 1;
                let read = |node: &FleetNode| super::read(&node.path).ok().map(|own| own.topology);
                usual_topology = usual_topology.or_else(|| model.and_then(read));
                if let (Some(usual), Some(own)) = (&usual_topology, read(node)) {
                    let changes = Diff::of_structure(usual, &own).changes;
                    details.extend(changes.iter().take(DIFFERENCES).map(ToString::to_string));
                    if details.is_empty() {
                        details.extend(lines_that_differ(usual, &own, "most"));
                    }
                    if details.is_empty() {
                        details.push("cards are at other NUMA nodes or PCIe switches".to_owned());
                    }
                }
            }
            outliers.push(Outlier {
                node: node.name.clone(),
                board: board.name.clone(),
                differences,
                details,
            });
        }
    }
    (boards, outliers)
}

fn boards(nodes: &[FleetNode]) -> Vec<FleetBoard> {
    let mut groups: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        groups.entry(node.board.clone()).or_default().push(index);
    }
    // A node that lost all its GPUs belongs to those of its product that have them.
    let products: Vec<Arc<str>> = groups
        .iter()
        .filter(|(name, own)| nodes[own[0]].values[PRODUCT].as_ref() == Some(name))
        .map(|(name, _)| name.clone())
        .collect();
    for product in products {
        let like = |own: &Vec<usize>| nodes[own[0]].values[PRODUCT].as_ref() == Some(&product);
        let most = groups.iter().filter(|(name, own)| **name != product && like(own));
        if let Some(most) = most.max_by_key(|(_, own)| own.len()).map(|(name, _)| name.clone()) {
            let without = groups.remove(&product).unwrap_or_default();
            groups.entry(most).or_default().extend(without);
        }
    }
    let mut boards: Vec<FleetBoard> = groups
        .into_iter()
        .map(|(name, mut own)| {
            own.sort_unstable();
            let values = (0..FIELDS.len()).map(|field| values(nodes, &own, field)).collect();
            FleetBoard { name, nodes: own, values }
        })
        .collect();
    boards.sort_by_key(|board| std::cmp::Reverse(board.nodes.len()));
    boards
}

fn values(nodes: &[FleetNode], own: &[usize], field: usize) -> Vec<(Arc<str>, usize)> {
    let mut counts: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for value in own.iter().filter_map(|node| nodes[*node].values[field].as_ref()) {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<(Arc<str>, usize)> =
        counts.into_iter().map(|(value, count)| (value.clone(), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
