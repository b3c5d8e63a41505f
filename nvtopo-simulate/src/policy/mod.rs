//! Who chooses: one policy or family of them in each file.

#![allow(clippy::unnecessary_wraps, reason = "one signature for all that make a policy")]

mod mapa;
mod optimal;
mod plain;
mod value;

use super::Options;
use super::machine::{Machine, Set};
use nvtopo::solve::SizeMix;
use nvtopo::{Error, Result};

/// The state that a policy sees when a job arrives.
pub(super) struct State<'a> {
    /// The GPUs of no job.
    pub(super) free: Set,
    /// The GPUs of each running job, increasing.
    pub(super) running: &'a [Set],
}

/// Chooses the GPUs of each job as it comes.
pub(super) trait Policy {
    /// `count` of the free GPUs; there are enough.
    fn choose(&mut self, state: &State<'_>, count: usize) -> Set;
}

/// A policy that jobs can be played against.
#[non_exhaustive]
pub struct PolicyKind {
    /// The name in every interface.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The most GPUs of a machine on which it can be asked.
    pub most_gpus: usize,
    make: for<'a> fn(&'a Machine<'a>, &Task<'_>) -> Result<Box<dyn Policy + 'a>>,
}

/// The task that a policy is made for.
pub(super) struct Task<'a> {
    pub(super) options: &'a Options,
    /// The mix of job sizes.
    pub(super) mix: &'a SizeMix,
    /// Arrivals in a mean service time.
    pub(super) rate: f64,
}

/// Every policy.
pub static POLICIES: &[PolicyKind] = &[
    PolicyKind { name: "random", summary: "any free GPUs", most_gpus: super::MAX_GPUS, make: plain::random },
    PolicyKind {
        name: "first-fit",
        summary: "the free GPUs with the lowest numbers",
        most_gpus: super::MAX_GPUS,
        make: plain::first_fit,
    },
    PolicyKind {
        name: "device-plugin",
        summary: "the best set of the best division of the free GPUs, as NVIDIA's device plugin for Kubernetes",
        most_gpus: super::MAX_GPUS,
        make: plain::device_plugin,
    },
    PolicyKind {
        name: "pair-sum",
        summary: "the greatest sum of the bandwidths of all pairs",
        most_gpus: super::MAX_GPUS,
        make: plain::pair_sum,
    },
    PolicyKind {
        name: "mapa-greedy",
        summary: "the greatest sum of link bandwidths around a ring, as MAPA's greedy policy",
        most_gpus: SMALL,
        make: mapa::greedy,
    },
    PolicyKind {
        name: "mapa-preserve",
        summary: "the greatest bandwidth that MAPA's regression predicts, as its policy that preserves links",
        most_gpus: SMALL,
        make: mapa::preserve,
    },
    PolicyKind {
        name: "nvtopo",
        summary: "what nvtopo places by the objectives that are asked for",
        most_gpus: super::MAX_GPUS,
        make: plain::nvtopo,
    },
    PolicyKind {
        name: "value",
        summary: "the best rings, and of those what leaves the most to the next job, as often as each size comes",
        most_gpus: SMALL,
        make: value::value,
    },
    PolicyKind {
        name: "foresight",
        summary: "as value, and to the next job after any of the running ones has ended",
        most_gpus: SMALL,
        make: value::foresight,
    },
    PolicyKind {
        name: "optimal",
        summary: "what no policy can do better on average, as it knows how often jobs of each size come",
        most_gpus: SMALL,
        make: optimal::optimal,
    },
];

/// The most GPUs of which a table of everything is made.
const SMALL: usize = 8;

impl PolicyKind {
    pub(super) fn make<'a>(&self, machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
        (self.make)(machine, task)
    }
}

/// A policy by its name.
pub(super) fn by_name(name: &str) -> Result<&'static PolicyKind> {
    POLICIES.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = POLICIES.iter().map(|kind| kind.name).collect();
        Error::request(format!("there is no policy '{name}'")).help(format!("there are {}", names.join(", ")))
    })
}

/// A policy that looks at the free GPUs only, and so decides the same thing once.
struct Table<F> {
    gpus: usize,
    /// By the free GPUs and the count; 0 where nobody asked.
    chosen: Vec<Set>,
    decide: F,
}

impl<F: FnMut(Set, usize) -> Set> Table<F> {
    fn new(gpus: usize, decide: F) -> Self {
        Self { gpus, chosen: vec![0; (gpus + 1) << gpus], decide }
    }
}

impl<F: FnMut(Set, usize) -> Set> Policy for Table<F> {
    fn choose(&mut self, state: &State<'_>, count: usize) -> Set {
        let cell = state.free as usize * (self.gpus + 1) + count;
        if self.chosen[cell] == 0 {
            self.chosen[cell] = (self.decide)(state.free, count);
        }
        self.chosen[cell]
    }
}

/// The first of the sets with the greatest value.
fn first_best<V: PartialOrd>(sets: impl IntoIterator<Item = Set>, value: impl Fn(Set) -> V) -> Set {
    let mut best: Option<(V, Set)> = None;
    for set in sets {
        let value = value(set);
        if best.as_ref().is_none_or(|(most, _)| value > *most) {
            best = Some((value, set));
        }
    }
    best.map_or(0, |(_, set)| set)
}
