//! The most rings that direct NVLinks carry at once.
//!
//! A ring runs around a cycle in one direction, and the links of a pair carry as many rings in each direction as they
//! have units. Both directions of a cycle are used alike, so rings are counted as cycles in the graph with every link
//! doubled: `n` of them carry `n` units together. That is the fractional optimum to the half.

use super::fabric::Fabric;
use super::hamilton;

/// The most cycles that are told apart.
const MAX_CYCLES: usize = 4096;

/// Steps of the search for one count of rings.
const MAX_STEPS: u32 = 50_000;

/// Cycles with how many units each carries.
pub(super) struct Packing {
    pub(super) cycles: Vec<(Vec<usize>, u32)>,
    /// Whether no packing carries more.
    pub(super) complete: bool,
}

/// Packs rings through all members; `bound` is the most units that any could carry.
pub(super) fn pack(fabric: &Fabric, bound: u32) -> Packing {
    let count = fabric.count;
    let neighbours =
        |a: usize| (0..count).filter(|b| fabric.units(a, *b) > 0).fold(0u32, |set, b| set | 1 << b);
    let near: Vec<u32> = (0..count).map(neighbours).collect();
    let (cycles, listed) = hamilton::cycles(&near, MAX_CYCLES);
    let mut search = Search {
        count,
        cycles: &cycles,
        left: (0..count * count).map(|cell| 2 * fabric.units(cell / count, cell % count)).collect(),
        taken: vec![0; cycles.len()],
        steps: 0,
    };
    let mut complete = listed;
    for target in (1..=bound).rev() {
        if cycles.is_empty() {
            break;
        }
        search.steps = 0;
        if search.take(target, 0) {
            let taken = search.taken.iter().zip(&cycles).filter(|(units, _)| **units > 0);
            let cycles = taken
                .map(|(units, cycle)| (cycle.iter().map(|member| usize::from(*member)).collect(), *units));
            return Packing { cycles: cycles.collect(), complete: complete || target == bound };
        }
        complete &= search.steps < MAX_STEPS;
    }
    Packing { cycles: Vec::new(), complete }
}

struct Search<'a> {
    count: usize,
    cycles: &'a [Vec<u8>],
    /// Units of each pair that no ring uses yet, both directions together.
    left: Vec<u32>,
    taken: Vec<u32>,
    steps: u32,
}

impl Search<'_> {
    /// Whether the cycles from `first` on carry `wanted` units more; leaves them taken if so.
    fn take(&mut self, wanted: u32, first: usize) -> bool {
        if wanted == 0 {
            return true;
        }
        self.steps += 1;
        // Every ring uses two of a member's links.
        let starved =
            |row: &[u32]| row.iter().map(|units| u64::from(*units)).sum::<u64>() < 2 * u64::from(wanted);
        if self.steps >= MAX_STEPS || self.left.chunks(self.count).any(starved) {
            return false;
        }
        for index in first..self.cycles.len() {
            let most = self.carries(index).min(wanted);
            for units in (1..=most).rev() {
                self.use_up(index, units, true);
                if self.take(wanted - units, index + 1) {
                    self.taken[index] = units;
                    return true;
                }
                self.use_up(index, units, false);
                if self.steps >= MAX_STEPS {
                    return false;
                }
            }
        }
        false
    }

    fn pairs(&self, index: usize) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let cycle = &self.cycles[index];
        let next = cycle.iter().cycle().skip(1);
        cycle.iter().zip(next).map(|(a, b)| (usize::from(*a), usize::from(*b)))
    }

    fn carries(&self, index: usize) -> u32 {
        self.pairs(index).map(|(a, b)| self.left[a * self.count + b]).min().unwrap_or(0)
    }

    fn use_up(&mut self, index: usize, units: u32, take: bool) {
        let pairs: Vec<(usize, usize)> = self.pairs(index).collect();
        for (a, b) in pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
            let cell = &mut self.left[a * self.count + b];
            *cell = if take { *cell - units } else { *cell + units };
        }
    }
}
