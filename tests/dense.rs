//! Rings of dense meshes, whose links have room for many cycles: against definitions of their own.

use nvtopo::PathType;
use nvtopo::model::{Basis, Fragment, Gpu, NodeId, NodeKind, Provenance, Rate, TopologyBuilder, rates};
use nvtopo::solve::Quantity;
use nvtopo::{Bandwidth, Placement, Request, Rings, Topology};
use proptest::prelude::*;
use std::collections::HashSet;

/// MB/s of a link, and of a half of it.
const LINK: u64 = 25_000;
const HALF: u64 = LINK / 2;

fn recorded(name: &str) -> Topology {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/solver").join(name);
    Topology::parse(name, &std::fs::read(file).unwrap()).unwrap()
}

fn pairs(gpus: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..gpus).flat_map(move |a| (a + 1..gpus).map(move |b| (a, b)))
}

fn mesh(gpus: usize, links: &[u16]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..gpus as u32).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for ((a, b), links) in pairs(gpus).zip(links).filter(|(_, links)| **links > 0) {
        fragment.link(ids[a], ids[b], rates::nvlink(2, *links));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

/// Halves of links that are left from each member to each.
type Left = Vec<Vec<u32>>;

/// Holds rings over NVLink against the links that they use, and gives their halves.
#[track_caller]
fn carried(rings: &Rings, gpus: usize, links: &[u16]) -> u64 {
    let mut used = vec![vec![0; gpus]; gpus];
    for ring in &rings.rings {
        let mut members = ring.order.clone();
        members.sort_unstable();
        assert_eq!(members, (0..gpus).collect::<Vec<_>>());
        for at in 0..gpus {
            let (a, b) = (ring.order[at], ring.order[(at + 1) % gpus]);
            let each = ring.bandwidth.as_mb_per_s();
            used[a][b] += if ring.both_ways { each / 2 } else { each };
            used[b][a] += if ring.both_ways { each / 2 } else { 0 };
        }
    }
    for ((a, b), links) in pairs(gpus).zip(links) {
        assert!(
            used[a][b].max(used[b][a]) <= u64::from(*links) * LINK,
            "GPU{a} and GPU{b}: {} and {} of {links}, {rings:?}",
            used[a][b],
            used[b][a]
        );
    }
    rings.bandwidth.as_mb_per_s() / HALF
}

/// All directed cycles, from member 0.
fn cycles(gpus: usize) -> Vec<Vec<usize>> {
    let mut paths = vec![vec![0]];
    for _ in 1..gpus {
        let longer = |path: &Vec<usize>| {
            let next = (0..gpus).filter(|next| !path.contains(next)).collect::<Vec<_>>();
            next.into_iter().map(|next| [&path[..], &[next]].concat()).collect::<Vec<_>>()
        };
        paths = paths.iter().flat_map(longer).collect();
    }
    paths
}

/// Tells whether so many directed rings of half a link each fit, by trying all: where the links out of a member are as few
/// as the rings, the first of them has to be used, and no state is tried twice. `None`: too many states.
fn fits(
    left: &mut Left,
    cycles: &[Vec<usize>],
    rings: u32,
    failed: &mut HashSet<(Left, u32)>,
) -> Option<bool> {
    if rings == 0 {
        return Some(true);
    }
    let gpus = left.len();
    let out = |a: usize| left[a].iter().sum::<u32>();
    let into = |b: usize| left.iter().map(|row| row[b]).sum::<u32>();
    if (0..gpus).any(|member| out(member) < rings || into(member) < rings) {
        return Some(false);
    }
    if failed.contains(&(left.clone(), rings)) {
        return Some(false);
    }
    if failed.len() > 20_000 {
        return None;
    }
    let tight = (0..gpus).find(|member| out(*member) == rings);
    let hop = tight.and_then(|a| Some((a, (0..gpus).find(|b| left[a][*b] > 0)?)));
    let ends = |cycle: &Vec<usize>| -> Vec<(usize, usize)> {
        (0..gpus).map(|at| (cycle[at], cycle[(at + 1) % gpus])).collect()
    };
    for cycle in cycles {
        let ends = ends(cycle);
        if hop.is_some_and(|hop| !ends.contains(&hop)) || ends.iter().any(|(a, b)| left[*a][*b] == 0) {
            continue;
        }
        for (a, b) in &ends {
            left[*a][*b] -= 1;
        }
        let found = fits(left, cycles, rings - 1, failed);
        for (a, b) in &ends {
            left[*a][*b] += 1;
        }
        if found != Some(false) {
            return found;
        }
    }
    failed.insert((left.clone(), rings));
    Some(false)
}

/// Links by chance.
fn links(gpus: usize, most: u16, seed: u64) -> Vec<u16> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + ((state >> 33) % u64::from(most)) as u16
    };
    pairs(gpus).map(|_| next()).collect()
}

fn score(placement: &Placement, objective: &str) -> (Quantity, Quantity) {
    let score = placement.scores().iter().find(|score| score.objective == objective).unwrap();
    (score.value.unwrap(), score.bound.unwrap())
}

fn gb(quantity: Quantity) -> f64 {
    quantity.as_bandwidth().unwrap().as_gb_per_s()
}

/// Holds of every answer: no value is above its bound.
#[track_caller]
fn assert_bounded(placement: &Placement) {
    for score in placement.scores() {
        let (Some(value), Some(bound)) = (score.value, score.bound) else { continue };
        assert!(!value.is_better_than(bound), "{score:?}");
        assert!(!placement.is_optimal() || value == bound, "{score:?}");
    }
}

#[test]
fn exact_packings_are_found_where_greedy_ones_fall_short() {
    let topology = recorded("ring-250-instead-of-275.txt");
    let placement = Request::gpus(7).objectives(["nic", "min-pair"]).solve(&topology).unwrap();
    let (value, bound) = score(&placement, "ring");
    assert_eq!((gb(value), gb(bound)), (275.0, 275.0), "{placement:?}");
    assert!(placement.is_optimal());

    let topology = recorded("ring-score-160-instead-of-180.json");
    let placement = Request::gpus(6).objectives(["nic", "all-to-all", "tree"]).solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), [0, 1, 2, 4, 5, 6]);
    let (value, bound) = score(&placement, "ring");
    assert_eq!((gb(value), gb(bound)), (180.0, 180.0));
}

#[test]
fn no_value_is_above_its_bound() {
    let topology = recorded("remainder-above-its-bound.txt");
    for gpus in 1..=8 {
        for objectives in [&["min-pair", "ring", "pair-sum"][..], &["remainder"], &["ring"]] {
            let placement =
                Request::gpus(gpus).objectives(objectives.iter().copied()).solve(&topology).unwrap();
            assert_bounded(&placement);
        }
    }
}

#[test]
fn sets_of_dense_meshes_have_a_bound() {
    let topology = recorded("dense18-16.json");
    for (gpus, least) in [(4, 150.0), (8, 200.0)] {
        let placement = Request::gpus(gpus).solve(&topology).unwrap();
        assert_bounded(&placement);
        let (value, bound) = score(&placement, "ring");
        assert!(gb(value) >= least && gb(bound) <= 375.0, "{placement:?}");
    }
}

#[test]
fn dense_meshes_are_proven() {
    for gpus in 5..=8 {
        for seed in 0..12 {
            let links = links(gpus, 18, seed);
            let rings = mesh(gpus, &links).rings(&(0..gpus).collect::<Vec<_>>()).unwrap();
            carried(&rings, gpus, &links);
            assert_eq!((rings.bandwidth, rings.path), (rings.bound, Some(PathType::Nvl)), "{gpus} {seed}");
        }
    }
}

#[test]
fn the_odd_half_of_a_link_counts() {
    let topology = recorded("ring-directed-halves-5gpu.txt");
    let rings = topology.rings(&[0, 1, 2, 3, 4]).unwrap();
    assert_eq!((rings.bandwidth.as_gb_per_s(), rings.bound.as_gb_per_s()), (112.5, 112.5));
}

/// Nine halves of such a link are no whole number of MB/s.
#[test]
fn the_odd_half_of_a_link_of_an_odd_rate_counts() {
    const ODD: u64 = 25_781;
    let even = recorded("ring-directed-halves-5gpu.txt");
    let mut fragment = Fragment::new(Provenance::Preset);
    let ids: Vec<NodeId> = (0..5).map(|index| fragment.add(NodeId::MACHINE, Gpu::new(index))).collect();
    for (a, b) in pairs(5) {
        let links = even.pairs().pair(a, b).nvlinks;
        if links > 0 {
            let rate = Bandwidth::from_mb_per_s(ODD).times(u64::from(links));
            let link = rates::nvlink(2, links).with_rate(Rate::new(rate, Basis::Reported));
            fragment.link(ids[a], ids[b], link);
        }
    }
    let odd = TopologyBuilder::new().with(fragment).build().unwrap();
    let rings = odd.rings(&[0, 1, 2, 3, 4]).unwrap();
    assert_eq!((rings.bandwidth.as_mb_per_s(), rings.bound), (9 * (ODD / 2), rings.bandwidth));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_more_rings_fit_than_are_found(
        (gpus, most) in prop_oneof![Just((4usize, 6u16)), Just((5, 3)), Just((6, 1)), Just((6, 2))],
        seed in any::<u64>(),
    ) {
        let links = links(gpus, most, seed);
        let rings = mesh(gpus, &links).rings(&(0..gpus).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(rings.path, Some(PathType::Nvl));
        let halves = carried(&rings, gpus, &links);
        prop_assert_eq!(rings.bound, rings.bandwidth);
        let mut left = vec![vec![0; gpus]; gpus];
        for ((a, b), links) in pairs(gpus).zip(&links) {
            (left[a][b], left[b][a]) = (2 * u32::from(*links), 2 * u32::from(*links));
        }
        let more = fits(&mut left, &cycles(gpus), halves as u32 + 1, &mut HashSet::new());
        prop_assert_ne!(more, Some(true), "{:?}: more than {} halves", links, halves);
    }
}
