//! The picture of a machine for people: what it shows of devices, and what it marks.

use nvtopo::model::{
    Fragment, Gpu, GpuInstance, HostBridge, Link, LinkKind, LinkLayer, MigMode, Nic, NodeId, NodeKind,
    NumaNode, Nvme, PciFacts, PcieSpeed, PcieSwitch, PcieTraining, PortState, Provenance, Stated,
    TopologyBuilder, rates,
};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, Topology};
use nvtopo_draw::{Style, by_name};

fn picture(topology: &Topology) -> String {
    by_name("text").unwrap().topology(topology, Style::default())
}

fn link(now: (u8, u16), most: (u8, u16)) -> PciFacts {
    let speed = |(generation, width)| PcieSpeed::new(Some(generation), Some(width));
    let link = Some(PcieTraining::new(speed(now), speed(most), speed(most)));
    fact!(PciFacts::default(), link = link)
}

/// The lines, with one blank between words.
fn plain(picture: &str) -> Vec<String> {
    picture.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The first line that begins with this word.
fn line(picture: &str, word: &str) -> String {
    let found = plain(picture).into_iter().find(|line| line.starts_with(word));
    found.unwrap_or_else(|| panic!("no {word} in\n{picture}"))
}

fn machine() -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    fragment.machine().hypervisor = Stated::Known("KVM".to_owned());
    let numa = NodeKind::NumaNode(fact!(NumaNode::default(), cpus = "0-7".parse().unwrap()));
    let numa = fragment.add(NodeId::MACHINE, numa);
    let bridge = fragment.add(numa, HostBridge::default());
    let switch = fragment.add(bridge, PcieSwitch::default());
    let gpu = |index: u32| fact!(Gpu::new(index), model = Some("NVIDIA A100".to_owned()));
    let mig = Some(MigMode::new(true, true));
    let redirect = rates::pcie(4, 16).with_redirects(true);
    // Idle: its link is slow, and has all its lanes.
    let divided = fact!(gpu(0), mig = mig, pci = link((1, 16), (4, 16)));
    let divided = fragment.add(switch, divided);
    fragment.link(switch, divided, redirect.clone());
    for number in [1, 2] {
        let instance = fact!(
            GpuInstance::default(),
            uuid = Some(format!("MIG-c6d4f1e{number}")),
            gpu_instance = Some(number),
            compute_instance = Some(0),
            profile = Some("3g.20gb".to_owned()),
            memory = Some(20 << 30)
        );
        fragment.add(divided, instance);
    }
    let lost = fact!(gpu(1), unusable = Some("has fallen off the bus".to_owned()));
    let lost = fragment.add(bridge, lost);
    fragment.link(bridge, lost, rates::pcie(4, 16));
    let narrow = fact!(gpu(2), mig = mig, pci = link((4, 8), (4, 16)));
    let narrow = fragment.add(bridge, narrow);
    fragment.link(bridge, narrow, Link::new(LinkKind::Pcie));
    let nic = |name: &str| Nic::new(name.to_owned());
    let active = fact!(
        nic("mlx5_0"),
        state = Some(PortState::Active),
        link_layer = Some(LinkLayer::InfiniBand),
        rate = Some(Bandwidth::from_gb_per_s(25.0)),
        measured = Some(Bandwidth::from_gb_per_s(23.376)),
        pci = link((4, 16), (4, 16))
    );
    let active = fragment.add(switch, active);
    fragment.link(switch, active, redirect);
    let down = fact!(
        nic("mlx5_1"),
        state = Some(PortState::Down),
        link_layer = Some(LinkLayer::Ethernet),
        bond = Some("bond0".to_owned()),
        pci = link((3, 16), (4, 16))
    );
    fragment.add(NodeId::MACHINE, down);
    let disk = |name: &str, pci| fact!(Nvme::new(name.to_owned()), pci = pci);
    fragment.add(bridge, disk("nvme0", link((4, 4), (4, 4))));
    fragment.add(bridge, disk("nvme1", link((4, 2), (4, 4))));
    fragment.add(NodeId::MACHINE, disk("nvme2", PciFacts::default()));
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn devices_are_shown_with_their_parts_and_what_is_wrong_with_them() {
    let picture = picture(&machine());
    assert!(picture.lines().next().unwrap().ends_with("3 NVMe disks · virtual machine (KVM)"), "{picture}");
    assert!(line(&picture, "NUMA node 0").ends_with("CPUs 0-7 · 2 NVMe disks"));
    let gpu = line(&picture, "GPU0");
    assert!(gpu.ends_with("PIX mlx5_0 reaches NICs through the CPU only (ACS)"), "{gpu}");
    // Its parts stand below it.
    let below: Vec<String> =
        plain(&picture).into_iter().skip_while(|line| !line.starts_with("GPU0")).collect();
    assert_eq!(below[1], "MIG 1/0 3g.20gb 20 GiB MIG-c6d4f1e1");
    assert_eq!(below[2], "MIG 2/0 3g.20gb 20 GiB MIG-c6d4f1e2");
    assert!(below[3].ends_with("cannot be used: has fallen off the bus"), "{}", below[3]);
    let narrow = line(&picture, "GPU2");
    assert!(narrow.ends_with("divided (MIG), without instances; PCIe x8 of x16"), "{narrow}");
    let active = line(&picture, "mlx5_0");
    assert!(active.contains("25 GB/s, 23.4 GB/s measured") && active.ends_with("InfiniBand"), "{active}");
    let down = line(&picture, "mlx5_1");
    assert!(down.ends_with("Ethernet · bond0 down; PCIe 3.0 of 4.0"), "{down}");
    // A disk is counted, and shown only where something is wrong.
    assert!(line(&picture, "nvme1").ends_with("PCIe x2 of x4"));
    assert!(!picture.contains("nvme0") && !picture.contains("nvme2"), "{picture}");
}

#[test]
fn a_machine_in_order_has_no_marks() {
    for preset in PRESETS {
        let picture = picture(&Topology::preset(preset.name).unwrap());
        // Notes say what virtual machines hide.
        let picture = picture.split("\nnote").next().unwrap();
        for mark in ["cannot be used", "PCIe x", "ACS", "MIG", "down", "virtual"] {
            assert!(!picture.contains(mark), "{}: {picture}", preset.name);
        }
    }
}

fn data(name: &str) -> Topology {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
    Topology::parse(name, &std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn what_was_measured_is_shown() {
    let whole = data("measured/measured-only.txt");
    let shown = picture(&whole);
    assert_eq!(
        line(&shown, "Measured"),
        "Measured 6 of 6 directions between GPUs, 8.1 GB/s to 26.3 GB/s",
        "{shown}"
    );
    let rows: Vec<String> =
        plain(&shown).into_iter().skip_while(|line| !line.starts_with("Measured")).skip(2).take(3).collect();
    assert_eq!(rows, ["GPU0 X 26.3 8.1", "GPU1 26.3 X 8.1", "GPU2 8.1 8.1 X"]);
    // One direction that nobody measured: GPU2 reads what GPU1 sends.
    let part = String::from_utf8(include_bytes!("data/measured/measured-only.txt").to_vec()).unwrap();
    let part = part.replace(" 2      8.10      8.10", " 2      8.10       N/A");
    let shown = picture(&Topology::parse("part", part.as_bytes()).unwrap());
    assert!(line(&shown, "Measured").starts_with("Measured 5 of 6 directions"), "{shown}");
    assert!(plain(&shown).contains(&"GPU1 26.3 X ?".to_owned()), "{shown}");
    assert!(!picture(&Topology::preset("dgx-h100").unwrap()).contains("Measured"));
}

#[test]
fn the_links_of_a_single_gpu_are_told() {
    let shown = picture(&data("nvlink-status/nvlink-one-gpu-links-down.txt"));
    let told = "GPU3 3 of 4 NVLinks up, 25.8 GB/s each; down: 2";
    assert!(plain(&shown).contains(&told.to_owned()), "{shown}");
    let shown = picture(&data("nvlink-status/nvlink-all-links-inactive-word.txt"));
    assert!(plain(&shown).contains(&"GPU0 no NVLink up; down: 0-1".to_owned()), "{shown}");
    let up = "GPU 0: A100\n\t Link 0: 25 GB/s\n\t Link 1: 25 GB/s\n";
    let shown = picture(&Topology::parse("up", up.as_bytes()).unwrap());
    assert!(plain(&shown).contains(&"GPU0 2 NVLinks up, 25 GB/s each".to_owned()), "{shown}");
    let shown = picture(&Topology::preset("gh200").unwrap());
    let told = "GPU0 NVLink-C2C to the CPU of node 0, 450 GB/s";
    assert!(plain(&shown).contains(&told.to_owned()), "{shown}");
}

#[test]
fn matrices_fit_the_terminal_and_lose_nothing() {
    let count = |shown: &str, word: &str| shown.split_whitespace().filter(|own| *own == word).count();
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let whole = picture(&topology);
        for width in [60, 80, 120, 200] {
            let style = Style::default().with_width(Some(width));
            let shown = by_name("text").unwrap().topology(&topology, style);
            let matrices = shown.split("NVLink groups").nth(1).unwrap();
            let matrices = matrices.lines().skip(1).skip_while(|line| !line.is_empty());
            for line in matrices.take_while(|line| !line.starts_with("note")) {
                assert!(line.chars().count() <= width, "{} at {width}: {line}", preset.name);
            }
            for word in ["X", "NV1", "NV2", "NV6", "NV18", "PIX", "NODE", "SYS"] {
                assert_eq!(count(&shown, word), count(&whole, word), "{} at {width}: {word}", preset.name);
            }
        }
    }
    // However narrow it is, one column has room.
    let style = Style::default().with_width(Some(1));
    let shown = by_name("text").unwrap().topology(&Topology::preset("dgx-1-v100").unwrap(), style);
    assert_eq!(count(&shown, "NV2"), 16);
}

#[test]
fn words_of_the_matrix_are_explained_and_coloured() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let shown = picture(&dgx1);
    for told in ["NV1: 1 NVLink, 25 GB/s", "NV2: 2 NVLinks, 50 GB/s", "SYS: between NUMA nodes"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(!shown.contains("PXB:") && !shown.contains("X: itself"), "{shown}");
    let style = Style::default().with_color(true);
    let coloured = by_name("text").unwrap().topology(&dgx1, style);
    let row = coloured.lines().find(|line| line.contains("GPU0") && line.contains("NV1")).unwrap();
    let shade = |word: &str| row.split(word).next().unwrap().rsplit("38;5;").next().unwrap()[..3].to_owned();
    assert_ne!(shade("NV1"), shade("NV2"), "{row:?}");
}

#[test]
fn the_memory_of_a_gpu_stands_beside_it_and_empty_nodes_together() {
    let shown = picture(&Topology::preset("gb200-nvl72-tray").unwrap());
    assert!(line(&shown, "GPU1").contains("185 GiB, node 10"), "{shown}");
    let places: Vec<String> =
        plain(&shown).into_iter().filter(|line| line.starts_with("NUMA node")).collect();
    assert_eq!(places.len(), 2, "{shown}");
    let mut fragment = Fragment::new(Provenance::Preset);
    for os_index in 0..40 {
        let cpus = if os_index < 8 { format!("{os_index}").parse().unwrap() } else { "".parse().unwrap() };
        let numa = fact!(NumaNode::new(os_index), cpus = cpus, memory = Some(1 << 30));
        let node = fragment.add(NodeId::MACHINE, numa);
        if os_index == 3 {
            fragment.add(node, Gpu::default());
        }
    }
    let shown = picture(&TopologyBuilder::new().with(fragment).build().unwrap());
    let places: Vec<String> =
        plain(&shown).into_iter().filter(|line| line.starts_with("NUMA node")).collect();
    let expected = [
        "NUMA node 3 CPUs 3 · 1024 MiB",
        "NUMA nodes 0-2,4-7 no devices · CPUs 0-2,4-7 · 7168 MiB",
        "NUMA nodes 8-39 no devices · no CPUs · 32 GiB",
    ];
    assert_eq!(places, expected);
}
