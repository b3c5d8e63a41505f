//! Clique search: a set of GPUs of a graph that are all neighbours of each other.

use super::set::{Set, above, all, members, of};

/// The number of steps after which a search counts as hard, so that the candidates are put in order.
const FEW: u64 = 32;

/// The greatest number of candidates without a colour for which recolouring is tried: of more, some would stay without in any
/// case.
const SCARCE: u32 = 3;

/// A search for cliques of a size. Candidates with too few neighbours are removed, and a greedy colouring gives the upper bound:
/// a clique has as many colours as members.
pub(in crate::solve) struct Cliques<'a, const N: usize> {
    /// The neighbours of each candidate.
    near: &'a [Set; N],
    /// The number of steps that are left.
    pub(in crate::solve) steps: u64,
    /// The candidates that the last search did not exclude from a clique.
    open: Set,
    /// The colour classes of one step.
    colours: [Set; N],
}

/// The outcome of a clique search.
pub(in crate::solve) enum Found {
    Yes {
        clique: Set,
        /// The candidates that may be in a clique.
        open: Set,
    },
    No,
    /// The search stopped before an answer.
    Unknown,
}

impl<'a, const N: usize> Cliques<'a, N> {
    /// Returns a search among up to `N` candidates, by the neighbours of each.
    pub(in crate::solve) fn new(near: &'a [Set; N], steps: u64) -> Self {
        Self { near, steps, open: 0, colours: [0; N] }
    }

    /// Finds a clique of `size` candidates.
    pub(in crate::solve) fn any(&mut self, open: Set, size: usize) -> Found {
        let Some(open) = self.core(open, size.saturating_sub(1)) else { return Found::No };
        self.open = open;
        let later = self.steps.saturating_sub(FEW);
        self.steps -= later;
        let mut found = self.grow(0, open, size);
        let hard = found.is_none() && self.steps == 0;
        self.steps += later;
        if hard && later > 0 {
            found = self.by_degree(self.open, size);
        }
        match found {
            Some(clique) => Found::Yes { clique, open: self.open },
            None if self.steps == 0 => Found::Unknown,
            None => Found::No,
        }
    }

    /// Finds a clique with the candidates of most neighbours first, which need fewer colours.
    fn by_degree(&mut self, open: Set, size: usize) -> Option<Set> {
        let mut order = [(0, 0); N];
        let order = &mut order[..open.count_ones() as usize];
        for (place, gpu) in order.iter_mut().zip(members(open)) {
            *place = ((self.near[gpu] & open).count_ones(), gpu);
        }
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut places = [0; N];
        for (place, (_, gpu)) in order.iter().enumerate() {
            places[*gpu] = place;
        }
        let mut near = [0; N];
        for (near, (_, gpu)) in near.iter_mut().zip(&*order) {
            *near = of(members(self.near[*gpu] & open).map(|other| places[other]));
        }
        let mut cliques = Cliques { open: all(order.len()), ..Cliques::new(&near, self.steps) };
        let gpus = |set: Set| of(members(set).map(|place| order[place].1));
        let found = cliques.grow(0, cliques.open, size);
        (self.steps, self.open) = (cliques.steps, gpus(cliques.open));
        found.map(gpus)
    }

    /// Finds the lexicographically first clique, given some clique; returns whether it is proven to be the first.
    pub(in crate::solve) fn first(&mut self, open: Set, some: Set) -> (Set, bool) {
        let (mut set, mut rest, mut open) = (0, some, open);
        while rest != 0 {
            let next: Set = rest & rest.wrapping_neg();
            let before = open & (next - 1);
            let missing = rest.count_ones() as usize - 1;
            // The next known member stays, unless there is a clique with an earlier candidate.
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
        // The candidates of fewer colours hold no clique: every clique has one of the others.
        let mut others = open;
        for colour in &mut self.colours[..missing - 1] {
            *colour = apart(self.near, others);
            others &= !*colour;
        }
        if others.count_ones() <= SCARCE {
            for gpu in members(others) {
                if self.recolour(gpu, missing - 1) {
                    others &= !(1 << gpu);
                }
            }
        }
        // The highest place first: in the order by degree these have the fewest neighbours.
        while others != 0 {
            let gpu = (Set::BITS - 1 - others.leading_zeros()) as usize;
            let found = self.grow(chosen | 1 << gpu, open & self.near[gpu], missing - 1);
            if found.is_some() || self.steps == 0 {
                return found;
            }
            others &= !(1 << gpu);
            open &= !(1 << gpu);
            if chosen == 0 {
                self.open = open;
            }
        }
        None
    }

    /// Makes room for one more candidate if its only neighbour of some colour can have another colour.
    fn recolour(&mut self, gpu: usize, count: usize) -> bool {
        let (near, colours) = (self.near, &mut self.colours[..count]);
        for own in 0..colours.len() {
            let conflict = colours[own] & near[gpu];
            if conflict & conflict.wrapping_sub(1) != 0 {
                continue;
            }
            if conflict != 0 {
                let near = near[conflict.trailing_zeros() as usize];
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

    /// Returns the candidates that have enough neighbours among each other; `None` if these are too few for a clique.
    fn core(&self, mut open: Set, neighbours: usize) -> Option<Set> {
        loop {
            let enough = |gpu: &usize| (self.near[*gpu] & open).count_ones() as usize >= neighbours;
            let core = of(members(open).filter(enough));
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

/// Returns a greedy independent set: each candidate that is no neighbour of one before it.
fn apart<const N: usize>(near: &[Set; N], open: Set) -> Set {
    const HALF: usize = u64::BITS as usize;
    // In halves of 64 bits, the width of the integer registers.
    let halves = |set: Set| [set as u64, (set >> HALF) as u64];
    let mut left = halves(open);
    let mut apart = [0; 2];
    for half in 0..2 {
        while left[half] != 0 {
            let lowest = left[half] & left[half].wrapping_neg();
            let near = halves(near[half * HALF + lowest.trailing_zeros() as usize]);
            apart[half] |= lowest;
            left[half] &= !lowest;
            left = [left[0] & !near[0], left[1] & !near[1]];
        }
    }
    Set::from(apart[0]) | Set::from(apart[1]) << HALF
}
