//! NVSwitch fabrics with lost links: the rings of a set carry what all of its GPUs have to each fabric.

use super::set::{Set, members, of};
use super::weights::Weights;
use crate::model::{NodeId, Topology};
use crate::query::part_of;
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// The greatest number of combinations of ports that are examined.
const MAX_MEETS: usize = 256;

/// The rate to each fabric in MB/s.
type Ports = BTreeMap<NodeId, u64>;

/// Candidates with some ports in common.
#[derive(Clone, Debug)]
pub(super) struct Ported {
    pub(super) gpus: Set,
    /// The total rate of the common ports.
    pub(super) bandwidth: Bandwidth,
}

/// Returns the groups of candidates that have some ports in common, by decreasing rate, and whether these are all groups.
pub(super) fn groups(weights: &Weights, open: Set) -> (Vec<Ported>, bool) {
    let topology = weights.topology();
    let own: Vec<(usize, Ports)> =
        members(open).map(|gpu| (gpu, ports(topology, weights.position(gpu)))).collect();
    let mut meets: Vec<Ports> = Vec::new();
    for (_, ports) in own.iter().filter(|(_, ports)| !ports.is_empty()) {
        if !meets.contains(ports) {
            meets.push(ports.clone());
        }
    }
    // Every intersection of ports: first of two, then of more.
    let first = meets.len().min(MAX_MEETS);
    let mut complete = first == meets.len();
    let mut at = 0;
    while at < meets.len() && complete {
        for other in 0..first {
            let meet = common(&meets[at], &meets[other]);
            if !meet.is_empty() && !meets.contains(&meet) {
                meets.push(meet);
            }
        }
        complete = meets.len() <= MAX_MEETS;
        at += 1;
    }
    let group = |meet: &Ports| {
        let has = |ports: &Ports| {
            meet.iter().all(|(fabric, rate)| ports.get(fabric).is_some_and(|own| own >= rate))
        };
        let gpus = of(own.iter().filter(|(_, ports)| has(ports)).map(|(gpu, _)| *gpu));
        Ported { gpus, bandwidth: Bandwidth::from_mb_per_s(meet.values().sum()) }
    };
    let mut groups: Vec<Ported> = meets.iter().map(group).collect();
    groups.sort_by(|a, b| {
        b.bandwidth.cmp(&a.bandwidth).then(a.gpus.trailing_zeros().cmp(&b.gpus.trailing_zeros()))
    });
    (groups, complete)
}

fn common(a: &Ports, b: &Ports) -> Ports {
    let both = a.iter().filter_map(|(fabric, rate)| Some((*fabric, (*rate).min(*b.get(fabric)?))));
    both.filter(|(_, rate)| *rate > 0).collect()
}

/// Returns the rate of one GPU to each fabric: the nominal rate of its links, or its measured rate divided in proportion to
/// these.
fn ports(topology: &Topology, gpu: usize) -> Ports {
    let devices = topology.devices();
    let bundles = topology.nvlinks().of_node(devices[gpu]).filter(|(_, bundle)| bundle.switch);
    let mut ports: Ports = bundles
        .filter_map(|(fabric, bundle)| Some((fabric, bundle.rate?.bandwidth.as_mb_per_s())))
        .filter(|(_, rate)| *rate > 0)
        .collect();
    if ports.is_empty() || topology.measurements().is_empty() {
        return ports;
    }
    let gpus = &devices[..topology.gpus().len()];
    let measured = gpus.iter().filter_map(|other| topology.measured(devices[gpu], *other)).max();
    if let Some(most) = measured {
        let nominal: u64 = ports.values().sum();
        for rate in ports.values_mut() {
            *rate = part_of(most, *rate, nominal);
        }
    }
    ports
}
