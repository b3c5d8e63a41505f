//! Rings, trees and all-to-all against their definitions, on known machines and on random meshes.

use nvtopo::model::{Fragment, Gpu, Link, LinkKind, NodeId, NodeKind, Provenance, TopologyBuilder, rates};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, PathType, Request, Rings, Topology};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LINK: u64 = 25_000;

/// A mesh of direct NVLinks of 25 GB/s.
fn mesh(gpus: usize, links: &[u16]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let ids: Vec<NodeId> =
        (0..gpus as u32).map(|index| fragment.add(NodeId::MACHINE, Gpu::new(index))).collect();
    for ((a, b), links) in pairs(gpus).zip(links) {
        if *links > 0 {
            fragment.link(ids[a], ids[b], rates::nvlink(2, *links));
        } else {
            fragment.state_path(ids[a], ids[b], PathType::Sys);
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

fn pairs(gpus: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..gpus).flat_map(move |a| (a + 1..gpus).map(move |b| (a, b)))
}

/// All cycles through `gpus` members, each in one direction, by trying every order.
fn all_cycles(gpus: usize) -> Vec<Vec<usize>> {
    fn extend(path: &mut Vec<usize>, gpus: usize, out: &mut Vec<Vec<usize>>) {
        if path.len() == gpus {
            if path[1] < path[gpus - 1] {
                out.push(path.clone());
            }
            return;
        }
        for next in (0..gpus).filter(|next| !path.contains(next)).collect::<Vec<_>>() {
            path.push(next);
            extend(path, gpus, out);
            path.pop();
        }
    }
    let mut out = Vec::new();
    extend(&mut vec![0], gpus, &mut out);
    out
}

/// The most cycles that doubled links hold, without any bound.
fn most(left: &mut Vec<Vec<u16>>, cycles: &[Vec<usize>]) -> u64 {
    let Some((cycle, rest)) = cycles.split_first() else { return 0 };
    let ends = || cycle.iter().zip(cycle.iter().cycle().skip(1));
    let carries = ends().map(|(a, b)| left[*a][*b]).min().unwrap();
    (0..=carries)
        .map(|units| {
            for (a, b) in ends() {
                left[*a][*b] -= units;
                left[*b][*a] -= units;
            }
            let found = u64::from(units) + most(left, rest);
            for (a, b) in ends() {
                left[*a][*b] += units;
                left[*b][*a] += units;
            }
            found
        })
        .max()
        .unwrap()
}

/// The most rings that direct links carry, in links.
pub(crate) fn most_over_direct_links(gpus: usize, links: &[u16]) -> u64 {
    let mut left = vec![vec![0; gpus]; gpus];
    for ((a, b), links) in pairs(gpus).zip(links) {
        (left[a][b], left[b][a]) = (2 * links, 2 * links);
    }
    most(&mut left, &all_cycles(gpus))
}

/// The bandwidth of NCCL's rings through all GPUs of a mesh, by all cycles: MB/s, and the worst class of a hop.
fn as_by_nccl(gpus: usize, links: &[u16]) -> (u64, PathType) {
    let planned = Planned::of(gpus, links);
    // Rings over NVLink decide by the widest of one speed.
    let fewest = planned.fewest();
    for speed in [40, 20] {
        for class in [PathType::Nvl, PathType::Nvb] {
            if planned.carries(speed, class, fewest) {
                return (planned.halves(class), class);
            }
        }
    }
    let mut best = (0, 0, PathType::Dis);
    for speed in [20, 18, 15, 12, 10, 9, 7, 6, 5, 4, 3] {
        if best.1 > 0 && 100 * speed <= 49 * best.1 {
            break;
        }
        for class in [PathType::Nvl, PathType::Nvb, PathType::Sys] {
            let most = (1..=4).take_while(|rings| planned.carries(speed, class, *rings)).count();
            if class > best.2 || most < fewest || most as u64 * speed <= best.0 {
                continue;
            }
            best = (most as u64 * speed, speed, class);
        }
    }
    match best.2 {
        PathType::Nvl | PathType::Nvb => (planned.halves(PathType::Nvb), PathType::Nvb),
        // The interconnect carries 10, and no more than a PCIe link counts.
        _ => (
            if best.0 <= 10 {
                10_000
            } else if best.0 < 12 {
                best.0 * 15_753 / 12
            } else {
                15_754
            },
            PathType::Sys,
        ),
    }
}

/// Directed rings with what NCCL plans with, in GB/s: 20 for an NVLink, 12 for PCIe, 10 between NUMA nodes.
struct Planned {
    gpus: usize,
    cycles: Vec<Vec<usize>>,
    /// For each hop its class and the links that it uses.
    hops: BTreeMap<(usize, usize), (PathType, Vec<Wire>)>,
    capacity: BTreeMap<Wire, u64>,
}

/// A link in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wire {
    NvLink(usize, usize),
    From(usize),
    To(usize),
    Between(usize, usize),
}

impl Planned {
    fn of(gpus: usize, links: &[u16]) -> Self {
        let mut count = BTreeMap::new();
        for ((a, b), links) in pairs(gpus).zip(links).filter(|(_, links)| **links > 0) {
            count.insert((a, b), u64::from(*links));
            count.insert((b, a), u64::from(*links));
        }
        let of = |a: usize, b: usize| count.get(&(a, b)).copied().unwrap_or(0);
        let mut hops = BTreeMap::new();
        let mut capacity: BTreeMap<Wire, u64> =
            count.iter().map(|((a, b), links)| (Wire::NvLink(*a, *b), 20 * links)).collect();
        for (a, b) in (0..gpus).flat_map(|a| (0..gpus).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            // Neighbours of the receiver, those with most links first; of them the first that lets most through.
            let mut near: Vec<usize> =
                (0..gpus).filter(|over| of(*over, b) > 0 && of(a, *over) > 0).collect();
            near.sort_by_key(|over| std::cmp::Reverse(of(*over, b)));
            let through = |over: &usize| of(*over, b).min(of(a, *over));
            let widest = near.iter().map(through).max();
            let relay = near.iter().find(|over| Some(through(over)) == widest);
            let hop = match relay {
                _ if of(a, b) > 0 => (PathType::Nvl, vec![Wire::NvLink(a, b)]),
                Some(over) => (PathType::Nvb, vec![Wire::NvLink(a, *over), Wire::NvLink(*over, b)]),
                None => (PathType::Sys, vec![Wire::From(a), Wire::To(b), Wire::Between(a, b)]),
            };
            capacity.extend([(Wire::From(a), 12), (Wire::To(b), 12), (Wire::Between(a, b), 10)]);
            hops.insert((a, b), hop);
        }
        let mut cycles = all_cycles(gpus);
        cycles.extend(all_cycles(gpus).into_iter().map(|mut cycle| {
            cycle[1..].reverse();
            cycle
        }));
        Self { gpus, cycles, hops, capacity }
    }

    /// The fewest rings, by the groups that NCCL counts.
    fn fewest(&self) -> usize {
        let mut group: Vec<usize> = (0..self.gpus).collect();
        for (a, b) in pairs(self.gpus).filter(|pair| self.hops[pair].0 == PathType::Nvl) {
            group[b] = group[a];
        }
        let sizes = (0..self.gpus).map(|own| group.iter().filter(|group| **group == own).count());
        if sizes.filter(|size| *size > 1).count() == 2 { 2 } else { 1 }
    }

    fn carries(&self, speed: u64, class: PathType, rings: usize) -> bool {
        let allowed = |cycle: &&Vec<usize>| ends(cycle).all(|hop| self.hops[&hop].0 <= class);
        let cycles: Vec<Vec<Wire>> = self
            .cycles
            .iter()
            .filter(allowed)
            .map(|cycle| ends(cycle).flat_map(|hop| self.hops[&hop].1.clone()).collect())
            .collect();
        let mut left = self.capacity.clone();
        fit(&mut left, &cycles, speed, rings)
    }

    /// The bandwidth of halves of links, in MB/s.
    fn halves(&self, class: PathType) -> u64 {
        (1..=64).take_while(|rings| self.carries(10, class, *rings)).count() as u64 * LINK / 2
    }
}

/// Searches for so many rings along these cycles.
fn fit(left: &mut BTreeMap<Wire, u64>, cycles: &[Vec<Wire>], speed: u64, rings: usize) -> bool {
    if rings == 0 {
        return true;
    }
    cycles.iter().enumerate().any(|(at, cycle)| {
        let before = left.clone();
        let carried = cycle.iter().all(|wire| {
            let left = left.get_mut(wire).unwrap();
            *left >= speed && {
                *left -= speed;
                true
            }
        });
        let found = carried && fit(left, &cycles[at..], speed, rings - 1);
        *left = before;
        found
    })
}

/// The members of a ring with those that follow them.
fn ends(cycle: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    cycle.iter().copied().zip(cycle.iter().copied().cycle().skip(1))
}

/// Holds rings against the links of the machine, knowing nothing of how they were found.
#[track_caller]
fn check(topology: &Topology, set: &[usize], rings: &Rings) {
    let sum: Bandwidth = rings.rings.iter().map(|ring| ring.bandwidth).sum();
    assert_eq!(sum, rings.bandwidth);
    assert!(rings.bound >= rings.bandwidth);
    let mut used = vec![vec![0; topology.gpus().len()]; topology.gpus().len()];
    for ring in &rings.rings {
        let mut members = ring.order.clone();
        members.sort_unstable();
        assert_eq!(members, set);
        for (a, b) in ends(&ring.order) {
            let linked = |a: usize, b: usize| topology.pairs().pair(a, b).path == Some(PathType::Nvl);
            let pair = topology.pairs().pair(a, b);
            let relayed = set.iter().any(|over| linked(a, *over) && linked(*over, b));
            assert!(
                pair.path.unwrap() <= rings.path.unwrap() || relayed && rings.path >= Some(PathType::Nvb)
            );
            // What goes over a third GPU or a PCIe link is held against brute force.
            if !linked(a, b) {
                continue;
            }
            let each = ring.bandwidth.as_mb_per_s();
            used[a][b] += if ring.both_ways { each / 2 } else { each };
            used[b][a] += if ring.both_ways { each / 2 } else { 0 };
        }
    }
    // Rings over NVSwitches are limited by ports, not by pairs.
    let direct = topology.links().all(|(a, b, link)| {
        let gpu = |id| topology.node(id).kind.as_gpu().is_some();
        link.kind != LinkKind::NvLink || (gpu(a) && gpu(b))
    });
    for (a, b) in pairs(topology.gpus().len()).filter(|_| direct) {
        let rate = topology.pairs().pair(a, b).rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s());
        let pair = topology.pairs().pair(a, b);
        if pair.path == Some(PathType::Nvl) {
            assert!(used[a][b].max(used[b][a]) <= rate, "GPU{a} and GPU{b}: {} of {rate}", used[a][b]);
        }
    }
}

fn subsets(gpus: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1u32 << gpus).map(move |set| (0..gpus).filter(|gpu| set >> gpu & 1 == 1).collect())
}

#[test]
fn known_machines_have_the_rings_that_their_wires_give() {
    for (preset, set, expected) in [
        ("dgx-1-v100", vec![0, 1, 2, 3, 4, 5, 6, 7], 150_000),
        ("dgx-1-v100", vec![0, 1, 2, 3], 100_000),
        ("dgx-1-v100", vec![0, 3], 50_000),
        ("dgx-1-v100", vec![0, 5], 6_000),
        ("dgx-a100", vec![0, 1, 2], 300_000),
        ("dgx-h100", vec![0, 1, 2, 3, 4, 5, 6, 7], 450_000),
        ("dgx-2", (0..16).collect(), 150_000),
        ("hgx-a100-4", vec![0, 1, 2, 3], 300_000),
    ] {
        let topology = Topology::preset(preset).unwrap();
        let rings = topology.rings(&set).unwrap();
        assert_eq!(rings.bandwidth.as_mb_per_s(), expected, "{preset} {set:?}: {rings:?}");
        assert_eq!(rings.bound, rings.bandwidth, "{preset} {set:?}");
        check(&topology, &set, &rings);
    }
}

#[test]
fn every_set_of_every_small_preset_has_rings_that_hold() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for set in subsets(topology.gpus().len().min(8)).filter(|set| set.len() > 1) {
            let rings = topology.rings(&set).unwrap();
            check(&topology, &set, &rings);
            assert_eq!(rings.bound, rings.bandwidth, "{} {set:?}", preset.name);
            if rings.path == Some(PathType::Nvl) {
                assert!(topology.tree_bandwidth(&set).unwrap() >= rings.bandwidth, "{} {set:?}", preset.name);
            }
        }
    }
}

#[test]
fn what_is_no_set_has_no_rings() {
    let topology = Topology::preset("dgx-a100").unwrap();
    for set in [&[][..], &[0], &[0, 0], &[0, 8], &[0, 1, 1]] {
        assert_eq!(topology.rings(set), None, "{set:?}");
        assert_eq!(topology.tree_bandwidth(set), None, "{set:?}");
        assert_eq!(topology.all_to_all_bound(set), None, "{set:?}");
    }
}

#[test]
fn links_of_unknown_rate_give_no_number() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..3).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for (a, b) in pairs(3) {
        fragment.link(ids[a], ids[b], Link::new(LinkKind::NvLink).with_lanes(1));
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    assert_eq!(topology.rings(&[0, 1, 2]), None);
    assert_eq!(topology.tree_bandwidth(&[0, 1, 2]), None);
}

#[test]
fn a_ring_over_pcie_is_as_good_as_its_worst_pair() {
    let topology = Topology::preset("l40s-8-pcie").unwrap();
    let all: Vec<usize> = (0..8).collect();
    let rings = topology.rings(&all).unwrap();
    check(&topology, &all, &rings);
    assert_eq!(rings.path, Some(PathType::Sys));
    let worst =
        pairs(8).filter_map(|(a, b)| topology.pairs().pair(a, b).rate).map(|rate| rate.bandwidth).min();
    assert_eq!(Some(rings.bandwidth), worst);
    let near = topology.rings(&all[..4]).unwrap();
    assert!(near.path < Some(PathType::Sys));
}

/// An objective as a function of a set.
type Value<'a> = &'a dyn Fn(&[usize]) -> Option<Bandwidth>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rings_are_as_many_as_brute_force_finds(
        // Brute force takes its time where five have many links.
        (gpus, links) in (3usize..=5).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=if gpus < 5 { 2 } else { 1 }, gpus * (gpus - 1) / 2))),
    ) {
        let topology = mesh(gpus, &links);
        let set: Vec<usize> = (0..gpus).collect();
        let rings = topology.rings(&set).unwrap();
        check(&topology, &set, &rings);
        prop_assert_eq!(rings.bound, rings.bandwidth);
        let partners = |gpu: usize| pairs(gpus).zip(&links).filter(|((a, b), links)| **links > 0 && (*a == gpu || *b == gpu)).count();
        // One ring over PCIe where NVLink joins two GPUs and no more.
        let (expected, class) = if (0..gpus).all(|gpu| partners(gpu) < 2) {
            (10_000, PathType::Sys)
        } else {
            as_by_nccl(gpus, &links)
        };
        prop_assert_eq!((rings.bandwidth.as_mb_per_s(), rings.path), (expected, Some(class)));
    }

    #[test]
    fn cuts_are_the_definitions(
        (gpus, links) in (2usize..=6).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=3, gpus * (gpus - 1) / 2))),
    ) {
        let topology = mesh(gpus, &links);
        let set: Vec<usize> = (0..gpus).collect();
        let capacity = |part: u32| -> u64 {
            let across = pairs(gpus).zip(&links).filter(|((a, b), _)| (part >> a ^ part >> b) & 1 == 1);
            across.map(|(_, links)| u64::from(*links) * LINK).sum()
        };
        let parts = || (1..(1u32 << gpus) - 1).map(|part| (u64::from(part.count_ones()), capacity(part)));
        let k = gpus as u64;
        let tree = parts().map(|(size, capacity)| capacity * (k - 1) / size).min().unwrap();
        prop_assert_eq!(topology.tree_bandwidth(&set).unwrap().as_mb_per_s(), tree);
        let all = parts().map(|(size, capacity)| capacity * (k - 1) / (size * (k - size))).min().unwrap();
        prop_assert_eq!(topology.all_to_all_bound(&set).unwrap().as_mb_per_s(), all);
    }

    #[test]
    fn one_more_link_never_lowers_a_value_or_a_bound(
        (gpus, links) in (3usize..=6).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=2, gpus * (gpus - 1) / 2))),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut more = links.clone();
        more[pick.index(links.len())] += 1;
        let set: Vec<usize> = (0..gpus).collect();
        let [before, after] = [mesh(gpus, &links), mesh(gpus, &more)];
        let [a, b] = [&before, &after].map(|topology| topology.rings(&set).unwrap());
        // A wider ring makes NCCL leave relays, which may have carried more.
        let same = a.path == Some(PathType::Nvl);
        prop_assert!(!same || b.bandwidth >= a.bandwidth && b.bound >= a.bound, "{:?} {:?}", a, b);
        prop_assert!(after.tree_bandwidth(&set) >= before.tree_bandwidth(&set));
        prop_assert!(after.all_to_all_bound(&set) >= before.all_to_all_bound(&set));
    }

    #[test]
    fn the_best_set_by_each_objective_is_the_best_of_all(
        (gpus, links) in (2usize..=6).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=2, gpus * (gpus - 1) / 2))),
        count in 2usize..=6,
        taken in 0u32..6,
    ) {
        let topology = mesh(gpus, &links);
        let free: Vec<usize> = (0..gpus).filter(|gpu| *gpu as u32 != taken || gpus == 2).collect();
        let count = 2 + (count - 2) % (free.len() - 1);
        let sets = || subsets(gpus).filter(|set| set.len() == count && set.iter().all(|gpu| free.contains(gpu)));
        let names = || free.iter().map(|gpu| *gpu as u32);
        let values: [(&str, Value<'_>); 3] = [
            ("ring", &|set| topology.rings(set).map(|rings| rings.bandwidth)),
            ("tree", &|set| topology.tree_bandwidth(set)),
            ("all-to-all", &|set| topology.all_to_all_bound(set)),
        ];
        for (name, value) in values {
            let placement = Request::gpus(count).only(names()).objectives([name]).solve(&topology).unwrap();
            let best = sets().map(|set| value(&set)).max().unwrap();
            prop_assert_eq!(placement.scores()[0].value.and_then(nvtopo::solve::Quantity::as_bandwidth), best, "{}", name);
            let chosen: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
            prop_assert_eq!(value(&chosen), best, "{}", name);
            // What is left over rests on the rings of other sets too.
            let gives_up = || subsets(gpus).any(|set| topology.rings(&set).is_some_and(|rings| rings.bound > rings.bandwidth));
            prop_assert!(placement.is_optimal() || gives_up());
            prop_assert_eq!(placement.scores()[0].bound, placement.scores()[0].value);
        }
    }
}

#[test]
fn five_gpus_of_a_dgx1_are_those_with_a_ring() {
    // The largest sum of pairs takes four GPUs of one half and one of the other, through which no ring goes
    // without relays.
    let topology = Topology::preset("dgx-1-v100").unwrap();
    let value = |objective: &str| {
        let placement = Request::gpus(5).objectives([objective]).solve(&topology).unwrap();
        let set: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
        topology.rings(&set).unwrap()
    };
    let (by_ring, by_sum) = (value("ring"), value("pair-sum"));
    assert_eq!((by_ring.bandwidth.as_mb_per_s(), by_ring.path), (50_000, Some(PathType::Nvl)));
    // NCCL relays through it, which takes more links for the same.
    assert_eq!((by_sum.bandwidth, by_sum.path), (by_ring.bandwidth, Some(PathType::Nvb)), "{by_sum:?}");
}

#[test]
fn rings_share_pairs_link_by_link() {
    // With two links in every pair that has any, five rings of 25 GB/s are more than two of 50.
    let topology = mesh(5, &[0, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
    let set: Vec<usize> = (0..5).collect();
    let rings = topology.rings(&set).unwrap();
    check(&topology, &set, &rings);
    assert_eq!((rings.bandwidth.as_mb_per_s(), rings.bound.as_mb_per_s()), (5 * LINK, 5 * LINK));
}

/// Ten GPUs, each pair with links of a rate of its own: too many ways to divide them to look at all.
fn unequal() -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..10).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    let mut seed = 1u64;
    for (a, b) in pairs(10) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bandwidth = Bandwidth::from_mb_per_s(10_000 + (seed >> 33) % 50_000);
        let rate = Some(nvtopo::model::Rate::new(bandwidth, nvtopo::model::Basis::Measured));
        fragment.link(ids[a], ids[b], fact!(Link::new(LinkKind::NvLink), lanes = Some(1), rate = rate));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn a_search_that_gives_up_has_rings_and_says_what_is_not_proven() {
    let topology = unequal();
    let all: Vec<usize> = (0..10).collect();
    let rings = topology.rings(&all).unwrap();
    check(&topology, &all, &rings);
    assert!(rings.bound > rings.bandwidth && rings.bandwidth > Bandwidth::ZERO, "{rings:?}");
    let placement = Request::gpus(9).objectives(["ring"]).solve(&topology).unwrap();
    assert!(!placement.is_optimal());
    let score = placement.scores()[0];
    assert!(score.bound.unwrap().is_better_than(score.value.unwrap()));
    assert!(Request::gpus(8).objectives(["tree"]).solve(&topology).unwrap().is_optimal());
}

#[test]
fn even_meshes_of_many_links_carry_what_each_member_has() {
    // All pairs have 18 links, and one has 36: no ring more goes around, as the others have no more.
    let links: Vec<u16> = pairs(8).map(|pair| if pair == (0, 1) { 36 } else { 18 }).collect();
    let topology = mesh(8, &links);
    for gpus in 4..=8 {
        let set: Vec<usize> = (0..gpus).collect();
        let rings = topology.rings(&set).unwrap();
        check(&topology, &set, &rings);
        let expected = (gpus as u64 - 1) * 18 * LINK;
        assert_eq!(
            (rings.bandwidth.as_mb_per_s(), rings.bound.as_mb_per_s()),
            (expected, expected),
            "{gpus}"
        );
    }
    for gpus in 1..=8 {
        assert!(Request::gpus(gpus).solve(&topology).unwrap().is_optimal(), "{gpus}");
    }
}

#[test]
fn meshes_with_too_many_cycles_to_list_have_wide_rings() {
    // With 9 GPUs there are 20,160 cycles, and the first ones all go over the same pair.
    for gpus in [9, 12, 16] {
        for seed in 0u16..3 {
            let links: Vec<u16> = pairs(gpus).map(|(a, b)| 1 + (a * b) as u16 % (seed + 1)).collect();
            let (topology, set) = (mesh(gpus, &links), (0..gpus).collect::<Vec<_>>());
            let rings = topology.rings(&set).unwrap();
            check(&topology, &set, &rings);
            let (found, bound) = (rings.bandwidth.as_mb_per_s(), rings.bound.as_mb_per_s());
            assert!(found * 4 >= bound * 3, "{gpus} {seed}: {found} of {bound}");
        }
    }
}
