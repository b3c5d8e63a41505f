//! The division into two sets, by what moves between them.

use super::task::Task;

/// The search for the set with the lowest GPU where two sets are all.
pub(super) struct Halves<'a, const N: usize> {
    pub(super) task: &'a Task<N>,
    pub(super) all: u32,
    pub(super) best: i32,
    pub(super) set: u32,
}

impl<const N: usize> Halves<'_, N> {
    /// Tries every set that adds GPUs from `next` on to one of a size. `gains` is what each would add to the sum of the
    /// division.
    pub(super) fn grow(&mut self, (set, size): (u32, usize), next: usize, sum: i32, gains: &[i32; N]) {
        let task = self.task;
        if size + 1 == task.count {
            for (member, gain) in gains.iter().enumerate().take(task.size).skip(next) {
                if sum + gain > self.best {
                    self.record(set | 1 << member, sum + gain);
                }
            }
        } else if size < task.count {
            // No more than leaves enough GPUs for the smaller set, or for the full one.
            let aim = if size < task.rest { task.rest } else { task.count };
            for member in next..(task.size + size + 1).saturating_sub(aim) {
                let mut more = *gains;
                join(&mut more, &task.scores[member]);
                self.grow((set | 1 << member, size + 1), member + 1, sum + gains[member], &more);
            }
        }
        // The smaller set with the lowest GPU: it comes after the full ones that begin like it.
        if size == task.rest && sum > self.best {
            self.record(set, sum);
        }
    }

    fn record(&mut self, set: u32, sum: i32) {
        let full = |set: u32| set.count_ones() as usize == self.task.count;
        let other = self.all & !set;
        let held = full(set) && set & self.task.required == self.task.required
            || full(other) && other & self.task.required == self.task.required;
        if held {
            (self.best, self.set) = (sum, set);
        }
    }
}

pub(super) fn join<const N: usize>(gains: &mut [i32; N], scores: &[i32; N]) {
    for (gain, score) in gains.iter_mut().zip(scores) {
        *gain += 2 * score;
    }
}
