//! Cycles through all members of a small graph, given by the neighbours of each as bits.

use super::MAX_EXACT;
use crate::bits::members;

/// Finds a cycle through all members, each once, or `None` where there is none. At most [`MAX_EXACT`]
/// members, at least 3.
///
/// Held and Karp's table: for each set that holds member 0, the members at which a path through it can end.
pub(super) fn cycle(near: &[u32]) -> Option<Vec<usize>> {
    let count = near.len();
    let all = (1usize << count) - 1;
    let mut ends = vec![0u32; all + 1];
    ends[1] = 1;
    for set in (1..=all).step_by(2) {
        let mut open = ends[set];
        while open != 0 {
            let last = open.trailing_zeros() as usize;
            open &= open - 1;
            let mut next = near[last] & !(set as u32);
            while next != 0 {
                let member = next.trailing_zeros();
                next &= next - 1;
                ends[set | 1 << member] |= 1 << member;
            }
        }
    }
    let closing = ends[all] & near[0];
    if closing == 0 {
        return None;
    }
    // Backwards, from the lowest end that closes the cycle.
    let (mut order, mut set, mut last) = (Vec::with_capacity(count), all, closing.trailing_zeros() as usize);
    loop {
        order.push(last);
        set &= !(1 << last);
        if set == 0 {
            break;
        }
        last = (ends[set] & near[last]).trailing_zeros() as usize;
    }
    order.reverse();
    Some(order)
}

/// Cycles through all members, each once in one direction, from member 0.
pub(super) struct Cycles {
    pub(super) found: Vec<Vec<u8>>,
    /// True if these are all cycles.
    pub(super) complete: bool,
    /// The number of paths examined.
    pub(super) steps: usize,
}

/// Lists all cycles, or the first `most` of them.
pub(super) fn cycles(near: &[u32], most: usize) -> Cycles {
    let mut walk = Walk { near, path: [0; MAX_EXACT], found: Vec::new(), most, steps: 0 };
    walk.on(1, 1);
    let complete = walk.found.len() < most && walk.steps < MAX_STEPS;
    Cycles { found: walk.found, complete, steps: walk.steps }
}

/// Steps after which the listing of cycles stops.
const MAX_STEPS: usize = 100_000;

/// The most steps of a short search for one cycle.
const FEW_STEPS: usize = 400;

/// Finds a cycle through all members if a short search does, written as [`cycles`] writes it, and returns the steps
/// that it took. It goes on to the member with the fewest ways onward (Warnsdorff's rule).
pub(super) fn likely(near: &[u32]) -> (Option<Vec<u8>>, usize) {
    fn on(near: &[u32], path: &mut Vec<u8>, visited: u32, steps: &mut usize) -> bool {
        *steps += 1;
        let last = near[usize::from(path[path.len() - 1])];
        if path.len() == near.len() {
            return last & 1 == 1;
        }
        let (open, mut next) = (last & !visited, [(0, 0); MAX_EXACT]);
        for (place, member) in next.iter_mut().zip(members(open.into())) {
            *place = ((near[member] & !visited).count_ones(), member as u8);
        }
        let next = &mut next[..open.count_ones() as usize];
        next.sort_unstable();
        for &mut (_, member) in next {
            path.push(member);
            if on(near, path, visited | 1 << member, steps) {
                return true;
            }
            path.pop();
            if *steps >= FEW_STEPS {
                return false;
            }
        }
        false
    }
    let (mut path, mut steps) = (vec![0], 0);
    if near.iter().any(|near| near.count_ones() < 2) || !on(near, &mut path, 1, &mut steps) {
        return (None, steps + 1);
    }
    if path[1] > path[path.len() - 1] {
        path[1..].reverse();
    }
    (Some(path), steps)
}

struct Walk<'a> {
    near: &'a [u32],
    path: [u8; MAX_EXACT],
    found: Vec<Vec<u8>>,
    most: usize,
    steps: usize,
}

impl Walk<'_> {
    /// Goes on from a path of so many members.
    fn on(&mut self, visited: u32, members: usize) {
        self.steps += 1;
        if self.found.len() >= self.most || self.steps >= MAX_STEPS {
            return;
        }
        let last = usize::from(self.path[members - 1]);
        if members == self.near.len() {
            // Each cycle occurs in both directions: the one whose second member is lower counts.
            if self.near[last] & 1 == 1 && self.path[1] < self.path[members - 1] {
                self.found.push(self.path[..members].to_vec());
            }
            return;
        }
        let mut next = self.near[last] & !visited;
        while next != 0 {
            let member = next.trailing_zeros();
            next &= next - 1;
            self.path[members] = member as u8;
            self.on(visited | 1 << member, members + 1);
        }
    }
}
