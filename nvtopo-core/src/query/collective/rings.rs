//! Rings: the order in which data goes around a set of GPUs, and the bandwidth of each.

use super::directed::Search;
use super::fabric::Fabric;
use super::hops::Hops;
use super::program::Carried;
use super::{MAX_EXACT, cuts, cycles, fraction, hamilton, members, packing, plan, planned};
use crate::model::{NodeId, PathType, Topology, rates};
use crate::query::paths::pcie_rate;
use crate::units::Bandwidth;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most GPUs for which rings over relays and PCIe are searched as NCCL does. Beyond, relays count only where
/// NVLinks alone have no ring, and PCIe carries one ring.
const MAX_PLANNED: usize = 8;

/// The most rings that count where they leave NVLink.
pub(super) const MAX_HOST_RINGS: u64 = 4;

/// The most looks for further rings: where most are known, and where none are.
pub(super) const FEW_LOOKS: u32 = 1_000;
const SOME_LOOKS: u32 = 10_000;

/// The most looks of one search for directed rings.
const MAX_LOOKS: u32 = 100_000;

/// A ring, or several in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ring {
    /// The positions of the GPUs in [`Topology::gpus`], in the order of the ring, from the lowest.
    pub order: Vec<usize>,
    /// The bandwidth of the rings in this order together.
    pub bandwidth: Bandwidth,
    /// True where half of the data goes around the other way.
    pub both_ways: bool,
}

/// The rings of a set of GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rings {
    /// The rings with the greatest bandwidth together, the widest first.
    pub rings: Vec<Ring>,
    /// Their bandwidth together: the bus bandwidth of the set.
    pub bandwidth: Bandwidth,
    /// Upper bound on the bandwidth of any rings. Equal to the bandwidth where that is proven to be optimal.
    pub bound: Bandwidth,
    /// The class of the worst path that a ring uses, of those with the least bandwidth. `None`: unknown, where
    /// bandwidths were measured and nothing else is known.
    pub path: Option<PathType>,
}

impl Topology {
    /// Finds the rings through all of these GPUs that NCCL plans with, by their positions in [`gpus`](Self::gpus): over
    /// NVLink as many as its links carry at once; where NVLink has no ring, those over other paths with the greatest
    /// bandwidth.
    ///
    /// The value in GB/s, one direction: the greatest Σ x(R) over directed cycles R through all GPUs, such that no link
    /// carries more than its bandwidth in either direction, x in halves of one link. A hop between two GPUs without
    /// NVLinks of their own goes over a third GPU of the set (a relay) and takes its part of both links; of those with
    /// the most bandwidth NCCL takes the first of the receiver's neighbours, by their links and then by their numbers.
    /// Relays count where they make the widest single ring wider than direct links do, in whole links, up to two.
    ///
    /// Rings that leave NVLink are those of NCCL's ladder of speeds, from the fastest over the best class of paths down
    /// to half of it; where NVLink joins two groups of the set, as NCCL counts them, at least two rings. Their
    /// bandwidth is that of the wires for the rate that NCCL plans with, and over the interconnect of NUMA nodes no
    /// more than a PCIe link's. For up to eight GPUs of a machine of up to 16 whose NVLinks join more than pairs, up to
    /// four such rings count; else the one whose worst pair is best, by bandwidth and then by class.
    ///
    /// The ring of two GPUs is the path between them. `None`: fewer than two GPUs or one that occurs twice, a position
    /// that does not exist, or an unknown bandwidth.
    ///
    /// Source: NCCL 2.30, `src/graph/paths.cc` and `src/graph/search.cc`.
    ///
    /// ```
    /// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
    /// let all: Vec<usize> = (0..8).collect();
    /// let rings = dgx1.rings(&all).unwrap();
    /// assert_eq!(rings.bandwidth.to_string(), "150 GB/s"); // 6 NVLinks of 25 GB/s, all of them used
    /// assert_eq!(rings.bandwidth, rings.bound);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn rings(&self, gpus: &[usize]) -> Option<Rings> {
        self.rings_with_effort(gpus).0
    }

    /// Finds the rings over direct NVLinks alone, without relays: where these have no ring, one ring over other paths.
    /// The bandwidths are those of wires and do not depend on the order of the GPUs.
    ///
    /// ```
    /// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
    /// assert_eq!(dgx1.rings(&[0, 3, 4]).unwrap().bandwidth.to_string(), "50 GB/s"); // GPU0 relays between the others
    /// assert_eq!(dgx1.direct_rings(&[0, 3, 4]).unwrap().bandwidth.to_string(), "6 GB/s");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn direct_rings(&self, gpus: &[usize]) -> Option<Rings> {
        let set = members(self, gpus)?;
        match set[..] {
            [a, b] => over_pair(self, a, b),
            _ => over_own_links(self, Fabric::of(self, &set).as_ref(), &set).0,
        }
    }

    /// Finds the rings and returns the work done as well, in steps of a fraction of a microsecond.
    pub(crate) fn rings_with_effort(&self, gpus: &[usize]) -> (Option<Rings>, u32) {
        let Some(set) = members(self, gpus) else { return (None, 0) };
        if let [a, b] = set[..] {
            return (over_pair(self, a, b), 0);
        }
        let fabric = Fabric::of(self, &set);
        let direct = fabric.as_ref().filter(|fabric| fabric.unit > 0 && fabric.planes.is_empty());
        if let Some(fabric) = direct.filter(|_| set.len() <= MAX_EXACT) {
            return over_links(self, fabric, &set);
        }
        over_own_links(self, fabric.as_ref(), &set)
    }
}

/// Finds rings without relays, over NVLink or else a single one.
fn over_own_links(topology: &Topology, fabric: Option<&Fabric>, set: &[usize]) -> (Option<Rings>, u32) {
    let Packed { rings, effort, .. } = fabric.map_or_else(Packed::default, |fabric| over_nvlink(fabric, set));
    if rings.is_some() {
        return (rings, effort);
    }
    let (mut rings, more) = over_all(topology, set);
    // Rings over links and switches in turn are not packed: there may be several.
    let mixed = fabric.filter(|fabric| fabric.unit > 0 && !fabric.planes.is_empty());
    if let Some((rings, fabric)) = rings.as_mut().zip(mixed) {
        rings.bound = rings.bound.max(Bandwidth::from_mb_per_s(cuts::least(fabric)));
    }
    (rings, effort + more)
}

impl Topology {
    /// Tells whether NVLink joins more than pairs of GPUs directly, on a machine of up to 16 GPUs.
    pub(crate) fn is_meshed(&self) -> bool {
        let partners = |id: &NodeId| self.nvlinks().of_node(*id).filter(|(_, bundle)| !bundle.switch).count();
        let ids = &self.devices()[..self.gpus().len()];
        ids.len() <= MAX_EXACT && ids.iter().any(|id| partners(id) > 1)
    }

    /// Returns an upper bound on NCCL's rings of up to eight GPUs that leave NVLink, where several of them count: none where
    /// its rings keep to NVLink. `widest` is the rate in MB/s of the widest PCIe link. `None`: no bound is known.
    pub(crate) fn most_beside_nvlink(&self, gpus: &[usize], widest: u64) -> Option<Bandwidth> {
        let fabric = self.fabric_of_few(gpus)?;
        if fabric.has_ring() {
            return Some(Bandwidth::ZERO);
        }
        let hops = Hops::of(&fabric);
        if plan::over_nvlink(&hops, &mut Search::new(&hops, MAX_LOOKS)).0.is_some() {
            return Some(Bandwidth::ZERO);
        }
        let host = planned::pcie(widest);
        // Slower ones rarely carry as much as the fastest.
        let most = planned::SPEEDS.into_iter().filter(|speed| *speed <= host).fold(0, |most, speed| {
            let carried = || hops.tightest_beside(speed, host / speed).min(MAX_HOST_RINGS) * speed;
            if MAX_HOST_RINGS * speed > most { most.max(carried()) } else { most }
        });
        Some(Bandwidth::from_mb_per_s(hops.wire_of(most).max(widest)))
    }

    /// Tells whether a short search finds rings over direct NVLinks of up to eight GPUs that carry a bandwidth, one of them
    /// two links wide. `None`: it does not, the rates are measured, or some links lead to switches.
    pub(crate) fn quick_rings(&self, gpus: &[usize], carried: Bandwidth) -> Option<bool> {
        let fabric = self.fabric_of_few(gpus).filter(|fabric| fabric.unit == fabric.link)?;
        let enough = carried.as_mb_per_s().div_ceil(fabric.unit) as u32;
        let (units, widest) = packing::quick(&fabric, enough);
        (units >= enough).then_some(widest >= 4)
    }

    fn fabric_of_few(&self, gpus: &[usize]) -> Option<Fabric> {
        let fabric = Fabric::of(self, gpus).filter(|_| (3..=MAX_PLANNED).contains(&gpus.len()));
        fabric.filter(|fabric| fabric.unit > 0 && fabric.planes.is_empty())
    }

    /// Returns the bandwidth of the PCIe link of a GPU, by its position.
    pub(crate) fn host_bandwidth(&self, gpu: usize) -> Bandwidth {
        pcie_rate(self, self.devices()[gpu]).unwrap_or_else(rates::pcie_assumed).bandwidth
    }
}

/// Returns the most rings that count where they leave NVLink, by the number of GPUs: one where NVLink joins two GPUs and
/// no more.
pub(crate) fn host_rings(gpus: usize, meshed: bool) -> u64 {
    if meshed && (3..=MAX_PLANNED).contains(&gpus) { MAX_HOST_RINGS } else { 1 }
}

/// Finds the rings of a set with direct NVLinks.
fn over_links(topology: &Topology, fabric: &Fabric, set: &[usize]) -> (Option<Rings>, u32) {
    let hops = Hops::of(fabric);
    let mut search = Search::new(&hops, MAX_LOOKS);
    let few = set.len() <= MAX_PLANNED;
    let (mut class, mut complete) = if few { plan::over_nvlink(&hops, &mut search) } else { (None, true) };
    let mut effort = 0;
    if class == Some(PathType::Nvl) || !few {
        let Packed { rings, one_way, effort: more } = over_nvlink(fabric, set);
        if let Some(rings) = rings {
            // Rings in one direction can share the odd half of a link.
            let odd = fabric.unit == fabric.link && rings.bandwidth < one_way;
            let rings = match odd {
                true if few => with_odd_halves(&rings, &hops, &mut search, set, one_way),
                true => Rings { bound: one_way, ..rings },
                false => rings,
            };
            return (Some(rings), search.looks / LOOKS + more);
        }
        effort += more;
        if !few {
            let found = search.carries(PathType::Nvb, hops.planned, 1);
            class = (found == Carried::Yes).then_some(PathType::Nvb);
            complete = found != Carried::Unknown;
        }
    }
    let effort = |search: &Search<'_>| effort + search.looks / LOOKS;
    if class.is_some() {
        let most = hops.tightest(hops.planned / 2);
        let rings = in_halves(&hops, PathType::Nvb, &mut search, set, None, most);
        return (Some(rings), effort(&search));
    }
    let (mut rings, more) = over_all(topology, set);
    if let Some(single) = rings.as_mut().filter(|_| !complete) {
        single.bound = single.bound.max(most_of(&hops, hops.tightest(hops.planned / 2), hops.planned / 2));
    }
    if host_rings(set.len(), topology.is_meshed()) < 2 {
        return (rings, effort(&search) + more);
    }
    let effort = effort(&search) + more;
    let Some(hops) = hops.with_host(topology, set) else { return (rings, effort) };
    let mut search = Search::new(&hops, MAX_LOOKS);
    let plan = plan::over_host(&hops, &mut search);
    let effort = effort + search.looks / LOOKS;
    let rings = match plan {
        Some(plan) if plan.class <= PathType::Nvb => {
            let mut search = Search::new(&hops, MAX_LOOKS);
            let most = hops.tightest(hops.planned / 2);
            Some(in_halves(&hops, plan.class, &mut search, set, None, most))
        }
        Some(plan) => Some(over_host(rings, &hops, &plan, set)),
        None => rings,
    };
    (rings, effort)
}

/// Chooses between the rings that NCCL finds over PCIe, one of them alone, and the single ring without relays, by
/// bandwidth.
fn over_host(single: Option<Rings>, hops: &Hops, plan: &plan::Plan, set: &[usize]) -> Rings {
    let count = plan.rings.len() as u64;
    let together = count * plan.speed;
    let carried = if plan.class < PathType::Sys {
        hops.wire_of(together)
    } else if together < planned::pcie(hops.host_wire) {
        planned::pcie_wire(together)
    } else {
        // The interconnect of NUMA nodes carries no more than a PCIe link.
        hops.host_wire
    };
    let (one, limit) = hops.narrowest(&plan.rings[0]);
    let several = together > limit && carried > one;
    let (rings, carried) = if several { (&plan.rings[..], carried) } else { (&plan.rings[..1], one) };
    let mut rings = alike(rings, carried / rings.len() as u64, set);
    let bandwidth = Bandwidth::from_mb_per_s(carried);
    let shared: u64 = rings.iter().map(|ring| ring.bandwidth.as_mb_per_s()).sum();
    rings[0].bandwidth = rings[0].bandwidth + Bandwidth::from_mb_per_s(carried - shared);
    let most = Bandwidth::from_mb_per_s(hops.wire_of(hops.most_from_each()));
    let bound = if plan.complete { bandwidth } else { most.max(bandwidth) };
    let several = Rings { rings, bandwidth, bound, path: Some(plan.class) };
    match single {
        Some(single) if single.bandwidth > bandwidth => Rings { bound: single.bound.max(bound), ..single },
        _ => several,
    }
}

/// Finds the most rings over NVLinks, and relays where the class allows them, in halves of a link. `known`: rings of
/// whole links that are found already; `most` is an upper bound in halves.
fn in_halves(
    hops: &Hops,
    class: PathType,
    search: &mut Search<'_>,
    set: &[usize],
    known: Option<Vec<(Vec<u8>, u64)>>,
    most: u64,
) -> Rings {
    let (whole, half) = (hops.planned, hops.planned / 2);
    let mut bound = most;
    let halves = |rings: &[(Vec<u8>, u64)]| rings.iter().map(|(_, halves)| halves).sum::<u64>();
    let mut best = known.unwrap_or_else(|| {
        // Those by which the class was found: a short search may find none.
        let first = std::mem::take(&mut search.rings);
        search.most(class, whole, 1, hops.tightest(whole) as usize, FEW_LOOKS);
        let rings = if search.rings.is_empty() { &first } else { &search.rings };
        rings.iter().map(|ring| (ring.clone(), 2)).collect()
    });
    let gap = halves(&best) < bound && hops.count <= MAX_PLANNED;
    if gap && let Some(directed) = fraction::solve(hops, class, half, halves(&best), bound) {
        search.looks += directed.looks;
        bound = bound.min(directed.most);
        if !directed.rings.is_empty() {
            best = directed.rings;
        }
    }
    let mut complete = halves(&best) >= bound;
    while !complete {
        let wanted = halves(&best) as usize + 1;
        match search.carries_within(class, half, wanted, SOME_LOOKS) {
            Carried::Yes => best = search.rings.iter().map(|ring| (ring.clone(), 1)).collect(),
            Carried::No => bound = wanted as u64 - 1,
            Carried::Unknown => break,
        }
        complete = halves(&best) >= bound;
    }
    let rings: Vec<Vec<u8>> =
        best.iter().flat_map(|(ring, times)| std::iter::repeat_n(ring.clone(), *times as usize)).collect();
    let rings = alike(&rings, hops.wire_of(half), set);
    let bandwidth = rings.iter().map(|ring| ring.bandwidth).sum();
    Rings { rings, bandwidth, bound: most_of(hops, bound, half), path: Some(class) }
}

/// Returns the rings of direct links, or more of them where directed ones carry half a link more.
fn with_odd_halves(
    rings: &Rings,
    hops: &Hops,
    search: &mut Search<'_>,
    set: &[usize],
    most: Bandwidth,
) -> Rings {
    let place = |gpu: &usize| set.iter().position(|other| other == gpu).unwrap_or(0) as u8;
    let known = rings.rings.iter().flat_map(|ring| {
        let there: Vec<u8> = ring.order.iter().map(place).collect();
        let mut back = there.clone();
        back[1..].reverse();
        let halves = ring.bandwidth.as_mb_per_s() / hops.wire;
        [(there, halves), (back, halves)]
    });
    // The bandwidth of an odd number of halves was rounded down.
    let most = (2 * most.as_mb_per_s()).div_ceil(hops.wire);
    let found = in_halves(hops, PathType::Nvl, search, set, Some(known.collect()), most);
    if found.bandwidth > rings.bandwidth {
        found
    } else {
        Rings { bound: found.bound.max(rings.bandwidth), ..rings.clone() }
    }
}

/// Groups rings of one speed by their order, the widest first.
fn alike(rings: &[Vec<u8>], each: u64, set: &[usize]) -> Vec<Ring> {
    let mut counted: BTreeMap<&[u8], u64> = BTreeMap::new();
    for ring in rings {
        *counted.entry(ring).or_default() += 1;
    }
    let ring = |(order, count): (&[u8], u64)| Ring {
        order: order.iter().map(|member| set[usize::from(*member)]).collect(),
        bandwidth: Bandwidth::from_mb_per_s(each).times(count),
        both_ways: false,
    };
    let mut rings: Vec<Ring> = counted.into_iter().map(ring).collect();
    rings.sort_by_key(|ring| Reverse(ring.bandwidth));
    rings
}

/// Returns the bandwidth of a number of rings of one speed.
fn most_of(hops: &Hops, rings: u64, speed: u64) -> Bandwidth {
    Bandwidth::from_mb_per_s(hops.wire_of(speed)).times(rings)
}

fn over_pair(topology: &Topology, a: usize, b: usize) -> Option<Rings> {
    let pair = topology.pairs().pair(a, b);
    let bandwidth = pair.rate?.bandwidth;
    let rings = vec![Ring { order: vec![a, b], bandwidth, both_ways: false }];
    Some(Rings { rings, bandwidth, bound: bandwidth, path: pair.path })
}

/// Rings over NVLink that use both directions of their cycles alike.
#[derive(Default)]
struct Packed {
    /// `None` where NVLink carries no ring.
    rings: Option<Rings>,
    /// Upper bound on rings that go around in one direction.
    one_way: Bandwidth,
    effort: u32,
}

fn over_nvlink(fabric: &Fabric, set: &[usize]) -> Packed {
    let mut rings = Vec::new();
    let mut effort = 0;
    // A fabric carries a ring for each link that every GPU has to it, in any order.
    let switched: u64 = fabric.planes.iter().map(|ports| ports.iter().copied().min().unwrap_or(0)).sum();
    if switched > 0 {
        rings.push(Ring {
            order: set.to_vec(),
            bandwidth: Bandwidth::from_mb_per_s(switched),
            both_ways: true,
        });
    }
    let mut bound = cuts::least(fabric);
    let mut one_way = bound;
    if fabric.unit > 0 && fabric.count <= MAX_EXACT {
        let units = u32::try_from(bound / fabric.unit).unwrap_or(u32::MAX);
        let packing = packing::pack(fabric, units);
        effort = packing.looks / LOOKS;
        rings.extend(packing.cycles.iter().map(|(cycle, units)| Ring {
            order: cycle.iter().map(|member| set[*member]).collect(),
            bandwidth: Bandwidth::from_mb_per_s(fabric.unit).times(u64::from(*units)),
            both_ways: true,
        }));
        if fabric.planes.is_empty() {
            bound = bound.min(u64::from(packing.most) * fabric.unit);
            one_way = one_way.min(u64::from(packing.most_halves) * fabric.unit / 2).max(bound);
        }
    }
    let one_way = Bandwidth::from_mb_per_s(one_way);
    if rings.is_empty() {
        return Packed { rings: None, one_way, effort };
    }
    rings.sort_by_key(|ring| std::cmp::Reverse(ring.bandwidth));
    let bandwidth = rings.iter().map(|ring| ring.bandwidth).sum();
    let bound = Bandwidth::from_mb_per_s(bound);
    Packed { rings: Some(Rings { rings, bandwidth, bound, path: Some(PathType::Nvl) }), one_way, effort }
}

/// The number of cycles, or entries of their tables, in one step of effort.
const LOOKS: u32 = 8;

/// The most members for which cycles are searched by more than [`lowest_first`].
const MAX_MEMBERS: usize = 128;

/// Finds the ring whose worst pair is best, whatever its paths; at equal bandwidth the nearer path is better.
fn over_all(topology: &Topology, set: &[usize]) -> (Option<Rings>, u32) {
    let count = set.len();
    let worth = |a: usize, b: usize| {
        let pair = topology.pairs().pair(set[a], set[b]);
        Some((pair.rate?.bandwidth, pair.path.map(Reverse)))
    };
    let pairs = || (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    let Some(mut levels) = pairs().map(|(a, b)| worth(a, b)).collect::<Option<Vec<_>>>() else {
        return (None, 0);
    };
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let (mut bound, mut effort) = (None, 0);
    let mut looks = cycles::MAX_LOOKS;
    for least in levels {
        let linked = |a: usize, b: usize| a != b && worth(a, b) >= Some(least);
        let enough = (0..count).all(|a| (0..count).filter(|b| linked(a, *b)).nth(1).is_some());
        effort += (count * count) as u32 / LOOKS / 4;
        if !enough {
            continue;
        }
        let (bandwidth, path) = (least.0, least.1.map(|Reverse(path)| path));
        bound = bound.or(Some(bandwidth));
        let order = if count > MAX_MEMBERS {
            lowest_first(count, linked)
        } else if count <= MAX_EXACT {
            effort += (count as u32) << count >> 4;
            let near = |a: usize| (0..count).filter(|b| linked(a, *b)).fold(0u32, |set, b| set | 1 << b);
            hamilton::cycle(&(0..count).map(near).collect::<Vec<_>>())
        } else {
            lowest_first(count, linked).or_else(|| {
                let near = |a: usize| (0..count).filter(|b| linked(a, *b)).fold(0, |set, b| set | 1 << b);
                let near: Vec<u128> = (0..count).map(near).collect();
                // Some looks are left for lower levels.
                let (before, mut own) = (looks, looks / 4);
                let order = cycles::cycle(&near, u128::MAX >> (128 - count), 0, count, &mut own);
                looks -= before / 4 - own;
                effort += ((before - looks) / u64::from(LOOKS)) as u32;
                order
            })
        };
        if let Some(order) = order {
            let order = order.into_iter().map(|member| set[member]).collect();
            // Up to 16 GPUs the exact table has proven that no higher level has a ring.
            let bound = if count <= MAX_EXACT { bandwidth } else { bound.unwrap_or(bandwidth) };
            return (
                Some(Rings {
                    rings: vec![Ring { order, bandwidth, both_ways: false }],
                    bandwidth,
                    bound,
                    path,
                }),
                effort,
            );
        }
    }
    (None, effort)
}

/// Finds a cycle by always going on to the lowest neighbour left: a heuristic.
fn lowest_first(count: usize, linked: impl Fn(usize, usize) -> bool) -> Option<Vec<usize>> {
    let mut order = vec![0];
    let mut left: Vec<usize> = (1..count).collect();
    while let Some(at) = left.iter().position(|member| linked(order[order.len() - 1], *member)) {
        order.push(left.remove(at));
    }
    (left.is_empty() && linked(order[order.len() - 1], 0)).then_some(order)
}
