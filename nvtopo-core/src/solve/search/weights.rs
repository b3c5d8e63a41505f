//! What a pair of GPUs is worth: one number that orders by bandwidth, then by how near the path is.

use super::domains::Domains;
use super::links::Links;
use super::memo::Memo;
use super::surroundings::Surroundings;
use crate::model::{Pair, PathType, Topology};
use crate::solve::objective::Set;
use crate::units::Bandwidth;
use std::sync::OnceLock;

/// The most GPUs that one request chooses from.
pub(in crate::solve) const MAX_CANDIDATES: usize = 128;

/// Bits below the bandwidth that hold the nearness. The sum over all pairs of [`MAX_CANDIDATES`] fits: 8128 pairs
/// of nearness 10 at most.
const NEARNESS_BITS: u32 = 17;

/// The highest bandwidth in MB/s that is told apart; the sum over all pairs then fits in 64 bits.
const MAX_MB_PER_S: u64 = u32::MAX as u64;

/// A bandwidth, and the nearness of the path as tie-break: a minimum or a sum of weights orders first by the
/// minimum or sum of bandwidths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub(in crate::solve) u64);

impl Weight {
    /// Above every weight and every sum of weights.
    pub const MAX: Self = Self(u64::MAX);

    /// A bandwidth, of which no path is known to be near.
    // Inlined where a bandwidth may be unknown, it is computed of that as well, and memory checkers take that for a mistake.
    #[inline(never)]
    pub fn of(bandwidth: Bandwidth) -> Self {
        Self(bandwidth.as_mb_per_s().min(MAX_MB_PER_S) << NEARNESS_BITS)
    }

    /// A bandwidth over paths of which the worst is of a class.
    pub(in crate::solve) fn over(bandwidth: Bandwidth, path: PathType) -> Self {
        Self(Self::of(bandwidth).0 | nearness(path))
    }

    /// The same path with no more than a bandwidth.
    pub(in crate::solve) fn at_most(self, bandwidth: Bandwidth) -> Self {
        let near = self.0 % (1 << NEARNESS_BITS);
        Self(Self::of(bandwidth.min(self.bandwidth())).0 | near)
    }

    /// The class of the worst path, where one is known. Of sums it means nothing.
    pub(in crate::solve) fn path(self) -> Option<PathType> {
        let near = self.0 % (1 << NEARNESS_BITS);
        PathType::ALL.into_iter().find(|path| near > 0 && nearness(*path) == near)
    }

    /// The part that is bandwidth.
    pub fn bandwidth(self) -> Bandwidth {
        Bandwidth::from_mb_per_s(self.0 >> NEARNESS_BITS)
    }
}

fn nearness(path: PathType) -> u64 {
    PathType::Dis as u64 - path as u64
}

/// What a pair is worth. One of which nothing is known is worth nothing.
pub(in crate::solve) fn of_pair(pair: Pair) -> Weight {
    let near = pair.path.map_or(0, nearness);
    let Some(rate) = pair.rate else { return Weight(near) };
    Weight(Weight::of(rate.bandwidth).0 | near)
}

/// What is known of the candidates, by their order: the weights of their pairs, and what lies beside them.
#[derive(Debug)]
pub struct Weights {
    topology: Topology,
    /// The candidates' positions.
    positions: Vec<usize>,
    count: usize,
    cells: Vec<Weight>,
    descending: OnceLock<Vec<(Weight, u8, u8)>>,
    levels: OnceLock<Vec<Level>>,
    twins: OnceLock<Vec<Set>>,
    links: OnceLock<Links>,
    surroundings: OnceLock<Surroundings>,
    domains: OnceLock<Option<Domains>>,
    pub(in crate::solve) memo: Memo,
}

/// The pairs of at least some weight.
#[derive(Debug)]
pub(in crate::solve) struct Level {
    /// The greatest weight of those that are not among the pairs of the level before.
    pub(in crate::solve) most: Weight,
    /// For each candidate the others of its pairs.
    pub(in crate::solve) near: Box<[Set]>,
}

/// The most levels that are told apart.
const MAX_LEVELS: usize = 64;

impl Weights {
    /// The weights of these GPUs.
    pub(in crate::solve) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let weight = |a: usize, b: usize| of_pair(topology.pairs().pair(a, b));
        let cells = gpus.iter().flat_map(|&a| gpus.iter().map(move |&b| weight(a, b))).collect();
        Self {
            topology: topology.apart(),
            positions: gpus.to_vec(),
            count: gpus.len(),
            cells,
            descending: OnceLock::new(),
            levels: OnceLock::new(),
            twins: OnceLock::new(),
            links: OnceLock::new(),
            surroundings: OnceLock::new(),
            domains: OnceLock::new(),
            memo: Memo::new(gpus.len()),
        }
    }

    /// The topology that the candidates are of.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The candidates at some positions in [`Topology::gpus`].
    pub(in crate::solve) fn set(&self, positions: &[usize]) -> Set {
        let members = self.positions.iter().enumerate().filter(|(_, position)| positions.contains(position));
        members.fold(0, |set, (gpu, _)| set | 1 << gpu)
    }

    /// The positions in [`Topology::gpus`] of some candidates.
    pub fn positions(&self, set: Set) -> Vec<usize> {
        let members = self.positions.iter().enumerate().filter(|(gpu, _)| set >> gpu & 1 == 1);
        members.map(|(_, position)| *position).collect()
    }

    /// The bytes that this may come to hold.
    pub(in crate::solve) fn size(&self) -> usize {
        self.cells.len() * 3 * size_of::<Weight>() + self.memo.size()
    }

    /// The NVLinks of the candidates.
    pub(in crate::solve) fn links(&self) -> &Links {
        self.links.get_or_init(|| Links::of(&self.topology, &self.positions))
    }

    /// What lies beside the candidates.
    pub(in crate::solve) fn surroundings(&self) -> &Surroundings {
        self.surroundings.get_or_init(|| Surroundings::of(&self.topology, &self.positions))
    }

    /// The domains of the machine, where it is made of such and all of its GPUs are candidates.
    pub(in crate::solve) fn domains(&self) -> Option<&Domains> {
        let whole = || (self.count == self.topology.gpus().len()).then(|| Domains::of(&self.topology));
        self.domains.get_or_init(|| whole().flatten()).as_ref()
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
    pub(in crate::solve) fn row(&self, a: usize) -> &[Weight] {
        &self.cells[a * self.count..][..self.count]
    }

    /// All pairs with their weights, the greatest first.
    pub(in crate::solve) fn descending(&self) -> &[(Weight, u8, u8)] {
        self.descending.get_or_init(|| {
            let pairs = (0..self.count).flat_map(|a| (a + 1..self.count).map(move |b| (a, b)));
            let mut pairs: Vec<_> = pairs.map(|(a, b)| (self.between(a, b), a as u8, b as u8)).collect();
            pairs.sort_unstable_by(|a, b| b.cmp(a));
            pairs
        })
    }

    /// The pairs by their weight: more and more of them, the greatest first.
    pub(in crate::solve) fn levels(&self) -> &[Level] {
        self.levels.get_or_init(|| {
            let steps: Vec<_> = self.descending().chunk_by(|a, b| a.0 == b.0).collect();
            let mut near = vec![0; self.count];
            let level = |steps: &[&[(Weight, u8, u8)]]| {
                for (_, a, b) in steps.iter().copied().flatten() {
                    near[usize::from(*a)] |= 1 << b;
                    near[usize::from(*b)] |= 1 << a;
                }
                Level { most: steps[0][0].0, near: near.clone().into() }
            };
            steps.chunks(steps.len().div_ceil(MAX_LEVELS).max(1)).map(level).collect()
        })
    }

    /// For each candidate the others with which it can be exchanged without changing any weight.
    pub(in crate::solve) fn twins(&self) -> &[Set] {
        self.twins.get_or_init(|| {
            let alike = |a: usize, b: usize| {
                (0..self.count).all(|x| x == a || x == b || self.between(a, x) == self.between(b, x))
            };
            let of =
                |a: usize| (0..self.count).filter(|b| a != *b && alike(a, *b)).fold(0, |set, b| set | 1 << b);
            (0..self.count).map(of).collect()
        })
    }
}
