//! Calls to NVIDIA's driver that hang. Nothing ends such a call, so its thread is abandoned; this counts the threads that are
//! still there, and refuses more than a few, so that a program that reads a machine again and again does not run out of them.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The most threads that wait for a driver which hangs: more than its GPUs, all of them asked several times.
const MOST: usize = 64;

static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of calls of this process to NVIDIA's driver that took too long and were given up, and that have not
/// returned since. 0: the driver answers, or was not asked.
///
/// A program that reads a machine again and again knows by it that what the driver tells is incomplete. With 64 such calls the
/// driver counts as failed, and is not asked until some of them return.
///
/// ```
/// assert_eq!(nvtopo::source::hanging_driver_calls(), 0);
/// ```
pub fn hanging_driver_calls() -> usize {
    HANGING.load(Ordering::Relaxed)
}

const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

/// A call on a thread of its own, known to the thread and to the one that waits for it.
#[derive(Default)]
pub(super) struct Call(AtomicU8);

impl Call {
    /// Begins a call, or returns why none is made.
    pub(super) fn begin() -> Result<Self, String> {
        let hanging = hanging_driver_calls();
        if hanging >= MOST {
            return Err(format!("{hanging} earlier calls to it still hang"));
        }
        Ok(Self::default())
    }

    /// Records that the thread is about to end.
    pub(super) fn end(&self) {
        if self.0.swap(ENDED, Ordering::AcqRel) == ABANDONED {
            HANGING.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Records that nobody waits any more. A call that has ended does not hang.
    pub(super) fn abandon(&self) {
        // Counted first: the thread may end at any moment.
        HANGING.fetch_add(1, Ordering::Relaxed);
        if self.0.compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            HANGING.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
