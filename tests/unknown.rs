//! Answers about machines of which something is unknown: it is said, and never printed as zero.

use nvtopo::PathType;
use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NodeKind, PortState, Provenance, TopologyBuilder};
use nvtopo::solve::{Dimension, Quantity, Traffic, assign_nics};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, ParallelJob, Placement, Request, Topology, fair_nics};
use nvtopo_draw::{Style, by_name};
use proptest::prelude::*;

const MEASURED_ONLY: &[u8] = include_bytes!("data/measured/measured-only.txt");

fn measured_only() -> Topology {
    Topology::parse("measured-only.txt", MEASURED_ONLY).unwrap()
}

fn value(placement: &Placement, objective: &str) -> Option<Quantity> {
    placement.scores().iter().find(|score| score.objective == objective).unwrap().value
}

fn printed(format: &str, placement: &Placement) -> String {
    by_name(format).unwrap().placement(placement, Style::default())
}

#[test]
fn no_time_is_no_negative_zero() {
    let topology = Topology::preset("dgx-1-v100").unwrap();
    let moves = |dimension, bytes| Traffic { dimension, bytes };
    let jobs = [
        ParallelJob::new().dp(8).traffic(moves(Dimension::Dp, 0)),
        ParallelJob::new().tp(2).dp(4).traffic(moves(Dimension::Tp, 0)).traffic(moves(Dimension::Dp, 0)),
        ParallelJob::new()
            .tp(2)
            .pp(2)
            .dp(2)
            .traffic(moves(Dimension::Tp, 1))
            .traffic(moves(Dimension::Pp, 0))
            .traffic(moves(Dimension::Dp, 0)),
    ];
    let alone = ParallelJob::new().map_to(&topology, &[0]).unwrap();
    for map in jobs.into_iter().map(|job| job.map(&topology).unwrap()).chain([alone]) {
        let times = [map.seconds(), map.launcher_seconds(), map.bound_seconds()];
        assert!(times.iter().all(|time| time.is_sign_positive()), "{times:?}");
        for format in ["text", "json"] {
            let answer = by_name(format).unwrap().ranks(&map, Style::default());
            assert!(!answer.contains("-0.0") && !answer.contains("-0 "), "{answer}");
            // A byte takes less than is shown, and that is not nothing.
            assert!(!answer.contains(" 0.0 µs"), "{answer}");
        }
    }
}

#[test]
fn what_is_unknown_is_no_zero() {
    let topology = measured_only();
    let placement = Request::gpus(2).solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), [0, 1]);
    let best = Quantity::Bandwidth(Bandwidth::from_gb_per_s(26.3));
    assert_eq!((value(&placement, "ring"), value(&placement, "pair-sum")), (Some(best), Some(best)));
    assert_eq!((value(&placement, "numa-span"), value(&placement, "nic")), (None, None));
    let text = printed("text", &placement);
    assert!(text.contains("numa-span  unknown") && text.contains("nic  unknown"), "{text}");
    assert!(!text.contains(" 0 GB/s") && !text.contains("NUMA nodes\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&printed("json", &placement)).unwrap();
    for score in json["score"].as_array().unwrap() {
        let unknown = ["numa-span", "nic"].contains(&score["objective"].as_str().unwrap());
        assert_eq!((score["value"].is_null(), score["unit"].is_string()), (unknown, true), "{score}");
        assert!(!unknown || score["bound"].is_null(), "{score}");
    }
}

/// Three GPUs, of which two share a known path.
fn partly_known() -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let gpus: Vec<NodeId> = (0..3).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    fragment.state_path(gpus[1], gpus[2], PathType::Sys);
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn a_known_pair_comes_before_unknown_ones() {
    let topology = partly_known();
    for objective in ["ring", "min-pair", "pair-sum"] {
        let request = Request::gpus(2).objectives([objective]);
        let explanation = request.explain(&topology).unwrap();
        assert_eq!(explanation.placement.gpu_indices(), [1, 2], "{objective}");
        let loss = explanation.next.unwrap().loss.unwrap();
        assert_eq!((loss.own, loss.chosen.is_some(), loss.unit), (None, true, "GB/s"));
        assert!(loss.to_string().starts_with(&format!("{objective}: unknown instead of ")), "{loss}");
    }
    // The sum of what is known is no sum of all.
    let all = Request::gpus(3).objectives(["pair-sum", "min-pair"]).solve(&topology).unwrap();
    assert_eq!((value(&all, "pair-sum"), value(&all, "min-pair")), (None, None));
}

#[test]
fn a_job_of_one_gpu_has_no_ring_of_nothing() {
    let placement = Request::gpus(1).solve(&Topology::preset("dgx-h100").unwrap()).unwrap();
    let text = printed("text", &placement);
    assert!(text.contains("ring  none, of one GPU") && !text.contains(" 0 GB/s"), "{text}");
}

#[test]
fn no_nic_is_better_than_its_port_and_gpus_share_it() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let Some(most) = topology.nics().filter_map(|nic| nic.rate).max() else { continue };
        for count in 1..=topology.gpus().len() {
            let placement = Request::gpus(count).solve(&topology).unwrap();
            let reached = value(&placement, "nic").unwrap().as_bandwidth().unwrap();
            assert!(reached <= most, "{}: {reached} over a port of {most}", preset.name);
        }
    }
    // Eight GPUs, four ports of 12.5 GB/s.
    let placement = Request::gpus(2).only([0, 1]).solve(&Topology::preset("dgx-1-v100").unwrap()).unwrap();
    assert_eq!(value(&placement, "nic"), Some(Quantity::Bandwidth(Bandwidth::from_gb_per_s(6.25))));
    assert_eq!(placement.gpus()[0].nic_shared_with, [1]);
    let text = printed("text", &placement);
    assert!(text.contains("mlx5_0, shared with GPU1") && !text.contains("own NIC"), "{text}");
    let alone = Request::gpus(1).solve(&Topology::preset("dgx-h100").unwrap()).unwrap();
    assert!(alone.gpus()[0].nic_shared_with.is_empty());
}

/// GPUs and NICs with a stated class for each pair, where one is known.
fn wired(paths: &[Vec<Option<PathType>>], states: &[Option<PortState>], rates: &[Option<u64>]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let nics: Vec<NodeId> = (0..states.len())
        .map(|at| {
            let rate = rates[at].map(Bandwidth::from_mb_per_s);
            let nic = fact!(Nic::new(format!("mlx5_{at}")), state = states[at], rate = rate);
            fragment.add(NodeId::MACHINE, nic)
        })
        .collect();
    for (index, row) in (0..).zip(paths) {
        let gpu = Gpu::new(index);
        let gpu = fragment.add(NodeId::MACHINE, gpu);
        for (nic, path) in nics.iter().zip(row) {
            if let Some(path) = path {
                fragment.state_path(gpu, *nic, *path);
            }
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

/// MB/s and nearness of the way from a GPU to a NIC of which a number of GPUs share the port.
fn way(topology: &Topology, gpu: usize, nic: usize, per_nic: u64) -> (u64, u64) {
    let pair = topology.pairs().pair(gpu, nic);
    let port = topology.node(topology.devices()[nic]).kind.as_nic().unwrap().rate;
    let share = port.map_or(u64::MAX, |rate| rate.as_mb_per_s() / per_nic);
    let near = pair.path.map_or(0, |path| PathType::Dis as u64 - path as u64);
    (pair.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s()).min(share), near)
}

/// The best worst way, and the best sum beside it, over all assignments.
fn best_assignment(topology: &Topology, per_nic: u64) -> Option<((u64, u64), (u64, u64))> {
    let gpus = topology.gpus().len();
    let down = |nic: &usize| {
        topology.node(topology.devices()[*nic]).kind.as_nic().unwrap().state == Some(PortState::Down)
    };
    let nics: Vec<usize> = (gpus..topology.devices().len()).filter(|nic| !down(nic)).collect();
    (0..nics.len().pow(gpus as u32))
        .filter_map(|mut number| {
            let mut used = vec![0; nics.len()];
            let ways: Vec<(u64, u64)> = (0..gpus)
                .map(|gpu| {
                    let at = number % nics.len();
                    number /= nics.len();
                    used[at] += 1;
                    way(topology, gpu, nics[at], per_nic)
                })
                .collect();
            used.iter().all(|used| *used <= per_nic).then(|| worth(&ways))
        })
        .max()
}

fn worth(ways: &[(u64, u64)]) -> ((u64, u64), (u64, u64)) {
    let sum = ways.iter().fold((0, 0), |sum, way| (sum.0 + way.0, sum.1 + way.1));
    (*ways.iter().min().unwrap(), sum)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn assigned_nics_are_those_that_brute_force_finds(
        paths in prop::collection::vec(
            prop::collection::vec(
                prop::option::weighted(0.9, prop::sample::select(vec![PathType::Pix, PathType::Pxb, PathType::Phb, PathType::Sys])),
                4,
            ),
            1..=4,
        ),
        states in prop::collection::vec(prop::option::of(prop::sample::select(vec![PortState::Active, PortState::Down])), 1..=4),
        rates in prop::collection::vec(prop::option::of(prop::sample::select(vec![1_250, 12_500, 50_000])), 4),
        per_nic in 1usize..=2,
    ) {
        let topology = wired(&paths, &states, &rates);
        let gpus: Vec<usize> = (0..paths.len()).collect();
        let found = assign_nics(&topology, &gpus, per_nic);
        let best = best_assignment(&topology, per_nic as u64);
        let own = found.map(|nics| {
            let ways: Vec<_> = gpus.iter().map(|gpu| way(&topology, *gpu, nics[*gpu], per_nic as u64)).collect();
            worth(&ways)
        });
        prop_assert_eq!(own, best);
    }
}

#[test]
fn the_worst_path_of_an_assignment_counts_first() {
    use PathType::{Phb, Pix, Pxb};
    // PIX and PHB have the better sum; PXB and PXB the better worst path.
    let topology = wired(&[vec![Some(Pix), Some(Pxb)], vec![Some(Pxb), Some(Phb)]], &[None; 2], &[None; 2]);
    assert_eq!(assign_nics(&topology, &[0, 1], 1), Some(vec![3, 2]));
}

#[test]
fn a_nic_that_is_down_serves_nobody_and_an_unknown_path_is_no_choice() {
    use PathType::Pix;
    let row = || vec![Some(Pix), Some(Pix), Some(Pix)];
    let states = [None, Some(PortState::Down), None];
    // Two ports serve three GPUs, two at most each.
    let topology = wired(&[row(), row(), row()], &states, &[None; 3]);
    let nics: Vec<usize> = fair_nics(&topology).iter().map(|nic| nic.unwrap()).collect();
    assert!(!nics.contains(&4), "{nics:?}");
    // Nobody knows how GPU1 reaches a NIC.
    let topology = wired(&[vec![Some(Pix), None], vec![None, None]], &[None; 2], &[None; 2]);
    assert_eq!(fair_nics(&topology), [Some(2), None]);
    let placement = Request::gpus(1).only([1]).objectives(["nic"]).solve(&topology).unwrap();
    assert_eq!(value(&placement, "nic"), None);
}

#[test]
fn many_gpus_of_which_no_path_is_known_are_chosen_all_the_same() {
    for gpus in [3, 4, 16, 17, 18, 64] {
        let mut fragment = Fragment::new(Provenance::Smi);
        for index in 0..gpus {
            fragment.add(NodeId::MACHINE, Gpu::new(index));
        }
        let topology = TopologyBuilder::new().with(fragment).build().unwrap();
        for count in [2, 3, gpus as usize] {
            let placement = Request::gpus(count).solve(&topology).unwrap();
            assert_eq!(placement.gpus().len(), count);
            let ring = placement.scores().iter().find(|score| score.objective == "ring").unwrap();
            assert_eq!(ring.value, None, "{gpus} GPUs, {count} of them");
        }
    }
}

#[test]
fn cuts_through_more_gpus_than_are_examined_are_unknown() {
    let gpus = 20;
    let names: Vec<String> = (0..gpus).map(|gpu| format!("GPU{gpu}")).collect();
    let cell = |a: usize, b: usize| if a == b { "X" } else { "NV18" };
    let row = |a: usize| {
        let cells: Vec<&str> = (0..gpus).map(|b| cell(a, b)).collect();
        format!("{}\t{}", names[a], cells.join("\t"))
    };
    let rows: Vec<String> = (0..gpus).map(row).collect();
    let text = format!("\t{}\n{}\n", names.join("\t"), rows.join("\n"));
    let topology = Topology::parse("twenty", text.as_bytes()).unwrap();
    for objective in ["tree", "all-to-all"] {
        let score =
            |count| Request::gpus(count).objectives([objective]).solve(&topology).unwrap().scores()[0].value;
        assert!(score(16).is_some(), "{objective}");
        assert_eq!(score(17), None, "{objective}");
    }
}
