//! One question about a division: two sets are searched for directly, more by what each set loses.

use super::division::{Division, Splits};
use super::halves::{Halves, join};
use super::{IMPOSSIBLE, Scores};

/// One question, with the free GPUs, `N` at most, numbered from 0.
pub(super) struct Task<const N: usize> {
    pub(super) size: usize,
    pub(super) count: usize,
    /// The size of the set that is not full; 0 when there is none.
    pub(super) rest: usize,
    pub(super) required: u32,
    /// True where all GPUs are free, so that the numbers are the positions.
    whole: bool,
    gpus: [u8; N],
    pub(super) scores: [[i32; N]; N],
}

impl<const N: usize> Task<N> {
    pub(super) fn new(scores: &Scores, free: u32, required: u32, count: usize) -> Self {
        let (mut gpus, mut size, mut needed) = ([0; N], 0, 0);
        for gpu in (0..scores.gpus).filter(|gpu| free >> gpu & 1 == 1) {
            gpus[size] = gpu as u8;
            needed |= (required >> gpu & 1) << size;
            size += 1;
        }
        let mut local = [[0; N]; N];
        for (row, a) in local.iter_mut().zip(&gpus[..size]) {
            let own = &scores.cells[usize::from(*a) * scores.gpus..][..scores.gpus];
            for (cell, b) in row.iter_mut().zip(&gpus[..size]) {
                *cell = i32::from(own[usize::from(*b)]);
            }
        }
        let whole = size == scores.gpus;
        Self { size, count, rest: size % count, required: needed, whole, gpus, scores: local }
    }

    /// The sets of the division, by the positions of their GPUs, and the sum of the scores in them.
    pub(super) fn run(&self, divide: impl FnOnce(&Self) -> (Vec<u32>, u32)) -> (Vec<u32>, u32) {
        let (mut sets, total) = match self.size {
            size if self.count == 1 => ((0..size).map(|gpu| 1 << gpu).collect(), 0),
            size if size <= 2 * self.count => self.halves(),
            _ => divide(self),
        };
        if !self.whole {
            for set in &mut sets {
                *set = self.positions(*set);
            }
        }
        (sets, total)
    }

    fn positions(&self, set: u32) -> u32 {
        let members = (0..self.size).filter(|member| set >> member & 1 == 1);
        members.fold(0, |positions, member| positions | 1 << self.gpus[member])
    }

    /// True where a full set, or the one that is not, may be part of the division.
    pub(super) fn allows(&self, set: u32, full: bool) -> bool {
        let inside = set & self.required;
        inside == 0 || full && inside == self.required
    }

    /// The division into at most two sets, whose sum follows from one of them: what the two keep is all, less what is
    /// between them.
    fn halves(&self) -> (Vec<u32>, u32) {
        let all = (1u32 << self.size) - 1;
        let mut gains = [0; N];
        for (gain, row) in gains.iter_mut().zip(&self.scores) {
            *gain = -row[..self.size].iter().sum::<i32>();
        }
        let whole = -gains[..self.size].iter().sum::<i32>() / 2;
        let mut halves = Halves { task: self, all, best: -IMPOSSIBLE, set: all };
        if self.size == self.count {
            return (vec![all], whole as u32);
        }
        let first = gains[0];
        join(&mut gains, &self.scores[0]);
        halves.grow((1, 1), 1, first, &gains);
        (vec![halves.set, all & !halves.set], (whole + halves.best) as u32)
    }

    /// The division into any number of sets. The tables are filled with zeros.
    pub(super) fn divide(&self, Tables { losses, known, taken }: Tables<'_>) -> (Vec<u32>, u32) {
        let all = (1u32 << self.size) - 1;
        let mut ceilings = [0; N];
        for (ceiling, row) in ceilings.iter_mut().zip(&self.scores[..self.size]) {
            let mut row = *row;
            row[..self.size].sort_unstable_by(|a, b| b.cmp(a));
            *ceiling = row[..self.count - 1].iter().sum();
        }
        self.fill(losses, &ceilings, 1);
        let mut scale = 1;
        if self.size > 8 {
            // Worth it where the search is long: ceilings that some set through each GPU comes nearer to.
            let mut spare = [IMPOSSIBLE; N];
            self.least_with(losses, (0, 0), 0, self.count, &mut spare);
            scale = i32::from(self.count as u8);
            for (ceiling, spare) in ceilings.iter_mut().zip(&spare[..self.size]) {
                *ceiling = *ceiling * scale - spare;
            }
            self.fill(losses, &ceilings, scale);
        }
        let losses = &*losses;
        let mut spared = IMPOSSIBLE;
        if self.rest > 0 {
            spared = self.least_with(losses, (0, 0), 0, self.rest, &mut [IMPOSSIBLE; N]);
        }
        // Two full sets, or one and what is left over.
        let splits: Vec<Splits> = [(2 * self.count, 0), (self.count + self.rest, self.rest)]
            .into_iter()
            .filter(|(size, _)| (self.count + 1..self.size).contains(size))
            .map(|(size, rest)| Splits::new(size, self.count, rest))
            .collect();
        let mut search = Division { task: self, losses, spared, known, taken, splits: &splits };
        let limit = search.nearby(all) + 1;
        let loss = search.least(all, limit);
        let (mut sets, mut part) = (Vec::with_capacity(self.size.div_ceil(self.count)), all);
        while part != 0 {
            let set = search.first(part);
            sets.push(set);
            part &= !set;
        }
        let ceiling: i32 = ceilings[..self.size].iter().sum();
        let spared = if self.rest > 0 { spared } else { 0 };
        (sets, ((ceiling - spared - loss) / (2 * scale)) as u32)
    }

    /// The loss of each set: its ceilings less twice the sum over its pairs, times the scale.
    fn fill(&self, losses: &mut [i32], ceilings: &[i32; N], scale: i32) {
        for (high, ceiling) in ceilings.iter().enumerate().take(self.size) {
            let (below, with) = losses.split_at_mut(1 << high);
            with[0] = *ceiling;
            for low in 0..high {
                // Sets whose second highest GPU is this one, from those without it.
                let pair = 2 * scale * self.scores[high][low];
                let (known, new) = with.split_at_mut(1 << low);
                let (without, own) = below.split_at(1 << low);
                let cells = new.iter_mut().zip(known).zip(without.iter().zip(own));
                cells.for_each(|((new, known), (without, own))| *new = *known + own - without - pair);
            }
        }
    }

    /// The least that a set loses which adds GPUs from `next` on to one of a size until there are `count`; and for each GPU the
    /// least of such sets with it.
    fn least_with(
        &self,
        losses: &[i32],
        (set, size): (usize, usize),
        next: usize,
        count: usize,
        with: &mut [i32; N],
    ) -> i32 {
        let mut least = IMPOSSIBLE;
        for gpu in next..=self.size + size - count {
            let set = set | 1 << gpu;
            let own = if size + 1 == count {
                losses[set]
            } else {
                self.least_with(losses, (set, size + 1), gpu + 1, count, with)
            };
            with[gpu] = own.min(with[gpu]);
            least = own.min(least);
        }
        least
    }
}

/// The tables of a search, with an entry for each part of the GPUs.
pub(super) struct Tables<'a> {
    /// For every part.
    pub(super) losses: &'a mut [i32],
    /// For those without the lowest GPU, and the whole.
    pub(super) known: &'a mut [i32],
    pub(super) taken: &'a mut [u16],
}
