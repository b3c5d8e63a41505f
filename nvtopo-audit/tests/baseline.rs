//! Fingerprints, baselines, and drift from them. All machines are made, from presets and tables.

use crate::support::{Folder, finding, findings, only_status, status, worst};
use nvtopo::Topology;
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};
use nvtopo_audit::{Audit, Baseline, DriftKind, Report, structure};
use serde_json::{Value, json};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    an_unchanged_machine_passes_and_without_a_baseline_nothing_is_said,
    each_change_of_a_device_is_told_by_its_kind,
    links_and_devices_that_are_gone_fail,
    devices_and_nodes_that_changed_their_places_are_told,
    a_machine_that_tells_nothing_now_is_unknown_in_every_respect,
    slower_nvlinks_and_other_changes_are_told,
    kernel_kubelet_and_labels_are_compared,
    the_baseline_says_how_many_links_a_gpu_of_unknown_board_has,
];

/// The document of a DGX H100 with facts that a preset does not tell.
pub(crate) fn machine() -> Value {
    let mut document: Value = serde_json::from_str(&Topology::preset("dgx-h100").unwrap().to_json()).unwrap();
    for (number, node) in document["topology"]["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
        let pci = json!({ "link": { "now": { "generation": 5, "width": 16 }, "device": {}, "port": {} } });
        if let Some(machine) = node.get_mut("machine") {
            machine["driver"] = "570.124.06".into();
        } else if let Some(gpu) = node.get_mut("gpu") {
            gpu["uuid"] = format!("GPU-00000000-0000-0000-0000-{number:012}").into();
            gpu["firmware"] = "96.00.74.00.01".into();
            gpu["pci"] = pci;
        } else if let Some(nic) = node.get_mut("nic") {
            nic["mtu"] = 9000.into();
            nic["pci"] = pci;
        }
    }
    document
}

/// Changes the facts of the first devices of a kind for which `is` holds.
pub(crate) fn with(mut document: Value, kind: &str, number: usize, change: impl Fn(&mut Value)) -> Value {
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    change(nodes.iter_mut().filter_map(|node| node.get_mut(kind)).nth(number).unwrap());
    document
}

fn topology(document: &Value) -> Topology {
    Topology::parse("made", document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn contents(name: &str, document: &Value) -> Contents {
    let folder = Folder::of(name, &[("machine.json", &document.to_string())]);
    let path = folder.path().join("machine.json");
    Contents::open(&[Locator::Path(path)]).unwrap()
}

/// Audits a machine against another one as its baseline.
fn drift(name: &str, before: &Value, after: &Value) -> Report {
    let baseline = Baseline::of(&contents(&format!("{name}-before"), before)).with_date("2026-03-31");
    let read = Baseline::parse("baseline.json", baseline.to_json().unwrap().as_bytes()).unwrap();
    Audit::of(&contents(&format!("{name}-after"), after)).baseline(&read).run().unwrap()
}

/// Numbers all buses anew, and gives the devices other UUIDs.
fn renumbered(document: &Value) -> Value {
    let text = document.to_string();
    let mut parts = text.split("\"0000:");
    let mut out = vec![parts.next().unwrap().to_owned()];
    for part in parts {
        let bus = u8::from_str_radix(&part[..2], 16).unwrap().wrapping_add(2);
        out.push(format!("{bus:02x}{}", &part[2..]));
    }
    serde_json::from_str(&out.join("\"0000:").replace("GPU-00000000-", "GPU-11111111-")).unwrap()
}

#[test]
fn equal_machines_have_one_fingerprint() {
    let machine = machine();
    let own = structure(&topology(&machine));
    assert_eq!((own.len(), &own[..7]), (71, "sha256:"));
    assert_eq!(structure(&topology(&renumbered(&machine))), own);
    let other = with(machine.clone(), "machine", 0, |machine| machine["driver"] = "580.0".into());
    let other = with(other, "nic", 2, |nic| nic["name"] = "mlx5_99".into());
    assert_eq!(structure(&topology(&other)), own);
}

#[test]
fn a_card_that_moved_or_went_has_another_fingerprint() {
    let machine = machine();
    let own = structure(&topology(&machine));
    let parents: Vec<Value> = {
        let nodes = machine["topology"]["nodes"].as_array().unwrap();
        nodes.iter().filter_map(|node| node.get("nic")).map(|nic| nic["parent"].clone()).collect()
    };
    // A part stands before what is below it.
    let last = parents.len() - 1;
    let moved = with(machine.clone(), "nic", last, |nic| nic["parent"] = parents[0].clone());
    assert_ne!(structure(&topology(&moved)), own);
    let mut all: Vec<String> = nvtopo::source::PRESETS
        .iter()
        .map(|preset| structure(&Topology::preset(preset.name).unwrap()))
        .collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), nvtopo::source::PRESETS.len());
}

/// A table of GPUs in rings of NVLinks, in an order.
fn rings(rings: &[&[usize]], order: &[usize]) -> Topology {
    let all = order.len();
    let is_linked = |a: usize, b: usize| {
        rings.iter().any(|ring| {
            let at = |gpu| ring.iter().position(|own| *own == gpu);
            at(a).zip(at(b)).is_some_and(|(a, b)| (a + 1) % ring.len() == b || (b + 1) % ring.len() == a)
        })
    };
    let cell = |a: usize, b: usize| match (a == b, is_linked(a, b)) {
        (true, _) => "X",
        (false, true) => "NV2",
        (false, false) => "SYS",
    };
    let names: Vec<String> = (0..all).map(|gpu| format!("GPU{gpu}")).collect();
    let mut lines = vec![format!("\t{}", names.join("\t"))];
    for (name, a) in names.iter().zip(order) {
        let cells: Vec<&str> = order.iter().map(|b| cell(*a, *b)).collect();
        lines.push(format!("{name}\t{}", cells.join("\t")));
    }
    let text = lines.join("\n") + "\n";
    Topology::parse("rings", text.as_bytes()).unwrap()
}

#[test]
fn the_order_of_devices_does_not_count_and_the_graph_does() {
    let (one, two): (&[&[usize]], &[&[usize]]) = (&[&[0, 1, 2, 3, 4, 5]], &[&[0, 1, 2], &[3, 4, 5]]);
    let orders = [[0, 1, 2, 3, 4, 5], [3, 0, 5, 1, 4, 2], [5, 4, 3, 2, 1, 0], [2, 5, 0, 4, 1, 3]];
    let hashes = |graph| orders.map(|order| structure(&rings(graph, &order)));
    let (ring, rings) = (hashes(one), hashes(two));
    assert!(ring.iter().all(|own| *own == ring[0]), "{ring:?}");
    assert!(rings.iter().all(|own| *own == rings[0]), "{rings:?}");
    assert_ne!(ring[0], rings[0]);
}

#[test]
fn an_unchanged_machine_passes_and_without_a_baseline_nothing_is_said() {
    let machine = machine();
    let report = drift("same", &machine, &machine);
    assert_eq!(only_status(&report, "drift-gpu-lost"), Pass);
    assert_eq!(finding(&report, "drift-nvlink-lost", "node").text, "as in the baseline of 2026-03-31");
    assert_eq!(only_status(&report, "drift-kubelet-changed"), NotApplicable);
    let alone = Audit::of(&contents("alone", &machine)).only(["drift"]).run().unwrap();
    assert!(alone.findings().iter().all(|finding| finding.status == NotApplicable));
    assert_eq!(alone.findings().len(), DriftKind::ALL.len());
    // Buses that are numbered anew are no drift.
    let report = drift("buses", &machine, &{
        let text = renumbered(&machine).to_string().replace("GPU-11111111-", "GPU-00000000-");
        serde_json::from_str(&text).unwrap()
    });
    let own = report.findings().iter().filter(|own| own.check.code.starts_with("drift"));
    assert!(
        own.clone().all(|own| own.status <= Pass),
        "{:#?}",
        own.filter(|own| own.status > Pass).collect::<Vec<_>>()
    );
}

#[test]
fn each_change_of_a_device_is_told_by_its_kind() {
    let before = machine();
    let replaced =
        with(before.clone(), "gpu", 3, |gpu| gpu["uuid"] = "GPU-99999999-0000-0000-0000-000000000000".into());
    assert_eq!(status(&drift("replaced", &before, &replaced), "drift-gpu-replaced", "GPU3"), Warn);
    let lanes = with(before.clone(), "gpu", 2, |gpu| gpu["pci"]["link"]["now"]["width"] = 8.into());
    assert_eq!(status(&drift("lanes", &before, &lanes), "drift-pcie-downtrained", "GPU2"), Fail);
    let slower = with(before.clone(), "nic", 1, |nic| nic["pci"]["link"]["now"]["generation"] = 4.into());
    assert_eq!(worst(&drift("slower", &before, &slower), "drift-pcie-downtrained"), Fail);
    let firmware = with(before.clone(), "gpu", 0, |gpu| gpu["firmware"] = "96.00.99.00.01".into());
    assert_eq!(status(&drift("firmware", &before, &firmware), "drift-firmware-changed", "GPU0"), Warn);
    let driver = with(before.clone(), "machine", 0, |own| own["driver"] = "580.65.06".into());
    assert_eq!(
        finding(&drift("driver", &before, &driver), "drift-driver-changed", "node").text,
        "its driver version was 570.124.06, and is 580.65.06"
    );
    let mtu = with(before.clone(), "nic", 0, |nic| nic["mtu"] = 1500.into());
    assert_eq!(worst(&drift("mtu", &before, &mtu), "drift-mtu-changed"), Warn);
    // A fact that nobody tells any more is unknown.
    let silent =
        with(before.clone(), "machine", 0, |own| drop(own.as_object_mut().unwrap().remove("driver")));
    assert_eq!(only_status(&drift("silent", &before, &silent), "drift-driver-changed"), Unknown);
}

/// The table of two GPUs and two NICs; the second NIC is as near to the GPUs as `path` says.
fn table(links: usize, gpus: usize, path: &str) -> String {
    let names = ["GPU0", "GPU1", "mlx5_0", "mlx5_1"];
    let cells = [
        ["X", &format!("NV{links}"), "PIX", path],
        [&format!("NV{links}"), "X", "SYS", "SYS"],
        ["PIX", "SYS", "X", "SYS"],
        [path, "SYS", "SYS", "X"],
    ];
    let keep: Vec<usize> = (0..4).filter(|index| *index < gpus || *index >= 2).collect();
    let of =
        |texts: &[&str]| keep.iter().map(|index| texts[*index].to_owned()).collect::<Vec<_>>().join("\t");
    let mut rows = vec![format!("\t{}", of(&names))];
    rows.extend(keep.iter().map(|row| format!("{}\t{}", names[*row], of(&cells[*row]))));
    rows.join("\n") + "\n"
}

fn of_tables(name: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> Report {
    let baseline = Baseline::of(&Folder::of(&format!("{name}-1"), before).read());
    Audit::of(&Folder::of(&format!("{name}-2"), after).read()).baseline(&baseline).run().unwrap()
}

#[test]
fn links_and_devices_that_are_gone_fail() {
    let before = table(4, 2, "SYS");
    let lost = of_tables("lost-link", &[("topo.txt", &before)], &[("topo.txt", &table(2, 2, "SYS"))]);
    assert_eq!(status(&lost, "drift-nvlink-lost", "GPU0"), Fail);
    let moved = of_tables("moved-nic", &[("topo.txt", &before)], &[("topo.txt", &table(4, 2, "PIX"))]);
    assert_eq!(worst(&moved, "drift-nic-moved"), Warn);
    let gone = of_tables("lost-gpu", &[("topo.txt", &before)], &[("topo.txt", &table(4, 1, "SYS"))]);
    assert_eq!(status(&gone, "drift-gpu-lost", "GPU1"), Fail);
    let less = "\tGPU0\tGPU1\tmlx5_0\nGPU0\tX\tNV4\tPIX\nGPU1\tNV4\tX\tSYS\nmlx5_0\tPIX\tSYS\tX\n";
    let gone = of_tables("lost-nic", &[("topo.txt", &before)], &[("topo.txt", less)]);
    assert_eq!(worst(&gone, "drift-nic-lost"), Fail);
    // A source that tells no NIC at all does not tell that they are gone.
    let gpus = "\tGPU0\tGPU1\nGPU0\tX\tNV4\nGPU1\tNV4\tX\n";
    let silent = of_tables("silent", &[("topo.txt", &before)], &[("topo.txt", gpus)]);
    assert_eq!(only_status(&silent, "drift-nic-lost"), Unknown);
    assert_eq!(only_status(&silent, "drift-gpu-lost"), Pass);
}

#[test]
fn devices_and_nodes_that_changed_their_places_are_told() {
    let topo = |path: &str, node: u32, cpus: &str| {
        format!(
            "\tGPU0\tGPU1\tmlx5_0\tCPU Affinity\tNUMA Affinity\nGPU0\tX\t{path}\tPIX\t0-3\t0\nGPU1\t{path}\tX\tSYS\t{cpus}\t{node}\n\
             mlx5_0\tPIX\tSYS\tX\n"
        )
    };
    let before = topo("SYS", 1, "4-7");
    let of = |after: &str| of_tables("places", &[("topo.txt", &before)], &[("topo.txt", after)]);
    let same = of(&before);
    for kind in ["numa-moved", "gpu-moved", "machine-changed"] {
        assert_eq!(only_status(&same, &format!("drift-{kind}")), Pass, "{kind}");
    }
    let moved = of(&topo("SYS", 0, "0-3"));
    assert_eq!(status(&moved, "drift-numa-moved", "GPU1"), Fail);
    let nearer = of(&topo("PIX", 1, "4-7"));
    assert_eq!(worst(&nearer, "drift-gpu-moved"), Warn);
    // A source that tells no NUMA nodes does not tell that they are others.
    let silent = of("\tGPU0\tGPU1\nGPU0\tX\tSYS\nGPU1\tSYS\tX\n");
    assert_eq!(only_status(&silent, "drift-numa-moved"), Unknown);
}

#[test]
fn a_machine_that_tells_nothing_now_is_unknown_in_every_respect() {
    let mut document = machine();
    let link = json!({ "now": { "generation": 5, "width": 16 }, "device": {}, "port": {} });
    for number in 0..8 {
        document = with(document, "gpu", number, |gpu| {
            gpu["pci"] = json!({ "link": link });
            gpu["serial"] = format!("165000{number}").into();
        });
    }
    let node = "apiVersion: v1\nkind: Node\nmetadata:\n  labels:\n    nvidia.com/gpu.count: \"8\"\n";
    let told = [
        ("machine.json", document.to_string()),
        ("node.yaml", node.to_owned()),
        ("uname.txt", "Linux node1 6.8.0-60-generic #1-Ubuntu SMP x86_64 GNU/Linux\n".to_owned()),
        ("cmdline.txt", "BOOT_IMAGE=/vmlinuz-6.8.0-60 quiet\n".to_owned()),
        ("kubelet.yaml", "kind: KubeletConfiguration\ncpuManagerPolicy: none\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = told.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let full = Folder::of("full", &files).read();
    let baseline = Baseline::of(&full);
    let same = Audit::of(&full).baseline(&baseline).run().unwrap();
    // CPUs alone: no source shows GPUs, and none is known to be gone or elsewhere.
    let cpus = crate::support::read(&["numa/lscpu-xeon6338-a100-node-interleaved.txt"]);
    let silent = Audit::of(&cpus).baseline(&baseline).run().unwrap();
    for kind in DriftKind::ALL {
        let check = format!("drift-{}", kind.word().replace('_', "-"));
        assert_eq!(only_status(&same, &check), Pass, "{check}");
        if *kind != DriftKind::MachineChanged {
            assert_eq!(worst(&silent, &check), Unknown, "{check}: {:#?}", findings(&silent, &check));
        }
    }
    let mut less = machine();
    for node in 0..2 {
        less =
            with(less, "numa_node", node, |node| drop(node.as_object_mut().unwrap().remove("memory_bytes")));
    }
    assert_eq!(worst(&drift("less", &machine(), &less), "drift-machine-changed"), Unknown);
}

#[test]
fn slower_nvlinks_and_other_changes_are_told() {
    let links = |rate: &str| {
        let of = |gpu: u32| {
            let ports: Vec<String> = (0..4).map(|port| format!("\t Link {port}: {rate} GB/s\n")).collect();
            let ports = ports.concat();
            format!(
                "GPU {gpu}: Tesla V100-SXM2-32GB (UUID: GPU-00000000-0000-0000-0000-00000000000{gpu})\n{ports}"
            )
        };
        format!("{}{}", of(0), of(1))
    };
    let topo = "\tGPU0\tGPU1\nGPU0\tX\tNV4\nGPU1\tNV4\tX\n";
    let of = |rate: &str| {
        let (before, after) = (links("25.781"), links(rate));
        of_tables(
            "rates",
            &[("topo.txt", topo), ("links.txt", &before)],
            &[("topo.txt", topo), ("links.txt", &after)],
        )
    };
    assert_eq!(only_status(&of("25.781"), "drift-nvlink-speed"), Pass);
    assert_eq!(worst(&of("12.890"), "drift-nvlink-speed"), Fail);
    assert_eq!(only_status(&of("12.890"), "drift-nvlink-lost"), Pass);
    let before = machine();
    let less = with(before.clone(), "numa_node", 0, |node| node["memory_bytes"] = 549_755_813_888_u64.into());
    assert_eq!(worst(&drift("memory", &before, &less), "drift-machine-changed"), Warn);
    let new = with(before.clone(), "nic", 0, |nic| nic["name"] = "mlx5_99".into());
    assert_eq!(only_status(&drift("name", &before, &new), "drift-gpu-lost"), Pass);
}

#[test]
fn kernel_kubelet_and_labels_are_compared() {
    let topo = table(4, 2, "SYS");
    let files = |release: &'static str, cmdline: &'static str, policy: &'static str, label: &'static str| {
        let node = format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  labels:\n    nvidia.com/gpu.count: \"{label}\"\nstatus:\n  nodeInfo:\n    kubeletVersion: v1.33.1\n"
        );
        vec![
            ("topo.txt", topo.clone()),
            ("node.yaml", node),
            ("sys/devices/system/cpu/online", "0".to_owned()),
            ("proc/sys/kernel/osrelease", release.to_owned()),
            ("proc/cmdline", cmdline.to_owned()),
            (
                "var/lib/kubelet/config.yaml",
                format!("kind: KubeletConfiguration\ncpuManagerPolicy: {policy}\n"),
            ),
        ]
    };
    let before = files("6.8.0-60", "BOOT_IMAGE=/vmlinuz-6.8.0-60 iommu=pt quiet", "static", "2");
    let after = files("6.8.0-71", "BOOT_IMAGE=/vmlinuz-6.8.0-71 quiet isolcpus=2-9", "none", "8");
    let borrow = |files: &'_ [(&'static str, String)]| {
        files.iter().map(|(path, text)| (*path, text.clone())).collect::<Vec<_>>()
    };
    let read = |name: &str, files: &[(&'static str, String)]| {
        let owned = borrow(files);
        let files: Vec<(&str, &str)> = owned.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Folder::of(name, &files).read_now()
    };
    let ((_kept, first), (_too, second)) = (read("host-1", &before), read("host-2", &after));
    let baseline = Baseline::of(&first);
    let baseline = Baseline::parse("baseline.json", baseline.to_json().unwrap().as_bytes()).unwrap();
    let same = Audit::of(&first).baseline(&baseline).run().unwrap();
    for check in ["kernel-changed", "kernel-cmdline-changed", "kubelet-changed", "label-mismatch"] {
        assert_eq!(only_status(&same, &format!("drift-{check}")), Pass, "{check}");
    }
    let report = Audit::of(&second).baseline(&baseline).run().unwrap();
    assert_eq!(only_status(&report, "drift-kernel-changed"), Warn);
    let cmdline = finding(&report, "drift-kernel-cmdline-changed", "node");
    assert_eq!(cmdline.text, "its kernel's command line: -iommu=pt +isolcpus=2-9");
    assert_eq!(
        finding(&report, "drift-kubelet-changed", "cpuManagerPolicy").text,
        "it was static, and is none"
    );
    assert_eq!(status(&report, "drift-label-mismatch", "nvidia.com/gpu.count"), Warn);
}

#[test]
fn the_baseline_says_how_many_links_a_gpu_of_unknown_board_has() {
    let table = |links| format!("\tGPU0\tGPU1\nGPU0\tX\tNV{links}\nGPU1\tNV{links}\tX\n");
    let same = of_tables("links-same", &[("topo.txt", &table(4))], &[("topo.txt", &table(4))]);
    assert_eq!(only_status(&same, "nvlink-links-active"), Pass);
    let fewer = of_tables("links-fewer", &[("topo.txt", &table(4))], &[("topo.txt", &table(3))]);
    assert_eq!(finding(&fewer, "nvlink-links-active", "GPU0").text, "3 of 4 NVLinks are up");
    let text = "2 GPUs are there, as expected";
    assert_eq!(finding(&same, "gpu-count", "node").text, text);
}

#[test]
fn a_file_that_is_no_baseline_is_refused_with_its_line() {
    let refused = |text: &str| Baseline::parse("node.json", text.as_bytes()).unwrap_err();
    let error = refused("{\n\"format\": 7 }");
    assert_eq!((error.input_name(), error.line()), (Some("node.json"), Some(2)));
    let error =
        refused(r#"{"format":"nvtopo-baseline","version":9,"fingerprints":{"structure":""},"topology":{}}"#);
    assert!(error.message().contains("version 9"), "{error}");
    let good = Baseline::of(&contents("refused", &machine())).to_json().unwrap();
    for end in (0..good.len()).step_by(997) {
        refused(&good[..end]);
    }
    let dated =
        |date: &str| Baseline::of(&contents("refused", &machine())).with_date(date).to_json().unwrap();
    let error = refused(&dated("garbage"));
    assert!(error.message().contains("\"garbage\", which is no date"), "{error}");
    for date in ["2026-03-31", "2026-03-31T12:00:00Z"] {
        assert_eq!(Baseline::parse("x", dated(date).as_bytes()).unwrap().date(), Some(date));
    }
}

#[test]
fn dates_and_times_of_baselines_are_read() {
    let at = |date: &str| Baseline::of(&contents("dated", &machine())).with_date(date).accepted_at();
    assert_eq!(at("2026-03-31"), Some(1_774_915_200));
    assert_eq!(at("2026-03-31T00:00:01Z"), Some(1_774_915_201));
    assert_eq!((at("yesterday"), at("")), (None, None));
}

/// Halves the lanes and the rates of all PCIe links of the graph, and nothing that a device tells.
pub(crate) fn half_pcie(mut document: Value) -> Value {
    for link in document["topology"]["links"].as_array_mut().unwrap() {
        if link["kind"] == "pcie" {
            link["lanes"] = 8.into();
            link["rate"]["mb_per_s"] = (link["rate"]["mb_per_s"].as_u64().unwrap() / 2).into();
        }
    }
    document
}

#[test]
fn slower_links_of_the_graph_are_a_change() {
    let report = drift("half", &machine(), &half_pcie(machine()));
    let found = finding(&report, "drift-machine-changed", "node");
    assert_eq!(found.status, Warn);
    assert!(found.text.contains("GB/s"), "{}", found.text);
}

#[test]
fn a_baseline_of_another_machine_is_told_first() {
    let other: Value = serde_json::from_str(&Topology::preset("dgx-a100").unwrap().to_json()).unwrap();
    let report = drift("other", &machine(), &other);
    let remark = report.remarks().first().map(String::as_str).unwrap_or_default();
    assert!(
        remark.starts_with("the baseline is of another kind of machine, NVIDIA DGX H100, and"),
        "{remark}"
    );
    let text = report.to_text(nvtopo_audit::TextStyle::default());
    assert!(text.lines().nth(1).unwrap().starts_with("Note: the baseline is of another kind"), "{text}");
    assert!(drift("same", &machine(), &machine()).remarks().is_empty());
}
