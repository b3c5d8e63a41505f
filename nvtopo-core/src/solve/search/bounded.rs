//! A memo of bounded size: when it is full, it forgets everything.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A memo of at most `MOST` values by their keys.
#[derive(Debug)]
pub(in crate::solve) struct Bounded<K, V, const MOST: usize>(Mutex<HashMap<K, V>>);

impl<K, V, const MOST: usize> Default for Bounded<K, V, MOST> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone, const MOST: usize> Bounded<K, V, MOST> {
    /// Returns the value, computing it if it is not kept. Several threads may compute the same value.
    pub(in crate::solve) fn at(&self, key: K, compute: impl FnOnce() -> V) -> V {
        self.get(&key).unwrap_or_else(|| {
            let value = compute();
            self.keep(key, value.clone());
            value
        })
    }

    /// Returns the value if it is kept and no other thread holds the lock.
    pub(in crate::solve) fn get(&self, key: &K) -> Option<V> {
        self.open()?.get(key).cloned()
    }

    /// Keeps a value, unless another thread holds the lock.
    pub(in crate::solve) fn keep(&self, key: K, value: V) {
        let Some(mut kept) = self.open() else { return };
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, value);
    }

    /// Locks the memo without waiting: in a forked child, a thread that no longer exists may hold the lock for ever.
    fn open(&self) -> Option<MutexGuard<'_, HashMap<K, V>>> {
        match self.0.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(kept.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept() {
        let squares = Bounded::<u32, u32, 10>::default();
        for number in 1..=10 {
            assert_eq!(squares.at(number, || number * number), number * number);
        }
        assert_eq!(squares.at(1, || unreachable!("it is kept")), 1);
        assert_eq!(squares.at(11, || 121), 121);
        assert_eq!(squares.at(1, || 2), 2, "the others were forgotten");
        assert_eq!(squares.at(11, || unreachable!("the last is kept")), 121);
        assert_eq!(squares.open().unwrap().len(), 2);
    }
}
