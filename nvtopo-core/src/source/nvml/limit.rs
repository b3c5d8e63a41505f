//! A limit on how long something may take that may never end: a GPU that hangs holds the call that asks it for ever, so
//! the asking is done by a thread that is left behind when patience ends.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What came of it, or why there is nothing.
pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce(&dyn Fn(T)) + Send + 'static,
) -> Result<T, String> {
    let desk = Arc::new(Desk::default());
    let clerk = Clerk(Arc::clone(&desk));
    let thread = std::thread::Builder::new().name("nvml".to_owned());
    let thread = match thread.spawn(move || work(&|answer| clerk.put(answer))) {
        Ok(thread) => thread,
        Err(error) => return Err(format!("no thread could be started to ask it: {error}")),
    };
    let (answer, left) = desk.wait(patience);
    if left {
        // Nothing of the thread is left when this process goes on, or ends. A panic in it is told below.
        let _ = thread.join();
    }
    answer.ok_or_else(|| {
        if left {
            "asking it broke off".to_owned()
        } else {
            format!("it did not answer within {} seconds; a GPU may hang", patience.as_secs_f32())
        }
    })
}

/// Where the answer is put down, and whether the thread that asks has left: the library may still hang when it is
/// closed.
struct Desk<T> {
    state: Mutex<(Option<T>, bool)>,
    changed: Condvar,
}

impl<T> Default for Desk<T> {
    fn default() -> Self {
        Self { state: Mutex::new((None, false)), changed: Condvar::new() }
    }
}

impl<T> Desk<T> {
    /// The answer, and whether the thread has left, as soon as it has or patience ends.
    fn wait(&self, patience: Duration) -> (Option<T>, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, patience, |(_, left)| !*left);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.0.take(), state.1)
    }
}

/// The asking thread's end of the desk; dropping it, also in a panic, says that the thread has left.
struct Clerk<T>(Arc<Desk<T>>);

impl<T> Clerk<T> {
    fn put(&self, answer: T) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(answer);
    }
}

impl<T> Drop for Clerk<T> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_breaks_off_or_is_left() {
        let second = Duration::from_secs(1);
        assert_eq!(within(second, |put: &dyn Fn(u8)| put(7)), Ok(7));
        assert_eq!(within::<u8>(second, |_| {}), Err("asking it broke off".to_owned()));
        let left = within::<u8>(Duration::from_millis(10), |_| std::thread::sleep(Duration::from_secs(600)));
        assert!(left.unwrap_err().contains("did not answer within 0.01 seconds"));
        // What was told before the library hung in its own end counts.
        let told = |put: &dyn Fn(u8)| {
            put(7);
            std::thread::sleep(Duration::from_secs(600));
        };
        assert_eq!(within(Duration::from_millis(200), told), Ok(7));
    }
}
