//! The most rings that direct NVLinks carry at once.
//!
//! A ring runs around a cycle in one direction, and the links of a pair carry as many rings in each direction as they
//! have units. Both directions of a cycle are used alike, so rings are counted as cycles in the graph with every link
//! doubled: `n` of them carry `n` units together. That is the fractional optimum to the half.

use super::fabric::Fabric;
use super::hamilton;

/// The most cycles that are told apart.
const MAX_CYCLES: usize = 1024;

/// How many cycles one search looks at before it stops with what it has; a few milliseconds.
const MAX_LOOKS: u32 = 100_000;

/// Cycles with how many units each carries.
pub(super) struct Packing {
    pub(super) cycles: Vec<(Vec<usize>, u32)>,
    /// Whether no packing carries more.
    pub(super) complete: bool,
    /// How many paths and cycles were looked at.
    pub(super) looks: u32,
}

/// Packs rings through all members; `bound` is the most units that any could carry.
pub(super) fn pack(fabric: &Fabric, bound: u32) -> Packing {
    let count = fabric.count;
    let neighbours =
        |a: usize| (0..count).filter(|b| fabric.units(a, *b) > 0).fold(0u32, |set, b| set | 1 << b);
    let near: Vec<u32> = (0..count).map(neighbours).collect();
    let hamilton::Cycles { found: cycles, complete: listed, steps } = hamilton::cycles(&near, MAX_CYCLES);
    let units: Vec<u32> =
        (0..count * count).map(|cell| 2 * fabric.units(cell / count, cell % count)).collect();
    let mut search =
        Search { count, cycles: &cycles, left: units.clone(), taken: vec![0; cycles.len()], looks: 0 };
    let mut packed = search.fill();
    let mut best = search.taken.clone();
    let complete = loop {
        if packed >= bound {
            break true;
        }
        search.left.clone_from(&units);
        search.taken.fill(0);
        if search.take(packed + 1, 0) {
            packed += 1;
            best.clone_from(&search.taken);
        } else {
            // What cannot be had of these cycles, more of it cannot either.
            break listed && search.looks < MAX_LOOKS;
        }
    };
    let taken = best.into_iter().zip(&cycles).filter(|(units, _)| *units > 0);
    let cycles =
        taken.map(|(units, cycle)| (cycle.iter().map(|member| usize::from(*member)).collect(), units));
    let looks = search.looks + steps as u32;
    Packing { cycles: cycles.collect(), complete, looks }
}

struct Search<'a> {
    count: usize,
    cycles: &'a [Vec<u8>],
    /// Units of each pair that no ring uses yet, both directions together.
    left: Vec<u32>,
    taken: Vec<u32>,
    looks: u32,
}

impl Search<'_> {
    /// Takes the cycle that carries most, as long as one carries anything. How many units all carry.
    fn fill(&mut self) -> u32 {
        let mut packed = 0;
        while let Some((units, std::cmp::Reverse(index))) =
            (0..self.cycles.len()).map(|index| (self.carries(index), std::cmp::Reverse(index))).max()
            && units > 0
        {
            self.use_up(index, units, true);
            self.taken[index] += units;
            packed += units;
        }
        packed
    }

    /// Whether the cycles from `first` on carry `wanted` units more; leaves them taken if so.
    fn take(&mut self, wanted: u32, first: usize) -> bool {
        if wanted == 0 {
            return true;
        }
        // Every ring uses two of a member's links.
        let starved =
            |row: &[u32]| row.iter().map(|units| u64::from(*units)).sum::<u64>() < 2 * u64::from(wanted);
        if self.left.chunks(self.count).any(starved) {
            return false;
        }
        for index in first..self.cycles.len() {
            let most = self.carries(index).min(wanted);
            self.looks += 1;
            for units in (1..=most).rev() {
                self.use_up(index, units, true);
                if self.take(wanted - units, index + 1) {
                    self.taken[index] = units;
                    return true;
                }
                self.use_up(index, units, false);
                if self.looks >= MAX_LOOKS {
                    return false;
                }
            }
            if self.looks >= MAX_LOOKS {
                return false;
            }
        }
        false
    }

    fn carries(&self, index: usize) -> u32 {
        ends(&self.cycles[index]).map(|(a, b)| self.left[a * self.count + b]).min().unwrap_or(0)
    }

    fn use_up(&mut self, index: usize, units: u32, take: bool) {
        let cycles = self.cycles;
        for (a, b) in ends(&cycles[index]).flat_map(|(a, b)| [(a, b), (b, a)]) {
            let cell = &mut self.left[a * self.count + b];
            *cell = if take { *cell - units } else { *cell + units };
        }
    }
}

/// The pairs of members that follow each other on a cycle.
fn ends(cycle: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let next = cycle.iter().cycle().skip(1);
    cycle.iter().zip(next).map(|(a, b)| (usize::from(*a), usize::from(*b)))
}
