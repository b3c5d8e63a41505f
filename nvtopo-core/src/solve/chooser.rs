//! Which GPUs, and nothing else: for schedulers that ask for every decision.

use crate::error::Result;
use crate::model::Topology;
use crate::solve::objective::criteria::Criteria;
use crate::solve::objective::mix::SizeMix;
use crate::solve::request::Solver;
use crate::solve::search;
use crate::solve::search::bounded::Bounded;
use crate::solve::search::problem::Task;
use crate::solve::search::set;
use crate::solve::search::set::{Set, members};
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weights::Weights;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Chooses GPUs of one machine from any that are free. The answers are those of [`Request`](crate::Request), and are kept:
/// asked again, one costs nanoseconds. On machines of more than 16 GPUs, of which there are too many to keep, that holds for
/// some thousand answers, and for any among GPUs that are all alike; where GPUs differ by their NUMA nodes only, an answer that
/// is not kept takes less than a microsecond. Clones share what they keep.
///
/// ```
/// use nvtopo::{Chooser, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let chooser = Chooser::new(&dgx1)?;
/// assert_eq!(chooser.choose(0b1111_1111, 2), Some(0b0000_1001)); // GPU0 and GPU3 share two NVLinks
/// assert_eq!(chooser.choose(0b1111_0110, 2), Some(0b0000_0110)); // without them, GPU1 and GPU2
/// assert_eq!(chooser.choose(0b0000_0001, 2), None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone)]
pub struct Chooser {
    weights: Arc<Weights>,
    /// The GPUs that a job can use whole.
    usable: Set,
    /// Those of them that can be chosen together with others.
    joint: Set,
    /// Those of them without faults, which are chosen first.
    sound: Set,
    answers: Arc<Answers>,
    /// For each GPU those that are worth the same to everyone, where not every answer is kept.
    alike: Arc<[Set]>,
    criteria: Arc<Criteria>,
}

impl Chooser {
    /// By the default objectives. [`Unsupported`](crate::ErrorKind::Unsupported) on machines of more than 128 GPUs.
    pub fn new(topology: &Topology) -> Result<Self> {
        Self::of(topology, Criteria::new::<&str>(None, None, topology)?)
    }

    /// By these objectives, most important first; what they leave open, or all where there are none, the default ones
    /// decide. With a mix, what is left
    /// over is judged by how often jobs of each size come.
    pub fn by_objectives<S: AsRef<str>>(
        topology: &Topology,
        names: impl IntoIterator<Item = S>,
        mix: Option<&SizeMix>,
    ) -> Result<Self> {
        let names: Vec<S> = names.into_iter().collect();
        let names = (!names.is_empty()).then_some(&names[..]);
        Self::of(topology, Criteria::new(names, mix, topology)?)
    }

    fn of(topology: &Topology, criteria: Criteria) -> Result<Self> {
        let weights = Solver::new(topology).weights(Tolerance::default())?;
        let answers = Arc::new(Answers::new(weights.gpus()));
        let alike = if answers.keep_all() { Arc::default() } else { alike(&weights, &criteria) };
        let usable = set::of(set::usable(topology));
        let joint = set::of(set::joint_gpus(topology));
        let sound = set::of(members(usable).filter(|gpu| topology.gpu_faults(*gpu).is_empty()));
        Ok(Self { weights, usable, joint, sound, answers, alike, criteria: Arc::new(criteria) })
    }

    /// The best set of `count` GPUs among the free ones, one bit for each position in [`Topology::gpus`]; other
    /// bits, and GPUs that cannot be used or are divided (MIG), are not looked at. GPUs with
    /// [faults](Topology::gpu_faults) are chosen where the others are not enough, and those that are
    /// [cut off](Topology::cut_off) only alone. `None`: there are not so many, or none was asked for.
    pub fn choose(&self, free: Set, count: usize) -> Option<Set> {
        let mut free = free & self.usable;
        if count > 1 || free & self.joint != 0 {
            free &= self.joint;
        }
        if count == 0 || count > free.count_ones() as usize {
            return None;
        }
        let Criteria { objectives, mix } = &*self.criteria;
        let sound = free & self.sound;
        if count <= sound.count_ones() as usize {
            free = sound;
        } else if sound != free {
            let task = Task { include: sound, ..Task::new(free, count, objectives, mix) };
            return search::solve(&self.weights, &task).ok().map(|solution| solution.chosen);
        }
        if let Some(alike) = self.alike.get(free.trailing_zeros() as usize)
            && free & !alike == 0
        {
            // All sets are worth the same.
            return Some(set::of(members(free).take(count)));
        }
        let task = Task::new(free, count, objectives, mix);
        // Nothing forbids the first set that the search comes to, so there is always one.
        let best = || search::solve(&self.weights, &task).map_or(0, |solution| solution.chosen);
        Some(self.answers.at(free, count, best))
    }
}

impl std::fmt::Debug for Chooser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let objectives: Vec<&str> =
            self.criteria.objectives.iter().map(|objective| objective.name()).collect();
        f.debug_struct("Chooser")
            .field("gpus", &self.weights.gpus())
            .field("objectives", &objectives)
            .finish_non_exhaustive()
    }
}

/// For each GPU those that can stand in for it, itself too, without changing anything that the criteria see.
fn alike(weights: &Weights, criteria: &Criteria) -> Arc<[Set]> {
    let alike = |a: usize, b: &usize| criteria.objectives.iter().all(|one| one.twins(weights, a, *b));
    let twins = weights.twins().iter().enumerate();
    twins
        .map(|(a, twins)| members(*twins).filter(|b| alike(a, b)).fold(1 << a, |set, b| set | 1 << b))
        .collect()
}

/// The most GPUs of which there is a place for each set of free ones.
const MAX_GPUS: usize = 16;

/// The most answers that are kept of larger machines.
const MAX_ASKED: usize = 4096;

/// The answers for each set of free GPUs and each count, as far as they were asked for.
struct Answers {
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
    fn new(gpus: usize) -> Self {
        let chosen = if gpus <= MAX_GPUS {
            Chosen::All((0..gpus << gpus).map(|_| AtomicU16::new(0)).collect())
        } else {
            Chosen::Asked(Bounded::default())
        };
        Self { gpus, chosen }
    }

    /// Whether each answer is computed only once.
    fn keep_all(&self) -> bool {
        matches!(self.chosen, Chosen::All(_))
    }

    /// The answer; computed where it is not kept.
    fn at(&self, free: Set, count: usize, solve: impl FnOnce() -> Set) -> Set {
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
