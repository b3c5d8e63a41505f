//! Whether some GPUs of a graph are all connected with each other.

use super::{Set, above};
use crate::solve::surroundings::members;

/// A search for cliques of a size. Candidates with too few neighbours drop out, and colours, of which no two neighbours have
/// the same, bound what is left: a clique has as many colours as members.
pub(super) struct Cliques<'a> {
    /// The neighbours of each candidate.
    pub(super) near: &'a [Set],
    /// Steps that are left.
    pub(super) steps: u64,
}

/// Whether there is a clique.
pub(super) enum Found {
    Yes(Set),
    No,
    /// The steps ended.
    Unknown,
}

impl Cliques<'_> {
    /// Some clique of so many candidates.
    pub(super) fn any(&mut self, open: Set, size: usize) -> Found {
        match self.grow(0, open, size) {
            Some(set) => Found::Yes(set),
            None if self.steps == 0 => Found::Unknown,
            None => Found::No,
        }
    }

    /// The first clique by its members, given some clique; whether that was found out for sure.
    pub(super) fn first(&mut self, open: Set, some: Set) -> (Set, bool) {
        let (mut set, mut rest, mut open) = (0, some, open);
        while rest != 0 {
            let next: Set = rest & rest.wrapping_neg();
            let before = open & (next - 1);
            let missing = rest.count_ones() as usize - 1;
            // None before the next of the known ones, unless there is a clique with it.
            let found = members(before).find_map(|gpu| {
                let later = open & self.near[gpu] & above(gpu);
                self.grow(0, later, missing).map(|others| (1 << gpu, others))
            });
            if self.steps == 0 {
                return (set | rest, false);
            }
            let (gpu, others) = found.unwrap_or((next, rest & !next));
            (set, rest) = (set | gpu, others);
            open &= self.near[gpu.trailing_zeros() as usize] & above(gpu.trailing_zeros() as usize);
        }
        (set, true)
    }

    fn grow(&mut self, chosen: Set, mut open: Set, missing: usize) -> Option<Set> {
        if missing == 0 {
            return Some(chosen);
        }
        if self.steps == 0 {
            return None;
        }
        self.steps -= 1;
        if missing == 1 {
            return (open != 0).then(|| chosen | open & open.wrapping_neg());
        }
        // Further down, colours see most of what this does.
        if chosen == 0 {
            open = self.core(open, missing - 1)?;
        }
        // Among those of fewer colours there is none: every clique has one of the others.
        let mut colours = [0; Set::BITS as usize];
        let colours = &mut colours[..missing - 1];
        let mut others = open;
        for colour in &mut *colours {
            let mut left = others;
            while left != 0 {
                let gpu = left & left.wrapping_neg();
                *colour |= gpu;
                left &= !gpu & !self.near[gpu.trailing_zeros() as usize];
            }
            others &= !*colour;
        }
        others =
            members(others).filter(|gpu| !self.recolour(*gpu, colours)).fold(0, |set, gpu| set | 1 << gpu);
        for gpu in members(others) {
            let found = self.grow(chosen | 1 << gpu, open & self.near[gpu], missing - 1);
            if found.is_some() || self.steps == 0 {
                return found;
            }
            open &= !(1 << gpu);
        }
        None
    }

    /// Makes room for one more, where its only neighbour of some colour can have another one.
    fn recolour(&self, gpu: usize, colours: &mut [Set]) -> bool {
        for own in 0..colours.len() {
            let conflict = colours[own] & self.near[gpu];
            if conflict & conflict.wrapping_sub(1) != 0 {
                continue;
            }
            if conflict != 0 {
                let near = self.near[conflict.trailing_zeros() as usize];
                let Some(other) =
                    (0..colours.len()).find(|other| *other != own && colours[*other] & near == 0)
                else {
                    continue;
                };
                colours[other] |= conflict;
            }
            colours[own] = colours[own] & !conflict | 1 << gpu;
            return true;
        }
        false
    }

    /// Those that have enough neighbours among each other; `None` where these are too few for a clique.
    fn core(&self, mut open: Set, neighbours: usize) -> Option<Set> {
        loop {
            let enough = |gpu: &usize| (self.near[*gpu] & open).count_ones() as usize >= neighbours;
            let core: Set = members(open).filter(enough).fold(0, |set, gpu| set | 1 << gpu);
            if (core.count_ones() as usize) <= neighbours {
                return None;
            }
            if core == open {
                return Some(core);
            }
            open = core;
        }
    }
}
