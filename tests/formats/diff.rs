//! Differences between machines: each kind of change, and machines of one kind that are equal in structure.

use super::files;
use nvtopo::Topology;
use nvtopo::diff::{Change, ChangeKind, Diff};
use nvtopo::source::PRESETS;
use proptest::prelude::*;
use serde_json::{Value, json};

fn preset(name: &str) -> Topology {
    Topology::preset(name).unwrap()
}

/// The document of a preset, changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Topology {
    let mut document: Value = serde_json::from_str(&preset(name).to_json()).unwrap();
    change(&mut document["topology"]);
    Topology::parse("changed", document.to_string().as_bytes()).unwrap()
}

/// The same with a UUID for each GPU.
fn with_uuids(document: &mut Value) {
    for (index, gpu) in gpus(document).enumerate() {
        gpu["uuid"] = json!(format!("GPU-00000000-0000-0000-0000-{index:012}"));
    }
}

fn gpus(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    document["nodes"].as_array_mut().unwrap().iter_mut().filter_map(|node| node.get_mut("gpu"))
}

fn texts(diff: &Diff) -> Vec<String> {
    diff.changes.iter().map(Change::to_string).collect()
}

fn kinds(diff: &Diff) -> Vec<ChangeKind> {
    diff.changes.iter().map(|change| change.kind).collect()
}

#[test]
fn a_machine_does_not_differ_from_itself() {
    let mut machines: Vec<Topology> = PRESETS.iter().map(|own| preset(own.name)).collect();
    for file in files("topo-m", ".txt").into_iter().chain(files("hwloc-xml", ".xml")) {
        machines.extend(Topology::parse("file", &std::fs::read(file).unwrap()));
    }
    assert!(machines.len() > 60);
    for machine in machines {
        for diff in [Diff::new(&machine, &machine), Diff::of_structure(&machine, &machine)] {
            assert_eq!(diff, Diff::default());
        }
    }
}

#[test]
fn a_lost_nvlink_is_told_of_its_two_gpus() {
    let (before, after) = (
        preset("dgx-1-v100"),
        changed("dgx-1-v100", |document| {
            let links = document["links"].as_array_mut().unwrap();
            let link = links.iter_mut().find(|link| link["kind"] == "nvlink" && link["lanes"] == 2).unwrap();
            link["lanes"] = json!(1);
            link["rate"]["mb_per_s"] = json!(25000);
        }),
    );
    let expected = [
        "GPU0: NVLinks in all 6, 150 GB/s each way -> 5, 125 GB/s each way",
        "GPU3: NVLinks in all 6, 150 GB/s each way -> 5, 125 GB/s each way",
        "GPU0 to GPU3: NVLinks 2 -> 1",
    ];
    assert_eq!(texts(&Diff::new(&before, &after)), expected);
    assert_eq!(texts(&Diff::of_structure(&before, &after)), expected);
}

#[test]
fn gpus_are_known_by_their_uuids() {
    let before = changed("dgx-a100", with_uuids);
    let swapped = changed("dgx-a100", |document| {
        with_uuids(document);
        let uuids: Vec<Value> = gpus(document).map(|gpu| gpu["uuid"].clone()).collect();
        for (index, gpu) in gpus(document).enumerate() {
            gpu["uuid"] = uuids[[5, 1, 2, 3, 4, 0, 6, 7][index]].clone();
        }
    });
    let diff = Diff::new(&before, &swapped);
    assert!(
        texts(&diff).contains(&"GPU0 and GPU5 swapped places: GPU0 0000:07:00.0 -> 0000:90:00.0".to_owned())
    );
    assert!(texts(&diff).contains(&"GPU5: number 5 -> 0".to_owned()));
    // The sites are as they were, and with them all links and paths.
    assert!(
        !kinds(&diff).iter().any(|kind| matches!(kind, ChangeKind::Path | ChangeKind::Nvlinks)),
        "{:?}",
        texts(&diff)
    );
    assert!(Diff::of_structure(&before, &swapped).is_empty());

    let replaced = changed("dgx-a100", |document| {
        with_uuids(document);
        gpus(document).nth(2).unwrap()["uuid"] = json!("GPU-00000000-0000-0000-0000-999999999999");
    });
    let diff = Diff::new(&before, &replaced);
    assert_eq!(kinds(&diff), [ChangeKind::Replaced]);
    assert_eq!((diff.changes[0].part.as_str(), diff.changes[0].fact), ("GPU2", "UUID"));
}

#[test]
fn buses_that_are_numbered_anew_change_no_path() {
    for own in PRESETS {
        let moved = changed(own.name, |document| {
            for node in document["nodes"].as_array_mut().unwrap() {
                for kind in node.as_object_mut().unwrap().values_mut() {
                    if let Some(address) = kind.get("address").and_then(Value::as_str).map(str::to_owned) {
                        let bus = u8::from_str_radix(&address[5..7], 16).unwrap();
                        kind["address"] = json!(format!("{}{:02x}{}", &address[..5], bus + 1, &address[7..]));
                    }
                }
            }
        });
        let diff = Diff::new(&preset(own.name), &moved);
        let has_addresses = preset(own.name).gpus().any(|gpu| gpu.address.is_some());
        assert_eq!(!diff.is_empty(), has_addresses, "{}", own.name);
        assert!(
            kinds(&diff).iter().all(|kind| *kind == ChangeKind::Moved),
            "{}: {:?}",
            own.name,
            texts(&diff)
        );
        assert!(Diff::of_structure(&preset(own.name), &moved).is_empty(), "{}", own.name);
    }
}

#[test]
fn a_missing_gpu_is_gone_and_the_others_have_new_numbers() {
    let matrix = |gpus: &[usize]| text(&preset("dgx-1-v100"), gpus);
    let all = Topology::parse("all", matrix(&[0, 1, 2, 3, 4, 5, 6, 7]).as_bytes()).unwrap();
    let fewer = Topology::parse("fewer", matrix(&[0, 1, 2, 3, 4, 5, 6]).as_bytes()).unwrap();
    let diff = Diff::new(&all, &fewer);
    assert!(texts(&diff).contains(&"GPU7 is gone".to_owned()), "{:?}", texts(&diff));
    let diff = Diff::new(&fewer, &all);
    assert!(texts(&diff).contains(&"GPU7 is new".to_owned()), "{:?}", texts(&diff));
}

#[test]
fn facts_of_one_machine_only_are_not_compared() {
    let diff = Diff::new(
        &preset("dgx-h100"),
        &Topology::parse("text", text(&preset("dgx-h100"), &[0, 1, 2, 3, 4, 5, 6, 7]).as_bytes()).unwrap(),
    );
    let told: Vec<String> = diff.not_compared.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"product of machine: only the first machine tells it".to_owned()), "{told:?}");
    assert!(!kinds(&diff).contains(&ChangeKind::Path), "{:?}", texts(&diff));
    assert!(
        !texts(&diff).iter().any(|text| text.contains("GPU") && text.contains("gone")),
        "{:?}",
        texts(&diff)
    );
}

/// A preset and what a format tells of it.
fn written(name: &str, format: &str) -> (Topology, Topology) {
    let machine = preset(name);
    let text = machine.write(format).unwrap().text;
    (machine, Topology::parse("written", text.as_bytes()).unwrap())
}

#[test]
fn what_a_format_cannot_tell_is_no_difference() {
    // Presets whose matrix has NICs, bridges of a known rate, NVSwitches, and NUMA nodes without devices.
    let boards =
        ["dgx-1-v100", "rtx-a6000-4-bridged", "dgx-a100", "dgx-h100", "nd-h100-v5", "gb200-nvl72-tray"];
    for name in boards {
        let (machine, matrix) = written(name, "topo-m");
        for diff in [
            Diff::new(&machine, &matrix),
            Diff::new(&matrix, &machine),
            Diff::of_structure(&machine, &matrix),
            Diff::of_structure(&matrix, &machine),
        ] {
            assert!(diff.is_empty(), "{name}: {:?}", texts(&diff));
        }
    }
    for name in ["dgx-a100", "dgx-h100"] {
        let (machine, xml) = written(name, "nccl-xml");
        assert!(Diff::new(&machine, &xml).is_empty(), "{name}: {:?}", texts(&Diff::new(&machine, &xml)));
    }
    let azure = std::fs::read(super::data("nccl-xml/azure-ndv5.xml")).unwrap();
    let diff = Diff::new(&preset("nd-h100-v5"), &Topology::parse("azure", &azure).unwrap());
    assert!(!diff.changes.iter().any(|change| change.fact == "name"), "{:?}", texts(&diff));
}

#[test]
fn what_is_not_compared_is_told() {
    let told = |(before, after): &(Topology, Topology), structure: bool| {
        let diff = if structure { Diff::of_structure(before, after) } else { Diff::new(before, after) };
        diff.not_compared.iter().map(|own| (own.fact, own.parts.clone())).collect::<Vec<_>>()
    };
    let machine = || vec!["machine".to_owned()];
    assert!(told(&written("dgx-1-v100", "topo-m"), true).contains(&("memory of NUMA nodes", machine())));
    let a100 = told(&written("dgx-a100", "topo-m"), false);
    assert!(a100.contains(&("NVSwitches", machine())), "{a100:?}");
    assert!(
        a100.iter().any(|(fact, parts)| *fact == "NUMA node" && parts.contains(&"NUMA node 0".to_owned()))
    );
    let bridged = told(&written("rtx-a6000-4-bridged", "topo-m"), false);
    assert!(bridged.iter().any(|(fact, _)| *fact == "rate of NVLinks"), "{bridged:?}");
}

#[test]
fn names_and_nodes_that_are_told_still_differ() {
    let renamed = changed("dgx-1-v100", |document| {
        let nodes = document["nodes"].as_array_mut().unwrap();
        let nic = nodes.iter_mut().find_map(|node| node.get_mut("nic")).unwrap();
        (nic["name"], nic["rdma_device"]) = (json!("mlx5_9"), json!("mlx5_9"));
    });
    let diff = Diff::new(&preset("dgx-1-v100"), &renamed);
    assert_eq!(texts(&diff), ["mlx5_0: name mlx5_0 -> mlx5_9", "mlx5_0: RDMA device mlx5_0 -> mlx5_9"]);
    // A node with devices is gone, though a matrix does not tell those without.
    let matrix = |near: &str| {
        let text = format!(
            "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tSYS\t0-3\t0\nGPU1\tSYS\t X \t{near}\n"
        );
        Topology::parse("matrix", text.as_bytes()).unwrap()
    };
    let diff = Diff::new(&matrix("4-7\t1"), &matrix("0-3\t0"));
    assert!(texts(&diff).contains(&"NUMA node 1 is gone".to_owned()), "{:?}", texts(&diff));
    // A preset tells all nodes, with devices or without.
    let diff = Diff::new(&preset("dgx-a100"), &preset("dgx-h100"));
    assert!(texts(&diff).contains(&"NUMA node 4 is gone".to_owned()), "{:?}", texts(&diff));
}

#[test]
fn rings_of_three_are_no_ring_of_six() {
    // Each GPU of both has two neighbours: colours alone do not tell them apart.
    let ring = |linked: &dyn Fn(usize, usize) -> bool| {
        let row = |a: usize| {
            let cell = |b: usize| {
                if a == b {
                    " X "
                } else if linked(a, b) {
                    "NV1"
                } else {
                    "SYS"
                }
            };
            format!("GPU{a}\t{}\n", (0..6).map(cell).collect::<Vec<_>>().join("\t"))
        };
        let rows = (0..6).map(row).collect::<String>();
        Topology::parse("ring", format!("{}\n{rows}", head(6)).as_bytes()).unwrap()
    };
    let six = ring(&|a, b| (a + 1) % 6 == b || (b + 1) % 6 == a);
    let threes = ring(&|a, b| a / 3 == b / 3);
    let mixed = ring(&|a, b| a % 2 == b % 2);
    assert!(!Diff::of_structure(&six, &threes).is_empty());
    assert!(Diff::of_structure(&threes, &mixed).is_empty());
    assert!(!Diff::new(&threes, &mixed).is_empty());
}

/// The heading of a matrix.
fn head(gpus: usize) -> String {
    (0..gpus).fold(String::new(), |head, gpu| format!("{head}\tGPU{gpu}"))
}

/// The matrix of some GPUs of a machine, in an order.
fn text(topology: &Topology, gpus: &[usize]) -> String {
    let cell = |a: usize, b: usize| topology.pairs().pair(a, b).word(topology.dialect()).unwrap();
    let row = |(index, a): (usize, &usize)| {
        let cells: Vec<String> = gpus.iter().map(|b| cell(*a, *b)).collect();
        format!("GPU{index}\t{}", cells.join("\t"))
    };
    let rows: Vec<String> = gpus.iter().enumerate().map(row).collect();
    format!("{}\n{}\n", head(gpus.len()), rows.join("\n"))
}

proptest! {
    /// Whatever the order of its GPUs, a board is the same; with one link changed, it is not.
    #[test]
    fn the_order_of_gpus_is_no_structure(
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        pick in 0..28_usize,
        board in prop::sample::select(vec!["dgx-1-v100", "l40s-8-pcie", "dgx-a100"]),
    ) {
        let machine = preset(board);
        let straight = text(&machine, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let shuffled = text(&machine, &order);
        let read = |text: &str| Topology::parse("matrix", text.as_bytes()).unwrap();
        prop_assert!(Diff::of_structure(&read(&straight), &read(&shuffled)).is_empty());
        // One more NVLink between two of the shuffled GPUs.
        let (a, b) = (0..8).flat_map(|a| (a + 1..8).map(move |b| (a, b))).nth(pick).unwrap();
        let mut cells: Vec<Vec<String>> =
            shuffled.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
        for (row, column) in [(a, b), (b, a)] {
            cells[row + 1][column + 1] = "NV17".to_owned();
        }
        let other = cells.iter().map(|row| row.join("\t") + "\n").collect::<String>();
        let diff = Diff::of_structure(&read(&straight), &read(&other));
        // A matrix without any NVLink may be of a driver that does not tell them.
        let told = read(&straight).nvlink_known() || diff.not_compared.iter().any(|own| own.fact == "NVLinks");
        prop_assert!(told && (!diff.is_empty() || !read(&straight).nvlink_known()));
    }
}

/// Facts that NCCL's file does not tell (host bridges, links between NVSwitches, models, orders of NICs) make no difference of
/// structure.
#[test]
fn the_structure_of_a_machine_is_that_of_its_nccl_file() {
    for own in PRESETS {
        let machine = preset(own.name);
        let Ok(file) = machine.write("nccl-xml") else { continue };
        let again = Topology::parse("nccl", file.text.as_bytes()).unwrap();
        for diff in [Diff::of_structure(&machine, &again), Diff::of_structure(&again, &machine)] {
            assert!(!kinds(&diff).contains(&ChangeKind::Path), "{}: {:?}", own.name, texts(&diff));
        }
    }
}

/// A matrix counts xGMI like NVLinks.
#[test]
fn xgmi_in_a_matrix_is_no_difference() {
    let amd = std::fs::read(super::data("nccl-xml/rccl-topo-8p-940.xml")).unwrap();
    let amd = Topology::parse("amd", &amd).unwrap();
    let matrix = Topology::parse("matrix", amd.write("topo-m").unwrap().text.as_bytes()).unwrap();
    for diff in [Diff::new(&amd, &matrix), Diff::of_structure(&matrix, &amd)] {
        assert!(!kinds(&diff).contains(&ChangeKind::Nvlinks), "{:?}", texts(&diff));
    }
}
