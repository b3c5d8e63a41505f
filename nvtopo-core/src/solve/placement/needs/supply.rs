//! The supplies for a job local to each GPU, and the number of GPUs of a group that they are enough for.

use super::{Needs, Taken};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{NumaNode, Topology};
use crate::query::usable_nics;
use crate::solve::cpus::{CpuLimits, NearCpus, near_cpus};
use std::collections::{BTreeMap, BTreeSet};

/// The greatest number of groups of GPUs by the stocks they draw on. Machines have one for each NUMA node.
const MAX_GROUPS: usize = 4096;

/// The supply for one job.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::solve) struct Supply {
    pub(super) needs: Needs,
    /// The CPUs near each GPU that no other job has, by position. `None`: the CPUs are unknown, or none are asked for.
    pub(super) near: Vec<Option<CpuSet>>,
    /// The usable CPUs by core.
    pub(super) cores: Vec<CpuSet>,
    /// The usable CPUs by level 3 cache, as far as that is known.
    pub(super) caches: Vec<CpuSet>,
    /// The local NUMA nodes of each GPU, by position. `None`: unknown.
    pub(super) nodes_of: Vec<Option<NodeSet>>,
    nodes: BTreeMap<u32, Stock>,
    /// The number of further GPUs that each usable NIC may serve; none if that is not asked for.
    nics: Vec<usize>,
}

/// The remaining stock of a NUMA node. `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stock {
    memory: Option<u64>,
    /// The number of pages by size; a size that is missing has none.
    pages: Option<BTreeMap<u64, u64>>,
}

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::solve) enum Kind {
    Cpus,
    Memory,
    /// Huge pages of a size in bytes.
    Pages(u64),
    Nics,
}

/// The place of a stock.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// CPUs that are near to the same GPUs.
    Cpus(CpuSet),
    /// A NUMA node by its number.
    Node(u32),
    /// All NICs of the machine.
    Nics,
}

impl Place {
    pub(super) fn node(&self) -> Option<u32> {
        if let Self::Node(node) = self { Some(*node) } else { None }
    }
}

/// The GPUs that need one kind of resource, and its stocks. GPUs whose local stocks are unknown are left out.
pub(super) struct Demand {
    pub(super) kind: Kind,
    /// The consumers, as indices of the GPUs that were asked about.
    pub(super) consumers: Vec<usize>,
    pub(super) needs: Vec<u64>,
    /// The stocks that each consumer may draw on.
    pub(super) stocks_of: Vec<Vec<usize>>,
    pub(super) stocks: Vec<u64>,
    pub(super) places: Vec<Place>,
}

/// A group of GPUs whose stocks are not enough for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::solve) struct Shortage {
    pub(super) kind: Kind,
    /// The positions of the GPUs.
    pub(in crate::solve) gpus: Vec<usize>,
    /// The number of them that can be served.
    pub(in crate::solve) most: usize,
    /// The NUMA nodes that they draw on; none for CPUs.
    pub(super) nodes: NodeSet,
    /// The total amount of these stocks.
    pub(super) amount: u64,
}

impl Supply {
    /// Returns the supply of a machine without what other jobs have.
    pub(in crate::solve) fn of(
        topology: &Topology,
        needs: &Needs,
        limits: &CpuLimits,
        taken: &Taken,
    ) -> Self {
        let gpus = topology.gpus().len();
        let known = needs.cpus > 0 && !topology.cpus().is_empty();
        let NearCpus { near, cores, caches } =
            if known { near_cpus(topology, limits) } else { NearCpus::default() };
        let whole = Self {
            needs: needs.clone(),
            near: (0..gpus).map(|gpu| near.get(gpu).cloned()).collect(),
            nodes_of: (0..gpus).map(|gpu| topology.local_memory(gpu)).collect(),
            nodes: topology.numa_nodes().map(|node| (node.os_index, Stock::of(node))).collect(),
            cores,
            caches,
            nics: Vec::new(),
        };
        Self { nics: nics(topology, needs.per_nic, taken), ..whole.less(taken) }
    }

    /// Returns the supply that is left after others took something.
    pub(in crate::solve) fn less(&self, taken: &Taken) -> Self {
        let mut left = self.clone();
        for near in left.near.iter_mut().flatten() {
            *near = near.difference(&taken.cpus);
        }
        for (node, stock) in &mut left.nodes {
            let used = taken.memory.get(node).copied().unwrap_or(0);
            stock.memory = stock.memory.map(|memory| memory.saturating_sub(used));
            for (size, count) in stock.pages.iter_mut().flatten() {
                *count = count.saturating_sub(taken.pages.get(&(*node, *size)).copied().unwrap_or(0));
            }
        }
        left
    }

    /// Returns the stock of a node for a kind of resource. `None`: unknown.
    pub(super) fn stock(&self, kind: Kind, node: u32) -> Option<u64> {
        let stock = self.nodes.get(&node)?;
        match kind {
            Kind::Cpus | Kind::Nics => None,
            Kind::Memory => stock.memory,
            Kind::Pages(size) => Some(stock.pages.as_ref()?.get(&size).copied().unwrap_or(0)),
        }
    }

    /// Returns the amount of a kind that each GPU needs.
    pub(in crate::solve) fn need(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Cpus => self.needs.cpus as u64,
            Kind::Memory => self.needs.memory,
            Kind::Pages(size) => self.needs.pages.get(&size).copied().unwrap_or(0),
            Kind::Nics => u64::from(self.needs.per_nic > 0),
        }
    }

    /// Returns the kinds that are asked for.
    pub(in crate::solve) fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        let pages = self.needs.pages.keys().map(|size| Kind::Pages(*size));
        [Kind::Cpus, Kind::Memory, Kind::Nics].into_iter().chain(pages).filter(|kind| self.need(*kind) > 0)
    }

    /// Returns the nodes from which a GPU takes a kind of resource, with their stocks; `None` if any of them is unknown.
    pub(in crate::solve) fn beside(&self, kind: Kind, gpu: usize) -> Option<BTreeMap<u32, u64>> {
        self.nodes_of[gpu].as_ref()?.iter().map(|node| Some((node, self.stock(kind, node)?))).collect()
    }

    /// Returns the CPUs that a GPU may be given; `None` if they are unknown.
    pub(in crate::solve) fn near(&self, gpu: usize) -> Option<&CpuSet> {
        self.near[gpu].as_ref()
    }

    /// Returns the number of further GPUs that each usable NIC may serve; `None` if that is not asked for.
    pub(in crate::solve) fn nics(&self) -> Option<&[usize]> {
        (self.needs.per_nic > 0).then_some(&self.nics)
    }

    /// Returns the groups of GPUs that are too many for their stocks. A set that has, of each group, no more GPUs than the stocks
    /// are enough for can be served (Hall: groups that share stocks suffice).
    pub(in crate::solve) fn shortages(&self) -> Result<Vec<Shortage>> {
        let all: Vec<(usize, &Self)> = (0..self.nodes_of.len()).map(|gpu| (gpu, self)).collect();
        let mut found = Vec::new();
        for demand in demands(&all) {
            let need = self.need(demand.kind);
            for stocks in demand.groups()? {
                let consumers = demand.consumers.iter().zip(&demand.stocks_of);
                let inside = consumers.filter(|(_, own)| own.iter().all(|stock| stocks.contains(stock)));
                let gpus: Vec<usize> = inside.map(|(gpu, _)| *gpu).collect();
                let amount = stocks.iter().fold(0u64, |sum, stock| sum.saturating_add(demand.stocks[*stock]));
                let most = usize::try_from(amount / need).unwrap_or(usize::MAX);
                if most < gpus.len() {
                    let nodes = stocks.iter().filter_map(|stock| demand.places[*stock].node()).collect();
                    found.push(Shortage { kind: demand.kind, gpus, most, nodes, amount });
                }
            }
        }
        Ok(found)
    }
}

impl Stock {
    fn of(node: &NumaNode) -> Self {
        // Memory set aside as huge pages is not available otherwise.
        let set_aside = node
            .huge_pages
            .iter()
            .fold(0u64, |sum, pages| sum.saturating_add(pages.size.saturating_mul(pages.total)));
        let pages = node.huge_pages.iter().map(|pages| (pages.size, pages.free)).collect();
        Self {
            memory: node.memory.map(|memory| memory.saturating_sub(set_aside)),
            pages: (!node.huge_pages.is_empty()).then_some(pages),
        }
    }
}

/// Returns the demands of the GPUs of jobs by kind, each GPU with the supply for its job. The nodes are those of one machine.
pub(super) fn demands(all: &[(usize, &Supply)]) -> Vec<Demand> {
    let kinds: BTreeSet<Kind> = all.iter().flat_map(|(_, supply)| supply.kinds()).collect();
    kinds.into_iter().map(|kind| Demand::of(kind, all)).collect()
}

impl Demand {
    fn of(kind: Kind, all: &[(usize, &Supply)]) -> Self {
        let mut demand = Self {
            kind,
            consumers: Vec::new(),
            needs: Vec::new(),
            stocks_of: Vec::new(),
            stocks: Vec::new(),
            places: Vec::new(),
        };
        let needy = || all.iter().enumerate().filter(|(_, (_, supply))| supply.need(kind) > 0);
        if kind == Kind::Cpus {
            let near: BTreeSet<&CpuSet> =
                needy().filter_map(|(_, (gpu, supply))| supply.near(*gpu)).collect();
            let parts = parts(near);
            for (consumer, (gpu, supply)) in needy() {
                let Some(near) = supply.near(*gpu) else { continue };
                let inside = |part: &usize| parts[*part].is_subset(near);
                demand.push(consumer, supply.need(kind), (0..parts.len()).filter(inside).collect());
            }
            demand.stocks = parts.iter().map(|part| part.len() as u64).collect();
            demand.places = parts.into_iter().map(Place::Cpus).collect();
            return demand;
        }
        if kind == Kind::Nics {
            // Any NIC serves any GPU; the objectives compare the paths.
            let sum = |left: &[usize]| left.iter().fold(0usize, |all, left| all.saturating_add(*left)) as u64;
            let left = needy().map(|(_, (_, supply))| sum(&supply.nics));
            demand.stocks = left.min().into_iter().collect();
            demand.places = vec![Place::Nics; demand.stocks.len()];
            for (consumer, _) in needy() {
                demand.push(consumer, 1, vec![0]);
            }
            return demand;
        }
        let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
        for (consumer, (gpu, supply)) in needy() {
            let Some(beside) = supply.beside(kind, *gpu) else { continue };
            let mut own = Vec::new();
            for (node, stock) in beside {
                own.push(*numbers.entry(node).or_insert_with(|| {
                    demand.stocks.push(stock);
                    demand.places.push(Place::Node(node));
                    demand.stocks.len() - 1
                }));
            }
            demand.push(consumer, supply.need(kind), own);
        }
        demand
    }

    fn push(&mut self, consumer: usize, need: u64, stocks: Vec<usize>) {
        self.consumers.push(consumer);
        self.needs.push(need);
        self.stocks_of.push(stocks);
    }

    /// Returns the stocks of each consumer, and all unions of overlapping ones.
    fn groups(&self) -> Result<BTreeSet<BTreeSet<usize>>> {
        let single: BTreeSet<BTreeSet<usize>> =
            self.stocks_of.iter().map(|stocks| stocks.iter().copied().collect()).collect();
        let mut groups = single.clone();
        let mut queue: Vec<BTreeSet<usize>> = single.iter().cloned().collect();
        while let Some(group) = queue.pop() {
            for other in single.iter().filter(|other| !other.is_disjoint(&group) && !other.is_subset(&group))
            {
                let union: BTreeSet<usize> = group.union(other).copied().collect();
                if groups.insert(union.clone()) {
                    queue.push(union);
                }
            }
            if groups.len() > MAX_GROUPS {
                let text = "the GPUs are beside too many different groups of CPUs or NUMA nodes to say which sets can be served";
                return Err(Error::new(ErrorKind::Unsupported, text)
                    .help("name fewer GPUs, or ask for CPUs, memory and huge pages elsewhere"));
            }
        }
        Ok(groups)
    }
}

/// Returns the number of further GPUs that each usable NIC may serve.
fn nics(topology: &Topology, per_nic: usize, taken: &Taken) -> Vec<usize> {
    let used = |nic: usize| taken.nics.get(&topology.device_name(nic)).copied().unwrap_or(0);
    usable_nics(topology).into_iter().map(|nic| per_nic.saturating_sub(used(nic))).collect()
}

/// Returns disjoint parts that make up each set.
fn parts(sets: BTreeSet<&CpuSet>) -> Vec<CpuSet> {
    let mut parts: Vec<CpuSet> = Vec::new();
    for set in sets {
        let rest = parts.iter().fold(set.clone(), |rest, part| rest.difference(part));
        let split = parts.iter().flat_map(|part| [part.intersection(set), part.difference(set)]);
        let mut next: Vec<CpuSet> = split.chain([rest]).collect();
        next.retain(|part| !part.is_empty());
        parts = next;
    }
    parts
}
