//! The most rings that direct NVLinks carry at once.
//!
//! A ring runs around a cycle in one direction, and the links of a pair carry as many rings in each direction as they
//! have units. Both directions of a cycle are used alike, so rings are counted as cycles in the graph with every link
//! doubled: `n` of them carry `n` units together. That is the fractional optimum to the half.

use super::fabric::Fabric;
use super::hamilton;

/// The most cycles that are told apart.
const MAX_CYCLES: usize = 4096;

/// How many cycles one search looks at before it stops with what it has; a few milliseconds.
const MAX_LOOKS: u32 = 100_000;

/// How often prices rise at most, and by what part.
const ROUNDS: usize = 400;
const RISE: f64 = 0.05;

/// How many cycles are tried at each step where rings are spread.
const WAYS: usize = 4;

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
    let mut search = Search {
        count,
        cycles: &cycles,
        left: units.clone(),
        units,
        taken: vec![0; cycles.len()],
        looks: 0,
        most_looks: 0,
    };
    let mut packed = search.fill();
    let mut best = search.taken.clone();
    let (mut bound, mut priced) = (bound, false);
    let complete = loop {
        if packed >= bound {
            break true;
        }
        search.begin(MAX_LOOKS / 4);
        let mut found = search.spread(packed + 1);
        if !found && !priced && listed {
            priced = true;
            bound = bound.min(search.priced(packed + 1));
            continue;
        }
        if !found {
            search.begin(MAX_LOOKS);
            found = search.take(packed + 1, 0);
        }
        if found {
            packed += 1;
            best.clone_from(&search.taken);
        } else {
            // What cannot be had of these cycles, more of it cannot either.
            break listed && search.looks < search.most_looks;
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
    /// Units of each pair, both directions together.
    units: Vec<u32>,
    /// Units of each pair that no ring uses yet, both directions together.
    left: Vec<u32>,
    taken: Vec<u32>,
    looks: u32,
    most_looks: u32,
}

impl Search<'_> {
    /// Nothing is taken, and so many looks may follow.
    fn begin(&mut self, looks: u32) {
        self.left.clone_from(&self.units);
        self.taken.fill(0);
        self.most_looks = self.looks + looks;
    }

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

    /// Whether rings of one unit each carry `wanted` units, tried first where most is left; leaves them taken if so. That none
    /// is found so proves nothing.
    fn spread(&mut self, wanted: u32) -> bool {
        if wanted == 0 {
            return true;
        }
        let mut open: Vec<(u64, std::cmp::Reverse<usize>)> = Vec::new();
        for index in 0..self.cycles.len() {
            if self.carries(index) > 0 {
                let room: u64 = ends(&self.cycles[index])
                    .map(|(a, b)| u64::from(self.left[a * self.count + b]).pow(2))
                    .sum();
                open.push((room, std::cmp::Reverse(index)));
            }
        }
        self.looks += self.cycles.len() as u32 / 8 + 1;
        open.sort_unstable_by(|a, b| b.cmp(a));
        for (_, std::cmp::Reverse(index)) in open.into_iter().take(WAYS) {
            if self.looks >= self.most_looks {
                return false;
            }
            self.use_up(index, 1, true);
            if self.spread(wanted - 1) {
                self.taken[index] += 1;
                return true;
            }
            self.use_up(index, 1, false);
        }
        false
    }

    /// The most units that all cycles together can carry, by prices of the links: where no cycle costs less than 1, none of the
    /// links' worth is more than they carry. Prices rise where cycles are cheap (multiplicative weights), until less than
    /// `enough` units are shown.
    fn priced(&mut self, enough: u32) -> u32 {
        let capacity: Vec<f64> = self.units.iter().map(|units| f64::from(*units)).collect();
        let mut price: Vec<f64> =
            capacity.iter().map(|units| if *units > 0.0 { 1.0 / units } else { 0.0 }).collect();
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            self.looks += self.cycles.len() as u32 / 8 + 1;
            let cost = |cycle: &Vec<u8>| ends(cycle).map(|(a, b)| price[a * self.count + b]).sum::<f64>();
            let costs = self.cycles.iter().map(|cycle| (cost(cycle), cycle));
            let Some((cost, cheapest)) = costs.min_by(|a, b| a.0.total_cmp(&b.0)) else { return 0 };
            let worth: f64 = capacity.iter().zip(&price).map(|(units, price)| units * price).sum();
            // Each pair stands twice in the table. What rounding loses is given back.
            least = least.min(worth / 2.0 / cost * (1.0 + 1e-9));
            if least < f64::from(enough) {
                break;
            }
            let narrowest =
                ends(cheapest).map(|(a, b)| capacity[a * self.count + b]).fold(f64::INFINITY, f64::min);
            for (a, b) in ends(cheapest).flat_map(|(a, b)| [(a, b), (b, a)]) {
                price[a * self.count + b] *= 1.0 + RISE * narrowest / capacity[a * self.count + b];
            }
        }
        least as u32
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
                if self.looks >= self.most_looks {
                    return false;
                }
            }
            if self.looks >= self.most_looks {
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
