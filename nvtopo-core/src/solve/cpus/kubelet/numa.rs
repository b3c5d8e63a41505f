//! Distribution: equally from as few NUMA nodes as can give an equal number each, so that the rest is balanced.

use super::accumulator::Accumulator;
use super::layout::{Layout, Level};
use crate::cpuset::CpuSet;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The most nodes whose combinations are tried; beyond, CPUs are packed. The kubelet itself refuses machines of more
/// than eight nodes.
const MOST_NODES: usize = 16;

/// Takes `count` of the available CPUs, of which there are enough, in groups of `group`. `None`: the kubelet's own
/// count fails, and it gives none.
pub(super) fn distributed(layout: &Layout, available: &CpuSet, count: usize, group: usize) -> Option<CpuSet> {
    let packed = || Some(Accumulator::packed(layout, available, count, false, false));
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
        let enough = there.len() >= size;
        if enough {
            own.take(&Accumulator::packed(layout, &there, size, false, false));
        }
        enough
    };
    let each = count / combination.len() / group * group;
    for node in &combination {
        take(*node, each);
    }
    let mut remainder = count - each * combination.len();
    while remainder > 0 {
        let before = remainder;
        for node in &remainder_from {
            if remainder > 0 && take(*node, group) {
                remainder -= group;
            }
        }
        if remainder == before {
            return None;
        }
    }
    (own.needed == 0).then_some(own.taken)
}

/// Returns the least and the greatest number of nodes needed.
fn range(layout: &Layout, available: &CpuSet, count: usize, group: usize) -> (usize, usize) {
    let groups = layout.cpus.len().div_ceil(group);
    let per_node = groups.div_ceil(layout.count(Level::Numa).max(1)).max(1);
    let needed = count.div_ceil(group);
    (needed.div_ceil(per_node), needed.min(layout.ids(Level::Numa, available).len()))
}

/// Finds the combination of a number of nodes that leaves the machine most balanced, with the nodes that give the
/// remainder.
fn best_of(
    nodes: &[u32],
    free: &BTreeMap<u32, usize>,
    size: usize,
    count: usize,
    group: usize,
) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut best: Option<(f64, Choice, Choice)> = None;
    combinations(nodes, size, &mut |choice| {
        if best.as_ref().is_some_and(|(balance, ..)| *balance == 0.0) {
            return false;
        }
        let combination = choice.nodes();
        let groups: usize = combination.iter().map(|node| free[node] / group).sum();
        let each = count / combination.len() / group * group;
        if groups * group < count || combination.iter().any(|node| free[node] < each) {
            return true;
        }
        let mut left = free.clone();
        for node in &combination {
            *left.entry(*node).or_default() -= each;
        }
        let remainder = count - each * combination.len();
        let local = if remainder == 0 {
            Some((deviation(&left), Choice::default()))
        } else {
            best_remainder(&combination, &left, remainder, group)
        };
        if let Some((balance, from)) = local
            && best.as_ref().is_none_or(|(least, ..)| balance < *least)
        {
            best = Some((balance, choice.clone(), from));
        }
        true
    });
    best.map(|(_, combination, from)| (combination.nodes(), from.nodes()))
}

/// Chooses the nodes that give the remainder, such that the machine is left most balanced.
fn best_remainder(
    combination: &[u32],
    left: &BTreeMap<u32, usize>,
    remainder: usize,
    group: usize,
) -> Option<(f64, Choice)> {
    let able: Vec<u32> = combination.iter().copied().filter(|node| left[node] >= group).collect();
    let mut best: Option<(f64, Choice)> = None;
    for size in (1..=able.len()).rev() {
        combinations(&able, size, &mut |choice| {
            let subset = choice.nodes();
            let groups: usize = subset.iter().map(|node| left[node] / group).sum();
            if groups * group < remainder {
                return true;
            }
            let (mut left, mut rest) = (left.clone(), remainder);
            while rest > 0 {
                for node in &subset {
                    let free = left.entry(*node).or_default();
                    if rest > 0 && *free >= group {
                        *free -= group;
                        rest = rest.saturating_sub(group);
                    }
                }
            }
            let balance = deviation(&left);
            if best.as_ref().is_none_or(|(least, _)| balance < *least) {
                best = Some((balance, choice.clone()));
            }
            true
        });
    }
    best
}

/// Calls for each combination of a size, in order, as long as the call returns true.
///
/// The kubelet remembers the best choice as a slice of Go, without a copy. Slices of four, six, seven and eight share
/// memory with later ones, so that the last nodes of the remembered one may change. This is reproduced here, as it
/// decides which CPUs a container gets.
fn combinations(of: &[u32], size: usize, call: &mut impl FnMut(&Choice) -> bool) {
    fn choose(of: &[u32], size: usize, chosen: &Choice, call: &mut impl FnMut(&Choice) -> bool) -> bool {
        if size == 0 {
            return call(chosen);
        }
        let fits = (of.len() + 1).saturating_sub(size);
        of.iter()
            .enumerate()
            .take(fits)
            .all(|(at, node)| choose(&of[at + 1..], size - 1, &chosen.with(*node), call))
    }
    if size > 0 {
        choose(of, size, &Choice::default(), call);
    }
}

/// A slice as Go has it: a length, and memory that longer slices may share.
#[derive(Clone, Default)]
struct Choice {
    memory: Rc<RefCell<Vec<u32>>>,
    length: usize,
}

impl Choice {
    /// Appends a node: in the same memory where it has space, else in a copy of twice the size.
    fn with(&self, node: u32) -> Self {
        let mut list = self.clone();
        let size = self.memory.borrow().len();
        if self.length == size {
            let mut copy = self.memory.borrow().clone();
            copy.resize((size * 2).max(1), 0);
            list.memory = Rc::new(RefCell::new(copy));
        }
        list.memory.borrow_mut()[self.length] = node;
        list.length += 1;
        list
    }

    fn nodes(&self) -> Vec<u32> {
        self.memory.borrow()[..self.length].to_vec()
    }
}

/// Returns the standard deviation, rounded to thousandths as the kubelet does, which decides between near ties.
fn deviation(values: &BTreeMap<u32, usize>) -> f64 {
    let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
    let count = values.len() as f64;
    let mean = thousandths(values.values().map(|value| *value as f64).sum::<f64>() / count);
    let squares: f64 = values.values().map(|value| (*value as f64 - mean) * (*value as f64 - mean)).sum();
    thousandths((squares / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_rounded_as_the_kubelet_does() {
        let of = |values: &[usize]| deviation(&(0..).zip(values.iter().copied()).collect());
        assert_eq!(of(&[4, 4]).to_bits(), 0.0f64.to_bits());
        assert_eq!(of(&[1, 2, 2]).to_bits(), 0.471f64.to_bits());
        // Near ties are ties.
        assert_eq!(of(&[0, 1, 1, 1, 1, 1, 1]).to_bits(), 0.35f64.to_bits());
    }
}
