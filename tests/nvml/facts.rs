//! The driver's facts of GPUs and pairs beyond those of presets, and the notes on faults.

use super::{Machine, assert_note, assert_same, faults_noted, notes, with_names};
use nvtopo::model::{FabricState, Gpu, LinkKind, NodeKind, NvLinkFar, P2p, P2pStatus, PcieSpeed, rates};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, Topology};
use std::collections::BTreeMap;

fn gpu(topology: &Topology, position: usize) -> &Gpu {
    topology.gpus().nth(position).unwrap()
}

fn p2p(topology: &Topology, a: usize, b: usize) -> &P2p {
    topology.p2p(topology.devices()[a], topology.devices()[b]).unwrap()
}

/// Returns the bandwidth of an NVLink that the stand-in reports, and its generation.
fn of_link(gpu: &Gpu) -> (u64, u8) {
    let capability = gpu.compute_capability.unwrap();
    match (capability.major, capability.minor) {
        (7, _) => (25_781, 2),
        (8, 0) => (25_000, 3),
        (8, _) => (14_062, 3),
        (9, _) => (26_562, 4),
        _ => (53_125, 5),
    }
}

#[test]
fn boards_without_a_number_have_none() {
    let found = Machine::new("dgx-h100").discover("unsupported:nvmlDeviceGetSerial");
    assert!(found.gpus().all(|gpu| gpu.serial.is_none()));
    assert_eq!(faults_noted(&found), Vec::<String>::new());
}

#[test]
fn pcie_is_told_as_it_runs_and_could_run() {
    let machine = Machine::with("dgx-a100", |_| false);
    let link = gpu(&machine.discover(""), 0).pci.link.unwrap();
    let speed = |generation, width| PcieSpeed::new(generation, width);
    assert_eq!(link.now, speed(Some(1), Some(16)));
    assert_eq!(link.device, speed(Some(4), None));
    assert_eq!(link.port, speed(Some(4), Some(16)));
    let older = machine.older_library(&["nvmlDeviceGetGpuMaxPcieLinkGeneration"]);
    let link = gpu(&machine.discover_by(&older, ""), 0).pci.link.unwrap();
    assert_eq!((link.device, link.port), (speed(None, None), speed(Some(4), Some(16))));
}

#[test]
fn gpus_have_their_numbers_and_nvlinks_one_by_one() {
    for preset in PRESETS {
        let machine = Machine::new(preset.name);
        let found = machine.discover("");
        let truth = &machine.truth;
        for (position, own) in found.gpus().enumerate() {
            has_its_numbers(own);
            let mut ends: BTreeMap<NvLinkFar, u16> = BTreeMap::new();
            for (number, port) in (0..).zip(&own.nvlinks) {
                assert_eq!((port.number, port.up), (number, Some(true)), "{}", preset.name);
                let (speed, generation) = of_link(own);
                assert_eq!(port.reported, Some(Bandwidth::from_mb_per_s(speed)), "{}", preset.name);
                assert_eq!(port.generation, Some(generation), "{}", preset.name);
                *ends.entry(port.far).or_default() += 1;
            }
            let mut expected: BTreeMap<NvLinkFar, u16> = BTreeMap::new();
            let links = truth.links_of(truth.devices()[position]);
            for (far, link) in links.filter(|(_, link)| link.kind == LinkKind::NvLink) {
                let far = match &truth.node(far).kind {
                    NodeKind::Gpu(gpu) => NvLinkFar::Gpu(gpu.address.unwrap()),
                    NodeKind::NvSwitch(switch) => NvLinkFar::Switch(switch.address),
                    other => panic!("an NVLink leads to {other:?}"),
                };
                *expected.entry(far).or_default() += link.lanes.unwrap();
            }
            assert_eq!(ends, expected, "{}, {}", preset.name, own.name());
        }
        for (a, b, link) in found.links().filter(|(_, _, link)| link.kind == LinkKind::NvLink) {
            let own = [a, b].into_iter().find_map(|id| found.node(id).kind.as_gpu()).unwrap();
            let expected = Bandwidth::from_mb_per_s(of_link(own).0).times(link.lanes.unwrap().into());
            assert_eq!(link.reported, Some(expected), "{}", preset.name);
        }
    }
}

fn has_its_numbers(own: &Gpu) {
    assert_eq!(own.minor, Some(own.index + 1));
    assert_eq!(own.serial.as_deref(), Some(&*format!("165092{:07}", 1000 + own.index)));
    assert_eq!((own.pci.vendor, own.pci.subsystem_vendor), (Some(0x10de), Some(0x10de)));
    assert!(own.pci.device.is_some_and(|device| device > 0x1000) && own.pci.subsystem_device.is_some());
    assert_eq!(own.unusable, None);
}

#[test]
fn speeds_are_found_however_the_driver_tells_them() {
    let machine = Machine::new("dgx-h100");
    let carried = |faults: &str| {
        let found = machine.discover(faults);
        let own = |number: usize| gpu(&found, 0).nvlinks[number].reported.map(Bandwidth::as_mb_per_s);
        (own(0), own(17), faults_noted(&found).len())
    };
    assert_eq!(carried(""), (Some(26_562), Some(26_562), 0));
    assert_eq!(carried("unsupported:field-164"), (Some(26_562), Some(26_562), 0));
    assert_eq!(carried("unsupported:field-164,unsupported:field-90"), (Some(26_562), None, 0));
    assert_eq!(carried("unsupported:nvmlDeviceGetFieldValues"), (None, None, 0));
    // A note names the field that failed, though another one has the answer.
    assert_eq!(carried("failing:field-164"), (Some(26_562), Some(26_562), 1));
    let found = machine.discover_by(&machine.older_library(&["nvmlDeviceGetFieldValues"]), "");
    assert_same(&found, &machine.truth, &[]);
    assert_eq!(faults_noted(&found), Vec::<String>::new());
    assert!(found.links().all(|(_, _, link)| link.kind != LinkKind::NvLink || link.reported.is_none()));
    let found = machine.discover("failing:nvmlDeviceGetFieldValues");
    assert_same(&found, &machine.truth, &[]);
    assert_note(&found, "the driver did not answer nvmlDeviceGetFieldValues");
}

#[test]
fn a_link_that_is_down_has_no_speed_and_no_end() {
    let found = Machine::new("dgx-1-v100").discover("down:0:0");
    let ports = &gpu(&found, 0).nvlinks;
    assert_eq!(ports.len(), 6);
    assert_eq!((ports[0].up, ports[0].reported, ports[0].far), (Some(false), None, NvLinkFar::Unknown));
    let far = ports[1].far;
    assert!(matches!(far, NvLinkFar::Gpu(_)), "{far:?}");
    for (a, b, link) in found.links().filter(|(_, _, link)| link.kind == LinkKind::NvLink) {
        assert_eq!(
            link.reported,
            Some(Bandwidth::from_mb_per_s(25_781).times(link.lanes.unwrap().into())),
            "{a:?} {b:?}"
        );
    }
}

#[test]
fn a_link_that_sleeps_is_up() {
    let machine = Machine::new("dgx-h100");
    let found = machine.discover("asleep:2:5,asleep:2:6");
    assert_same(&found, &machine.truth, &[]);
    assert_eq!(faults_noted(&found), Vec::<String>::new());
    assert!(found.nvlink_known());
    assert_eq!(gpu(&found, 2).nvlinks[5], gpu(&machine.discover(""), 2).nvlinks[5]);
}

#[test]
fn libraries_that_know_36_links_are_read_to_the_end() {
    let text = with_names("dgx-b200").to_json();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for link in document["topology"]["links"].as_array_mut().unwrap() {
        if link["kind"] == "nvlink" {
            link["lanes"] = (link["lanes"].as_u64().unwrap() * 2).into();
        }
    }
    let truth = Topology::parse("machine.json", document.to_string().as_bytes()).unwrap();
    let found = Machine::of(truth, |_| true).discover("");
    assert_eq!(found.pairs().pair(0, 7).nvlinks, 36);
    assert_eq!(gpu(&found, 0).nvlinks.len(), 36);
}

#[test]
fn pairs_are_told_what_they_may_do() {
    let found = Machine::new("dgx-1-v100").discover("");
    let near = p2p(&found, 0, 1);
    let ok = Some(P2pStatus::Ok);
    assert_eq!([near.read, near.write, near.nvlink, near.atomics], [ok; 4]);
    // GPU0 and GPU5 have no NVLink between them.
    let far = p2p(&found, 5, 0);
    let not = Some(P2pStatus::NotSupported);
    assert_eq!([far.read, far.write, far.nvlink, far.atomics], [ok, ok, not, not]);
    assert_eq!(found.all_p2p().len(), 28);
    let found = Machine::new("hgx-a100-4").discover("p2p:4");
    assert_eq!(p2p(&found, 0, 3).read, Some(P2pStatus::DisabledBySetting));
    assert_note(
        &found,
        "a setting of the driver forbids peer-to-peer access: GPU0 and GPU1, GPU0 and GPU2, GPU0 and GPU3 and 3 more",
    );
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    for preset in ["dgx-a100", "hgx-a100-4"] {
        let found = Machine::new(preset).discover("p2p:5");
        assert_note(
            &found,
            "NVLinks join these, and the driver does not allow peer-to-peer access: GPU0 and GPU1",
        );
        assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    }
    let machine = Machine::new("hgx-a100-4");
    let found = machine.discover_by(&machine.older_library(&["nvmlDeviceGetP2PStatus"]), "");
    assert!(found.all_p2p().is_empty());
    assert_eq!(faults_noted(&found), Vec::<String>::new());
    let found = machine.discover("failing:nvmlDeviceGetP2PStatus");
    assert_note(&found, "GPU0, GPU1, GPU2: the driver did not answer nvmlDeviceGetP2PStatus");
}

#[test]
fn c2c_has_its_links_and_what_they_carry() {
    let c2c = |topology: &Topology| {
        let links = topology.links().filter(|(_, _, link)| link.kind == LinkKind::C2c);
        links.map(|(_, _, link)| (link.lanes, link.rate, link.reported)).collect::<Vec<_>>()
    };
    let machine = Machine::new("gh200");
    let carried = |links: u64| Some(Bandwidth::from_mb_per_s(44_712).times(links));
    let found = machine.discover("");
    assert_eq!(c2c(&found), [(Some(10), rates::c2c(10).rate, carried(10))]);
    let found = machine.discover("c2c-down:0:3");
    assert_eq!(c2c(&found), [(Some(9), rates::c2c(9).rate, carried(9))]);
    assert_note(&found, "GPU0: 9 of 10 links of NVLink-C2C are up");
    let found = machine.discover("unsupported:field-170");
    assert_eq!(c2c(&found), [(None, rates::c2c(10).rate, None)]);
    for fault in ["failing", "unsupported"] {
        let found = machine.discover(&format!("{fault}:nvmlDeviceGetMemoryAffinity"));
        assert_eq!(c2c(&found), []);
        assert_note(&found, "GPU0: NVLink-C2C joins it with a CPU, and the driver does not tell with which");
    }
    assert_eq!(c2c(&Machine::new("dgx-h100").discover("")), []);
}

#[test]
fn memory_of_gpus_is_known_as_such_without_the_kernels_word() {
    for (preset, count) in [("gh200", 1), ("gb200-nvl72-tray", 4), ("dgx-h100", 0)] {
        let machine = Machine::new(preset);
        let memory = |topology: &Topology| {
            topology.numa_nodes().map(|node| (node.os_index, node.gpu)).collect::<BTreeMap<_, _>>()
        };
        let whole = memory(&machine.discover(""));
        assert_eq!(whole.values().flatten().count(), count, "{preset}");
        _ = std::fs::remove_dir_all(machine.folder.join("root/proc"));
        let found = machine.discover("");
        assert_eq!(memory(&found), whole, "{preset}");
        assert_same(&found, &machine.truth, &[]);
        // Nor the driver's.
        let found = machine.discover("unsupported:nvmlDeviceGetNumaNodeId");
        assert_eq!(memory(&found).values().flatten().count(), 0, "{preset}");
    }
}

#[test]
fn fabrics_are_told_with_what_keeps_gpus_out_of_them() {
    let machine = Machine::new("dgx-h100");
    let fabric = |topology: &Topology| gpu(topology, 5).fabric.clone().unwrap();
    let whole = machine.discover("");
    assert!(nvtopo::Request::gpus(2).solve(&whole).unwrap().remarks().is_empty());
    let found = fabric(&whole);
    assert_eq!((found.state, found.status), (FabricState::Completed, Some(0)));
    assert_eq!((found.cluster, found.clique, found.health), (None, Some(0), Some(0b10_10_10_10)));
    for (fault, state, status, note) in [
        (
            "fabric:in-progress",
            FabricState::InProgress,
            None,
            "GPU0, GPU1, GPU2 and 5 more: its registration with the NVLink fabric is in progress; until it ends NVLinks cannot be used, and CUDA may not start",
        ),
        ("fabric:not-started", FabricState::NotStarted, None, "is the fabric manager running?"),
        ("fabric:failed", FabricState::Completed, Some(23), "its registration with the NVLink fabric failed"),
    ] {
        let found = machine.discover(fault);
        assert_eq!((fabric(&found).state, fabric(&found).status), (state, status), "{fault}");
        let placement = nvtopo::Request::gpus(2).solve(&found).unwrap();
        let told = "GPU0 is not in its NVLink fabric: NVLinks and CUDA may not work";
        assert!(placement.remarks().iter().any(|remark| remark == told), "{:?}", placement.remarks());
        assert_note(&found, note);
        assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    }
    let rack = fabric_of("gb200-nvl72-tray").unwrap();
    assert_eq!(rack.cluster.as_deref(), Some("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"));
    assert_eq!(rack.clique, Some(32_766));
    for without in ["dgx-1-v100", "dgx-a100", "gh200", "l40s-8-pcie"] {
        assert_eq!(fabric_of(without), None, "{without}");
    }
}

fn fabric_of(preset: &str) -> Option<nvtopo::model::Fabric> {
    gpu(&Machine::new(preset).discover(""), 0).fabric.clone()
}

#[test]
fn older_versions_of_the_fabric_are_read() {
    let machine = Machine::new("dgx-h100");
    let health = |found: &Topology| {
        assert_eq!(faults_noted(found), Vec::<String>::new());
        let own = gpu(found, 0).fabric.as_ref().unwrap();
        assert_eq!((own.state, own.clique), (FabricState::Completed, Some(0)));
        own.health
    };
    assert_eq!(health(&machine.discover("unsupported:fabric-v3")), Some(0b10_10_10_10));
    assert_eq!(health(&machine.discover("unsupported:fabric-v3,unsupported:fabric-v2")), None);
    let older = machine.older_library(&["nvmlDeviceGetGpuFabricInfoV"]);
    assert_eq!(health(&machine.discover_by(&older, "")), None);
    let oldest = machine.older_library(&["nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetGpuFabricInfo"]);
    assert_eq!(gpu(&machine.discover_by(&oldest, ""), 0).fabric, None);
}

#[test]
fn processes_and_used_memory_are_told() {
    let machine = Machine::new("dgx-h100");
    let usage = |topology: &Topology, gpu: usize| topology.gpus().nth(gpu).unwrap().usage;
    let found = machine.discover("busy:3:2:30");
    let (busy, idle) = (usage(&found, 3), usage(&found, 0));
    assert_eq!((busy.processes, busy.memory_used), (Some(2), Some(30 << 30)));
    assert_eq!((idle.processes, idle.memory_used), (Some(0), Some(0)));
    assert_eq!(idle.memory_free, found.gpus().next().unwrap().memory);
    // Drivers that do not tell, or only administrators: nothing is known, and nothing is wrong.
    for faults in [
        "unsupported:nvmlDeviceGetGraphicsRunningProcesses_v3",
        "failing:nvmlDeviceGetComputeRunningProcesses_v3",
    ] {
        let untold = machine.discover(faults);
        assert_eq!(usage(&untold, 3).processes, None, "{faults}");
        assert_eq!(untold.notes().len(), found.notes().len(), "{faults}");
    }
    assert_eq!(usage(&machine.discover("lost:3"), 3).processes, None);
}
