//! The domains of a machine: within each, all pairs of GPUs of different parts are worth the same.

use super::Use;
use crate::model::{NodeId, Topology};
use crate::solve::nics::{bottleneck, gpus_per_nic, to_nics, usable_nics};
use crate::solve::search::weight::{Weight, of_pair};
use crate::solve::search::worth::{ONE, numa_cost};
use std::collections::{BTreeMap, BTreeSet};

/// The most different weights.
pub(super) const MAX_LEVELS: usize = 8;

/// Some GPUs.
#[derive(Debug)]
pub(super) struct Domain {
    /// What two of its GPUs of different parts are worth; any two, where it has no parts.
    pub(super) weight: Weight,
    /// The place of the weight among the levels.
    pub(super) level: usize,
    /// The cost of the NUMA nodes that a set with one of its GPUs lies beside, as far as the parts do not count them.
    pub(super) span: i64,
    /// The parts, each before this in the list of domains, by their first GPUs.
    pub(super) parts: Vec<usize>,
    /// The GPUs that are in no part, increasing: all the same to everyone.
    pub(super) gpus: Vec<usize>,
    /// The way of these to a NIC.
    pub(super) nic: Weight,
}

#[derive(Debug)]
pub(super) struct Tree {
    /// The last one is the whole.
    pub(super) domains: Vec<Domain>,
    /// The weights of the domains of at least two GPUs, the greatest first.
    pub(super) levels: Vec<Weight>,
}

/// For each level, how many GPUs the fullest domain of at least that weight has.
pub(super) type Most = [u16; MAX_LEVELS];

impl Tree {
    pub(super) fn of(topology: &Topology) -> Option<Self> {
        let gpus = topology.gpus().len();
        if gpus == 0 || !topology.measurements().is_empty() || !is_switched(topology) {
            return None;
        }
        let levels = levels(topology)?;
        let (homes, costs) = homes(topology)?;
        let mut sizes = vec![0; costs.len()];
        for home in &homes {
            sizes[*home] += 1;
        }
        let mut growth =
            Growth { topology, nics: nearest(topology)?, homes, costs, sizes, domains: Vec::new() };
        let whole = growth.grow((0..gpus).collect())?;
        growth.charge(whole)?;
        let mut domains: Vec<Domain> = growth.domains.into_iter().map(|(domain, _)| domain).collect();
        for domain in &mut domains {
            domain.level = levels.partition_point(|level| *level > domain.weight);
        }
        Some(Self { domains, levels })
    }

    /// How many GPUs a domain has.
    pub(super) fn size(&self, domain: usize) -> usize {
        let own = &self.domains[domain];
        own.gpus.len() + own.parts.iter().map(|part| self.size(*part)).sum::<usize>()
    }

    /// Whether what is left in a domain counts: one GPU alone is as good as any, but it is one.
    pub(super) fn counts(&self, domain: usize) -> bool {
        self.domains[domain].several() || domain + 1 == self.domains.len()
    }

    /// The fullest domains, by how many GPUs each has.
    pub(super) fn most(&self, count: &dyn Fn(usize) -> usize) -> Most {
        let mut most = [0; MAX_LEVELS];
        for index in (0..self.domains.len()).filter(|index| self.counts(*index)) {
            fill(&mut most, self.domains[index].level, count(index));
        }
        most
    }

    /// The best weight that so many GPUs can have, by their number.
    pub(super) fn best_left(&self, most: &Most) -> Vec<Weight> {
        let mut best = vec![Weight::default()];
        if most.iter().any(|most| *most > 0) {
            best.push(Weight(ONE));
        }
        for (level, most) in self.levels.iter().zip(most) {
            best.resize(best.len().max(usize::from(*most) + 1), *level);
        }
        best
    }

    /// The ways to NICs of the GPUs that can be taken, the best first.
    pub(super) fn nic_levels(&self, uses: &[Use]) -> Vec<Weight> {
        let open = |domain: &&Domain| domain.gpus.iter().any(|gpu| matches!(uses[*gpu], Use::Open | Use::In));
        let mut levels: Vec<Weight> = self.domains.iter().filter(open).map(|domain| domain.nic).collect();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels.dedup();
        levels
    }
}

impl Domain {
    /// Whether it has pairs.
    pub(super) fn several(&self) -> bool {
        self.parts.len() + self.gpus.len() > 1
    }
}

/// Counts a domain of a level.
pub(super) fn fill(most: &mut Most, level: usize, count: usize) {
    for most in &mut most[level..] {
        *most = (*most).max(count as u16);
    }
}

/// What pairs are worth, the greatest first; `None` where one is unknown, or there are too many: every one is that of a domain.
fn levels(topology: &Topology) -> Option<Vec<Weight>> {
    let gpus = topology.gpus().len();
    let mut levels = BTreeSet::new();
    for (a, b) in (0..gpus).flat_map(|a| (a + 1..gpus).map(move |b| (a, b))) {
        let pair = topology.pairs().pair(a, b);
        levels.insert(of_pair(pair));
        if pair.rate.is_none() || pair.path.is_none() || levels.len() > MAX_LEVELS {
            return None;
        }
    }
    Some(levels.into_iter().rev().collect())
}

/// Whether NVLink is switches that all GPUs of a group have the same links to, or joins two GPUs and no more: what rings carry
/// is then what a pair is worth.
fn is_switched(topology: &Topology) -> bool {
    let ids = &topology.devices()[..topology.gpus().len()];
    let links = |id: NodeId| topology.nvlinks().of_node(id);
    let mut fabrics: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    ids.iter().all(|id| {
        let direct = links(*id).filter(|(_, bundle)| !bundle.switch).count();
        let switched = links(*id).filter(|(_, bundle)| bundle.switch).count();
        let alike = links(*id).filter(|(_, bundle)| bundle.switch).all(|(switch, _)| {
            let first = *fabrics.entry(switch).or_insert(*id);
            let ports = |id| links(id).map(|(far, bundle)| (far, bundle.rate));
            first == *id || ports(first).eq(ports(*id))
        });
        alike && direct <= 1 && (direct == 0 || switched == 0)
    })
}

/// The NUMA nodes of each GPU, numbered, and the cost of the nodes that each number stands for. `None` where some overlap.
fn homes(topology: &Topology) -> Option<(Vec<usize>, Vec<i64>)> {
    let mut numbers: BTreeMap<Result<Vec<u32>, usize>, usize> = BTreeMap::new();
    let mut costs = Vec::new();
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut homes = Vec::new();
    for gpu in 0..topology.gpus().len() {
        let key = match topology.local_nodes(topology.devices()[gpu]).known() {
            Some(nodes) if !nodes.is_empty() => Ok(nodes.iter().collect()),
            _ => Err(gpu),
        };
        let cost = key.as_ref().map_or(numa_cost(1, 1), |nodes: &Vec<u32>| numa_cost(nodes.len() as u64, 0));
        let nodes = key.clone().unwrap_or_default();
        let number = *numbers.entry(key).or_insert_with(|| {
            costs.push(i64::try_from(cost).unwrap_or(i64::MAX));
            costs.len() - 1
        });
        if nodes.into_iter().any(|node| *seen.entry(node).or_insert(number) != number) {
            return None;
        }
        homes.push(number);
    }
    Some((homes, costs))
}

/// The best way of each GPU to a NIC. `None` where not all can have theirs at once.
fn nearest(topology: &Topology) -> Option<Vec<Weight>> {
    let nics = usable_nics(topology);
    let per_nic = gpus_per_nic(topology);
    let to = |gpu: usize| to_nics(topology, gpu, &nics, per_nic).into_iter();
    let gpus = 0..topology.gpus().len();
    let nearest: Vec<Weight> = gpus.clone().map(|gpu| to(gpu).max().unwrap_or_default()).collect();
    if nics.is_empty() {
        return Some(nearest);
    }
    let rows: Vec<Vec<Weight>> =
        gpus.map(|gpu| to(gpu).map(|way| Weight(u64::from(way == nearest[gpu]))).collect()).collect();
    let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
    (bottleneck(&rows, per_nic) == Some(Weight(1))).then_some(nearest)
}

/// Domains as they are found, each with the number of its home where all its GPUs have the same.
struct Growth<'a> {
    topology: &'a Topology,
    nics: Vec<Weight>,
    homes: Vec<usize>,
    /// By home: the cost of its NUMA nodes, and how many GPUs have it.
    costs: Vec<i64>,
    sizes: Vec<usize>,
    domains: Vec<(Domain, Option<usize>)>,
}

impl Growth<'_> {
    fn weight(&self, a: usize, b: usize) -> Weight {
        of_pair(self.topology.pairs().pair(a, b))
    }

    /// A domain of these GPUs with all in it; `None` where their pairs do not make one.
    fn grow(&mut self, gpus: Vec<usize>) -> Option<usize> {
        if gpus.len() == 1 {
            return Some(self.leaf(gpus, Weight::MAX));
        }
        let least = self.least(&gpus);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut singles: BTreeMap<(usize, Weight), Vec<usize>> = BTreeMap::new();
        for part in self.joined(&gpus, least)? {
            match part[..] {
                [gpu] => singles.entry((self.homes[gpu], self.nics[gpu])).or_default().push(gpu),
                _ => parts.push(part),
            }
        }
        if parts.is_empty() && singles.len() == 1 {
            return Some(self.leaf(gpus, least));
        }
        let mut own: Vec<(usize, usize)> = Vec::new();
        for gpus in singles.into_values() {
            own.push((gpus[0], self.leaf(gpus, least)));
        }
        for part in parts {
            own.push((part[0], self.grow(part)?));
        }
        own.sort_unstable();
        let parts: Vec<usize> = own.into_iter().map(|(_, part)| part).collect();
        let parts = self.by_home(&parts, least);
        Some(self.whole(parts, least))
    }

    /// The least weight of a pair.
    fn least(&self, gpus: &[usize]) -> Weight {
        let pairs = gpus.iter().enumerate().flat_map(|(index, a)| gpus[index + 1..].iter().map(|b| (*a, *b)));
        pairs.map(|(a, b)| self.weight(a, b)).min().unwrap_or(Weight::MAX)
    }

    /// The groups that pairs of more than the least weight join, each by increasing GPU; `None` where these do not join all
    /// pairs of a group.
    fn joined(&self, gpus: &[usize], least: Weight) -> Option<Vec<Vec<usize>>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for gpu in gpus {
            let joins = |group: &[usize]| -> Option<bool> {
                let near = group.iter().filter(|other| self.weight(*gpu, **other) > least).count();
                (near == 0 || near == group.len()).then_some(near > 0)
            };
            let joins: Vec<bool> = groups.iter().map(|group| joins(group)).collect::<Option<_>>()?;
            match joins.iter().filter(|joins| **joins).count() {
                0 => groups.push(vec![*gpu]),
                1 => groups[joins.iter().position(|joins| *joins)?].push(*gpu),
                _ => return None,
            }
        }
        Some(groups)
    }

    /// The parts, with those of one home together where there are others.
    fn by_home(&mut self, parts: &[usize], weight: Weight) -> Vec<usize> {
        let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for part in parts {
            if let Some(home) = self.domains[*part].1 {
                together.entry(home).or_default().push(*part);
            }
        }
        together.retain(|_, own| own.len() > 1 && own.len() < parts.len());
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for own in together.values() {
            let whole = self.whole(own.clone(), weight);
            first.insert(own[0], whole);
        }
        let gone = |part: &usize| together.values().any(|own| own[1..].contains(part));
        parts.iter().filter(|part| !gone(part)).map(|part| *first.get(part).unwrap_or(part)).collect()
    }

    fn leaf(&mut self, gpus: Vec<usize>, weight: Weight) -> usize {
        let (nic, home) = (self.nics[gpus[0]], self.homes[gpus[0]]);
        self.domains.push((Domain { weight, level: 0, span: 0, parts: Vec::new(), gpus, nic }, Some(home)));
        self.domains.len() - 1
    }

    fn whole(&mut self, parts: Vec<usize>, weight: Weight) -> usize {
        let first = self.domains[parts[0]].1;
        let home = first.filter(|_| parts.iter().all(|part| self.domains[*part].1 == first));
        let nic = Weight::default();
        self.domains.push((Domain { weight, level: 0, span: 0, parts, gpus: Vec::new(), nic }, home));
        self.domains.len() - 1
    }

    /// Counts each home where all its GPUs are together; `None` where they are not. The number of GPUs.
    fn charge(&mut self, domain: usize) -> Option<usize> {
        let home = self.domains[domain].1;
        if let Some(home) = home {
            self.domains[domain].0.span = self.costs[home];
            let size = self.count(domain);
            return (size == self.sizes[home]).then_some(size);
        }
        let parts = self.domains[domain].0.parts.clone();
        parts.into_iter().map(|part| self.charge(part)).sum()
    }

    fn count(&self, domain: usize) -> usize {
        let own = &self.domains[domain].0;
        own.gpus.len() + own.parts.iter().map(|part| self.count(*part)).sum::<usize>()
    }
}
