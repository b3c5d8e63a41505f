//! Presets: they show what `nvidia-smi topo -m` shows on the machine.

use nvtopo::model::{GroupShape, LinkKind, NodeKind, Origin, Stated};
use nvtopo::source::PRESETS;
use nvtopo::{ErrorKind, PathType, Request, Solver, Topology};

fn preset(name: &str) -> Topology {
    Topology::preset(name).unwrap()
}

/// The words of a topology's devices, row by row, with the devices in the order of `names`.
fn words(topology: &Topology, names: &[&str]) -> Vec<Vec<String>> {
    let position = |name: &&str| {
        let mut all = 0..topology.devices().len();
        all.find(|device| topology.device_name(*device) == *name).unwrap_or_else(|| panic!("no {name}"))
    };
    let order: Vec<usize> = names.iter().map(position).collect();
    let word = |a: usize, b: usize| topology.pairs().pair(a, b).word(topology.dialect()).unwrap_or_default();
    order.iter().map(|a| order.iter().map(|b| word(*a, *b)).collect()).collect()
}

/// Compares the rows that a recorded matrix has with the preset.
fn agrees(name: &str, matrix: &str) {
    let topology = preset(name);
    let mut lines = matrix.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let expected = words(&topology, &names);
    for (row, line) in lines.enumerate() {
        assert_eq!(line[0], names[row], "{name}");
        assert_eq!(line[1..=names.len()], expected[row], "{name}, row {}", names[row]);
        if let Some(cpus) = line.get(names.len() + 1) {
            let device = topology.devices()[row];
            assert_eq!(topology.local_cpus(device).known().unwrap().to_string(), *cpus, "{name}");
        }
        if let Some(node) = line.get(names.len() + 2) {
            let device = topology.devices()[row];
            assert_eq!(topology.local_nodes(device).known().unwrap().to_string(), *node, "{name}");
        }
    }
}

#[test]
fn dgx_1_shows_its_recorded_matrix() {
    agrees(
        "dgx-1-v100",
        "GPU0 GPU1 GPU2 GPU3 GPU4 GPU5 GPU6 GPU7 mlx5_0 mlx5_2 mlx5_1 mlx5_3
        GPU0 X NV1 NV1 NV2 NV2 SYS SYS SYS PIX SYS PHB SYS 0-19,40-59
        GPU1 NV1 X NV2 NV1 SYS NV2 SYS SYS PIX SYS PHB SYS 0-19,40-59
        GPU2 NV1 NV2 X NV2 SYS SYS NV1 SYS PHB SYS PIX SYS 0-19,40-59
        GPU3 NV2 NV1 NV2 X SYS SYS SYS NV1 PHB SYS PIX SYS 0-19,40-59
        GPU4 NV2 SYS SYS SYS X NV1 NV1 NV2 SYS PIX SYS PHB 20-39,60-79
        GPU5 SYS NV2 SYS SYS NV1 X NV2 NV1 SYS PIX SYS PHB 20-39,60-79
        GPU6 SYS SYS NV1 SYS NV1 NV2 X NV2 SYS PHB SYS PIX 20-39,60-79
        GPU7 SYS SYS SYS NV1 NV2 NV1 NV2 X SYS PHB SYS PIX 20-39,60-79
        mlx5_0 PIX PIX PHB PHB SYS SYS SYS SYS X SYS PHB SYS
        mlx5_2 SYS SYS SYS SYS PIX PIX PHB PHB SYS X SYS PHB
        mlx5_1 PHB PHB PIX PIX SYS SYS SYS SYS PHB SYS X SYS",
    );
}

#[test]
fn dgx_2_shows_its_recorded_matrix() {
    let join = |words: Vec<String>| words.join(" ") + " ";
    let nv6 = |own: usize| join((0..16).map(|gpu| if gpu == own { "X" } else { "NV6" }.to_owned()).collect());
    let gpus = join((0..16).map(|gpu| format!("GPU{gpu}")).collect());
    let nics = join((0..10).map(|nic| format!("mlx5_{nic}")).collect());
    let far = "SYS SYS SYS SYS SYS SYS 0-23,48-71";
    let rows = [
        format!("{gpus}{nics}"),
        format!("GPU0 {}PIX PXB NODE NODE {far}", nv6(0)),
        format!("GPU1 {}PIX PXB NODE NODE {far}", nv6(1)),
        format!("GPU2 {}PXB PIX NODE NODE {far}", nv6(2)),
        format!("GPU3 {}PXB PIX NODE NODE {far}", nv6(3)),
        format!("GPU4 {}NODE NODE PIX PXB SYS SYS SYS SYS SYS SYS", nv6(4)),
    ];
    agrees("dgx-2", &rows.join("\n"));
}

#[test]
fn dgx_a100_shows_its_recorded_matrix() {
    agrees(
        "dgx-a100",
        "GPU0 GPU1 GPU2 GPU3 GPU4 GPU5 GPU6 GPU7 mlx5_0 mlx5_1 mlx5_2 mlx5_3 mlx5_4 mlx5_5 mlx5_6 mlx5_7 mlx5_8 mlx5_9 mlx5_10 mlx5_11
        GPU0 X NV12 NV12 NV12 NV12 NV12 NV12 NV12 PXB PXB SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS 48-63,176-191 3
        GPU1 NV12 X NV12 NV12 NV12 NV12 NV12 NV12 PXB PXB SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS 48-63,176-191 3
        GPU2 NV12 NV12 X NV12 NV12 NV12 NV12 NV12 SYS SYS PXB PXB SYS SYS SYS SYS SYS SYS SYS SYS 16-31,144-159 1
        GPU3 NV12 NV12 NV12 X NV12 NV12 NV12 NV12 SYS SYS PXB PXB SYS SYS SYS SYS SYS SYS SYS SYS 16-31,144-159 1
        GPU4 NV12 NV12 NV12 NV12 X NV12 NV12 NV12 SYS SYS SYS SYS SYS SYS PXB PXB SYS SYS SYS SYS 112-127,240-255 7
        GPU5 NV12 NV12 NV12 NV12 NV12 X NV12 NV12 SYS SYS SYS SYS SYS SYS PXB PXB SYS SYS SYS SYS 112-127,240-255 7
        GPU6 NV12 NV12 NV12 NV12 NV12 NV12 X NV12 SYS SYS SYS SYS SYS SYS SYS SYS PXB PXB SYS SYS 80-95,208-223 5
        GPU7 NV12 NV12 NV12 NV12 NV12 NV12 NV12 X SYS SYS SYS SYS SYS SYS SYS SYS PXB PXB SYS SYS 80-95,208-223 5
        mlx5_0 PXB PXB SYS SYS SYS SYS SYS SYS X PXB SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS",
    );
}

#[test]
fn hopper_and_blackwell_boxes_pair_each_gpu_with_its_nic() {
    for name in ["dgx-h100", "dgx-b200"] {
        let topology = preset(name);
        let compute = [0, 3, 4, 5, 6, 9, 10, 11];
        assert_eq!((topology.gpus().len(), topology.nics().len()), (8, 12), "{name}");
        for (gpu, nic) in compute.into_iter().enumerate() {
            assert_eq!(topology.pairs().pair(gpu, 8 + nic).path, Some(PathType::Pix), "{name} GPU{gpu}");
            let others = (0..8).filter(|other| *other != gpu);
            for other in others {
                let expected = if gpu / 4 == other / 4 { PathType::Node } else { PathType::Sys };
                assert_eq!(topology.pairs().pair(other, 8 + nic).path, Some(expected), "{name}");
                assert_eq!(topology.pairs().pair(other, gpu).nvlinks, 18, "{name}");
            }
        }
        assert_eq!(topology.pairs().pair(9, 10).path, Some(PathType::Pix), "{name}: one adapter, two ports");
        let cpus = |gpu: usize| topology.local_cpus(topology.devices()[gpu]).known().unwrap().to_string();
        assert_eq!((cpus(0), cpus(7)), ("0-55,112-167".to_owned(), "56-111,168-223".to_owned()));
    }
}

#[test]
fn a_gb200_tray_has_coherent_gpus() {
    let tray = preset("gb200-nvl72-tray");
    assert_eq!((tray.gpus().len(), tray.nics().len()), (4, 4));
    assert_eq!(tray.pairs().pair(0, 3).nvlinks, 18);
    let nodes: Vec<_> = tray.gpus().map(|gpu| gpu.memory_node.clone()).collect();
    assert_eq!(nodes, [2, 10, 18, 26].map(Stated::Known));
    for (gpu, cpus) in [(1, "0-71"), (2, "72-143")] {
        assert_eq!(tray.local_cpus(tray.devices()[gpu]).known().unwrap().to_string(), cpus);
    }
    let c2c = tray.links().filter(|(_, _, link)| link.kind == LinkKind::C2c);
    let rates: Vec<_> = c2c.map(|(_, _, link)| link.rate.map(|rate| rate.bandwidth.as_gb_per_s())).collect();
    assert_eq!(rates, [Some(225.0); 4]);
    for gpu in tray.gpus() {
        let node = tray.numa_nodes().find(|node| Some(&node.os_index) == gpu.memory_node.known()).unwrap();
        assert_eq!((node.gpu, node.memory, node.cpus.is_empty()), (gpu.address, gpu.memory, true));
    }
}

#[test]
fn groups_have_the_shape_of_the_machine() {
    for (name, groups, shape) in [
        ("dgx-1-v100", vec![8], GroupShape::Partial),
        ("dgx-2", vec![16], GroupShape::Switched),
        ("dgx-a100", vec![8], GroupShape::Switched),
        ("hgx-a100-4", vec![4], GroupShape::FullyConnected),
        ("dgx-h100", vec![8], GroupShape::Switched),
        ("dgx-b200", vec![8], GroupShape::Switched),
        ("gb200-nvl72-tray", vec![4], GroupShape::Switched),
        ("gh200", vec![1], GroupShape::Single),
        ("l40s-8-pcie", vec![1; 8], GroupShape::Single),
        ("rtx-a6000-4-bridged", vec![2, 2], GroupShape::FullyConnected),
    ] {
        let topology = preset(name);
        let found = topology.nvlink_groups();
        assert_eq!(found.iter().map(|group| group.gpus.len()).collect::<Vec<_>>(), groups, "{name}");
        assert!(found.iter().all(|group| group.shape == shape), "{name}: {found:?}");
    }
}

#[test]
fn nvlink_bandwidth_is_the_published_one() {
    for (name, gb_per_s) in [
        ("dgx-2", 150.0),
        ("dgx-a100", 300.0),
        ("hgx-a100-4", 100.0),
        ("dgx-h100", 450.0),
        ("dgx-b200", 900.0),
        ("gb200-nvl72-tray", 900.0),
        ("rtx-a6000-4-bridged", 56.25),
    ] {
        let rate = preset(name).pairs().pair(0, 1).rate.unwrap();
        assert!((rate.bandwidth.as_gb_per_s() - gb_per_s).abs() < 1e-9, "{name}: {rate:?}");
    }
    let across_boards = preset("dgx-2").pairs().pair(0, 15);
    assert_eq!((across_boards.nvlinks, across_boards.rate.unwrap().bandwidth.as_mb_per_s()), (6, 150_000));
}

#[test]
fn every_preset_is_sound() {
    for preset in PRESETS {
        let topology = self::preset(preset.name);
        assert_eq!(*topology.origin(), Origin::Preset(preset.name.to_owned()));
        assert!(!preset.summary.is_empty() && topology.nvlink_known());
        let indices: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
        assert_eq!(indices, (0..indices.len() as u32).collect::<Vec<_>>(), "{}", preset.name);
        // PUs and NUMA nodes cover the same CPUs, each once.
        let pus = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Pu(_))).count();
        assert_eq!(topology.numa_nodes().map(|node| node.cpus.len()).sum::<usize>(), pus, "{}", preset.name);
        assert_eq!(topology.cpus().len(), pus, "{}", preset.name);
        let table = topology.pairs();
        let pairs = (0..table.len()).flat_map(|a| (0..table.len()).map(move |b| (a, b)));
        for (a, b) in pairs {
            assert!(table.pair(a, b).path.is_some(), "{}: {a} and {b}", preset.name);
            assert_eq!(table.pair(a, b), table.pair(b, a), "{}", preset.name);
        }
        // Addresses, where they are known, rise with the index, as the driver counts GPUs.
        let addresses: Vec<_> = topology.gpus().filter_map(|gpu| gpu.address).collect();
        assert!(addresses.is_sorted(), "{}", preset.name);
        // Distances are mutual.
        for a in topology.numa_nodes() {
            for b in topology.numa_nodes().filter(|b| b.os_index != a.os_index) {
                let from = |from: &nvtopo::model::NumaNode, to: u32| {
                    from.distances.iter().find(|(node, _)| *node == to).map(|(_, distance)| *distance)
                };
                assert!(from(a, b.os_index).is_some(), "{}", preset.name);
                assert_eq!(from(a, b.os_index), from(b, a.os_index), "{}", preset.name);
            }
        }
    }
}

#[test]
fn an_unknown_name_lists_the_names() {
    let error = Topology::preset("dgx-h10").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let text = error.to_string();
    assert!(text.contains("did you mean dgx-h100?") && text.contains("l40s-8-pcie"), "{text}");
    assert!(!Topology::preset("cray-1").unwrap_err().to_string().contains("did you mean"));
}

#[test]
fn every_preset_is_decided_with_proof() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let solver = Solver::new(&topology);
        for count in 1..=topology.gpus().len() {
            let placement = solver.solve(&Request::gpus(count)).unwrap();
            assert!(placement.is_optimal(), "{count} GPUs of {}: {:?}", preset.name, placement.proof());
        }
    }
}
