//! Hops of rings through a set, and the share of each link that a hop takes: a direct NVLink, a relay over a third GPU
//! of the set, or PCIe.
//!
//! Rates here are those that NCCL plans with, in MB/s. Relays are chosen as NCCL chooses them.

use super::fabric::Fabric;
use super::program::NONE;
use super::{MAX_EXACT, planned};
use crate::model::{Basis, PathType, Topology};

/// The most members for which all cuts are examined.
const MAX_CUTS: usize = 10;

/// A hop: the path from one member to another.
#[derive(Clone, Copy)]
struct Hop {
    /// Its class; [`PathType::Dis`] where there is none.
    class: PathType,
    /// The links that it uses.
    uses: [u16; 3],
    /// The most that it carries, whatever its links have left.
    limit: u64,
    /// The rate of its wires.
    wire: u64,
}

/// The hops between all members of a set, in both directions, and the links that they share.
pub(super) struct Hops {
    /// The number of GPUs.
    pub(super) count: usize,
    between: Vec<Hop>,
    /// The rate of each link in its direction: NVLinks, PCIe links from and to each GPU, interconnects of NUMA nodes.
    capacity: Vec<u64>,
    /// The rate that NCCL plans with for one NVLink, and that of its wires.
    pub(super) planned: u64,
    pub(super) wire: u64,
    /// The rate of the widest PCIe link of a member.
    pub(super) host_wire: u64,
}

impl Hops {
    /// Builds the hops over NVLink: direct, and over a third member where a pair has no NVLinks.
    pub(super) fn of(fabric: &Fabric) -> Self {
        let count = fabric.count;
        let wire = fabric.link.max(1);
        let planned = planned::nvlink(wire).max(2);
        let mut own = Self {
            count,
            between: vec![Hop { class: PathType::Dis, uses: [NONE; 3], limit: 0, wire: 0 }; count * count],
            capacity: vec![0; count * count],
            planned,
            wire,
            host_wire: 0,
        };
        // The members from and to which each has links.
        let (mut from, mut to) = ([0u32; MAX_EXACT], [0u32; MAX_EXACT]);
        for (a, b) in ordered(count).filter(|(a, b)| fabric.units(*a, *b) > 0) {
            let capacity = fabric.halves(a, b) * planned / 2;
            own.capacity[a * count + b] = capacity;
            from[b] |= u32::from(capacity > 0) << a;
            to[a] |= u32::from(capacity > 0) << b;
        }
        for (a, b) in ordered(count) {
            let links = |a: usize, b: usize| own.capacity[a * count + b];
            let link = |a: usize, b: usize| (a * count + b) as u16;
            let hop = if links(a, b) > 0 {
                Some((PathType::Nvl, [link(a, b), NONE, NONE], links(a, b)))
            } else {
                let relay = relay(to[a] & from[b], links, a, b);
                relay.map(|(over, limit)| (PathType::Nvb, [link(a, over), link(over, b), NONE], limit))
            };
            if let Some((class, uses, limit)) = hop {
                own.between[a * count + b] = Hop { class, uses, limit, wire: own.wire_of(limit) };
            }
        }
        own
    }

    /// Adds the hops over PCIe between all other pairs. `None` where the rate of one is unknown.
    pub(super) fn with_host(mut self, topology: &Topology, set: &[usize]) -> Option<Self> {
        let count = self.count;
        let pair = |a: usize, b: usize| topology.pairs().pair(set[a], set[b]);
        let (up, down, smp) =
            (self.capacity.len(), self.capacity.len() + count, self.capacity.len() + 2 * count);
        for _ in 0..2 {
            for gpu in set {
                let rate = topology.host_bandwidth(*gpu).as_mb_per_s();
                self.host_wire = self.host_wire.max(rate);
                self.capacity.push(planned::pcie(rate));
            }
        }
        self.capacity.resize(smp + count * count, 0);
        // Members between which no path leaves a NUMA node share the interconnect to others.
        let mut side: Vec<usize> = (0..count).collect();
        for (a, b) in ordered(count).filter(|(a, b)| a < b) {
            let own = pair(a, b);
            let host = || topology.host_path(topology.devices()[set[a]], topology.devices()[set[b]]);
            let host = if own.nvlinks > 0 { host() } else { own.path };
            if host.is_some_and(|path| path < PathType::Sys) {
                let (from, to) = (side[a].max(side[b]), side[a].min(side[b]));
                side.iter_mut().filter(|side| **side == from).for_each(|side| *side = to);
            }
        }
        for (a, b) in ordered(count) {
            if self.between[a * count + b].class != PathType::Dis {
                continue;
            }
            let (rate, class) = (pair(a, b).rate?, pair(a, b).path?);
            let bandwidth = rate.bandwidth.as_mb_per_s();
            let typical = matches!(rate.basis, Basis::Typical | Basis::Assumed);
            let between = class >= PathType::Sys;
            // NCCL has its own number for the typical rate between NUMA nodes.
            let limit = if between && typical { bandwidth } else { planned::pcie(bandwidth) };
            let mut uses = [(up + a) as u16, (down + b) as u16, NONE];
            if between {
                let link = smp + side[a] * count + side[b];
                self.capacity[link] = self.capacity[link].max(limit);
                uses[2] = link as u16;
            }
            self.between[a * count + b] = Hop { class, uses, limit, wire: bandwidth };
        }
        Some(self)
    }

    /// Returns the least capacity left of the links of a hop.
    pub(super) fn left(&self, left: &[u64], from: usize, to: usize) -> u64 {
        let uses = self.between[from * self.count + to].uses;
        uses.iter().take_while(|link| **link != NONE).map(|link| left[usize::from(*link)]).min().unwrap_or(0)
    }

    /// Returns the links that a hop uses.
    pub(super) fn uses(&self, from: usize, to: usize) -> impl Iterator<Item = u16> + use<> {
        self.between[from * self.count + to].uses.into_iter().take_while(|link| *link != NONE)
    }

    /// Returns the most rings of a speed that NVLinks let through between the two sides of any cut.
    pub(super) fn tightest(&self, speed: u64) -> u64 {
        self.tightest_beside(speed, 0)
    }

    /// Returns that number where `host` further rings leave each member over PCIe.
    pub(super) fn tightest_beside(&self, speed: u64, host: u64) -> u64 {
        let count = self.count;
        if count > MAX_CUTS {
            return self.room(&self.capacity, PathType::Nvb, speed) + host;
        }
        let mut rings = [0; MAX_CUTS * MAX_CUTS];
        for (rings, capacity) in rings.iter_mut().zip(&self.capacity[..count * count]) {
            // None on most, without a division.
            *rings = if *capacity < speed { 0 } else { capacity / speed };
        }
        // The rings that fit inside each part of the set, both ways.
        let mut inside = vec![0; 1 << count];
        for part in 1..inside.len() {
            let (own, mut rest) = (part.trailing_zeros() as usize, part & (part - 1));
            let mut joins = 0;
            while rest != 0 {
                let other = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                joins += rings[own * count + other] + rings[other * count + own];
            }
            inside[part] = inside[part & (part - 1)] + joins;
        }
        let all = inside.len() - 1;
        let through = |part: usize| {
            let own = u64::from(part.count_ones());
            (inside[all] - inside[part] - inside[all ^ part]) / 2 + own.min(count as u64 - own) * host
        };
        (1..=all / 2).map(through).min().unwrap_or(0)
    }

    /// Returns the most that any hop carries.
    pub(super) fn widest(&self) -> u64 {
        self.between.iter().map(|hop| hop.limit).max().unwrap_or(0)
    }

    /// Takes the capacity for a ring of a speed from all links of the hop; false, and nothing taken, where one has too
    /// little left.
    pub(super) fn take(&self, left: &mut [u64], from: usize, to: usize, class: PathType, speed: u64) -> bool {
        let hop = &self.between[from * self.count + to];
        if hop.class > class || hop.limit < speed {
            return false;
        }
        let needs = self.needs(hop, speed);
        for (at, link) in hop.uses.iter().take_while(|link| **link != NONE).enumerate() {
            let link = usize::from(*link);
            if left[link] < needs(link) {
                hop.uses[..at].iter().for_each(|link| left[usize::from(*link)] += needs(usize::from(*link)));
                return false;
            }
            left[link] -= needs(link);
        }
        true
    }

    /// Gives back the capacity that [`take`](Self::take) took.
    pub(super) fn give(&self, left: &mut [u64], from: usize, to: usize, speed: u64) {
        let hop = &self.between[from * self.count + to];
        let needs = self.needs(hop, speed);
        for link in hop.uses.iter().take_while(|link| **link != NONE) {
            left[usize::from(*link)] += needs(usize::from(*link));
        }
    }

    /// Returns the share of a link that a ring of a speed takes on a hop: a host bridge makes packets of PCIe smaller.
    fn needs(&self, hop: &Hop, speed: u64) -> impl Fn(usize) -> u64 + use<> {
        let nvlinks = self.count * self.count;
        let bridged = matches!(hop.class, PathType::Phb | PathType::Node);
        move |link| if bridged && link >= nvlinks { speed * 6 / 5 } else { speed }
    }

    /// Returns the rate of the wires for a rate that NCCL plans with, in the measure of the NVLinks.
    pub(super) fn wire_of(&self, planned: u64) -> u64 {
        (u128::from(planned) * u128::from(self.wire) / u128::from(self.planned)) as u64
    }

    /// Returns the rate of the wires of the narrowest hop of a ring, and the one that NCCL plans with for it.
    pub(super) fn narrowest(&self, ring: &[u8]) -> (u64, u64) {
        let next = ring[1..].iter().chain(&ring[..1]);
        let hops =
            ring.iter().zip(next).map(|(a, b)| &self.between[usize::from(*a) * self.count + usize::from(*b)]);
        hops.map(|hop| (hop.wire, hop.limit)).min().unwrap_or((0, 0))
    }

    /// Returns the most that the links of every member carry, NVLinks and PCIe together.
    pub(super) fn most_from_each(&self) -> u64 {
        let count = self.count;
        let of = |member: usize| {
            let direct: u64 = self.capacity[member * count..][..count].iter().sum();
            direct + self.capacity.get(count * count + member).copied().unwrap_or(0)
        };
        (0..count).map(of).min().unwrap_or(0)
    }

    /// Returns the rates of all links.
    pub(super) fn capacity(&self) -> &[u64] {
        &self.capacity
    }

    /// Returns the most rings of a speed for which each member's links have enough left.
    pub(super) fn room(&self, left: &[u64], class: PathType, speed: u64) -> u64 {
        let count = self.count;
        let (nvlinks, host) = left.split_at(count * count);
        let (mut from, mut to) = ([0; MAX_EXACT], [0; MAX_EXACT]);
        for (row, from) in nvlinks.chunks(count).zip(&mut from) {
            for (left, to) in row.iter().zip(&mut to) {
                // None on most, without a division.
                if *left >= speed {
                    *from += left / speed;
                    *to += left / speed;
                }
            }
        }
        if class > PathType::Nvb && !host.is_empty() {
            for member in 0..count {
                from[member] += host[member] / speed;
                to[member] += host[count + member] / speed;
            }
        }
        (0..count).map(|member| from[member].min(to[member])).min().unwrap_or(0)
    }

    /// Tells whether hops of a class or better may carry some rings of a speed through all members. False where one has too
    /// few neighbours or links for that, they do not connect all, or a cut is too narrow.
    pub(super) fn may_carry(&self, class: PathType, speed: u64, rings: u64) -> bool {
        let mut near = [0u32; MAX_EXACT];
        let few = if self.count > 2 { 2 } else { 1 };
        for (near, row) in near.iter_mut().zip(self.between.chunks(self.count)) {
            for (to, hop) in row.iter().enumerate() {
                *near |= u32::from(hop.class <= class && hop.limit >= speed) << to;
            }
            if near.count_ones() < few {
                return false;
            }
        }
        let (mut reached, mut fresh) = (1u32, 1u32);
        while fresh != 0 {
            let next = near[fresh.trailing_zeros() as usize] & !reached;
            reached |= next;
            fresh = fresh & (fresh - 1) | next;
        }
        reached.count_ones() as usize == self.count
            && self.room(&self.capacity, class, speed) >= rings
            && (rings < 2 || class > PathType::Nvb || self.tightest(speed) >= rings)
    }

    /// Returns the classes of its hops, each once, the best first.
    pub(super) fn classes(&self) -> Vec<PathType> {
        let mut classes: Vec<PathType> = ordered(self.count).map(|(a, b)| self.class(a, b)).collect();
        classes.sort_unstable();
        classes.dedup();
        classes.retain(|class| *class < PathType::Dis);
        classes
    }

    /// Tells whether a hop of a class carries a speed.
    pub(super) fn has(&self, class: PathType, speed: u64) -> bool {
        self.between.iter().any(|hop| hop.class == class && hop.limit >= speed)
    }

    /// Returns the class of a hop.
    pub(super) fn class(&self, from: usize, to: usize) -> PathType {
        self.between[from * self.count + to].class
    }

    /// Returns the fewest rings that NCCL wants.
    pub(super) fn fewest(&self) -> usize {
        fewest(self.count, |a, b| self.class(a, b) == PathType::Nvl)
    }
}

/// Returns the fewest rings that NCCL wants: two where NVLink joins two groups of the set, as it counts them.
pub(super) fn fewest(count: usize, linked: impl Fn(usize, usize) -> bool) -> usize {
    let mut group: [usize; MAX_EXACT] = std::array::from_fn(|member| member);
    for a in 0..count {
        for b in a + 1..count {
            if linked(a, b) {
                group[b] = group[a];
            }
        }
    }
    let several = |own: &usize| group[..count].iter().filter(|group| *group == own).count() > 1;
    if (0..count).filter(several).count() == 2 { 2 } else { 1 }
}

/// Chooses the member over which NCCL relays, and returns it with its bandwidth: of those with the most bandwidth, the
/// first of the receiver's neighbours by the width of their links.
fn relay(
    mut among: u32,
    links: impl Fn(usize, usize) -> u64,
    from: usize,
    to: usize,
) -> Option<(usize, u64)> {
    let (mut best, mut found) = ((0, 0), None);
    while among != 0 {
        let over = among.trailing_zeros() as usize;
        among &= among - 1;
        let own = (links(from, over).min(links(over, to)), links(over, to));
        if own > best {
            (best, found) = (own, Some((over, own.0)));
        }
    }
    found
}

fn ordered(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (0..count).filter(move |b| *b != a).map(move |b| (a, b)))
}
