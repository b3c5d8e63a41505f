//! Machines without some of their parts: what placement, labels, pods, claims and checks then say.

use crate::machine::Machine;
use crate::support::{Folder, read};
use nvtopo::Topology;
use nvtopo::model::{Fragment, Gpu, MigMode, NodeId, NumaNode, Provenance, Pu, TopologyBuilder, rates};
use nvtopo::source::{Contents, Locator, PRESETS};
use nvtopo_audit::{CheckChange, Drill, DrillOutcome, DrillReport, Lost, Status, TextStyle};

fn preset(name: &str) -> Contents {
    Contents::open(&[Locator::Preset(name.to_owned())]).unwrap()
}

fn of_text(name: &str, text: &str) -> Contents {
    let mut contents = preset("gh200");
    contents.topology = Topology::parse(name, text.as_bytes()).unwrap();
    contents
}

fn lose(contents: &Contents, parts: &[&str]) -> DrillOutcome {
    let parts: Vec<Lost> = parts.iter().map(|part| part.parse().unwrap()).collect();
    let report =
        Drill::of(contents, &[]).unwrap().run(&parts).unwrap_or_else(|error| panic!("{parts:?}: {error}"));
    report.outcomes.into_iter().next().unwrap()
}

fn check<'a>(outcome: &'a DrillOutcome, code: &str, subject: &str) -> &'a CheckChange {
    let found = outcome.checks.iter().find(|own| own.check.code == code && own.subject == subject);
    found.unwrap_or_else(|| panic!("{code} of {subject} does not change: {:#?}", outcome.checks))
}

fn label<'a>(outcome: &'a DrillOutcome, name: &str) -> (Option<&'a str>, Option<&'a str>) {
    let found = outcome.labels.iter().find(|own| own.key == format!("nvtopo.io/{name}"));
    found.map_or((None, None), |own| (own.before.as_deref(), own.after.as_deref()))
}

/// Returns why a pod of some GPUs does not start any more.
fn refused(outcome: &DrillOutcome, gpus: usize) -> &str {
    let found = outcome.pods.iter().find(|own| own.gpus == gpus && own.before.is_none());
    found.and_then(|own| own.after.as_deref()).unwrap_or_else(|| panic!("{gpus}: {:#?}", outcome.pods))
}

#[test]
fn a_lost_gpu_is_missed_by_everything() {
    let node = preset("dgx-h100");
    let outcome = lose(&node, &["gpu:3"]);
    assert_eq!(outcome.names, ["GPU3 (NVIDIA H100 80GB HBM3, 0000:61:00.0)"]);
    let all = outcome.placements.iter().find(|own| own.gpus == 8).unwrap();
    assert!(all.before.is_ok() && all.after.as_ref().unwrap_err().contains('7'), "{all:?}");
    let four = outcome.placements.iter().find(|own| own.gpus == 4).unwrap();
    assert_eq!(four.before.as_ref().unwrap().bandwidth, four.after.as_ref().unwrap().bandwidth);
    assert!(!four.after.as_ref().unwrap().gpus.contains(&3));
    assert_eq!(label(&outcome, "gpu.count"), (Some("8"), Some("7")));
    assert_eq!(refused(&outcome, 8), "it stays pending: the node has 7 GPUs");
    let claim = outcome.claims.iter().find(|own| own.gpus == 8).unwrap();
    assert!(claim.before.is_some() && claim.after.is_none(), "{claim:?}");
    let count = check(&outcome, "gpu-count", "node");
    assert_eq!((count.before, count.after), (Some(Status::Pass), Status::Fail));
    assert_eq!(count.text, "7 GPUs are there, where 8 are expected");
    check(&outcome, "drift-gpu-lost", "GPU3");
    assert_eq!((outcome.damage.jobs, outcome.damage.pods, outcome.damage.claims), (1, 1, 1));
    assert!(outcome.damage.critical >= 2, "{:?}", outcome.damage);
}

#[test]
fn a_lost_nvlink_is_down_to_the_checks() {
    let outcome = lose(&preset("dgx-h100"), &["nvlink:0:1"]);
    let links = check(&outcome, "nvlink-links-active", "GPU0");
    assert_eq!((links.after, links.text.as_str()), (Status::Fail, "17 of 18 NVLinks are up"));
    check(&outcome, "drift-nvlink-lost", "GPU0");
    assert_eq!(label(&outcome, "gpu.degraded"), (None, Some("1")));
    let off = lose(&preset("dgx-h100"), &["nvlink:0"]);
    assert_eq!(check(&off, "nvlink-links-active", "GPU0").text, "0 of 18 NVLinks are up");
    assert_eq!(label(&off, "nvlink.group"), (Some("8"), Some("7")));
    assert_eq!(label(&off, "gpu.degraded"), (None, Some("1")));
    assert!(off.damage > outcome.damage);
    // The bridge of a board that is not listed: the whole machine says how many there were.
    let bridged = lose(&preset("rtx-a6000-4-bridged"), &["nvlink:0-1"]);
    assert_eq!(check(&bridged, "nvlink-links-active", "GPU1").after, Status::Fail);
    let two = bridged.placements.iter().find(|own| own.gpus == 2).unwrap();
    assert_eq!(two.after.as_ref().unwrap().gpus, [2, 3]);
    assert_eq!(two.before.as_ref().unwrap().bandwidth, two.after.as_ref().unwrap().bandwidth);
    assert!(bridged.claims.is_empty()); // nobody tells the addresses of its GPUs
    // A claim is still given its GPUs, and NVLink joins not all of them.
    let mesh = lose(&preset("dgx-1-v100"), &["nvlink:0-3"]);
    let claim = mesh.claims.iter().find(|own| own.gpus == 4).unwrap();
    assert_eq!(claim.before.as_deref(), Some("GPU0-3, linked by NVLink"));
    assert_eq!(claim.after.as_deref(), Some("GPU0-3, not all linked by NVLink"));
}

#[test]
fn ports_of_a_recorded_text_go_down() {
    let node = read(&["nvlink-status/a100-8gpu.txt"]);
    let outcome = lose(&node, &["gpu:0"]);
    assert!(outcome.checks.iter().any(|own| own.check.code == "gpu-count"));
    // No source tells the far ends, so that a link is not known to lead anywhere.
    let drill = Drill::of(&node, &[]).unwrap();
    let error = drill.run(&["nvlink:0#1".parse().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("no source tells which GPUs NVLink connects"), "{error}");
}

#[test]
fn a_lost_nic_leaves_its_gpu_without_one() {
    let outcome = lose(&preset("dgx-h100"), &["nic:mlx5_0"]);
    assert_eq!(label(&outcome, "nic.count"), (Some("12"), Some("11")));
    check(&outcome, "drift-nic-lost", "mlx5_0");
    assert_eq!((outcome.damage.bandwidth, outcome.damage.nic_bandwidth), (0, 0)); // a port for storage is as fast
    let outcome = lose(&preset("dgx-1-v100"), &["nic:mlx5_0"]);
    let all = outcome.placements.iter().find(|own| own.gpus == 8).unwrap();
    let nic = |own: &Result<nvtopo_audit::Placed, String>| own.as_ref().unwrap().nic_bandwidth.unwrap();
    assert!(nic(&all.after) < nic(&all.before), "{all:?}");
    assert!(outcome.damage.bandwidth == 0 && outcome.damage.nic_bandwidth > 0);
}

#[test]
fn lost_cpus_keep_pods_from_starting() {
    let outcome = lose(&preset("dgx-h100"), &["cpus:8-23,120-135"]);
    assert!(refused(&outcome, 8).starts_with("SMTAlignmentError"), "{:?}", outcome.pods);
    // The kubelet's list of reserved CPUs names one that is not there.
    let reserved = lose(&preset("dgx-h100"), &["cpus:0"]);
    assert!(refused(&reserved, 1).contains("the kubelet does not start: CPUs 0 are reserved, and not there"));
    assert_eq!(reserved.damage.pods, 4);
    let node = lose(&preset("dgx-h100"), &["numa:0"]);
    assert_eq!(node.names, ["the CPUs of NUMA node 0"]);
    assert!(node.damage.cpus > 0);
}

#[test]
fn a_lost_label_keeps_pods_from_the_node() {
    let node = preset("dgx-h100");
    let outcome = lose(&node, &["label:nvlink.group.largest"]);
    assert_eq!(label(&outcome, "nvlink.group.largest"), (Some("8"), None));
    assert!(refused(&outcome, 2).contains("nvtopo.io/nvlink.group.largest to be more than 1"));
    assert!(outcome.pods.iter().all(|own| own.gpus > 1) && outcome.checks.is_empty());
    assert!(!outcome.placements.iter().any(nvtopo_audit::PlacementChange::is_changed));
    // A label that nvtopo does not make is one of those that are saved; the audit misses it too.
    let saved = "kind: Node\nmetadata:\n  name: n\n  labels:\n    nvidia.com/gpu.count: '8'\n    nvidia.com/mig.capable: 'true'\n";
    let text = "\tGPU0\tGPU1\nGPU0\tX\tNV4\nGPU1\tNV4\tX\n";
    let folder = Folder::of("drill-labels", &[("node.yaml", saved), ("topo.txt", text)]);
    let outcome = lose(&folder.read(), &["label:nvidia.com/mig.capable"]);
    assert_eq!(check(&outcome, "drift-label-mismatch", "nvidia.com/mig.capable").after, Status::Warn);
    let error = Drill::of(&node, &[]).unwrap().run(&["label:rack".parse().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("the node has no label 'rack' (there are nvtopo.io/gpu.count, "), "{error}");
}

#[test]
fn files_that_name_a_lost_part_stay_as_they_are() {
    let written = Machine::new().write();
    let node = written.read();
    let outcome = lose(&node, &["nic:mlx5_0"]);
    check(&outcome, "drift-nic-lost", "mlx5_0");
    assert!(
        !outcome.checks.iter().any(|own| own.check.code.starts_with("rdma-port")),
        "{:#?}",
        outcome.checks
    );
}

/// The presets that are drilled by every loss in turn, with the number of losses of a GPU.
const DRILLED: [&str; 5] =
    ["dgx-1-v100", "dgx-h100", "l40s-8-pcie", "gb200-nvl72-tray", "rtx-a6000-4-bridged"];

fn rings(outcome: &DrillOutcome) -> impl Iterator<Item = (f64, f64)> {
    outcome.placements.iter().filter_map(|own| {
        let rate = |placed: &Result<nvtopo_audit::Placed, String>| {
            Some(placed.as_ref().ok()?.bandwidth?.as_gb_per_s())
        };
        Some((rate(&own.before)?, rate(&own.after)?))
    })
}

/// Checks a ranking: ordered, complete, never better than the whole machine, and written as text and JSON.
fn check_report(name: &str, report: &DrillReport) {
    assert!(!report.outcomes.is_empty(), "{name}");
    for pair in report.outcomes.windows(2) {
        assert!(pair[0].damage >= pair[1].damage, "{name}: {:?} {:?}", pair[0].lost, pair[1].lost);
    }
    for outcome in &report.outcomes {
        for (before, after) in rings(outcome) {
            assert!(after <= before, "{name} without {:?}: {before} -> {after}", outcome.lost);
        }
        assert_eq!(outcome.placements.iter().map(|own| own.gpus).collect::<Vec<_>>(), report.sizes, "{name}");
    }
    let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(value["losses"].as_array().unwrap().len(), report.outcomes.len());
    for width in [20, 80, 200] {
        let text = report.to_text(TextStyle::default().width(Some(width)));
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= width.max(60), "{name}: {longest} columns of {width}\n{text}");
    }
}

#[test]
fn every_single_loss_of_presets_is_ranked() {
    for name in DRILLED {
        let node = preset(name);
        let report = Drill::of(&node, &[]).unwrap().all().unwrap();
        check_report(name, &report);
        let gpus = report.outcomes.iter().filter(|own| own.lost[0].to_string().starts_with("gpu:"));
        assert_eq!(gpus.clone().count(), node.topology.gpus().len(), "{name}");
        assert!(gpus.clone().all(|own| own.damage.jobs > 0), "{name}");
        assert!(report.outcomes.iter().any(|own| own.lost[0].to_string().starts_with("label:")));
    }
    assert!(PRESETS.len() > DRILLED.len());
}

/// A machine of many GPUs on one NVSwitch, two to a NUMA node.
fn rack(gpus: u32) -> Topology {
    let mut made = Fragment::new(Provenance::Preset);
    let switch = made.add(NodeId::MACHINE, nvtopo::model::NvSwitch::default());
    let mut node = NodeId::MACHINE;
    for index in 0..gpus {
        if index % 2 == 0 {
            let mut numa = NumaNode::new(index / 2);
            numa.cpus = [index, index + 1].into_iter().collect();
            node = made.add(NodeId::MACHINE, numa);
            made.add(node, Pu::new(index));
            made.add(node, Pu::new(index + 1));
        }
        let gpu = made.add(node, Gpu::new(index));
        made.link(gpu, switch, rates::nvlink(5, 18));
    }
    TopologyBuilder::new().with(made).build().unwrap()
}

#[test]
fn large_machines_are_drilled_too() {
    let mut node = preset("gh200");
    node.topology = rack(72);
    let report = Drill::of(&node, &[72]).unwrap().all().unwrap();
    assert_eq!(report.left_out, 0);
    check_report("rack", &report);
    assert!(report.outcomes[0].damage.jobs == 1, "{:?}", report.outcomes[0].damage);
    // The 72 GPUs do the same to it, and share a row.
    let text = report.to_text(TextStyle::default());
    assert!(text.contains("(72 in all)"), "{text}");
}

#[test]
fn imperfect_machines_are_drilled_too() {
    // NVLinks are unknown: the text is of a driver that does not print them.
    let unknown =
        of_text("unknown", "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tPHB\tSYS\nGPU1\tPHB\tX\tSYS\nGPU2\tSYS\tSYS\tX\n");
    // One GPU has no path that is known.
    let cut = of_text("cut", "\tGPU0\tGPU1\tCPU Affinity\nGPU0\tX\tNV4\t0-3,8\nGPU1\tNV4\tX\tN/A\n");
    let mut mixed = preset("gh200");
    mixed.topology = {
        let mut made = Fragment::new(Provenance::Nvml);
        let gpus: Vec<NodeId> = (0..4)
            .map(|index| {
                let mut gpu = Gpu::new(index);
                gpu.model = Some(if index < 2 { "NVIDIA A100" } else { "NVIDIA A30" }.to_owned());
                gpu.mig = Some(MigMode::new(index == 3, index == 3));
                gpu.unusable = (index == 1).then(|| "has fallen off the bus".to_owned());
                made.add(NodeId::MACHINE, gpu)
            })
            .collect();
        made.link(gpus[0], gpus[2], rates::nvlink(3, 4));
        made.machine().allowed_cpus = Some("0,2,5-7".parse().unwrap());
        let mut numa = NumaNode::new(3);
        numa.cpus = "0-2,5-9".parse().unwrap();
        made.add(NodeId::MACHINE, numa);
        TopologyBuilder::new().with(made).build().unwrap()
    };
    let mut none = preset("gh200");
    none.topology = TopologyBuilder::new().with(Fragment::new(Provenance::Preset)).build().unwrap();
    for (name, node) in [("unknown", &unknown), ("cut", &cut), ("mixed", &mixed)] {
        check_report(name, &Drill::of(node, &[]).unwrap().all().unwrap());
    }
    let report = Drill::of(&none, &[]).unwrap().all().unwrap();
    assert!(report.sizes.is_empty() && report.outcomes.iter().all(|own| own.placements.is_empty()));
    assert!(report.to_text(TextStyle::default()).contains("the worst first"));
    assert!(Drill::of(&mixed, &[0]).is_err());
    let beyond = Drill::of(&mixed, &[9]).unwrap().run(&["gpu:0".parse().unwrap()]).unwrap();
    assert!(!beyond.outcomes[0].placements[0].is_changed());
    // The jobs that lose their only linked GPUs lose bandwidth or are unknown, and nothing is guessed.
    let outcome = lose(&cut, &["nvlink:0-1"]);
    let two = outcome.placements.iter().find(|own| own.gpus == 2).unwrap();
    assert_eq!(two.after.as_ref().unwrap().bandwidth, None);
    assert_eq!(outcome.damage.unknown, 1);
}

#[test]
fn several_parts_are_lost_at_once() {
    let outcome = lose(&preset("dgx-h100"), &["gpu:0", "nvlink:1:2", "label:gpu.usable", "nic:mlx5_3"]);
    assert_eq!(outcome.lost.len(), 4);
    assert_eq!(check(&outcome, "nvlink-links-active", "GPU1").text, "16 of 18 NVLinks are up");
    assert_eq!(label(&outcome, "gpu.usable"), (Some("8"), None));
    let node = preset("dgx-h100");
    let drill = Drill::of(&node, &[]).unwrap();
    for (part, told) in
        [("gpu:8", "there are GPU0"), ("nic:eth0", "there are mlx5_0"), ("numa:9", "there are 0, 1")]
    {
        let error = drill.run(&[part.parse().unwrap()]).unwrap_err().to_string();
        assert!(error.contains(told), "{part}: {error}");
    }
    let error = "disk:0".parse::<Lost>().unwrap_err().to_string();
    assert!(error.contains("label:KEY"), "{error}");
}

#[test]
fn the_table_says_what_changes_and_what_to_do() {
    let node = preset("dgx-h100");
    let report = Drill::of(&node, &[2, 8]).unwrap().run(&["nvlink:7:1".parse().unwrap()]).unwrap();
    let text = report.to_text(TextStyle::default());
    for part in [
        "Without one NVLink of GPU7\n",
        "best placement\n",
        "the same\n",
        "GPU0-7, 450 GB/s",
        "GPU0-7, 425 GB/s",
        "fail: GPU7: 17 of 18 NVLinks are up",
        "\nWhat to do\n",
        "\n  nvlink-links-active: Reset the GPU",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let loss = &value["losses"][0];
    assert_eq!(
        (value["format"].as_str(), loss["lost"][0].as_str()),
        (Some("nvtopo-drill"), Some("nvlink:7:1"))
    );
    let eight = &loss["placements"][1];
    assert_eq!(
        (eight["before"]["gb_per_s"].as_f64(), eight["after"]["gb_per_s"].as_f64()),
        (Some(450.0), Some(425.0))
    );
    assert!(loss["checks"][0]["remedy"].is_string());
}
