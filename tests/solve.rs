//! Placement against brute force: every set is compared, on random machines.

use crate::oracle::{Machine, Oracle, machine, subsets};
use nvtopo::PathType;
use nvtopo::Score;
use nvtopo::model::{
    Fragment, Gpu, HostBridge, Link, LinkKind, NodeId, NumaNode, Provenance, TopologyBuilder,
};
use nvtopo::solve::check::{Claim, Verdict, check};
use nvtopo::solve::{Constraint, Quantity};
use nvtopo::{Bandwidth, ErrorKind, Placement, Request, Topology};
use proptest::prelude::*;

fn positions(placement: &Placement) -> Vec<usize> {
    placement.gpus().iter().map(|gpu| gpu.position).collect()
}

/// All objectives that are more than a comparison with others.
const ALL: [&str; 8] =
    ["ring", "tree", "all-to-all", "min-pair", "pair-sum", "numa-span", "nic", "remainder"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_solver_finds_what_brute_force_finds(
        machine in machine(9),
        count in 1usize..=9,
        keep in prop::collection::vec(0u8..4, 9),
        order in Just(ALL.to_vec()).prop_shuffle(),
        corrupt in any::<prop::sample::Index>(),
    ) {
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let topology = machine.topology(&names);
        let candidates: Vec<usize> = (0..machine.gpus).filter(|gpu| keep[*gpu] != 0).collect();
        prop_assume!(!candidates.is_empty());
        let count = 1 + (count - 1) % candidates.len();
        let include: Vec<usize> = candidates.iter().copied().filter(|gpu| keep[*gpu] == 3).take(count / 2).collect();
        let request = Request::gpus(count)
            .only(candidates.iter().map(|gpu| *gpu as u32))
            .include(include.iter().map(|gpu| *gpu as u32))
            .objectives(order.iter().copied());
        let oracle = Oracle::new(&machine, &topology);
        prop_assume!(oracle.proven);
        let placement = request.solve(&topology).unwrap();
        prop_assert!(placement.is_optimal());
        prop_assert_eq!(positions(&placement), oracle.best(&candidates, &include, count, &order));
        let claim = Claim::from(&placement);
        let sets = subsets(&candidates, count).len() as u64;
        let verdict = check(&topology, &request, &claim).unwrap();
        prop_assert_eq!(verdict, Ok(Verdict::Proven { sets, objectives: order.len() }));
        // Any other set is refused, unless it is as good in everything, and as much of it is known.
        let located = |set: &[usize]| set.iter().all(|gpu| machine.homes[*gpu].is_some());
        let other = &subsets(&candidates, count)[corrupt.index(sets as usize)];
        let rest = |set: &[usize]| candidates.iter().copied().filter(|gpu| !set.contains(gpu)).collect::<Vec<_>>();
        let key = |set: &[usize]| order.iter().map(|objective| oracle.value(objective, set, &rest(set))).collect::<Vec<_>>();
        let swapped = Claim { gpus: other.clone(), ..claim.clone() };
        let equal = key(other) == key(&claim.gpus)
            && located(other) == located(&claim.gpus)
            && include.iter().all(|gpu| other.contains(gpu));
        prop_assert_eq!(check(&topology, &request, &swapped).unwrap().is_ok(), equal, "{:?}", other);
        // So is any other value, and a bound below it.
        let index = corrupt.index(claim.scores.len());
        let mut wrong = claim.clone();
        if let Some(value) = claim.scores[index].value {
            wrong.scores[index].value = Some(wrong_quantity(value));
            prop_assert!(check(&topology, &request, &wrong).unwrap().is_err());
            wrong.scores[index].value = None;
            prop_assert!(check(&topology, &request, &wrong).unwrap().is_err());
            let mut low = claim.clone();
            low.scores[index].bound = Some(below(value));
            prop_assert_eq!(check(&topology, &request, &low).unwrap().is_err(), value.number() > 0.0);
        }
        for score in placement.scores() {
            prop_assert_eq!(score.value, score.bound);
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
        // Rings come last: over which GPU NCCL relays depends on their order.
        let objectives = ["tree", "all-to-all", "min-pair", "numa-span", "nic", "pair-sum"];
        let request = || Request::gpus(count).objectives(objectives);
        let placement = |names: &[u32]| request().solve(&machine.topology(names)).unwrap();
        let (own, other) = (placement(&plain), placement(&names));
        // Where a search had to stop, what it found depends on where it began.
        let proven = |score: &Score| score.value == score.bound;
        for (own, other) in own.scores().iter().zip(other.scores()).take(objectives.len()) {
            prop_assert!(own.value == other.value || !proven(own) || !proven(other), "{:?} {:?}", own, other);
        }
    }

    #[test]
    fn one_more_link_never_lowers_a_value(machine in machine(8), pick in any::<prop::sample::Index>(), count in 2usize..=8) {
        prop_assume!(machine.gpus >= 2);
        let count = 2 + (count - 2) % (machine.gpus - 1);
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let mut more = machine.clone();
        more.pairs[pick.index(machine.pairs.len())].0 += 4;
        // A wider ring makes NCCL leave relays that carried more, so rings are left out.
        for objective in ["tree", "all-to-all", "min-pair", "pair-sum"] {
            let best = |machine: &Machine| {
                let request = Request::gpus(count).objectives([objective]);
                request.solve(&machine.topology(&names)).unwrap().scores()[0].value.unwrap().number()
            };
            prop_assert!(best(&more) >= best(&machine), "{}", objective);
        }
    }
}

fn wrong_quantity(value: Quantity) -> Quantity {
    match value {
        Quantity::Bandwidth(bandwidth) => {
            Quantity::Bandwidth(Bandwidth::from_mb_per_s(bandwidth.as_mb_per_s() + 1))
        }
        Quantity::NumaNodes(nodes) => Quantity::NumaNodes(nodes + 1),
        Quantity::Share(share) => Quantity::Share(share + 1),
        other => other,
    }
}

/// A bound that the value breaks, where there can be one.
fn below(value: Quantity) -> Quantity {
    match value {
        Quantity::Bandwidth(bandwidth) => {
            Quantity::Bandwidth(Bandwidth::from_mb_per_s(bandwidth.as_mb_per_s().saturating_sub(1)))
        }
        Quantity::NumaNodes(nodes) => Quantity::NumaNodes(nodes + 1),
        Quantity::Share(share) => Quantity::Share(share.saturating_sub(1)),
        other => other,
    }
}

/// True where a set meets a constraint, by the definitions.
fn holds(oracle: &Oracle<'_>, constraint: Constraint, set: &[usize]) -> bool {
    let topology = oracle.topology;
    let all_pairs =
        |of: &dyn Fn(usize, usize) -> bool| set.iter().all(|&a| set.iter().all(|&b| a == b || of(a, b)));
    match constraint {
        Constraint::SameNvlinkGroup => {
            topology.nvlink_groups().iter().any(|group| set.iter().all(|gpu| group.gpus.contains(gpu)))
        }
        Constraint::SameNumaNode => {
            let home = oracle.machine.homes[set[0]];
            set.len() == 1 || (home.is_some() && set.iter().all(|gpu| oracle.machine.homes[*gpu] == home))
        }
        Constraint::AtLeast(least) => all_pairs(&|a, b| oracle.pair(a, b).0 >= least.as_mb_per_s()),
        _ => panic!("{constraint}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn constraints_hold_and_what_cannot_be_had_is_proven(
        machine in machine(8),
        count in 1usize..=8,
        picked in prop::collection::vec(any::<bool>(), 3),
        least in 1u64..90,
        preferred in any::<bool>(),
    ) {
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let topology = machine.topology(&names);
        let oracle = Oracle::new(&machine, &topology);
        prop_assume!(oracle.proven);
        let count = 1 + (count - 1) % machine.gpus;
        let all = [
            Constraint::SameNvlinkGroup,
            Constraint::SameNumaNode,
            Constraint::AtLeast(Bandwidth::from_gb_per_s(least as f64)),
        ];
        let constraints: Vec<Constraint> = all.into_iter().zip(&picked).filter(|(_, picked)| **picked).map(|(own, _)| own).collect();
        let order = ["pair-sum", "ring"];
        let fits = |set: &Vec<usize>| constraints.iter().all(|constraint| holds(&oracle, *constraint, set));
        let gpus: Vec<usize> = (0..machine.gpus).collect();
        let best = subsets(&gpus, count).into_iter().filter(|set| fits(set)).map(|set| {
            order.map(|objective| oracle.value(objective, &set, &[]))
        }).max();
        let request = Request::gpus(count).objectives(order);
        if preferred && constraints.len() == 1 {
            let placement = request.prefer(constraints.iter().copied()).solve(&topology).unwrap();
            prop_assert_eq!(placement.preference().is_some(), best.is_some());
            prop_assert_eq!(placement.unmet().len(), usize::from(best.is_none()));
            prop_assert!(best.is_none() || fits(&positions(&placement)));
            return Ok(());
        }
        match (request.require(constraints.iter().copied()).solve(&topology), best) {
            (Ok(placement), Some(best)) => {
                let set = positions(&placement);
                prop_assert!(fits(&set) && placement.is_optimal());
                prop_assert_eq!(order.map(|objective| oracle.value(objective, &set, &[])), best);
            }
            (Err(error), None) => {
                prop_assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
                let most = (1..count).rev().find(|most| subsets(&gpus, *most).iter().any(fits)).unwrap();
                let text = error.to_string();
                let told = if most == 1 { "no two can be had".to_owned() } else { format!("at most {most} can be had") };
                prop_assert!(text.contains(&told), "{}", text);
            }
            (answer, best) => prop_assert!(false, "{answer:?} {best:?}"),
        }
    }

    #[test]
    fn the_next_best_is_the_second_of_all_sets(machine in machine(7), count in 1usize..=7) {
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let topology = machine.topology(&names);
        let oracle = Oracle::new(&machine, &topology);
        let count = 1 + (count - 1) % machine.gpus;
        let gpus: Vec<usize> = (0..machine.gpus).collect();
        let order = ["ring", "numa-span", "nic", "pair-sum", "remainder"];
        let key = |set: &[usize]| {
            let rest: Vec<usize> = gpus.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
            order.map(|objective| oracle.value(objective, set, &rest))
        };
        let mut keys: Vec<_> = subsets(&gpus, count).iter().map(|set| key(set)).collect();
        keys.sort_unstable();
        let explained = Request::gpus(count).explain(&topology).unwrap();
        let chosen = positions(&explained.placement);
        prop_assert_eq!(Some(key(&chosen)), keys.pop());
        prop_assert_eq!(explained.next.as_ref().map(|next| key(&next.gpus)), keys.pop());
        if let Some(next) = &explained.next {
            prop_assert_eq!(next.loss.is_none(), key(&next.gpus) == key(&chosen));
            prop_assert_ne!(&next.gpus, &chosen);
        }
        let first: Vec<usize> = (0..count).collect();
        prop_assert_eq!(explained.first_fit.map(|first| first.gpus), (first != chosen).then_some(first));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn one_more_gpu_never_lowers_a_score(machine in machine(8), count in 1usize..=7) {
        prop_assume!(machine.gpus >= 2);
        let names: Vec<u32> = (0..machine.gpus as u32).collect();
        let topology = machine.topology(&names);
        let fewer = &names[..machine.gpus - 1];
        let count = 1 + (count - 1) % fewer.len();
        for objective in ALL.into_iter().filter(|objective| *objective != "remainder") {
            let best = |of: &[u32]| {
                let request = Request::gpus(count).only(of.iter().copied()).objectives([objective]);
                request.solve(&topology).unwrap().scores()[0].value
            };
            let better = best(fewer).zip(best(&names)).is_some_and(|(few, all)| few.is_better_than(all));
            prop_assert!(!better, "{}", objective);
        }
    }
}

/// The same machine with twice the bandwidth everywhere.
fn doubled(topology: &Topology) -> Topology {
    let mut document: serde_json::Value = serde_json::from_str(&topology.to_json()).unwrap();
    for link in document["topology"]["links"].as_array_mut().unwrap() {
        if let Some(rate) = link["rate"]["mb_per_s"].as_u64() {
            link["rate"]["mb_per_s"] = (2 * rate).into();
        }
    }
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        if let Some(rate) = node["nic"]["mb_per_s"].as_u64() {
            node["nic"]["mb_per_s"] = (2 * rate).into();
        }
    }
    Topology::parse("doubled", document.to_string().as_bytes()).unwrap()
}

#[test]
fn twice_the_bandwidth_is_twice_the_score() {
    for preset in nvtopo::source::PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let double = doubled(&topology);
        for count in 1..=topology.gpus().len() {
            let [own, other] =
                [&topology, &double].map(|topology| Request::gpus(count).solve(topology).unwrap());
            assert_eq!(own.gpu_indices(), other.gpu_indices(), "{}", preset.name);
            for (own, other) in own.scores().iter().zip(other.scores()) {
                let expected = match own.value {
                    Some(Quantity::Bandwidth(bandwidth)) => Some(Quantity::Bandwidth(bandwidth.times(2))),
                    other => other,
                };
                assert_eq!(other.value, expected, "{} {count} {}", preset.name, own.objective);
            }
        }
    }
}

#[test]
fn every_placement_on_every_preset_passes_the_check() {
    for preset in nvtopo::source::PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let gpus = topology.gpus().len();
        // Of large machines, on which the check compares thousands of sets, some sizes.
        for count in (1..=gpus).step_by(if gpus > 8 { 5 } else { 1 }) {
            for request in [
                Request::gpus(count),
                Request::gpus(count).prefer([Constraint::SameNvlinkGroup, Constraint::SameNumaNode]),
            ] {
                let claim = Claim::from(&request.solve(&topology).unwrap());
                let verdict = check(&topology, &request, &claim).unwrap();
                assert!(
                    matches!(verdict, Ok(Verdict::Proven { .. })),
                    "{} {count}: {verdict:?}",
                    preset.name
                );
            }
        }
    }
}

#[test]
fn gpus_below_one_switch_are_those_that_need_no_host_bridge() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let pair =
        |gpus: [u32; 2]| Request::gpus(2).include(gpus).require([Constraint::SamePcieSwitch]).solve(&dgx1);
    assert_eq!(pair([0, 1]).unwrap().gpu_indices(), [0, 1]);
    let error = pair([0, 3]).unwrap_err().to_string();
    assert!(error.contains("below one PCIe switch; GPU0 and GPU3, which must be included"), "{error}");
}

#[test]
fn machines_of_equal_structure_keep_their_names_and_ports() {
    let pairs = vec![(0, PathType::Sys); 6];
    let nics = vec![vec![PathType::Pix, PathType::Pix, PathType::Sys, PathType::Sys]; 1];
    let machine = Machine { gpus: 4, pairs, homes: vec![Some(0), Some(0), Some(1), Some(1)], nics };
    let (first, renamed) = (machine.topology(&[0, 1, 2, 3]), machine.topology(&[4, 5, 6, 7]));
    let request = Request::gpus(2).require([Constraint::SameNvlinkGroup]);
    assert!(request.solve(&first).unwrap_err().to_string().contains("no two"));
    let request = Request::gpus(3).require([Constraint::SameNumaNode]);
    for (topology, names) in [(&first, "GPU0 and GPU1"), (&renamed, "GPU4 and GPU5")] {
        let error = request.solve(topology).unwrap_err().to_string();
        assert!(error.contains(names), "{error}");
        let explained = Request::gpus(4).explain(topology).unwrap();
        assert!(explained.next.is_none() && explained.first_fit.is_none());
    }
    let next = Request::gpus(2).explain(&renamed).unwrap().next.unwrap();
    assert_eq!(next.gpu_indices, [6, 7]);
    // The same machine, whose only NIC has no cable, reaches none.
    let nic = |topology: &Topology| {
        let request = Request::gpus(2).objectives(["nic"]);
        request.solve(topology).unwrap().scores()[0].value.unwrap().number()
    };
    let mut document: serde_json::Value = serde_json::from_str(&first.to_json()).unwrap();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        if let Some(nic) = node.get_mut("nic") {
            nic["state"] = "down".into();
        }
    }
    let unplugged = Topology::parse("unplugged", document.to_string().as_bytes()).unwrap();
    assert!(nic(&first) > 0.0 && nic(&unplugged) <= 0.0);
}

#[test]
fn constraints_and_their_words_are_one() {
    for word in [
        "nvlink-group",
        "numa-node",
        "pcie-switch",
        "same-model",
        "at-least:50",
        "at-least:12.5",
        "gpu-memory:40GiB",
        "gpu-memory:81559MiB",
        "gpu-memory:1025B",
    ] {
        assert_eq!(word.parse::<Constraint>().unwrap().to_string(), word);
    }
    for wrong in [
        "",
        "rack",
        "at-least",
        "at-least:",
        "at-least:-1",
        "at-least:inf",
        "at-least:many",
        "gpu-memory",
        "gpu-memory:",
        "gpu-memory:-1GiB",
        "gpu-memory:40",
        "gpu-memory:much",
    ] {
        assert!(wrong.parse::<Constraint>().is_err(), "{wrong}");
    }
    assert_eq!("gpu-model".parse::<Constraint>().unwrap(), Constraint::SameModel);
}

fn pcie_box(gpus: usize) -> Topology {
    let pairs = vec![(0, PathType::Sys); gpus * (gpus - 1) / 2];
    Machine { gpus, pairs, homes: vec![None; gpus], nics: Vec::new() }
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
    let mut pairs = vec![(0, PathType::Sys); 129 * 128 / 2];
    // A chain of three is not made of domains.
    (pairs[0].0, pairs[128].0) = (1, 1);
    let machine = Machine { gpus: 129, pairs, homes: vec![None; 129], nics: Vec::new() };
    let topology = machine.topology(&(0..129).collect::<Vec<_>>());
    assert_eq!(Request::gpus(2).solve(&topology).unwrap_err().kind(), ErrorKind::Unsupported);
    let placement = Request::gpus(2).exclude([128]).solve(&topology).unwrap();
    assert_eq!(positions(&placement), [0, 1]);
}

/// A machine of weights without structure: nothing to exchange, and bounds that cut little.
fn without_structure(gpus: u32) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpus: Vec<NodeId> = (0..gpus).map(|index| fragment.add(NodeId::MACHINE, Gpu::new(index))).collect();
    let mut seed = 1u64;
    for (i, a) in gpus.iter().enumerate() {
        for b in &gpus[i + 1..] {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bandwidth = Bandwidth::from_mb_per_s(1000 + (seed >> 33) % 100_000);
            let rate = Some(nvtopo::model::Rate::new(bandwidth, nvtopo::model::Basis::Measured));
            fragment.link(*a, *b, fact!(Link::new(LinkKind::NvLink), lanes = Some(1), rate = rate));
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn a_search_that_is_cut_off_says_so_and_gives_a_bound() {
    for (gpus, count) in [(64, 24), (40, 20)] {
        let topology = without_structure(gpus);
        let placement = Request::gpus(count).objectives(["pair-sum"]).solve(&topology).unwrap();
        assert!(!placement.is_optimal());
        assert_eq!(placement.gpus().len(), count);
        let score = placement.scores()[0];
        assert!(score.bound.unwrap().is_better_than(score.value.unwrap()));
    }
}

#[test]
fn memory_only_nodes_and_unknown_locality_are_not_taken_for_cpus() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let cpu_node = fact!(NumaNode::new(0), cpus = "0-7".parse().unwrap(), memory = Some(1 << 30));
    let home = fragment.add(NodeId::MACHINE, cpu_node);
    let hbm = fact!(NumaNode::new(2), memory = Some(1 << 30));
    fragment.add(NodeId::MACHINE, hbm);
    let bridge = fragment.add(home, HostBridge::default());
    fragment.add(bridge, Gpu::default());
    fragment.add(NodeId::MACHINE, Gpu::new(1));
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let placement = Request::gpus(2).solve(&topology).unwrap();
    let [a, b] = placement.gpus() else { panic!("two GPUs") };
    assert!(a.cpus.is_disjoint(&b.cpus));
    assert_eq!((a.cpus.len(), b.cpus.len()), (4, 4));
    assert_eq!((a.mems.to_string(), b.mems.to_string()), ("0".to_owned(), "0".to_owned()));
    assert!(placement.remarks().iter().any(|remark| remark.contains("GPU1")), "{:?}", placement.remarks());
}
