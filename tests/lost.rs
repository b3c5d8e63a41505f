//! Machines without some of their parts.

use super::{generate, made_machine};
use nvtopo::model::{
    Basis, Fragment, Gpu, NodeId, NoteCode, NvLinkFar, NvLinkPort, Provenance, Stated, TopologyBuilder, rates,
};
use nvtopo::solve::Quantity;
use nvtopo::source::{Locator, PRESETS};
use nvtopo::{CpuSet, GpuFault, LostPart, PathType, PciAddress, Request, Solver, Topology};
use proptest::prelude::*;

fn preset(name: &str) -> Topology {
    Topology::preset(name).unwrap()
}

fn without(topology: &Topology, parts: &[&str]) -> Topology {
    let parts: Vec<LostPart> = parts.iter().map(|part| part.parse().unwrap()).collect();
    topology.without(&parts).unwrap_or_else(|error| panic!("{parts:?}: {error}"))
}

fn refused(topology: &Topology, part: &str) -> String {
    topology.without(&[part.parse().unwrap()]).unwrap_err().to_string()
}

#[test]
fn parts_are_read_as_they_are_written() {
    for text in [
        "gpu:3",
        "gpu:GPU-1234",
        "gpu:0000:1b:00.0",
        "nic:mlx5_0",
        "nvlink:0",
        "nvlink:0-1",
        "nvlink:0-1:2",
        "nvlink:7#17",
        "cpus:0-3,8",
        "numa:1",
        "switch:0000:17:00.0",
        "nvswitch:0",
    ] {
        assert_eq!(text.parse::<LostPart>().unwrap().to_string(), text);
    }
    assert_eq!("nvlink:GPU0-gpu1".parse::<LostPart>().unwrap(), "nvlink:0-1".parse().unwrap());
    for wrong in [
        "",
        "gpu",
        "gpu:",
        "disk:0",
        "nvlink:",
        "nvlink:0-0",
        "nvlink:0-1:0",
        "nvlink:a",
        "nvlink:0#x",
        "cpus:",
        "cpus:a",
        "numa:x",
        "numa:-1",
        "nvlink:0-1-2",
    ] {
        let error = wrong.parse::<LostPart>().unwrap_err().to_string();
        assert!(error.contains("nvlink:0-1 (all between two GPUs)"), "{error}");
    }
}

#[test]
fn a_lost_gpu_leaves_the_numbers_of_the_others() {
    let dgx = without(&preset("dgx-1-v100"), &["gpu:3"]);
    let indices: Vec<u32> = dgx.gpus().map(|gpu| gpu.index).collect();
    assert_eq!(indices, [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(dgx.nvlinks_of(0).0, 4); // two of six led to GPU3
    assert_eq!(dgx.nvlinks_of(3).0, 6); // GPU4
    let notes: Vec<&str> = dgx
        .notes()
        .iter()
        .filter(|note| note.code() == NoteCode::NvlinksDown)
        .map(|note| note.text.as_str())
        .collect();
    assert_eq!(notes[0], "GPU0: 4 of 6 NVLinks are up");
    assert_eq!(notes.len(), 4, "{notes:?}");
    // By its address too.
    let address = preset("dgx-1-v100").gpus().nth(3).unwrap().address.unwrap();
    assert_eq!(without(&preset("dgx-1-v100"), &[&format!("gpu:{address}")]), dgx);
}

#[test]
fn lost_nvlinks_are_down_and_not_absent() {
    let dgx = preset("dgx-1-v100");
    let pair = |topology: &Topology| topology.pairs().pair(0, 3);
    assert_eq!(pair(&without(&dgx, &["nvlink:0-3:1"])).nvlinks, 1);
    assert_eq!(pair(&without(&dgx, &["nvlink:3-0:1", "nvlink:0-3:1"])).path, Some(PathType::Phb));
    assert_eq!(without(&dgx, &["nvlink:0-3"]), without(&dgx, &["nvlink:0-3:2"]));
    let switched = without(&preset("dgx-h100"), &["nvlink:2:1"]);
    assert_eq!(switched.gpu_faults(2), [GpuFault::FewerNvlinks { up: 17, others: 18 }]);
    let off = without(&preset("dgx-h100"), &["nvlink:2"]);
    assert_eq!(off.gpu_faults(2), [GpuFault::FewerNvlinks { up: 0, others: 18 }]);
    assert_eq!(off.nvlink_groups().len(), 2);
    assert!(off.notes().iter().any(|note| note.code() == NoteCode::AllNvlinksDown));
}

/// Three GPUs in a ring of two NVLinks each, with their ports.
fn ring() -> Topology {
    let mut made = Fragment::new(Provenance::Nvml);
    let address = |gpu: u8| PciAddress { domain: 0, bus: gpu + 1, device: 0, function: 0 };
    let gpus: Vec<NodeId> = (0..3)
        .map(|index: u8| {
            let mut gpu = Gpu::new(index.into());
            gpu.address = Some(address(index));
            gpu.nvlinks = (0..4)
                .map(|number: u8| {
                    let far = NvLinkFar::Gpu(address((index + 1 + number / 2) % 3));
                    fact!(NvLinkPort::new(number.into()), up = Some(true), far = far)
                })
                .collect();
            made.add(NodeId::MACHINE, gpu)
        })
        .collect();
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        made.link(gpus[a], gpus[b], rates::nvlink(3, 2));
    }
    TopologyBuilder::new().with(made).build().unwrap()
}

#[test]
fn ports_that_are_known_go_down() {
    let ring = ring();
    let down = |topology: &Topology, position: usize| {
        let ports = topology.gpus().nth(position).unwrap().nvlinks.clone();
        ports.iter().filter(|port| port.up == Some(false)).map(|port| port.number).collect::<Vec<u32>>()
    };
    let one = without(&ring, &["nvlink:0#3"]);
    assert_eq!([0, 1, 2].map(|gpu| down(&one, gpu)), [vec![3], vec![], vec![0]]);
    assert_eq!([one.pairs().pair(0, 1).nvlinks, one.pairs().pair(0, 2).nvlinks], [2, 1]);
    let port = one.gpus().next().unwrap().nvlinks[3];
    assert_eq!((port.far, port.reported), (NvLinkFar::Unknown, None));
    assert_eq!(one.pairs().pair(0, 2).rate.unwrap().bandwidth.as_mb_per_s(), 25_000);
    let lost = without(&ring, &["gpu:0"]);
    assert_eq!([0, 1].map(|gpu| down(&lost, gpu)), [vec![2, 3], vec![0, 1]]);
    let pair = without(&ring, &["nvlink:1-2"]);
    assert_eq!([0, 1, 2].map(|gpu| down(&pair, gpu)), [vec![], vec![0, 1], vec![2, 3]]);
    assert!(refused(&one, "nvlink:0#3").contains("link 3 of GPU0 is down already"));
    assert_eq!(without(&ring, &["nvlink:0-2#3"]), one);
    assert!(
        refused(&ring, "nvlink:0-1#3")
            .contains("link 3 of GPU0 ends elsewhere (name it without the other end: nvlink:0#3)")
    );
    assert!(refused(&ring, "nvlink:0#9").contains("GPU0 has no NVLink 9 (there are 0, 1, 2, 3)"));
}

#[test]
fn lost_cpus_are_offline() {
    let dgx = preset("dgx-h100");
    let less = without(&dgx, &["cpus:0-3,112-115"]);
    let lost: CpuSet = "0-3,112-115".parse().unwrap();
    assert_eq!(less.cpus(), dgx.cpus().difference(&lost));
    assert_eq!(less.machine().offline_cpus, lost);
    assert_eq!(less.local_cpus(less.devices()[0]), Stated::Known("4-55,116-167".parse().unwrap()));
    let cores = |topology: &Topology| {
        let nodes =
            topology.nodes().filter(|(_, node)| matches!(node.kind, nvtopo::model::NodeKind::Core(_)));
        nodes.count()
    };
    assert_eq!(cores(&less), cores(&dgx) - 4);
    // A thread of each core is left.
    assert_eq!(cores(&without(&dgx, &["cpus:0-3"])), cores(&dgx));
    let far = without(&dgx, &["numa:0"]);
    assert_eq!(far.cpus().to_string(), "56-111,168-223");
    assert_eq!(far.numa_nodes().count(), 2);
    assert!(Request::gpus(8).solve(&far).unwrap().cpus().is_subset(&far.cpus()));
}

#[test]
fn switches_take_along_what_is_below_them() {
    let server = preset("l40s-8-pcie");
    let parts = LostPart::of(&server);
    let switch = parts.iter().find(|part| matches!(part, LostPart::PcieSwitch(_))).unwrap();
    let less = server.without(std::slice::from_ref(switch)).unwrap();
    assert_eq!((less.gpus().len(), less.nics().len()), (6, 3));
    let a100 = without(&preset("dgx-a100"), &["nvswitch:0"]);
    assert_eq!(a100.pairs().pair(0, 7).nvlinks, 10);
    // The memory of a GPU goes with it.
    let gh200 = preset("gh200");
    let memory = gh200.numa_nodes().filter(|node| node.gpu.is_some()).count();
    let less = without(&gh200, &["gpu:0"]);
    assert_eq!(less.numa_nodes().count(), gh200.numa_nodes().count() - memory);
}

#[test]
fn errors_name_what_is_not_there_and_what_is() {
    let dgx = preset("dgx-h100");
    for (part, told) in [
        ("gpu:9", "the machine has no GPU '9' (there are GPU0, GPU1"),
        ("nic:eth7", "the machine has no NIC 'eth7' (there are mlx5_0"),
        ("gpu:mlx5_0", "the machine has no GPU 'mlx5_0'"),
        (
            "nvlink:0-1",
            "NVSwitches are between them (name links of one of them, all or one: nvlink:0 or nvlink:0:1",
        ),
        ("nvlink:0:19", "nvlink:0:19 loses 19 NVLinks where 18 are up"),
        ("nvlink:0#3", "no source numbers its NVLinks"),
        ("nvlink:0-9", "no GPU '9'"),
        ("cpus:300", "the machine has no CPUs 300 (there are 0-223)"),
        ("cpus:0-223", "all CPUs of the machine"),
        ("numa:7", "no NUMA node 7 (there are 0, 1)"),
        ("switch:0000:ff:00.0", "the machine has no PCIe switch '0000:ff:00.0' (there are 0, 1, 2"),
        ("nvswitch:44", "the machine has no NVSwitch '44' (there are "),
    ] {
        let error = refused(&dgx, part);
        assert!(error.contains(told), "{part}: {error}");
    }
    let cube = refused(&preset("dgx-1-v100"), "nvlink:0-7");
    assert!(
        cube.contains("no NVLink of GPU0 ends at GPU7 (its NVLinks end at GPU1, GPU2, GPU3, GPU4)"),
        "{cube}"
    );
    let unknown = Topology::parse("t", b"\tGPU0\tGPU1\nGPU0\tX\tPIX\nGPU1\tPIX\tX\n").unwrap();
    let unknown = unknown.nvlink_known().then(|| refused(&unknown, "nvlink:0-1"));
    assert!(unknown.is_none_or(|error| error.contains("GPU0 has no NVLink that is up")));
    assert!(refused(&preset("l40s-8-pcie"), "nvlink:0").contains("GPU0 has no NVLink that is up"));
}

#[test]
fn measured_rates_count_while_the_links_carry_them() {
    let matrix = "\tGPU0\tGPU1\nGPU0\tX\tNV4\nGPU1\tNV4\tX\n";
    let measured = "Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n   D\\D     0      1\n 0 900 60\n 1 60 900\n";
    let both: Vec<_> = [("matrix", matrix), ("measured", measured)]
        .map(|(name, text)| nvtopo::source::parse(name, text.as_bytes()).unwrap())
        .into();
    let topology = both.into_iter().fold(TopologyBuilder::new(), TopologyBuilder::with);
    let topology = topology.build().unwrap();
    let rate =
        |topology: &Topology| topology.pairs().pair(0, 1).rate.map(|rate| rate.bandwidth.as_gb_per_s());
    assert_eq!(rate(&topology), Some(60.0));
    assert_eq!(rate(&without(&topology, &["nvlink:0-1:1"])), Some(60.0)); // three links carry 75
    assert_eq!(rate(&without(&topology, &["nvlink:0-1:2"])), Some(50.0));
    assert_eq!(without(&topology, &["nvlink:0-1:2"]).measurements().len(), 0);
}

/// Checks a machine without a part: numbers stay, and no path is faster. Rates of NVLinks that are made by chance go with no
/// number of links, and links that are made by chance may lead to where a device is put, which had an assumed rate before.
fn check(before: &Topology, part: &LostPart, is_made_by_chance: bool) -> Topology {
    let after = before.without(std::slice::from_ref(part)).unwrap_or_else(|error| panic!("{part}: {error}"));
    assert!(after.node_count() <= before.node_count(), "{part}");
    assert_ne!(&after, before, "{part}");
    let place = |after_place: usize| {
        let name = after.device_name(after_place);
        (0..before.devices().len()).find(|own| before.device_name(*own) == name).unwrap()
    };
    let devices: Vec<usize> = (0..after.devices().len()).map(place).collect();
    for (a, was_a) in devices.iter().enumerate() {
        for (b, was_b) in devices.iter().enumerate().filter(|(b, _)| *b != a) {
            let (is, was) = (after.pairs().pair(a, b), before.pairs().pair(*was_a, *was_b));
            assert!(is.nvlinks <= was.nvlinks, "{part}");
            // Where NVLinks are slower than PCIe, the way without them is faster.
            let left_nvlink = was.path == Some(PathType::Nvl) && is.path != Some(PathType::Nvl);
            let is_assumed = was.rate.is_some_and(|rate| rate.basis == Basis::Assumed);
            let is_open = was.path == Some(PathType::Nvl) || is_assumed;
            let is_left_out = left_nvlink || is_made_by_chance && is_open;
            if let (Some(is), Some(was), false) = (is.rate, was.rate, is_left_out) {
                assert!(is.bandwidth <= was.bandwidth, "{part}: {a} {b} {is:?} {was:?}");
            }
        }
    }
    after
}

/// Returns the models that the best GPUs are of, and what their rings carry.
fn best(solver: &Solver, gpus: usize) -> Option<(Option<f64>, Option<f64>)> {
    let placement = solver.solve(&Request::gpus(gpus)).ok()?;
    let score = |name: &str| {
        let score = placement.scores().iter().find(|score| score.objective == name)?;
        score.value.map(Quantity::number)
    };
    Some((score("model-span"), score("ring")))
}

/// Checks that no placement is better after the loss of any part.
fn never_better(name: &str, before: &Topology) {
    let whole = Solver::new(before);
    let sizes: Vec<usize> = (2..=before.gpus().len()).collect();
    let was: Vec<_> = sizes.iter().map(|gpus| best(&whole, *gpus)).collect();
    for part in LostPart::of(before) {
        let after = Solver::new(&check(before, &part, false));
        for (gpus, was) in sizes.iter().zip(&was) {
            match (best(&after, *gpus), was) {
                (Some((models, Some(is))), Some((had, Some(was)))) => {
                    // A machine of several models first keeps to as few of them as it can.
                    assert!(models > *had || is <= *was, "{name} without {part}: {gpus} GPUs {was} -> {is}");
                }
                (Some(_), None) => panic!("{name} without {part}: {gpus} GPUs can be placed"),
                _ => {}
            }
        }
    }
}

#[test]
fn gpus_beside_which_cpus_are_left_come_first() {
    let first = |topology: &Topology, gpus| Request::gpus(gpus).solve(topology).unwrap().gpu_indices();
    for name in ["dgx-h100", "dgx-1-v100", "dgx-a100", "l40s-8-pcie"] {
        let whole = preset(name);
        let near = |topology: &Topology, gpu: u32| {
            let id = topology.devices()[gpu as usize];
            topology.local_nodes(id).known().and_then(nvtopo::NodeSet::first)
        };
        let node = near(&whole, 0).unwrap();
        let half = without(&whole, &[&format!("numa:{node}")]);
        for gpus in 1..=2 {
            assert!(first(&whole, gpus).iter().all(|gpu| near(&whole, *gpu) == Some(node)), "{name}");
            assert!(first(&half, gpus).iter().all(|gpu| near(&half, *gpu) != Some(node)), "{name} {gpus}");
        }
    }
    // Of five GPUs as few as possible are without CPUs, where a switch joins all.
    let half = without(&preset("dgx-h100"), &["numa:0"]);
    assert_eq!(first(&half, 5), [0, 4, 5, 6, 7]);
}

#[test]
fn no_loss_makes_a_placement_of_a_preset_better() {
    for preset in PRESETS {
        never_better(preset.name, &Topology::preset(preset.name).unwrap());
    }
}

#[test]
fn no_loss_makes_a_placement_of_a_recorded_machine_better() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/topo-m");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut read = 0;
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let Ok(topology) = Topology::open(&[Locator::Path(path.clone())]) else { continue };
        if topology.gpus().len() <= 8 {
            never_better(&path.display().to_string(), &topology);
            read += 1;
        }
    }
    assert!(read > 30, "{read}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_machine_can_lose_any_part(topology in generate::topology(), seed in 0usize..1000) {
        let parts = LostPart::of(&topology);
        for part in &parts {
            check(&topology, part, true);
        }
        if parts.len() > 1 {
            // Two at once, in either order, are the same machine but for notes.
            let (a, b) = (&parts[seed % parts.len()], &parts[(seed / 7) % parts.len()]);
            let both = [a.clone(), b.clone()];
            if let Ok(after) = topology.without(&both) {
                prop_assert!(after.node_count() <= topology.node_count());
            }
        }
    }

    #[test]
    fn any_cpus_can_be_lost(made in made_machine::made(), seed in any::<u64>()) {
        let topology = made.topology();
        let lost: CpuSet = topology.cpus().iter().filter(|cpu| seed >> (cpu % 64) & 1 == 1).collect();
        prop_assume!(!lost.is_empty() && lost != topology.cpus());
        let after = topology.without(&[LostPart::Cpus(lost.clone())]).unwrap();
        prop_assert_eq!(after.cpus(), topology.cpus().difference(&lost));
        prop_assert_eq!(after.gpus().len(), topology.gpus().len());
        for gpus in 1..=topology.gpus().len() {
            if let Ok(placement) = Request::gpus(gpus).solve(&after) {
                prop_assert!(placement.cpus().is_disjoint(&lost));
            }
        }
    }
}
