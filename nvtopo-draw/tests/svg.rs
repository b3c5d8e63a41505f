//! The picture of a machine as SVG: every device is drawn once, nothing covers another thing or lies outside, and what is
//! there is said.

use nvtopo::model::{
    Fragment, Gpu, HostBridge, Link, LinkKind, Nic, NodeId, NumaNode, NvSwitch, PcieSwitch, PortState,
    Provenance, TopologyBuilder,
};
use nvtopo::source::PRESETS;
use nvtopo::{PciAddress, Topology};
use nvtopo_draw::svg;
use roxmltree::{Document, Node};
use std::path::Path;

/// Left, top, right and bottom.
type Area = [f64; 4];

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).map_or(0.0, |value| value.parse().unwrap())
}

/// The place of a rectangle in the whole picture.
fn area(node: Node<'_, '_>) -> Area {
    let moves = node.ancestors().filter_map(|node| node.attribute("transform")).map(|told| {
        let numbers = told.strip_prefix("translate(").unwrap().strip_suffix(')').unwrap();
        let (x, y) = numbers.split_once(' ').unwrap();
        (x.parse::<f64>().unwrap(), y.parse::<f64>().unwrap())
    });
    let (x, y) = moves.fold((number(node, "x"), number(node, "y")), |at, by| (at.0 + by.0, at.1 + by.1));
    [x, y, x + number(node, "width"), y + number(node, "height")]
}

/// The text within an element.
fn content(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().trim().to_owned()
}

fn words(picture: &Document<'_>) -> Vec<String> {
    let texts = picture.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(content).collect()
}

fn check(topology: &Topology, name: &str) {
    let picture = svg::topology(topology);
    let picture = Document::parse(&picture).unwrap_or_else(|error| panic!("{name}: {error}"));
    let root = picture.root_element();
    let whole = [0.0, 0.0, number(root, "width"), number(root, "height")];
    let rectangles = picture.descendants().filter(|node| node.has_tag_name("rect"));
    for rectangle in rectangles.clone().map(area) {
        let inside = rectangle[0] >= 0.0
            && rectangle[1] >= 0.0
            && rectangle[2] <= whole[2]
            && rectangle[3] <= whole[3];
        assert!(inside, "{name}: {rectangle:?} in {whole:?}");
    }
    let devices = rectangles.filter(|node| node.attribute("class") == Some("device"));
    let devices: Vec<Area> = devices.map(area).collect();
    assert_eq!(devices.len(), topology.devices().len(), "{name}");
    for (index, a) in devices.iter().enumerate() {
        for b in &devices[..index] {
            let apart = a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1];
            assert!(apart, "{name}: {a:?} and {b:?}");
        }
    }
}

#[test]
fn every_machine_is_drawn() {
    for preset in PRESETS {
        check(&Topology::preset(preset.name).unwrap(), preset.name);
    }
    for folder in ["topo-m", "hwloc-xml"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(folder);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut drawn = 0;
        for file in files.filter(|file| file.extension().is_some_and(|name| name == "txt" || name == "xml")) {
            let name = file.display().to_string();
            check(&Topology::parse(&name, &std::fs::read(&file).unwrap()).unwrap(), &name);
            drawn += 1;
        }
        assert!(drawn > 20);
    }
}

#[test]
fn what_is_there_is_said() {
    let picture = svg::topology(&Topology::preset("dgx-1-v100").unwrap());
    let picture = Document::parse(&picture).unwrap();
    let words = words(&picture);
    let said = |word: &str| words.iter().filter(|said| *said == word).count();
    assert_eq!(said("NVIDIA DGX-1 (preset dgx-1-v100)"), 1);
    assert_eq!((said("NUMA node 1"), said("CPUs 20-39,60-79 · 256 GiB")), (1, 1));
    assert_eq!(said("PCIe switch"), 4);
    assert_eq!((said("1 link, 25 GB/s"), said("2 links, 50 GB/s")), (1, 1));
    // The board, the quads, and two rows and a column of the matrices.
    assert_eq!((said("GPU0"), said("mlx5_0")), (5, 2));
    assert_eq!(said("GPU0-3: Tesla V100-SXM2-32GB"), 1);
    assert_eq!((said("X"), said("NV1"), said("NV2")), (8, 16, 16));
    // The legend of links beside one line for each of the 16 pairs.
    assert_eq!(picture.descendants().filter(|node| node.has_tag_name("line")).count(), 16 + 2);
}

#[test]
fn the_picture_in_the_readme_is_what_is_drawn() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dgx-1.svg");
    let drawn = svg::topology(&Topology::preset("dgx-1-v100").unwrap());
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), drawn, "`just generate` writes it again");
}

#[test]
fn a_group_has_the_switches_that_its_gpus_have_links_to() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let bus = |bus| Some(PciAddress { domain: 0, bus, device: 0, function: 0 });
    for island in 0..2u8 {
        let switches: Vec<NodeId> = (0..=island)
            .map(|index| {
                let mut switch = NvSwitch::default();
                switch.address = bus(16 * island + index);
                switch
            })
            .map(|switch| fragment.add(NodeId::MACHINE, switch))
            .collect();
        for index in 0..3 {
            let index = 3 * u32::from(island) + index;
            let gpu = Gpu::new(index);
            let gpu = fragment.add(NodeId::MACHINE, gpu);
            for switch in &switches {
                fragment.link(gpu, *switch, Link::new(LinkKind::NvLink).with_lanes(6));
            }
        }
    }
    let picture = svg::topology(&TopologyBuilder::new().with(fragment).build().unwrap());
    let said = words(&Document::parse(&picture).unwrap());
    let switches: Vec<&String> = said.iter().filter(|said| said.contains("NVSwitch")).collect();
    assert_eq!(switches, ["NVSwitch", "2 NVSwitches"]);
}

fn made(gpus: u32, name: &str) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let mut numa = NumaNode::new(0);
    numa.cpus = "0-7".parse().unwrap();
    let numa = fragment.add(NodeId::MACHINE, numa);
    let bridge = fragment.add(numa, HostBridge::default());
    let switch = fragment.add(bridge, PcieSwitch::default());
    for index in 0..gpus {
        let unusable = (index == 1).then(|| "has fallen off the bus".to_owned());
        let mut gpu = Gpu::new(index);
        gpu.model = Some(name.to_owned());
        gpu.unusable = unusable;
        fragment.add(switch, gpu);
    }
    let mut nic = Nic::new(name);
    nic.state = Some(PortState::Down);
    fragment.add(bridge, nic);
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn what_is_wrong_is_framed_and_said() {
    let picture = svg::topology(&made(2, "mlx5_0"));
    let picture = Document::parse(&picture).unwrap();
    let marked = picture.descendants().filter(|node| node.attribute("stroke") == Some("#d1242f"));
    let said = marked.map(|node| {
        let title = node.parent().unwrap().children().find(|node| node.has_tag_name("title")).unwrap();
        content(title)
    });
    let expected = ["GPU1 · mlx5_0 · cannot be used: has fallen off the bus", "mlx5_0 · down"];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn hostile_names_and_many_devices_are_drawn() {
    check(&made(2, "<script>&\"'\u{1}\u{0}\u{fffe}\n]]>"), "hostile");
    check(&made(3, &"long".repeat(10_000)), "long");
    check(&made(130, "many"), "many");
    check(&made(600, "more than the matrix has room for"), "too many");
}

#[test]
fn the_deepest_machine_that_is_read_is_drawn() {
    let switch = |below: usize| format!(r#"{{"pcie_switch": {{"parent": {below}}}}}"#);
    let switches = (0..263).map(switch);
    let gpus = (0..2).map(|index| format!(r#"{{"gpu": {{"parent": 263, "index": {index}}}}}"#));
    let nodes = switches.chain(gpus).collect::<Vec<_>>().join(",");
    let text = format!(
        r#"{{"format": "nvtopo-topology", "version": 1, "topology": {{"source": "sysfs", "nvlink_known": true,
"nodes": [{{"machine": {{}}}},
{nodes}]}}}}"#
    );
    check(&Topology::parse("deepest", text.as_bytes()).unwrap(), "deepest");
}

/// The middles of the places of the groups' GPUs, by name.
fn places(picture: &Document<'_>) -> Vec<(String, (f64, f64))> {
    let drawn = picture.descendants().filter(|node| node.has_tag_name("rect"));
    drawn
        .filter(|node| node.attribute("height") == Some("24") && node.attribute("fill") == Some("#fff"))
        .map(|node| {
            let area = area(node);
            let name = node.parent().unwrap().children().find(|node| node.has_tag_name("text")).unwrap();
            (content(name), (f64::midpoint(area[0], area[2]), f64::midpoint(area[1], area[3])))
        })
        .collect()
}

#[test]
fn a_dgx_1_is_two_quads() {
    let picture = svg::topology(&Topology::preset("dgx-1-v100").unwrap());
    let picture = Document::parse(&picture).unwrap();
    let places = places(&picture);
    let at = |name: &str| places.iter().find(|(own, _)| own == name).unwrap().1;
    let left = (0..4).map(|gpu| at(&format!("GPU{gpu}")).0).fold(0.0, f64::max);
    let right = (4..8).map(|gpu| at(&format!("GPU{gpu}")).0).fold(f64::MAX, f64::min);
    assert!(left < right, "{places:?}");
    // Partners over the links between the quads stand at one height.
    for (near, far) in [("GPU0", "GPU4"), ("GPU1", "GPU5"), ("GPU2", "GPU6"), ("GPU3", "GPU7")] {
        assert!((at(near).1 - at(far).1).abs() < 0.01, "{near}, {far}: {places:?}");
    }
}

#[test]
fn a_dgx_1_that_lost_links_or_a_gpu_is_two_quads_still() {
    let whole: serde_json::Value =
        serde_json::from_str(&Topology::preset("dgx-1-v100").unwrap().to_json()).unwrap();
    let nvlinks: Vec<usize> = {
        let links = whole["topology"]["links"].as_array().unwrap().iter().enumerate();
        links.filter(|(_, link)| link["kind"] == "nvlink").map(|(place, _)| place).collect()
    };
    assert_eq!(nvlinks.len(), 16);
    for lost in &nvlinks {
        let mut document = whole.clone();
        document["topology"]["links"].as_array_mut().unwrap().remove(*lost);
        let topology = Topology::parse("lost", document.to_string().as_bytes()).unwrap();
        check(&topology, "a lost link");
        let picture = svg::topology(&topology);
        let picture = Document::parse(&picture).unwrap();
        let places = places(&picture);
        let side = |gpu: usize| {
            let (_, (x, _)) = places.iter().find(|(own, _)| *own == format!("GPU{gpu}")).unwrap();
            let width = places.iter().map(|(_, (x, _))| *x).fold(0.0, f64::max);
            *x > width / 2.0
        };
        assert!((0..4).all(|gpu| side(gpu) == side(0) && side(gpu + 4) != side(0)), "{places:?}");
        // No two in one place.
        for (index, (name, (x, y))) in places.iter().enumerate() {
            let other =
                places[..index].iter().find(|(_, own)| (own.0 - x).abs() < 30.0 && (own.1 - y).abs() < 24.0);
            assert!(other.is_none(), "{name}, {other:?}");
        }
    }
    // Seven of eight, as a matrix tells them where one fell off the bus.
    let rows = [
        "X,1,1,2,2,0,0",
        "1,X,2,1,0,2,0",
        "1,2,X,2,0,0,1",
        "2,1,2,X,0,0,0",
        "2,0,0,0,X,1,1",
        "0,2,0,0,1,X,2",
        "0,0,1,0,1,2,X",
    ];
    let mut lines = vec![(0..7).fold(String::new(), |line, gpu| line + "\tGPU" + &gpu.to_string())];
    for (gpu, row) in rows.iter().enumerate() {
        let cells = row.split(',').map(|cell| match cell {
            "X" => "\t X ".to_owned(),
            "0" => "\tSYS".to_owned(),
            count => format!("\tNV{count}"),
        });
        lines.push(format!("GPU{gpu}{}", cells.collect::<String>()));
    }
    let seven = Topology::parse("seven", lines.join("\n").as_bytes()).unwrap();
    check(&seven, "seven");
    let picture = svg::topology(&seven);
    let picture = Document::parse(&picture).unwrap();
    let places = places(&picture);
    let at = |name: &str| places.iter().find(|(own, _)| own == name).unwrap().1;
    for (near, far) in [("GPU0", "GPU4"), ("GPU1", "GPU5"), ("GPU2", "GPU6")] {
        assert!((at(near).1 - at(far).1).abs() < 0.01 && at(near).0 < at(far).0, "{places:?}");
    }
}

#[test]
fn larger_and_coherent_machines_are_labelled() {
    let dgx2 = svg::topology(&Topology::preset("dgx-2").unwrap());
    let said = words(&Document::parse(&dgx2).unwrap());
    assert_eq!(said.iter().filter(|word| *word == "NV6").count(), 16 * 15);
    let gb200 = svg::topology(&Topology::preset("gb200-nvl72-tray").unwrap());
    let said = words(&Document::parse(&gb200).unwrap());
    assert!(said.contains(&"GPU0: NVLink-C2C to the CPU of node 0, 225 GB/s".to_owned()), "{said:?}");
    assert!(said.iter().any(|word| word == "185 GiB, node 10"), "{said:?}");
    assert!(!said.iter().any(|word| word == "NUMA node 10"), "{said:?}");
}

#[test]
fn fewer_links_have_another_shade() {
    let picture = svg::topology(&Topology::preset("dgx-1-v100").unwrap());
    let picture = Document::parse(&picture).unwrap();
    let fill = |told: &str| {
        let said = |node: &Node<'_, '_>| {
            node.children().any(|own| own.has_tag_name("title") && content(own).contains(told))
        };
        let field = picture.descendants().filter(|node| node.has_tag_name("rect")).find(said);
        field.unwrap().attribute("fill").unwrap().to_owned()
    };
    assert_eq!((fill(": NV1,"), fill(": NV2,")), ("#8ad4bf".to_owned(), "#44bb99".to_owned()));
}
