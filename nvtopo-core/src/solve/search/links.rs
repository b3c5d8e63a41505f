//! The NVLinks of the candidates, for upper bounds on the rate between a GPU and the others of a set.

use super::set::{members, of};
use crate::bits::component;
use crate::model::{NodeId, Topology};
use crate::once::Once;
use crate::query::host_rings;
use crate::solve::search::set::Set;
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// The greatest number of candidates for which all cuts through all sets are known.
const MAX_CUTS: usize = 8;

/// The NVLinks by the order of the candidates, in MB/s.
#[derive(Debug)]
pub(in crate::solve) struct Links {
    count: usize,
    /// The direct links of each pair, row by row.
    direct: Vec<u64>,
    /// The rate of each candidate to NVSwitches.
    ports: Vec<u64>,
    /// The candidates that each reaches directly or over an NVSwitch.
    near: Vec<Set>,
    /// The candidates with which each candidate can be exchanged without changing any NVLink.
    interchangeable: Vec<Set>,
    /// True where NVLink joins more than pairs of GPUs of a small machine directly.
    meshed: bool,
    /// True where every two candidates that direct NVLinks connect, through others too, have direct ones between them: no ring
    /// needs a relay then.
    pub(in crate::solve) no_relay: bool,
    /// The rate of every direct link, where all are alike and none is measured; else 0.
    pub(in crate::solve) link: u64,
    cuts: Once<Cuts>,
}

/// The sets of a few candidates that have direct links only, by their bits.
#[derive(Debug)]
pub(in crate::solve) struct Cuts {
    /// The rates in MB/s inside each set, both directions together.
    inside: Vec<u64>,
    /// The sets of each size with their cuts.
    listed: [Once<Vec<(u64, u8)>>; MAX_CUTS + 1],
}

impl Cuts {
    /// Returns the rate in MB/s over the least cut through a set.
    pub(in crate::solve) fn least(&self, set: Set) -> u64 {
        let set = set as usize;
        // The parts with the first member.
        let (first, rest) = (set & set.wrapping_neg(), set & set.wrapping_sub(1));
        let (mut most, mut part) = (0, rest);
        while part > 0 {
            part = (part - 1) & rest;
            most = most.max(self.inside[part | first] + self.inside[rest ^ part]);
        }
        if rest == 0 { u64::MAX } else { (self.inside[set] - most) / 2 }
    }

    /// Returns the sets of a size with their cuts, the greatest first, and the higher sets first among equals.
    pub(in crate::solve) fn of_size(&self, size: usize) -> impl Iterator<Item = (Set, u64)> + '_ {
        let listed = self.listed[size].get_or_init(|| {
            let sets = (0..self.inside.len()).filter(|set| set.count_ones() as usize == size);
            let mut listed: Vec<_> = sets.map(|set| (self.least(set as Set), set as u8)).collect();
            listed.sort_unstable();
            listed
        });
        listed.iter().rev().map(|(least, set)| (Set::from(*set), *least))
    }
}

impl Links {
    pub(in crate::solve) fn of(topology: &Topology, gpus: &[usize]) -> Self {
        let count = gpus.len();
        let ids: Vec<_> = gpus.iter().map(|gpu| topology.devices()[*gpu]).collect();
        let mut own = Self {
            count,
            direct: vec![0; count * count],
            ports: vec![0; count],
            near: vec![0; count],
            interchangeable: vec![0; count],
            meshed: topology.is_meshed(),
            no_relay: false,
            link: 0,
            cuts: Once::new(),
        };
        let mut by_id: Vec<_> = ids.iter().enumerate().map(|(gpu, id)| (*id, gpu)).collect();
        by_id.sort_unstable();
        let any_measured = !topology.measurements().is_empty();
        // The rate of one link, where all are alike.
        let mut link = if any_measured { Some(0) } else { None };
        // By the node at their other end.
        let mut ends: Vec<Vec<(NodeId, Option<u64>)>> = vec![Vec::new(); count];
        let mut planes: BTreeMap<_, Set> = BTreeMap::new();
        let mut linked: Vec<Set> = (0..count).map(|gpu| 1 << gpu).collect();
        for (gpu, id) in ids.iter().enumerate() {
            for (far, bundle) in topology.nvlinks().of_node(*id) {
                let rate = bundle.rate.map(|rate| rate.bandwidth.as_mb_per_s());
                ends[gpu].push((far, rate));
                let rate = rate.unwrap_or(0);
                if bundle.switch {
                    own.ports[gpu] += rate;
                    *planes.entry(far).or_default() |= 1 << gpu;
                } else if let Ok(other) = by_id.binary_search_by_key(&far, |(id, _)| *id) {
                    let other = by_id[other].1;
                    let measured = topology.measured(*id, far).map_or(0, Bandwidth::as_mb_per_s);
                    let each = rate / u64::from(bundle.links.max(1));
                    let alike = each * u64::from(bundle.links) == rate && *link.get_or_insert(each) == each;
                    link = link.filter(|_| alike).or(Some(0));
                    let rate = rate.max(measured);
                    own.direct[gpu * count + other] = rate;
                    own.near[gpu] |= 1 << other;
                    linked[gpu] |= Set::from(rate > 0) << other;
                }
            }
            // A measured rate is divided among the ports. Unless all pairs are measured, the nominal rates of the ports count
            // too.
            let others = ids.iter().filter(|other| any_measured && *other != id);
            let measured: Vec<Option<u64>> =
                others.map(|other| topology.measured(*id, *other).map(Bandwidth::as_mb_per_s)).collect();
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
        let links = |gpu: usize, not: usize| ends[gpu].iter().filter(move |(far, _)| *far != ids[not]);
        for (a, b) in (0..count).flat_map(|b| (0..b).map(move |a| (a, b))) {
            if links(a, b).eq(links(b, a)) {
                own.interchangeable[a] |= 1 << b;
                own.interchangeable[b] |= 1 << a;
            }
        }
        own.link = link.unwrap_or(0);
        own.no_relay = linked.iter().all(|set| members(*set).all(|other| linked[other] == *set));
        own
    }

    /// Returns whether a candidate has a direct NVLink to a member of a set.
    pub(in crate::solve) fn has_direct(&self, gpu: usize, set: Set) -> bool {
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

    /// Returns the most rings of `gpus` candidates that count where they leave NVLink.
    pub(in crate::solve) fn host_rings(&self, gpus: usize) -> u64 {
        host_rings(gpus, self.meshed)
    }

    /// Returns the cuts through the sets of a few candidates that are not on a switch.
    pub(in crate::solve) fn cuts(&self) -> Option<&Cuts> {
        let direct =
            || self.direct.iter().any(|rate| *rate > 0) && self.ports.iter().all(|ports| *ports == 0);
        (self.count <= MAX_CUTS && direct()).then(|| self.cuts.get_or_init(|| self.all_cuts()))
    }

    fn all_cuts(&self) -> Cuts {
        let mut inside = vec![0; 1 << self.count];
        for set in 1..inside.len() {
            let (gpu, mut rest) = (set.trailing_zeros() as usize, set & (set - 1));
            inside[set] = inside[rest];
            while rest != 0 {
                let other = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                inside[set] += self.direct[gpu * self.count + other] + self.direct[other * self.count + gpu];
            }
        }
        Cuts { inside, listed: Default::default() }
    }

    /// Returns whether direct links make a cycle through all of a set of a few candidates.
    fn has_cycle(&self, set: Set) -> bool {
        fn goes_on(near: &[Set], first: usize, last: usize, left: Set) -> bool {
            let next = near[last] & left;
            if left == 0 {
                near[last] >> first & 1 == 1
            } else {
                members(next).any(|gpu| goes_on(near, first, gpu, left & !(1 << gpu)))
            }
        }
        let first = set.trailing_zeros() as usize;
        set.count_ones() > 2 && goes_on(&self.near, first, first, set & !(1 << first))
    }

    /// Returns an upper bound in MB/s on rings over the direct links of a set, where no others count; `None` where others may. The
    /// flag tells that NCCL has no wider ring with relays. `least` is the rate over the least cut.
    pub(in crate::solve) fn direct_rings(&self, set: Set, least: u64) -> Option<(u64, bool)> {
        if self.link == 0 || !self.has_cycle(set) {
            return None;
        }
        let wide = |gpu: usize, among: Set| {
            let rates = &self.direct[gpu * self.count..][..self.count];
            of(members(among).filter(|other| rates[*other] >= 2 * self.link))
        };
        let (mut most, mut narrow) = (u64::MAX, false);
        for gpu in members(set) {
            let (sum, widest) =
                self.direct(gpu, set).fold((0, 0), |(sum, most), rate| (sum + rate, most.max(rate)));
            // A ring enters and leaves a GPU over links to two others.
            most = most.min(2 * (sum - widest));
            if !narrow {
                let near = wide(gpu, self.near[gpu] & set);
                let far = set & !self.near[gpu] & !(1 << gpu);
                narrow = near.count_ones() < 2
                    && members(near).fold(near, |all, over| all | wide(over, far)).count_ones() < 2;
            }
        }
        Some((if narrow { least.min(most) } else { least }, narrow))
    }

    /// Returns whether some members of a set have direct NVLinks between them.
    pub(in crate::solve) fn any_direct(&self, set: Set) -> bool {
        members(set).any(|gpu| self.has_direct(gpu, set))
    }

    /// Returns the members of a set that NVLink connects, within the set, to one of them.
    pub(in crate::solve) fn connected(&self, from: usize, set: Set) -> Set {
        component(&self.near, from, set)
    }

    /// Returns whether exchanging the two changes no NVLink.
    pub(in crate::solve) fn interchangeable(&self, a: usize, b: usize) -> bool {
        self.interchangeable[a] >> b & 1 == 1
    }
}
