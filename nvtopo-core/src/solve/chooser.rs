//! The choice of GPUs alone: for schedulers that ask for every decision.

use crate::error::Result;
use crate::model::Topology;
use crate::solve::objective::criteria::Criteria;
use crate::solve::objective::mix::SizeMix;
use crate::solve::request::Solver;
use crate::solve::search;
use crate::solve::search::bounded::Bounded;
use crate::solve::search::problem::Task;
use crate::solve::search::set::{self, Set, members};
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weights::Weights;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A chooser of GPUs of one machine from any free ones. The answers are those of [`Request`](crate::Request), and are memoized:
/// asked again, one costs nanoseconds. On machines of more than 16 GPUs, which have too many free sets to memoize all, that holds
/// for the last answers, up to 4096, and for any answer among interchangeable GPUs; if GPUs differ only by their NUMA nodes, an
/// answer that is not memoized takes less than a microsecond. Clones share the memo.
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
    /// The usable GPUs that can be chosen together with others.
    joint: Set,
    /// The usable GPUs without faults, which are chosen first.
    sound: Set,
    answers: Arc<Answers>,
    /// The GPUs interchangeable with each GPU, where not every answer is memoized.
    alike: Arc<[Set]>,
    criteria: Arc<Criteria>,
}

impl Chooser {
    /// Returns the chooser by the default objectives. [`Unsupported`](crate::ErrorKind::Unsupported) on machines of more than 128
    /// GPUs.
    pub fn new(topology: &Topology) -> Result<Self> {
        Self::of(topology, Criteria::new::<&str>(None, None, topology)?)
    }

    /// Returns the chooser by these objectives, most important first; the default ones break ties, and decide alone if none is
    /// named. A mix gives the frequency of each job size, by which the remaining GPUs are valued.
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
        let alike = if weights.gpus() <= MAX_GPUS { Arc::default() } else { alike(&weights, &criteria) };
        let usable = set::of(set::usable(topology));
        let joint = set::of(set::joint_gpus(topology));
        let sound = set::of(members(usable).filter(|gpu| topology.gpu_faults(*gpu).is_empty()));
        Ok(Self { weights, usable, joint, sound, answers, alike, criteria: Arc::new(criteria) })
    }

    /// Returns the best set of `count` GPUs among the free ones, one bit for each position in [`Topology::gpus`]; ignores other
    /// bits, GPUs that cannot be used, and MIG-enabled GPUs. GPUs with [faults](Topology::gpu_faults) are chosen only if the
    /// others are not enough, and GPUs that are [cut off](Topology::cut_off) only alone. `None`: too few GPUs are free, or
    /// `count` is 0.
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
            // All sets have the same value.
            return Some(set::of(members(free).take(count)));
        }
        let task = Task::new(free, count, objectives, mix);
        // The task has no limits, so there is always a set.
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

/// Returns for each GPU the GPUs that can replace it, itself included, without changing the value of any set.
fn alike(weights: &Weights, criteria: &Criteria) -> Arc<[Set]> {
    let alike =
        |a: usize, b: &usize| criteria.objectives.iter().all(|one| one.interchangeable(weights, a, *b));
    let interchangeable = weights.interchangeable().iter().enumerate();
    interchangeable
        .map(|(a, interchangeable)| 1 << a | set::of(members(*interchangeable).filter(|b| alike(a, b))))
        .collect()
}

/// The greatest number of GPUs for which there is a slot for each set of free GPUs.
const MAX_GPUS: usize = 16;

/// The greatest number of memoized answers on larger machines.
const MAX_ASKED: usize = 4096;

/// The memo of answers by the free GPUs and the count.
enum Answers {
    /// The answers by free set and count, of which there are as many as GPUs; 0 if not computed yet.
    All(usize, Box<[AtomicU16]>),
    /// The answers by the free sets that were asked for, where there are too many sets to have a slot each.
    Asked(Bounded<(Set, usize), Set, MAX_ASKED>),
}

impl Answers {
    fn new(gpus: usize) -> Self {
        if gpus > MAX_GPUS {
            return Self::Asked(Bounded::default());
        }
        Self::All(gpus, (0..gpus << gpus).map(|_| AtomicU16::new(0)).collect())
    }

    /// Returns the answer, computing it if it is not kept.
    fn at(&self, free: Set, count: usize, solve: impl FnOnce() -> Set) -> Set {
        match self {
            Self::All(gpus, chosen) => {
                let place = (free as usize) * gpus + count - 1;
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
            Self::Asked(asked) => asked.at((free, count), solve),
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
