//! Directed rings of one speed, found hop by hop: the number that the links of a set carry at once.

use super::MAX_EXACT;
use super::hops::Hops;
use super::program::Carried;
use crate::model::PathType;
use std::cmp::Reverse;

/// The steps, for each ring, of the quick search before the exhaustive one.
const QUICK: u32 = 64;

/// A search for rings; a look is a hop that is tried.
pub(super) struct Search<'a> {
    hops: &'a Hops,
    left: Vec<u64>,
    class: PathType,
    speed: u64,
    /// The rings that were found last, each from member 0 in its direction.
    pub(super) rings: Vec<Vec<u8>>,
    pub(super) looks: u32,
    /// The looks after which the running search stops, and after which all do.
    stop: u32,
    most_looks: u32,
}

impl<'a> Search<'a> {
    /// Creates a search that tries at most `most_looks` hops, all its calls together.
    pub(super) fn new(hops: &'a Hops, most_looks: u32) -> Self {
        Self {
            hops,
            left: Vec::new(),
            class: PathType::Nvl,
            speed: 1,
            rings: Vec::new(),
            looks: 0,
            stop: 0,
            most_looks,
        }
    }

    /// Searches for `wanted` rings of a speed over hops of a class or better; stores them in `rings` if they exist.
    pub(super) fn carries(&mut self, class: PathType, speed: u64, wanted: usize) -> Carried {
        self.carries_within(class, speed, wanted, u32::MAX)
    }

    /// Searches with at most the given number of looks.
    pub(super) fn carries_within(
        &mut self,
        class: PathType,
        speed: u64,
        wanted: usize,
        most_looks: u32,
    ) -> Carried {
        if wanted == 0 {
            self.rings.clear();
            return Carried::Yes;
        }
        (self.class, self.speed) = (class, speed.max(1));
        let hops = self.hops;
        if !hops.may_carry(class, self.speed, wanted as u64) {
            return Carried::No;
        }
        let before = self.looks;
        for (order, looks) in [(Order::WidestFirst, QUICK * wanted as u32), (Order::All, most_looks)] {
            self.left.clear();
            self.left.extend_from_slice(hops.capacity());
            self.rings.clear();
            self.rings.resize(wanted, vec![0]);
            self.stop = self.looks.saturating_add(looks).min(self.most_looks);
            if self.extend(0, 1, true, order) {
                return Carried::Yes;
            }
            if self.looks < self.stop {
                return Carried::No;
            }
            if self.looks - before >= most_looks {
                break;
            }
        }
        Carried::Unknown
    }

    /// Finds the most rings of a speed, from `least` to `most`, and tells whether there are no more. Stores them in
    /// `rings`; none where there are fewer.
    pub(super) fn most(
        &mut self,
        class: PathType,
        speed: u64,
        least: usize,
        most: usize,
        looks: u32,
    ) -> (usize, bool) {
        let mut rings = Vec::new();
        while rings.len() < most {
            match self.carries_within(class, speed, least.max(rings.len() + 1), looks) {
                Carried::Yes => rings = std::mem::take(&mut self.rings),
                other => {
                    self.rings = rings;
                    return (self.rings.len(), other == Carried::No);
                }
            }
        }
        self.rings = rings;
        (most, true)
    }

    /// Extends the ring at a place by each member that is not visited, and goes on to the next ring. `same`: so far it
    /// equals the ring before, and must not precede it in the order of all rings.
    fn extend(&mut self, ring: usize, visited: u32, same: bool, order: Order) -> bool {
        self.looks += 1;
        if self.looks >= self.stop {
            return false;
        }
        let at = self.rings[ring].len();
        let last = usize::from(self.rings[ring][at - 1]);
        if at == self.hops.count {
            if !self.hops.take(&mut self.left, last, 0, self.class, self.speed) {
                return false;
            }
            let more = self.rings.len() - ring - 1;
            let goes_on = more == 0
                || self.hops.room(&self.left, self.class, self.speed) >= more as u64
                    && self.extend(ring + 1, 1, true, order);
            if !goes_on {
                self.hops.give(&mut self.left, last, 0, self.speed);
            }
            return goes_on;
        }
        let lowest = if same && ring > 0 && order == Order::All { self.rings[ring - 1][at] } else { 0 };
        let mut next = [(PathType::Nvl, Reverse(0), 0); MAX_EXACT];
        let mut count = 0;
        for member in lowest..self.hops.count as u8 {
            let to = usize::from(member);
            if visited >> member & 1 == 0 && self.hops.class(last, to) <= self.class {
                let left = if order == Order::All { 0 } else { self.hops.left(&self.left, last, to) };
                next[count] = (self.hops.class(last, to), Reverse(left), member);
                count += 1;
            }
        }
        if order == Order::WidestFirst {
            next[..count].sort_unstable();
        }
        for (_, _, member) in next.into_iter().take(count) {
            let to = usize::from(member);
            if !self.hops.take(&mut self.left, last, to, self.class, self.speed) {
                continue;
            }
            self.rings[ring].push(member);
            let same = same && (ring == 0 || self.rings[ring - 1][at] == member);
            if self.extend(ring, visited | 1 << member, same, order) {
                return true;
            }
            self.rings[ring].pop();
            self.hops.give(&mut self.left, last, to, self.speed);
            if self.looks >= self.stop {
                return false;
            }
        }
        false
    }
}

/// The order in which hops are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The best class and the most capacity left first; rings in any order, so that a failure proves nothing.
    WidestFirst,
    /// By the members' numbers; each set of rings once.
    All,
}
