//! Machines that are not perfect: measured rates, weak GPUs, and meshes of more than 16 GPUs.

use nvtopo::PathType;
use nvtopo::Proof;
use nvtopo::model::{Fragment, Gpu, NodeId, NvSwitch, Provenance, Stated, TopologyBuilder, rates};
use nvtopo::solve::check::{Claim, check};
use nvtopo::solve::{Constraint, PairMatrix, Quantity};
use nvtopo::source::Locator;
use nvtopo::{Placement, Request, Topology};
use nvtopo_draw::{Style, by_name};
use std::io::Read;

/// A recorded machine by the name of its file.
fn recorded(name: &str) -> Topology {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/solver").join(name);
    let bytes = std::fs::read(file).unwrap();
    let Some(plain) = name.strip_suffix(".gz") else { return Topology::parse(name, &bytes).unwrap() };
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut text).unwrap();
    Topology::parse(plain, &text).unwrap()
}

/// Numbers by chance.
struct Chance(u64);

impl Chance {
    /// From 0 up to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The same machine with a measurement of each pair of GPUs from each side: `share` of what its links should carry, with noise
/// of so much to both sides.
fn measured(topology: &Topology, share: f64, noise: f64, seed: u64) -> Topology {
    let mut chance = Chance(seed);
    let gpus = topology.gpus().len();
    let mut list = Vec::new();
    for (a, b) in (0..gpus).flat_map(|a| (0..gpus).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        let rate = topology.pairs().pair(a, b).rate.unwrap().bandwidth.as_gb_per_s() * 1000.0 * share;
        let rate = (rate * (1.0 + noise * (2.0 * chance.next() - 1.0))).round() as u64;
        let [from, to] = [a, b].map(|gpu| topology.devices()[gpu].index());
        list.push(serde_json::json!({"from": from, "to": to, "mb_per_s": rate}));
    }
    let mut document: serde_json::Value = serde_json::from_str(&topology.to_json()).unwrap();
    document["topology"]["measured"] = list.into();
    Topology::parse("measured.json", document.to_string().as_bytes()).unwrap()
}

/// The same machine without what was measured.
fn nominal(topology: &Topology) -> Topology {
    let mut document: serde_json::Value = serde_json::from_str(&topology.to_json()).unwrap();
    document["topology"].as_object_mut().unwrap().remove("measured");
    Topology::parse("nominal.json", document.to_string().as_bytes()).unwrap()
}

fn value(placement: &Placement, objective: &str) -> Quantity {
    placement.scores().iter().find(|score| score.objective == objective).unwrap().value.unwrap()
}

/// Holds of every answer: no value is above its bound, and where the answer is said to be the best, they are equal.
fn assert_honest(topology: &Topology, request: &Request, placement: &Placement) {
    for score in placement.scores() {
        let (Some(value), Some(bound)) = (score.value, score.bound) else { continue };
        assert!(!value.is_better_than(bound), "{score:?}");
        assert!(!placement.is_optimal() || value == bound, "{score:?}");
    }
    // The referee looks at all sets, which takes long.
    if topology.gpus().len() <= 8 {
        check(topology, request, &Claim::from(placement)).unwrap().unwrap();
    }
}

#[test]
fn noise_changes_no_choice() {
    for preset in ["dgx-2", "dgx-a100", "dgx-h100", "hgx-a100-4", "l40s-8-pcie", "rtx-a6000-4-bridged"] {
        let perfect = Topology::preset(preset).unwrap();
        let gpus = perfect.gpus().len();
        for seed in 0..2 {
            let noisy = measured(&perfect, 0.87, 0.01, seed);
            for count in (1..=gpus).step_by(gpus / 4) {
                let wanted = Request::gpus(count).solve(&perfect).unwrap();
                let request = Request::gpus(count);
                let placement = request.solve(&noisy).unwrap();
                assert_eq!(placement.gpu_indices(), wanted.gpu_indices(), "{preset}, {count} GPUs, {seed}");
                assert_eq!(placement.is_optimal(), wanted.is_optimal(), "{preset}, {count} GPUs, {seed}");
                assert_honest(&noisy, &request, &placement);
            }
        }
    }
}

#[test]
fn recorded_noise_changes_no_choice() {
    for (name, counts) in [
        ("swnoise24.json.gz", vec![1, 2, 3, 8, 12, 23, 24]),
        ("nvl72n.json.gz", vec![1, 2, 8, 16, 36, 64, 71]),
    ] {
        let noisy = recorded(name);
        let perfect = nominal(&noisy);
        for count in counts {
            let request = Request::gpus(count);
            let placement = request.solve(&noisy).unwrap();
            assert_eq!(
                placement.gpu_indices(),
                Request::gpus(count).solve(&perfect).unwrap().gpu_indices(),
                "{name}, {count} GPUs"
            );
            assert!(placement.is_optimal(), "{name}, {count} GPUs");
            assert_honest(&noisy, &request, &placement);
        }
    }
}

#[test]
fn the_work_of_a_request_has_a_limit() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/solver");
    let file = folder.join("dgx-2-measured-p2p.txt");
    let dgx2 = Topology::open(&[Locator::Preset("dgx-2".to_owned()), Locator::Path(file)]).unwrap();
    // Steps of the search for the best set, which are less work each where there are more of them.
    for (name, topology, count, tolerances, most) in [
        ("dgx-2-measured-p2p.txt", dgx2, 8, vec![0.05, 0.0], 410_000),
        ("swnoise24.json.gz", recorded("swnoise24.json.gz"), 12, vec![0.05, 0.0], 25_000),
        ("nvl72n.json.gz", recorded("nvl72n.json.gz"), 16, vec![0.05], 20_000),
    ] {
        for tolerance in tolerances {
            let request = Request::gpus(count).tolerance(tolerance);
            let placement = request.solve(&topology).unwrap();
            let steps = match placement.proof() {
                Proof::Exhaustive { steps } | Proof::Bound { steps } => steps,
                other => panic!("{other:?}"),
            };
            assert!(steps <= most, "{name}, {count} GPUs, tolerance {tolerance}: {steps} steps");
            assert_honest(&topology, &request, &placement);
        }
    }
}

#[test]
fn ties_that_take_long_to_break_leave_the_first_objective_its_search() {
    let (small, large) = (recorded("mesh17.txt"), recorded("mesh32.txt"));
    let sum = |without: usize| -> u64 {
        let own = |gpu: &usize| *gpu != without;
        let pairs = (0..17).filter(own).flat_map(|a| (0..a).filter(own).map(move |b| (a, b)));
        pairs.map(|(a, b)| small.pairs().pair(a, b).rate.unwrap().bandwidth.as_mb_per_s()).sum()
    };
    let placement = Request::gpus(16).objectives(["pair-sum"]).tolerance(0.0).solve(&small).unwrap();
    let Quantity::Bandwidth(found) = value(&placement, "pair-sum") else { panic!("{placement:?}") };
    assert_eq!(Some(found.as_mb_per_s()), (0..17).map(sum).max());
    let placement = Request::gpus(12).objectives(["numa-span"]).solve(&large).unwrap();
    assert_eq!(value(&placement, "numa-span"), Quantity::NumaNodes(2), "{placement:?}");
}

#[test]
fn rings_over_relays_that_are_hard_to_find_carry_something() {
    let mesh = recorded("mesh17.txt");
    for without in 0..17 {
        let set: Vec<usize> = (0..17).filter(|gpu| *gpu != without).collect();
        let rings = mesh.rings(&set).unwrap();
        assert!(rings.bandwidth.as_mb_per_s() > 0 && !rings.rings.is_empty(), "without {without}: {rings:?}");
    }
}

#[test]
fn pairs_of_nvlinks_promise_no_ring_of_more_gpus() {
    let pairs = recorded("pcie-pairs-18.txt");
    for count in 3..=9 {
        let placement = Request::gpus(count).solve(&pairs).unwrap();
        let ring = &placement.scores()[0];
        assert_eq!((ring.objective, ring.value), ("ring", ring.bound), "{count} GPUs");
        assert_eq!(value(&placement, "numa-span"), Quantity::NumaNodes(1), "{count} GPUs");
    }
}

#[test]
fn the_reason_says_that_others_do_not_meet_the_request() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let why = Request::gpus(2).include([0, 1]).solve(&dgx1).unwrap().why().to_owned();
    assert!(
        why.ends_with("no 2 of the 8 GPUs to choose from are better by ring and meet the request."),
        "{why}"
    );
    let why = Request::gpus(1).solve(&recorded("dense18-16.json")).unwrap().why().to_owned();
    assert!(why.ends_with("; the search was stopped before it could rule out a better GPU."), "{why}");
}

#[test]
fn noise_does_not_beat_numa() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/solver");
    let file = folder.join("dgx-2-measured-p2p.txt");
    let locators = [Locator::Preset("dgx-2".to_owned()), Locator::Path(file)];
    let noisy = Topology::open(&locators).unwrap();
    let perfect = Topology::preset("dgx-2").unwrap();
    for count in 1..=16 {
        let placement = Request::gpus(count).solve(&noisy).unwrap();
        assert_eq!(
            placement.gpu_indices(),
            Request::gpus(count).solve(&perfect).unwrap().gpu_indices(),
            "{count} GPUs"
        );
    }
    // What is told is what was measured, and the best by it is had without a tolerance.
    let pair = Request::gpus(2).solve(&noisy).unwrap();
    let rate = |a: u32, b: u32| noisy.pairs().pair(a as usize, b as usize).rate.unwrap().bandwidth;
    let [a, b] = pair.gpu_indices()[..] else { panic!("two GPUs") };
    assert_eq!(value(&pair, "ring").as_bandwidth(), Some(rate(a, b)));
    let best = Request::gpus(2).only(0..8).tolerance(0.0).solve(&noisy).unwrap();
    let most = (0..8).flat_map(|a| (0..a).map(move |b| rate(a, b))).max();
    assert_eq!(value(&best, "ring").as_bandwidth(), most);
    assert!(value(&best, "ring").is_better_than(value(&pair, "ring")));
}

#[test]
fn what_differs_by_more_than_the_tolerance_is_told_apart() {
    let perfect = Topology::preset("dgx-h100").unwrap();
    let noisy = measured(&perfect, 0.9, 0.01, 7);
    let mut document: serde_json::Value = serde_json::from_str(&noisy.to_json()).unwrap();
    let slow = perfect.devices()[0].index();
    for own in document["topology"]["measured"].as_array_mut().unwrap() {
        if own["from"] == slow || own["to"] == slow {
            own["mb_per_s"] = (own["mb_per_s"].as_u64().unwrap() * 9 / 10).into();
        }
    }
    let slow = Topology::parse("slow.json", document.to_string().as_bytes()).unwrap();
    let chosen = |tolerance: f64| Request::gpus(4).tolerance(tolerance).solve(&slow).unwrap().gpu_indices();
    assert_eq!(chosen(0.05), [4, 5, 6, 7]);
    assert_eq!(chosen(0.2), [0, 1, 2, 3]);
    for wrong in [-0.1, 1.0, 0.999_999_9, f64::NAN, f64::INFINITY] {
        let error = Request::gpus(4).tolerance(wrong).solve(&slow).unwrap_err();
        assert!(error.message().contains("tolerance"), "{error}");
    }
}

#[test]
fn requirements_are_of_what_was_measured() {
    let noisy = measured(&Topology::preset("dgx-h100").unwrap(), 0.9, 0.01, 3);
    let rate = |a: usize, b: usize| noisy.pairs().pair(a, b).rate.unwrap().bandwidth.as_gb_per_s();
    let least = 407.0;
    let placement =
        Request::gpus(2).require([format!("at-least:{least}").parse().unwrap()]).solve(&noisy).unwrap();
    let [a, b] = placement.gpu_indices()[..] else { panic!("two GPUs") };
    assert!(rate(a as usize, b as usize) >= least);
    assert!(rate(0, 1) < least || (a, b) == (0, 1));
}

#[test]
fn weak_gpus_on_a_switch_are_left_out() {
    for (name, counts) in
        [("weak-18-3.json.gz", vec![1, 2, 5, 8, 16, 17]), ("weak-72-3.json.gz", vec![1, 2, 16, 36, 64, 71])]
    {
        let topology = recorded(name);
        for count in counts {
            let request = Request::gpus(count);
            let placement = request.solve(&topology).unwrap();
            assert!(placement.is_optimal(), "{name}, {count} GPUs");
            assert!(count == 1 || !placement.gpu_indices().contains(&3), "{name}, {count} GPUs");
            if count > 1 {
                assert_eq!(value(&placement, "ring").to_string(), "900 GB/s", "{name}, {count} GPUs");
            }
            assert_honest(&topology, &request, &placement);
        }
    }
}

#[test]
fn a_weak_gpu_that_has_to_be_in_is_no_reason_to_give_up() {
    for name in ["weak-18-3.json.gz", "weak-72-3.json.gz"] {
        let topology = recorded(name);
        let gpus = topology.gpus().len();
        for request in [Request::gpus(gpus), Request::gpus(gpus / 2).include([3])] {
            let placement = request.solve(&topology).unwrap();
            assert_eq!(value(&placement, "ring").to_string(), "450 GB/s", "{name}");
            assert_eq!(value(&placement, "numa-span").number() as usize, placement.gpus().len().div_ceil(4));
            assert_honest(&topology, &request, &placement);
        }
    }
}

#[test]
fn the_worst_pair_is_that_of_the_matrix() {
    let topology = recorded("meas-72-2.json.gz");
    let matrix = PairMatrix::of(&topology).unwrap();
    for (count, include) in [(2, 0), (5, 0), (8, 0), (8, 1 << 20), (12, 0), (40, 0), (71, 0)] {
        let included = (0..72u32).filter(|gpu| include >> gpu & 1 == 1);
        let request = Request::gpus(count).include(included).objectives(["min-pair"]);
        let placement = request.solve(&topology).unwrap();
        let best = matrix.best_by_min_pair(u128::MAX >> 56, include, count).unwrap();
        let own = value(&placement, "min-pair").as_bandwidth().unwrap();
        assert_eq!(own.as_mb_per_s(), best.value, "{count} GPUs with {include:b}");
        assert_honest(&topology, &request, &placement);
        if (count, include) == (8, 0) {
            assert_eq!(own.to_string(), "50 GB/s");
        }
    }
}

#[test]
fn rings_over_pairs_are_found_among_many() {
    let topology = recorded("meas-72-2.json.gz");
    for count in [3, 8, 16, 17, 36, 60] {
        let request = Request::gpus(count);
        let placement = request.solve(&topology).unwrap();
        assert_eq!(value(&placement, "ring").to_string(), "100 GB/s", "{count} GPUs");
        assert_honest(&topology, &request, &placement);
    }
}

#[test]
fn rings_of_nvlink_are_found_in_a_sparse_mesh() {
    let topology = recorded("sparse-nvlink-64.json.gz");
    for count in [2, 3, 4, 8, 12, 20, 32] {
        let request = Request::gpus(count);
        let placement = request.solve(&topology).unwrap();
        let least = if count <= 8 { 50.0 } else { 25.0 };
        assert!(value(&placement, "ring").number() >= least, "{count} GPUs: {:?}", placement.scores());
        assert_honest(&topology, &request, &placement);
    }
}

/// GPUs on `fabrics` NVSwitches with a link of 25 GB/s to each, but for those that are lost; two of them beside a NUMA node.
fn switched(gpus: usize, fabrics: usize, lost: &[(usize, usize)]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let switches: Vec<NodeId> =
        (0..fabrics).map(|_| fragment.add(NodeId::MACHINE, NvSwitch::default())).collect();
    let mut ids = Vec::new();
    for index in 0..gpus {
        let nodes = Stated::Known([(index / 2) as u32].into_iter().collect());
        let gpu = fact!(Gpu::new(index as u32), nodes = nodes);
        let gpu = fragment.add(NodeId::MACHINE, gpu);
        for (fabric, switch) in switches.iter().enumerate() {
            if !lost.contains(&(index, fabric)) {
                fragment.link(gpu, *switch, rates::nvlink(2, 1));
            }
        }
        for other in &ids {
            fragment.state_path(gpu, *other, PathType::Sys);
        }
        ids.push(gpu);
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn links_that_are_lost_to_different_switches_are_counted_together() {
    // Each of the first four lost a link, of which two to the same switch.
    let topology = switched(20, 6, &[(0, 0), (1, 1), (2, 2), (3, 2)]);
    for (count, ring) in [(2, 150), (16, 150), (17, 125), (18, 125), (19, 100), (20, 75)] {
        let request = Request::gpus(count);
        let placement = request.solve(&topology).unwrap();
        assert_eq!(value(&placement, "ring").to_string(), format!("{ring} GB/s"), "{count} GPUs");
        assert_eq!(placement.scores()[0].bound, placement.scores()[0].value, "{count} GPUs");
        assert_honest(&topology, &request, &placement);
    }
    let request = Request::gpus(3).include([2]);
    let placement = request.solve(&topology).unwrap();
    assert_eq!(value(&placement, "ring").to_string(), "125 GB/s");
    assert_eq!(placement.gpu_indices(), [2, 4, 5], "beside two NUMA nodes, with the best pairs");
}

/// Pairs of GPUs by chance, each measured at one of some rates with noise.
fn by_chance(gpus: usize, rates: &[u64], seed: u64) -> Topology {
    let mut chance = Chance(seed);
    let mut fragment = Fragment::new(Provenance::Preset);
    let mut ids: Vec<NodeId> = Vec::new();
    for index in 0..gpus {
        let nodes = Stated::Known([(chance.next() * 4.0) as u32].into_iter().collect());
        let gpu = fact!(Gpu::new(index as u32), nodes = nodes);
        let gpu = fragment.add(NodeId::MACHINE, gpu);
        for other in &ids {
            fragment.state_path(gpu, *other, PathType::Sys);
            let rate = rates[(chance.next() * rates.len() as f64) as usize];
            let rate = (rate as f64 * (1.0 + 0.01 * chance.next())) as u64;
            fragment.measure(gpu, *other, nvtopo::Bandwidth::from_mb_per_s(rate));
        }
        ids.push(gpu);
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn answers_about_machines_made_by_chance_are_honest() {
    for seed in 0..6 {
        let topology = by_chance(17 + seed as usize, &[12_000, 25_000, 50_000], seed);
        for objectives in [vec![], vec!["min-pair"], vec!["numa-span", "pair-sum"], vec!["pair-sum"]] {
            for count in [2, 3, 9] {
                for tolerance in [0.05, 0.0] {
                    let mut request = Request::gpus(count).tolerance(tolerance);
                    if !objectives.is_empty() {
                        request = request.objectives(objectives.clone());
                    }
                    let placement = request.solve(&topology).unwrap();
                    for score in placement.scores() {
                        let (value, bound) = (score.value, score.bound);
                        assert!(value.zip(bound).is_none_or(|(value, bound)| !value.is_better_than(bound)));
                    }
                    if count == 2 {
                        // All sets are compared by the referee, where one is told to be the best.
                        check(&topology, &request, &Claim::from(&placement)).unwrap().unwrap();
                    }
                    if count == 9 || tolerance > 0.0 || objectives != ["pair-sum"] {
                        continue;
                    }
                    let matrix = PairMatrix::of(&topology).unwrap();
                    let all = u128::MAX >> (128 - topology.gpus().len());
                    let best = matrix.best_by_pair_sum(all, 0, count).unwrap();
                    let own = value(&placement, "pair-sum").as_bandwidth().unwrap();
                    assert_eq!(own.as_mb_per_s(), best.value, "{seed}, {count} GPUs");
                }
            }
        }
    }
}

#[test]
fn nodes_that_gpus_name_are_shown_where_nothing_else_is_known_of_them() {
    let topology = recorded("nvl72n.json.gz");
    let text = by_name("text").unwrap().topology(&topology, Style::default());
    for (node, first) in [("0", "GPU0 "), ("35", "GPU70 "), ("unknown", "mlx5_0\n")] {
        assert!(text.contains(&format!("\nNUMA node {node}\n  {first}")), "{text}");
    }
}

#[test]
fn the_referee_reads_rates_that_no_machine_has() {
    const ALL: [&str; 8] =
        ["pair-sum", "min-pair", "ring", "tree", "all-to-all", "nic", "numa-span", "remainder"];
    let most = u64::from(u32::MAX);
    let chance = by_chance(6, &[7, most, most + 1, 1_000_000_000_000], 3);
    let linked = |share: u64| {
        let mut document: serde_json::Value =
            serde_json::from_str(&Topology::preset("dgx-1-v100").unwrap().to_json()).unwrap();
        for link in document["topology"]["links"].as_array_mut().unwrap() {
            let rate = link["rate"]["mb_per_s"].as_u64().unwrap();
            link["rate"]["mb_per_s"] = (rate * share).into();
        }
        Topology::parse("absurd.json", document.to_string().as_bytes()).unwrap()
    };
    for topology in [chance, linked(100_000), linked(150_000), linked(1_000_000)] {
        for (objective, tolerance) in ALL.into_iter().flat_map(|own| [(own, 0.0), (own, 0.05)]) {
            for count in [1, 2, 5] {
                let request = Request::gpus(count).objectives([objective]).tolerance(tolerance);
                let claim = Claim::from(&request.solve(&topology).unwrap());
                let verdict = check(&topology, &request, &claim).unwrap();
                assert!(verdict.is_ok(), "{objective}, {count} GPUs, {tolerance}: {verdict:?}");
            }
        }
    }
}

#[test]
fn the_referee_refuses_faulty_gpus_where_others_meet_the_request() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&dgx.to_json()).unwrap();
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    for (position, gpu) in nodes.iter_mut().filter_map(|node| node.get_mut("gpu")).enumerate() {
        let degraded = u32::from(position == 0);
        gpu["fabric"] = serde_json::json!({"state": "completed", "status": 0, "health": degraded});
    }
    let topology = Topology::parse("faulty.json", document.to_string().as_bytes()).unwrap();
    assert_eq!(topology.gpu_faults(0).len(), 1);
    let request = Request::gpus(4).require([Constraint::SameNumaNode]);
    let claim = Claim::from(&request.solve(&topology).unwrap());
    assert_eq!(claim.gpus, [4, 5, 6, 7]);
    assert!(check(&topology, &request, &claim).unwrap().is_ok());
    let avoidable = Claim::from(&request.solve(&dgx).unwrap());
    assert_eq!(avoidable.gpus, [0, 1, 2, 3]);
    let flaw = check(&topology, &request, &avoidable).unwrap().unwrap_err();
    assert_eq!(flaw.to_string(), "GPU4, GPU5, GPU6, GPU7 meet the request with fewer faults");
    // Where no others do, it may be chosen.
    let request = request.exclude([7]);
    let claim = Claim::from(&request.solve(&topology).unwrap());
    assert_eq!(claim.gpus, [0, 1, 2, 3]);
    assert!(check(&topology, &request, &claim).unwrap().is_ok());
}

#[test]
fn the_reason_says_that_gpus_without_faults_are_taken_first() {
    let mut fragment = Fragment::new(Provenance::Nvml);
    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
    for (index, (model, links)) in
        [("A100", 12), ("H100", 17), ("H100", 18), ("H100", 17)].into_iter().enumerate()
    {
        let mut gpu = Gpu::new(index as u32);
        gpu.model = Some(model.to_owned());
        let gpu = fragment.add(NodeId::MACHINE, gpu);
        fragment.link(gpu, switch, rates::nvlink(4, links));
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    // Of one model are GPU1 to GPU3, of which two lack a link.
    let why = Request::gpus(3).solve(&topology).unwrap().why().to_owned();
    assert!(why.ends_with("are better by model-span with as few faulty ones."), "{why}");
    let why = Request::gpus(2).solve(&topology).unwrap().why().to_owned();
    assert!(!why.contains("faulty"), "{why}");
}
