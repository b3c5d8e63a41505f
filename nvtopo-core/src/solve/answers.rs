//! Which sets were chosen by some criteria, and nothing else of the answers: what a scheduler asks for again and again.

use super::objective::Set;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most GPUs of which there is a place for each set of free ones.
const MAX_GPUS: usize = 16;

/// The most answers that are kept of larger machines; when there are more, all are forgotten.
const MAX_ASKED: usize = 4096;

/// The bytes that one of them takes in the map: the entry, and the room that a tree keeps free.
const ASKED_BYTES: usize = 96;

/// The answers for each set of free GPUs and each count, as far as they were asked for.
pub(super) struct Answers {
    gpus: usize,
    chosen: Chosen,
}

enum Chosen {
    /// By free set and count; 0 where it was not asked for yet.
    All(Box<[AtomicU16]>),
    /// There are too many sets for that.
    Asked(Mutex<BTreeMap<(Set, usize), Set>>),
}

impl Answers {
    pub(super) fn new(gpus: usize) -> Self {
        let chosen = if gpus <= MAX_GPUS {
            Chosen::All((0..gpus << gpus).map(|_| AtomicU16::new(0)).collect())
        } else {
            Chosen::Asked(Mutex::default())
        };
        Self { gpus, chosen }
    }

    /// Whether each answer is computed only once.
    pub(super) fn keep_all(&self) -> bool {
        matches!(self.chosen, Chosen::All(_))
    }

    /// The answer; computed where it is not kept.
    pub(super) fn at(&self, free: Set, count: usize, solve: impl FnOnce() -> Set) -> Set {
        let asked = match &self.chosen {
            Chosen::All(chosen) => {
                let place = (free as usize) * self.gpus + count - 1;
                let Some(slot) = chosen.get(place) else { return solve() };
                return match slot.load(Ordering::Relaxed) {
                    0 => {
                        let chosen = solve();
                        slot.store(chosen as u16, Ordering::Relaxed);
                        chosen
                    }
                    known => known.into(),
                };
            }
            Chosen::Asked(asked) => || asked.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if let Some(known) = asked().get(&(free, count)) {
            return *known;
        }
        let chosen = solve();
        let mut asked = asked();
        if asked.len() >= MAX_ASKED {
            asked.clear();
        }
        asked.insert((free, count), chosen);
        chosen
    }

    /// The bytes that the answers by one list of criteria may come to hold.
    pub(super) const fn size(gpus: usize) -> usize {
        if gpus <= MAX_GPUS { (gpus * size_of::<AtomicU16>()) << gpus } else { MAX_ASKED * ASKED_BYTES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_not_computed_again() {
        for gpus in [8, 72] {
            let answers = Answers::new(gpus);
            assert_eq!(answers.at(0b1110, 2, || 0b0110), 0b0110);
            assert_eq!(answers.at(0b1110, 2, || unreachable!("it is kept")), 0b0110);
            assert_eq!(answers.at(0b1110, 1, || 0b1000), 0b1000, "another count is another question");
            assert_eq!(answers.at(0b1100, 2, || 0b1100), 0b1100, "and so are other free GPUs");
        }
    }

    #[test]
    fn of_many_gpus_only_so_many_answers_are_kept() {
        let answers = Answers::new(72);
        for free in 1..=MAX_ASKED as Set {
            answers.at(free, 1, || 1);
        }
        assert_eq!(answers.at(1, 1, || unreachable!("it is kept")), 1);
        answers.at(1 << 70, 1, || 1 << 70);
        assert_eq!(answers.at(1, 1, || 2), 2, "the others were forgotten");
        assert_eq!(answers.at(1 << 70, 1, || unreachable!("the last is kept")), 1 << 70);
        let Chosen::Asked(asked) = &answers.chosen else { unreachable!("there are many GPUs") };
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}
