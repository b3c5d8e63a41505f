//! Branch and bound for the greatest sum of pairs among more than 16 candidates, which may have to stop before its end.
//!
//! A candidate adds its gain and, for each other picked candidate, half of their pair. Half of its best pairs with open
//! candidates bounds what it can add; the `missing` greatest of these bound the sum.

use super::pairs::{BestSet, PairMatrix};
use super::pick::Pick;
use crate::solve::search::set::{Set, above, members, of};

/// The greatest number of weight classes that bounds distinguish.
const MAX_CLASSES: usize = 12;

pub(super) fn best(matrix: &PairMatrix, pick: &Pick) -> BestSet {
    let mut search = Search::new(matrix, pick);
    let root = State { picked: 0, open: pick.open, missing: pick.count, sum: 0 };
    search.begin();
    search.descend(&root);
    let proven = search.steps < matrix.most_steps || search.unseen < search.best;
    let (set, value) = pick.answer(search.picked, search.best);
    let bound = pick.value(search.unseen.max(search.best));
    BestSet { set, value, bound, proven: proven && bound == value }
}

struct Search<'a> {
    matrix: &'a PairMatrix,
    pick: &'a Pick,
    /// The pairs by weight class, from the greatest: no pair of a class exceeds its weight.
    classes: Vec<(i64, Vec<Set>)>,
    /// The later candidates that each candidate can replace.
    interchangeable: Vec<Set>,
    /// The gain of each candidate, for each depth.
    gains: Vec<i64>,
    best: i64,
    picked: Set,
    /// The least sum at which a set is taken.
    target: i64,
    /// The upper bound on the sets that were not examined.
    unseen: i64,
    steps: u64,
}

#[derive(Clone, Copy)]
struct State {
    picked: Set,
    open: Set,
    missing: usize,
    sum: i64,
}

impl<'a> Search<'a> {
    fn new(matrix: &'a PairMatrix, pick: &'a Pick) -> Self {
        let gpus = matrix.gpus;
        let mut gains = vec![0; gpus * (pick.count + 1)];
        for gpu in members(pick.open) {
            gains[gpu] = pick.gain(matrix, gpu);
        }
        let alike = |a: usize, b: usize| {
            let same =
                |other: usize| other == a || other == b || matrix.pair(a, other) == matrix.pair(b, other);
            gains[a] == gains[b] && members(pick.open).all(same)
        };
        let mut interchangeable = vec![0; gpus];
        for a in members(pick.open) {
            interchangeable[a] = of(members(pick.open & above(a)).filter(|b| alike(a, *b)));
        }
        let (classes, none) = (classes(matrix, pick.open), i64::MIN);
        let (best, target, unseen) = (none, none, none);
        Self { matrix, pick, classes, interchangeable, gains, best, picked: 0, target, unseen, steps: 0 }
    }

    /// Finds an initial set greedily from each candidate.
    fn begin(&mut self) {
        for start in members(self.pick.open) {
            let mut state = State { picked: 0, open: self.pick.open, missing: self.pick.count, sum: 0 };
            let mut next = Some(start);
            while let Some(gpu) = next.filter(|_| state.missing > 0) {
                state = self.choose(&state, gpu);
                let gains = self.gains(&state);
                next = members(state.open).max_by_key(|gpu| (gains[*gpu], std::cmp::Reverse(*gpu)));
            }
            if state.missing == 0 && state.sum > self.best {
                (self.best, self.picked, self.target) = (state.sum, state.picked, state.sum);
            }
        }
    }

    fn descend(&mut self, state: &State) {
        if state.missing == 0 {
            if state.sum >= self.target {
                (self.best, self.picked, self.target) = (state.sum, state.picked, state.sum + 1);
            }
            return;
        }
        let mut state = *state;
        loop {
            let Some((bound, open)) = self.bound(&state) else { return };
            state.open = open;
            if self.steps >= self.matrix.most_steps {
                self.unseen = self.unseen.max(bound);
                return;
            }
            self.steps += 1;
            let gpu = state.open.trailing_zeros() as usize;
            let without = State { open: state.open & !(1 << gpu), ..state };
            if self.pick.out {
                // The last of several best counts: first without this one, then with it only if all that are interchangeable with it are in.
                self.descend(&without);
                for member in members((1 << gpu | self.interchangeable[gpu]) & state.open) {
                    if state.missing == 0 {
                        return;
                    }
                    state = self.choose(&state, member);
                }
                if state.missing == 0 {
                    return self.descend(&state);
                }
            } else {
                let with = self.choose(&state, gpu);
                self.descend(&with);
                state = without;
                state.open &= !self.interchangeable[gpu];
            }
        }
    }

    fn gains(&self, state: &State) -> &[i64] {
        &self.gains[(self.pick.count - state.missing) * self.matrix.gpus..][..self.matrix.gpus]
    }

    fn choose(&mut self, state: &State, gpu: usize) -> State {
        let (gpus, depth) = (self.matrix.gpus, self.pick.count - state.missing);
        let (before, after) = self.gains[depth * gpus..][..2 * gpus].split_at_mut(gpus);
        for ((own, gain), weight) in after.iter_mut().zip(&*before).zip(self.matrix.row(gpu)) {
            *own = gain + i64::from(*weight);
        }
        State {
            picked: state.picked | 1 << gpu,
            open: state.open & !(1 << gpu),
            missing: state.missing - 1,
            sum: state.sum + before[gpu],
        }
    }

    /// Returns the upper bound on all sets that extend the picked, and the open candidates without those that are in no set that
    /// is good enough. `None`: no set is.
    fn bound(&self, state: &State) -> Option<(i64, Set)> {
        let (gains, missing) = (self.gains(state), state.missing);
        let mut open = state.open;
        loop {
            let mut most = [(0, 0); Set::BITS as usize];
            let mut count = 0;
            for gpu in members(open) {
                most[count] = (2 * gains[gpu] + self.pairs(gpu, open, missing as u32 - 1), gpu);
                count += 1;
            }
            if count < missing {
                return None;
            }
            let most = &mut most[..count];
            let worst = most.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a)).1.0;
            let together: i64 = most[..missing].iter().map(|(twice, _)| twice).sum();
            let with =
                |twice: i64| state.sum + (together - worst.max(twice) + twice).min(together).div_euclid(2);
            if with(worst) < self.target {
                return None;
            }
            let out = |(twice, _): &&(i64, usize)| {
                state.sum + (together - worst + twice).div_euclid(2) < self.target
            };
            let dropped = of(most[missing..].iter().filter(out).map(|(_, gpu)| *gpu));
            open &= !dropped;
            // Another round pays off only if many are gone.
            if (dropped.count_ones() as usize) * 4 < count {
                return Some((with(worst), open));
            }
        }
    }

    /// Returns the upper bound on `count` pairs of one candidate with open ones.
    fn pairs(&self, gpu: usize, open: Set, mut count: u32) -> i64 {
        let mut sum = 0;
        for (weight, near) in &self.classes {
            if count == 0 {
                break;
            }
            let own = (near[gpu] & open).count_ones().min(count);
            sum += weight * i64::from(own);
            count -= own;
        }
        sum
    }
}

/// Returns the pairs of candidates by weight class: fewer pairs in classes of greater weight, since these make up the bounds.
fn classes(matrix: &PairMatrix, open: Set) -> Vec<(i64, Vec<Set>)> {
    let mut weights: Vec<u32> =
        members(open).flat_map(|a| members(open & above(a)).map(move |b| matrix.pair(a, b))).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let pairs = weights.len();
    let mut most: Vec<u32> = weights.clone();
    most.dedup();
    if most.len() > MAX_CLASSES {
        let parts = (0..MAX_CLASSES).map(|part| weights[pairs * part * part / (MAX_CLASSES * MAX_CLASSES)]);
        most = parts.collect();
        most.dedup();
    }
    let mut classes: Vec<_> = most.iter().map(|most| (i64::from(*most), vec![0; matrix.gpus])).collect();
    for a in members(open) {
        for b in members(open & !(1 << a)) {
            let class = most.partition_point(|most| *most >= matrix.pair(a, b)) - 1;
            classes[class].1[a] |= 1 << b;
        }
    }
    classes
}
