//! The NVLinks of a set of GPUs: direct ones in units of one bandwidth, and the ports to each NVSwitch fabric.

use crate::model::Topology;
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
        let nvlinks = topology.nvlinks();
        let place: BTreeMap<_, usize> =
            gpus.iter().enumerate().map(|(place, gpu)| (topology.devices()[*gpu], place)).collect();
        let count = gpus.len();
        let (mut rates, mut nominal) = (vec![0; count * count], vec![0; count * count]);
        let (mut unit, mut link) = (0, 0);
        let mut planes: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (&id, &own) in &place {
            for (far, bundle) in nvlinks.of_node(id) {
                let other = place.get(&far);
                if other.is_none() && !bundle.switch {
                    continue;
                }
                let rate = bundle.rate?.bandwidth.as_mb_per_s();
                match other {
                    Some(other) => {
                        let links = u64::from(bundle.links.max(1));
                        let each = rate / links;
                        link = if link > 0 { each.min(link) } else { each };
                        let measured = topology.measured(id, far).map(Bandwidth::as_mb_per_s);
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
        for (&id, &own) in &place {
            let measured = place.keys().filter_map(|other| topology.measured(id, *other));
            if let Some(most) = measured.max() {
                let nominal: u64 = planes.values().map(|ports| ports[own]).sum();
                for ports in planes.values_mut() {
                    ports[own] = part_of(most, ports[own], nominal);
                }
            }
        }
        let most = rates.iter().copied().max().unwrap_or(0);
        // Rates without a sensible common unit are rounded down, by never more than a part in 64.
        let unit = if unit > 0 { unit.max(most.div_ceil(MAX_UNITS)) } else { 0 };
        let direct = rates.iter().map(|rate| rate.checked_div(unit).unwrap_or(0) as u32).collect();
        Some(Self { count, unit, direct, nominal, link, planes: planes.into_values().collect() })
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
