//! Rings, trees and all-to-all against their definitions, on known machines and on random meshes.

use nvtopo::model::{Fragment, Gpu, Link, LinkKind, NodeId, NodeKind, Provenance, TopologyBuilder, rates};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, PathType, Request, Rings, Topology};
use proptest::prelude::*;

const LINK: u64 = 25_000;

/// A mesh of direct NVLinks of 25 GB/s.
fn mesh(gpus: usize, links: &[u16]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let ids: Vec<NodeId> = (0..gpus as u32)
        .map(|index| fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }))))
        .collect();
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
        for (a, b) in ring.order.iter().zip(ring.order.iter().cycle().skip(1)) {
            let pair = topology.pairs().pair(*a, *b);
            assert!(pair.path.unwrap() <= rings.path.unwrap());
            // Half of it goes each way, but for two GPUs, where each way has all.
            let each = ring.bandwidth.as_mb_per_s() / if set.len() == 2 { 2 } else { 1 };
            used[*a][*b] += each;
            used[*b][*a] += each;
        }
    }
    // Rings over NVSwitches are limited by ports, not by pairs.
    let direct = topology.links().all(|(a, b, link)| {
        let gpu = |id| topology.node(id).kind.as_gpu().is_some();
        link.kind != LinkKind::NvLink || (gpu(a) && gpu(b))
    });
    for (a, b) in pairs(topology.gpus().len()).filter(|_| direct) {
        let rate = topology.pairs().pair(a, b).rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s());
        assert!(used[a][b] <= 2 * rate, "GPU{a} and GPU{b}: {} of {rate}", used[a][b]);
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
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }));
    let ids: Vec<NodeId> = (0..3).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for (a, b) in pairs(3) {
        fragment.link(ids[a], ids[b], Link { lanes: Some(1), ..Link::new(LinkKind::NvLink) });
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
        (gpus, links) in (3usize..=5).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=2, gpus * (gpus - 1) / 2))),
    ) {
        let topology = mesh(gpus, &links);
        let set: Vec<usize> = (0..gpus).collect();
        let mut left = vec![vec![0; gpus]; gpus];
        for ((a, b), links) in pairs(gpus).zip(&links) {
            (left[a][b], left[b][a]) = (2 * links, 2 * links);
        }
        let expected = most(&mut left, &all_cycles(gpus));
        let rings = topology.rings(&set).unwrap();
        check(&topology, &set, &rings);
        prop_assert_eq!(rings.bound, rings.bandwidth);
        if expected > 0 {
            prop_assert_eq!(rings.bandwidth.as_mb_per_s(), expected * LINK);
        } else {
            prop_assert!(rings.path == Some(PathType::Sys));
        }
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
        prop_assert!(b.bandwidth >= a.bandwidth && b.bound >= a.bound, "{:?} {:?}", a, b);
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
            prop_assert!(placement.is_optimal());
        }
    }
}

#[test]
fn five_gpus_of_a_dgx1_are_those_with_a_ring() {
    // The largest sum of pairs takes four GPUs of one half and one of the other, through which no ring goes.
    let topology = Topology::preset("dgx-1-v100").unwrap();
    let value = |objective: &str| {
        let placement = Request::gpus(5).objectives([objective]).solve(&topology).unwrap();
        let set: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
        topology.rings(&set).unwrap()
    };
    let (by_ring, by_sum) = (value("ring"), value("pair-sum"));
    assert_eq!((by_ring.bandwidth.as_mb_per_s(), by_ring.path), (50_000, Some(PathType::Nvl)));
    assert!(by_sum.bandwidth < by_ring.bandwidth && by_sum.path != Some(PathType::Nvl), "{by_sum:?}");
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
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }));
    let ids: Vec<NodeId> = (0..10).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    let mut seed = 1u64;
    for (a, b) in pairs(10) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bandwidth = Bandwidth::from_mb_per_s(10_000 + (seed >> 33) % 50_000);
        let rate = Some(nvtopo::model::Rate { bandwidth, basis: nvtopo::model::Basis::Measured });
        fragment.link(ids[a], ids[b], Link { lanes: Some(1), rate, ..Link::new(LinkKind::NvLink) });
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
    let placement = Request::gpus(8).objectives(["ring"]).solve(&topology).unwrap();
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
