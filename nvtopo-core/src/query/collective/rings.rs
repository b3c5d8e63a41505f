//! Rings: the order in which data goes around a set of GPUs, and how much of it at once.

use super::fabric::Fabric;
use super::{MAX_EXACT, cuts, cycles, hamilton, members, packing};
use crate::model::{PathType, Topology};
use crate::units::Bandwidth;
use std::cmp::Reverse;

/// A ring, or several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The positions of the GPUs in [`Topology::gpus`], in the order of the ring, from the lowest.
    pub order: Vec<usize>,
    /// What the rings in this order carry together.
    pub bandwidth: Bandwidth,
}

/// The rings of a set of GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rings {
    /// The rings that carry most together, the widest first. In half of what a ring carries the data goes around the
    /// other way.
    pub rings: Vec<Ring>,
    /// What they carry together: the bandwidth of the bus that the set is.
    pub bandwidth: Bandwidth,
    /// No rings carry more. Equal to the bandwidth where that is proven to be the most.
    pub bound: Bandwidth,
    /// The class of the worst path that a ring uses, of those with the least bandwidth. `None`: unknown, where bandwidths were
    /// measured and nothing else is known.
    pub path: Option<PathType>,
}

impl Topology {
    /// The rings through all of these GPUs, by their positions in [`gpus`](Self::gpus): over NVLink as many as its links
    /// carry at once; where NVLink has no ring, the ring over other paths whose worst pair is best, by bandwidth and then by
    /// class.
    ///
    /// The value in GB/s, one direction: the greatest Σ x(R) over directed cycles R through all GPUs, such that no link
    /// carries more than its bandwidth in either direction, x in halves of one link. Two GPUs are a ring of what they
    /// share. `None`: fewer than two GPUs or one that occurs twice, a position that does not exist, or an unknown bandwidth.
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

    /// And how much work it was to find them, in steps of a fraction of a microsecond.
    pub(crate) fn rings_with_effort(&self, gpus: &[usize]) -> (Option<Rings>, u32) {
        let Some(set) = members(self, gpus) else { return (None, 0) };
        if let [a, b] = set[..] {
            return (over_pair(self, a, b), 0);
        }
        let fabric = Fabric::of(self, &set);
        let (rings, effort) = fabric.as_ref().map_or((None, 0), |fabric| over_nvlink(fabric, &set));
        if rings.is_some() {
            return (rings, effort);
        }
        let (mut rings, more) = over_all(self, &set);
        // Rings over links and switches in turn are not packed: there may be several.
        let mixed = fabric.filter(|fabric| fabric.unit > 0 && !fabric.planes.is_empty());
        if let Some((rings, fabric)) = rings.as_mut().zip(mixed) {
            rings.bound = rings.bound.max(Bandwidth::from_mb_per_s(cuts::least(&fabric)));
        }
        (rings, effort + more)
    }
}

fn over_pair(topology: &Topology, a: usize, b: usize) -> Option<Rings> {
    let pair = topology.pairs().pair(a, b);
    let bandwidth = pair.rate?.bandwidth;
    let rings = vec![Ring { order: vec![a, b], bandwidth }];
    Some(Rings { rings, bandwidth, bound: bandwidth, path: pair.path })
}

/// `None` where NVLink carries no ring.
fn over_nvlink(fabric: &Fabric, set: &[usize]) -> (Option<Rings>, u32) {
    let mut rings = Vec::new();
    let mut effort = 0;
    // A fabric carries a ring for each link that every GPU has to it, in any order.
    let switched: u64 = fabric.planes.iter().map(|ports| ports.iter().copied().min().unwrap_or(0)).sum();
    if switched > 0 {
        rings.push(Ring { order: set.to_vec(), bandwidth: Bandwidth::from_mb_per_s(switched) });
    }
    let mut bound = cuts::least(fabric);
    if fabric.unit > 0 && fabric.count <= MAX_EXACT {
        let units = u32::try_from(bound / fabric.unit).unwrap_or(u32::MAX);
        let packing = packing::pack(fabric, units);
        effort = packing.looks / LOOKS;
        rings.extend(packing.cycles.iter().map(|(cycle, units)| Ring {
            order: cycle.iter().map(|member| set[*member]).collect(),
            bandwidth: Bandwidth::from_mb_per_s(fabric.unit).times(u64::from(*units)),
        }));
        if packing.complete && fabric.planes.is_empty() {
            let packed: u64 = packing.cycles.iter().map(|(_, units)| u64::from(*units)).sum();
            bound = packed * fabric.unit;
        }
    }
    if rings.is_empty() {
        return (None, effort);
    }
    rings.sort_by_key(|ring| std::cmp::Reverse(ring.bandwidth));
    let bandwidth = rings.iter().map(|ring| ring.bandwidth).sum();
    (
        Some(Rings { rings, bandwidth, bound: Bandwidth::from_mb_per_s(bound), path: Some(PathType::Nvl) }),
        effort,
    )
}

/// Looks at cycles, or at their tables, that are one step of effort.
const LOOKS: u32 = 8;

/// The most members that cycles are looked for by more than the nearest.
const MAX_MEMBERS: usize = 128;

/// The ring whose worst pair is best, whatever its pairs go over; at equal bandwidth the nearer path is better.
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
            nearest_first(count, linked)
        } else if count <= MAX_EXACT {
            effort += (count as u32) << count >> 4;
            let near = |a: usize| (0..count).filter(|b| linked(a, *b)).fold(0u32, |set, b| set | 1 << b);
            hamilton::cycle(&(0..count).map(near).collect::<Vec<_>>())
        } else {
            nearest_first(count, linked).or_else(|| {
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
            // Below the first level with enough pairs a table of all sets has shown that there is no ring.
            let bound = if count <= MAX_EXACT { bandwidth } else { bound.unwrap_or(bandwidth) };
            return (Some(Rings { rings: vec![Ring { order, bandwidth }], bandwidth, bound, path }), effort);
        }
    }
    (None, effort)
}

/// A cycle found by always going on to the lowest neighbour that is left; not every cycle is found so.
fn nearest_first(count: usize, linked: impl Fn(usize, usize) -> bool) -> Option<Vec<usize>> {
    let mut order = vec![0];
    let mut left: Vec<usize> = (1..count).collect();
    while let Some(at) = left.iter().position(|member| linked(order[order.len() - 1], *member)) {
        order.push(left.remove(at));
    }
    (left.is_empty() && linked(order[order.len() - 1], 0)).then_some(order)
}
