//! The picture of a machine as SVG: every device is drawn once, nothing covers another thing or lies outside, and what is
//! there is said.

use nvtopo::model::{
    Basis, Fragment, Gpu, HostBridge, Link, LinkKind, Nic, NodeId, NumaNode, NvSwitch, PcieSwitch, PortState,
    Provenance, Rate, TopologyBuilder,
};
use nvtopo::source::PRESETS;
use nvtopo::{Bandwidth, PciAddress, Request, Topology};
use nvtopo_draw::svg::font::text_width;
use nvtopo_draw::{Picture, Theme, svg};
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

/// The devices in their NUMA nodes.
fn cells<'a>(picture: &'a Document<'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    picture.descendants().filter(|node| node.attribute("class") == Some("device"))
}

/// The box of a device.
fn outline<'a>(cell: Node<'a, 'a>) -> Node<'a, 'a> {
    cell.children().find(|node| node.has_tag_name("rect")).unwrap()
}

/// An attribute of an element, or of the nearest one around it that has it.
fn inherited<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    node.ancestors().find_map(|node| node.attribute(name))
}

/// The place of a text, by the widths that pictures are laid out with.
fn text_area(node: Node<'_, '_>) -> Area {
    let size: f64 = inherited(node, "font-size").unwrap().parse().unwrap();
    let width = text_width(&content(node), size, inherited(node, "font-weight") == Some("bold"));
    let [x, base, ..] = area(node);
    let left = match inherited(node, "text-anchor") {
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        _ => x,
    };
    [left, base - 0.75 * size, left + width, base + 0.2 * size]
}

/// No text lies on another, and none leaves the smallest box that its middle is in.
fn check_texts(topology: &Topology, name: &str) {
    let picture = svg::topology(topology);
    let picture = Document::parse(&picture).unwrap();
    let texts = picture.descendants().filter(|node| node.has_tag_name("text"));
    let texts: Vec<(String, Area)> = texts.map(|node| (content(node), text_area(node))).collect();
    let boxes: Vec<Area> = picture.descendants().filter(|node| node.has_tag_name("rect")).map(area).collect();
    for (index, (words, a)) in texts.iter().enumerate() {
        let (x, y) = (f64::midpoint(a[0], a[2]), f64::midpoint(a[1], a[3]));
        let around = boxes.iter().filter(|b| x >= b[0] && x <= b[2] && y >= b[1] && y <= b[3]);
        let size = |b: &Area| (b[2] - b[0]) * (b[3] - b[1]);
        let around = around.min_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
        let inside = a[0] >= around[0] - 0.5 && a[2] <= around[2] + 0.5;
        assert!(
            inside && a[1] >= around[1] - 0.5 && a[3] <= around[3] + 0.5,
            "{name}: {words}: {a:?} in {around:?}"
        );
        for (other, b) in &texts[..index] {
            let apart = a[2] <= b[0] + 0.5 || b[2] <= a[0] + 0.5 || a[3] <= b[1] + 0.5 || b[3] <= a[1] + 0.5;
            assert!(apart, "{name}: {words} {a:?} lies on {other} {b:?}");
        }
    }
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
    let devices: Vec<Area> = cells(&picture).map(|cell| area(outline(cell))).collect();
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
        check_texts(&Topology::preset(preset.name).unwrap(), preset.name);
    }
    for folder in ["topo-m", "hwloc-xml"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(folder);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut drawn = 0;
        for file in files.filter(|file| file.extension().is_some_and(|name| name == "txt" || name == "xml")) {
            let name = file.display().to_string();
            let topology = Topology::parse(&name, &std::fs::read(&file).unwrap()).unwrap();
            check(&topology, &name);
            check_texts(&topology, &name);
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
    assert_eq!((said("Host bridge"), said("PCIe switch · 15.8 GB/s up")), (2, 4));
    assert_eq!(said("Package 1 · Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz"), 1);
    assert_eq!((said("1 link, 25 GB/s"), said("2 links, 50 GB/s")), (1, 1));
    // The board, the quads, and two rows and a column of the matrices.
    assert_eq!((said("GPU0"), said("mlx5_0")), (5, 2));
    assert_eq!(said("GPU0-3: Tesla V100-SXM2-32GB"), 1);
    assert_eq!((said("X"), said("NV1"), said("NV2")), (8, 16, 16));
    assert_eq!(picture.descendants().filter(|node| node.attribute("data-a").is_some()).count(), 16);
}

#[test]
fn the_pictures_in_the_docs_are_what_is_drawn() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = std::fs::read_to_string(docs.join("presets.md")).unwrap();
    for preset in PRESETS {
        let file = docs.join("pictures").join(preset.name).with_extension("svg");
        let drawn = svg::topology(&Topology::preset(preset.name).unwrap());
        if std::env::var_os("NVTOPO_UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(kept, drawn, "{}: `just generate` writes it again", preset.name);
        assert!(
            page.contains(&format!("(pictures/{}.svg)", preset.name)),
            "docs/presets.md shows {}",
            preset.name
        );
    }
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
            let lanes = if index == 5 { 5 } else { 6 };
            for switch in &switches {
                fragment.link(gpu, *switch, Link::new(LinkKind::NvLink).with_lanes(lanes));
            }
        }
    }
    let picture = svg::topology(&TopologyBuilder::new().with(fragment).build().unwrap());
    let said = words(&Document::parse(&picture).unwrap());
    let switches: Vec<&String> = said.iter().filter(|said| said.contains("NVSwitch")).collect();
    assert_eq!(
        switches,
        ["NVSwitch · 3 GPUs · 6 NVLinks a GPU", "2 NVSwitches · 3 GPUs · 10 to 12 NVLinks a GPU"]
    );
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
    let crossed = |node: &Node<'_, '_>| {
        let cross = |own: &Node<'_, '_>| own.attribute("class") == Some("cross");
        node.children().filter(cross).count() == 2
            && outline(*node).attribute("class").unwrap().ends_with(" fault")
    };
    let said = cells(&picture).filter(crossed).map(|node| {
        let title = node.children().find(|node| node.has_tag_name("title")).unwrap();
        content(title)
    });
    let expected = ["GPU1 · mlx5_0 · cannot be used: has fallen off the bus", "mlx5_0 · down"];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn hostile_names_and_many_devices_are_drawn() {
    for name in ["long".repeat(10_000), "WWWW".repeat(30), "il".repeat(40), "図形".repeat(20)] {
        check_texts(&made(3, &name), "names");
    }
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
        .filter(|node| node.parent().unwrap().attribute("class") == Some("chip"))
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
    assert_eq!(said.iter().filter(|word| *word == "CPU · C2C 225 GB/s").count(), 2, "{said:?}");
    assert!(said.iter().any(|word| word == "185 GiB, node 10"), "{said:?}");
    assert!(!said.iter().any(|word| word == "NUMA node 10"), "{said:?}");
}

#[test]
fn fewer_links_have_another_shade() {
    let picture = svg::topology(&Topology::preset("dgx-1-v100").unwrap());
    let picture = Document::parse(&picture).unwrap();
    let class = |told: &str| {
        let said = |node: &Node<'_, '_>| {
            node.children().any(|own| own.has_tag_name("title") && content(own).contains(told))
        };
        let field = picture.descendants().filter(|node| node.has_tag_name("rect")).find(said);
        field.unwrap().attribute("class").unwrap().to_owned()
    };
    assert_eq!((class(": NV1,"), class(": NV2,")), ("m-nv2".to_owned(), "m-nv4".to_owned()));
}

#[test]
fn what_was_chosen_is_highlighted() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let placement = Request::gpus(2).solve(&dgx1).unwrap();
    let picture = Picture::new(&dgx1).with_placement(&placement).svg();
    let picture = Document::parse(&picture).unwrap();
    let chosen = cells(&picture).filter(|cell| outline(*cell).attribute("class") == Some("chosen"));
    let chosen: Vec<&str> = chosen.map(|cell| cell.attribute("data-device").unwrap()).collect();
    assert_eq!(chosen, ["0", "3"]);
    let words = words(&picture);
    for said in ["Chosen: GPU0 GPU3", "rank 0", "rank 1"] {
        assert_eq!(words.iter().filter(|word| *word == said).count(), 1, "{said}: {words:?}");
    }
    let used = picture.descendants().filter(|node| node.attribute("class") == Some("used"));
    let used: Vec<_> =
        used.filter_map(|node| Some((node.attribute("data-a")?, node.attribute("data-b")?))).collect();
    assert_eq!(used, [("0", "3")]);
    let told = picture.descendants().find(|node| node.has_tag_name("desc")).unwrap();
    assert!(content(told).contains(placement.why().trim_end_matches('.')), "{}", content(told));
}

#[test]
fn a_picture_names_itself_and_has_the_colours_that_are_asked_for() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let of = |theme| Picture::new(&dgx1).with_theme(theme).svg();
    let (auto, light, dark) = (of(Theme::Auto), of(Theme::Light), of(Theme::Dark));
    for picture in [&auto, &light, &dark] {
        let picture = Document::parse(picture).unwrap();
        let root = picture.root_element();
        assert_eq!(
            (root.attribute("role"), root.attribute("aria-label")),
            (Some("img"), Some("NVIDIA DGX-1 (preset dgx-1-v100)"))
        );
        let first = root.children().find(Node::is_element).unwrap();
        assert_eq!(
            (first.tag_name().name(), content(first).as_str()),
            ("title", "NVIDIA DGX-1 (preset dgx-1-v100)")
        );
    }
    // Nothing is loaded from elsewhere, and each class has a style.
    assert_eq!(auto.matches("http").count(), 1, "the name of SVG itself");
    let picture = Document::parse(&auto).unwrap();
    let style = picture.descendants().find(|node| node.has_tag_name("style")).unwrap();
    let classes = picture.descendants().filter_map(|node| node.attribute("class"));
    for class in
        classes.flat_map(str::split_whitespace).filter(|class| !["nvtopo", "device", "chip"].contains(class))
    {
        assert!(content(style).contains(&format!(".nvtopo .{class}{{")), "{class}");
    }
    assert!(auto.contains("prefers-color-scheme:dark") && !light.contains("prefers-color-scheme"));
    assert!(dark.contains(".page{fill:#14171c}") && !light.contains(".page{fill:#14171c}"));
}

#[test]
fn many_gpus_are_summed_up() {
    let rack = switched(72);
    check_texts(&rack, "a rack");
    let picture = svg::topology(&rack);
    let picture = Document::parse(&picture).unwrap();
    assert!(words(&picture).contains(&"NVSwitch · 72 GPUs · 18 NVLinks a GPU".to_owned()));
    // A stroke for each GPU, none for the 2556 pairs.
    let strokes = picture.descendants().filter(|node| node.attribute("class") == Some("nvlink")).count();
    assert_eq!(strokes, 72 + 1, "with the legend's");
    let html = Picture::new(&rack).html();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

/// GPUs on NVSwitches, in pairs on NUMA nodes.
fn switched(gpus: u32) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
    let mut numa = NodeId::MACHINE;
    for index in 0..gpus {
        if index % 2 == 0 {
            numa = fragment.add(NodeId::MACHINE, NumaNode::new(index / 2));
        }
        let gpu = fragment.add(numa, Gpu::new(index));
        let rate = Rate::new(Bandwidth::from_mb_per_s(900_000), Basis::Nominal);
        fragment.link(gpu, switch, Link::new(LinkKind::NvLink).with_lanes(18).with_rate(rate));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}
