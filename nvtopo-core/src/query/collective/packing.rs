//! The most rings that direct NVLinks carry at once.
//!
//! A ring runs around a cycle in one direction, and the links of a pair carry as many rings in each direction as they
//! have units. Both directions of a cycle are used alike, so rings are counted as cycles in the graph with every link
//! doubled: `n` of them carry `n` units together. That is the fractional optimum to the half.

use super::fabric::Fabric;
use super::program::Program;
use super::{MAX_EXACT, hamilton};

/// The most cycles that are distinguished.
const MAX_CYCLES: usize = 4096;

/// The most looks of all searches for one packing: a few milliseconds. A look is a cycle in a search for one, or eight
/// cycles where all are scanned. An optimum not proven within them is reported as not proven.
const MAX_LOOKS: u32 = 150_000;

/// The most looks of one search for one more ring, and of one that tries the most promising cycles only.
const MAX_TAKE: u32 = 100_000;
const MAX_SPREAD: u32 = 25_000;

/// The most looks of a quick search before the program that proves.
const MAX_QUICK: u32 = 1_000;

/// The most looks for wide cycles, where there are too many to list.
const MAX_WIDE: u32 = 75_000;

/// The number of cycles tried at each step where rings are spread.
const WAYS: usize = 4;

/// The units of a pair, both directions together, up to which rings are spread one by one from the beginning.
const FEW_UNITS: u32 = 4;

/// The parts of a wide cycle's units of which one is taken at once.
const PARTS: u32 = 4;

/// A number for each pair of members, by its place; there are 120 pairs of 16, and places have 8 bits.
type Pairs = [u32; 256];

/// Cycles, each with the units that it carries.
pub(super) struct Packing {
    pub(super) cycles: Vec<(Vec<usize>, u32)>,
    /// Upper bound on the units of any packing.
    pub(super) most: u32,
    /// Upper bound on rings that go around in one direction, in halves of a unit.
    pub(super) most_halves: u32,
    /// The number of paths and cycles examined.
    pub(super) looks: u32,
}

/// Packs rings through all members; `bound` is the most units that any could carry.
pub(super) fn pack(fabric: &Fabric, bound: u32) -> Packing {
    let (count, units) = (fabric.count, doubled(fabric));
    let hamilton::Cycles { found: mut cycles, complete: listed, steps } =
        hamilton::cycles(&near(count, &units, 1)[..count], MAX_CYCLES);
    let mut looks = steps as u32;
    if listed {
        return of_all(count, &units, &cycles, looks, bound);
    }
    let wide = wide(count, &units, PARTS, u32::MAX, &mut looks);
    // The first cycles listed hardly differ; rings that share nothing are among the wide ones.
    cycles.retain(|cycle| wide.iter().all(|(other, _)| other != cycle));
    cycles.splice(0..0, wide.iter().map(|(cycle, _)| cycle.clone()));
    let mut search = Search::new(count, &units, &cycles, looks);
    let mut packed = search.fill();
    let mut best = search.taken.clone();
    let mut better = |taken: &[u32]| {
        let units = taken.iter().sum();
        if units > packed {
            packed = units;
            best.fill(0);
            best[..taken.len()].copy_from_slice(taken);
        }
    };
    better(&wide.iter().map(|(_, units)| *units).collect::<Vec<_>>());
    let mut steps: Vec<u32> =
        units.into_iter().filter(|units| *units > FEW_UNITS).map(|units| units / 2).collect();
    steps.sort_unstable();
    steps.dedup();
    for step in [0, steps.len() / 2, steps.len().saturating_sub(1)] {
        if let Some(step) = steps.get(step) {
            better(&search.scaled(*step));
        }
    }
    while packed < bound {
        search.begin(MAX_SPREAD);
        let mut found = search.spread(packed + 1);
        if !found {
            search.begin(MAX_TAKE);
            found = search.take(packed + 1, 0);
        }
        if !found {
            break;
        }
        packed += 1;
        best.clone_from(&search.taken);
    }
    packing(&cycles, best.into_iter().enumerate(), bound, 2 * bound, search.looks)
}

/// Returns the units of each pair, both directions together.
fn doubled(fabric: &Fabric) -> Pairs {
    let mut units: Pairs = [0; 256];
    for (units, (a, b)) in units.iter_mut().zip(pairs(fabric.count)) {
        *units = 2 * fabric.units(a, b);
    }
    units
}

/// Returns the units of rings that a short search for enough of them finds, and those of the first, which is the widest.
pub(super) fn quick(fabric: &Fabric, enough: u32) -> (u32, u32) {
    let found = wide(fabric.count, &doubled(fabric), 1, enough, &mut 0);
    (found.iter().map(|(_, units)| units).sum(), found.first().map_or(0, |(_, units)| *units))
}

/// Packs rings where all cycles are known.
fn of_all(count: usize, units: &Pairs, cycles: &[Vec<u8>], looks: u32, bound: u32) -> Packing {
    let mut search = Search::new(count, units, cycles, looks);
    let packed = search.fill();
    let bound = if 2 * packed >= most_halves(count, units, 2 * bound) { packed } else { bound };
    if packed >= bound {
        return packing(cycles, search.taken.into_iter().enumerate(), bound, 2 * bound, search.looks);
    }
    let filled = search.taken.clone();
    search.begin(MAX_QUICK);
    if search.spread(bound) {
        return packing(cycles, search.taken.into_iter().enumerate(), bound, 2 * bound, search.looks);
    }
    let room = units[..count * (count - 1) / 2].to_vec();
    let uses = search.ends.iter().map(|pair| u16::from(*pair)).collect();
    let program = Program::new(room, uses, count, MAX_LOOKS);
    let (found, more) = program.most(packed, bound);
    let halves = ((2.0 * found.fractions + 1e-3) as u32).min(2 * bound);
    let looks = search.looks + more;
    if found.columns.is_empty() {
        return packing(cycles, filled.into_iter().enumerate(), found.most, halves, looks);
    }
    packing(cycles, found.columns.into_iter(), found.most, halves, looks)
}

fn packing(
    cycles: &[Vec<u8>],
    taken: impl Iterator<Item = (usize, u32)>,
    most: u32,
    most_halves: u32,
    looks: u32,
) -> Packing {
    #[cfg(test)]
    LOOKS_LEFT.with(|left| left.set(left.get().checked_sub(u64::from(looks)).expect("too many looks")));
    let members = |index: usize| cycles[index].iter().map(|member| usize::from(*member)).collect();
    let cycles = taken.filter(|(_, units)| *units > 0).map(|(index, units)| (members(index), units));
    Packing { cycles: cycles.collect(), most, most_halves, looks }
}

// Counted apart from the effort reported to searches, so that a search which does not count it is found out.
#[cfg(test)]
thread_local! {
    /// The looks that packings of this thread may take, all together.
    pub(crate) static LOOKS_LEFT: std::cell::Cell<u64> = const { std::cell::Cell::new(u64::MAX) };
}

/// Returns an upper bound on rings, one way or both, in halves of a unit: each uses two pairs of every member.
fn most_halves(count: usize, units: &Pairs, mut bound: u32) -> u32 {
    let carries = |member: usize, rings: u32| {
        let others = (0..count).filter(|other| *other != member);
        others.map(|other| (2 * units[pair(member, other)]).min(rings)).sum::<u32>() >= 2 * rings
    };
    for member in 0..count {
        while bound > 0 && !carries(member, bound) {
            bound -= 1;
        }
    }
    bound
}

/// Returns the place of a pair among all.
fn pair(a: usize, b: usize) -> usize {
    let (low, high) = (a.min(b), a.max(b));
    high * (high - 1) / 2 + low
}

/// Iterates over the pairs of members by their places.
fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(|high| (0..high).map(move |low| (low, high)))
}

/// Returns the neighbours of each member over pairs with at least `least` units.
fn near(count: usize, units: &Pairs, least: u32) -> [u32; MAX_EXACT] {
    let mut near = [0; MAX_EXACT];
    for ((a, b), units) in pairs(count).zip(units) {
        near[a] |= u32::from(*units >= least) << b;
        near[b] |= u32::from(*units >= least) << a;
    }
    near
}

/// Returns the pairs of members that follow each other on a cycle.
fn ends(cycle: &[u8]) -> impl Iterator<Item = usize> {
    let next = cycle[1..].iter().chain(&cycle[..1]);
    cycle.iter().zip(next).map(|(a, b)| pair(usize::from(*a), usize::from(*b)))
}

/// Finds cycles to carry together, where there are too many to list: repeatedly one whose worst pair has the most units
/// left, as far as a short search finds it, with one of so many parts of these units; until they carry enough.
fn wide(count: usize, units: &Pairs, parts: u32, mut enough: u32, looks: &mut u32) -> Vec<(Vec<u8>, u32)> {
    let mut left = *units;
    let places = count * (count - 1) / 2;
    let mut taken: Vec<(Vec<u8>, u32)> = Vec::new();
    let mut least = left[..places].iter().copied().max().unwrap_or(0);
    let last_look = *looks + MAX_WIDE;
    while least > 0 && enough > 0 && *looks < last_look {
        let (found, steps) = hamilton::likely(&near(count, &left, least)[..count]);
        *looks += steps as u32;
        if let Some(cycle) = found {
            let part = ends(&cycle).map(|pair| left[pair]).min().unwrap_or(0).div_ceil(parts);
            ends(&cycle).for_each(|pair| left[pair] -= part);
            enough = enough.saturating_sub(part);
            match taken.iter_mut().find(|(other, _)| *other == cycle) {
                Some((_, units)) => *units += part,
                None => taken.push((cycle, part)),
            }
        } else {
            least = left[..places].iter().copied().filter(|units| *units < least).max().unwrap_or(0);
        }
    }
    taken
}

struct Search {
    count: usize,
    /// The pairs of each cycle, one cycle after the other.
    ends: Vec<u8>,
    /// Units of each pair, both directions together.
    units: Pairs,
    /// Units of each pair that no ring uses yet, both directions together.
    left: Pairs,
    /// Upper bound on further rings by the member with the fewest units left: every ring uses two of each.
    room: u32,
    taken: Vec<u32>,
    looks: u32,
    /// The looks at which the running search ends, and at which all do.
    most_looks: u32,
    last_look: u32,
}

impl Search {
    fn new(count: usize, units: &Pairs, cycles: &[Vec<u8>], looks: u32) -> Self {
        let mut search = Self {
            count,
            ends: cycles.iter().flat_map(|cycle| ends(cycle)).map(|pair| pair as u8).collect(),
            left: *units,
            units: *units,
            room: 0,
            taken: vec![0; cycles.len()],
            looks,
            most_looks: 0,
            last_look: looks + MAX_LOOKS,
        };
        search.room = search.rings();
        search
    }

    fn cycles(&self) -> usize {
        self.taken.len()
    }

    fn ends(&self, index: usize) -> &[u8] {
        &self.ends[index * self.count..][..self.count]
    }

    /// Returns the most rings that the units left can carry, as every ring uses two of each member's.
    fn rings(&self) -> u32 {
        let of =
            |a: usize| (0..self.count).filter(|b| *b != a).map(|b| self.left[pair(a, b)]).sum::<u32>() / 2;
        (0..self.count).map(of).min().unwrap_or(0)
    }

    /// Gives back all units, and allows so many looks more.
    fn begin(&mut self, looks: u32) {
        self.left = self.units;
        self.room = self.rings();
        self.taken.fill(0);
        self.most_looks = self.last_look.min(self.looks + looks);
    }

    /// Takes the cycle that carries most, as long as one carries anything. Returns the units that all carry.
    fn fill(&mut self) -> u32 {
        let mut packed = 0;
        while let Some((units, std::cmp::Reverse(index))) =
            (0..self.cycles()).map(|index| (self.carries(index), std::cmp::Reverse(index))).max()
            && units > 0
        {
            self.use_up(index, units, true);
            self.taken[index] += units;
            packed += units;
        }
        packed
    }

    /// Returns the units of each cycle where rings of `step` units are spread first, then ever smaller ones over the
    /// rest: an even mesh of many links is packed like one of few.
    fn scaled(&mut self, step: u32) -> Vec<u32> {
        let mut left = self.units;
        let mut taken = vec![0; self.cycles()];
        for step in (0..=step.max(1).ilog2()).map(|bits| step >> bits) {
            self.begin(MAX_SPREAD / 8);
            // The widest pairs would attract all rings.
            self.left = left.map(|units| (units / step).min(2));
            self.room = self.rings();
            if !self.spread(self.room) {
                self.spread_on();
            }
            for (index, taken) in taken.iter_mut().enumerate() {
                let units = self.taken[index] * step;
                *taken += units;
                self.ends(index).iter().for_each(|pair| left[usize::from(*pair)] -= units);
            }
        }
        taken
    }

    /// Takes one unit after the other where most is left, until there is none.
    fn spread_on(&mut self) {
        while self.looks < self.last_look
            && let Some((_, std::cmp::Reverse(index))) = self.open().max()
        {
            self.looks += self.cycles() as u32 / 8 + 1;
            self.use_up(index, 1, true);
            self.taken[index] += 1;
        }
    }

    /// Returns the cycles that carry something, with the units left of their pairs.
    fn open(&self) -> impl Iterator<Item = (u64, std::cmp::Reverse<usize>)> + '_ {
        let carries = |index: &usize| self.ends(*index).iter().all(|pair| self.left[usize::from(*pair)] > 0);
        let carrying = (0..self.cycles()).filter(carries);
        carrying.map(|index| {
            let room =
                self.ends(index).iter().map(|pair| u64::from(self.left[usize::from(*pair)]).pow(2)).sum();
            (room, std::cmp::Reverse(index))
        })
    }

    /// Returns true if rings of one unit each carry `wanted` units, tried first where most is left; leaves them taken
    /// then. A failure proves nothing.
    fn spread(&mut self, wanted: u32) -> bool {
        if wanted == 0 {
            return true;
        }
        if self.room < wanted {
            return false;
        }
        let mut open: Vec<(u64, std::cmp::Reverse<usize>)> = self.open().collect();
        self.looks += self.cycles() as u32 / 8 + 1;
        if open.len() > WAYS {
            open.select_nth_unstable_by(WAYS, |a, b| b.cmp(a));
            open.truncate(WAYS);
        }
        open.sort_unstable_by(|a, b| b.cmp(a));
        for (_, std::cmp::Reverse(index)) in open {
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

    /// Returns true if the cycles from `first` on carry `wanted` units more; leaves them taken then.
    fn take(&mut self, wanted: u32, first: usize) -> bool {
        if wanted == 0 {
            return true;
        }
        if self.room < wanted {
            return false;
        }
        for index in first..self.cycles() {
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
        let mut least = u32::MAX;
        for pair in self.ends(index) {
            least = least.min(self.left[usize::from(*pair)]);
            if least == 0 {
                break;
            }
        }
        least
    }

    fn use_up(&mut self, index: usize, units: u32, take: bool) {
        for pair in &self.ends[index * self.count..][..self.count] {
            let cell = &mut self.left[usize::from(*pair)];
            *cell = if take { *cell - units } else { *cell + units };
        }
        self.room = if take { self.room - units } else { self.room + units };
    }
}
