//! Random machines, and what their sets are worth by the definitions and nothing else.

use nvtopo::PathType;
use nvtopo::model::{Fragment, Gpu, Nic, NodeId, Provenance, Stated, TopologyBuilder, rates};
use nvtopo::{Bandwidth, Topology};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A machine with NVLinks between some pairs and stated paths between the others, GPUs beside NUMA nodes, and NICs.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) gpus: usize,
    /// For each pair: 0 to 3 NVLinks, and the class of the other path.
    pub(crate) pairs: Vec<(u16, PathType)>,
    /// For each GPU the NUMA node that it is beside, if that is known.
    pub(crate) homes: Vec<Option<u32>>,
    /// For each NIC the path to each GPU.
    pub(crate) nics: Vec<Vec<PathType>>,
}

impl Machine {
    fn pair_list(&self) -> impl Iterator<Item = (usize, usize, (u16, PathType))> + '_ {
        let pairs = (0..self.gpus).flat_map(|a| (a + 1..self.gpus).map(move |b| (a, b)));
        pairs.zip(&self.pairs).map(|((a, b), pair)| (a, b, *pair))
    }

    /// The topology in which GPU `i` has the index `names[i]`.
    pub(crate) fn topology(&self, names: &[u32]) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        let gpus: Vec<NodeId> = names
            .iter()
            .zip(&self.homes)
            .map(|(index, home)| {
                let nodes =
                    home.map_or(Stated::Unstated, |home| Stated::Known(std::iter::once(home).collect()));
                let gpu = fact!(Gpu::new(*index), nodes = nodes);
                fragment.add(NodeId::MACHINE, gpu)
            })
            .collect();
        for (a, b, (links, path)) in self.pair_list() {
            fragment.state_path(gpus[a], gpus[b], path);
            if links > 0 {
                fragment.link(gpus[a], gpus[b], rates::nvlink(2, links));
            }
        }
        for (index, paths) in self.nics.iter().enumerate() {
            let nic = Nic::new(format!("mlx5_{index}"));
            let nic = fragment.add(NodeId::MACHINE, nic);
            for (gpu, path) in gpus.iter().zip(paths) {
                fragment.state_path(*gpu, nic, *path);
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }
}

pub(crate) fn machine(most: usize) -> impl Strategy<Value = Machine> {
    let path = prop::sample::select(vec![
        PathType::Pix,
        PathType::Pxb,
        PathType::Phb,
        PathType::Node,
        PathType::Sys,
    ]);
    // Few links leave many sets equal; many leave few.
    (1..=most, 0u16..=3, 0usize..=3).prop_flat_map(move |(gpus, density, nics)| {
        let links = (0..=density).prop_map(|links| links.saturating_sub(1));
        let pairs = prop::collection::vec((links, path.clone()), gpus * (gpus - 1) / 2);
        let homes = prop::collection::vec(prop::option::weighted(0.9, 0u32..3), gpus);
        let nics = prop::collection::vec(prop::collection::vec(path.clone(), gpus), nics);
        (pairs, homes, nics).prop_map(move |(pairs, homes, nics)| Machine { gpus, pairs, homes, nics })
    })
}

/// Every set of a machine by the definitions and nothing else. A bandwidth is worth its MB/s and then the class of its path.
pub(crate) struct Oracle<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) topology: &'a Topology,
    /// By the bits of the set: what its rings carry.
    rings: Vec<(u64, u64)>,
    /// True where the rings of every set are proven optimal: on some meshes the search for them gives up.
    pub(crate) proven: bool,
}

pub(crate) type Worth = (u64, u64);

fn nearness(path: PathType) -> u64 {
    PathType::Dis as u64 - path as u64
}

fn bits(set: &[usize]) -> usize {
    set.iter().fold(0, |bits, gpu| bits | 1 << gpu)
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(machine: &'a Machine, topology: &'a Topology) -> Self {
        let mut proven = true;
        let mut ring = |bits: usize| {
            let set: Vec<usize> = (0..machine.gpus).filter(|gpu| bits >> gpu & 1 == 1).collect();
            let rings = topology.rings(&set);
            proven &= rings.as_ref().is_none_or(|rings| rings.bound == rings.bandwidth);
            rings.map_or((0, 0), |rings| (rings.bandwidth.as_mb_per_s(), rings.path.map_or(0, nearness)))
        };
        let rings = (0..1 << machine.gpus).map(&mut ring).collect();
        Self { machine, topology, rings, proven }
    }

    pub(crate) fn pair(&self, a: usize, b: usize) -> Worth {
        let pair = self.topology.pairs().pair(a, b);
        (pair.rate.unwrap().bandwidth.as_mb_per_s(), nearness(pair.path.unwrap()))
    }

    /// The greatest worth of the rings of any so many of a set; one GPU has all it needs.
    fn best_ring(&self, of: &[usize], size: usize) -> Worth {
        match size {
            _ if size > of.len() => (0, 0),
            1 => (1_000_000, 0),
            _ => subsets(of, size).iter().map(|set| self.rings[bits(set)]).max().unwrap(),
        }
    }

    pub(crate) fn value(&self, objective: &str, set: &[usize], rest: &[usize]) -> Worth {
        let pairs = set.iter().enumerate().flat_map(|(i, &a)| set[i + 1..].iter().map(move |&b| (a, b)));
        let pairs = pairs.map(|(a, b)| self.pair(a, b));
        let bandwidth = |bandwidth: Option<Bandwidth>| (bandwidth.map_or(0, Bandwidth::as_mb_per_s), 0);
        match objective {
            "ring" => self.rings[bits(set)],
            "tree" => bandwidth(self.topology.tree_bandwidth(set)),
            "all-to-all" => bandwidth(self.topology.all_to_all_bound(set)),
            "min-pair" => pairs.min().unwrap_or_default(),
            "pair-sum" => pairs.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1)),
            "numa-span" => {
                let known: BTreeSet<u32> = set.iter().filter_map(|gpu| self.machine.homes[*gpu]).collect();
                let unknown = set.iter().filter(|gpu| self.machine.homes[**gpu].is_none()).count();
                (1_000 - (known.len() + unknown) as u64, 1_000 - unknown as u64)
            }
            "nic" => self.worst_nic(set, &mut vec![0; self.machine.nics.len()]).unwrap_or_default(),
            "remainder" => {
                let all: Vec<usize> = (0..self.machine.gpus).collect();
                let often = (1e6 / self.machine.gpus as f64).round() as u128;
                let part = |size: usize| {
                    let (left, whole) = (self.best_ring(rest, size), self.best_ring(&all, size));
                    let mb = |worth: Worth| u128::from(worth.0);
                    (mb(left) * 1_000_000).checked_div(mb(whole)).unwrap_or(0) * often
                };
                ((1..=self.machine.gpus).map(part).sum::<u128>() as u64, 0)
            }
            other => panic!("{other}"),
        }
    }

    /// The worst path of the best assignment of NICs, by trying all. `None`: there is none.
    fn worst_nic(&self, set: &[usize], taken: &mut Vec<usize>) -> Option<Worth> {
        let Some((gpu, others)) = set.split_first() else { return Some((u64::MAX, 0)) };
        let most = self.machine.gpus.div_ceil(taken.len().max(1));
        let mut best = None;
        for nic in 0..taken.len() {
            if taken[nic] < most {
                taken[nic] += 1;
                let own = self.pair(*gpu, self.machine.gpus + nic);
                best = best.max(self.worst_nic(others, taken).map(|worst| worst.min(own)));
                taken[nic] -= 1;
            }
        }
        best
    }

    /// The best set in the order of the objectives; the lowest indices among equals.
    pub(crate) fn best(
        &self,
        candidates: &[usize],
        include: &[usize],
        count: usize,
        order: &[&str],
    ) -> Vec<usize> {
        let mut best: Option<(Vec<_>, Vec<usize>)> = None;
        for set in subsets(candidates, count) {
            if !include.iter().all(|gpu| set.contains(gpu)) {
                continue;
            }
            let rest: Vec<usize> = candidates.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
            let key: Vec<_> = order.iter().map(|objective| self.value(objective, &set, &rest)).collect();
            if best.as_ref().is_none_or(|(least, _)| key > *least) {
                best = Some((key, set));
            }
        }
        best.unwrap().1
    }
}

pub(crate) fn subsets(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (index, first) in of.iter().enumerate() {
        for mut rest in subsets(&of[index + 1..], size - 1) {
            rest.insert(0, *first);
            all.push(rest);
        }
    }
    all
}
