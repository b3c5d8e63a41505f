//! The NVLinks of the candidates, for upper bounds on the rate between a GPU and the others of a set.

use super::set::members;
use crate::bits::component;
use crate::model::{NodeId, Topology};
use crate::solve::search::set::Set;
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// The NVLinks by the order of the candidates, in MB/s.
#[derive(Debug)]
pub(in crate::solve) struct Links {
    count: usize,
    /// The direct links of each pair, row by row.
    direct: Vec<u64>,
    /// The rate of each candidate to NVSwitches.
    ports: Vec<u64>,
    /// The rate of the PCIe link of each candidate.
    host: Vec<u64>,
    /// The candidates that each reaches directly or over an NVSwitch.
    near: Vec<Set>,
    /// The candidates with which each candidate can be exchanged without changing any NVLink.
    twins: Vec<Set>,
    /// True where no ring needs a relay.
    no_relay: bool,
}

impl Links {
    pub(in crate::solve) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let count = gpus.len();
        let ids: Vec<_> = gpus.iter().map(|gpu| topology.devices()[*gpu]).collect();
        let mut own = Self {
            count,
            direct: vec![0; count * count],
            ports: vec![0; count],
            host: gpus.iter().map(|gpu| topology.host_bandwidth(*gpu).as_mb_per_s()).collect(),
            near: vec![0; count],
            twins: vec![0; count],
            no_relay: false,
        };
        let mut ends: Vec<BTreeMap<NodeId, Option<u64>>> = vec![BTreeMap::new(); count];
        let mut planes: BTreeMap<_, Set> = BTreeMap::new();
        for (gpu, id) in ids.iter().enumerate() {
            for (far, bundle) in topology.nvlinks().of_node(*id) {
                let rate = bundle.rate.map(|rate| rate.bandwidth.as_mb_per_s());
                ends[gpu].insert(far, rate);
                let rate = rate.unwrap_or(0);
                if bundle.switch {
                    own.ports[gpu] += rate;
                    *planes.entry(far).or_default() |= 1 << gpu;
                } else if let Some(other) = ids.iter().position(|other| *other == far) {
                    let measured = topology.measured(*id, far).map_or(0, Bandwidth::as_mb_per_s);
                    own.direct[gpu * count + other] = rate.max(measured);
                    own.near[gpu] |= 1 << other;
                }
            }
            // A measured rate is divided among the ports. Unless all pairs are measured, the nominal rates of the ports count
            // too.
            let others = ids.iter().filter(|other| *other != id);
            let measured: Vec<Option<u64>> = if topology.measurements().is_empty() {
                Vec::new()
            } else {
                others.map(|other| topology.measured(*id, *other).map(Bandwidth::as_mb_per_s)).collect()
            };
            if let Some(most) = measured.iter().flatten().max().filter(|_| own.ports[gpu] > 0) {
                let all = measured.iter().all(Option::is_some);
                own.ports[gpu] = if all { *most } else { own.ports[gpu].max(*most) };
            }
        }
        for plane in planes.into_values() {
            for gpu in members(plane) {
                own.near[gpu] |= plane & !(1 << gpu);
            }
        }
        let ids = &ids;
        let links = |gpu: usize, not: usize| ends[gpu].iter().filter(move |(far, _)| **far != ids[not]);
        for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
            own.twins[a] |= Set::from(a != b && links(a, b).eq(links(b, a))) << b;
        }
        own.no_relay = own.find_no_relay();
        own
    }

    /// Returns whether a candidate has a direct NVLink to a member of a set.
    pub(super) fn has_direct(&self, gpu: usize, set: Set) -> bool {
        self.direct(gpu, set).any(|rate| rate > 0)
    }

    /// Returns the greatest rate in MB/s at which one candidate can send to the others of a set.
    pub(in crate::solve) fn degree(&self, gpu: usize, set: Set) -> u64 {
        self.ports[gpu] + self.direct(gpu, set).sum::<u64>()
    }

    /// Returns the rates in MB/s of its direct links to each other member of a set.
    pub(in crate::solve) fn direct(&self, gpu: usize, set: Set) -> impl Iterator<Item = u64> + Clone {
        let row = &self.direct[gpu * self.count..][..self.count];
        members(set & self.near[gpu]).map(|other| row[other])
    }

    /// Returns the rate in MB/s of the PCIe link of a candidate.
    pub(in crate::solve) fn host(&self, gpu: usize) -> u64 {
        self.host[gpu]
    }

    /// Returns whether some members of a set have direct NVLinks between them.
    pub(in crate::solve) fn any_direct(&self, set: Set) -> bool {
        members(set).any(|gpu| self.has_direct(gpu, set))
    }

    /// Returns whether every two candidates that direct NVLinks connect, through others too, have direct ones between them: no
    /// ring needs a relay then.
    pub(in crate::solve) fn needs_no_relay(&self) -> bool {
        self.no_relay
    }

    /// Finds that out once: every two candidates of a search are compared by it.
    fn find_no_relay(&self) -> bool {
        let direct = |gpu: usize| {
            let row = &self.direct[gpu * self.count..][..self.count];
            row.iter()
                .enumerate()
                .filter(|(_, rate)| **rate > 0)
                .fold(1 << gpu, |set: Set, (other, _)| set | 1 << other)
        };
        (0..self.count).all(|gpu| members(direct(gpu)).all(|other| direct(other) == direct(gpu)))
    }

    /// Returns the members of a set that NVLink connects, within the set, to one of them.
    pub(in crate::solve) fn connected(&self, from: usize, set: Set) -> Set {
        component(&self.near, from, set)
    }

    /// Returns whether exchanging the two changes no NVLink.
    pub(in crate::solve) fn twins(&self, a: usize, b: usize) -> bool {
        self.twins[a] >> b & 1 == 1
    }
}
