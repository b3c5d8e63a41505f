//! Which sets were chosen by some criteria, and nothing else of the answers: what a scheduler asks for again and again.

use super::bounded::Bounded;
use crate::solve::search::set::Set;
use std::sync::atomic::{AtomicU16, Ordering};

/// The most GPUs of which there is a place for each set of free ones.
const MAX_GPUS: usize = 16;

/// The most answers that are kept of larger machines.
const MAX_ASKED: usize = 4096;

/// The answers for each set of free GPUs and each count, as far as they were asked for.
pub(in crate::solve) struct Answers {
    gpus: usize,
    chosen: Chosen,
}

enum Chosen {
    /// By free set and count; 0 where it was not asked for yet.
    All(Box<[AtomicU16]>),
    /// There are too many sets for that.
    Asked(Bounded<(Set, usize), Set, MAX_ASKED>),
}

impl Answers {
    pub(in crate::solve) fn new(gpus: usize) -> Self {
        let chosen = if gpus <= MAX_GPUS {
            Chosen::All((0..gpus << gpus).map(|_| AtomicU16::new(0)).collect())
        } else {
            Chosen::Asked(Bounded::default())
        };
        Self { gpus, chosen }
    }

    /// Whether each answer is computed only once.
    pub(in crate::solve) fn keep_all(&self) -> bool {
        matches!(self.chosen, Chosen::All(_))
    }

    /// The answer; computed where it is not kept.
    pub(in crate::solve) fn at(&self, free: Set, count: usize, solve: impl FnOnce() -> Set) -> Set {
        match &self.chosen {
            Chosen::All(chosen) => {
                let place = (free as usize) * self.gpus + count - 1;
                let Some(slot) = chosen.get(place) else { return solve() };
                match slot.load(Ordering::Relaxed) {
                    0 => {
                        let chosen = solve();
                        slot.store(chosen as u16, Ordering::Relaxed);
                        chosen
                    }
                    known => known.into(),
                }
            }
            Chosen::Asked(asked) => asked.at((free, count), solve),
        }
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
}
