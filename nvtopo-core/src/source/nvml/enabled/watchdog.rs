//! Calls to the driver under a watchdog, GPU by GPU: one loop for every answer that all GPUs contribute to.
//!
//! A worker thread makes the calls and sends each part of the answer. Where a step takes too long, its thread is
//! abandoned, the answer records that the step hung, and another worker asks the rest. Each step has its own limit, and
//! all of them together have one that grows with the number of GPUs. GPUs that were not asked in that time are recorded
//! as not asked, as nothing is known to be wrong with them.

use super::super::DriverError;
use super::mailbox::{self, TimedOut, Worker};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(super) type Sender<Part> = mailbox::Sender<Message<Part>>;

/// A message of a worker.
pub(super) enum Message<Part> {
    /// The number of GPUs: the library is open.
    Count(u32),
    /// The step that begins.
    Begin(Step),
    /// The GPU of this step is open.
    Opened,
    /// A part of the answer.
    Part(Part),
    /// The last part of the answer of this step.
    Done(Part),
    /// The end of all steps. The library is closed after that, which may hang as well.
    End(Result<(), DriverError>),
}

/// A step that may hang.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Calls to the library that concern no GPU.
    Library,
    /// The calls about a GPU, by its number.
    Gpu(u32),
    /// A call about two GPUs, by their numbers.
    Pair([u32; 2], &'static str),
}

/// The reason why a step has no answer, or not all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// The step took longer than a step may.
    Hung,
    /// The time for all steps ran out.
    OutOfTime,
}

/// An answer that grows part by part.
pub(super) trait Answer: Clone + Send + 'static {
    type Part: Send + 'static;

    /// Adds a part.
    fn add(&mut self, part: Self::Part);

    /// Records that a step has no answer.
    fn skip(&mut self, step: Step, why: Skip);

    /// Returns whether no part of any use was added.
    fn is_empty(&self) -> bool;

    /// Returns whether pairs of GPUs remain to be asked about after all GPUs.
    fn needs_pairs(&self) -> bool;
}

/// Asks by workers that go on from what is known, until every step is done or time is out.
pub(super) fn ask<A: Answer>(
    timeout: Duration,
    answer: A,
    work: impl Fn(A, &Progress, &Sender<A::Part>) + Clone + Send + 'static,
) -> Result<(A, Progress), DriverError> {
    let mut session =
        Session { answer, progress: Progress::default(), step: Step::Library, is_opening: false };
    let deadline = Deadline::new(timeout);
    let error = loop {
        let (known, progress, work) = (session.answer.clone(), session.progress.clone(), work.clone());
        let ending = session.listen(deadline, move |sender| work(known, &progress, sender));
        let step = std::mem::replace(&mut session.step, Step::Library);
        match ending {
            Ending::Done(Ok(())) => return Ok((session.answer, session.progress)),
            // After one GPU hung, the library may not open again.
            Ending::Done(Err(error)) => {
                if matches!(step, Step::Gpu(_)) {
                    session.answer.skip(step, Skip::OutOfTime);
                }
                break error;
            }
            Ending::Skipped(why) => {
                session.answer.skip(step, why);
                if let Step::Pair(pair, _) = step {
                    session.progress.hung_pairs.push(pair);
                }
                // A library that hangs by itself would hang again.
                let again = why == Skip::Hung && !matches!(step, Step::Library);
                if !again || !session.has_more() || deadline.left(session.progress.count).is_zero() {
                    break DriverError::timed_out(timeout);
                }
            }
        }
    };
    if session.answer.is_empty() {
        return Err(error);
    }
    for gpu in session.progress.open_gpus() {
        session.answer.skip(Step::Gpu(gpu), Skip::OutOfTime);
    }
    Ok((session.answer, session.progress))
}

/// The steps that were begun.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// The number of GPUs, 0 until it is known.
    count: u32,
    gpus: BTreeSet<u32>,
    pairs: BTreeSet<[u32; 2]>,
    /// The pairs of which a call hung.
    hung_pairs: Vec<[u32; 2]>,
}

impl Progress {
    /// Returns the numbers of the GPUs that were not asked, of `count` GPUs.
    pub(super) fn gpus_of(&self, count: u32) -> Vec<u32> {
        (0..count).filter(|gpu| !self.gpus.contains(gpu)).collect()
    }

    fn open_gpus(&self) -> Vec<u32> {
        self.gpus_of(self.count)
    }

    /// Returns whether a pair was asked about.
    pub(super) fn has_asked(&self, pair: [u32; 2]) -> bool {
        self.pairs.contains(&pair)
    }

    /// Returns whether a pair is still to be asked about. Where two calls with a GPU hung, no other is begun: each
    /// costs time.
    pub(super) fn is_open(&self, pair: [u32; 2]) -> bool {
        let hangs = |gpu: &u32| self.hung_pairs.iter().filter(|pair| pair.contains(gpu)).count() > 1;
        !self.has_asked(pair) && !pair.iter().any(hangs)
    }
}

/// The time limits, for one step and for all.
///
/// The driver wakes an idle GPU when its handle is requested, which takes seconds for each of them without persistence
/// mode; so the time of one GPU does not count for another.
#[derive(Clone, Copy)]
struct Deadline {
    start: Instant,
    /// The limit for opening the library, and for opening a GPU.
    open: Duration,
}

impl Deadline {
    fn new(open: Duration) -> Self {
        Self { start: Instant::now(), open }
    }

    /// Returns the time left for all steps on that number of GPUs, by all workers together.
    fn left(self, gpus: u32) -> Duration {
        let all = self.open.saturating_add((self.open / 2).saturating_mul(gpus));
        all.saturating_sub(self.start.elapsed())
    }

    /// Returns the limit for the next message; a GPU that is open answers sooner.
    fn step(self, is_opening: bool) -> Duration {
        if is_opening { self.open } else { self.open / 2 }
    }
}

/// The answer so far, and the step that runs.
struct Session<A> {
    answer: A,
    progress: Progress,
    step: Step,
    /// True if the library or a GPU is being opened.
    is_opening: bool,
}

/// The end of one worker.
enum Ending {
    Done(Result<(), DriverError>),
    /// Its step was skipped, and its thread abandoned.
    Skipped(Skip),
}

impl<A: Answer> Session<A> {
    fn listen(&mut self, deadline: Deadline, work: impl FnOnce(&Sender<A::Part>) + Send + 'static) -> Ending {
        let mut worker = match Worker::start(work) {
            Ok(worker) => worker,
            Err(why) => return Ending::Done(Err(DriverError::Failed(why))),
        };
        let mut end = None;
        // A new worker opens the library anew.
        self.is_opening = true;
        loop {
            // Closing the library puts the GPUs to sleep again.
            let step = deadline.step(self.is_opening || end.is_some());
            let left = deadline.left(self.progress.count);
            match worker.receive(step.min(left)) {
                Ok(Some(Message::End(result))) => end = Some(result),
                Ok(Some(message)) => self.take(message),
                Ok(None) => return Ending::Done(end.unwrap_or_else(|| Err(DriverError::broken_off()))),
                Err(TimedOut) => {
                    let skip = if left < step { Skip::OutOfTime } else { Skip::Hung };
                    return end.map_or(Ending::Skipped(skip), Ending::Done);
                }
            }
        }
    }

    fn take(&mut self, message: Message<A::Part>) {
        self.is_opening = match message {
            Message::Count(count) => {
                self.progress.count = count;
                true
            }
            Message::Begin(step) => {
                match step {
                    Step::Library => {}
                    Step::Gpu(gpu) => _ = self.progress.gpus.insert(gpu),
                    Step::Pair(pair, _) => _ = self.progress.pairs.insert(pair),
                }
                self.step = step;
                !matches!(step, Step::Pair(..))
            }
            Message::Part(part) => {
                self.answer.add(part);
                false
            }
            Message::Done(part) => {
                self.answer.add(part);
                self.step = Step::Library;
                true
            }
            Message::Opened | Message::End(_) => false,
        };
    }

    fn has_more(&self) -> bool {
        !self.progress.open_gpus().is_empty() || self.answer.needs_pairs()
    }
}
