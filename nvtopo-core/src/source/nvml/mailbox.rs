//! A thread that asks, and what it tells while it does. A call that hangs cannot be ended, so whoever listens waits for
//! each piece of news only so long; then the thread is left behind on purpose, with the library open.

use super::Refusal;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long to wait, for one answer and for all.
///
/// The driver wakes a GPU that nobody uses when its handle is asked for, which takes seconds for each of them without
/// persistence mode; so no GPU is measured by what the others took.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    start: Instant,
    /// For opening the library, and for opening a GPU.
    each: Duration,
}

impl Patience {
    /// From now on.
    pub(super) fn of(each: Duration) -> Self {
        Self { start: Instant::now(), each }
    }

    /// What is left for all asking of so many GPUs, however many threads it takes.
    pub(super) fn left(self, gpus: u32) -> Duration {
        let all = self.each.saturating_add((self.each / 2).saturating_mul(gpus));
        all.saturating_sub(self.start.elapsed())
    }

    /// For the next news; what is open already answers sooner.
    fn next(self, opening: bool) -> Duration {
        if opening { self.each } else { self.each / 2 }
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

    /// How many GPUs there are, as far as was told.
    fn gpus(&self) -> u32;

    /// Whether the library or a GPU is being opened.
    fn is_opening(&self) -> bool;

    /// Hears it. The answer, where it is that nothing is left to be asked.
    fn hear(&mut self, news: Self::News) -> Option<Result<Self::Answer, Refusal>>;

    /// Lets a thread ask.
    fn turn(
        &mut self,
        patience: Patience,
        question: impl FnOnce(&Teller<Self::News>) + Send + 'static,
    ) -> Turn<Self::Answer> {
        let mut asker = match Asker::start(question) {
            Ok(asker) => asker,
            Err(why) => return Turn::Over(Err(Refusal::Failed(why))),
        };
        let mut answer = None;
        loop {
            // Closing the library puts the GPUs to rest again.
            let own = patience.next(self.is_opening() || answer.is_some());
            let left = patience.left(self.gpus());
            match (asker.next(own.min(left)), answer) {
                (Ok(Some(news)), before) => answer = self.hear(news).or(before),
                (Ok(None), answer) => {
                    return Turn::Over(answer.unwrap_or_else(|| Err(Refusal::broken_off())));
                }
                (Err(Silence), Some(answer)) => return Turn::Over(answer),
                (Err(Silence), None) if left < own => return Turn::OutOfTime,
                (Err(Silence), None) => return Turn::Silent,
            }
        }
    }
}

/// How a thread ended that was let ask.
pub(super) enum Turn<Answer> {
    /// Nothing is left to be asked.
    Over(Result<Answer, Refusal>),
    /// It told nothing for as long as it may: what it asked hangs.
    Silent,
    /// The time for all ran out, whatever it was about to tell.
    OutOfTime,
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
