//! NCCL's topology and graph XML: every recorded file is read, and holds what its text says.

use super::{data, files, nvswitches};
use nvtopo::model::{Basis, LinkKind, NodeKind, NoteCode, NvLinkFar, Provenance};
use nvtopo::{Bandwidth, PathType, Topology};

fn text(name: &str) -> String {
    std::fs::read_to_string(data("nccl-xml").join(name)).unwrap()
}

fn open(name: &str) -> Topology {
    Topology::parse(name, text(name).as_bytes()).unwrap()
}

fn has_note(topology: &Topology, code: NoteCode) -> bool {
    topology.notes().iter().any(|note| note.code() == code)
}

/// File, GPUs, adapters, NUMA nodes in the file's order, the address of the first GPU, the first adapter's name, links
/// between GPUs.
type Expected = (&'static str, usize, usize, &'static [u32], &'static str, &'static str, usize);

/// Counted by hand.
const FILES: &[Expected] = &[
    ("aws-p4d-24xl", 8, 4, &[0, 1], "0000:10:1c.0", "0000:10:1b.0", 0),
    ("aws-p4de-24xl", 8, 4, &[0, 1], "0000:10:1c.0", "0000:10:1b.0", 0),
    ("azure-ncv4", 4, 1, &[0, 1, 2, 3], "0001:00:00.0", "eth0", 0),
    ("azure-ndv2", 8, 1, &[0, 1], "0001:00:00.0", "0101:00:00.0", 0),
    ("azure-ndv4", 8, 8, &[0, 1, 2, 3], "0001:00:00.0", "0103:00:00.0", 0),
    ("azure-ndv5", 8, 8, &[0, 1], "0001:00:00.0", "0101:00:00.0", 0),
    ("mlperf-gigabyte-a100-nic-affinity", 8, 8, &[3, 1, 7, 5], "0000:07:00.0", "0000:12:00.0", 0),
    ("mlperf-nvidia-dgxa100-nic-affinity", 8, 8, &[3, 1, 7, 5], "0000:07:00.0", "0000:12:00.0", 0),
    ("oci-flattened", 8, 8, &[3, 1, 7, 5], "0000:0f:00.0", "0000:0c:00.0", 0),
    ("oci-flattened-b4", 8, 8, &[3, 1, 7, 5], "0000:0f:00.0", "0000:0c:00.0", 0),
    ("oci-h100", 8, 16, &[0, 1], "0000:0f:00.0", "mlx5_0", 0),
    ("oci-h100-kubernetes", 8, 16, &[0, 1], "0000:0f:00.0", "mlx5_18", 0),
    ("rccl-topo-16p1h-vm", 16, 8, &[0, 1, 2, 3], "3436:00:00.0", "mlx5_1", 28),
    ("rccl-topo-16p1h", 16, 8, &[0, 1, 2, 3], "0000:4e:00.0", "mlx5_0", 28),
    ("rccl-topo-3p-pcie", 3, 1, &[0, 1], "0000:23:00.0", "mlx5_0", 0),
    ("rccl-topo-4p-940", 4, 4, &[2, 3, 0, 1], "0000:82:00.0", "cxi0", 6),
    ("rccl-topo-4p2h-2nic", 8, 2, &[0], "0000:1d:00.0", "mlx5_0", 8),
    ("rccl-topo-4p3l-ia", 8, 1, &[0], "0000:1d:00.0", "mlx5_0", 12),
    ("rccl-topo-4p4h", 16, 16, &[1], "0000:cf:00.0", "mlx5_12", 24),
    ("rccl-topo-8p-90a-1", 8, 1, &[3, 1, 0], "0000:c1:00.0", "bond0", 12),
    ("rccl-topo-8p-940", 8, 8, &[0, 1], "0000:0c:00.0", "mlx5_0", 28),
    ("rccl-topo-8p-940vm", 8, 8, &[0, 1], "0011:00:00.0", "mlx5_0", 28),
    ("rccl-topo-8p-pcie", 8, 1, &[0], "0000:1d:00.0", "mlx5_0", 0),
    ("rccl-topo-8p-rome-4n-1", 8, 4, &[1, 3, 5, 7], "0000:4a:00.0", "mlx5_1", 12),
    ("rccl-topo-8p-rome-vm1", 8, 1, &[0, 1, 2, 3], "0001:00:00.0", "eth0", 12),
    ("rccl-topo-8p-ts1-n4-2", 8, 3, &[1, 2, 3, 4, 5, 7, 0, 6], "0000:43:00.0", "mlx5_0", 8),
    ("rccl-topo-8p1h-4", 8, 8, &[1, 3], "0000:32:00.0", "mlx5_0", 12),
    ("rccl-topo-8p6l-6nic", 8, 6, &[0, 1], "0000:63:00.0", "mlx5_0", 24),
    ("rccl-topo-collnet-n4", 8, 4, &[0, 1, 2, 3], "0000:4a:00.0", "mlx5_1", 12),
    ("superbench-ndv4", 8, 8, &[0, 1, 2, 3], "0001:00:00.0", "0103:00:00.0", 0),
    ("superbench-ndv5", 8, 8, &[0, 1], "0001:00:00.0", "0101:00:00.0", 0),
];

#[test]
fn files_hold_what_they_name() {
    for (name, gpus, nics, nodes, first, nic, direct) in FILES {
        let topology = open(&format!("{name}.xml"));
        let numbers: Vec<u32> = topology.numa_nodes().map(|node| node.os_index).collect();
        let gpu = topology.gpus().next().unwrap();
        let is_gpu = |id| topology.node(id).kind.as_gpu().is_some();
        let links = topology.links().filter(|(a, b, link)| link.kind.is_fabric() && is_gpu(*a) && is_gpu(*b));
        let found = (
            (topology.gpus().len(), topology.nics().len(), &numbers[..], links.count()),
            (gpu.index, gpu.address.unwrap().to_string(), topology.nics().next().unwrap().name.clone()),
        );
        let expected = ((*gpus, *nics, *nodes, *direct), (0, (*first).to_owned(), (*nic).to_owned()));
        assert_eq!(found, expected, "{name}");
        assert!(topology.nodes().all(|(_, node)| node.provenance == Provenance::Nccl), "{name}");
        // NVLinks are known where the file lists the GPUs' own elements and their other ends.
        let is_listed = text(&format!("{name}.xml")).contains("<gpu ") && *name != "azure-ncv4";
        assert_eq!(topology.nvlink_known(), is_listed, "{name}");
        assert_eq!(!is_listed, has_note(&topology, NoteCode::NvlinksUnknown), "{name}");
    }
    // The other file has neither classes nor affinities.
    assert_eq!(files("nccl-xml", ".xml").len(), FILES.len() + 1);
}

#[test]
fn a_cloud_file_of_p4d() {
    let topology = open("aws-p4d-24xl.xml");
    let nodes: Vec<String> = topology.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!(nodes, ["0-23,48-71", "24-47,72-95"]);
    let make = &topology.machine().cpu;
    assert_eq!(
        (make.architecture.as_deref(), make.vendor.as_deref(), make.family, make.model),
        (Some("x86_64"), Some("GenuineIntel"), Some(6), Some(85))
    );
    let gpu = topology.gpus().nth(7).unwrap();
    assert_eq!(gpu.address, Some("0000:a0:1d.0".parse().unwrap()));
    let pci = &gpu.pci;
    assert_eq!(
        (pci.class, pci.vendor, pci.device, pci.subsystem_vendor, pci.subsystem_device),
        (Some(0x03_0200), Some(0x10de), Some(0x20b0), Some(0x10de), Some(0x134f))
    );
    let NodeKind::PcieSwitch(switch) =
        &topology.node(topology.node(topology.devices()[7]).parent.unwrap()).kind
    else {
        panic!("no switch")
    };
    assert_eq!(
        (switch.address.unwrap().to_string().as_str(), switch.pci.vendor),
        ("ffff:ff:04.0", Some(0xffff))
    );
    let pair = |a, b| topology.pairs().pair(a, b);
    let classes = [pair(0, 1), pair(0, 2), pair(0, 4), pair(0, 8), pair(0, 9)].map(|pair| pair.path.unwrap());
    assert_eq!(classes, [PathType::Pix, PathType::Node, PathType::Sys, PathType::Pix, PathType::Node]);
    // 8 GT/s over 16 lanes.
    assert_eq!(pair(0, 1).rate.unwrap().bandwidth.as_mb_per_s(), 15_753);
    let smp = topology.links().find(|(_, _, link)| link.kind == LinkKind::Smp).unwrap().2.rate.unwrap();
    assert_eq!((smp.bandwidth, smp.basis), (Bandwidth::from_mb_per_s(10_000), Basis::Typical));
}

#[test]
fn a_dump_of_an_h100_server_tells_nvswitches_and_ports() {
    let topology = open("oci-h100.xml");
    let nodes: Vec<String> = topology.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!(nodes, ["0-55,112-167", "56-111,168-223"]);
    assert_eq!(nvswitches(&topology), ["0000:1c:00.0", "0000:1b:00.0", "0000:1a:00.0", "0000:1d:00.0"]);
    for (place, gpu) in topology.gpus().enumerate() {
        assert_eq!(gpu.compute_capability.unwrap().to_string(), "9.0");
        let own = gpu.nccl.as_ref().unwrap();
        assert_eq!((own["rank"].as_str(), own["gdr"].as_str()), (place.to_string().as_str(), "1"));
        let (links, rate) = topology.nvlinks_of(place);
        assert_eq!((links, rate.unwrap().bandwidth), (18, Bandwidth::from_gb_per_s(450.0)));
    }
    let pair = topology.pairs().pair(0, 7);
    assert_eq!((pair.path, pair.nvlinks), (Some(PathType::Nvl), 18));
    let nic = topology.nics().nth(3).unwrap();
    assert_eq!((nic.name.as_str(), nic.rdma_device.as_deref()), ("mlx5_4", Some("mlx5_4")));
    assert_eq!(
        (nic.rate, nic.address),
        (Some(Bandwidth::from_gb_per_s(22.5)), Some("0000:2a:00.0".parse().unwrap()))
    );
    let own = nic.nccl.as_ref().unwrap();
    let values = ["dev", "port", "latency", "guid", "maxconn", "gdr"].map(|name| own[name].as_str());
    assert_eq!(values, ["3", "2", "0.000000", "0x48191e0003ae6d94", "131072", "1"]);
    // The switch above GPU 0 runs at 5 GT/s there, and at 32 GT/s in the other dump.
    let far = |name: &str| open(name).pairs().pair(0, 10).rate.unwrap().bandwidth.as_mb_per_s();
    assert_eq!((far("oci-h100.xml"), far("oci-h100-kubernetes.xml")), (8_000, 63_015));
}

#[test]
fn a_virtual_machine_hides_the_other_ends() {
    let topology = open("azure-ncv4.xml");
    assert!(!topology.nvlink_known());
    for gpu in topology.gpus() {
        let far = NvLinkFar::Gpu(gpu.address.unwrap());
        assert_eq!(gpu.nvlinks.len(), 12);
        assert!(
            gpu.nvlinks
                .iter()
                .all(|link| link.far == far && link.up == Some(true) && link.generation == Some(3))
        );
    }
    let nic = topology.nics().next().unwrap();
    assert_eq!(
        (nic.net_devices.clone(), nic.rdma_device.clone(), nic.port),
        (vec!["eth0".to_owned()], None, None)
    );
    assert_eq!((nic.rate, nic.address), (Some(Bandwidth::from_gb_per_s(12.5)), None));
    assert!(has_note(&topology, NoteCode::PcieRateAssumed));
    let nodes: Vec<String> = topology.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!(nodes, ["0-23", "24-47", "48-71", "72-95"]);
}

#[test]
fn gpus_of_amd_are_linked_over_xgmi() {
    let topology = open("rccl-topo-8p-940vm.xml");
    // `dev` numbers the GPUs, `rank` the processes.
    let gpu = topology.gpus().next().unwrap();
    assert_eq!(gpu.address, Some("0011:00:00.0".parse().unwrap()));
    assert_eq!((gpu.compute_capability, gpu.pci.class), (None, Some(0x12_0000)));
    let own = gpu.nccl.as_ref().unwrap();
    assert_eq!((own["rank"].as_str(), own["sm"].as_str(), own["gcn"].as_str()), ("1", "304", "gfx942"));
    let pair = topology.pairs().pair(0, 7);
    assert_eq!((pair.nvlinks, pair.rate.unwrap().bandwidth), (1, Bandwidth::from_gb_per_s(48.0)));
    assert_eq!(pair.rate.unwrap().basis, Basis::Typical);
    assert!(has_note(&topology, NoteCode::Inferred));

    // Two dies of one package share four links.
    let topology = open("rccl-topo-16p1h.xml");
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4);
    assert_eq!(topology.pairs().pair(0, 1).rate.unwrap().bandwidth, Bandwidth::from_gb_per_s(144.0));
    let of_node_0 = topology.numa_nodes().next().unwrap();
    assert_eq!(of_node_0.cpus.to_string(), "0-31,128-159");
    // Irregular words are read as the kernel does.
    assert_eq!(open("rccl-topo-4p2h-2nic.xml").cpus().to_string(), "0-13,28-41");
}

#[test]
fn devices_without_a_class_keep_their_place() {
    let topology = open("aws-g5-48xl.xml");
    assert_eq!((topology.gpus().len(), topology.nics().len()), (0, 0));
    let of_node = |wanted: u32| {
        let below = topology.nodes().filter(|(_, node)| {
            let parent = node.parent.map(|parent| &topology.node(parent).kind);
            parent.and_then(NodeKind::as_numa_node).is_some_and(|node| node.os_index == wanted)
        });
        below.count()
    };
    assert_eq!((of_node(0), of_node(1)), (4, 5));
    assert!(has_note(&topology, NoteCode::Unknown));
}

#[test]
fn parts_of_dumps_are_read_as_far_as_they_go() {
    let cut = |name: &str| {
        let topology = open(name);
        assert!(has_note(&topology, NoteCode::TextCut), "{name}");
        topology
    };
    let topology = cut("aws-p5-autogen-first-pci-fragment.xml.txt");
    assert_eq!(topology.numa_nodes().next().unwrap().cpus.to_string(), "0-47");
    assert_eq!(topology.nvlinks_of(0).0, 18);
    let nic = topology.nics().next().unwrap();
    assert_eq!(
        (nic.name.as_str(), nic.port, nic.rate),
        ("rdmap82s0", Some(1), Some(Bandwidth::from_gb_per_s(50.0)))
    );
    assert_eq!(nic.nccl.as_ref().unwrap()["gin"], "1");
    assert_eq!(topology.pairs().pair(0, 1).path, Some(PathType::Pix));

    let topology = cut("h200-smc-first-switch-fragment.xml.txt");
    assert_eq!(topology.numa_nodes().next().unwrap().cpus.to_string(), "0-23,96-119");
    assert_eq!(topology.machine().cpu.model, Some(207));
    assert_eq!((topology.gpus().len(), topology.nics().len(), topology.nvlinks_of(0).0), (1, 1, 18));

    let topology = cut("nccl-issue-1505-dgx-a100-40gb-fragment.xml.txt");
    let gpu = topology.gpus().next().unwrap();
    assert_eq!((gpu.index, gpu.address), (7, Some("0000:bd:00.0".parse().unwrap())));
    assert_eq!((topology.nvlinks_of(0).0, topology.nics().next().unwrap().name.as_str()), (12, "mlx5_9"));
    assert_eq!(topology.numa_nodes().count(), 0);

    // The part begins within a GPU that is not shown, so its NVLinks are nobody's.
    let topology = cut("gb300-nvl72-fabric-target-fragment.xml.txt");
    let gpu = topology.gpus().next().unwrap();
    assert_eq!((gpu.index, gpu.compute_capability.unwrap().to_string().as_str()), (1, "10.3"));
    assert_eq!(gpu.nccl.as_ref().unwrap()["rank"], "5");
}

/// Wraps a GPU's elements into a machine.
fn machine(gpu: &str) -> String {
    format!(
        "<system version=\"1\"><cpu numaid=\"0\" affinity=\"ff\" arch=\"ppc64\">\
         <pci busid=\"0009:06:00.0\" class=\"0x030200\" link_speed=\"\" link_width=\"0\">\
         <gpu dev=\"1\" sm=\"103\" rank=\"5\" gdr=\"1\">{gpu}</gpu></pci></cpu></system>"
    )
}

#[test]
fn other_ends_of_nvlinks_by_class() {
    let read = |gpu: &str| Topology::parse("made", machine(gpu).as_bytes()).unwrap();
    for target in ["fffffff:ff:ff.0", "fffffff:ffff:ff", "FFFFFFF:FF:FF.0"] {
        let link = format!("<nvlink target=\"{target}\" count=\"18\" tclass=\"0x068000\"/>");
        let topology = read(&link.to_lowercase());
        let switch = topology.nodes().find_map(|(id, node)| match &node.kind {
            NodeKind::NvSwitch(switch) => Some((id, switch.address)),
            _ => None,
        });
        assert_eq!(switch.unwrap().1, None);
        assert_eq!(topology.node(switch.unwrap().0).provenance, Provenance::Inferred);
        assert_eq!(topology.nvlinks_of(0).1.unwrap().bandwidth, Bandwidth::from_gb_per_s(900.0));
    }
    let topology = read("<c2c bw=\"44712\" count=\"5\"/>");
    let c2c = topology.links().find(|(_, _, link)| link.kind == LinkKind::C2c).unwrap().2;
    assert_eq!((c2c.lanes, c2c.rate.unwrap().bandwidth.as_mb_per_s()), (Some(5), 223_560));
    for class in ["0x068001", "0x060400"] {
        let topology = read(&format!("<nvlink target=\"0004:04:00.0\" count=\"3\" tclass=\"{class}\"/>"));
        let gpu = topology.gpus().next().unwrap();
        assert_eq!(gpu.nvlinks.iter().filter(|link| link.far == NvLinkFar::Cpu).count(), 3);
        assert_eq!(topology.nvlinks_of(0).0, 0);
    }
    let topology = read("<nvlink target=\"0009:07:00.0\" count=\"4\" tclass=\"0x030200\"/>");
    assert!(has_note(&topology, NoteCode::NvlinksPartlyUnknown));
}

#[test]
fn hosts_are_not_merged_into_one() {
    let host = |hash: &str, bus: &str| {
        format!(
            "<cpu host_hash=\"{hash}\" numaid=\"0\" affinity=\"f\" arch=\"arm64\">\
             <pci busid=\"{bus}\" class=\"0x030200\" link_speed=\"\" link_width=\"0\"/></cpu>"
        )
    };
    let file = |second: &str| {
        format!(
            "<system version=\"1\">{}{}</system>",
            host("0x1", "0008:01:00.0"),
            host(second, "0008:02:00.0")
        )
    };
    let topology = Topology::parse("two hosts", file("0x2").as_bytes()).unwrap();
    assert_eq!((topology.gpus().len(), topology.numa_nodes().count()), (1, 1));
    let note = topology.notes().iter().find(|note| note.code() == NoteCode::DeviceLeftOut).unwrap();
    assert!(note.text.contains("2 hosts") && note.text.contains("0x2"), "{}", note.text);
    // One host has a NUMA node once.
    assert!(Topology::parse("one host", file("0x01").as_bytes()).is_err());
}

#[test]
fn wrong_values_are_refused_at_their_place() {
    for (from, to, what) in [
        ("numaid=\"0\"", "numaid=\"x\"", "numaid is 'x'"),
        ("affinity=\"ff\"", "affinity=\"gg\"", "affinity is 'gg'"),
        ("busid=\"0009:06:00.0\"", "busid=\"9\"", "busid is '9'"),
        ("busid=\"0009:06:00.0\" ", "", "a pci without busid"),
        ("class=\"0x030200\"", "class=\"0x0302001\"", "class is '0x0302001'"),
        ("link_width=\"0\"", "link_width=\"x16\"", "link_width is 'x16'"),
        ("count=\"2\"", "count=\"99\"", "count is '99'"),
        ("target=\"0009:07:00.0\"", "target=\"9\"", "target is '9'"),
        ("bw=\"7\"", "bw=\"-\"", "bw is '-'"),
    ] {
        let whole = machine(
            "<nvlink target=\"0009:07:00.0\" count=\"2\" tclass=\"0x068000\"/><c2c bw=\"7\" count=\"1\"/>",
        );
        assert!(Topology::parse("whole", whole.as_bytes()).is_ok());
        let broken = whole.replacen(from, to, 1);
        let error = Topology::parse("broken", broken.as_bytes()).unwrap_err();
        assert!(error.message().contains(what), "{from}: {error}");
        assert_eq!(error.line(), Some(1), "{what}");
    }
    for empty in ["<system version=\"1\"/>", "<system version=\"1\">\n", "<graphs version=\"1\">\n"] {
        assert!(Topology::parse("empty", empty.as_bytes()).is_err(), "{empty}");
    }
    let bomb = "<!DOCTYPE system [<!ENTITY a \"b\">]><system version=\"1\"><cpu numaid=\"&a;\"/></system>";
    assert!(Topology::parse("bomb", bomb.as_bytes()).is_err());
}

#[test]
fn every_cut_of_a_file_is_read_or_refused() {
    let whole = text("oci-h100.xml");
    for end in (0..whole.len()).step_by(97) {
        if let Ok(topology) = Topology::parse("cut", &whole.as_bytes()[..end]) {
            assert_eq!(Topology::parse("json", topology.to_json().as_bytes()).unwrap(), topology);
        }
        let _ = Topology::parse("cut", &whole.as_bytes()[end..]);
    }
    // A prompt, colours, another encoding.
    let quoted: Vec<u8> = std::iter::once(0xfeff)
        .chain(format!("$ cat topo.xml\r\n{}", whole.replace('\n', "\r\n")).encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(Topology::parse("utf-16", &quoted).unwrap().nvlinks_of(3).0, 18);
}

#[test]
fn a_plan_stands_beside_the_machine_that_it_is_of() {
    let graph = "<graphs version=\"1\">\n  <graph id=\"0\" pattern=\"4\" crossnic=\"0\" nchannels=\"2\" speedintra=\"20\" \
                 speedinter=\"20\" latencyinter=\"0\" typeintra=\"NVL\" typeinter=\"PIX\" samechannels=\"1\">\n\
                 <channel><net dev=\"0\"/><gpu dev=\"0\" rank=\"0\"/><gpu dev=\"0xa\" rank=\"10\"/><net dev=\"0x1\"/></channel>\n\
                 <channel><net dev=\"0\"/><gpu dev=\"0xa\" rank=\"10\"/><gpu dev=\"0\" rank=\"0\"/><net dev=\"0x1\"/></channel>\n\
                 </graph>\n</graphs>\n";
    let topology = Topology::parse("graph.xml", graph.as_bytes()).unwrap();
    assert_eq!(topology.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 10]);
    let note = topology.notes().iter().find(|note| note.code() == NoteCode::NcclPlan).unwrap();
    assert_eq!(
        note.text,
        "NCCL's plan for rings: 2 channels · 20 GB/s each over NVL in the host · 20 GB/s each over PIX between hosts: \
         net 0 GPU0 GPU10 net 1; net 0 GPU10 GPU0 net 1"
    );
    let topo = nvtopo::source::parse("topo", text("rccl-topo-16p1h.xml").as_bytes()).unwrap();
    let plan = nvtopo::source::parse("graph", graph.as_bytes()).unwrap();
    let both = nvtopo::model::TopologyBuilder::new().with(topo).with(plan).build().unwrap();
    assert_eq!(both.gpus().len(), 16);
    assert!(has_note(&both, NoteCode::NcclPlan));
    assert!(Topology::parse("empty", b"<graphs version=\"1\"></graphs>").is_err());
}

#[test]
fn what_was_read_is_written_back() {
    for path in files("nccl-xml", ".xml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let first = open(name);
        let written = first.write("nccl-xml").unwrap();
        let again = Topology::parse("written", written.text.as_bytes()).unwrap();
        assert_eq!(again, first, "{name}");
        // The second writing is the first.
        assert_eq!(again.write("nccl-xml").unwrap().text, written.text, "{name}");
        assert!(written.text.lines().all(|line| !line.contains('\t')), "{name}");
    }
}

#[test]
fn presets_are_what_nccl_demands() {
    for preset in nvtopo::source::PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let written = topology.write("nccl-xml").unwrap();
        let again = Topology::parse(preset.name, written.text.as_bytes()).unwrap();
        let name = preset.name;
        assert_eq!(
            (again.gpus().len(), again.nics().len()),
            (topology.gpus().len(), topology.nics().len()),
            "{name}"
        );
        for line in written
            .text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('<') && !line.starts_with("</"))
        {
            // NCCL's parser stops where one of these is missing.
            let demanded: &[&str] = match line.split(' ').next().unwrap() {
                "<cpu" => &["numaid", "affinity", "arch"],
                "<pci" => &["busid", "class", "link_speed", "link_width"],
                "<gpu" => &["dev", "sm", "rank", "gdr"],
                "<nvlink" => &["target", "count", "tclass"],
                "<c2c" => &["bw", "count"],
                "<net" => &["name", "dev"],
                _ => &[],
            };
            for attribute in demanded {
                assert!(line.contains(&format!(" {attribute}=\"")), "{name}: {line}");
            }
        }
        for gpu in 0..topology.gpus().len() {
            let of = |topology: &Topology| {
                let (links, rate) = topology.nvlinks_of(gpu);
                let id = topology.devices()[gpu];
                (links, rate.map(|rate| rate.bandwidth), topology.local_cpus(id))
            };
            assert_eq!(of(&again), of(&topology), "{name} GPU{gpu}");
        }
        assert!(written.text.matches('<').count() - written.text.matches("</").count() <= 256, "{name}");
    }
}

#[test]
fn a_preset_has_the_places_of_the_makers_file() {
    let places = |topology: &Topology| {
        let device = |id| {
            let node = topology.node(id);
            let address = node.kind.as_gpu().map_or_else(|| node.kind.as_nic()?.address, |gpu| gpu.address);
            (address.unwrap(), topology.local_nodes(id).known().unwrap().to_string())
        };
        topology.devices().iter().map(|id| device(*id)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let text = Topology::preset("dgx-a100").unwrap().write("nccl-xml").unwrap().text;
    let own = places(&Topology::parse("written", text.as_bytes()).unwrap());
    let theirs = places(&open("mlperf-nvidia-dgxa100-nic-affinity.xml"));
    assert!(theirs.iter().all(|(address, node)| own.get(address) == Some(node)), "{own:?}\n{theirs:?}");
}

#[test]
fn unknown_facts_are_assumed_with_a_note() {
    let text = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let written = topology.write("nccl-xml").unwrap();
    assert_eq!(written.text.matches("<gpu ").count(), 2);
    for what in [
        "make of the CPUs",
        "PCI addresses",
        "compute capability",
        "speed or lanes of some PCIe links",
        "ranks",
    ] {
        assert!(written.notes.iter().any(|note| note.text.contains(what)), "{what}: {:?}", written.notes);
    }
    let none = Topology::parse(
        "lscpu",
        b"Architecture: x86_64\nCPU(s): 4\nOn-line CPU(s) list: 0-3\nNUMA node0 CPU(s): 0-3\n",
    );
    assert!(none.is_err() || none.unwrap().write("nccl-xml").is_err());
}

/// NCCL fills in speed, lanes and the make of CPUs of what is above a GPU of the job, and not of what a named adapter alone
/// keeps: there it stops with an error where they are missing.
#[test]
fn unknown_facts_are_left_out_where_nccl_asks_the_machine() {
    let text = "\tGPU0\tGPU1\tmlx5_0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tSYS\tSYS\t0-15\t0\n\
                GPU1\tSYS\t X \tPIX\t16-31\t1\nmlx5_0\tSYS\tPIX\t X \t\t\n";
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let written = topology.write("nccl-xml").unwrap();
    let cpus: Vec<&str> = written.text.split("<cpu ").skip(1).collect();
    assert_eq!(cpus.len(), 2, "{}", written.text);
    for (cpu, has_net) in cpus.iter().zip([false, true]) {
        assert_eq!(cpu.contains("<net "), has_net, "{cpu}");
        assert_eq!(cpu.contains("arch=\"x86_64\" vendor=\"GenuineIntel\""), has_net, "{cpu}");
    }
    let elements = written.text.lines().filter(|line| line.contains("<pci "));
    let (of_gpus, others): (Vec<&str>, Vec<&str>) = elements.partition(|line| line.contains("0x0302"));
    assert!(of_gpus.iter().all(|line| !line.contains("link_")), "{}", written.text);
    assert!(others.iter().all(|line| line.contains("link_speed=\"\" link_width=\"0\"")), "{}", written.text);
    assert_eq!((of_gpus.len(), others.len()), (2, 2), "{}", written.text);
    let again = Topology::parse("written", written.text.as_bytes()).unwrap();
    assert_eq!((again.gpus().len(), again.nics().len()), (2, 1));
    // A guest's kernel tells wrong speeds, which would be worse than none.
    let mut options = nvtopo::source::WriteOptions::default();
    options.devices = vec!["0".to_owned()];
    let guest = topology.write_with("nccl-xml", &options).unwrap().text;
    assert!(
        guest.contains("link_speed=\"\" link_width=\"0\"") && !guest.contains("vendor=\"Genuine"),
        "{guest}"
    );
}

/// Names that nvtopo gives to adapters of one name are not those of others.
#[test]
fn adapters_of_one_name_have_names_of_their_own() {
    let machine = |names: &[&str]| {
        let net = |name: &&str| {
            format!("<net name=\"{name}\" dev=\"0\" speed=\"100000\" port=\"1\" guid=\"0x1\"/>")
        };
        let nets = names.iter().map(net).collect::<Vec<_>>().concat();
        let file = format!("<system version=\"1\"><cpu numaid=\"0\"><nic>{nets}</nic></cpu></system>");
        Topology::parse("nets", file.as_bytes()).unwrap()
    };
    for names in [["a", "a", "a.2"], ["a", "a.2", "a"], ["a.2", "a", "a"], ["a", "a", "a"]] {
        let topology = machine(&names);
        let own: std::collections::BTreeSet<&str> = topology.nics().map(|nic| nic.name.as_str()).collect();
        assert_eq!(own.len(), 3, "{own:?}");
        let devices: Vec<&str> = topology.nics().map(|nic| nic.rdma_device.as_deref().unwrap()).collect();
        assert_eq!(devices, names);
    }
}

/// Two sets of NVSwitches that share no GPU may be linked: the file does not tell.
/// NCCL puts interfaces on no PCI bus below the node of each GPU. The text is cut from a public dump of two GPUs.
#[test]
fn an_interface_below_several_nodes_is_one_adapter() {
    let net = |dev: u32, name: &str| {
        format!(
            r#"<nic><net name="{name}" dev="{dev}" latency="0" speed="10000" port="0" guid="0x{dev}" maxconn="65536" gdr="0"/></nic>"#
        )
    };
    let cpu = |node: u32, bus: &str, more: &str| {
        format!(
            r#"<cpu host_hash="0xa7067bea49cd3731" numaid="{node}" arch="x86_64" vendor="AuthenticAMD" familyid="143" modelid="49">
            <pci busid="0000:{bus}:00.0" class="0x030000" link_speed="16.0 GT/s PCIe" link_width="16">
            <gpu dev="{node}" sm="89" rank="{node}" gdr="0"/></pci>{}{more}</cpu>"#,
            net(1, "tunl0")
        )
    };
    let text = format!(
        r#"<system version="1">{}{}</system>"#,
        cpu(0, "01", &net(2, "br0")),
        cpu(1, "26", &net(3, "tunl0"))
    );
    let topology = Topology::parse("dump.xml", text.as_bytes()).unwrap();
    let places: Vec<(&str, bool)> = topology
        .nics()
        .zip(&topology.devices()[2..])
        .map(|(nic, id)| {
            (
                nic.name.as_str(),
                topology.ancestors(*id).any(|id| topology.node(id).kind.as_numa_node().is_some()),
            )
        })
        .collect();
    assert_eq!(places, [("tunl0", false), ("br0", true), ("tunl0.2", true)]);
    let note = topology.notes().iter().find(|note| note.code() == NoteCode::NumaUnknown).unwrap();
    assert!(note.text.contains("tunl0") && !note.text.contains("br0"), "{note:?}");
    let again = Topology::parse("again.xml", topology.write("nccl-xml").unwrap().text.as_bytes()).unwrap();
    assert_eq!(again.nics().len(), 3);
}

#[test]
fn gpus_near_different_cpus_are_on_nodes_of_their_own() {
    let text = std::fs::read_to_string(data("topo-m").join("dgx1-v100-8gpu-4mlx5-tabs.txt")).unwrap();
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    assert_eq!(topology.numa_nodes().count(), 0);
    let written = topology.write("nccl-xml").unwrap();
    assert!(written.notes.iter().any(|note| note.text.contains("made up")), "{:?}", written.notes);
    let again = Topology::parse("again.xml", written.text.as_bytes()).unwrap();
    let nodes: Vec<_> = again.numa_nodes().map(|node| (node.os_index, node.cpus.to_string())).collect();
    assert_eq!(nodes, [(0, "0-19,40-59".to_owned()), (1, "20-39,60-79".to_owned())]);
    // The adapters, of which no CPUs are known, are with their GPUs.
    let paths = |topology: &Topology| {
        let name = |device: usize| match &topology.node(topology.devices()[device]).kind {
            NodeKind::Nic(nic) => nic.name.clone(),
            kind => kind.as_gpu().unwrap().index.to_string(),
        };
        let pairs = (0..12).flat_map(|b| (0..b).map(move |a| (a, b)));
        let is_sys = |(a, b): &(usize, usize)| topology.pairs().pair(*a, *b).path == Some(PathType::Sys);
        pairs
            .filter(is_sys)
            .map(|(a, b)| std::collections::BTreeSet::from([name(a), name(b)]))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let counted = paths(&topology).len();
    assert_eq!(counted, 12 + 16 + 4);
    assert_eq!(paths(&again).len(), counted);
    // Parts of one node are near different CPUs as well: these stay neighbours.
    let near = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNODE\t0-3\nGPU1\tNODE\t X \t4-7\n";
    let near = Topology::parse("near.txt", near.as_bytes()).unwrap().write("nccl-xml").unwrap().text;
    assert_eq!((near.matches("<cpu ").count(), near.matches("numaid=\"-1\"").count()), (1, 1), "{near}");
}

#[test]
fn nvswitches_of_two_boards_may_be_linked() {
    let dgx = Topology::preset("dgx-2").unwrap();
    let again = Topology::parse("dgx-2", dgx.write("nccl-xml").unwrap().text.as_bytes()).unwrap();
    assert!(!again.nvlink_known() && has_note(&again, NoteCode::NvlinksPartlyUnknown));
    let one = Topology::preset("dgx-a100").unwrap();
    assert!(Topology::parse("a100", one.write("nccl-xml").unwrap().text.as_bytes()).unwrap().nvlink_known());
}
