//! Placement against brute force: every set is compared, on random machines.

use nvtopo::model::{
    Fragment, Gpu, HostBridge, Link, LinkKind, NodeId, NodeKind, NumaNode, PathType, Provenance,
    TopologyBuilder, rates,
};
use nvtopo::{Bandwidth, ErrorKind, Placement, Request, Topology};
use proptest::prelude::*;

/// A machine with NVLinks between some pairs and stated paths between the others.
#[derive(Clone, Debug)]
struct Machine {
    gpus: usize,
    /// For each pair: 0 to 3 NVLinks, and the class of the other path.
    pairs: Vec<(u16, PathType)>,
}

impl Machine {
    fn pair_list(&self) -> impl Iterator<Item = (usize, usize, (u16, PathType))> + '_ {
        let pairs = (0..self.gpus).flat_map(|a| (a + 1..self.gpus).map(move |b| (a, b)));
        pairs.zip(&self.pairs).map(|((a, b), pair)| (a, b, *pair))
    }

    /// The topology in which GPU `i` has the index `names[i]`.
    fn topology(&self, names: &[u32]) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        let gpus: Vec<NodeId> = names
            .iter()
            .map(|index| {
                fragment
                    .add(NodeId::MACHINE, NodeKind::Gpu(Box::new(Gpu { index: *index, ..Gpu::default() })))
            })
            .collect();
        for (a, b, (links, path)) in self.pair_list() {
            fragment.state_path(gpus[a], gpus[b], path);
            if links > 0 {
                fragment.link(gpus[a], gpus[b], rates::nvlink(2, links));
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }
}

fn machine(most: usize) -> impl Strategy<Value = Machine> {
    let path = prop::sample::select(vec![
        PathType::Pix,
        PathType::Pxb,
        PathType::Phb,
        PathType::Node,
        PathType::Sys,
    ]);
    // Few links leave many sets equal; many leave few.
    (1..=most, 0u16..=3).prop_flat_map(move |(gpus, density)| {
        let links = (0..=density).prop_map(|links| links.saturating_sub(1));
        prop::collection::vec((links, path.clone()), gpus * (gpus - 1) / 2)
            .prop_map(move |pairs| Machine { gpus, pairs })
    })
}

/// The value of a set by the default objectives, from the definitions and nothing else: worst pair, sum of pairs,
/// and the bottlenecks of the best sets of each size in the rest. A pair is worth its bandwidth and then its class.
fn value(topology: &Topology, set: &[usize], rest: &[usize]) -> Vec<(u64, u64)> {
    let pair = |a: usize, b: usize| {
        let pair = topology.pairs().pair(a, b);
        let nearness = PathType::Dis as u64 - pair.path.unwrap() as u64;
        (pair.rate.unwrap().bandwidth.as_mb_per_s(), nearness)
    };
    let pairs_of = |set: &[usize]| -> Vec<(u64, u64)> {
        let pairs = set.iter().enumerate().flat_map(|(i, &a)| set[i + 1..].iter().map(move |&b| (a, b)));
        pairs.map(|(a, b)| pair(a, b)).collect()
    };
    let add = |sum: (u64, u64), more: (u64, u64)| (sum.0 + more.0, sum.1 + more.1);
    let own = pairs_of(set);
    let remainder = (2..=rest.len()).map(|size| {
        let bottlenecks =
            subsets(rest, size).into_iter().map(|set| pairs_of(&set).into_iter().min().unwrap());
        bottlenecks.max().unwrap()
    });
    vec![
        own.iter().copied().min().unwrap_or_default(),
        own.into_iter().fold((0, 0), add),
        remainder.fold((0, 0), add),
    ]
}

fn subsets(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (index, first) in of.iter().enumerate() {
        for mut rest in subsets(&of[index + 1..], size - 1) {
            rest.insert(0, *first);
            all.push(rest);
        }
    }
    all
}

/// The best set in the order of the objectives; the lowest indices among equals.
fn brute_force(
    topology: &Topology,
    candidates: &[usize],
    include: &[usize],
    count: usize,
    order: [usize; 3],
) -> Vec<usize> {
    let mut best: Option<(Vec<_>, Vec<usize>)> = None;
    for set in subsets(candidates, count) {
        if !include.iter().all(|gpu| set.contains(gpu)) {
            continue;
        }
        let rest: Vec<usize> = candidates.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
        let values = value(topology, &set, &rest);
        let key: Vec<_> = order.iter().map(|index| values[*index]).collect();
        if best.as_ref().is_none_or(|(least, _)| key > *least) {
            best = Some((key, set));
        }
    }
    best.unwrap().1
}

fn positions(placement: &Placement) -> Vec<usize> {
    placement.gpus().iter().map(|gpu| gpu.position).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_solver_finds_what_brute_force_finds(
        machine in machine(12),
        count in 1usize..=12,
        keep in prop::collection::vec(0u8..4, 12),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let topology = machine.topology(&names);
        let candidates: Vec<usize> = (0..machine.gpus).filter(|gpu| keep[*gpu] != 0).collect();
        prop_assume!(!candidates.is_empty());
        let count = 1 + (count - 1) % candidates.len();
        let include: Vec<usize> = candidates.iter().copied().filter(|gpu| keep[*gpu] == 3).take(count / 2).collect();
        let objectives = order.map(|index| ["min-pair", "pair-sum", "remainder"][index]);
        let placement = Request::gpus(count)
            .only(candidates.iter().map(|gpu| *gpu as u32))
            .include(include.iter().map(|gpu| *gpu as u32))
            .objectives(objectives)
            .solve(&topology)
            .unwrap();
        prop_assert!(placement.is_optimal());
        prop_assert_eq!(positions(&placement), brute_force(&topology, &candidates, &include, count, order));
        for score in placement.scores() {
            prop_assert_eq!(Some(score.value), score.bound);
        }
    }

    #[test]
    fn relabelling_never_changes_the_score(
        (machine, names) in machine(12).prop_flat_map(|machine| {
            let names: Vec<u32> = (0..machine.gpus as u32).collect();
            (Just(machine), Just(names).prop_shuffle())
        }),
        count in 1usize..=12,
    ) {
        let count = 1 + (count - 1) % machine.gpus;
        let plain: Vec<u32> = (0..machine.gpus as u32).collect();
        let scores = |names: &[u32]| {
            Request::gpus(count).solve(&machine.topology(names)).unwrap().scores().iter().map(|score| score.value).collect::<Vec<_>>()
        };
        prop_assert_eq!(scores(&plain), scores(&names));
    }

    #[test]
    fn one_more_link_never_lowers_the_bottleneck(machine in machine(8), pick in any::<prop::sample::Index>(), count in 2usize..=8) {
        prop_assume!(machine.gpus >= 2);
        let count = 2 + (count - 2) % (machine.gpus - 1);
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let mut more = machine.clone();
        more.pairs[pick.index(machine.pairs.len())].0 += 4;
        let bottleneck = |machine: &Machine| Request::gpus(count).solve(&machine.topology(&names)).unwrap().scores()[0].value;
        prop_assert!(bottleneck(&more) >= bottleneck(&machine));
    }
}

fn pcie_box(gpus: usize) -> Topology {
    Machine { gpus, pairs: vec![(0, PathType::Sys); gpus * (gpus - 1) / 2] }
        .topology(&(0..gpus as u32).collect::<Vec<_>>())
}

#[test]
fn contradictions_and_unknown_names_are_errors() {
    let topology = pcie_box(4);
    let kind = |request: Request| request.solve(&topology).unwrap_err().kind();
    assert_eq!(kind(Request::gpus(5)), ErrorKind::Unsatisfiable);
    assert_eq!(kind(Request::gpus(3).exclude([0, 1])), ErrorKind::Unsatisfiable);
    assert_eq!(kind(Request::gpus(0)), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(1).include([0, 1])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).include([0]).exclude([0])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).include([0]).only([1, 2])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).exclude([7])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).objectives(["best"])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).objectives(["min-pair", "min-pair"])), ErrorKind::InvalidRequest);
    assert_eq!(kind(Request::gpus(2).objectives(Vec::<String>::new())), ErrorKind::InvalidRequest);
}

#[test]
fn more_candidates_than_the_search_takes_are_an_error_not_a_crash() {
    let topology = pcie_box(129);
    assert_eq!(Request::gpus(2).solve(&topology).unwrap_err().kind(), ErrorKind::Unsupported);
    let placement = Request::gpus(2).exclude([128]).solve(&topology).unwrap();
    assert_eq!(positions(&placement), [0, 1]);
}

#[test]
fn a_search_that_is_cut_off_says_so_and_gives_a_bound() {
    // Weights without structure: nothing to exchange, and bounds that cut little.
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpus: Vec<NodeId> = (0..64)
        .map(|index| fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }))))
        .collect();
    let mut seed = 1u64;
    for (i, a) in gpus.iter().enumerate() {
        for b in &gpus[i + 1..] {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bandwidth = Bandwidth::from_mb_per_s(1000 + (seed >> 33) % 100_000);
            let rate = Some(nvtopo::model::Rate { bandwidth, basis: nvtopo::model::Basis::Measured });
            fragment.link(*a, *b, Link { lanes: Some(1), rate, ..Link::new(LinkKind::NvLink) });
        }
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let placement = Request::gpus(24).objectives(["pair-sum"]).solve(&topology).unwrap();
    assert!(!placement.is_optimal());
    assert_eq!(placement.gpus().len(), 24);
    assert!(placement.scores()[0].bound > Some(placement.scores()[0].value));
}

#[test]
fn memory_only_nodes_and_unknown_locality_are_not_taken_for_cpus() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let cpu_node =
        NumaNode { os_index: 0, cpus: "0-7".parse().unwrap(), memory: Some(1 << 30), ..NumaNode::default() };
    let home = fragment.add(NodeId::MACHINE, NodeKind::NumaNode(cpu_node));
    let hbm = NumaNode { os_index: 2, memory: Some(1 << 30), ..NumaNode::default() };
    fragment.add(NodeId::MACHINE, NodeKind::NumaNode(hbm));
    let bridge = fragment.add(home, NodeKind::HostBridge(HostBridge::default()));
    fragment.add(bridge, NodeKind::Gpu(Box::default()));
    fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(Gpu { index: 1, ..Gpu::default() })));
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let placement = Request::gpus(2).solve(&topology).unwrap();
    let [a, b] = placement.gpus() else { panic!("two GPUs") };
    assert!(a.cpus.is_disjoint(&b.cpus));
    assert_eq!((a.cpus.len(), b.cpus.len()), (4, 4));
    assert_eq!((a.mems.to_string(), b.mems.to_string()), ("0".to_owned(), "0".to_owned()));
    assert!(placement.remarks().iter().any(|remark| remark.contains("GPU1")), "{:?}", placement.remarks());
}
