//! The NVLinks of a set of GPUs: direct ones in units of one bandwidth, and the ports to each NVSwitch fabric.

use super::hops::fewest;
use super::{MAX_EXACT, hamilton};
use crate::model::{NodeId, Topology};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// The most units that direct links between two GPUs are counted in; finer rates are not packed.
const MAX_UNITS: u64 = 64;

/// The NVLinks inside a set, whose members are numbered from 0 in the order given.
pub(super) struct Fabric {
    /// The number of GPUs.
    pub(super) count: usize,
    /// MB/s of one unit of the direct links; 0 when there is none.
    pub(super) unit: u64,
    /// Units between each two members, row by row.
    direct: Vec<u32>,
    /// Nominal MB/s of the direct links between two members, row by row.
    nominal: Vec<u64>,
    /// Nominal MB/s of one direct link, the least of all; 0 when there is none.
    pub(super) link: u64,
    /// MB/s of each member's ports, by fabric; a fabric that one member does not reach serves the others only.
    pub(super) planes: Vec<Vec<u64>>,
}

impl Fabric {
    /// Collects the NVLinks of a set; `None` when the rate of some NVLink is unknown. A measured rate between two
    /// members takes precedence over the nominal one.
    pub(super) fn of(topology: &Topology, gpus: &[usize]) -> Option<Self> {
        let any_measured = !topology.measurements().is_empty();
        if !any_measured && topology.nvlinks().direct {
            return Some(Self::of_pairs(topology, gpus));
        }
        let nvlinks = topology.nvlinks();
        let mut place: Vec<(NodeId, usize)> =
            gpus.iter().enumerate().map(|(place, gpu)| (topology.devices()[*gpu], place)).collect();
        place.sort_unstable();
        let count = gpus.len();
        let measured = |a: NodeId, b: NodeId| if any_measured { topology.measured(a, b) } else { None };
        let (mut rates, mut nominal) = (vec![0; count * count], vec![0; count * count]);
        let (mut unit, mut link) = (0, 0);
        let mut planes: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for &(id, own) in &place {
            for (far, bundle) in nvlinks.of_node(id) {
                let other = place.binary_search_by_key(&far, |(id, _)| *id).ok().map(|other| place[other].1);
                if other.is_none() && !bundle.switch {
                    continue;
                }
                let rate = bundle.rate?.bandwidth.as_mb_per_s();
                match other {
                    Some(other) => {
                        let links = u64::from(bundle.links.max(1));
                        let each = rate / links;
                        link = if link > 0 { each.min(link) } else { each };
                        let measured = measured(id, far).map(Bandwidth::as_mb_per_s);
                        nominal[own * count + other] = rate;
                        let rate = measured.unwrap_or(rate);
                        rates[own * count + other] = rate;
                        // Rings share a pair link by link, where its rate is that of several equal links.
                        unit = gcd(unit, if rate.is_multiple_of(links) { rate / links } else { rate });
                    }
                    None => planes.entry(far).or_insert_with(|| vec![0; count])[own] += rate,
                }
            }
        }
        // Measured rates are divided among the ports.
        let at_ports = any_measured && !planes.is_empty();
        for &(id, own) in place.iter().filter(|_| at_ports) {
            let measured = place.iter().filter_map(|(other, _)| measured(id, *other));
            if let Some(most) = measured.max() {
                let nominal: u64 = planes.values().map(|ports| ports[own]).sum();
                for ports in planes.values_mut() {
                    ports[own] = part_of(most, ports[own], nominal);
                }
            }
        }
        let planes = planes.into_values().collect();
        Some(Self::new((rates, nominal), unit, link, planes))
    }

    /// Collects the NVLinks of a machine that has direct ones only, of known rates, and no measured ones.
    fn of_pairs(topology: &Topology, gpus: &[usize]) -> Self {
        let (count, pairs) = (gpus.len(), topology.pairs());
        let mut rates = vec![0; count * count];
        let (mut unit, mut link) = (0, 0);
        for (a, b) in (0..count).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let pair = pairs.pair(gpus[a], gpus[b]);
            let links = u64::from(pair.nvlinks);
            let Some(rate) = pair.rate.filter(|_| links > 0) else { continue };
            let rate = rate.bandwidth.as_mb_per_s();
            (rates[a * count + b], rates[b * count + a]) = (rate, rate);
            link = if link > 0 { link.min(rate / links) } else { rate / links };
            unit = gcd(unit, if rate.is_multiple_of(links) { rate / links } else { rate });
        }
        Self::new((rates.clone(), rates), unit, link, Vec::new())
    }

    /// Counts the links in units.
    fn new((rates, nominal): (Vec<u64>, Vec<u64>), unit: u64, link: u64, planes: Vec<Vec<u64>>) -> Self {
        let most = rates.iter().copied().max().unwrap_or(0);
        // Rates without a sensible common unit are rounded down, by never more than a part in 64.
        let unit = if unit > 0 { unit.max(most.div_ceil(MAX_UNITS)) } else { 0 };
        let direct = rates.iter().map(|rate| rate.checked_div(unit).unwrap_or(0) as u32).collect();
        Self { count: rates.len().isqrt(), unit, direct, nominal, link, planes }
    }

    /// Returns the units of the direct links between two members.
    pub(super) fn units(&self, a: usize, b: usize) -> u32 {
        self.direct[a * self.count + b]
    }

    /// Returns the halves of a link between two members. A measured rate may be a tenth below the nominal one.
    pub(super) fn halves(&self, a: usize, b: usize) -> u64 {
        let rate = u64::from(self.units(a, b)) * self.unit;
        let most = rate.max(self.nominal[a * self.count + b]);
        (rate * 11 / 10).min(most).saturating_mul(2).checked_div(self.link).unwrap_or(0)
    }

    /// Tells whether whole links make a ring through all members, of up to 16, and one is enough for NCCL.
    pub(super) fn has_ring(&self) -> bool {
        if fewest(self.count, |a, b| self.units(a, b) > 0 && self.halves(a, b) > 0) > 1 {
            return false;
        }
        let mut near = [0u32; MAX_EXACT];
        for (a, b) in (0..self.count).flat_map(|b| (0..b).map(move |a| (a, b))) {
            if self.units(a, b) > 0 && self.halves(a, b) > 1 {
                near[a] |= 1 << b;
                near[b] |= 1 << a;
            }
        }
        hamilton::cycle(&near[..self.count]).is_some()
    }

    /// Returns the MB/s that one member's NVLinks carry in one direction, into the set.
    pub(super) fn degree(&self, member: usize) -> u64 {
        let direct: u64 = (0..self.count).map(|other| u64::from(self.units(member, other))).sum();
        let ports: u64 = self
            .planes
            .iter()
            .map(|ports| {
                let others: u64 = ports.iter().sum::<u64>() - ports[member];
                ports[member].min(others)
            })
            .sum();
        direct * self.unit + ports
    }
}

/// Returns the part of a measured rate that falls on links of nominal rate `rate`, out of `all`.
pub(crate) fn part_of(measured: Bandwidth, rate: u64, all: u64) -> u64 {
    let share = u128::from(rate) * u128::from(measured.as_mb_per_s());
    share.checked_div(u128::from(all)).unwrap_or(0) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
