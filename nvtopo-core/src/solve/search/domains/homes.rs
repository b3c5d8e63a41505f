//! Machines whose GPUs differ only by the NUMA nodes that they are beside: an NVSwitch over many nodes.
//!
//! All pairs and all ways to NICs are worth the same, so that only the number of homes counts, and after it how many GPUs
//! stay together in one. Both follow from how many homes have each number of free GPUs. One walk along the homes then finds
//! the set that the table finds, without a table.

use super::tree::{Domain, Tree};
use crate::query::Weight;
use crate::solve::search::set;
use crate::solve::search::set::{MAX_CANDIDATES, Set, members};

/// What such a machine is made of.
#[derive(Debug)]
pub(super) struct Homes {
    /// The GPUs of each, by their first ones.
    gpus: Vec<Set>,
    /// How many GPUs the largest has.
    most: usize,
    /// The cost of the NUMA nodes of each.
    pub(super) span: i64,
    /// What a pair is worth.
    pub(super) pair: Weight,
    /// The way of a GPU to a NIC.
    pub(super) nic: Weight,
}

impl Homes {
    /// `None`: the machine is not made so.
    pub(super) fn of(tree: &Tree) -> Option<Self> {
        let whole = tree.domains.last()?;
        let [pair] = tree.levels[..] else { return None };
        let homes = || whole.parts.iter().map(|part| &tree.domains[*part]);
        let first = homes().next()?;
        let alike = |home: &Domain| {
            let several = home.several() == first.several();
            several && home.parts.is_empty() && (home.span, home.nic) == (first.span, first.nic)
        };
        let few = homes().map(|home| home.gpus.len()).sum::<usize>() <= MAX_CANDIDATES;
        let nothing_else = whole.span == 0 && pair > Weight::default();
        (few && nothing_else && homes().all(alike)).then(|| Self {
            gpus: homes().map(|home| set::of(home.gpus.iter().copied())).collect(),
            most: homes().map(|home| home.gpus.len()).max().unwrap_or(0),
            span: first.span,
            pair,
            nic: first.nic,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.gpus.len() as u64
    }

    /// So many of the free GPUs in the fewest homes, and how many homes that are; of several such sets those after which
    /// most GPUs stay together in one home, and then the one that takes most of the first homes. `None`: there are not so
    /// many.
    pub(super) fn choose(&self, free: Set, count: usize) -> Option<(Set, usize)> {
        let mut later = Counts { with: [0; MAX_CANDIDATES + 1], most: self.most };
        for home in &self.gpus {
            later.with[(home & free).count_ones() as usize] += 1;
        }
        let mut best = later.best(count)?;
        let (fewest, mut chosen, mut missing) = (best.homes, 0, count);
        for home in &self.gpus {
            let own = home & free;
            let size = own.count_ones() as usize;
            if missing == 0 {
                break;
            }
            if size == 0 {
                continue;
            }
            later.with[size] -= 1;
            // All that it has, or nothing: a part of it, with more to come, needs no fewer homes and leaves no more.
            let taken = size.min(missing);
            let with = |rest: Best| Best { homes: rest.homes + 1, left: rest.left.max(size - taken) };
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

/// How many homes have each number of free GPUs.
struct Counts {
    with: [u8; MAX_CANDIDATES + 1],
    /// The greatest number that one may have.
    most: usize,
}

/// What can be had.
#[derive(Clone, Copy, PartialEq)]
struct Best {
    /// The fewest homes.
    homes: usize,
    /// The most GPUs that stay together in one.
    left: usize,
}

impl Counts {
    /// The best for so many GPUs; `None`: there are not so many.
    fn best(&self, count: usize) -> Option<Best> {
        // The fullest homes are the fewest.
        let (mut homes, mut missing) = (0, count);
        for size in (1..=self.most).rev() {
            let all = usize::from(self.with[size]);
            if all * size <= missing {
                homes += all;
                missing -= all * size;
                continue;
            }
            let used = missing.div_ceil(size);
            // What the last of them does not give can be left in any one. If it is enough, a fuller home changes places with the
            // fullest of the others.
            let spare = used * size - missing;
            let other = if used < all { size } else { self.fullest(size - 1) };
            let whole = if other > 0 { self.fullest((other + spare).min(self.most)) } else { 0 };
            return Some(Best { homes: homes + used, left: spare.max(whole) });
        }
        (missing == 0).then_some(Best { homes, left: 0 })
    }

    /// The most free GPUs, up to some number, that a home has.
    fn fullest(&self, most: usize) -> usize {
        (1..=most).rev().find(|size| self.with[*size] > 0).unwrap_or(0)
    }
}
