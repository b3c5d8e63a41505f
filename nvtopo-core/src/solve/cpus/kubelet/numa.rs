//! Distributing: equally from as few NUMA nodes as can give an equal number each, so that what is left is balanced.

use super::accumulator::Accumulator;
use super::layout::{Layout, Level};
use crate::cpuset::CpuSet;
use std::collections::BTreeMap;

/// The most combinations of nodes that are tried; beyond, packing answers. The kubelet itself refuses machines of more
/// than eight nodes.
const MOST_NODES: usize = 16;

/// `count` of the available CPUs, of which there are enough, in groups of `group`.
pub(super) fn distributed(layout: &Layout, available: &CpuSet, count: usize, group: usize) -> CpuSet {
    let packed = || Accumulator::packed(layout, available, count, false, false);
    let mut own = Accumulator::new(layout, available, count);
    let nodes = own.sorted(Level::Numa);
    if !count.is_multiple_of(group) || count == 0 || nodes.len() > MOST_NODES {
        return packed();
    }
    let (least, most) = range(layout, available, count, group);
    let free: BTreeMap<u32, usize> =
        nodes.iter().map(|node| (*node, layout.inside(Level::Numa, *node, available).len())).collect();
    let best = (least..=most).find_map(|size| best_of(&nodes, &free, size, count, group));
    let Some((combination, remainder_from)) = best else { return packed() };
    let mut take = |node: u32, size: usize| {
        let there = layout.inside(Level::Numa, node, &own.free);
        if there.len() < size {
            return 0;
        }
        let cpus = Accumulator::packed(layout, &there, size, false, false);
        own.take(&cpus);
        cpus.len()
    };
    let each = count / combination.len() / group * group;
    let mut remainder = count - each * combination.len();
    for node in &combination {
        take(*node, each);
    }
    while remainder > 0 {
        let before = remainder;
        for node in &remainder_from {
            if remainder > 0 {
                remainder -= take(*node, group).min(remainder);
            }
        }
        if remainder == before {
            return packed();
        }
    }
    own.taken
}

/// How many nodes it takes at least, and at most.
fn range(layout: &Layout, available: &CpuSet, count: usize, group: usize) -> (usize, usize) {
    let groups = layout.cpus().len().div_ceil(group);
    let per_node = groups.div_ceil(layout.count(Level::Numa).max(1)).max(1);
    let needed = count.div_ceil(group);
    (needed.div_ceil(per_node), needed.min(layout.ids(Level::Numa, available).len()))
}

/// The combination of so many nodes that leaves the machine most balanced, with the nodes that give the remainder.
fn best_of(
    nodes: &[u32],
    free: &BTreeMap<u32, usize>,
    size: usize,
    count: usize,
    group: usize,
) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut best: Option<(f64, Vec<u32>, Vec<u32>)> = None;
    combinations(nodes, size, &mut |combination| {
        if best.as_ref().is_some_and(|(balance, ..)| *balance == 0.0) {
            return;
        }
        let groups: usize = combination.iter().map(|node| free[node] / group).sum();
        let each = count / combination.len() / group * group;
        if groups * group < count || combination.iter().any(|node| free[node] < each) {
            return;
        }
        let mut left = free.clone();
        for node in combination {
            *left.entry(*node).or_default() -= each;
        }
        let remainder = count - each * combination.len();
        let local = if remainder == 0 {
            Some((deviation(&left), Vec::new()))
        } else {
            best_remainder(combination, &left, remainder, group)
        };
        if let Some((balance, from)) = local
            && best.as_ref().is_none_or(|(least, ..)| balance < *least)
        {
            best = Some((balance, combination.to_vec(), from));
        }
    });
    best.map(|(_, combination, from)| (combination, from))
}

/// From which nodes the remainder is taken: from as many as leaves the machine most balanced.
fn best_remainder(
    combination: &[u32],
    left: &BTreeMap<u32, usize>,
    remainder: usize,
    group: usize,
) -> Option<(f64, Vec<u32>)> {
    let able: Vec<u32> = combination.iter().copied().filter(|node| left[node] >= group).collect();
    let mut best: Option<(f64, Vec<u32>)> = None;
    for size in (1..=able.len()).rev() {
        combinations(&able, size, &mut |subset| {
            let groups: usize = subset.iter().map(|node| left[node] / group).sum();
            if groups * group < remainder {
                return;
            }
            let (mut left, mut rest) = (left.clone(), remainder);
            while rest > 0 {
                for node in subset {
                    let free = left.entry(*node).or_default();
                    if rest > 0 && *free >= group {
                        *free -= group;
                        rest = rest.saturating_sub(group);
                    }
                }
            }
            let balance = deviation(&left);
            if best.as_ref().is_none_or(|(least, _)| balance < *least) {
                best = Some((balance, subset.to_vec()));
            }
        });
    }
    best
}

/// Calls for each choice of so many, in order.
fn combinations(of: &[u32], size: usize, call: &mut impl FnMut(&[u32])) {
    fn choose(of: &[u32], size: usize, chosen: &mut Vec<u32>, call: &mut impl FnMut(&[u32])) {
        if size == 0 {
            return call(chosen);
        }
        for (index, node) in of.iter().enumerate().take((of.len() + 1).saturating_sub(size)) {
            chosen.push(*node);
            choose(&of[index + 1..], size - 1, chosen, call);
            chosen.pop();
        }
    }
    if size > 0 {
        choose(of, size, &mut Vec::new(), call);
    }
}

/// The standard deviation, rounded to thousandths as the kubelet does, which decides between near ties.
fn deviation(values: &BTreeMap<u32, usize>) -> f64 {
    let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
    let count = values.len() as f64;
    let mean = thousandths(values.values().map(|value| *value as f64).sum::<f64>() / count);
    let squares: f64 = values.values().map(|value| (*value as f64 - mean) * (*value as f64 - mean)).sum();
    thousandths((squares / count).sqrt())
}
