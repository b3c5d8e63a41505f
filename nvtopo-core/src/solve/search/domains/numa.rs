//! Machines whose GPUs differ only by their local NUMA nodes: an NVSwitch over many NUMA domains.
//!
//! All pairs and all paths to NICs have the same weight, so that only the number of NUMA domains counts, and after it the number
//! of GPUs that stay together in one. Both follow from the number of NUMA domains with each number of free GPUs. One pass over
//! the NUMA domains then finds the set that the table finds, without a table.

use super::tree::{Domain, Tree};
use crate::query::Weight;
use crate::solve::search::set;
use crate::solve::search::set::{MAX_CANDIDATES, Set, members};

/// The NUMA domains of such a machine.
#[derive(Debug)]
pub(super) struct NumaDomains {
    /// The GPUs of each NUMA domain, by their first ones.
    pub(super) gpus: Vec<Set>,
    /// The number of GPUs of the largest NUMA domain.
    most: usize,
    /// The cost of the NUMA nodes of each NUMA domain.
    pub(super) span: i64,
    /// The weight of each pair.
    pub(super) pair: Weight,
    /// The weight of each GPU to a NIC.
    pub(super) nic: Weight,
}

impl NumaDomains {
    /// Returns the NUMA domains of a machine; `None`: the machine has another structure.
    pub(super) fn of(tree: &Tree) -> Option<Self> {
        let whole = tree.domains.last()?;
        let [pair] = tree.levels[..] else { return None };
        let numa = || whole.parts.iter().map(|part| &tree.domains[*part]);
        let first = numa().next()?;
        let alike = |node: &Domain| {
            let several = node.several() == first.several();
            let is_like = (node.span, node.nic, node.each) == (first.span, first.nic, 0);
            several && node.parts.is_empty() && is_like
        };
        let few = numa().map(|node| node.gpus.len()).sum::<usize>() <= MAX_CANDIDATES;
        let nothing_else = whole.span == 0 && pair > Weight::default();
        (few && nothing_else && numa().all(alike)).then(|| Self {
            gpus: numa().map(|node| set::of(node.gpus.iter().copied())).collect(),
            most: numa().map(|node| node.gpus.len()).max().unwrap_or(0),
            span: first.span,
            pair,
            nic: first.nic,
        })
    }

    /// Chooses `count` free GPUs in the fewest NUMA domains, and returns them with the number of these. Ties go to the set after
    /// which most GPUs stay together in one NUMA domain, then to the one that takes most of the first ones. `None`: too few GPUs
    /// are free.
    pub(super) fn choose(&self, free: Set, count: usize) -> Option<(Set, usize)> {
        let mut later = Counts { with: [0; MAX_CANDIDATES + 1], most: self.most };
        for node in &self.gpus {
            later.with[(node & free).count_ones() as usize] += 1;
        }
        let mut best = later.best(count)?;
        let (fewest, mut chosen, mut missing) = (best.numa, 0, count);
        for node in &self.gpus {
            let own = node & free;
            let size = own.count_ones() as usize;
            if missing == 0 {
                break;
            }
            if size == 0 {
                continue;
            }
            later.with[size] -= 1;
            // Each NUMA domain gives all of its free GPUs or none: a part of them, with more to come, needs no fewer of them and
            // leaves no more together.
            let taken = size.min(missing);
            let with = |rest: Best| Best { numa: rest.numa + 1, left: rest.left.max(size - taken) };
            match later.best(missing - taken).filter(|rest| with(*rest) == best) {
                Some(rest) => {
                    chosen |= if taken == size { own } else { set::of(members(own).take(taken)) };
                    missing -= taken;
                    best = rest;
                }
                None => best = later.best(missing)?,
            }
        }
        Some((chosen, fewest))
    }
}

/// The number of NUMA domains with each number of free GPUs.
struct Counts {
    with: [u8; MAX_CANDIDATES + 1],
    /// The greatest number of free GPUs that a NUMA domain may have.
    most: usize,
}

/// The best outcome for a number of GPUs.
#[derive(Clone, Copy, PartialEq)]
struct Best {
    /// The fewest NUMA domains.
    numa: usize,
    /// The greatest number of GPUs that stay together in one NUMA domain.
    left: usize,
}

impl Counts {
    /// Returns the best outcome for `count` GPUs; `None`: too few are free.
    fn best(&self, count: usize) -> Option<Best> {
        // Taking the fullest first needs the fewest NUMA domains.
        let (mut numa, mut missing) = (0, count);
        for size in (1..=self.most).rev() {
            let all = usize::from(self.with[size]);
            if all * size <= missing {
                numa += all;
                missing -= all * size;
                continue;
            }
            let used = missing.div_ceil(size);
            // The GPUs that are not needed can be left in any one of the used NUMA domains. If that fills one up, a fuller one
            // changes places with the fullest of the others.
            let spare = used * size - missing;
            let other = if used < all { size } else { self.fullest(size - 1) };
            let whole = if other > 0 { self.fullest((other + spare).min(self.most)) } else { 0 };
            return Some(Best { numa: numa + used, left: spare.max(whole) });
        }
        (missing == 0).then_some(Best { numa, left: 0 })
    }

    /// Returns the greatest number of free GPUs, up to `most`, that a NUMA domain has.
    fn fullest(&self, most: usize) -> usize {
        (1..=most).rev().find(|size| self.with[*size] > 0).unwrap_or(0)
    }
}
