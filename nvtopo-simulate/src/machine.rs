//! The machine that jobs are played on, with the value of each set of its GPUs, computed once.

use super::MAX_GPUS;
use nvtopo::Bandwidth;
use nvtopo::Chooser;
use nvtopo::solve::joint_gpus;
use nvtopo::{Error, ErrorKind, Result};
use nvtopo::{PathType, Topology};
use std::cell::OnceCell;

/// A set of GPUs, one bit for each position.
pub(super) type Set = u32;

/// The bandwidth of the rings through a set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    /// Zero for one GPU, and where a path is unknown.
    pub(super) bandwidth: Bandwidth,
    /// Without relays.
    pub(super) direct: Bandwidth,
    /// True where they use NVLink only, without relays.
    pub(super) nvlink: bool,
}

pub(super) struct Machine<'a> {
    pub(super) topology: &'a Topology,
    /// Positions: GPUs that cannot be used have one too.
    pub(super) gpus: usize,
    /// The GPUs that can be used.
    pub(super) all: Set,
    values: Vec<OnceCell<Value>>,
    /// The most that sets of each size carry on the empty machine.
    best: Vec<Bandwidth>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(topology: &'a Topology) -> Result<Self> {
        let gpus = topology.gpus().len();
        if gpus > MAX_GPUS {
            let message = format!("jobs are played on machines of at most {MAX_GPUS} GPUs, not {gpus}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let all = joint_gpus(topology).fold(0, |all, gpu| all | 1 << gpu);
        let mut machine =
            Self { topology, gpus, all, values: vec![OnceCell::new(); 1 << gpus], best: Vec::new() };
        let chooser = Chooser::by_objectives(topology, ["ring"], None)?;
        for count in 0..=machine.capacity() {
            let set = chooser.choose(all.into(), count).unwrap_or_default();
            machine.best.push(machine.value(set as Set).bandwidth);
        }
        Ok(machine)
    }

    /// Counts the GPUs for jobs.
    pub(super) fn capacity(&self) -> usize {
        self.all.count_ones() as usize
    }

    pub(super) fn value(&self, set: Set) -> Value {
        *self.values[set as usize].get_or_init(|| {
            let members: Vec<usize> = members(set).collect();
            let direct = self.topology.direct_rings(&members);
            self.topology.rings(&members).map_or_else(Value::default, |rings| Value {
                bandwidth: rings.bandwidth,
                direct: direct.as_ref().map_or(Bandwidth::ZERO, |direct| direct.bandwidth),
                nvlink: direct.is_some_and(|direct| direct.path.is_some_and(|path| path <= PathType::Nvl)),
            })
        })
    }

    /// The most that sets of a size carry on the empty machine.
    pub(super) fn best(&self, count: usize) -> Bandwidth {
        self.best[count]
    }

    /// Returns the ring bandwidth of a set as a part of the best of its size; 1 for one GPU.
    pub(super) fn share(&self, set: Set) -> f64 {
        let most = self.best(set.count_ones() as usize).as_gb_per_s();
        if most > 0.0 { self.value(set).bandwidth.as_gb_per_s() / most } else { 1.0 }
    }
}

/// The positions in a set.
pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |gpu| set >> gpu & 1 == 1)
}

/// All sets of a size inside another, by their lowest members.
pub(super) fn subsets(of: Set, count: usize) -> Vec<Set> {
    fn grow(set: Set, open: Set, missing: usize, found: &mut Vec<Set>) {
        if missing == 0 {
            found.push(set);
            return;
        }
        let mut left = open;
        while left.count_ones() as usize >= missing {
            let member = left & left.wrapping_neg();
            left &= left - 1;
            grow(set | member, left, missing - 1, found);
        }
    }
    let mut found = Vec::new();
    grow(0, of, count, &mut found);
    found
}
