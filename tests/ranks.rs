//! Mapping the ranks of a parallel job: groups against the documentation of Megatron-core and DeepSpeed, times against
//! known machines and brute force.

use nvtopo::model::{
    Fragment, Gpu, Link, LinkKind, NodeId, NodeKind, NvSwitch, Provenance, TopologyBuilder, rates,
};
use nvtopo::solve::{Dimension, DimensionTime, RankGroup, Traffic, Transformer};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, ErrorKind, ParallelJob, PathType, RankMap, RankOrder, Topology};
use proptest::prelude::*;

/// A transformer of 7 billion parameters with 8 micro-batches of one sequence.
fn seven_billion() -> Transformer {
    "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B".parse().unwrap()
}

fn job(tp: usize, pp: usize, dp: usize) -> ParallelJob {
    ParallelJob::new().tp(tp).pp(pp).dp(dp).model(seven_billion())
}

fn traffic(dimension: Dimension, bytes: u64) -> Traffic {
    Traffic { dimension, bytes }
}

fn order(text: &str) -> RankOrder {
    text.parse().unwrap()
}

/// A machine of direct NVLinks; where there is none, a path between sockets or within one.
fn mesh(gpus: usize, links: &[u16], name: impl Fn(usize) -> usize) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let mut ids = vec![NodeId::MACHINE; gpus];
    for own in (0..gpus).map(&name) {
        let gpu = Gpu::new(own as u32);
        ids[own] = fragment.add(NodeId::MACHINE, gpu);
    }
    for ((a, b), links) in pairs(gpus).zip(links) {
        let (first, second) = (ids[name(a)], ids[name(b)]);
        match links {
            0 => fragment.state_path(first, second, PathType::Sys),
            1 => fragment.state_path(first, second, PathType::Pix),
            _ => fragment.link(first, second, rates::nvlink(2, links - 1)),
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

fn pairs(gpus: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..gpus).flat_map(move |a| (a + 1..gpus).map(move |b| (a, b)))
}

/// All orders of `0..count`, in lexicographic order.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    fn extend(path: &mut Vec<usize>, count: usize, out: &mut Vec<Vec<usize>>) {
        if path.len() == count {
            out.push(path.clone());
        }
        for next in (0..count).filter(|next| !path.contains(next)).collect::<Vec<_>>() {
            path.push(next);
            extend(path, count, out);
            path.pop();
        }
    }
    let mut out = Vec::new();
    extend(&mut Vec::new(), count, &mut out);
    out
}

/// The time of a mapping, from the definition.
fn time(topology: &Topology, job: &ParallelJob, gpu_of_rank: &[usize]) -> f64 {
    let mut sum = 0.0;
    for dimension in Dimension::ALL {
        let groups = job.groups(dimension).unwrap();
        let experts = job.groups(Dimension::Ep).unwrap()[0].len();
        if groups[0].len() < 2 || (dimension == Dimension::Edp && experts == 1) {
            continue;
        }
        let bytes = job.bytes(dimension).unwrap() as f64;
        let mut worst: f64 = 0.0;
        for group in groups {
            let gpus: Vec<usize> = group.iter().map(|rank| gpu_of_rank[*rank]).collect();
            let rate = |a: usize, b: usize| {
                topology.pairs().pair(gpus[a], gpus[b]).rate.unwrap().bandwidth.as_mb_per_s()
            };
            let bandwidth = match dimension {
                Dimension::Pp => (1..gpus.len()).map(|stage| rate(stage - 1, stage)).min().unwrap(),
                Dimension::Ep => match topology.all_to_all_bound(&gpus).unwrap().as_mb_per_s() {
                    0 => (0..gpus.len())
                        .map(|a| {
                            let others = (0..gpus.len()).filter(|b| *b != a);
                            (gpus.len() - 1) as f64 / others.map(|b| 1.0 / rate(a, b) as f64).sum::<f64>()
                        })
                        .fold(f64::INFINITY, f64::min)
                        .round() as u64,
                    found => found,
                },
                _ => topology.direct_rings(&gpus).unwrap().bandwidth.as_mb_per_s(),
            };
            worst = worst.max(bytes / (bandwidth as f64 * 1e6));
        }
        sum += worst;
    }
    sum
}

/// Holds an answer against the definition of what it says.
#[track_caller]
fn check(topology: &Topology, job: &ParallelJob, map: &RankMap) {
    let mut gpus = map.gpu_of_rank().to_vec();
    gpus.sort_unstable();
    let mut launcher = map.launcher_order().to_vec();
    launcher.sort_unstable();
    assert_eq!(gpus, launcher);
    close(map.seconds(), time(topology, job, map.gpu_of_rank()));
    close(map.launcher_seconds(), time(topology, job, map.launcher_order()));
    assert!(map.seconds() <= map.launcher_seconds());
    assert!(map.bound_seconds() <= map.seconds());
    assert_eq!(map.is_optimal(), map.bound_seconds() >= map.seconds());
    if map.gain() <= 1.0 {
        assert_eq!(map.gpu_of_rank(), map.launcher_order());
    }
    for dimension in map.dimensions() {
        let worst = &dimension.worst;
        let of_ranks: Vec<usize> = worst.ranks.iter().map(|rank| map.gpu_of_rank()[*rank]).collect();
        assert_eq!(worst.gpus, of_ranks);
        close(dimension.seconds, dimension.bytes as f64 / (worst.bandwidth.as_mb_per_s() as f64 * 1e6));
    }
}

#[track_caller]
fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * a.abs().max(b.abs()), "{a} is not {b}");
}

/// The documentation of Megatron-core's `initialize_model_parallel`: 16 GPUs, 2 tensor ranks, 4 stages.
#[test]
fn groups_are_those_of_megatrons_documentation() {
    let job = ParallelJob::new().tp(2).pp(4).dp(2);
    assert_eq!(
        job.groups(Dimension::Dp).unwrap(),
        [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11], [12, 14], [13, 15]]
    );
    assert_eq!(
        job.groups(Dimension::Tp).unwrap(),
        [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]]
    );
    assert_eq!(
        job.groups(Dimension::Pp).unwrap(),
        [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]]
    );
    // Of the rank generator: order tp-pp-dp, sizes 2, 2, 2.
    let job = ParallelJob::new().tp(2).pp(2).dp(2).order(order("tp-pp-dp"));
    assert_eq!(job.groups(Dimension::Dp).unwrap(), [[0, 4], [1, 5], [2, 6], [3, 7]]);
    // Of context parallelism: 8 GPUs, 4 tensor ranks, 2 context ranks.
    let job = ParallelJob::new().tp(4).cp(2);
    assert_eq!(job.groups(Dimension::Cp).unwrap(), [[0, 4], [1, 5], [2, 6], [3, 7]]);
    // Gradients are reduced among context ranks as well.
    assert_eq!(job.groups(Dimension::Dp).unwrap(), [[0, 4], [1, 5], [2, 6], [3, 7]]);
}

/// Worked out by the rule of Megatron-core's rank generator, one for dense layers and one for experts: 16 ranks with tp 2, cp 2,
/// ep 4, pp 2, in its default order.
#[test]
fn experts_are_taken_from_the_context_and_data_ranks() {
    let job = ParallelJob::new().tp(2).cp(2).ep(4).dp(2).pp(2);
    assert_eq!(job.ranks().unwrap(), 16);
    assert_eq!(
        job.groups(Dimension::Ep).unwrap(),
        [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]
    );
    assert!(job.groups(Dimension::Edp).unwrap().iter().all(|group| group.len() == 1));
    assert_eq!(
        job.groups(Dimension::Cp).unwrap(),
        [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11], [12, 14], [13, 15]]
    );
    assert_eq!(
        job.groups(Dimension::Dp).unwrap(),
        [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]
    );
    let job = ParallelJob::new().ep(2).dp(8);
    assert_eq!(job.groups(Dimension::Edp).unwrap(), [[0, 2, 4, 6], [1, 3, 5, 7]]);
}

/// The documentation of DeepSpeed's `get_axis_comm_lists`: axes pipe, data, model of 2 each.
#[test]
fn groups_are_those_of_deepspeeds_documentation() {
    let job = ParallelJob::new().tp(2).dp(2).pp(2).order(order("pipe,data,model"));
    assert_eq!(job.groups(Dimension::Pp).unwrap(), [[0, 4], [1, 5], [2, 6], [3, 7]]);
    assert_eq!(job.groups(Dimension::Dp).unwrap(), [[0, 2], [1, 3], [4, 6], [5, 7]]);
    assert_eq!(job.groups(Dimension::Tp).unwrap(), [[0, 1], [2, 3], [4, 5], [6, 7]]);
    assert_eq!(job.shape(), "model 2 × data 2 × pipe 2");
    let job = ParallelJob::new().dp(3).pp(2).order(order("pipe,data"));
    assert_eq!(job.groups(Dimension::Dp).unwrap(), [[0, 1, 2], [3, 4, 5]]);
}

/// All links that matter are NVLinks, but for one hop of the last pipeline in the launcher's order, which crosses the
/// sockets at 6 GB/s. With 9 GB/s there it would be 2.09.
#[test]
fn known_jobs_on_dgx_1_gain_what_its_links_give() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    for (job, gain) in [
        (job(2, 1, 4), 1.774),
        (job(2, 2, 2), 1.688),
        (job(2, 4, 1), 2.241),
        (job(4, 1, 2), 1.0),
        (job(4, 2, 1), 1.0),
        (job(1, 1, 8), 1.0),
    ] {
        let map = job.map(&dgx1).unwrap();
        check(&dgx1, &job, &map);
        assert!(map.is_optimal());
        assert!((map.gain() - gain).abs() < 0.001, "{}: {}", job.shape(), map.gain());
    }
    let map = job(2, 1, 4).map(&dgx1).unwrap();
    assert_eq!(map.gpu_of_rank(), [0, 3, 1, 2, 4, 7, 5, 6]);
    assert!((map.launcher_seconds() - 1.5754).abs() < 1e-4 && (map.seconds() - 0.8882).abs() < 1e-4);
    assert_eq!(map.cuda_environment()[1], ("CUDA_VISIBLE_DEVICES", "0,3,1,2,4,7,5,6".to_owned()));
    let bandwidths = |which: fn(&DimensionTime) -> &RankGroup| -> Vec<String> {
        map.dimensions().iter().map(|dimension| which(dimension).bandwidth.to_string()).collect()
    };
    assert_eq!(bandwidths(|dimension| &dimension.launcher_worst), ["25 GB/s", "50 GB/s"]);
    assert_eq!(bandwidths(|dimension| &dimension.worst), ["50 GB/s", "50 GB/s"]);
}

#[test]
fn switches_and_bridges_in_order_leave_nothing_to_gain() {
    for preset in ["dgx-a100", "dgx-h100", "hgx-a100-4", "rtx-a6000-4-bridged"] {
        let topology = Topology::preset(preset).unwrap();
        let pairs = topology.gpus().len() / 2;
        for job in [job(2, 1, pairs), job(2, pairs, 1), job(1, 1, 2 * pairs), job(2 * pairs, 1, 1)] {
            let map = job.map(&topology).unwrap();
            check(&topology, &job, &map);
            assert!(map.is_optimal());
            assert_eq!(map.gpu_of_rank(), map.launcher_order(), "{preset} {}", job.shape());
        }
    }
    // The same bridges, but the launcher sees the GPUs in another order.
    let bridged = Topology::preset("rtx-a6000-4-bridged").unwrap();
    let groups: Vec<&[usize]> = bridged.nvlink_groups().iter().map(|group| &group.gpus[..]).collect();
    let crossed = [groups[0][0], groups[1][0], groups[0][1], groups[1][1]];
    let job = job(2, 1, 2);
    let map = job.map_to(&bridged, &crossed).unwrap();
    check(&bridged, &job, &map);
    assert_eq!(map.gpu_of_rank(), [groups[0], groups[1]].concat());
    // Tensors move 34.36 GB and data 6.7 GB, and of 56.25 GB/s over bridges and 31.5 over PCIe each has one.
    let expected = (34.36 / 31.507 + 6.7 / 56.25) / (34.36 / 56.25 + 6.7 / 31.507);
    assert!((map.gain() - expected).abs() < 0.001, "{} is not {expected}", map.gain());
}

/// Two boards of the kind, joined by what leads from socket to socket.
fn two_boards(links: &[u16], name: impl Fn(usize) -> usize) -> Topology {
    let half = pairs(8).zip(links).map(|(pair, links)| (pair, *links));
    let of: std::collections::BTreeMap<(usize, usize), u16> = half.collect();
    let all: Vec<u16> =
        pairs(16).map(|(a, b)| if a / 8 == b / 8 { of[&(a % 8, b % 8)] } else { 0 }).collect();
    mesh(16, &all, name)
}

/// The NVLinks of DGX-1 with V100, one more than there are, and 1 for a path within the machine.
fn dgx1_links() -> Vec<u16> {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    pairs(8).map(|(a, b)| dgx1.pairs().pair(a, b).nvlinks + 1).collect()
}

#[test]
fn beyond_8_ranks_groups_are_packed_into_boards() {
    let links = dgx1_links();
    // Every other GPU is of the other board.
    let topology = two_boards(&links, |own| own % 8 * 2 + own / 8);
    for (job, least) in [(job(8, 1, 2), 5.0), (job(4, 1, 4), 5.0), (job(2, 1, 8), 1.3), (job(2, 8, 1), 1.3)] {
        let map = job.map(&topology).unwrap();
        check(&topology, &job, &map);
        assert!(map.gain() > least, "{}: {}", job.shape(), map.gain());
    }
    let map = job(8, 1, 2).map(&topology).unwrap();
    let board = |gpus: &[usize]| gpus.iter().map(|gpu| gpu % 2).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((board(&map.gpu_of_rank()[..8]).len(), board(&map.gpu_of_rank()[8..]).len()), (1, 1));
    // Pairs inside boards are no worse than what one board alone does.
    let one = job(2, 1, 4).traffic(traffic(Dimension::Dp, 0));
    let two = job(2, 1, 8).traffic(traffic(Dimension::Dp, 0));
    let (one, two) = (one.map(&mesh(8, &links, |own| own)).unwrap(), two.map(&topology).unwrap());
    close(one.seconds(), two.seconds());
    assert!(two.is_optimal());
}

#[test]
fn large_switched_machines_answer_at_once() {
    let dgx2 = Topology::preset("dgx-2").unwrap();
    for job in [
        job(8, 1, 2),
        job(4, 2, 2),
        job(2, 8, 1),
        job(16, 1, 1),
        job(2, 1, 8).ep(4).traffic(traffic(Dimension::Ep, 9)).traffic(traffic(Dimension::Edp, 9)),
    ] {
        let map = job.map(&dgx2).unwrap();
        check(&dgx2, &job, &map);
        assert!(map.is_optimal(), "{}", job.shape());
        assert_eq!(map.gpu_of_rank(), map.launcher_order());
    }
}

/// 64 GPUs in a ring of pairs over several sockets: no bound is met, and the search must still end.
#[test]
fn a_large_machine_without_structure_ends_within_its_limits() {
    let links: Vec<u16> = pairs(64).map(|(a, b)| (a * 7 + b * 13) as u16 % 5 / 2).collect();
    let topology = mesh(64, &links, |own| own);
    for job in [job(8, 1, 8), job(2, 4, 8), ParallelJob::new().dp(64).model(seven_billion())] {
        let map = job.map(&topology).unwrap();
        check(&topology, &job, &map);
    }
}

#[test]
fn times_of_rings_that_are_not_known_to_be_the_most_are_not_called_the_best() {
    // Rings over a switch and direct links in turn could carry three links, and are not looked for.
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..4).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    let switch = fragment.add(NodeId::MACHINE, NodeKind::NvSwitch(NvSwitch::default()));
    for (id, ports) in ids.iter().zip([3, 3, 1, 1]) {
        fragment.link(*id, switch, rates::nvlink(2, ports));
    }
    fragment.link(ids[2], ids[3], rates::nvlink(2, 2));
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let rings = topology.direct_rings(&[0, 1, 2, 3]).unwrap();
    assert!(rings.bound > rings.bandwidth, "{rings:?}");
    let job = ParallelJob::new().tp(4).traffic(traffic(Dimension::Tp, 1_000_000_000));
    let map = job.map(&topology).unwrap();
    assert!(!map.is_optimal() && map.bound_seconds() < map.seconds(), "{map:?}");
    // Two by two, all is known.
    let pairs = ParallelJob::new().tp(2).dp(2).traffic(traffic(Dimension::Tp, 1_000_000_000));
    let pairs = pairs.traffic(traffic(Dimension::Dp, 0)).map(&topology).unwrap();
    assert!(pairs.is_optimal(), "{pairs:?}");
}

#[test]
fn gpus_that_exchange_nothing_are_no_place_for_a_job() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..3).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for (a, b) in pairs(3) {
        fragment.state_path(ids[a], ids[b], PathType::Sys);
        fragment.measure(ids[a], ids[b], Bandwidth::from_mb_per_s(if b == 2 { 0 } else { 20_000 }));
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let job = ParallelJob::new().tp(2).traffic(traffic(Dimension::Tp, 1));
    let error = job.map_to(&topology, &[0, 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("GPU0 and GPU2 exchange nothing"), "{error}");
    assert!(job.map_to(&topology, &[0, 1]).is_ok());
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    let refused = |job: ParallelJob, kind: ErrorKind, said: &str| {
        let error = job.map(&dgx).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(said), "{error}");
    };
    let none = ParallelJob::new;
    refused(job(2, 1, 2), ErrorKind::Unsatisfiable, "needs 4 GPUs, but there are 8");
    refused(job(3, 1, 3), ErrorKind::Unsatisfiable, "tp 3 × dp 3 needs 9 GPUs");
    refused(job(0, 1, 8), ErrorKind::InvalidRequest, "size 0");
    refused(none().tp(1 << 40).dp(1 << 40), ErrorKind::Unsupported, "more than 128");
    refused(none().tp(2).dp(4), ErrorKind::InvalidRequest, "the bytes that tp moves in one step are unknown");
    refused(none().tp(2).dp(4).order(order("pipe,data,model")), ErrorKind::InvalidRequest, "model=0");
    refused(
        none().tp(2).dp(4).traffic(traffic(Dimension::Tp, 1)),
        ErrorKind::InvalidRequest,
        "the bytes that dp moves",
    );
    refused(job(2, 2, 2).order(order("tp-dp")), ErrorKind::InvalidRequest, "does not name it");
    refused(job(2, 1, 4).ep(3), ErrorKind::InvalidRequest, "does not divide");
    refused(
        job(1, 2, 2).cp(2).ep(2).order(order("tp-cp-pp-ep-dp")),
        ErrorKind::InvalidRequest,
        "put pp last",
    );
    let twice = none().tp(2).traffic(traffic(Dimension::Tp, 1)).map_to(&dgx, &[1, 1]).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidRequest);
    let nowhere = none().tp(2).traffic(traffic(Dimension::Tp, 1)).map_to(&dgx, &[1, 8]).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn an_unknown_bandwidth_is_named_and_never_divided_by() {
    let job =
        ParallelJob::new().tp(2).dp(2).traffic(traffic(Dimension::Tp, 1)).traffic(traffic(Dimension::Dp, 1));
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..4).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for (a, b) in pairs(4).filter(|pair| *pair != (1, 3)) {
        fragment.link(ids[a], ids[b], rates::nvlink(2, 1));
    }
    fragment.link(ids[1], ids[3], Link::new(LinkKind::NvLink).with_lanes(1));
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let error = job.map(&topology).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("between GPU1 and GPU3 is unknown"), "{error}");
    // No more is it one where the two exchange nothing, as measured over a link that is down.
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..4).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    pairs(4).for_each(|(a, b)| fragment.link(ids[a], ids[b], rates::nvlink(2, 1)));
    for (a, b) in [(0, 2), (2, 0)] {
        fragment.measure(ids[a], ids[b], nvtopo::Bandwidth::ZERO);
    }
    let silent = TopologyBuilder::new().with(fragment).build().unwrap();
    let error = job.map(&silent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("GPU0 and GPU2 exchange nothing"), "{error}");
    // Where nothing is moved, nothing needs to be known.
    let silent = ParallelJob::new().dp(4).traffic(traffic(Dimension::Dp, 0)).map(&topology).unwrap();
    assert_eq!((silent.seconds(), silent.gain(), silent.is_optimal()), (0.0, 1.0, true));
    assert_eq!(ParallelJob::new().map_to(&topology, &[2]).unwrap().gpu_of_rank(), [2]);
}

#[test]
fn a_gpu_that_cannot_be_used_gets_no_rank() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index: u32| {
        let unusable = (index == 1).then(|| "fell off the bus".to_owned());
        NodeKind::Gpu(Box::new(fact!(Gpu::new(index), unusable = unusable)))
    };
    let ids: Vec<NodeId> = (0..3).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    pairs(3).for_each(|(a, b)| fragment.link(ids[a], ids[b], rates::nvlink(2, 1)));
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let job = ParallelJob::new().tp(2).traffic(traffic(Dimension::Tp, 1));
    assert_eq!(job.map(&topology).unwrap().gpu_of_rank(), [0, 2]);
    let error = job.map_to(&topology, &[0, 1]).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsatisfiable && error.to_string().contains("off the bus"), "{error}");
}

#[test]
fn every_preset_maps_every_job_of_its_size() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for job in splits(topology.gpus().len()) {
            check(&topology, &job, &job.map(&topology).unwrap());
        }
    }
}

/// All ways to divide so many ranks, in orders of both frameworks, with traffic of unlike weight.
fn splits(ranks: usize) -> Vec<ParallelJob> {
    let divisors = |of: usize| (1..=of).filter(move |size| of.is_multiple_of(*size));
    let mut jobs = Vec::new();
    for tp in divisors(ranks) {
        for cp in divisors(ranks / tp) {
            for pp in divisors(ranks / tp / cp) {
                let dp = ranks / tp / cp / pp;
                for ep in divisors(cp * dp) {
                    let sizes = ParallelJob::new().tp(tp).cp(cp).pp(pp).dp(dp).ep(ep);
                    let bytes = [90, 40, 70, 50, 30, 20];
                    let job = Dimension::ALL.into_iter().zip(bytes).fold(sizes, |job, (dimension, bytes)| {
                        job.traffic(traffic(dimension, bytes * 100_000_000))
                    });
                    if cp == 1 && ep == 1 {
                        jobs.push(job.clone().order(order("data,pipe,model")));
                    }
                    jobs.push(job);
                }
            }
        }
    }
    jobs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_the_gpus_is_faster(
        (gpus, links) in (2usize..=6).prop_flat_map(|gpus| (Just(gpus), prop::collection::vec(0u16..=3, gpus * (gpus - 1) / 2))),
    ) {
        let topology = mesh(gpus, &links, |own| own);
        let orders = permutations(gpus);
        for job in splits(gpus) {
            let map = job.map(&topology).unwrap();
            check(&topology, &job, &map);
            prop_assert!(map.is_optimal());
            let times: Vec<f64> = orders.iter().map(|order| time(&topology, &job, order)).collect();
            let best = times.iter().copied().fold(f64::INFINITY, f64::min);
            close(map.seconds(), best);
            // The launcher's order where it is as good, else the first of the best.
            let near = |time: &f64| (time - best).abs() <= 1e-12 * best;
            let first = times.iter().position(near).unwrap();
            let expected = if near(&times[0]) { &orders[0] } else { &orders[first] };
            prop_assert_eq!(map.gpu_of_rank(), &expected[..], "{}", job.shape());
        }
    }

    #[test]
    fn names_of_the_gpus_change_no_time(
        links in prop::collection::vec(0u16..=3, 28),
        names in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        job in prop::sample::select(splits(8)),
    ) {
        let plain = mesh(8, &links, |own| own);
        let renamed = mesh(8, &links, |own| names[own]);
        // Where the search for rings through all eight gives up, what it has found depends on where it began.
        let (map, other) = (job.map(&plain).unwrap(), job.map(&renamed).unwrap());
        prop_assume!(map.is_optimal() && other.is_optimal());
        check(&renamed, &job, &other);
        close(map.seconds(), other.seconds());
        // In the old order, the answer is the old one under new names.
        let again = job.map_to(&renamed, &names).unwrap();
        let expected: Vec<usize> = map.gpu_of_rank().iter().map(|gpu| names[*gpu]).collect();
        prop_assert_eq!(again.gpu_of_rank(), &expected[..]);
    }
}
