//! The thread that calls the driver, and the channel on which it reports. A call that hangs cannot be cancelled, so the
//! receiver waits for each message for a limited time only; then the thread is abandoned, with the library open.

use crate::source::hanging::Call;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A thread that calls the driver. Dropping this abandons it.
pub(super) struct Worker<M> {
    mailbox: Arc<Mailbox<M>>,
    thread: Option<JoinHandle<()>>,
}

/// The error of a message that did not arrive in time.
pub(super) struct TimedOut;

impl<M: Send + 'static> Worker<M> {
    /// Starts a thread, or returns why none can be started.
    pub(super) fn start(work: impl FnOnce(&Sender<M>) + Send + 'static) -> Result<Self, String> {
        let call = Call::begin()?;
        let mailbox = Arc::new(Mailbox { queue: Mutex::default(), arrived: Condvar::new(), call });
        let sender = Sender(Arc::clone(&mailbox));
        match Builder::new().name("nvml".to_owned()).spawn(move || work(&sender)) {
            Ok(thread) => Ok(Self { mailbox, thread: Some(thread) }),
            Err(error) => Err(format!("no thread could be started to ask it: {error}")),
        }
    }

    /// Returns the next message. `None`: the thread has ended and was joined, so that nothing of it is left when this
    /// process goes on, or ends.
    pub(super) fn receive(&mut self, timeout: Duration) -> Result<Option<M>, TimedOut> {
        let message = self.mailbox.receive(timeout)?;
        if message.is_none()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        Ok(message)
    }
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        self.mailbox.close();
        if self.thread.is_some() {
            self.mailbox.call.abandon();
        }
    }
}

/// The worker's end of the channel. Dropping it, also in a panic, closes the channel.
pub(super) struct Sender<M>(Arc<Mailbox<M>>);

impl<M> Sender<M> {
    /// Sends a message. False: the channel is closed, so that further calls are useless.
    pub(super) fn send(&self, message: M) -> bool {
        let mut queue = self.0.lock();
        if queue.closed {
            return false;
        }
        queue.messages.push_back(message);
        self.0.arrived.notify_all();
        true
    }
}

impl<M> Drop for Sender<M> {
    fn drop(&mut self) {
        self.0.call.end();
        self.0.close();
    }
}

/// The channel. Those of the standard library allocate for each thread that waits, which memory checkers report as a
/// leak where a thread is abandoned.
struct Mailbox<M> {
    queue: Mutex<Queue<M>>,
    arrived: Condvar,
    call: Call,
}

struct Queue<M> {
    messages: VecDeque<M>,
    /// True if one of the two ends is gone.
    closed: bool,
}

impl<M> Default for Queue<M> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), closed: false }
    }
}

impl<M> Mailbox<M> {
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn receive(&self, timeout: Duration) -> Result<Option<M>, TimedOut> {
        let empty = |queue: &mut Queue<M>| queue.messages.is_empty() && !queue.closed;
        let waited = self.arrived.wait_timeout_while(self.lock(), timeout, empty);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match queue.messages.pop_front() {
            None if !queue.closed => Err(TimedOut),
            message => Ok(message),
        }
    }
}
