//! A thread that asks, and what it tells while it does. A call that hangs cannot be ended, so whoever listens waits for
//! each piece of news only so long; then the thread is left behind on purpose, with the library open.

use super::Refusal;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How many GPUs may hang before the others are not asked any more: in what is left of patience then, nobody can tell
/// what hangs from what is slow.
pub(super) const MOST: u32 = 3;

/// When all asking has to end, however many threads it takes.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// What is left until then.
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A thread that asks. Dropping this leaves it behind.
pub(super) struct Asker<News> {
    mailbox: Arc<Mailbox<News>>,
    thread: Option<JoinHandle<()>>,
}

/// Nothing was told in time.
pub(super) struct Silence;

impl<News: Send + 'static> Asker<News> {
    /// Starts one, or says why it does not start.
    pub(super) fn start(question: impl FnOnce(&Teller<News>) + Send + 'static) -> Result<Self, String> {
        let mailbox = Arc::new(Mailbox::default());
        let teller = Teller(Arc::clone(&mailbox));
        match Builder::new().name("nvml".to_owned()).spawn(move || question(&teller)) {
            Ok(thread) => Ok(Self { mailbox, thread: Some(thread) }),
            Err(error) => Err(format!("no thread could be started to ask it: {error}")),
        }
    }

    /// The next news; `Err`: there is none for so long. `None`: there will be none, and nothing of the thread is left
    /// when this process goes on, or ends.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Option<News>, Silence> {
        let news = self.mailbox.next(patience)?;
        if news.is_none()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        Ok(news)
    }
}

impl<News> Drop for Asker<News> {
    fn drop(&mut self) {
        self.mailbox.end();
    }
}

/// Whoever hears what threads tell of the GPUs, turn by turn.
pub(super) trait Listener {
    type News: Send + 'static;
    type Answer;

    /// Whether anything was told of GPUs yet: before, the library is opened, which wakes them and takes seconds.
    fn has_begun(&self) -> bool;

    /// Hears it. The answer, where it is that nothing is left to be asked.
    fn hear(&mut self, news: Self::News) -> Option<Result<Self::Answer, Refusal>>;

    /// Lets a thread ask. `None`: it fell silent.
    fn turn(
        &mut self,
        deadline: Deadline,
        question: impl FnOnce(&Teller<Self::News>) + Send + 'static,
    ) -> Option<Result<Self::Answer, Refusal>> {
        let mut asker = match Asker::start(question) {
            Ok(asker) => asker,
            Err(why) => return Some(Err(Refusal::Failed(why))),
        };
        let mut answer = None;
        loop {
            // Once GPUs are asked, half of what is left is for those after the one that is asked.
            let share = if self.has_begun() && answer.is_none() { 2 } else { 1 };
            match asker.next(deadline.left() / share) {
                Ok(Some(news)) => answer = self.hear(news).or(answer),
                Ok(None) => return Some(answer.unwrap_or_else(|| Err(Refusal::broken_off()))),
                Err(Silence) => return answer,
            }
        }
    }
}

/// Where news goes. Dropping it, also in a panic, says that there will be no more.
pub(super) struct Teller<News>(Arc<Mailbox<News>>);

impl<News> Teller<News> {
    /// Tells it. False: nobody listens any more, so that asking on is idle.
    pub(super) fn tell(&self, news: News) -> bool {
        let mut inside = self.0.open();
        if inside.over {
            return false;
        }
        inside.news.push_back(news);
        self.0.arrived.notify_all();
        true
    }
}

impl<News> Drop for Teller<News> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Where news waits. The channels of the standard library keep something for each thread that waits, which memory checkers
/// find lost when the process ends.
struct Mailbox<News> {
    inside: Mutex<Inside<News>>,
    arrived: Condvar,
}

struct Inside<News> {
    news: VecDeque<News>,
    /// Nobody tells more, or nobody listens.
    over: bool,
}

impl<News> Default for Mailbox<News> {
    fn default() -> Self {
        let inside = Inside { news: VecDeque::new(), over: false };
        Self { inside: Mutex::new(inside), arrived: Condvar::new() }
    }
}

impl<News> Mailbox<News> {
    fn open(&self) -> MutexGuard<'_, Inside<News>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.open().over = true;
        self.arrived.notify_all();
    }

    fn next(&self, patience: Duration) -> Result<Option<News>, Silence> {
        let empty = |inside: &mut Inside<News>| inside.news.is_empty() && !inside.over;
        let waited = self.arrived.wait_timeout_while(self.open(), patience, empty);
        let (mut inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match inside.news.pop_front() {
            None if !inside.over => Err(Silence),
            news => Ok(news),
        }
    }
}
