//! What sets of GPUs are worth, kept where it is dear to compute.

use super::bounded::Bounded;
use crate::solve::search::set::Set;
use crate::solve::search::weight::Value;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most GPUs of which every set's value is kept.
const MAX_GPUS: usize = 16;

/// The functions of a set that are kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::solve) enum Function {
    Ring,
    Nic,
    Tree,
    AllToAll,
    Mapa,
}

const FUNCTIONS: usize = 5;

/// Those that the default objectives use.
const USUAL: usize = 2;

/// The most values of what is left that are kept.
const MAX_LEFT: usize = 16 << 10;

/// The bytes that one of them takes in the map: the entry, and the room that a tree keeps free.
const LEFT_BYTES: usize = 48;

#[derive(Debug)]
pub(in crate::solve) struct Memo {
    gpus: usize,
    values: [OnceLock<Box<[AtomicU64]>>; FUNCTIONS],
    left: Bounded<(Set, u8), Value, MAX_LEFT>,
}

impl Memo {
    pub(in crate::solve) fn new(gpus: usize) -> Self {
        Self { gpus, values: std::array::from_fn(|_| OnceLock::new()), left: Bounded::default() }
    }

    /// The value of a set; computed once on machines of few GPUs.
    pub(in crate::solve) fn value(
        &self,
        function: Function,
        set: Set,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        if self.gpus > MAX_GPUS {
            return compute();
        }
        // 0 is not computed yet. Two threads that compute the same write the same.
        let zeros = || (0..1usize << self.gpus).map(|_| AtomicU64::new(0)).collect();
        let slot = &self.values[function as usize].get_or_init(zeros)[set as usize];
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

    /// The value of the best `count` of a set; most are computed once.
    pub(in crate::solve) fn best_left(
        &self,
        set: Set,
        count: usize,
        compute: impl FnOnce() -> Value,
    ) -> Value {
        self.left.at((set, count as u8), compute)
    }

    /// The bytes that this may come to hold.
    pub(in crate::solve) fn size(&self) -> usize {
        if self.gpus > MAX_GPUS {
            return MAX_LEFT * LEFT_BYTES;
        }
        let made = self.values.iter().filter(|values| values.get().is_some()).count().max(USUAL);
        let sets = 1usize << self.gpus;
        made * sets * size_of::<u64>() + (sets * self.gpus).min(MAX_LEFT) * LEFT_BYTES
    }
}
