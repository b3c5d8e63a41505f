//! A value that is computed by whoever needs it first.

use once_cell::race::OnceBox;

/// A value that is computed when it is first asked for. Threads that ask meanwhile compute it too, and the first result stays.
///
/// Nobody waits: in the child of a process that forked while another of its threads computed, a lock would stay locked for ever.
pub(crate) struct Once<T>(OnceBox<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceBox::new())
    }

    /// The value, if somebody computed it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value, computed now where nobody did before.
    pub(crate) fn get_or_init(&self, compute: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(|| Box::new(compute()))
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Once").field(&self.get()).finish()
    }
}
