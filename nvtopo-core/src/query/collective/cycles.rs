//! Cycles of a given length in a graph of up to 128 members, given by the neighbours of each as bits: found by
//! rotations of a path.
//!
//! A path grows at its end. Where it cannot, the part behind a neighbour of the end is reversed, which gives another
//! end (Pósa's rotation). The search is a heuristic, but nearly always finds a cycle where there are many; a table of
//! all subsets of so many members would not fit in memory.

use crate::bits::{component, members};

/// Members as bits.
pub(crate) type Members = u128;

/// The most steps of one search, unless the caller sets another limit; a step examines one neighbour.
pub(crate) const MAX_LOOKS: u64 = 40_000;

/// Finds a cycle of `count` members among the open ones, through all that are included, in its order from the lowest.
/// At least 3 members; `looks` holds the steps that are left.
pub(crate) fn cycle(
    near: &[Members],
    open: Members,
    include: Members,
    count: usize,
    looks: &mut u64,
) -> Option<Vec<usize>> {
    let open = ring_core(near, open, include, count)?;
    let starts: Vec<usize> = members(if include == 0 { open } else { include }).collect();
    // Each start has its own part of the steps, so that a start without a cycle does not use up all of them.
    let part = (*looks / starts.len() as u64).max(count as u64 * 8);
    for (turn, start) in starts.into_iter().enumerate() {
        if *looks == 0 {
            break;
        }
        let own = part.min(*looks);
        let mut walk = Walk { near, include, count, looks: own, seed: turn as u64 + 1, path: vec![start] };
        let found = walk.run(open);
        *looks -= own - walk.looks;
        if found {
            let mut order = walk.path;
            let lowest = (0..order.len()).min_by_key(|place| order[*place])?;
            order.rotate_left(lowest);
            return Some(order);
        }
    }
    None
}

/// Returns the members that may be in such a cycle: each has two neighbours at least, and reaches enough others.
/// `None`: too few.
pub(crate) fn ring_core(
    near: &[Members],
    mut open: Members,
    include: Members,
    count: usize,
) -> Option<Members> {
    loop {
        let enough = members(open).filter(|member| (near[*member] & open).count_ones() >= 2);
        let core = enough.fold(0, |set: Members, member| set | 1 << member);
        if core == open {
            break;
        }
        open = core;
    }
    let (mut kept, mut left) = (0, open);
    while left != 0 {
        let reached = component(near, left.trailing_zeros() as usize, open);
        left &= !reached;
        if reached.count_ones() as usize >= count && include & !reached == 0 {
            kept |= reached;
        }
    }
    (kept != 0).then_some(kept)
}

struct Walk<'a> {
    near: &'a [Members],
    include: Members,
    count: usize,
    looks: u64,
    seed: u64,
    path: Vec<usize>,
}

impl Walk<'_> {
    /// Extends the path until it is a cycle; true if it became one.
    fn run(&mut self, open: Members) -> bool {
        let mut on_path: Members = self.path.iter().fold(0, |set, member| set | 1 << member);
        while self.looks > 0 {
            self.looks -= 1;
            let (Some(&first), Some(&last)) = (self.path.first(), self.path.last()) else { return false };
            let missing = self.count - self.path.len();
            let wanted = self.include & !on_path;
            if missing == 0 {
                if wanted == 0 && self.close(first) {
                    return true;
                }
            } else {
                let fresh = self.near[last] & open & !on_path;
                let next = self.next(fresh, wanted, first, missing);
                if let Some(next) = next.filter(|_| wanted.count_ones() as usize <= missing) {
                    self.path.push(next);
                    on_path |= 1 << next;
                    continue;
                }
            }
            if !self.turn(on_path) || self.chance(8) == 0 {
                // The rest is in another component: the path is cut back.
                let kept = 1 + self.chance(self.path.len());
                for member in self.path.drain(kept..) {
                    on_path &= !(1 << member);
                }
            }
        }
        false
    }

    /// Closes the path, after a rotation if need be; true if it is a cycle then.
    fn close(&mut self, first: usize) -> bool {
        let Some(&last) = self.path.last() else { return false };
        if self.near[last] >> first & 1 == 1 {
            return true;
        }
        for place in 0..self.path.len().saturating_sub(2) {
            let turns = self.near[last] >> self.path[place] & 1 == 1;
            if turns && self.near[self.path[place + 1]] >> first & 1 == 1 {
                self.path[place + 1..].reverse();
                return true;
            }
        }
        false
    }

    /// Chooses the next member: for the last place a neighbour of the first member, else a member that has to be
    /// included, else any.
    fn next(&mut self, fresh: Members, wanted: Members, first: usize, missing: usize) -> Option<usize> {
        let back = fresh & self.near[first];
        let among = match () {
            () if missing == 1 && back != 0 => back,
            () if fresh & wanted != 0 => fresh & wanted,
            () => fresh,
        };
        let count = among.count_ones() as usize;
        let place = if count > 1 { self.chance(count) } else { 0 };
        members(among).nth(place)
    }

    /// Reverses the part of the path behind a neighbour of the end.
    fn turn(&mut self, on_path: Members) -> bool {
        let Some(&last) = self.path.last() else { return false };
        let before = self.path.len().checked_sub(2).map(|place| self.path[place]);
        let neighbours = self.near[last] & on_path & !before.map_or(0, |before| 1 << before);
        let count = neighbours.count_ones() as usize;
        if count == 0 {
            return false;
        }
        let place = self.chance(count);
        let Some(neighbour) = members(neighbours).nth(place) else { return false };
        let Some(at) = self.path.iter().position(|member| *member == neighbour) else { return false };
        self.path[at + 1..].reverse();
        true
    }

    /// Returns a pseudo-random number below another, the same in every run.
    fn chance(&mut self, below: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.seed >> 33) % below.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a graph from its edges.
    fn graph(members: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Vec<Members> {
        let mut near = vec![0; members];
        for (a, b) in edges {
            near[a] |= 1 << b;
            near[b] |= 1 << a;
        }
        near
    }

    fn assert_cycle(near: &[Members], order: &[usize], include: Members, count: usize) {
        let set = order.iter().fold(0, |set: Members, member| set | 1 << member);
        assert!(order.len() == count && set.count_ones() as usize == count && include & !set == 0);
        assert!((0..count).all(|at| near[order[at]] >> order[(at + 1) % count] & 1 == 1), "{order:?}");
    }

    #[test]
    fn cycles_of_every_length_are_found_where_there_are_many() {
        let mut seed = 5u64;
        let mut chance = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        let pairs = (0..72).flat_map(|a| (a + 1..72).map(move |b| (a, b)));
        let near = graph(72, pairs.filter(|_| chance() % 4 == 0));
        for count in (3..=72).step_by(3) {
            for include in [0, 1 << 7] {
                let order = cycle(&near, Members::MAX >> 56, include, count, &mut MAX_LOOKS.clone());
                assert_cycle(&near, &order.unwrap(), include, count);
            }
        }
    }

    #[test]
    fn a_cycle_that_is_all_there_is_is_found() {
        let near = graph(40, (0..40).map(|at| (at, (at + 1) % 40)));
        let all = Members::MAX >> 88;
        assert_cycle(&near, &cycle(&near, all, 0, 40, &mut MAX_LOOKS.clone()).unwrap(), 0, 40);
        assert_eq!(cycle(&near, all, 0, 39, &mut MAX_LOOKS.clone()), None);
        assert_eq!(cycle(&near, all & !1, 0, 3, &mut MAX_LOOKS.clone()), None, "a path is no cycle");
        assert_eq!(cycle(&near, 0, 0, 3, &mut 0), None);
    }
}
