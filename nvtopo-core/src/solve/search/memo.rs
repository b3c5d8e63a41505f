//! The memo of the values of sets of GPUs: expensive to compute.

use super::bounded::Bounded;
use crate::once::Once;
use crate::query::Weight;
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// The greatest number of GPUs for which the values of all sets are memoized.
const MAX_GPUS: usize = 16;

/// The greatest number of objectives whose values are memoized.
const MAX_MEMOIZED: usize = 8;

/// The greatest number of memoized values of remaining sets.
const MAX_LEFT: usize = 16 << 10;

/// The number of sets whose values are kept together.
const PAGE: usize = 1 << 8;

/// The values of every set by one objective, with its name. A page is made when a set of it is asked for.
type Values = (&'static str, Box<[Once<[AtomicU64; PAGE]>]>);

#[derive(Debug)]
pub(in crate::solve) struct Memo {
    gpus: usize,
    /// The values of every set, by the objective.
    values: [Once<Values>; MAX_MEMOIZED],
    left: Bounded<(Set, u8), Value, MAX_LEFT>,
    whole: Once<WorstPairs>,
}

/// The best bottlenecks by the number of GPUs of a set, and the number of steps that it took to find them.
#[derive(Debug)]
pub(in crate::solve) struct WorstPairs {
    pub(in crate::solve) by_size: Vec<Weight>,
    pub(in crate::solve) steps: usize,
}

impl Memo {
    pub(in crate::solve) fn new(gpus: usize) -> Self {
        Self {
            gpus,
            values: std::array::from_fn(|_| Once::new()),
            left: Bounded::default(),
            whole: Once::new(),
        }
    }

    /// Returns the value of a set by the named objective, computed once on machines of at most 16 GPUs.
    pub(in crate::solve) fn value(
        &self,
        objective: &'static str,
        set: Set,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        let Some(values) = self.values(objective) else { return compute() };
        // 0 is not computed yet. Two threads that compute one value write the same number.
        let page = values[set as usize / PAGE].get_or_init(|| [const { AtomicU64::new(0) }; PAGE]);
        let slot = &page[set as usize % PAGE];
        match slot.load(Ordering::Relaxed) {
            0 => {
                let value = compute();
                slot.store(value.pack(), Ordering::Relaxed);
                // The effort is rounded in the memo; the answer must not depend on the order of requests, so the first call
                // rounds too.
                Value::unpack(value.pack())
            }
            packed => Value::unpack(packed),
        }
    }

    /// Returns the values of an objective; `None` where they are not memoized.
    fn values(&self, objective: &'static str) -> Option<&[Once<[AtomicU64; PAGE]>]> {
        if self.gpus > MAX_GPUS {
            return None;
        }
        let pages = || (0..(1usize << self.gpus).div_ceil(PAGE)).map(|_| Once::new()).collect();
        let mut slots = self.values.iter().map(|slot| slot.get_or_init(|| (objective, pages())));
        slots.find(|(name, _)| *name == objective).map(|(_, values)| &**values)
    }

    /// Returns the value of the best `count` GPUs of a set, computed once for most sets.
    pub(in crate::solve) fn best_left(
        &self,
        set: Set,
        count: usize,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        self.left.at((set, count as u8), compute)
    }

    /// Returns the best bottlenecks of sets of all GPUs, computed once.
    pub(in crate::solve) fn whole(&self, compute: impl FnOnce() -> WorstPairs) -> &WorstPairs {
        self.whole.get_or_init(compute)
    }
}
