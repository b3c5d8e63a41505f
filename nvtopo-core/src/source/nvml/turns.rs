//! Asking all GPUs, of which some may hang: what was told is kept, and the others are asked on.
//!
//! A call that hangs cannot be ended. Its thread is left behind on purpose, with the library open, and another one asks
//! on. Each GPU has its own limit, and all of them together have one that grows with their count; what was not asked until
//! then is told as not asked, for nothing is known to be wrong with it.

use super::Refusal;
use super::mailbox::{self, Listener, Patience, Turn};
use super::seen::{Seen, SeenGpu, SeenP2p};
use crate::model::PathType;
use crate::source::json::Text;
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) type Teller = mailbox::Teller<News>;

/// What a thread tells while it asks.
pub(super) enum News {
    /// What is known so far, and how many GPUs there are.
    Seen(Box<Seen>, u32),
    /// What it asks next.
    At(At),
    /// The GPU that is asked is open.
    Opened,
    /// What the GPU that is asked is known by.
    Known(Box<SeenGpu>),
    /// What a pair of GPUs has in common.
    Pair(Option<(usize, usize, Text<PathType>)>, Option<SeenP2p>),
    /// Nothing is left to be asked. The library is closed after that, which may hang as well.
    End(Result<Box<Seen>, Refusal>),
}

/// What is asked.
pub(super) enum At {
    /// The library.
    Start,
    /// A GPU by its number, with what is known of it.
    Gpu(u32, Option<Box<SeenGpu>>),
    /// Of two GPUs by their numbers, a call.
    Pair([u32; 2], &'static str),
}

/// Asks, by threads that go on from what is known, until all GPUs have told or time is out.
pub(super) fn ask(
    patience: Duration,
    question: impl Fn(Seen, &Pairs, &Teller) + Clone + Send + 'static,
) -> Result<Box<Seen>, Refusal> {
    let mut talk = Talk { seen: None, count: 0, at: At::Start, opening: true, pairs: Pairs::default() };
    let time = Patience::of(patience);
    loop {
        let (known, question) = (talk.seen.as_deref().cloned().unwrap_or_default(), question.clone());
        let pairs = talk.pairs.clone();
        let turn = talk.turn(time, move |teller| question(known, &pairs, teller));
        let Some(seen) = &mut talk.seen else {
            return match turn {
                Turn::Over(answer) => answer,
                Turn::Silent | Turn::OutOfTime => Err(Refusal::silent(patience)),
            };
        };
        match (turn, std::mem::replace(&mut talk.at, At::Start)) {
            (Turn::Over(Ok(told)), _) => {
                *seen = told;
                talk.pairs.count_open(seen);
                return Ok(std::mem::take(seen));
            }
            (Turn::Silent, At::Gpu(index, own)) => {
                seen.troubles.hang(index);
                keep(seen, index, own);
                // Of fewer than two GPUs there is no pair to ask of.
                let done = missing(seen, talk.count).is_empty() && seen.gpus.len() < 2;
                if !done && !time.left(talk.count).is_zero() {
                    continue;
                }
            }
            (Turn::Silent, At::Pair(gpus, call)) => {
                silent(seen, gpus, call);
                talk.pairs.hung.push(gpus);
                if !time.left(talk.count).is_zero() {
                    continue;
                }
            }
            (Turn::OutOfTime, At::Gpu(index, own)) => {
                seen.troubles.pass_over(index);
                keep(seen, index, own);
            }
            (Turn::OutOfTime, At::Pair(gpus, call)) => silent(seen, gpus, call),
            // After one GPU hung, the library hangs as a whole, or does not open again.
            (Turn::Over(Err(_)), _) | (Turn::Silent | Turn::OutOfTime, At::Start) => {}
        }
        for index in missing(seen, talk.count) {
            seen.troubles.pass_over(index);
            keep(seen, index, None);
        }
        talk.pairs.count_open(seen);
        return Ok(std::mem::take(seen));
    }
}

/// What is known, and what is asked.
struct Talk {
    seen: Option<Box<Seen>>,
    count: u32,
    at: At,
    opening: bool,
    pairs: Pairs,
}

/// Which pairs of GPUs were asked of, by their numbers.
#[derive(Clone, Default)]
pub(super) struct Pairs {
    asked: BTreeSet<[u32; 2]>,
    /// Those of which a call hung.
    hung: Vec<[u32; 2]>,
}

impl Pairs {
    /// Whether a pair is still to be asked of. Where two calls with a GPU hung, no other is begun: each costs time.
    pub(super) fn is_open(&self, pair: [u32; 2]) -> bool {
        let hangs = |gpu: &u32| self.hung.iter().filter(|pair| pair.contains(gpu)).count() > 1;
        !self.asked.contains(&pair) && !pair.iter().any(hangs)
    }

    /// Counts those of GPUs that answer which nobody asked of.
    fn count_open(&self, seen: &mut Seen) {
        let troubles = &seen.troubles;
        let answers =
            |gpu: &u32| !(troubles.is_lost(*gpu) || troubles.is_stuck(*gpu) || troubles.is_silent(*gpu));
        let gpus: Vec<u32> = seen.gpus.iter().map(|gpu| gpu.index).filter(answers).collect();
        let pairs = gpus.iter().enumerate().flat_map(|(place, a)| gpus[..place].iter().map(|b| [*b, *a]));
        seen.troubles.unasked_pairs = pairs.filter(|pair| !self.asked.contains(pair)).count();
    }
}

fn silent(seen: &mut Seen, pair: [u32; 2], call: &str) {
    for gpu in pair {
        seen.troubles.fail(gpu, call, "it did not answer in time; one of these GPUs may hang");
    }
}

impl Listener for Talk {
    type News = News;
    type Answer = Box<Seen>;

    fn gpus(&self) -> u32 {
        self.count
    }

    fn is_opening(&self) -> bool {
        self.opening
    }

    fn hear(&mut self, news: News) -> Option<Result<Box<Seen>, Refusal>> {
        self.opening = matches!(news, News::Seen(..) | News::At(At::Start | At::Gpu(..)));
        match (news, &mut self.seen, &mut self.at) {
            (News::Seen(seen, count), ..) => {
                (self.seen, self.count, self.at) = (Some(seen), count, At::Start);
            }
            (News::At(at), ..) => {
                if let At::Pair(pair, _) = at {
                    self.pairs.asked.insert(pair);
                }
                self.at = at;
            }
            (News::Known(gpu), _, At::Gpu(_, own)) => *own = Some(gpu),
            (News::Pair(path, p2p), Some(seen), _) => {
                seen.paths.extend(path);
                seen.p2p.extend(p2p);
            }
            (News::End(told), ..) => return Some(told),
            (News::Opened | News::Known(_) | News::Pair(..), ..) => {}
        }
        None
    }
}

/// A GPU that did not tell all stays, with what it was known by.
fn keep(seen: &mut Seen, index: u32, own: Option<Box<SeenGpu>>) {
    match own {
        Some(own) => seen.gpus.push(*own),
        None => seen.lost.push(index),
    }
}

/// The GPUs that nothing is known of.
pub(super) fn missing(seen: &Seen, count: u32) -> Vec<u32> {
    let known = seen.gpus.iter().map(|gpu| gpu.index).chain(seen.lost.iter().copied());
    let known: BTreeSet<u32> = known.collect();
    (0..count).filter(|index| !known.contains(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn gpu(index: u32) -> SeenGpu {
        SeenGpu { index, ..SeenGpu::default() }
    }

    /// Asks four GPUs in turn, of which some hang, known by their numbers or not at all.
    fn four(patience: Duration, hanging: &'static [u32], known: bool) -> Box<Seen> {
        let question = move |mut seen: Seen, _: &Pairs, teller: &Teller| {
            for index in missing(&seen, 4) {
                teller.tell(News::Seen(Box::new(seen.clone()), 4));
                teller.tell(News::At(At::Gpu(index, None)));
                if known {
                    teller.tell(News::Known(Box::new(gpu(index))));
                }
                if hanging.contains(&index) {
                    std::thread::sleep(600 * SECOND);
                }
                seen.gpus.push(gpu(index));
            }
            teller.tell(News::End(Ok(Box::new(seen))));
        };
        ask(patience, question).unwrap_or_else(|_| panic!("it tells"))
    }

    fn numbers(seen: &Seen) -> Vec<u32> {
        seen.gpus.iter().map(|gpu| gpu.index).collect()
    }

    #[test]
    fn gpus_that_hang_lose_no_other() {
        let seen = four(SECOND, &[], false);
        assert_eq!((numbers(&seen), seen.lost.len()), (vec![0, 1, 2, 3], 0));
        let seen = four(SECOND, &[0, 2], false);
        assert_eq!((numbers(&seen), &*seen.lost), (vec![1, 3], &[0, 2][..]));
        assert!(seen.troubles.is_hung(0) && seen.troubles.is_hung(2) && !seen.troubles.is_hung(1));
        let seen = four(SECOND, &[1], true);
        assert_eq!((numbers(&seen), seen.lost.len()), (vec![0, 1, 2, 3], 0));
        assert!(seen.troubles.is_hung(1));
    }

    #[test]
    fn patience_ends_where_all_hang() {
        let start = Instant::now();
        let seen = four(SECOND / 2, &[0, 1, 2, 3], false);
        assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
        assert_eq!((seen.gpus.len(), seen.lost.len()), (0, 4));
        assert!(seen.troubles.is_hung(0) && !seen.troubles.is_hung(3) && seen.troubles.is_unasked(3));
    }

    #[test]
    fn slow_gpus_have_their_own_time() {
        let question = |mut seen: Seen, _: &Pairs, teller: &Teller| {
            for index in missing(&seen, 8) {
                teller.tell(News::Seen(Box::new(seen.clone()), 8));
                teller.tell(News::At(At::Gpu(index, None)));
                std::thread::sleep(SECOND / 5);
                seen.gpus.push(gpu(index));
            }
            teller.tell(News::End(Ok(Box::new(seen))));
        };
        let start = Instant::now();
        let Ok(seen) = ask(SECOND, question) else { panic!("it tells") };
        assert!(start.elapsed() > SECOND, "{:?}", start.elapsed());
        assert_eq!((numbers(&seen).len(), seen.lost.len()), (8, 0));
    }

    #[test]
    fn work_that_breaks_off_or_never_begins_is_told() {
        let why = |question: fn(Seen, &Pairs, &Teller)| match ask(SECOND / 10, question) {
            Err(Refusal::Failed(why)) => why,
            _ => panic!("it fails"),
        };
        assert_eq!(why(|_, _, _| {}), "asking it broke off");
        assert!(
            why(|_, _, _| std::thread::sleep(600 * SECOND)).contains("did not answer within 0.1 seconds")
        );
        // What was told before the library hung in its own end counts.
        let told = |_: Seen, _: &Pairs, teller: &Teller| {
            teller.tell(News::End(Ok(Box::new(Seen { lost: vec![7], ..Seen::default() }))));
            std::thread::sleep(600 * SECOND);
        };
        assert!(ask(SECOND / 5, told).is_ok_and(|seen| seen.lost == [7]));
    }

    #[test]
    fn pairs_that_hang_lose_no_gpu_and_no_other_pair() {
        // GPU1 hangs in all calls with others.
        let question = |seen: Seen, pairs: &Pairs, teller: &Teller| {
            let seen =
                if seen.gpus.is_empty() { Seen { gpus: (0..5).map(gpu).collect(), ..seen } } else { seen };
            teller.tell(News::Seen(Box::new(seen.clone()), 5));
            let all = (0..5).flat_map(|a| (a + 1..5).map(move |b| [a, b]));
            for pair in all.filter(|pair| pairs.is_open(*pair)) {
                teller.tell(News::At(At::Pair(pair, "call")));
                if pair.contains(&1) {
                    std::thread::sleep(600 * SECOND);
                }
                let [a, b] = pair.map(|gpu| gpu as usize);
                teller.tell(News::Pair(Some((a, b, Text(PathType::Sys))), None));
            }
            teller.tell(News::End(Err(Refusal::broken_off())));
        };
        let Ok(seen) = ask(SECOND, question) else { panic!("it tells") };
        assert_eq!(seen.gpus.len(), 5);
        assert_eq!(seen.paths.len(), 6);
        assert_eq!(seen.troubles.unasked_pairs, 2);
        let notes = seen.troubles.notes();
        assert!(
            notes[0].text.contains("GPU0, GPU1, GPU2: the driver did not answer call"),
            "{}",
            notes[0].text
        );
    }
}
