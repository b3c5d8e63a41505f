//! The locality of the candidates: their local NUMA nodes, their models, and their paths to the NICs.

use super::set::{self, Set, members};
use crate::model::Topology;
use crate::once::Once;
use crate::query::{Weight, bottleneck, gpus_per_nic, to_nics, usable_nics};
use std::collections::BTreeMap;

/// The NUMA nodes, models and NICs by the order of the candidates.
#[derive(Debug)]
pub(in crate::solve) struct Locality {
    /// The number of 64-bit words of a set of nodes.
    words: usize,
    /// The nodes of each candidate, row by row. A candidate whose nodes are unknown has a node of its own.
    nodes: Vec<u64>,
    /// The candidates grouped by equal nodes, by the first of each.
    pub(super) groups: Vec<Set>,
    /// True if no two of these groups share a node.
    apart: bool,
    /// The nodes that several candidates share.
    shared: Vec<u64>,
    /// The candidates whose nodes are unknown.
    pub(in crate::solve) unknown: Set,
    /// The candidates beside which no CPU is left.
    pub(in crate::solve) without_cpus: Set,
    /// The candidates near which no memory is allowed.
    pub(in crate::solve) without_memory: Set,
    /// The candidates of each model, as disjoint sets. A candidate whose model is unknown has one of its own.
    pub(in crate::solve) models: Vec<Set>,
    /// The candidates whose model is unknown.
    pub(in crate::solve) unknown_models: Set,
    nics: usize,
    /// The weight from each candidate to each NIC, row by row.
    to_nics: Vec<Weight>,
    /// The greatest weight of each candidate to a NIC.
    pub(in crate::solve) nearest: Vec<Weight>,
    /// The same, where all candidates have the same.
    pub(in crate::solve) nearest_of_all: Option<Weight>,
    /// The number of GPUs that one NIC serves if all GPUs of the machine use NICs.
    pub(in crate::solve) per_nic: usize,
    all_at_once: Once<Option<Weight>>,
}

impl Locality {
    pub(in crate::solve) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let mut numbers = BTreeMap::new();
        let mut number = |key: Result<u32, usize>| {
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        };
        let mut unknown: Set = 0;
        let lists: Vec<Vec<usize>> = gpus
            .iter()
            .enumerate()
            .map(|(candidate, &gpu)| {
                if let Some(nodes) = topology.known_nodes(gpu) {
                    return nodes.iter().map(|node| number(Ok(node))).collect();
                }
                unknown |= 1 << candidate;
                vec![number(Err(gpu))]
            })
            .collect();
        let usable = topology.usable_cpus();
        let lacking = |lacks: &dyn Fn(usize) -> bool| {
            set::of((0..gpus.len()).filter(|candidate| lacks(gpus[*candidate])))
        };
        let without_cpus = lacking(&|gpu| topology.lacks_cpus(topology.devices()[gpu], &usable));
        let without_memory = lacking(&|gpu| topology.lacks_memory(gpu));
        let words = numbers.len().div_ceil(64);
        let mut nodes = vec![0; words * gpus.len()];
        for (candidate, list) in lists.iter().enumerate() {
            for node in list {
                nodes[candidate * words + node / 64] |= 1 << (node % 64);
            }
        }
        let mut groups: Vec<(&[u64], Set)> = Vec::new();
        for (candidate, own) in nodes.chunks(words.max(1)).enumerate() {
            match groups.iter_mut().find(|(nodes, _)| *nodes == own) {
                Some((_, group)) => *group |= 1 << candidate,
                None => groups.push((own, 1 << candidate)),
            }
        }
        let overlap = |a: &[u64], b: &[u64]| a.iter().zip(b).any(|(a, b)| a & b != 0);
        let apart =
            groups.iter().enumerate().all(|(at, (a, _))| groups[..at].iter().all(|(b, _)| !overlap(a, b)));
        let groups = groups.into_iter().map(|(_, group)| group).collect();
        let (mut seen, mut shared) = (vec![0; words], vec![0; words]);
        for (index, (word, shared)) in seen.iter_mut().zip(&mut shared).enumerate() {
            for own in nodes[index..].iter().step_by(words) {
                *shared |= *word & own;
                *word |= own;
            }
        }
        let nics = usable_nics(topology);
        let per_nic = gpus_per_nic(topology);
        let to_nics: Vec<Weight> =
            gpus.iter().flat_map(|&gpu| to_nics(topology, gpu, &nics, per_nic)).collect();
        let row = |gpu: usize| to_nics[gpu * nics.len()..][..nics.len()].iter().copied();
        let nearest: Vec<Weight> = (0..gpus.len()).map(|gpu| row(gpu).max().unwrap_or_default()).collect();
        let alike = nearest.iter().all(|own| *own == nearest[0]);
        let nearest_of_all = nearest.first().copied().filter(|_| alike);
        let mut models: BTreeMap<Result<&str, usize>, Set> = BTreeMap::new();
        let mut unknown_models = 0;
        let all: Vec<_> = topology.gpus().collect();
        for (candidate, &gpu) in gpus.iter().enumerate() {
            let model = all[gpu].model.as_deref();
            unknown_models |= Set::from(model.is_none()) << candidate;
            *models.entry(model.ok_or(gpu)).or_default() |= 1 << candidate;
        }
        let models = models.into_values().collect();
        Self {
            words,
            groups,
            apart,
            nodes,
            shared,
            unknown,
            without_cpus,
            without_memory,
            models,
            unknown_models,
            nics: nics.len(),
            to_nics,
            nearest,
            nearest_of_all,
            per_nic,
            all_at_once: Once::new(),
        }
    }

    /// Returns how often members of a set have unknown nodes, or no CPU or no memory left beside them.
    pub(in crate::solve) fn shortcomings(&self, set: Set) -> u32 {
        [self.unknown, self.without_cpus, self.without_memory]
            .map(|short| (set & short).count_ones())
            .iter()
            .sum()
    }

    /// Returns the number of NUMA nodes that the members of a set are local to, together.
    pub(in crate::solve) fn span(&self, set: Set) -> u32 {
        let word = |word: usize| members(set).fold(0, |all, gpu| all | self.nodes[gpu * self.words + word]);
        (0..self.words).map(|index| word(index).count_ones()).sum()
    }

    /// Returns the number of members of a set whose nodes are all among the nodes of another set.
    pub(in crate::solve) fn within(&self, set: Set, of: Set) -> usize {
        if self.apart {
            let shared = self.groups.iter().filter(|group| *group & of != 0);
            return shared.map(|group| (group & set).count_ones() as usize).sum();
        }
        let nodes = |gpu: usize| &self.nodes[gpu * self.words..][..self.words];
        let mut all = vec![0; self.words];
        for gpu in members(of) {
            all.iter_mut().zip(nodes(gpu)).for_each(|(all, own)| *all |= own);
        }
        members(set).filter(|gpu| nodes(*gpu).iter().zip(&all).all(|(own, all)| own & !all == 0)).count()
    }

    /// Returns a lower bound on the groups of equal nodes, none of them among those of the chosen candidates, that `more`
    /// candidates need to join.
    pub(in crate::solve) fn fewest_groups(&self, open: Set, chosen: Set, more: usize) -> u32 {
        if more == 0 || !self.apart {
            return u32::from(more > 0);
        }
        let mut sizes = [0; Set::BITS as usize];
        let fresh = self.groups.iter().filter(|group| *group & chosen == 0);
        let mut count = 0;
        for (own, group) in sizes.iter_mut().zip(fresh) {
            *own = (group & open).count_ones();
            count += 1;
        }
        sizes[..count].sort_unstable_by(|a, b| b.cmp(a));
        let mut held = 0;
        let enough = sizes[..count].iter().position(|own| {
            held += *own as usize;
            held >= more
        });
        enough.map_or(count, |place| place + 1) as u32
    }

    /// Returns whether exchanging two candidates changes the span of no set: they have the same nodes, or the same number of
    /// nodes of their own, the nodes of both are known, or of neither, and they have as many shortcomings.
    pub(in crate::solve) fn interchangeable(&self, a: usize, b: usize) -> bool {
        let nodes = |gpu: usize| self.nodes[gpu * self.words..][..self.words].iter().zip(&self.shared);
        let shared = |gpu: usize| nodes(gpu).map(|(own, shared)| own & shared);
        let alone = |gpu: usize| nodes(gpu).map(|(own, shared)| (own & !shared).count_ones()).sum::<u32>();
        let kind = |gpu: usize| (self.unknown >> gpu & 1, self.shortcomings(1 << gpu));
        kind(a) == kind(b) && shared(a).eq(shared(b)) && alone(a) == alone(b)
    }

    /// Returns the weight that every candidate has to its NIC where all use NICs at once; `None` if there are too few.
    pub(in crate::solve) fn all_at_once(&self) -> Option<Weight> {
        let rows = || (0..self.nearest.len()).map(|gpu| self.to_nics(gpu)).collect::<Vec<_>>();
        *self.all_at_once.get_or_init(|| bottleneck(&rows(), self.per_nic))
    }

    /// Returns the weights of one candidate to the NICs.
    pub(in crate::solve) fn to_nics(&self, gpu: usize) -> &[Weight] {
        &self.to_nics[gpu * self.nics..][..self.nics]
    }
}
