//! The search for the division that loses least.

use super::task::Task;
use super::{IMPOSSIBLE, MAX_GPUS};

/// The search for the division that loses least.
///
/// The ceiling of a GPU is what it can have at most to the others in its set. What a set loses is the ceilings of its members
/// less what they have, twice the sum over its pairs. No set loses less than nothing, so one that loses more than a whole
/// division does is in no better one, and a division that loses nothing ends the search.
pub(super) struct Division<'a, const N: usize> {
    pub(super) task: &'a Task<N>,
    /// The loss of each full set.
    pub(super) losses: &'a [i32],
    /// The least that a set of the rest's size loses by the ceilings of full ones, which are not meant for it.
    pub(super) spared: i32,
    /// No division of the part loses less.
    pub(super) known: &'a mut [i32],
    /// The set with the lowest GPU in the division that loses just that, the first of several; 0 where none was found yet.
    pub(super) taken: &'a mut [u16],
    /// The ways in which the last two sets may divide the rest.
    pub(super) splits: &'a [Splits],
}

impl<const N: usize> Division<'_, N> {
    /// The least that a division of the part loses, if that is below the limit; else something not below it.
    pub(super) fn least(&mut self, part: u32, limit: i32) -> i32 {
        let index = self.slot(part);
        if part == 0 || self.taken[index] != 0 || self.known[index] >= limit {
            return self.known[index];
        }
        if let Some(loss) = self.alone(part) {
            return loss;
        }
        let (task, losses, spared) = (self.task, self.losses, self.spared);
        let (mut least, mut taken) = (limit, 0);
        if part.count_ones() as usize <= 2 * task.count {
            let (least, taken) = self.split(part, limit);
            (self.known[index], self.taken[index]) = (least, taken as u16);
            return least;
        }
        let low = part & part.wrapping_neg();
        each(low, part & !low, task.count, self.rest(part), &mut |set, full| {
            let loss = losses[set as usize] - if full { 0 } else { spared };
            if loss < least && task.allows(set, full) {
                let loss = loss + self.least(part & !set, least - loss);
                if loss < least {
                    (least, taken) = (loss, set);
                }
            }
            least > 0
        });
        (self.known[index], self.taken[index]) = (least, taken as u16);
        least
    }

    /// The place of a part in the tables. Only the whole has the lowest GPU, and the last place.
    fn slot(&self, part: u32) -> usize {
        if part & 1 == 1 { self.taken.len() - 1 } else { part as usize >> 1 }
    }

    /// The set with the lowest GPU in the division that was found of a part.
    pub(super) fn first(&self, part: u32) -> u32 {
        if self.alone(part).is_some() { part } else { self.taken[self.slot(part)].into() }
    }

    /// The least that a part of two sets loses if that is below the limit, and its set with the lowest GPU.
    fn split(&self, part: u32, limit: i32) -> (i32, u32) {
        let (task, losses) = (self.task, self.losses);
        let size = part.count_ones() as usize;
        let spared = if size == 2 * task.count { 0 } else { self.spared };
        let (mut least, mut taken) = (limit, 0);
        let Some(splits) = self.splits.iter().find(|splits| splits.size == size) else {
            return (least, taken);
        };
        let [mut low, mut high] = [[0u16; 1 << MAX_HALF]; 2];
        let mut left = part;
        for (table, members) in [(&mut low, splits.half), (&mut high, size - splits.half)] {
            for member in 0..members {
                let gpu = (left & left.wrapping_neg()) as u16;
                left &= left - 1;
                let (known, new) = table.split_at_mut(1 << member);
                new.iter_mut().zip(known).for_each(|(new, known)| *new = *known | gpu);
            }
        }
        for [below, above] in &splits.sets {
            let set = low[usize::from(*below) % low.len()] | high[usize::from(*above) % high.len()];
            let set = u32::from(set);
            let other = part & !set;
            let loss = losses[set as usize] + losses[other as usize] - spared;
            if loss < least {
                let full = |set: u32| set.count_ones() as usize == task.count;
                if task.allows(set, full(set)) && task.allows(other, full(other)) {
                    (least, taken) = (loss, set);
                }
            }
        }
        (least, taken)
    }

    /// Returns the loss of a part that is no more than one set.
    fn alone(&self, part: u32) -> Option<i32> {
        let size = part.count_ones() as usize;
        let full = size == self.task.count;
        if size > self.task.count || !full && size != self.task.rest {
            return None;
        }
        let loss = self.losses[part as usize] - if full { 0 } else { self.spared };
        Some(if self.task.allows(part, full) { loss } else { IMPOSSIBLE })
    }

    /// Returns the loss of the greedy division, which takes the set that loses least each time: the first limit.
    pub(super) fn nearby(&self, mut part: u32) -> i32 {
        let mut sum = 0;
        while part != 0 {
            let (mut least, mut taken) = (IMPOSSIBLE, part);
            let low = part & part.wrapping_neg();
            each(low, part & !low, self.task.count, self.rest(part), &mut |set, full| {
                let loss = self.losses[set as usize] - if full { 0 } else { self.spared };
                if loss < least && self.task.allows(set, full) {
                    (least, taken) = (loss, set);
                }
                least > 0
            });
            sum = least.saturating_add(sum);
            part &= !taken;
        }
        sum.min(IMPOSSIBLE)
    }

    /// The size of the set that is not full, while it is in the part.
    fn rest(&self, part: u32) -> usize {
        if (part.count_ones() as usize).is_multiple_of(self.task.count) { 0 } else { self.task.rest }
    }
}

/// The sets with the lowest GPU of a part that is two sets, in order: for any part of a size.
pub(super) struct Splits {
    pub(super) size: usize,
    /// The number of members in the first byte.
    half: usize,
    /// One bit for each member of the part.
    sets: Vec<[u8; 2]>,
}

/// The most members that one number stands for: more are not left by the first of three sets.
const MAX_HALF: usize = MAX_GPUS / 2 - 1;

impl Splits {
    pub(super) fn new(size: usize, full: usize, rest: usize) -> Self {
        let half = size / 2;
        let mut sets = Vec::new();
        each(1, (1 << size) - 2, full, rest, &mut |set, _| {
            sets.push([(set & ((1 << half) - 1)) as u8, (set >> half) as u8]);
            true
        });
        Self { size, half, sets }
    }
}

/// Calls with each set that extends the given one by some of the `open` GPUs to `full` of them, and those of `rest`, until a
/// call says to stop; says whether none did. The order is by members, a smaller set after the full ones that begin like it.
fn each(set: u32, open: u32, full: usize, rest: usize, call: &mut impl FnMut(u32, bool) -> bool) -> bool {
    let size = set.count_ones() as usize;
    let aim = if size < rest { rest } else { full };
    let mut left = open;
    if size == full {
        return call(set, true);
    }
    if size + 1 == full {
        while left != 0 {
            if !call(set | left & left.wrapping_neg(), true) {
                return false;
            }
            left &= left - 1;
        }
    } else {
        while size + left.count_ones() as usize >= aim {
            let member = left & left.wrapping_neg();
            left &= left - 1;
            if !each(set | member, left, full, rest, call) {
                return false;
            }
        }
    }
    size != rest || call(set, false)
}
