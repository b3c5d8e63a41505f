//! Dynamic programming over the domains: the best for every number of GPUs of a domain, from the best of its parts.
//!
//! Given the numbers, the sums over pairs and NUMA nodes are best for a domain only if they are best for each part. The remaining
//! GPUs do not decompose like that: of entries with equal sums, the table keeps the Pareto front by the remainders of each level.

use super::ask::{Ask, remainder};
use super::tree::{MAX_LEVELS, Most, Tree, Use, fill, times};
use crate::query::Weight;
use crate::solve::search::objective::OverDomains;

/// The greatest number of entries kept for one number of GPUs.
const MAX_KEPT: usize = 64;

/// The greatest number of combinations examined for one request.
const MAX_STEPS: u64 = 2_000_000;

/// The error that the numbers do not determine the best set, or that there are too many combinations.
#[derive(Debug)]
pub(super) struct Untold;

/// The sums that have been decided, most important first.
type Sums = [i64; 2];

/// The lower limits on sets.
#[derive(Clone, Copy, Default)]
pub(super) struct Limit {
    /// The least weight of the domain that holds the set.
    pub(super) within: Weight,
    /// The least weight of each GPU to a NIC.
    pub(super) nic: Weight,
}

/// The best set.
pub(super) struct Found {
    pub(super) gpus: Vec<usize>,
    pub(super) sums: Sums,
    /// The GPUs that remain, level by level.
    pub(super) most: Most,
}

#[derive(Clone, Copy)]
struct Entry {
    sums: Sums,
    /// The GPUs that remain in domains of each level so far.
    most: Most,
    from: From,
}

#[derive(Clone, Copy)]
enum From {
    /// `count` GPUs of a domain without parts.
    Leaf { domain: u32, count: u16 },
    /// The entries of the first part and of the later ones.
    Parts { first: u32, later: u32 },
}

/// The entries for each number of GPUs, from the lowest number on.
#[derive(Clone, Copy)]
struct Row {
    least: usize,
    /// The first of its places among the cells.
    first: usize,
    count: usize,
}

pub(super) struct Table<'a> {
    tree: &'a Tree,
    ask: &'a Ask<'a>,
    nic: Weight,
    sums: &'a [OverDomains],
    /// True if the remaining GPUs count.
    left: bool,
    entries: Vec<Entry>,
    /// The range of entries of each row and number.
    cells: Vec<(u32, u32)>,
    /// The number of combinations examined for the request.
    steps: &'a mut u64,
}

impl<'a> Table<'a> {
    /// Finds the best set within a limit; `None` if there is none. Given the values of an empty machine, compares by the
    /// remaining GPUs, too.
    pub(super) fn best(
        tree: &'a Tree,
        ask: &'a Ask<'a>,
        limit: Limit,
        sums: &'a [OverDomains],
        whole: Option<&[Weight]>,
        steps: &'a mut u64,
    ) -> Result<Option<Found>, Untold> {
        let mut own = Self {
            tree,
            ask,
            nic: limit.nic,
            sums,
            left: whole.is_some(),
            entries: Vec::new(),
            cells: Vec::new(),
            steps,
        };
        let included = ask.uses.iter().filter(|own| **own == Use::In).count();
        let mut best: Option<(Sums, Weight, u32, Most)> = None;
        let span = sums.iter().position(|sum| *sum == OverDomains::Span);
        for (top, above) in own.tops(limit.within) {
            let Some(row) = own.row(top)? else { continue };
            let held = own.gpus(top).filter(|gpu| ask.uses[*gpu] == Use::In).count();
            if held < included || ask.count < row.least || ask.count >= row.least + row.count {
                continue;
            }
            if span.is_some() && tree.domains[top].divides_numa {
                return Err(Untold);
            }
            let elsewhere = if own.left { own.elsewhere(top) } else { Most::default() };
            let (from, to) = own.cells[row.first + ask.count - row.least];
            for place in from..to {
                let mut entry = own.entries[place as usize];
                if let Some(span) = span {
                    entry.sums[span] -= above;
                }
                let mut most = entry.most;
                most.iter_mut().zip(elsewhere).for_each(|(most, other)| *most = (*most).max(other));
                let left = whole
                    .map_or(Weight::default(), |whole| remainder(ask.mix, &tree.best_left(&most), whole));
                if best.is_none_or(|(sums, rest, ..)| (entry.sums, left) > (sums, rest)) {
                    best = Some((entry.sums, left, place, most));
                }
            }
        }
        let found = best.map(|(sums, _, place, most)| Found { gpus: own.taken(place), sums, most });
        Ok(found)
    }

    /// Returns the largest domains of at least a weight, which hold every set of at least that weight, each with the cost of the
    /// NUMA nodes that larger ones count.
    fn tops(&self, weight: Weight) -> Vec<(usize, i64)> {
        let mut tops = Vec::new();
        let mut open = vec![(self.tree.domains.len() - 1, 0)];
        while let Some((domain, above)) = open.pop() {
            let own = &self.tree.domains[domain];
            if own.weight >= weight {
                tops.push((domain, above));
            } else {
                open.extend(own.parts.iter().rev().map(|part| (*part, above + own.span)));
            }
        }
        tops
    }

    /// Returns all GPUs of a domain.
    fn gpus(&self, domain: usize) -> impl Iterator<Item = usize> {
        let mut open = vec![domain];
        let domains = std::iter::from_fn(move || {
            let domain = open.pop()?;
            open.extend(&self.tree.domains[domain].parts);
            Some(&self.tree.domains[domain].gpus)
        });
        domains.flatten().copied()
    }

    /// Returns the number of free GPUs of a domain.
    fn free(&self, domain: usize) -> usize {
        self.gpus(domain).filter(|gpu| self.ask.uses[*gpu] != Use::Gone).count()
    }

    /// Returns the remaining GPUs by level, without the parts of the domain that the set is taken from.
    fn elsewhere(&self, top: usize) -> Most {
        let mut inside = vec![false; self.ask.uses.len()];
        self.gpus(top).for_each(|gpu| inside[gpu] = true);
        let size = self.tree.size(top);
        self.tree.most(&|domain| match self.gpus(domain).any(|gpu| inside[gpu]) {
            false => self.free(domain),
            true if self.tree.size(domain) <= size => 0,
            true => self.free(domain).saturating_sub(self.ask.count),
        })
    }

    /// Computes the row of a domain. `None`: the domain cannot give the GPUs that must be chosen.
    fn row(&mut self, domain: usize) -> Result<Option<Row>, Untold> {
        let own = &self.tree.domains[domain];
        let row = if own.parts.is_empty() {
            self.leaf(domain)
        } else {
            let mut row: Option<Row> = None;
            for part in own.parts.iter().rev() {
                let Some(first) = self.row(*part)? else { return Ok(None) };
                row = match row {
                    None => Some(first),
                    Some(later) => self.join(first, later, own.weight)?,
                };
                if row.is_none() {
                    return Ok(None);
                }
            }
            row
        };
        if let Some(row) = row {
            self.finish(domain, row);
        }
        Ok(row)
    }

    fn leaf(&mut self, domain: usize) -> Option<Row> {
        let own = &self.tree.domains[domain];
        let count = |kind: Use| own.gpus.iter().filter(|gpu| self.ask.uses[**gpu] == kind).count();
        let (least, near) = (count(Use::In), own.nic >= self.nic);
        if least > 0 && !near || least > self.ask.count {
            return None;
        }
        let most = if near { (least + count(Use::Open)).min(self.ask.count) } else { 0 };
        let first = self.cells.len();
        for count in least..=most {
            let pairs = (count * count.saturating_sub(1) / 2) as u64;
            let from = From::Leaf { domain: domain as u32, count: count as u16 };
            self.cells.push((self.entries.len() as u32, self.entries.len() as u32 + 1));
            let sums = self.sums(|sum| match sum {
                OverDomains::Pairs => times(own.weight, pairs),
                _ => 0,
            });
            self.entries.push(Entry { sums, most: [0; MAX_LEVELS], from });
        }
        Some(Row { least, first, count: most + 1 - least })
    }

    fn sums(&self, of: impl Fn(OverDomains) -> i64) -> Sums {
        let mut sums = Sums::default();
        sums.iter_mut().zip(self.sums).for_each(|(own, sum)| *own = of(*sum));
        sums
    }

    /// Combines the rows of one part and of the later ones; `None` if more GPUs must be chosen of them than were asked for.
    fn join(&mut self, first: Row, later: Row, weight: Weight) -> Result<Option<Row>, Untold> {
        let least = first.least + later.least;
        if least > self.ask.count {
            return Ok(None);
        }
        let most = (least + first.count + later.count - 2).min(self.ask.count);
        let row = Row { least, first: self.cells.len(), count: most + 1 - least };
        let mut kept: Vec<Entry> = Vec::new();
        for count in least..=most {
            kept.clear();
            // The greatest number of the first part first: it wins ties.
            let from = count.saturating_sub(later.least + later.count - 1).max(first.least);
            let to = (count - later.least).min(first.least + first.count - 1);
            for own in (from..=to).rev() {
                let more = self.sums(|sum| match sum {
                    OverDomains::Pairs => times(weight, (own * (count - own)) as u64),
                    _ => 0,
                });
                let (a, a_end) = self.cells[first.first + own - first.least];
                let (b, b_end) = self.cells[later.first + count - own - later.least];
                for (a, b) in (a..a_end).flat_map(|a| (b..b_end).map(move |b| (a, b))) {
                    *self.steps += 1;
                    let (one, other) = (&self.entries[a as usize], &self.entries[b as usize]);
                    let sums = std::array::from_fn(|index| one.sums[index] + other.sums[index] + more[index]);
                    let most = std::array::from_fn(|level| one.most[level].max(other.most[level]));
                    keep(&mut kept, Entry { sums, most, from: From::Parts { first: a, later: b } });
                }
            }
            if kept.len() > MAX_KEPT || *self.steps > MAX_STEPS {
                return Err(Untold);
            }
            let begin = self.entries.len() as u32;
            self.entries.extend_from_slice(&kept);
            self.cells.push((begin, self.entries.len() as u32));
        }
        Ok(Some(row))
    }

    /// Adds the cost and the remaining GPUs of the domain as a whole.
    fn finish(&mut self, domain: usize, row: Row) {
        let own = &self.tree.domains[domain];
        let span = self.sums.iter().position(|sum| *sum == OverDomains::Span);
        let free = if self.left && self.tree.counts(domain) { self.free(domain) } else { 0 };
        for index in 0..row.count {
            let count = row.least + index;
            let (from, to) = self.cells[row.first + index];
            for entry in &mut self.entries[from as usize..to as usize] {
                if let Some(span) = span.filter(|_| count > 0) {
                    entry.sums[span] -= own.span + own.each * (count as u64).cast_signed();
                }
                if free > count {
                    fill(&mut entry.most, own.level, free - count);
                }
            }
        }
    }

    /// Returns the GPUs of an entry, increasing.
    fn taken(&self, place: u32) -> Vec<usize> {
        let mut gpus = Vec::new();
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            match self.entries[place as usize].from {
                From::Parts { first, later } => open.extend([first, later]),
                From::Leaf { domain, count } => {
                    let of = |kind: Use| {
                        let own = self.tree.domains[domain as usize].gpus.iter().copied();
                        own.filter(move |gpu| self.ask.uses[*gpu] == kind)
                    };
                    gpus.extend(of(Use::In).chain(of(Use::Open)).take(count.into()));
                }
            }
        }
        gpus.sort_unstable();
        gpus
    }
}

/// Keeps an entry if it is on the Pareto front.
fn keep(kept: &mut Vec<Entry>, new: Entry) {
    if let Some(first) = kept.first() {
        if new.sums < first.sums {
            return;
        }
        if new.sums > first.sums {
            kept.clear();
        }
    }
    let leaves = |a: &Entry, b: &Entry| a.most.iter().zip(&b.most).all(|(a, b)| a >= b);
    if kept.iter().any(|own| leaves(own, &new)) {
        return;
    }
    kept.retain(|own| !leaves(&new, own));
    kept.push(new);
}
