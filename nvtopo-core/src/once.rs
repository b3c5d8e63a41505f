//! A lazily computed value without a lock.

use once_cell::race::OnceBox;

/// A value that is computed at first use. Threads that race compute it too, and the first result stays.
///
/// There is no lock: in the child of a process that forks during the computation, it would stay locked for ever.
pub(crate) struct Once<T>(OnceBox<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceBox::new())
    }

    /// Returns the value, if it is computed.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// Returns the value, and computes it first where necessary.
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
