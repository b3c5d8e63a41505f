//! Single lines of hwloc's XML, read and refused, on small made-up machines.

use nvtopo::model::{NodeKind, Stated};
use nvtopo::{Error, ErrorKind, PathType, Topology};

fn read(text: &str) -> Result<Topology, Error> {
    Topology::parse("t.xml", text.as_bytes())
}

/// A file of a version, with attributes of the machine, what is in it, and what follows it.
fn file(version: &str, machine: &str, inside: &str, after: &str) -> String {
    let version = if version.is_empty() { String::new() } else { format!(" version=\"{version}\"") };
    format!(
        "<topology{version}>\n<object type=\"Machine\" {machine}>\n{inside}\n</object>\n{after}</topology>"
    )
}

fn pu(number: u32) -> String {
    format!("<object type=\"PU\" os_index=\"{number}\"/>")
}

/// Four CPUs in two NUMA nodes of one package.
fn two_nodes(io: &str) -> String {
    let node = |number: u32, cpus: &str| {
        format!(
            "<object type=\"Group\"><object type=\"NUMANode\" os_index=\"{number}\" cpuset=\"{cpus}\" gp_index=\"9{number}\"/>"
        )
    };
    let (a, b) = (node(0, "0x3"), node(1, "0xc"));
    let pus: Vec<String> = (0..4).map(pu).collect();
    format!(
        "<object type=\"Package\" os_index=\"0\" nodeset=\"0x3\" cpuset=\"0xf\">{a}{}{}</object>{b}{}{}</object>{io}</object>",
        pus[0], pus[1], pus[2], pus[3]
    )
}

/// A GPU with a driver's number.
fn gpu(address: &str, nvml: &str, gp: u32) -> String {
    format!(
        "<object type=\"PCIDev\" pci_busid=\"{address}\" pci_type=\"0302 [10de:2330] [10de:16c1] a1\" gp_index=\"{gp}\">\
         <object type=\"OSDev\" name=\"{nvml}\" osdev_type=\"1\" gp_index=\"1{gp}\"/></object>"
    )
}

#[test]
fn old_names_are_read() {
    let inside = format!(
        "<object type=\"Node\" os_index=\"2\" cpuset=\"0x3\" local_memory=\"4096\"><object type=\"Socket\" os_index=\"4294967295\">\
         <object type=\"Cache\" depth=\"2\" cache_size=\"1024\"><object type=\"Core\">{}{}</object></object></object></object>",
        pu(0),
        pu(1)
    );
    let old = "complete_cpuset=\"0xf\" online_cpuset=\"0x5\" allowed_cpuset=\"0xf...f\"";
    let topology = read(&file("", old, &inside, "")).unwrap();
    assert_eq!(topology.cpus().to_string(), "0");
    assert_eq!(topology.machine().offline_cpus.to_string(), "1,3");
    let kinds: Vec<String> = topology.nodes().map(|(_, node)| format!("{:?}", node.kind)).collect();
    assert!(kinds[1].contains("Package { os_index: 0"), "{kinds:?}");
    assert!(kinds[3].contains("level: 2, kind: Unified, size: Some(1024)"), "{kinds:?}");
    assert_eq!(topology.numa_nodes().next().unwrap().memory, Some(4096));
}

#[test]
fn the_first_version_can_start_with_its_only_node() {
    let cpus = format!("<object type=\"Core\" os_index=\"0\">{}{}</object>", pu(0), pu(1));
    let text = format!(
        "<topology><object type=\"NUMANode\" os_index=\"3\" cpuset=\"0x3\">{cpus}</object></topology>"
    );
    let topology = read(&text).unwrap();
    let node = topology.numa_nodes().next().unwrap();
    assert_eq!((node.os_index, node.cpus.to_string()), (3, "0-1".to_owned()));
}

#[test]
fn sets_without_end_are_of_this_machine() {
    let inside = format!("<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0xf...f\"/>{}{}", pu(0), pu(40));
    let topology =
        read(&file("2.0", "allowed_cpuset=\"0xf...f,0x0\" complete_cpuset=\"0xf...f\"", &inside, ""))
            .unwrap();
    assert_eq!(topology.numa_nodes().next().unwrap().cpus.to_string(), "0,40");
    assert_eq!(topology.machine().allowed_cpus.as_ref().unwrap().to_string(), "40");
    assert!(topology.machine().offline_cpus.to_string() == "");
}

#[test]
fn a_machine_without_numa_is_one_node() {
    let topology = read(&file("1.0", "", &pu(3), "")).unwrap();
    assert_eq!(topology.numa_nodes().next().unwrap().cpus.to_string(), "3");
    assert!(topology.notes()[0].text.contains("no NUMA nodes"));
}

#[test]
fn devices_without_bridges_are_placed_by_their_bus() {
    let io =
        gpu("0000:1b:00.0", "nvml1", 1) + &gpu("0000:1b:01.0", "nvml0", 2) + &gpu("0000:2b:00.0", "nvml2", 3);
    let topology = read(&file("2.0", "", &two_nodes(&io), "")).unwrap();
    let addresses: Vec<String> = topology.gpus().map(|gpu| gpu.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["0000:1b:01.0", "0000:1b:00.0", "0000:2b:00.0"]);
    assert_eq!(topology.pairs().pair(0, 1).path, Some(PathType::Phb));
    // The package has two NUMA nodes and is the whole machine: nobody knows which is nearer.
    assert_eq!(topology.local_nodes(topology.devices()[0]), Stated::Unstated);
    assert_eq!(topology.pairs().pair(0, 2).path, None);
}

#[test]
fn a_package_of_several_nodes_is_told() {
    let inside = two_nodes(&gpu("0000:1b:00.0", "nvml0", 1))
        + &format!(
            "<object type=\"Package\" os_index=\"1\"><object type=\"NUMANode\" os_index=\"2\" cpuset=\"0x10\"/>{}</object>",
            pu(4)
        );
    let topology = read(&file("2.0", "", &inside, "")).unwrap();
    let gpu = topology.devices()[0];
    assert_eq!(topology.local_nodes(gpu).known().unwrap().to_string(), "0-1");
    assert_eq!(topology.local_cpus(gpu).known().unwrap().to_string(), "0-3");
}

#[test]
fn gpus_on_no_bus_are_kept() {
    let os = "<object type=\"OSDev\" name=\"nvml0\" osdev_type=\"12\" id=\"obj7\"><info name=\"GPUModel\" value=\"GB10\"/></object>\
              <object type=\"OSDev\" name=\"cuda0\" osdev_type=\"12\" id=\"obj8\"/>\
              <object type=\"OSDev\" name=\"mlx5_0\" osdev_type=\"48\"/>";
    let topology = read(&file("3.0", "", &format!("{}{os}", pu(0)), "")).unwrap();
    assert_eq!(topology.gpus().map(|gpu| gpu.model.as_deref()).collect::<Vec<_>>(), [Some("GB10")]);
    assert_eq!(topology.nics().next().unwrap().rdma_device.as_deref(), Some("mlx5_0"));
}

#[test]
fn the_memory_of_a_gpu_is_its_node() {
    let memory = "<object type=\"NUMANode\" os_index=\"255\" subtype=\"GPUMemory\" cpuset=\"0xf\">\
                  <info name=\"PCIBusID\" value=\"0000:1b:00.0\"/></object>";
    let topology =
        read(&file("2.0", "", &two_nodes(&(gpu("0000:1b:00.0", "nvml0", 1) + memory)), "")).unwrap();
    assert_eq!(topology.gpus().next().unwrap().memory_node, Stated::Known(255));
    let node = topology.numa_nodes().find(|node| node.os_index == 255).unwrap();
    assert!(node.cpus.is_empty() && node.gpu.is_some());
}

#[test]
fn nvlinks_of_one_type_are_read() {
    let io =
        gpu("0000:1b:00.0", "nvml0", 1) + &gpu("0000:2b:00.0", "nvml1", 2) + &gpu("0000:3b:00.0", "nvml2", 3);
    let matrix = "<distances2 type=\"OSDev\" nbobjs=\"2\" kind=\"9\" name=\"NVLinkBandwidth\" indexing=\"gp\">\
                  <indexes length=\"6\">11 12 </indexes><u64values>1000000 </u64values><u64values>300000 300000 1000000</u64values></distances2>";
    let topology = read(&file("2.0", "", &two_nodes(&io), matrix)).unwrap();
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 12);
    assert_eq!(topology.pairs().pair(0, 2).nvlinks, 0);
    assert!(!topology.nvlink_known(), "nothing is told of the third");
}

#[test]
fn rests_of_a_bridge_become_a_switch() {
    let function = |function: u32| {
        format!(
            "<object type=\"PCIDev\" pci_busid=\"0000:02:00.{function}\" pci_type=\"0200 [15b3:1019]\"><object type=\"OSDev\" name=\"eth{function}\" osdev_type=\"2\"/></object>"
        )
    };
    let io = format!(
        "<object type=\"Bridge\" bridge_type=\"0-1\" bridge_pci=\"0000:[00-02]\"><object type=\"Bridge\" bridge_type=\"1-1\" pci_busid=\"0000:00:01.0\">{}{}</object></object>",
        function(0),
        function(1)
    );
    let topology = read(&file("2.0", "", &two_nodes(&io), "")).unwrap();
    assert_eq!(topology.pairs().pair(0, 1).path, Some(PathType::Pix));
    assert_eq!(topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::PcieSwitch(_))).count(), 1);
}

#[test]
fn broken_files_are_refused_with_their_place() {
    let cpu = pu(0);
    let inside = |text: &str| file("2.0", "", &format!("{cpu}\n{text}"), "");
    let after = |text: &str| file("2.0", "", &two_nodes(""), text);
    let device = |attributes: &str| inside(&format!("<object type=\"PCIDev\" {attributes}/>"));
    for (text, line, reason) in [
        ("<topology>".to_owned(), 1, "ends too early"),
        ("<topology version=\"2.0\"/>".to_owned(), 1, "no object"),
        ("<topology version=\"4.0\"/>".to_owned(), 1, "version 4 is later than the 3"),
        ("<topology version=\"two\"/>".to_owned(), 1, "version is 'two'"),
        ("<topology>\n<object type=\"PU\"/></topology>".to_owned(), 2, "not the machine"),
        (file("2.0", "", "", ""), 2, "no CPU that is online"),
        (file("2.0", "allowed_cpuset=\"0-3\"", &cpu, ""), 2, "allowed_cpuset is '0-3', not a set"),
        (inside("<object/>"), 4, "an object without a type"),
        (inside("<object type=\"Machine\"/>"), 4, "several machines"),
        (inside(&cpu), 4, "CPU 0 occurs twice"),
        (inside("<object type=\"PU\"/>"), 4, "os_index is ''"),
        (inside("<object type=\"PU\" os_index=\"4294967295\"/>"), 4, "not the number of a CPU"),
        (inside("<object type=\"PU\" os_index=\"70000\"/>"), 4, "not the number of a CPU"),
        (inside("<object type=\"PU\" os_index=\"-1\"/>"), 4, "not a number"),
        (inside("<object type=\"NUMANode\"/>"), 4, "not the number of a NUMA node"),
        (inside("<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0xg\"/>"), 4, "cpuset is '0xg'"),
        (inside("<object type=\"NUMANode\" os_index=\"0\" local_memory=\"x\"/>"), 4, "local_memory is 'x'"),
        (inside("<object type=\"Cache\"/>"), 4, "depth is ''"),
        (inside("<object type=\"L9Cache\"/>"), 4, "the level of a cache"),
        (inside("<object type=\"L2Cache\" cache_type=\"7\"/>"), 4, "cache_type is '7'"),
        (inside("<object type=\"Bridge\" bridge_type=\"0-1\"/>"), 4, "bridge_pci is ''"),
        (
            device("pci_busid=\"0000:00:00.9\" pci_type=\"0302 [10de:2330]\""),
            4,
            "pci_busid is '0000:00:00.9'",
        ),
        (device("pci_busid=\"0000:00:00.0\" pci_type=\"0302\""), 4, "pci_type is '0302'"),
        (
            device("pci_busid=\"0000:00:00.0\" pci_type=\"0302 [10de:2330]\" pci_link_speed=\"NaN\""),
            4,
            "a rate in GB/s",
        ),
        (inside(&gpu("0000:00:00.0", "nvml0", 1).repeat(2)), 4, "occurs twice"),
        (
            after("<distances2 type=\"NUMANode\" kind=\"5\" indexing=\"os\" nbobjs=\"9\"/>"),
            5,
            "of 0 objects holds 0 values",
        ),
        (
            after(
                "<distances2 type=\"NUMANode\" kind=\"5\" indexing=\"os\" nbobjs=\"2\"><indexes>0 0</indexes><u64values>1 1 1 1</u64values></distances2>",
            ),
            5,
            "names NUMA node 0 twice",
        ),
        (
            after(
                "<distances2 type=\"NUMANode\" kind=\"5\" indexing=\"os\" nbobjs=\"2\"><indexes>0 1</indexes><u64values>1 x 1 1</u64values></distances2>",
            ),
            5,
            "holds 'x'",
        ),
        (
            after(
                "<distances2hetero nbobjs=\"1\" name=\"NVLinkBandwidth\"><indexes>GPU</indexes></distances2hetero>",
            ),
            5,
            "names 'GPU'",
        ),
        (inside("<object type=\"Core\"></object"), 5, "broken XML"),
    ] {
        let error = read(&text).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(error.to_string().contains(reason), "{error}\n{text}");
        assert_eq!(error.line(), Some(line), "{error}\n{text}");
        assert!(error.column().is_some());
    }
}

#[test]
fn other_xml_is_not_hwlocs() {
    for (text, words) in [
        ("<system version=\"1\"/>", "the topology of NCCL holds neither"),
        ("<html>", "a web page"),
        ("<other/>", "hwloc XML"),
        ("<!DOCTYPE topology [<!ENTITY a \"b\">]><topology/>", "hwloc XML"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_short_text_cannot_take_much() {
    let deep = "<object type=\"Group\">".repeat(100_000) + &"</object>".repeat(100_000);
    assert!(read(&file("2.0", "", &deep, "")).unwrap_err().to_string().contains("more than 256 deep"));
    let bridges = "<object type=\"Bridge\" bridge_type=\"1-1\" pci_busid=\"0000:00:00.0\">".repeat(10_000)
        + &"</object>".repeat(10_000);
    assert!(
        read(&file("2.0", "", &(pu(0) + &bridges), ""))
            .unwrap_err()
            .to_string()
            .contains("more than 256 deep")
    );
    // Each cache keeps a set as long as its highest CPU.
    let cache = |cpu| format!("<object type=\"L1Cache\">{}</object>", pu(cpu));
    let caches: Vec<String> = (15_000..65_536).rev().map(cache).collect();
    let caches = caches.concat();
    assert!(
        read(&file("2.0", "", &caches, "")).unwrap_err().to_string().contains("larger than any machine's")
    );
    let device = |n| gpu(&format!("{:04x}:{:02x}:00.0", n >> 8, n & 255), "nvml0", n);
    let devices = (0..3000).map(device).collect::<Vec<_>>().concat();
    assert!(
        read(&file("2.0", "", &(pu(0) + &devices), ""))
            .unwrap_err()
            .to_string()
            .contains("more than the 2048")
    );
}

#[test]
fn an_adapter_among_the_serial_buses_is_one_by_its_class() {
    let io = "<object type=\"PCIDev\" pci_busid=\"0000:51:00.0\" pci_type=\"0c06 [15b3:634a] [15b3:634a] a0\">\
              <object type=\"OSDev\" name=\"ib0\" osdev_type=\"2\"/></object>";
    let topology = read(&file("2.0", "", &two_nodes(io), "")).unwrap();
    let nics: Vec<_> = topology.nics().map(|nic| (&*nic.name, nic.net_devices.len())).collect();
    assert_eq!(nics, [("ib0", 1)]);
}
