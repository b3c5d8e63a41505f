//! What sets of GPUs are worth, kept where it is dear to compute.

use super::bounded::Bounded;
use crate::once::Once;
use crate::query::Weight;
use crate::solve::search::set::Set;
use crate::solve::search::value::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most GPUs of which every set's value is kept.
const MAX_GPUS: usize = 16;

/// The most objectives whose values are kept.
const MAX_OBJECTIVES: usize = 8;

/// The most values of what is left that are kept.
const MAX_LEFT: usize = 16 << 10;

/// The values of every set by one objective.
type Values = (&'static str, Box<[AtomicU64]>);

#[derive(Debug)]
pub(in crate::solve) struct Memo {
    gpus: usize,
    /// The values of every set, by the objective.
    values: [Once<Values>; MAX_OBJECTIVES],
    left: Bounded<(Set, u8), Value, MAX_LEFT>,
    whole: Once<WorstPairs>,
}

/// The best bottlenecks of sets of GPUs, by their number, and how many steps it took to find them.
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

    /// The value of a set by an objective, by its name; computed once on machines of few GPUs.
    pub(in crate::solve) fn value(
        &self,
        objective: &'static str,
        set: Set,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        let Some(values) = self.values(objective) else { return compute() };
        // 0 is not computed yet. Two threads that compute the same write the same.
        let slot = &values[set as usize];
        match slot.load(Ordering::Relaxed) {
            0 => {
                let value = compute();
                slot.store(value.pack(), Ordering::Relaxed);
                // What the effort was is kept in steps of some coarseness: the answer must not depend on who asks first.
                Value::unpack(value.pack())
            }
            packed => Value::unpack(packed),
        }
    }

    /// The values of an objective; `None` where they are not kept.
    fn values(&self, objective: &'static str) -> Option<&[AtomicU64]> {
        if self.gpus > MAX_GPUS {
            return None;
        }
        let zeros = || (0..1usize << self.gpus).map(|_| AtomicU64::new(0)).collect();
        let mut slots = self.values.iter().map(|slot| slot.get_or_init(|| (objective, zeros())));
        slots.find(|(name, _)| *name == objective).map(|(_, values)| &**values)
    }

    /// The value of the best `count` of a set; most are computed once.
    pub(in crate::solve) fn best_left(
        &self,
        set: Set,
        count: usize,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        self.left.at((set, count as u8), compute)
    }

    /// The best bottlenecks of sets of all GPUs, computed once.
    pub(in crate::solve) fn whole(&self, compute: impl FnOnce() -> WorstPairs) -> &WorstPairs {
        self.whole.get_or_init(compute)
    }
}
