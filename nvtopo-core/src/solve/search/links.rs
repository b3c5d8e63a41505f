//! The NVLinks of the candidates, for upper bounds on the rate between a GPU and the others of a set.

use super::set::members;
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
    pub(in crate::solve) near: Vec<Set>,
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
    count: usize,
    /// The neighbours of each candidate, and those to which it has two links or more. None unless all links are alike and none is
    /// measured.
    near: [u8; MAX_CUTS],
    wide: [u8; MAX_CUTS],
    /// The rates in MB/s inside each set, both directions together.
    inside: Box<[u64; 1 << MAX_CUTS]>,
    /// The sets of each size with their cuts.
    listed: [Once<Vec<(u64, u8)>>; MAX_CUTS + 1],
}

impl Cuts {
    /// Returns the rate in MB/s over the least cut through a set.
    pub(in crate::solve) fn least(&self, set: Set) -> u64 {
        let set = set as u8;
        let inside = |set: u8| self.inside[usize::from(set)];
        // The parts with the first member.
        let (first, rest) = (set & set.wrapping_neg(), set & set.wrapping_sub(1));
        let (mut most, mut part) = (0, rest);
        while part > 0 {
            part = (part - 1) & rest;
            most = most.max(inside(part | first) + inside(rest ^ part));
        }
        if rest == 0 { u64::MAX } else { (inside(set) - most) / 2 }
    }

    /// Returns the sets of a size within a set with their cuts, the greatest first, and the higher sets first among equals.
    pub(in crate::solve) fn of_size(&self, size: usize, set: Set) -> impl Iterator<Item = (Set, u64)> + '_ {
        let set = set as u8;
        let listed = self.listed[size].get_or_init(|| {
            let sets = (0..1 << self.count).filter(|set: &Set| set.count_ones() as usize == size);
            let mut listed: Vec<_> = sets.map(|set| (self.least(set), set as u8)).collect();
            listed.sort_unstable();
            listed
        });
        let within = listed.iter().rev().filter(move |(_, part)| part & !set == 0);
        within.map(|(least, part)| (Set::from(*part), *least))
    }

    /// Returns an upper bound in MB/s on rings over the direct links of a set, where no others count; `None` where others may. The
    /// flag tells that NCCL has no wider ring with relays. `least` is the rate over the least cut.
    pub(in crate::solve) fn direct_rings(&self, set: Set, least: u64) -> Option<(u64, bool)> {
        fn has_cycle(near: [u8; MAX_CUTS], first: u8, last: usize, left: u8) -> bool {
            left == 0 && near[last] & first != 0
                || few(near[last] & left).any(|gpu| has_cycle(near, first, gpu, left & !(1 << gpu)))
        }
        let set = set as u8;
        let (first, rest) = (set & set.wrapping_neg(), set & set.wrapping_sub(1));
        if few(set).any(|gpu| (self.near[gpu] & set).count_ones() < 2)
            || !has_cycle(self.near, first, first.trailing_zeros() as usize, rest)
        {
            return None;
        }
        let (mut most, mut narrow) = (u64::MAX, false);
        for gpu in few(set) {
            let rates = few(set & self.near[gpu]).map(|other| self.inside[1 << gpu | 1 << other] / 2);
            let (sum, widest) = rates.fold((0, 0), |(sum, most), rate| (sum + rate, most.max(rate)));
            // A ring enters and leaves a GPU over links to two others.
            most = most.min(2 * (sum - widest));
            let near = self.wide[gpu] & set;
            let far = set & !self.near[gpu] & !(1 << gpu);
            let over = || few(near).fold(near, |all, over| all | self.wide[over] & far);
            narrow = narrow || near.count_ones() < 2 && over().count_ones() < 2;
        }
        Some((if narrow { least.min(most) } else { least }, narrow))
    }
}

/// Iterates over the members of a set of a few candidates.
fn few(mut set: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let gpu = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (gpu < MAX_CUTS).then_some(gpu)
    })
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
            if any_measured && own.ports[gpu] > 0 {
                let others = ids.iter().filter(|other| *other != id);
                let measured: Vec<Option<Bandwidth>> =
                    others.map(|other| topology.measured(*id, *other)).collect();
                if let Some(most) = measured.iter().flatten().max().map(|most| most.as_mb_per_s()) {
                    let all = measured.iter().all(Option::is_some);
                    own.ports[gpu] = if all { most } else { own.ports[gpu].max(most) };
                }
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

    /// Returns the rate in MB/s of the direct links from one candidate to another.
    pub(in crate::solve) fn between(&self, from: usize, to: usize) -> u64 {
        self.direct[from * self.count + to]
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
        let all = || 0..self.count;
        let at_least = |links: u64| {
            let enough = |gpu: usize, to: usize| self.link > 0 && self.between(gpu, to) >= links * self.link;
            let near = |gpu: usize| all().filter(|to| enough(gpu, *to)).fold(0, |set, to| set | 1 << to);
            std::array::from_fn(|gpu| if gpu < self.count { near(gpu) } else { 0 })
        };
        // The rates between one candidate and each set of those after it.
        let (mut inside, mut between) = (Box::new([0; 1 << MAX_CUTS]), [0; 1 << MAX_CUTS]);
        for gpu in all().rev() {
            for rest in (0..1usize << self.count).step_by(2 << gpu).skip(1) {
                let other = rest.trailing_zeros() as usize;
                between[rest] =
                    between[rest & (rest - 1)] + self.between(gpu, other) + self.between(other, gpu);
                inside[rest | 1 << gpu] = inside[rest] + between[rest];
            }
        }
        Cuts { count: self.count, near: at_least(1), wide: at_least(2), inside, listed: Default::default() }
    }

    /// Returns whether some members of a set have direct NVLinks between them.
    pub(in crate::solve) fn any_direct(&self, set: Set) -> bool {
        members(set).any(|gpu| self.direct(gpu, set).any(|rate| rate > 0))
    }

    /// Returns whether exchanging the two changes no NVLink.
    pub(in crate::solve) fn interchangeable(&self, a: usize, b: usize) -> bool {
        self.interchangeable[a] >> b & 1 == 1
    }
}
