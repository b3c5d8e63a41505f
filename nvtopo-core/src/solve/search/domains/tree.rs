//! The domains of a machine: within each, all pairs of GPUs of different parts are worth the same.

use crate::model::{Bundle, NodeId, Topology};
use crate::query::{Weight, bottleneck, gpus_per_nic, of_pair, to_nics, usable_nics};
use crate::solve::search::value::{ONE, numa_cost};
use std::collections::{BTreeMap, BTreeSet};

/// What a request may do with a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::solve) enum Use {
    /// Nothing: it is not free.
    Gone,
    /// Leave it to the next jobs.
    Left,
    /// Take it.
    Open,
    /// It has to take it.
    In,
}

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
    /// Whether GPUs beside the same NUMA nodes are in different parts.
    pub(super) divides_homes: bool,
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
        if gpus == 0 || !is_switched(topology) {
            return None;
        }
        let levels = levels(topology)?;
        let (homes, costs) = homes(topology)?;
        let mut growth = Growth { topology, nics: nearest(topology)?, homes, costs, domains: Vec::new() };
        let whole = growth.grow((0..gpus).collect())?;
        growth.charge(whole);
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

/// Whether NVLink is switches, to which of each two GPUs of a group one has all the links of the other and maybe more, or joins two
/// GPUs and no more: what rings carry is then what the worst pair is worth.
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

/// The links of a GPU to one fabric: how many, and MB/s.
type Port = (NodeId, u64, u64);

/// GPUs that reach the same fabrics.
#[derive(Default)]
struct Group {
    gpus: Vec<usize>,
    fabrics: BTreeSet<NodeId>,
    /// The different ports that they have.
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
    /// Whether the GPUs can be put in an order of what they can send: a ring then carries what the last of its GPUs can.
    fn is_ordered(&self, topology: &Topology) -> bool {
        let ports: Vec<&Vec<Port>> = self.ports.iter().collect();
        let pairs = || ports.iter().enumerate().flat_map(|(at, a)| ports[at + 1..].iter().map(|b| (*a, *b)));
        let measured = self.gpus.iter().any(|gpu| is_measured(topology, *gpu));
        if measured {
            // What was measured of a GPU is divided among its ports as its links are.
            pairs().all(|(a, b)| are_alike(a, b)) && self.is_measured_in_order(topology)
        } else {
            pairs().all(|(a, b)| covers(a, b) || covers(b, a))
        }
    }

    /// Whether each pair has what the lesser of its GPUs has with any.
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

/// Whether something was measured of a GPU with another.
fn is_measured(topology: &Topology, gpu: usize) -> bool {
    let (devices, gpus) = (topology.devices(), topology.gpus().len());
    devices[..gpus].iter().any(|other| topology.measured(devices[gpu], *other).is_some())
}

/// Whether some ports have at least the links of others.
fn covers(ports: &[Port], others: &[Port]) -> bool {
    others.iter().all(|(fabric, links, rate)| {
        ports.iter().any(|(own, more, most)| own == fabric && more >= links && most >= rate)
    })
}

/// Whether the links of two GPUs are divided among fabrics alike.
fn are_alike(a: &[Port], b: &[Port]) -> bool {
    let sum = |ports: &[Port]| ports.iter().map(|(.., rate)| u128::from(*rate)).sum::<u128>();
    let (all_a, all_b) = (sum(a), sum(b));
    let fabrics = |ports: &[Port]| ports.iter().map(|(fabric, ..)| *fabric).collect::<Vec<_>>();
    let same = |(a, b): (&Port, &Port)| u128::from(a.2) * all_b == u128::from(b.2) * all_a;
    fabrics(a) == fabrics(b) && a.iter().zip(b).all(same)
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
    /// By home: the cost of its NUMA nodes.
    costs: Vec<i64>,
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
        self.domains.push((
            Domain { weight, level: 0, span: 0, parts: Vec::new(), gpus, nic, divides_homes: false },
            Some(home),
        ));
        self.domains.len() - 1
    }

    fn whole(&mut self, parts: Vec<usize>, weight: Weight) -> usize {
        let first = self.domains[parts[0]].1;
        let home = first.filter(|_| parts.iter().all(|part| self.domains[*part].1 == first));
        let nic = Weight::default();
        self.domains.push((
            Domain { weight, level: 0, span: 0, parts, gpus: Vec::new(), nic, divides_homes: false },
            home,
        ));
        self.domains.len() - 1
    }

    /// Counts each home of a domain where its GPUs are together, and finds the domains where they are not. The homes.
    fn charge(&mut self, domain: usize) -> BTreeSet<usize> {
        if let Some(home) = self.domains[domain].1 {
            self.domains[domain].0.span = self.costs[home];
            return BTreeSet::from([home]);
        }
        let mut homes = BTreeSet::new();
        let mut divides = false;
        for part in self.domains[domain].0.parts.clone() {
            let own = self.charge(part);
            divides |= self.domains[part].0.divides_homes || !homes.is_disjoint(&own);
            homes.extend(own);
        }
        self.domains[domain].0.divides_homes = divides;
        homes
    }
}

/// What so many pairs are worth.
pub(super) fn times(weight: Weight, pairs: u64) -> i64 {
    weight.0.saturating_mul(pairs).min(i64::MAX as u64).cast_signed()
}
