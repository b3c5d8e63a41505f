//! What solving keeps of a machine: the weights of its pairs, the values of sets and the answers that were computed once.
//! Machines of equal structure share it, whatever their addresses.

use crate::error::{Error, ErrorKind, Result};
use crate::model::{NodeId, PathType, Topology};
use crate::solve::nics::usable_nics;
use crate::solve::objective::criteria::{Criteria, Key};
use crate::solve::search;
use crate::solve::search::answers::Answers;
use crate::solve::search::kept::Kept;
use crate::solve::search::problem::Task;
use crate::solve::search::set;
use crate::solve::search::set::Set;
use crate::solve::search::set::members;
use crate::solve::search::tolerance::Tolerance;
use crate::solve::search::weight::MAX_CANDIDATES;
use crate::solve::search::weights::Weights;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory that classes may hold together unless the embedder says otherwise.
const DEFAULT_LIMIT: usize = 64 << 20;

/// A structure of machines.
pub(super) struct Class {
    pub(super) weights: Weights,
    /// By what sets are compared by.
    answers: Mutex<BTreeMap<Key, Arc<Answers>>>,
    pub(super) kept: Kept,
}

impl Class {
    /// The class of a machine, computed once by the default tolerance.
    pub(super) fn of(topology: &Topology, tolerance: Tolerance) -> Result<Arc<Self>> {
        let gpus = topology.gpus().len();
        if gpus > MAX_CANDIDATES {
            return Err(too_many(gpus));
        }
        if tolerance != Tolerance::default() && topology.has_measured_rates() {
            let all: Vec<usize> = (0..gpus).collect();
            let topology = topology.with_rate_classes(tolerance.millionths());
            return Ok(Arc::new(Self::new(Weights::of(&topology, &all))));
        }
        let classes = || topology.with_rate_classes(Tolerance::default().millionths());
        let cell = topology.solved().get_or_init(|| shared(&classes()));
        match Arc::clone(cell).downcast() {
            Ok(class) => Ok(class),
            Err(_) => unreachable!("only this function fills the cell"),
        }
    }

    /// The class of some GPUs of a machine that is too large for one as a whole, and the set of its free GPUs.
    pub(super) fn of_candidates(
        topology: &Topology,
        candidates: &[usize],
        tolerance: Tolerance,
    ) -> Result<(Arc<Self>, Set)> {
        if topology.gpus().len() <= MAX_CANDIDATES {
            let free = set::of(candidates.iter().copied());
            return Ok((Self::of(topology, tolerance)?, free));
        }
        if candidates.len() > MAX_CANDIDATES {
            return Err(too_many(candidates.len()));
        }
        let free = set::all(candidates.len());
        let topology = topology.with_rate_classes(tolerance.millionths());
        Ok((Arc::new(Self::new(Weights::of(&topology, candidates))), free))
    }

    fn new(weights: Weights) -> Self {
        Self { weights, answers: Mutex::default(), kept: Kept::default() }
    }

    /// The best set of `count` among `free`, from memory where it was asked for before.
    pub(super) fn best(&self, answers: &Answers, free: Set, count: usize, criteria: &Criteria) -> Set {
        let task = Task::new(free, count, &criteria.objectives, &criteria.mix);
        // Nothing forbids the first set that the search comes to, so there is always one.
        answers.at(free, count, || search::solve(&self.weights, &task).map_or(0, |solution| solution.chosen))
    }

    /// The answers by some criteria.
    pub(super) fn answers(&self, criteria: &Criteria) -> Arc<Answers> {
        let mut kept = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Answers::new(self.weights.gpus()));
        let answers = Arc::clone(kept.entry(criteria.key()).or_insert_with(fresh));
        drop(kept);
        cache().shrink(LIMIT.load(Ordering::Relaxed));
        answers
    }

    /// For each GPU those that can stand in for it, itself too, without changing anything that the criteria see.
    pub(super) fn alike(&self, criteria: &Criteria) -> Box<[Set]> {
        let weights = &self.weights;
        let alike = |a: usize, b: &usize| criteria.objectives.iter().all(|one| one.twins(weights, a, *b));
        let twins = weights.twins().iter().enumerate();
        twins
            .map(|(a, twins)| members(*twins).filter(|b| alike(a, b)).fold(1 << a, |set, b| set | 1 << b))
            .collect()
    }

    /// The bytes that this may come to hold, by one list of criteria at least.
    fn size(&self) -> usize {
        let lists = self.answers.lock().unwrap_or_else(PoisonError::into_inner).len().max(1);
        self.weights.size() + Kept::size() + Answers::size(self.weights.gpus()) * lists
    }
}

/// The memory in bytes that structures of machines may hold together; the least used go first when there are more. One of
/// a machine of 8 GPUs holds less than 0.2 MB, one of 16 GPUs 4 MB, and one of 72 GPUs 1.5 MB; more where sets are compared by
/// several lists of objectives. With 0 nothing is shared between topologies.
///
/// ```
/// nvtopo::solve::set_class_memory(16 << 20);
/// ```
pub fn set_class_memory(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
    cache().shrink(bytes);
}

/// The memory in bytes that shared structures of machines may come to hold, as they are now.
pub fn class_memory() -> usize {
    cache().size()
}

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_LIMIT);
static CACHE: Mutex<Cache> = Mutex::new(Cache { classes: BTreeMap::new(), clock: 0 });

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Classes by what makes them equal, each with the time of its last use.
struct Cache {
    classes: BTreeMap<Vec<u64>, (u64, Arc<Class>)>,
    clock: u64,
}

impl Cache {
    fn size(&self) -> usize {
        self.classes.iter().map(|(key, (_, class))| class.size() + size_of_val(key.as_slice())).sum()
    }

    fn shrink(&mut self, limit: usize) {
        while self.size() > limit {
            let oldest = self.classes.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.classes.remove(&oldest);
        }
    }
}

fn shared(topology: &Topology) -> Arc<Class> {
    let all: Vec<usize> = (0..topology.gpus().len()).collect();
    let key = key(topology);
    let mut cache = cache();
    cache.clock += 1;
    let now = cache.clock;
    let fresh = || (now, Arc::new(Class::new(Weights::of(topology, &all))));
    let entry = cache.classes.entry(key).or_insert_with(fresh);
    entry.0 = now;
    let class = Arc::clone(&entry.1);
    cache.shrink(LIMIT.load(Ordering::Relaxed));
    class
}

/// Everything that objectives see of a machine. Devices are named by position, and the rest is numbered as it is met.
fn key(topology: &Topology) -> Vec<u64> {
    let (gpus, devices) = (topology.gpus().len(), topology.devices());
    let mut key = vec![gpus as u64, devices.len() as u64];
    for (a, b) in (0..gpus).flat_map(|a| (a + 1..devices.len()).map(move |b| (a, b))) {
        let pair = topology.pairs().pair(a, b);
        let path = pair.path.map_or(u64::MAX, |path: PathType| path as u64);
        key.extend([path, pair.rate.map_or(u64::MAX, |rate| rate.bandwidth.as_mb_per_s())]);
    }
    let position = |id: &NodeId| devices.iter().position(|own| own == id);
    let mut numbers = BTreeMap::new();
    for id in &devices[..gpus] {
        for (far, bundle) in topology.nvlinks().of_node(*id) {
            let next = devices.len() + numbers.len();
            let far = position(&far).unwrap_or_else(|| *numbers.entry(far).or_insert(next)) as u64;
            let rate = bundle.rate.map_or(u64::MAX, |rate| rate.bandwidth.as_mb_per_s());
            key.extend([far, u64::from(bundle.switch), u64::from(bundle.links), rate]);
        }
        key.push(u64::MAX);
        key.extend(
            topology.local_nodes(*id).known().into_iter().flat_map(|nodes| nodes.iter().map(u64::from)),
        );
        key.push(u64::MAX);
    }
    // A NIC whose port is down is none to the objectives.
    key.extend(usable_nics(topology).into_iter().map(|nic| nic as u64));
    key.push(u64::MAX);
    let measured = topology.measurements().iter();
    key.extend(measured.flat_map(|one| {
        let place = |id| position(id).map_or(u64::MAX, |place| place as u64);
        [place(&one.from), place(&one.to), one.bandwidth.as_mb_per_s()]
    }));
    key
}

fn too_many(gpus: usize) -> Error {
    let text = format!("{gpus} GPUs are more than the {MAX_CANDIDATES} that one request chooses from");
    Error::new(ErrorKind::Unsupported, text).help("name fewer with --only, such as one NVLink group")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn a_machine_that_is_gone_leaves_nothing_behind() {
        let topology = Topology::preset("dgx-1-v100").unwrap();
        // As one that went out of what machines share.
        let all: Vec<usize> = (0..8).collect();
        let class = Arc::new(Class::new(Weights::of(&topology, &all)));
        let kept = Arc::downgrade(&class);
        assert!(topology.solved().set(class).is_ok());
        assert_eq!(Request::gpus(4).solve(&topology).unwrap().gpu_indices(), [0, 1, 2, 3]);
        assert!(kept.upgrade().is_some());
        drop(topology);
        assert!(kept.upgrade().is_none());
    }
}
