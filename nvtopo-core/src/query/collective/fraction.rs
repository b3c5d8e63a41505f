//! The most directed rings of one speed that hops carry: an integer program over all cycles.

use super::hops::Hops;
use super::program::{NONE, Program};
use crate::model::PathType;

/// The most cycles that are listed: those of eight GPUs.
const MAX_CYCLES: usize = 5040;

/// The most steps through cycles, and through hops where they are listed.
const MAX_LOOKS: u32 = 60_000;

/// Rings of one speed.
pub(super) struct Directed {
    /// The rings from member 0, each with its count; empty where no more were found than are known.
    pub(super) rings: Vec<(Vec<u8>, u64)>,
    /// Upper bound on the number of rings.
    pub(super) most: u64,
    /// The work done, in looks at hops.
    pub(super) looks: u32,
}

/// Finds the most rings of a speed over hops of a class, where `known` are known and `bound` is an upper bound. `None`
/// where there are too many cycles.
pub(super) fn solve(hops: &Hops, class: PathType, speed: u64, known: u64, bound: u64) -> Option<Directed> {
    let room: Vec<u32> = hops.capacity().iter().map(|capacity| (capacity / speed) as u32).collect();
    let mut listed =
        Listed { hops, class, room: &room, path: vec![0], cycles: Vec::new(), uses: Vec::new(), full: false };
    listed.on(1);
    if listed.full {
        return None;
    }
    let (count, cycles, uses) = (hops.count, listed.cycles, listed.uses);
    let listing = cycles.len() as u32 / 8;
    let program = Program::new(room, uses, 2 * count, MAX_LOOKS);
    let (packed, looks) = program.most(known as u32, bound as u32);
    let ring = |(cycle, times): (usize, u32)| (cycles[cycle * count..][..count].to_vec(), u64::from(times));
    let rings = packed.columns.into_iter().map(ring).collect();
    Some(Directed { rings, most: packed.most.into(), looks: looks + listing })
}

/// The cycles of a set, each with the links that it uses.
struct Listed<'a> {
    hops: &'a Hops,
    class: PathType,
    room: &'a [u32],
    path: Vec<u8>,
    cycles: Vec<u8>,
    uses: Vec<u16>,
    full: bool,
}

impl Listed<'_> {
    fn on(&mut self, visited: u32) {
        let count = self.hops.count;
        let last = usize::from(self.path[self.path.len() - 1]);
        if self.path.len() == count {
            if !self.goes(last, 0) {
                return;
            }
            if self.cycles.len() / count >= MAX_CYCLES {
                self.full = true;
                return;
            }
            self.cycles.extend_from_slice(&self.path);
            let begin = self.uses.len();
            let next = self.path[1..].iter().chain(&self.path[..1]);
            for (a, b) in self.path.iter().zip(next) {
                self.uses.extend(self.hops.uses(usize::from(*a), usize::from(*b)));
            }
            self.uses.resize(begin + 2 * count, NONE);
            return;
        }
        for member in (0..count as u8).filter(|member| visited >> member & 1 == 0) {
            if !self.full && self.goes(last, usize::from(member)) {
                self.path.push(member);
                self.on(visited | 1 << member);
                self.path.pop();
            }
        }
    }

    fn goes(&self, from: usize, to: usize) -> bool {
        self.hops.class(from, to) <= self.class
            && self.hops.uses(from, to).all(|link| self.room[usize::from(link)] > 0)
    }
}
