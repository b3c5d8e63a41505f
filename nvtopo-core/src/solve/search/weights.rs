//! The candidates of a search: the weights of their pairs, and their locality.

use super::domains::machine::Domains;
use super::links::Links;
use super::locality::Locality;
use super::memo::Memo;
use crate::model::Topology;
use crate::once::Once;
use crate::query::{Room, Weight, of_pair};
use crate::solve::search::set::{Set, members, of};

/// The candidates by their order: the weights of their pairs, and their locality.
#[derive(Debug)]
pub struct Weights {
    topology: Topology,
    /// The positions of the candidates.
    positions: Vec<usize>,
    count: usize,
    cells: Vec<Weight>,
    descending: Once<Vec<(Weight, u8, u8)>>,
    levels: Once<Vec<Level>>,
    interchangeable: Once<Vec<Set>>,
    links: Once<Links>,
    host: Once<Vec<u64>>,
    /// The room of the NVLinks of each pair, row by row, with that of the PCIe link of each candidate as its pair with itself.
    room: Once<Vec<Room>>,
    locality: Once<Locality>,
    domains: Once<Option<Domains>>,
    pub(in crate::solve) memo: Memo,
}

/// A threshold graph: the pairs of at least some weight.
#[derive(Debug)]
pub(in crate::solve) struct Level {
    /// The greatest weight of the pairs that the level before does not have.
    pub(in crate::solve) most: Weight,
    /// The neighbours of each candidate.
    pub(in crate::solve) near: Box<[Set]>,
}

/// The greatest number of levels.
const MAX_LEVELS: usize = 64;

impl Weights {
    /// Returns the weights of these GPUs.
    pub(in crate::solve) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let weight = |a: usize, b: usize| of_pair(topology.pairs().pair(a, b));
        let cells = gpus.iter().flat_map(|&a| gpus.iter().map(move |&b| weight(a, b))).collect();
        Self {
            topology: topology.clone(),
            positions: gpus.to_vec(),
            count: gpus.len(),
            cells,
            descending: Once::new(),
            levels: Once::new(),
            interchangeable: Once::new(),
            links: Once::new(),
            host: Once::new(),
            room: Once::new(),
            locality: Once::new(),
            domains: Once::new(),
            memo: Memo::new(gpus.len()),
        }
    }

    /// Returns the topology of the candidates.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the candidates at some positions in [`Topology::gpus`].
    pub(in crate::solve) fn set(&self, positions: &[usize]) -> Set {
        let members = self.positions.iter().enumerate().filter(|(_, position)| positions.contains(position));
        of(members.map(|(gpu, _)| gpu))
    }

    /// Returns the position of a candidate in [`Topology::gpus`].
    pub(in crate::solve) fn position(&self, gpu: usize) -> usize {
        self.positions[gpu]
    }

    /// Returns the positions of some candidates in [`Topology::gpus`].
    pub fn positions(&self, set: Set) -> Vec<usize> {
        let members = self.positions.iter().enumerate().filter(|(gpu, _)| set >> gpu & 1 == 1);
        members.map(|(_, position)| *position).collect()
    }

    /// Returns the NVLinks of the candidates.
    pub(in crate::solve) fn links(&self) -> &Links {
        self.links.get_or_init(|| Links::of(&self.topology, &self.positions))
    }

    /// Returns the rate in MB/s of the PCIe link of a candidate.
    pub(in crate::solve) fn host(&self, gpu: usize) -> u64 {
        let rate = |gpu: &usize| self.topology.host_bandwidth(*gpu).as_mb_per_s();
        self.host.get_or_init(|| self.positions.iter().map(rate).collect())[gpu]
    }

    /// Returns the room for rings of its direct NVLinks to the others of a set and its PCIe link together.
    pub(in crate::solve) fn room(&self, gpu: usize, set: Set) -> Room {
        let of_pair = |(a, b): (usize, usize)| {
            if a == b {
                return Room::of_pcie(self.host(a));
            }
            self.links().direct(a, 1 << b).next().map_or(Room::default(), Room::of_nvlinks)
        };
        let pairs = || (0..self.count).flat_map(|a| (0..self.count).map(move |b| (a, b)));
        let cells = self.room.get_or_init(|| pairs().map(of_pair).collect());
        let row = &cells[gpu * self.count..][..self.count];
        members(set & !(1 << gpu)).fold(row[gpu], |room, other| room.and(row[other]))
    }

    /// Returns the greatest rate in MB/s of the PCIe links of all candidates.
    pub(in crate::solve) fn widest_host(&self) -> u64 {
        (0..self.count).map(|gpu| self.host(gpu)).max().unwrap_or(0)
    }

    /// Returns the locality of the candidates.
    pub(in crate::solve) fn locality(&self) -> &Locality {
        self.locality.get_or_init(|| Locality::of(&self.topology, &self.positions))
    }

    /// Returns the domains of the machine, if it consists of domains and all of its GPUs are candidates.
    pub(in crate::solve) fn domains(&self) -> Option<&Domains> {
        let whole = || (self.count == self.topology.gpus().len()).then(|| Domains::of(&self.topology));
        self.domains.get_or_init(|| whole().flatten()).as_ref()
    }

    /// Returns the number of candidates.
    pub fn gpus(&self) -> usize {
        self.count
    }

    /// Returns the weight of a pair.
    pub fn between(&self, a: usize, b: usize) -> Weight {
        self.cells[a * self.count + b]
    }

    /// Returns the weights of one candidate to all.
    pub(in crate::solve) fn row(&self, a: usize) -> &[Weight] {
        &self.cells[a * self.count..][..self.count]
    }

    /// Returns all pairs with their weights, the greatest first.
    pub(in crate::solve) fn descending(&self) -> &[(Weight, u8, u8)] {
        self.descending.get_or_init(|| {
            let pairs = (0..self.count).flat_map(|a| (a + 1..self.count).map(move |b| (a, b)));
            let mut pairs: Vec<_> = pairs.map(|(a, b)| (self.between(a, b), a as u8, b as u8)).collect();
            pairs.sort_unstable_by(|a, b| b.cmp(a));
            pairs
        })
    }

    /// Returns the threshold graphs by decreasing weight, each with the pairs of those before.
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

    /// Returns for each candidate the candidates with which it can be exchanged without changing any weight.
    pub(in crate::solve) fn interchangeable(&self) -> &[Set] {
        self.interchangeable.get_or_init(|| {
            let alike = |a: usize, b: usize| {
                (0..self.count).all(|x| x == a || x == b || self.between(a, x) == self.between(b, x))
            };
            (0..self.count).map(|a| of((0..self.count).filter(|b| a != *b && alike(a, *b)))).collect()
        })
    }
}
