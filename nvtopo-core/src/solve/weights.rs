//! What a pair of GPUs is worth: one number that orders by bandwidth, then by how near the path is.

use crate::model::{PathType, Topology};
use crate::units::Bandwidth;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most GPUs that one request chooses from.
pub(super) const MAX_CANDIDATES: usize = 128;

/// Bits below the bandwidth that hold the nearness. The sum over all pairs of [`MAX_CANDIDATES`] fits: 8128 pairs
/// of nearness 10 at most.
const NEARNESS_BITS: u32 = 17;

/// The highest bandwidth in MB/s that is told apart; the sum over all pairs then fits in 64 bits.
const MAX_MB_PER_S: u64 = u32::MAX as u64;

/// A bandwidth, and the nearness of the path as tie-break: a minimum or a sum of weights orders first by the
/// minimum or sum of bandwidths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub(super) u64);

impl Weight {
    /// Above every weight and every sum of weights.
    pub const MAX: Self = Self(u64::MAX);

    /// A bandwidth, of which no path is known to be near.
    pub fn of(bandwidth: Bandwidth) -> Self {
        Self(bandwidth.as_mb_per_s().min(MAX_MB_PER_S) << NEARNESS_BITS)
    }

    /// The part that is bandwidth.
    pub fn bandwidth(self) -> Bandwidth {
        Bandwidth::from_mb_per_s(self.0 >> NEARNESS_BITS)
    }
}

/// The weights between candidates, by their order among the candidates.
#[derive(Debug)]
pub struct Weights {
    topology: Topology,
    /// The candidates' positions.
    positions: Vec<usize>,
    count: usize,
    reach: OnceLock<Vec<Weight>>,
    cells: Vec<Weight>,
    descending: OnceLock<Vec<(Weight, u8, u8)>>,
    values: [OnceLock<Box<[AtomicU64]>>; MEMOS],
}

/// How many functions of a set are remembered.
const MEMOS: usize = 3;

/// The most candidates of which every set's value is remembered.
const MAX_REMEMBERED: usize = 16;

impl Weights {
    /// The weights of these GPUs. A pair of which nothing is known is worth nothing.
    pub(super) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let pairs = topology.pairs();
        let weight = |a: usize, b: usize| {
            let pair = pairs.pair(a, b);
            let bandwidth = pair.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s()).min(MAX_MB_PER_S);
            let nearness = pair.path.map_or(0, |path| PathType::Dis as u64 - path as u64);
            Weight(bandwidth << NEARNESS_BITS | nearness)
        };
        let cells = gpus.iter().flat_map(|&a| gpus.iter().map(move |&b| weight(a, b))).collect();
        Self {
            topology: topology.clone(),
            positions: gpus.to_vec(),
            count: gpus.len(),
            reach: OnceLock::new(),
            cells,
            descending: OnceLock::new(),
            values: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// The topology that the candidates are of.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The candidates at some positions in [`Topology::gpus`].
    pub(super) fn set(&self, positions: &[usize]) -> u128 {
        let members = self.positions.iter().enumerate().filter(|(_, position)| positions.contains(position));
        members.fold(0, |set, (gpu, _)| set | 1 << gpu)
    }

    /// The positions in [`Topology::gpus`] of some candidates.
    pub fn positions(&self, set: u128) -> Vec<usize> {
        let members = self.positions.iter().enumerate().filter(|(gpu, _)| set >> gpu & 1 == 1);
        members.map(|(_, position)| *position).collect()
    }

    /// What one of several functions, numbered from 0, says of a set; computed once on machines of few GPUs. The greatest
    /// number cannot be said.
    pub(super) fn remember(&self, function: usize, set: u128, say: impl FnOnce() -> u64) -> u64 {
        let (Some(cell), true) = (self.values.get(function), self.count <= MAX_REMEMBERED) else {
            return say();
        };
        // 0 is not computed yet. Two threads that compute the same write the same.
        let zeros = || (0..1usize << self.count).map(|_| AtomicU64::new(0)).collect();
        let slot = &cell.get_or_init(zeros)[set as usize];
        match slot.load(Ordering::Relaxed) {
            0 => {
                let said = say();
                slot.store(said.wrapping_add(1), Ordering::Relaxed);
                said
            }
            known => known - 1,
        }
    }

    /// The bytes that this may come to hold.
    pub(super) fn size(&self) -> usize {
        let remembered =
            if self.count <= MAX_REMEMBERED { (MEMOS * size_of::<u64>()) << self.count } else { 0 };
        self.cells.len() * 2 * size_of::<Weight>() + remembered
    }

    /// The most that each candidate can send: over all of its NVLinks, or to any one other.
    pub(super) fn reach(&self) -> &[Weight] {
        self.reach.get_or_init(|| {
            let reach = |gpu: usize| {
                let id = self.topology.devices()[self.positions[gpu]];
                let rates = self.topology.nvlinks().of_node(id).map(|(_, bundle)| bundle.rate);
                let links = rates.map(|rate| rate.map_or(Bandwidth::ZERO, |rate| rate.bandwidth)).sum();
                let others = (0..self.count).filter(|other| *other != gpu);
                others.map(|other| self.between(gpu, other)).max().unwrap_or_default().max(Weight::of(links))
            };
            (0..self.count).map(reach).collect()
        })
    }

    /// How many candidates there are.
    pub fn gpus(&self) -> usize {
        self.count
    }

    /// The weight of a pair.
    pub fn between(&self, a: usize, b: usize) -> Weight {
        self.cells[a * self.count + b]
    }

    /// The weights of one candidate to all.
    pub(super) fn row(&self, a: usize) -> &[Weight] {
        &self.cells[a * self.count..][..self.count]
    }

    /// All pairs with their weights, the greatest first.
    pub(super) fn descending(&self) -> &[(Weight, u8, u8)] {
        self.descending.get_or_init(|| {
            let pairs = (0..self.count).flat_map(|a| (a + 1..self.count).map(move |b| (a, b)));
            let mut pairs: Vec<_> = pairs.map(|(a, b)| (self.between(a, b), a as u8, b as u8)).collect();
            pairs.sort_unstable_by(|a, b| b.cmp(a));
            pairs
        })
    }

    /// Whether exchanging the two changes no NVLink.
    pub(super) fn link_twins(&self, a: usize, b: usize) -> bool {
        let nvlinks = self.topology.nvlinks();
        let id = |gpu: usize| self.topology.devices()[self.positions[gpu]];
        let (a, b) = (id(a), id(b));
        let links = |own, other| {
            nvlinks.of_node(own).filter(move |(far, _)| *far != other).map(|(far, bundle)| (far, bundle.rate))
        };
        links(a, b).eq(links(b, a))
    }

    /// Whether exchanging the two changes no weight.
    pub(super) fn twins(&self, a: usize, b: usize) -> bool {
        (0..self.count).all(|x| x == a || x == b || self.between(a, x) == self.between(b, x))
    }
}
