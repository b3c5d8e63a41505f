//! Which GPUs, and nothing else: for schedulers that ask for every decision.

use crate::error::Result;
use crate::model::Topology;
use crate::solve::objective::criteria::Criteria;
use crate::solve::objective::mix::SizeMix;
use crate::solve::request::Solver;
use crate::solve::search;
use crate::solve::search::answers::Answers;
use crate::solve::search::problem::Task;
use crate::solve::search::set;
use crate::solve::search::set::{Set, members};
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weights::Weights;
use std::sync::Arc;

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
        let sound = free & self.sound;
        if count <= sound.count_ones() as usize {
            free = sound;
        } else if sound != free {
            let Criteria { objectives, mix } = &*self.criteria;
            let task = Task { include: sound, ..Task::new(free, count, objectives, mix) };
            return search::solve(&self.weights, &task).ok().map(|solution| solution.chosen);
        }
        if let Some(alike) = self.alike.get(free.trailing_zeros() as usize)
            && free & !alike == 0
        {
            // All sets are worth the same.
            return Some(set::of(members(free).take(count)));
        }
        let Criteria { objectives, mix } = &*self.criteria;
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
