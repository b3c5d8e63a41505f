//! Calls to NVIDIA's driver that hang. Nothing ends such a call, so its thread is abandoned; this counts the threads that are
//! still there, and refuses more than a few, so that a program that reads a machine again and again does not run out of them.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The most threads that wait for a driver which hangs: more than its GPUs, all of them asked several times.
const MOST: usize = 64;

static HANGING: AtomicUsize = AtomicUsize::new(0);
static GIVEN_UP: AtomicUsize = AtomicUsize::new(0);

/// The calls of this process to NVIDIA's driver that took too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverCalls {
    /// The calls that were given up so far. A reading during which it grows lacks what these calls would have told.
    pub given_up: usize,
    /// The number of them that have not returned since. With 64 of them the driver counts as failed, and is not asked until some
    /// return.
    pub hanging: usize,
}

/// Returns the calls of this process to NVIDIA's driver that took too long, for programs that read a machine again and again.
///
/// ```
/// let calls = nvtopo::source::driver_calls();
/// assert_eq!((calls.given_up, calls.hanging), (0, 0));
/// ```
pub fn driver_calls() -> DriverCalls {
    DriverCalls { given_up: GIVEN_UP.load(Ordering::Relaxed), hanging: HANGING.load(Ordering::Relaxed) }
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
        let hanging = driver_calls().hanging;
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
        GIVEN_UP.fetch_add(1, Ordering::Relaxed);
        if self.0.compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            HANGING.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_hangs_from_when_it_is_given_up_until_it_ends() {
        // Other tests of this process give up calls too, so a limit is out of reach here.
        let before = driver_calls().given_up;
        let call = Call::begin().unwrap();
        call.abandon();
        assert!(driver_calls().hanging > 0 && driver_calls().given_up > before);
        call.end();
        let ended = Call::begin().unwrap();
        ended.end();
        ended.abandon();
        assert_eq!(ended.0.load(Ordering::Relaxed), ENDED);
        assert_eq!(call.0.load(Ordering::Relaxed), ENDED);
    }
}
