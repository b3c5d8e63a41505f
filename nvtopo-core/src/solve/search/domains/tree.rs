//! The tree of domains of a machine: within each domain, all pairs of GPUs of different parts have the same weight.

use crate::cpuset::NodeSet;
use crate::model::{Bundle, NodeId, Topology};
use crate::query::{Weight, bottleneck, gpus_per_nic, of_pair, to_nics, usable_nics};
use crate::solve::search::value::{ONE, numa_cost};
use std::collections::{BTreeMap, BTreeSet};

/// The use that a request may make of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) enum Use {
    /// None: it is not free.
    Gone,
    /// Left to the next jobs.
    Left,
    /// May be taken.
    Open,
    /// Must be taken.
    In,
}

/// The greatest number of different weights.
pub(super) const MAX_LEVELS: usize = 8;

/// A domain: GPUs, and parts with more of them.
#[derive(Debug, Default)]
pub(super) struct Domain {
    /// The weight of two of its GPUs in different parts; of any two, if it has no parts.
    pub(super) weight: Weight,
    /// The index of the weight among the levels.
    pub(super) level: usize,
    /// The cost of the NUMA nodes that a set with any of its GPUs is local to, as far as the parts do not count them.
    pub(super) span: i64,
    /// The cost of each GPU that is in no part: of one beside which no CPU or memory is left.
    pub(super) each: i64,
    /// The parts, each before this in the list of domains, by their first GPUs.
    pub(super) parts: Vec<usize>,
    /// The GPUs that are in no part, increasing: all interchangeable.
    pub(super) gpus: Vec<usize>,
    /// The weight of these to a NIC.
    pub(super) nic: Weight,
    /// True if GPUs of the same NUMA nodes are in different parts.
    pub(super) divides_numa: bool,
}

#[derive(Debug)]
pub(super) struct Tree {
    /// The domains; the last one is the whole.
    pub(super) domains: Vec<Domain>,
    /// The weights of the domains of at least two GPUs, the greatest first.
    pub(super) levels: Vec<Weight>,
}

/// The number of GPUs of the fullest domain of at least the weight of each level.
pub(super) type Most = [u16; MAX_LEVELS];

impl Tree {
    pub(super) fn of(topology: &Topology) -> Option<Self> {
        let gpus = topology.gpus().len();
        if gpus == 0 || !is_switched(topology) {
            return None;
        }
        let levels = levels(topology)?;
        let (numa, costs) = numa(topology)?;
        let usable = topology.usable_cpus();
        let lacks =
            |gpu: usize| [topology.lacks_cpus(topology.devices()[gpu], &usable), topology.lacks_memory(gpu)];
        let each = |gpu| numa_cost(0, lacks(gpu).map(u64::from).iter().sum()).cast_signed();
        let each = (0..gpus).map(each).collect();
        let mut growth =
            Growth { topology, nics: nearest(topology)?, numa, costs, each, domains: Vec::new() };
        let whole = growth.grow((0..gpus).collect())?;
        growth.charge(whole);
        let mut domains: Vec<Domain> = growth.domains.into_iter().map(|(domain, _)| domain).collect();
        for domain in &mut domains {
            domain.level = levels.partition_point(|level| *level > domain.weight);
        }
        Some(Self { domains, levels })
    }

    /// Returns the number of GPUs of a domain.
    pub(super) fn size(&self, domain: usize) -> usize {
        let own = &self.domains[domain];
        own.gpus.len() + own.parts.iter().map(|part| self.size(*part)).sum::<usize>()
    }

    /// Returns whether the remaining GPUs of a domain count: domains with pairs, and the whole, since one GPU alone serves a job
    /// of one GPU.
    pub(super) fn counts(&self, domain: usize) -> bool {
        self.domains[domain].several() || domain + 1 == self.domains.len()
    }

    /// Returns the numbers of GPUs of the fullest domains, where `count` gives the number of each.
    pub(super) fn most(&self, count: &dyn Fn(usize) -> usize) -> Most {
        let mut most = [0; MAX_LEVELS];
        for index in (0..self.domains.len()).filter(|index| self.counts(*index)) {
            fill(&mut most, self.domains[index].level, count(index));
        }
        most
    }

    /// Returns the best weight that a set can have, by its number of GPUs.
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

    /// Returns the weights to NICs of the GPUs that can be taken, the greatest first.
    pub(super) fn nic_levels(&self, uses: &[Use]) -> Vec<Weight> {
        let open = |domain: &&Domain| domain.gpus.iter().any(|gpu| matches!(uses[*gpu], Use::Open | Use::In));
        let mut levels: Vec<Weight> = self.domains.iter().filter(open).map(|domain| domain.nic).collect();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels.dedup();
        levels
    }
}

impl Domain {
    /// Returns whether it has pairs.
    pub(super) fn several(&self) -> bool {
        self.parts.len() + self.gpus.len() > 1
    }
}

/// Counts the GPUs of a domain at its level and the levels below.
pub(super) fn fill(most: &mut Most, level: usize, count: usize) {
    for most in &mut most[level..] {
        *most = (*most).max(count as u16);
    }
}

/// Returns the weights of pairs, the greatest first; `None` if one is unknown, or there are too many.
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

/// Returns whether NVLink consists of switches, where of each two GPUs of a group one has all the links of the other and maybe
/// more, or of links that join two GPUs and no more: rings then carry the weight of the worst pair.
fn is_switched(topology: &Topology) -> bool {
    let ids = &topology.devices()[..topology.gpus().len()];
    let links = |id: NodeId| topology.nvlinks().of_node(id);
    let mut groups = Groups::default();
    for (gpu, id) in ids.iter().enumerate() {
        let direct = links(*id).filter(|(_, bundle)| !bundle.switch).count();
        let ports = || links(*id).filter(|(_, bundle)| bundle.switch);
        if direct > 1 || (direct == 1 && ports().next().is_some()) {
            return false;
        }
        let rate = |bundle: Bundle| bundle.rate.map(|rate| rate.bandwidth.as_mb_per_s());
        let ports: Option<Vec<Port>> =
            ports().map(|(far, own)| Some((far, u64::from(own.links), rate(own)?))).collect();
        match ports {
            Some(ports) if ports.is_empty() => {}
            Some(ports) => groups.join(gpu, ports),
            None => return false,
        }
    }
    groups.list.iter().all(|group| group.is_ordered(topology))
}

/// The links of a GPU to one fabric: their number, and MB/s.
type Port = (NodeId, u64, u64);

/// GPUs that reach the same fabrics.
#[derive(Default)]
struct Group {
    gpus: Vec<usize>,
    fabrics: BTreeSet<NodeId>,
    /// The distinct ports of these GPUs.
    ports: BTreeSet<Vec<Port>>,
}

#[derive(Default)]
struct Groups {
    list: Vec<Group>,
}

impl Groups {
    fn join(&mut self, gpu: usize, ports: Vec<Port>) {
        let shares = |group: &Group| ports.iter().any(|(fabric, ..)| group.fabrics.contains(fabric));
        let (mut own, others): (Vec<Group>, Vec<Group>) = self.list.drain(..).partition(shares);
        self.list = others;
        let mut group = own.pop().unwrap_or_default();
        for other in own {
            group.gpus.extend(other.gpus);
            group.fabrics.extend(other.fabrics);
            group.ports.extend(other.ports);
        }
        group.gpus.push(gpu);
        group.fabrics.extend(ports.iter().map(|(fabric, ..)| *fabric));
        group.ports.insert(ports);
        self.list.push(group);
    }
}

impl Group {
    /// Returns whether the GPUs are ordered by what they can send: a ring then carries what the last of its GPUs can send.
    fn is_ordered(&self, topology: &Topology) -> bool {
        let ports: Vec<&Vec<Port>> = self.ports.iter().collect();
        let pairs = || ports.iter().enumerate().flat_map(|(at, a)| ports[at + 1..].iter().map(|b| (*a, *b)));
        let measured = self.gpus.iter().any(|gpu| is_measured(topology, *gpu));
        if measured {
            // The measured rate of a GPU is divided among its ports as its links are.
            pairs().all(|(a, b)| are_alike(a, b)) && self.is_measured_in_order(topology)
        } else {
            pairs().all(|(a, b)| covers(a, b) || covers(b, a))
        }
    }

    /// Returns whether the weight of each pair is the lesser of the two best weights that its GPUs have with any GPU of the
    /// group.
    fn is_measured_in_order(&self, topology: &Topology) -> bool {
        let weight = |a: usize, b: usize| of_pair(topology.pairs().pair(a, b));
        let others = |gpu: usize| self.gpus.iter().copied().filter(move |other| *other != gpu);
        let most: BTreeMap<usize, Weight> = self
            .gpus
            .iter()
            .map(|gpu| (*gpu, others(*gpu).map(|other| weight(*gpu, other)).max().unwrap_or_default()))
            .collect();
        self.gpus.iter().all(|a| others(*a).all(|b| weight(*a, b) == most[a].min(most[&b])))
    }
}

/// Returns whether a rate of the GPU with another was measured.
fn is_measured(topology: &Topology, gpu: usize) -> bool {
    let (devices, gpus) = (topology.devices(), topology.gpus().len());
    devices[..gpus].iter().any(|other| topology.measured(devices[gpu], *other).is_some())
}

/// Returns whether some ports have at least the links of others.
fn covers(ports: &[Port], others: &[Port]) -> bool {
    others.iter().all(|(fabric, links, rate)| {
        ports.iter().any(|(own, more, most)| own == fabric && more >= links && most >= rate)
    })
}

/// Returns whether the links of two GPUs are divided among fabrics in the same proportion.
fn are_alike(a: &[Port], b: &[Port]) -> bool {
    let sum = |ports: &[Port]| ports.iter().map(|(.., rate)| u128::from(*rate)).sum::<u128>();
    let (all_a, all_b) = (sum(a), sum(b));
    let fabrics = |ports: &[Port]| ports.iter().map(|(fabric, ..)| *fabric).collect::<Vec<_>>();
    let same = |(a, b): (&Port, &Port)| u128::from(a.2) * all_b == u128::from(b.2) * all_a;
    fabrics(a) == fabrics(b) && a.iter().zip(b).all(same)
}

/// Numbers the NUMA domains, and returns the number of each GPU and the cost of the NUMA nodes of each number. `None` if NUMA
/// domains overlap.
fn numa(topology: &Topology) -> Option<(Vec<usize>, Vec<i64>)> {
    let mut numbers: BTreeMap<Result<NodeSet, usize>, usize> = BTreeMap::new();
    let mut costs = Vec::new();
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut numa = Vec::new();
    for gpu in 0..topology.gpus().len() {
        let nodes = topology.known_nodes(gpu);
        let cost = nodes.as_ref().map_or(numa_cost(1, 1), |nodes| numa_cost(nodes.len() as u64, 0));
        let number = *numbers.entry(nodes.clone().ok_or(gpu)).or_insert_with(|| {
            costs.push(i64::try_from(cost).unwrap_or(i64::MAX));
            costs.len() - 1
        });
        if nodes.iter().flat_map(NodeSet::iter).any(|node| *seen.entry(node).or_insert(number) != number) {
            return None;
        }
        numa.push(number);
    }
    Some((numa, costs))
}

/// Returns the greatest weight of each GPU to a NIC. `None` if not all can have theirs at once.
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

/// The domains as they are found, each with the number of its NUMA domain if all its GPUs have the same.
struct Growth<'a> {
    topology: &'a Topology,
    nics: Vec<Weight>,
    numa: Vec<usize>,
    /// The cost of the NUMA nodes of each NUMA domain.
    costs: Vec<i64>,
    /// The cost of each GPU itself.
    each: Vec<i64>,
    domains: Vec<(Domain, Option<usize>)>,
}

impl Growth<'_> {
    fn weight(&self, a: usize, b: usize) -> Weight {
        of_pair(self.topology.pairs().pair(a, b))
    }

    /// Adds the domain of these GPUs and all its parts; `None` if their pairs do not form one.
    fn grow(&mut self, gpus: Vec<usize>) -> Option<usize> {
        if gpus.len() == 1 {
            return Some(self.leaf(gpus, Weight::MAX));
        }
        let least = self.least(&gpus);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut singles: BTreeMap<(usize, Weight, i64), Vec<usize>> = BTreeMap::new();
        for part in self.joined(&gpus, least)? {
            match part[..] {
                [gpu] => {
                    let kind = (self.numa[gpu], self.nics[gpu], self.each[gpu]);
                    singles.entry(kind).or_default().push(gpu);
                }
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

    /// Returns the least weight of a pair.
    fn least(&self, gpus: &[usize]) -> Weight {
        let pairs = gpus.iter().enumerate().flat_map(|(index, a)| gpus[index + 1..].iter().map(|b| (*a, *b)));
        pairs.map(|(a, b)| self.weight(a, b)).min().unwrap_or(Weight::MAX)
    }

    /// Returns the groups that pairs of more than the least weight join, each by increasing GPU; `None` if these do not join all
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

    /// Merges the parts of one NUMA domain where there are others.
    fn by_home(&mut self, parts: &[usize], weight: Weight) -> Vec<usize> {
        let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for part in parts {
            if let Some(node) = self.domains[*part].1 {
                together.entry(node).or_default().push(*part);
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
        let (nic, node, each) = (self.nics[gpus[0]], self.numa[gpus[0]], self.each[gpus[0]]);
        self.domains.push((Domain { weight, each, gpus, nic, ..Domain::default() }, Some(node)));
        self.domains.len() - 1
    }

    fn whole(&mut self, parts: Vec<usize>, weight: Weight) -> usize {
        let first = self.domains[parts[0]].1;
        let node = first.filter(|_| parts.iter().all(|part| self.domains[*part].1 == first));
        self.domains.push((Domain { weight, parts, ..Domain::default() }, node));
        self.domains.len() - 1
    }

    /// Charges each NUMA domain to the domain that holds it, marks the domains that divide one, and returns the NUMA domains of
    /// the domain.
    fn charge(&mut self, domain: usize) -> BTreeSet<usize> {
        if let Some(node) = self.domains[domain].1 {
            self.domains[domain].0.span = self.costs[node];
            return BTreeSet::from([node]);
        }
        let mut numa = BTreeSet::new();
        let mut divides = false;
        for part in self.domains[domain].0.parts.clone() {
            let own = self.charge(part);
            divides |= self.domains[part].0.divides_numa || !numa.is_disjoint(&own);
            numa.extend(own);
        }
        self.domains[domain].0.divides_numa = divides;
        numa
    }
}

/// Returns the total weight of `pairs` pairs.
pub(super) fn times(weight: Weight, pairs: u64) -> i64 {
    weight.0.saturating_mul(pairs).min(i64::MAX as u64).cast_signed()
}
