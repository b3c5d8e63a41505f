//! Guests: libvirt's layout and the topology of every format agree, and are like the host where devices share a switch.
//!
//! The addresses in a guest are computed here again, from libvirt's controllers alone, as firmware does.

use super::{data, files};
use nvtopo::model::{NodeKind, NoteCode, PcieSwitch};
use nvtopo::source::{Locator, WriteOptions, Written};
use nvtopo::{PathType, PciAddress, Topology};
use std::collections::{BTreeMap, BTreeSet};

fn preset(name: &str) -> Topology {
    Topology::preset(name).unwrap()
}

fn write(host: &Topology, format: &str, devices: &[&str]) -> nvtopo::Result<Written> {
    let mut options = WriteOptions::default();
    options.devices = devices.iter().map(|name| (*name).to_owned()).collect();
    host.write_with(format, &options)
}

/// The guest as NCCL's file has it.
fn guest(host: &Topology, devices: &[&str]) -> Topology {
    Topology::parse("guest", write(host, "nccl-xml", devices).unwrap().text.as_bytes()).unwrap()
}

fn all(host: &Topology) -> Vec<String> {
    (0..host.devices().len()).map(|device| host.device_name(device)).collect()
}

fn address(topology: &Topology, device: usize) -> Option<PciAddress> {
    let kind = &topology.node(topology.devices()[device]).kind;
    kind.as_gpu().map_or_else(|| kind.as_nic()?.address, |gpu| gpu.address)
}

fn has(written: &Written, code: NoteCode) -> bool {
    written.notes.iter().any(|note| note.code() == code)
}

/// A device of libvirt's domain: its address on the host, its address in the guest, and the cell of its expander bus.
type Place = (PciAddress, PciAddress, Option<u32>);

/// Numbers the bus below a controller, and those below its ports.
fn count(
    index: u32,
    below: &BTreeMap<u32, BTreeMap<(u32, u32), u32>>,
    next: &mut u32,
    found: &mut BTreeMap<u32, u32>,
) {
    found.insert(index, *next);
    *next += 1;
    for port in below.get(&index).into_iter().flat_map(BTreeMap::values) {
        count(*port, below, next, found);
    }
}

/// Reads a domain, and counts buses as firmware does: depth first, by slots and functions.
fn places(text: &str) -> Vec<Place> {
    type Spot = (u32, u32);
    let document = roxmltree::Document::parse(text).unwrap();
    let number = |node: roxmltree::Node<'_, '_>, name: &str| {
        let text = node.attribute(name).unwrap();
        text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16)).unwrap()
    };
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().find(|child| child.has_tag_name(name)).map(|child| child.id())
    };
    let of = |node: roxmltree::Node<'_, '_>| {
        let at = document.get_node(child(node, "address").unwrap()).unwrap();
        assert_eq!(number(at, "domain"), 0);
        (number(at, "bus"), (number(at, "slot"), number(at, "function")))
    };
    let mut below: BTreeMap<u32, BTreeMap<Spot, u32>> = BTreeMap::new();
    let (mut expanders, mut indices) = (Vec::new(), BTreeSet::new());
    for node in document.descendants().filter(|node| node.has_tag_name("controller")) {
        let index = number(node, "index");
        assert!(indices.insert(index));
        match node.attribute("model").unwrap() {
            "pcie-root" => assert_eq!(index, 0),
            "pcie-expander-bus" => {
                let target = document.get_node(child(node, "target").unwrap()).unwrap();
                let cell = child(target, "node")
                    .map(|cell| document.get_node(cell).unwrap().text().unwrap().parse().unwrap());
                expanders.push((number(target, "busNr"), index, cell));
            }
            _ => {
                let (on, spot) = of(node);
                assert!(on < index && below.entry(on).or_default().insert(spot, index).is_none());
            }
        }
    }
    assert_eq!(indices.len() as u32, indices.last().unwrap() + 1);
    let (mut bus_of, mut cell_of) = (BTreeMap::new(), BTreeMap::new());
    expanders.sort_unstable();
    let mut end = 0;
    for (bus, index, cell) in expanders {
        assert!(bus >= end, "expander buses overlap");
        let mut own = BTreeMap::new();
        let mut next = bus;
        count(index, &below, &mut next, &mut own);
        cell_of.extend(own.keys().map(|index| (*index, cell)));
        bus_of.extend(own);
        end = next;
    }
    assert!(end <= 256);
    let hostdevs = document.descendants().filter(|node| node.has_tag_name("hostdev"));
    let mut spots = BTreeSet::new();
    hostdevs
        .map(|node| {
            let (on, (device, function)) = of(node);
            assert!(spots.insert((on, device, function)) && device == 0, "a port has one slot");
            let source = document.get_node(child(node, "source").unwrap()).unwrap();
            let own = source.children().find(|child| child.has_tag_name("address")).unwrap();
            let host = format!(
                "{:04x}:{:02x}:{:02x}.{}",
                number(own, "domain"),
                number(own, "bus"),
                number(own, "slot"),
                number(own, "function")
            );
            let inside = format!("0000:{:02x}:{device:02x}.{function}", bus_of[&on]);
            (host.parse().unwrap(), inside.parse().unwrap(), cell_of[&on])
        })
        .collect()
}

/// Checks that the domain and NCCL's file of a guest agree, and that shared switches are as on the host. Returns the number of
/// pairs below one switch that no NVLinks connect.
fn agree(name: &str, host: &Topology, devices: &[&str]) -> usize {
    let domain = write(host, "libvirt-xml", devices).unwrap();
    let inside = guest(host, devices);
    let places = places(&domain.text);
    let sources: BTreeSet<PciAddress> = places.iter().map(|(source, ..)| *source).collect();
    assert_eq!(sources.len(), places.len(), "{name}: each device once");
    let device_at: BTreeMap<PciAddress, usize> =
        (0..inside.devices().len()).filter_map(|device| Some((address(&inside, device)?, device))).collect();
    let mut moved: BTreeMap<PciAddress, usize> = BTreeMap::new();
    for (source, place, cell) in &places {
        let Some(device) = device_at.get(place) else {
            panic!("{name}: NCCL's file lacks {place}, the host's {source}")
        };
        let node = inside.local_nodes(inside.devices()[*device]).known().and_then(nvtopo::NodeSet::first);
        assert_eq!(node, *cell, "{name}: {place}");
        moved.insert(*source, *device);
        assert!(domain.text.contains(&format!(" at {place} in the guest")), "{name}: {place}");
    }
    let named: Vec<usize> = (0..host.devices().len())
        .filter(|device| devices.is_empty() || devices.contains(&host.device_name(*device).as_str()))
        .collect();
    let mut shared = 0;
    let (outer, inner) = (host.pairs(), inside.pairs());
    for (place, a) in named.iter().enumerate() {
        for b in &named[place + 1..] {
            let both = address(host, *a).zip(address(host, *b));
            let Some((from, to)) = both.filter(|(a, b)| a != b) else { continue };
            let path = outer.pair(*a, *b).path;
            let own = inner.pair(moved[&from], moved[&to]).path;
            let is_shared = |path| matches!(path, Some(PathType::Pix | PathType::Pxb));
            assert_eq!(is_shared(path), is_shared(own), "{name}: {from} and {to}");
            if is_shared(path) {
                assert_eq!(path, own, "{name}: {from} and {to}");
                shared += 1;
            }
        }
    }
    shared
}

#[test]
fn a_guest_is_like_its_host_below_shared_switches() {
    for (name, pairs) in
        [("dgx-1-v100", 8), ("dgx-2", 37), ("dgx-a100", 22), ("dgx-h100", 10), ("nd-a100-v4", 20)]
    {
        let host = preset(name);
        let names = all(&host);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(agree(name, &host, &names), pairs, "{name}");
    }
    let host = preset("dgx-a100");
    assert_eq!(agree("a part", &host, &["GPU0", "GPU1", "mlx5_0", "mlx5_4", "mlx5_5"]), 3);
    // Switches that hold one of the devices are left out.
    let lone = write(&host, "libvirt-xml", &["GPU0", "GPU2"]).unwrap();
    assert!(!lone.text.contains("switch") && !has(&lone, NoteCode::GuestAcs));
}

#[test]
fn a_guest_keeps_the_nvlinks_and_the_rates_of_its_host() {
    let mesh = preset("dgx-1-v100");
    let inside = guest(&mesh, &["GPU0", "GPU3", "GPU4"]);
    let links = |a, b| inside.pairs().pair(a, b).nvlinks;
    assert_eq!((links(0, 1), links(0, 2), links(1, 2)), (2, 2, 0));
    let dgx = preset("dgx-a100");
    let inside = guest(&dgx, &["0-3"]);
    assert!((0..4).all(|gpu| inside.nvlinks_of(gpu).0 == 12));
    let rate = |topology: &Topology, gpu: usize| {
        let id = topology.devices()[gpu];
        let parent = topology.node(id).parent;
        let mut links = topology.links_of(id).filter(|(far, _)| Some(*far) == parent);
        links.next().unwrap().1.rate.unwrap().bandwidth
    };
    assert_eq!(rate(&inside, 0), rate(&dgx, 0));
    let written = write(&dgx, "nccl-xml", &["0-3"]).unwrap();
    for code in [NoteCode::GuestAcs, NoteCode::GuestLinkSpeeds, NoteCode::GuestNvlinks, NoteCode::GuestCpus] {
        assert!(has(&written, code), "{}", code.name());
    }
    // Every GPU of the mesh has links to one that is not passed.
    let cut = write(&mesh, "nccl-xml", &["GPU0"]).unwrap();
    assert!(
        cut.notes
            .iter()
            .any(|note| note.code() == NoteCode::GuestNvlinks && note.text.contains("GPU0 lead to"))
    );
}

#[test]
fn cells_have_the_cpus_of_the_nodes_of_devices() {
    let dgx = preset("dgx-a100");
    let text = write(&dgx, "libvirt-xml", &["GPU0", "GPU4"]).unwrap().text;
    let document = roxmltree::Document::parse(&text).unwrap();
    let tagged = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
    let nodes: Vec<_> = tagged("memnode").map(|node| node.attribute("nodeset").unwrap()).collect();
    assert_eq!(nodes, ["3", "7"]);
    let pins: Vec<u32> =
        tagged("vcpupin").map(|pin| pin.attribute("cpuset").unwrap().parse().unwrap()).collect();
    let cpus: BTreeSet<u32> = pins.iter().copied().collect();
    let expected: BTreeSet<u32> = dgx
        .numa_nodes()
        .filter(|node| [3, 7].contains(&node.os_index))
        .flat_map(|node| node.cpus.iter())
        .collect();
    assert_eq!((pins.len(), &cpus), (cpus.len(), &expected));
    // Threads of a core are neighbours.
    assert_eq!(pins[1] - pins[0], 128);
    let topology = tagged("topology").next().unwrap();
    assert_eq!(topology.attributes().map(|own| own.value()).collect::<Vec<_>>(), ["2", "1", "16", "2"]);
    let total: u64 =
        tagged("cell").map(|cell| cell.attribute("memory").unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(total, 2 * (224 << 20));
    assert_eq!(tagged("memory").next().unwrap().text().unwrap(), total.to_string());
    let inside = guest(&dgx, &["GPU0", "GPU4"]);
    assert_eq!(inside.cpus().len(), expected.len());
}

/// Without these elements, libvirt's QEMU driver refuses the domain: "more than 255 vCPUs require extended interrupt mode
/// enabled on the iommu device".
#[test]
fn many_cpus_get_an_iommu_for_their_interrupts() {
    let host = preset("dgx-h100");
    let has = |text: &str| {
        let document = roxmltree::Document::parse(text).unwrap();
        let found = |name: &'static str| document.descendants().find(|node| node.has_tag_name(name));
        let driver = found("iommu").map(|iommu| iommu.first_element_child().unwrap());
        let eim = driver.map(|driver| {
            let all = ["intremap", "caching_mode", "eim"];
            all.into_iter().all(|name| driver.attribute(name) == Some("on"))
        });
        let ioapic = found("ioapic").and_then(|ioapic| ioapic.attribute("driver")).map(str::to_owned);
        (found("vcpu").unwrap().text().unwrap().parse::<u32>().unwrap(), ioapic, eim)
    };
    assert_eq!(has(&write(&host, "libvirt-xml", &["GPU0"]).unwrap().text), (112, None, None));
    let wide = |cpus: u32, model: &str| {
        let text = format!(
            "Model name: {model}\nCPU(s): {cpus}\nOn-line CPU(s) list: 0-{last}\nThread(s) per core: 1\nCore(s) per socket: {cpus}\n\
             Socket(s): 1\nNUMA node(s): 1\nNUMA node0 CPU(s): 0-{last}\n\
             \n\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-{last}\t0\n",
            last = cpus - 1
        );
        has(&Topology::parse("host.txt", text.as_bytes()).unwrap().write("libvirt-xml").unwrap().text)
    };
    assert_eq!(wide(255, "AMD EPYC 9965 192-Core Processor"), (255, None, None));
    let with = Some("qemu".to_owned());
    assert_eq!(wide(256, "AMD EPYC 9965 192-Core Processor"), (256, with, Some(true)));
    assert_eq!(wide(256, "Neoverse-V2"), (256, None, None));
}

#[test]
fn a_guest_has_the_instruction_set_of_its_host() {
    let matrix = "\n\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-3\t0\n";
    let lscpu = |architecture: &str, model: &str| {
        let text = format!(
            "{architecture}CPU(s): 4\nOn-line CPU(s) list: 0-3\nModel name: {model}\nNUMA node0 CPU(s): 0-3\n{matrix}"
        );
        Topology::parse("host.txt", text.as_bytes()).unwrap()
    };
    let arm = lscpu("Architecture: aarch64\n", "Kunpeng-920");
    let x86 = lscpu("Architecture: x86_64\n", "Hygon C86 7285 32-core Processor");
    let unknown = lscpu("", "Kunpeng-920");
    let recorded = std::fs::read(super::data("hwloc-xml/llnl-arm64-ulna-hwloc1.xml")).unwrap();
    let recorded = Topology::parse("ulna.xml", &recorded).unwrap();
    let back = Topology::parse("back.xml", recorded.write("hwloc-xml").unwrap().text.as_bytes()).unwrap();
    for (host, own, assumed) in [
        (&arm, "arch=\"aarch64\" machine=\"virt\"", false),
        (&recorded, "arch=\"aarch64\" machine=\"virt\"", false),
        (&back, "arch=\"aarch64\" machine=\"virt\"", false),
        (&x86, "arch=\"x86_64\" machine=\"q35\"", false),
        (&unknown, "arch=\"x86_64\" machine=\"q35\"", true),
    ] {
        let written = write(host, "libvirt-xml", &[]).unwrap();
        assert!(written.text.contains(own), "{}", written.text);
        let says = |note: &nvtopo::model::Note| note.text.contains("x86_64 is assumed");
        assert_eq!(written.notes.iter().any(says), assumed, "{:?}", written.notes);
    }
    let text = lscpu("Architecture: riscv64\n", "X").write("libvirt-xml").unwrap_err().to_string();
    assert!(text.contains("riscv64"), "{text}");
    // NCCL refuses x86 without a vendor, and asks the machine for all that is left out.
    assert!(arm.write("nccl-xml").unwrap().text.contains("arch=\"arm64\""));
    assert!(!x86.write("nccl-xml").unwrap().text.contains("arch="));
}

#[test]
fn wrong_lists_of_devices_are_refused() {
    let dgx = preset("dgx-a100");
    for (devices, said) in [
        (&["GPU9"][..], "no device 'GPU9'"),
        (&["mlx5_99"], "no device 'mlx5_99'"),
        (&["0000:ff:1f.0"], "no device '0000:ff:1f.0'"),
        (&[""], "no device ''"),
        (&["GPU0", "0"], "GPU0 is in the list of devices twice"),
        (&["0-3", "gpu2"], "GPU2 is in the list of devices twice"),
        (&["mlx5_0", "0000:0c:00.0"], "mlx5_0 is in the list of devices twice"),
        (&["MIG-GPU-5c3ee4a8/1/0"], "is a MIG instance"),
        (&["mig-5c3e"], "is a MIG instance"),
        (&["3-1"], "no device '3-1'"),
        (&["é-ö", "GPU"], "no device 'é-ö'"),
    ] {
        for format in ["libvirt-xml", "nccl-xml", "json"] {
            let error = write(&dgx, format, devices).unwrap_err().to_string();
            assert!(error.contains(said), "{devices:?}: {error}");
        }
    }
    let mut options = WriteOptions::default();
    options.node = Some("a/b".to_owned());
    assert!(dgx.write_with("libvirt-xml", &options).unwrap_err().to_string().contains("'a/b'"));
    // Names are as people write them.
    let text = |devices: &[&str]| write(&dgx, "libvirt-xml", devices).unwrap().text;
    assert_eq!(text(&["gpu0-gpu1", "mlx5_0"]), text(&["0000:0c:00.0", "0000:07:00.0", " 1"]));
}

#[test]
fn unknown_facts_are_told_with_the_device() {
    let text = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tSYS\t\nGPU1\tSYS\t X \t\n";
    let host = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let written = write(&host, "libvirt-xml", &["GPU1"]).unwrap();
    let told =
        |code, words: &str| written.notes.iter().any(|note| note.code() == code && note.text.contains(words));
    assert!(
        told(NoteCode::NumaUnknown, "GPU1") && told(NoteCode::Unknown, "PCI address of GPU1"),
        "{:?}",
        written.notes
    );
    assert!(
        !written.text.contains("<hostdev")
            && written.text.contains("GPU1")
            && !written.text.contains("<node>")
    );
    // A comment is one, whatever the name of a model.
    let mut document: String = preset("dgx-1-v100").to_json();
    document = document.replace("Tesla V100-SXM2-32GB", "V100 --><x/>-----");
    let odd = Topology::parse("odd", document.as_bytes()).unwrap();
    let text = write(&odd, "libvirt-xml", &["GPU0"]).unwrap().text;
    let parsed = roxmltree::Document::parse(&text).unwrap();
    assert!(!parsed.descendants().any(|node| node.has_tag_name("x")), "{text}");
}

#[test]
fn functions_of_one_card_stay_together_and_too_many_buses_are_refused() {
    let dgx = preset("dgx-h100");
    let text = write(&dgx, "libvirt-xml", &["mlx5_1", "mlx5_2"]).unwrap().text;
    let places: Vec<String> = places(&text).into_iter().map(|(_, place, _)| place.to_string()).collect();
    assert_eq!(places, ["0000:21:00.0", "0000:21:00.1"]);
    assert_eq!(text.matches("multifunction=\"on\"").count(), 1);
    let rows: Vec<String> = (0..300).map(|gpu| format!("GPU{gpu}")).collect();
    let mut matrix = format!("\t{}\n", rows.join("\t"));
    for (row, name) in rows.iter().enumerate() {
        let cell = |column| if column == row { " X " } else { "SYS" };
        let cells: Vec<&str> = (0..300).map(cell).collect();
        matrix.extend([name.as_str(), "\t", &cells.join("\t"), "\n"]);
    }
    let error =
        Topology::parse("many", matrix.as_bytes()).unwrap().write("libvirt-xml").unwrap_err().to_string();
    assert!(error.contains("PCI buses"), "{error}");
    // More than 32 devices below one node: ports share slots.
    let matrix: String = matrix
        .lines()
        .take(41)
        .map(|line| line.split('\t').take(41).collect::<Vec<_>>().join("\t") + "\n")
        .collect();
    let host = Topology::parse("forty", matrix.as_bytes()).unwrap();
    let text = host.write("libvirt-xml").unwrap().text;
    assert_eq!(text.matches("pcie-root-port").count(), 40);
    assert_eq!(text.matches("multifunction=\"on\"").count(), 20);
}

#[test]
fn guests_of_recorded_machines_agree() {
    let mut seen = (0, 0);
    for path in
        files("topo-m", ".txt").into_iter().chain(files("hwloc-xml", ".xml")).chain(files("nccl-xml", ".xml"))
    {
        let name = path.display().to_string();
        let Ok(host) = Topology::open(&[Locator::Path(path)]) else { continue };
        let Ok(written) = host.write("libvirt-xml") else { continue };
        roxmltree::Document::parse(&written.text).unwrap_or_else(|error| panic!("{name}: {error}"));
        seen.0 += 1;
        let names = all(&host);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let is_addressed = |device| address(&host, device).is_some();
        if (0..names.len()).all(is_addressed) && host.gpus().len() > 0 && host.stated_paths().is_empty() {
            agree(&name, &host, &names);
            seen.1 += 1;
        }
    }
    assert!(seen.0 >= 60 && seen.1 >= 20, "{seen:?}");
}

/// The parts of a machine that NCCL plans with: for each device its kind, NUMA node, PCIe rate, and the devices below the same
/// switch with the rate of that switch; the CPUs of each node; and the make of the CPUs as far as it counts. For AMD's that is
/// the vendor alone.
fn meaning(topology: &Topology) -> (BTreeMap<PciAddress, String>, Vec<String>, String) {
    let up = |id| {
        let parent = topology.node(id).parent;
        let mut links = topology.links_of(id).filter(|(far, _)| Some(*far) == parent);
        links.next().map(|(_, link)| (link.lanes, link.rate.map(|rate| rate.bandwidth)))
    };
    let of = |device: usize| {
        let id = topology.devices()[device];
        let node = topology.node(id);
        let switch = node
            .parent
            .filter(|parent| matches!(topology.node(*parent).kind, NodeKind::PcieSwitch(PcieSwitch { .. })));
        let beside = (0..topology.devices().len())
            .filter(|other| topology.node(topology.devices()[*other]).parent == node.parent);
        let beside: BTreeSet<Option<PciAddress>> = beside.map(|other| address(topology, other)).collect();
        let is_gpu = node.kind.as_gpu().is_some();
        let near = topology.local_nodes(id).known().map(ToString::to_string);
        let text = format!("{is_gpu} {near:?} {:?} {:?} {beside:?}", up(id), switch.map(up));
        (address(topology, device).unwrap(), text)
    };
    let cpus = topology.numa_nodes().map(|node| format!("{}: {}", node.os_index, node.cpus)).collect();
    let make = &topology.machine().cpu;
    let numbers = (make.vendor.as_deref() == Some("GenuineIntel")).then_some((make.family, make.model));
    let make = format!("{:?} {:?} {numbers:?}", make.architecture, make.vendor);
    ((0..topology.devices().len()).map(of).collect(), cpus, make)
}

#[test]
fn presets_of_cloud_machines_are_the_files_of_their_providers() {
    for (name, file) in
        [("nd-a100-v4", "azure-ndv4"), ("nd-h100-v5", "azure-ndv5"), ("p4d-24xlarge", "aws-p4d-24xl")]
    {
        let written = preset(name).write("nccl-xml").unwrap();
        let own = Topology::parse(name, written.text.as_bytes()).unwrap();
        let theirs = Topology::open(&[Locator::Path(data(&format!("nccl-xml/{file}.xml")))]).unwrap();
        assert_eq!(meaning(&own), meaning(&theirs), "{name}");
        assert!(own.gpus().enumerate().all(|(gpu, _)| own.nvlinks_of(gpu).0 >= 12), "{name}");
        assert!(
            preset(name).notes().iter().any(|note| note.text.contains("virtual machine hides")),
            "{name}"
        );
    }
    // Microsoft's other files of the same machines say the same of devices, and have other CPUs.
    for (name, file) in [("nd-a100-v4", "superbench-ndv4"), ("nd-h100-v5", "superbench-ndv5")] {
        let written = preset(name).write("nccl-xml").unwrap();
        let own = Topology::parse(name, written.text.as_bytes()).unwrap();
        let theirs = Topology::open(&[Locator::Path(data(&format!("nccl-xml/{file}.xml")))]).unwrap();
        assert_eq!(meaning(&own).0, meaning(&theirs).0, "{name}");
    }
}

#[test]
fn hwloc_has_only_the_nvswitches_that_are_passed() {
    for (preset, devices) in
        [("dgx-a100", ["4", "5", "mlx5_6"].as_slice()), ("gb200-nvl72-tray", ["0", "1"].as_slice())]
    {
        let host = Topology::preset(preset).unwrap();
        let mut options = WriteOptions::default();
        options.devices = devices.iter().map(ToString::to_string).collect();
        let written = host.write_with("hwloc-xml", &options).unwrap();
        assert!(!written.text.contains("NVSwitch"), "{preset}: {}", written.text);
        assert!(!written.text.contains("name=\"NVLinkBandwidth\" kind"), "{preset}");
        assert!(
            written.notes.iter().any(|note| note.text.contains("NVSwitches that the guest does not see"))
        );
        // NVLinks that the file cannot tell are unknown, and not absent.
        assert!(!Topology::parse("guest.xml", written.text.as_bytes()).unwrap().nvlink_known(), "{preset}");
        assert!(host.write("hwloc-xml").unwrap().text.contains("NVSwitch"), "{preset}");
    }
}
