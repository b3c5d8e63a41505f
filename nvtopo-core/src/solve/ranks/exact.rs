//! The search for the best mapping: branch and bound, depth first, rank by rank.

use super::cost::{Costs, faster_than, slots};
use super::order::Dimension;
use crate::solve::search::set::{Set, members};

/// The search over all assignments of some ranks to some slots.
pub(super) struct Search<'s, 'p> {
    costs: &'s mut Costs<'p>,
    /// For each of the ranks, the groups that are complete with it.
    completes: Vec<Vec<(usize, &'p [usize])>>,
    bounds: &'s Bounds<'s>,
    slot_of: Vec<usize>,
    /// The time to beat.
    best: f64,
    found: Option<Vec<usize>>,
}

/// The ranks, constraints and limits of a search.
pub(super) struct Bounds<'s> {
    /// The ranks whose slots are assigned anew among them.
    pub(super) ranks: &'s [usize],
    /// For each rank, the earlier ranks that must have earlier slots.
    pub(super) before: &'s [Vec<usize>],
    /// A lower bound on the time of each family.
    pub(super) floors: &'s [f64],
    /// The time to beat.
    pub(super) best: f64,
    /// The work of the costs at which the search stops with its best mapping so far.
    pub(super) limit: u64,
}

/// Reassigns the slots of ranks among them, where that is faster. The groups that count are those with any of these ranks.
///
/// Returns the slot of every rank, by the first of the fastest mappings in the order of the slots; `None` where none is
/// faster than `bounds.best`.
pub(super) fn search(costs: &mut Costs<'_>, slot_of: &[usize], bounds: &Bounds<'_>) -> Option<Vec<usize>> {
    let ranks = bounds.ranks;
    let mut completes = vec![Vec::new(); ranks.len()];
    for (family, own) in costs.problem.families.iter().enumerate() {
        for group in &own.groups {
            let last = group.iter().filter_map(|rank| ranks.iter().position(|own| own == rank)).max();
            if let Some(last) = last {
                completes[last].push((family, group.as_slice()));
            }
        }
    }
    let (slot_of, best) = (slot_of.to_vec(), faster_than(bounds.best));
    let all = slots(ranks, &slot_of);
    let mut search = Search { costs, completes, bounds, slot_of, best, found: None };
    search.descend(0, all, bounds.floors);
    search.found
}

impl Search<'_, '_> {
    fn descend(&mut self, depth: usize, left: Set, worst: &[f64]) {
        let Some(&rank) = self.bounds.ranks.get(depth) else {
            self.best = faster_than(worst.iter().sum());
            self.found = Some(self.slot_of.clone());
            return;
        };
        self.costs.work += 1;
        if self.costs.work >= self.bounds.limit {
            return;
        }
        for slot in members(left) {
            if self.bounds.before[rank].iter().any(|earlier| self.slot_of[*earlier] > slot) {
                continue;
            }
            self.slot_of[rank] = slot;
            let mut now = [0.0; Dimension::ALL.len()];
            now[..worst.len()].copy_from_slice(worst);
            for (family, group) in &self.completes[depth] {
                let set = slots(group, &self.slot_of);
                now[*family] = self.costs.seconds(*family, set).max(now[*family]);
            }
            let now = &now[..worst.len()];
            // Times only grow: a partial sum that is no better never leads to a better mapping.
            if now.iter().sum::<f64>() < self.best {
                self.descend(depth + 1, left & !(1 << slot), now);
            }
        }
    }
}
