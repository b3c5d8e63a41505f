//! The search for the best mapping: depth first, rank by rank, cut where no time can be saved any more.

use super::cost::{Costs, Problem, faster_than};
use super::order::Dimension;
use crate::solve::search::set::{Set, members};

/// The search over all ways to give some ranks some GPUs.
pub(super) struct Search<'s, 'p> {
    costs: &'s mut Costs<'p>,
    ranks: &'s [usize],
    /// For each of `ranks`, the groups that are complete with it.
    completes: Vec<Vec<(usize, &'p [usize])>>,
    before: &'s [Vec<usize>],
    slot_of: Vec<usize>,
    /// Only what takes less counts.
    best: f64,
    found: Option<Vec<usize>>,
    /// Where `costs.work` ends the search.
    limit: u64,
}

/// What a search may do.
pub(super) struct Bounds<'s> {
    /// For each rank, the earlier ranks that must have earlier slots.
    pub(super) before: &'s [Vec<usize>],
    /// For each family a time that counts in any case.
    pub(super) floors: &'s [f64],
    /// Only what is faster counts.
    pub(super) best: f64,
    /// The work after which the search stops with what it has.
    pub(super) limit: u64,
}

/// Deals out the slots of `ranks` among them anew, where that is faster. The groups that count are those with any of these
/// ranks.
///
/// The first of the fastest mappings in the order of the slots, with the slot of every rank.
pub(super) fn search<'p>(
    problem: &'p Problem<'p>,
    costs: &mut Costs<'p>,
    slot_of: &[usize],
    ranks: &[usize],
    bounds: &Bounds<'_>,
) -> Option<Vec<usize>> {
    let mut completes = vec![Vec::new(); ranks.len()];
    for (family, own) in problem.families.iter().enumerate() {
        for group in &own.groups {
            let last = group.iter().filter_map(|rank| ranks.iter().position(|own| own == rank)).max();
            if let Some(last) = last {
                completes[last].push((family, group.as_slice()));
            }
        }
    }
    let slots = ranks.iter().fold(0, |set: Set, rank| set | 1 << slot_of[*rank]);
    let mut search = Search {
        costs,
        ranks,
        completes,
        before: bounds.before,
        slot_of: slot_of.to_vec(),
        best: faster_than(bounds.best),
        found: None,
        limit: bounds.limit,
    };
    search.descend(0, slots, bounds.floors);
    search.found
}

impl Search<'_, '_> {
    fn descend(&mut self, depth: usize, left: Set, worst: &[f64]) {
        let Some(&rank) = self.ranks.get(depth) else {
            self.best = faster_than(worst.iter().sum());
            self.found = Some(self.slot_of.clone());
            return;
        };
        self.costs.work += 1;
        if self.costs.work >= self.limit {
            return;
        }
        for slot in members(left) {
            if self.before[rank].iter().any(|earlier| self.slot_of[*earlier] > slot) {
                continue;
            }
            self.slot_of[rank] = slot;
            let mut now = [0.0; Dimension::ALL.len()];
            now[..worst.len()].copy_from_slice(worst);
            for (family, group) in &self.completes[depth] {
                let set = group.iter().fold(0, |set: Set, rank| set | 1 << self.slot_of[*rank]);
                now[*family] = self.costs.seconds(*family, set).max(now[*family]);
            }
            let now = &now[..worst.len()];
            // Times only grow: a sum that is no better now never will be.
            if now.iter().sum::<f64>() < self.best {
                self.descend(depth + 1, left & !(1 << slot), now);
            }
        }
    }
}
