//! The cost of a mapping: T = Σ over dimensions of max over groups of V / B, in seconds.
//!
//! V is the number of bytes that a rank sends, B the bandwidth of the group's GPUs together: for all-reduces and
//! context rings that of the set's rings over [direct NVLinks](Topology::direct_rings), for pipelines that of the pair,
//! and for all-to-all the [cut bound](Topology::all_to_all_bound) over NVLink; where NVLink does not join the set, each
//! GPU sends to one other after another, so that B = min over i of (k − 1) / Σ over j ≠ i of 1 / b(i, j). That also
//! holds beyond the 16 GPUs for which cuts are examined.
//!
//! GPUs are numbered here by *slot*: their place in the launcher's order.

use super::groups::Grid;
use super::order::Dimension;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::search::set::{Set, members, of};
use std::collections::HashMap;

/// Returns the threshold below which a time counts as faster than `seconds`: equal sums of floats may differ by
/// rounding, and a billionth is no gain.
pub(super) fn faster_than(seconds: f64) -> f64 {
    seconds * (1.0 - 1e-9)
}

/// The communication pattern of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    Ring,
    AllToAll,
    Pair,
}

/// The groups of one dimension.
pub(super) struct Family {
    pub(super) dimension: Dimension,
    pub(super) pattern: Pattern,
    /// The bytes that each rank sends in one step; not 0.
    pub(super) bytes: u64,
    /// At least one, each of at least two ranks.
    pub(super) groups: Vec<Vec<usize>>,
}

impl Family {
    /// Returns the seconds at a bandwidth in MB/s.
    pub(super) fn seconds(&self, bandwidth: u64) -> f64 {
        self.bytes as f64 / (bandwidth as f64 * 1e6)
    }
}

/// The mapping problem: families of groups, and the GPUs for their ranks.
pub(super) struct Problem<'a> {
    pub(super) topology: &'a Topology,
    /// The positions of the GPUs by slot; as many as ranks.
    pub(super) gpus: &'a [usize],
    pub(super) families: Vec<Family>,
    /// The grids that the groups were made from.
    pub(super) grids: [Grid; 2],
    /// MB/s between slots, row by row; positive but on the diagonal.
    rates: Vec<u64>,
}

impl<'a> Problem<'a> {
    /// Prepares the problem. Fails where two of the GPUs have no known bandwidth between them, or none at all.
    pub(super) fn new(
        topology: &'a Topology,
        gpus: &'a [usize],
        families: Vec<Family>,
        grids: [Grid; 2],
    ) -> Result<Self> {
        let mut rates = vec![0; gpus.len() * gpus.len()];
        for (a, b) in (0..gpus.len()).flat_map(|a| (0..gpus.len()).map(move |b| (a, b))) {
            if a == b || families.is_empty() {
                continue;
            }
            let pair = topology.pairs().pair(gpus[a], gpus[b]);
            let rate = pair.path.and(pair.rate).map(|rate| rate.bandwidth.as_mb_per_s());
            let (first, second) = (topology.device_name(gpus[a]), topology.device_name(gpus[b]));
            let (message, help) = match rate {
                Some(0) => {
                    (format!("{first} and {second} exchange nothing"), "choose GPUs without that pair")
                }
                Some(rate) => {
                    rates[a * gpus.len() + b] = rate;
                    continue;
                }
                None => (
                    format!("the bandwidth between {first} and {second} is unknown"),
                    "add a source that tells it, such as measured bandwidths, or choose other GPUs",
                ),
            };
            return Err(Error::unsatisfiable(message).help(help));
        }
        Ok(Self { topology, gpus, families, grids, rates })
    }

    pub(super) fn ranks(&self) -> usize {
        self.gpus.len()
    }

    /// Returns the MB/s between two different slots.
    pub(super) fn rate(&self, a: usize, b: usize) -> u64 {
        self.rates[a * self.gpus.len() + b]
    }

    /// Returns the rates from one slot to the others, the greatest first.
    fn rates_of(&self, slot: usize) -> Vec<u64> {
        let others = (0..self.ranks()).filter(|other| *other != slot);
        let mut rates: Vec<u64> = others.map(|other| self.rate(slot, other)).collect();
        rates.sort_unstable_by(|a, b| b.cmp(a));
        rates
    }

    /// Returns a lower bound on the time of each family: every GPU is in some group, and a group is no faster than any
    /// of its GPUs can be in a group of that size.
    pub(super) fn floors(&self) -> Vec<f64> {
        let per_slot: Vec<(Vec<u64>, NvlinkReach)> =
            (0..self.ranks()).map(|slot| (self.rates_of(slot), NvlinkReach::of(self, slot))).collect();
        let most = |family: &Family| {
            let others = family.groups[0].len() - 1;
            let slots = per_slot.iter().map(|(rates, nvlink)| match (family.pattern, others) {
                (Pattern::Pair, _) | (Pattern::Ring, 1) => rates[0],
                // A ring that is not of NVLink alone passes over two pairs at each GPU.
                (Pattern::Ring, _) => rates[1].max(nvlink.to(others)),
                (Pattern::AllToAll, _) => rates[0].max(nvlink.to(others)),
            });
            slots.min().unwrap_or(u64::MAX)
        };
        self.families.iter().map(|family| family.seconds(most(family))).collect()
    }
}

/// An upper bound on the NVLink bandwidth of one GPU to others.
struct NvlinkReach {
    /// MB/s of the direct links to each other GPU, the greatest first.
    direct: Vec<u64>,
    /// MB/s of all ports to switches.
    ports: u64,
}

impl NvlinkReach {
    fn of(problem: &Problem<'_>, slot: usize) -> Self {
        let topology = problem.topology;
        let device = |slot: usize| topology.devices()[problem.gpus[slot]];
        let own = device(slot);
        let measured = |other: usize| topology.measured(own, device(other));
        let (mut direct, mut ports) = (Vec::new(), 0u64);
        for (far, bundle) in topology.nvlinks().of_node(own) {
            // A link of unknown rate: no NVLink bandwidth is counted anywhere.
            let rate = bundle.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s());
            match (0..problem.ranks()).find(|other| device(*other) == far) {
                Some(other) => direct.push(measured(other).map_or(rate, crate::Bandwidth::as_mb_per_s)),
                None if bundle.switch => ports = ports.saturating_add(rate),
                None => {}
            }
        }
        if ports > 0 {
            // Measured rates of ports may exceed the nominal ones.
            let others = (0..problem.ranks()).filter(|other| *other != slot);
            let most = others.filter_map(measured).max().map_or(0, crate::Bandwidth::as_mb_per_s);
            ports = ports.max(most);
        }
        direct.sort_unstable_by(|a, b| b.cmp(a));
        Self { direct, ports }
    }

    /// Returns the bound for a number of other GPUs.
    fn to(&self, others: usize) -> u64 {
        self.direct.iter().take(others).fold(self.ports, |sum, rate| sum.saturating_add(*rate))
    }
}

/// Returns the slots of some ranks.
pub(super) fn slots(ranks: &[usize], slot_of: &[usize]) -> Set {
    of(ranks.iter().map(|rank| slot_of[*rank]))
}

/// The bandwidths of sets of GPUs, memoized.
pub(super) struct Costs<'a> {
    pub(super) problem: &'a Problem<'a>,
    /// Seconds by family and set, where there are few sets; NaN where not yet computed.
    dense: Vec<Vec<f64>>,
    sparse: HashMap<(Pattern, Set), u64>,
    /// The work done: cuts examined, and parts of mappings.
    pub(super) work: u64,
    /// True if all rings so far are proven to be optimal.
    pub(super) proven: bool,
}

/// The most ranks for which a table of all sets is kept.
const MAX_DENSE: usize = 8;

impl<'a> Costs<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        let small = problem.ranks() <= MAX_DENSE;
        let table = || vec![f64::NAN; 1 << problem.ranks()];
        let dense = if small { problem.families.iter().map(|_| table()).collect() } else { Vec::new() };
        Self { problem, dense, sparse: HashMap::new(), work: 0, proven: true }
    }

    /// Returns the time of a family's group on these GPUs.
    pub(super) fn seconds(&mut self, family: usize, set: Set) -> f64 {
        let known = self.dense.get(family).map(|table| table[set as usize]);
        if let Some(known) = known.filter(|known| !known.is_nan()) {
            return known;
        }
        let own = &self.problem.families[family];
        let seconds = own.seconds(self.bandwidth(own.pattern, set));
        if let Some(table) = self.dense.get_mut(family) {
            table[set as usize] = seconds;
        }
        seconds
    }

    /// Returns the MB/s that at least two GPUs carry together, never 0.
    pub(super) fn bandwidth(&mut self, pattern: Pattern, set: Set) -> u64 {
        if let Some(known) = self.sparse.get(&(pattern, set)) {
            return *known;
        }
        let slots: Vec<usize> = members(set).collect();
        let gpus: Vec<usize> = slots.iter().map(|slot| self.problem.gpus[*slot]).collect();
        self.work += 1 << slots.len().min(16);
        let found = match pattern {
            Pattern::Pair => None,
            Pattern::Ring => self.problem.topology.direct_rings(&gpus).map(|rings| {
                self.proven &= rings.bound <= rings.bandwidth;
                rings.bandwidth
            }),
            Pattern::AllToAll => self.problem.topology.all_to_all_bound(&gpus),
        };
        let found = found.map(crate::Bandwidth::as_mb_per_s).filter(|found| *found > 0);
        let bandwidth = found.unwrap_or_else(|| match pattern {
            Pattern::AllToAll => one_after_another(self.problem, &slots),
            // All pairs are known, so every set has rings; and of two GPUs the worst pair is the pair.
            _ => worst_pair(self.problem, &slots),
        });
        self.sparse.insert((pattern, set), bandwidth);
        bandwidth
    }
}

fn worst_pair(problem: &Problem<'_>, slots: &[usize]) -> u64 {
    let pairs = slots.iter().enumerate().flat_map(|(at, a)| slots[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| problem.rate(a, b)).min().unwrap_or(1)
}

/// Returns the all-to-all bandwidth where each GPU sends its parts to one other after another.
fn one_after_another(problem: &Problem<'_>, slots: &[usize]) -> u64 {
    let others = (slots.len() - 1) as f64;
    let of = |a: usize| {
        let rates = slots.iter().filter(|b| **b != a).map(|b| problem.rate(a, *b));
        // Sums of floats depend on their order, and the result must not depend on how GPUs are numbered.
        let mut rates: Vec<u64> = rates.collect();
        rates.sort_unstable();
        others / rates.iter().map(|rate| 1.0 / *rate as f64).sum::<f64>()
    };
    (slots.iter().map(|slot| of(*slot)).fold(f64::INFINITY, f64::min).round() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fragment, Gpu, NodeId, NodeKind, NvSwitch, Provenance, TopologyBuilder, rates};
    use crate::source::PRESETS;

    /// Builds eight GPUs with as many ports to one NVSwitch, each pair measured at `rate` GB/s; the ports carry 100
    /// nominally.
    fn measured_switch(rate: impl Fn(u64, u64) -> u64) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        let gpu = |index| NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }));
        let gpus: Vec<NodeId> = (0..8).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
        let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
        for id in &gpus {
            fragment.link(*id, switch, rates::nvlink(2, 4));
        }
        for (a, b) in (0..8).flat_map(|a| (0..8).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let rate = rate(a as u64, b as u64) * 1000;
            fragment.measure(gpus[a], gpus[b], crate::Bandwidth::from_mb_per_s(rate));
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }

    /// For every set of every preset and each pattern, the time is at least the floor of a job with only such groups.
    #[test]
    fn no_group_beats_what_its_gpus_can_do() {
        let presets = PRESETS.iter().map(|preset| (preset.name, Topology::preset(preset.name).unwrap()));
        let measured = [
            ("measured", measured_switch(|a, b| 20 + a * b * 7 % 80)),
            ("measured above", measured_switch(|a, b| 20 + a * b * 7 % 150)),
            // The ring has the bandwidth of the ports, which only one pair of each GPU shows.
            ("measured above by pairs", measured_switch(|a, b| if a / 2 == b / 2 { 150 } else { 110 })),
        ];
        for (name, topology) in presets.chain(measured) {
            let count = topology.gpus().len().min(8);
            let gpus: Vec<usize> = (0..count).collect();
            for size in (2..=count).filter(|size| count.is_multiple_of(*size)) {
                for pattern in [Pattern::Ring, Pattern::AllToAll, Pattern::Pair] {
                    let size = if pattern == Pattern::Pair { 2 } else { size };
                    let groups = gpus.chunks(size).map(<[usize]>::to_vec).collect();
                    let family = Family { dimension: Dimension::Tp, pattern, bytes: 1, groups };
                    let grids = [Grid::new([]), Grid::new([])];
                    let problem = Problem::new(&topology, &gpus, vec![family], grids).unwrap();
                    let floor = problem.floors()[0];
                    let mut costs = Costs::new(&problem);
                    // The worst group of a partition holds a GPU of least reach, so the floor binds only there.
                    let sets = (1..1 << count).filter(|set: &Set| set.count_ones() as usize == size);
                    let least = (0..count)
                        .map(|slot| {
                            let with = sets.clone().filter(|set| set >> slot & 1 == 1);
                            with.map(|set| costs.seconds(0, set)).fold(f64::INFINITY, f64::min)
                        })
                        .fold(0.0, f64::max);
                    assert!(floor <= least, "{name} {pattern:?} {size}: {floor} > {least}");
                }
            }
        }
    }

    #[test]
    fn all_to_all_without_nvlink_goes_pair_by_pair() {
        let topology = Topology::preset("l40s-8-pcie").unwrap();
        let gpus: Vec<usize> = (0..8).collect();
        let groups = vec![gpus.clone()];
        let family = Family { dimension: Dimension::Ep, pattern: Pattern::AllToAll, bytes: 1, groups };
        let grids = [Grid::new([]), Grid::new([])];
        let problem = Problem::new(&topology, &gpus, vec![family], grids).unwrap();
        let mut costs = Costs::new(&problem);
        // Three others of the same socket and four of the other one.
        let expected = 7.0 / (3.0 / problem.rate(0, 1) as f64 + 4.0 / problem.rate(0, 7) as f64);
        assert_eq!(costs.bandwidth(Pattern::AllToAll, 0xff), expected.round() as u64);
    }
}
