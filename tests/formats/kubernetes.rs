//! Reading Kubernetes' `ResourceSlice` and `NodeResourceTopology`.

use super::{data, files, notes_of};
use nvtopo::model::{LinkLayer, MigMode, NodeKind, NoteCode, PortState, Provenance, TopologyBuilder};
use nvtopo::source::{Locator, parse};
use nvtopo::{ErrorKind, PathType, Topology};

fn text(name: &str) -> String {
    std::fs::read_to_string(data(&format!("k8s/nodes/{name}"))).unwrap()
}

fn recorded(name: &str) -> Topology {
    Topology::parse(name, text(name).as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn read(text: &str) -> Topology {
    Topology::parse("k8s", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> nvtopo::Error {
    let error = Topology::parse("k8s", text.as_bytes()).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error
}

fn merged(names: &[&str]) -> Topology {
    let with =
        |builder: TopologyBuilder, name: &&str| builder.with(parse(name, text(name).as_bytes()).unwrap());
    names.iter().fold(TopologyBuilder::new(), with).build().unwrap()
}

fn addresses(topology: &Topology) -> Vec<String> {
    topology.gpus().map(|gpu| gpu.address.map_or("-".to_owned(), |address| address.to_string())).collect()
}

fn codes(topology: &Topology) -> Vec<&'static str> {
    topology.notes().iter().map(|note| note.code().name()).collect()
}

/// The devices below each host bridge, with the NUMA node above it.
fn roots(topology: &Topology) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, node) in topology.nodes() {
        let NodeKind::HostBridge(bridge) = &node.kind else { continue };
        let parent = node.parent.map(|parent| &topology.node(parent).kind);
        let numa = parent
            .and_then(|kind| kind.as_numa_node())
            .map_or("-".to_owned(), |node| node.os_index.to_string());
        let below = |device: &usize| {
            let mut at = topology.node(topology.devices()[*device]).parent;
            while let Some(parent) = at.filter(|parent| *parent != id) {
                at = topology.node(parent).parent;
            }
            at.is_some()
        };
        let own = (0..topology.devices().len()).filter(below).map(|device| topology.device_name(device));
        lines.push(format!("{} {numa}: {}", bridge.address.unwrap(), own.collect::<Vec<_>>().join(" ")));
    }
    lines
}

#[test]
fn gpus_have_what_their_slice_tells() {
    let machine = recorded("gb200-gpus.yaml");
    assert_eq!(addresses(&machine), ["0008:06:00.0", "0009:06:00.0", "0018:06:00.0", "0019:06:00.0"]);
    let gpu = machine.gpus().next().unwrap();
    assert_eq!(gpu.model.as_deref(), Some("NVIDIA GB200"));
    assert_eq!(gpu.memory, Some(189_471 << 20));
    assert_eq!(gpu.uuid.unwrap().to_string(), "GPU-5d1d46ee-c7f8-fb08-137a-026f11ab6dd9");
    assert_eq!(gpu.compute_capability.unwrap().to_string(), "10.0");
    assert_eq!((gpu.minor, gpu.mig), (None, None));
    let facts = machine.machine();
    assert_eq!((facts.driver.as_deref(), facts.cuda.as_deref()), (Some("580.126.20"), Some("13.0")));
    assert_eq!(machine.node(machine.devices()[0]).provenance, Provenance::Kubernetes);
    assert_eq!(roots(&machine)[0], "0008:00:00.0 -: GPU0");
    assert_eq!((roots(&machine).len(), codes(&machine)), (4, vec!["paths-unknown", "nvlinks-unknown"]));
    assert!(!machine.nvlink_known());
    // Nothing tells the NUMA nodes, and so none of the paths.
    assert_eq!(machine.pairs().pair(0, 1).path, None);
}

#[test]
fn adapters_of_dranet_have_their_places() {
    let machine = recorded("gb200-dranet.yaml");
    let nics: Vec<&str> = machine.nics().map(|nic| nic.name.as_str()).collect();
    assert_eq!(nics, ["rdma0", "rdma1", "rdma2", "rdma3", "rdma4", "rdma5", "rdma6", "rdma7"]);
    let nic = machine.nics().next().unwrap();
    assert_eq!(nic.address.unwrap().to_string(), "0000:03:00.0");
    assert_eq!((nic.mtu, nic.state, nic.link_layer), (Some(9000), Some(PortState::Active), None));
    assert_eq!((nic.model.as_deref(), nic.net_devices.len()), (Some("CX8 Family [ConnectX-8]"), 1));
    assert_eq!(
        roots(&machine),
        [
            "0000:00:00.0 0: rdma0 rdma1",
            "0002:00:00.0 0: rdma2 rdma3",
            "0010:00:00.0 1: rdma4 rdma5",
            "0012:00:00.0 1: rdma6 rdma7"
        ]
    );
    // Functions of one card share a port; cards of one NUMA node do not share a root.
    let path = |a, b| machine.pairs().pair(a, b).path;
    assert_eq!(
        [path(0, 1), path(1, 2), path(2, 4)],
        [Some(PathType::Pix), Some(PathType::Node), Some(PathType::Sys)]
    );
    assert_eq!(codes(&machine), ["numa-cpus-unknown"]);
}

#[test]
fn slices_of_several_drivers_are_one_machine() {
    let machine = merged(&["p4d-gpus.yaml", "p4d-dranet.yaml"]);
    assert_eq!((machine.gpus().len(), machine.nics().len()), (8, 7));
    assert_eq!(addresses(&machine)[..3], ["0000:10:1c.0", "0000:10:1d.0", "0000:20:1c.0"]);
    let root = roots(&machine);
    assert_eq!(root.len(), 4, "{root:?}");
    assert_eq!(root[0], "0000:10:00.0 0: GPU0 GPU1 rdmap16s27");
    assert_eq!(root[1], "0000:20:00.0 0: GPU2 GPU3 ens65 rdmap32s27");
    assert_eq!(machine.pairs().pair(0, 1).path, Some(PathType::Phb));
    let nic = machine.nics().find(|nic| nic.name == "ens65").unwrap();
    assert_eq!((nic.link_layer, nic.rdma_device.as_deref()), (Some(LinkLayer::Ethernet), None));
    // The same in one text, as two documents.
    let both = format!("{}---\n{}", text("p4d-gpus.yaml"), text("p4d-dranet.yaml"));
    let one = read(&both);
    assert_eq!((one.gpus().len(), one.nics().len(), roots(&one).len()), (8, 7, 4));
}

#[test]
fn adapters_without_a_root_have_their_numa_node() {
    for (name, count) in [("gb300-dranet.yaml", 4), ("mi300x-dranet.yaml", 8)] {
        let machine = recorded(name);
        assert_eq!(machine.nics().len(), count, "{name}");
        assert!(machine.nics().all(|nic| nic.rdma_device.as_deref() == Some(&nic.name)));
        assert_eq!(machine.numa_nodes().count(), 2, "{name}");
        assert_eq!(machine.nics().next().unwrap().nodes.known().unwrap().to_string(), "0");
    }
    let machine = merged(&["gb300-gpus.yaml", "gb300-dranet.yaml"]);
    assert_eq!((machine.gpus().len(), machine.nics().len()), (4, 4));
}

#[test]
fn attributes_without_a_kind_are_a_gpu() {
    let machine = recorded("gb200-attributes.yaml");
    let gpu = machine.gpus().next().unwrap();
    assert_eq!((machine.gpus().len(), gpu.index, gpu.minor), (1, 3, Some(3)));
    assert_eq!(gpu.compute_capability.unwrap().to_string(), "10.0");
    let facts = machine.machine();
    // Versions there have no zeros in front: the driver's own is 570.124.06.
    assert_eq!((facts.driver.as_deref(), facts.cuda.as_deref()), (Some("570.124.06"), Some("12.8")));
    assert_eq!((gpu.uuid, gpu.address, gpu.memory, gpu.model.clone()), (None, None, None, None));
}

#[test]
fn the_old_version_has_attributes_below_basic() {
    let machine = recorded("dranet-gke-rdma.yaml");
    let nic = machine.nics().next().unwrap();
    assert_eq!((machine.nics().len(), nic.name.as_str()), (1, "gpu7rdma0"));
    assert_eq!(nic.address.unwrap().to_string(), "0000:c8:00.0");
    assert_eq!(
        (nic.mtu, nic.link_layer, nic.state),
        (Some(8896), Some(LinkLayer::Ethernet), Some(PortState::Active))
    );
    assert_eq!(nic.nodes.known().unwrap().to_string(), "1");

    let machine = recorded("amd-mi300x-partition.yaml");
    let gpu = machine.gpus().next().unwrap();
    assert_eq!(gpu.address.unwrap().to_string(), "0003:00:01.0");
    // Its partition is no instance of MIG, and has another size.
    assert_eq!((gpu.memory, gpu.mig, machine.gpu_instances(0).count()), (None, None, 0));
    assert_eq!(gpu.model.as_deref(), Some("AMD_Instinct_MI300X_OAM"));
    assert!(
        notes_of(&machine, NoteCode::Unknown)[0].starts_with("gpu-32-160: parts of GPUs"),
        "{:?}",
        machine.notes()
    );
    assert_eq!(machine.machine().driver, None);
    assert_eq!(roots(&machine), ["0003:00:00.0 -: GPU0"]);
}

#[test]
fn several_nodes_are_refused_with_their_names() {
    for (name, nodes) in [
        ("dra-two-nodes.yaml", "gpu-b, gpu-c"),
        ("two-nodes-cut.yaml", "aks-gpupool-15127565-vmss000002, aks-migpool-68842551-vmss000001"),
    ] {
        let error = refused(&text(name));
        assert_eq!(error.message(), format!("these are 2 nodes: {nodes}"));
        assert!(error.advice().unwrap().contains("--field-selector spec.nodeName=NAME -o yaml"), "{error}");
    }
    let zones = text("zones-v1alpha2-costs.yaml");
    let both = format!("{}\n---\n{zones}", text("dra-one-node.yaml"));
    assert_eq!(refused(&both).message(), "these are 2 nodes: gpu-a, gpu-e");
}

#[test]
fn other_objects_beside_slices_are_passed_over() {
    let machine = recorded("dra-one-node.yaml");
    assert_eq!(machine.gpus().len(), 8);
    assert_eq!(codes(&machine), ["paths-unknown", "nvlinks-unknown"]);
    assert_eq!(recorded("dra-four-gpus.yaml").gpus().len(), 4);
    // Attributes that others derive are not of the driver; what cannot be read is unknown, with a note.
    let text = text("dra-two-nodes.yaml");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("gpu-c-gpus")).collect();
    let one = lines.join(
        "
",
    );
    let machine = read(&one);
    assert_eq!((machine.gpus().len(), machine.gpus().next().unwrap().memory), (8, Some(80 << 30)));
    assert!(machine.gpus().all(|gpu| gpu.uuid.is_none()));
    assert!(notes_of(&machine, NoteCode::Unknown)[0].starts_with("GPU-gpu-b-0, "), "{:?}", machine.notes());
    assert_eq!(roots(&machine)[1], "0001:00:00.0 -: GPU2 GPU3");
}

/// A slice of the driver for NVIDIA's GPUs with these devices.
fn slice(devices: &str) -> String {
    format!(
        r#"{{"apiVersion":"resource.k8s.io/v1","kind":"ResourceSlice","metadata":{{"name":"n1-gpu"}},"spec":{{"driver":"gpu.nvidia.com",
"nodeName":"n1","pool":{{"name":"n1","generation":2,"resourceSliceCount":1}},"devices":[{devices}]}}}}"#
    )
}

#[test]
fn instances_belong_to_their_gpu_and_possible_ones_are_none() {
    let common = r#""parentUUID":{"string":"GPU-2fa81118-5a5f-aa66-7660-471eed407181"},"productName":{"string":"NVIDIA A100-PCIE-40GB"},
"resource.kubernetes.io/pciBusID":{"string":"0000:65:00.0"},"resource.kubernetes.io/pcieRoot":{"string":"pci0000:64"},
"type":{"string":"mig"},"profile":{"string":"1g.5gb"}"#;
    let instance = |uuid: &str, slice: u32| {
        format!(
            r#"{{"name":"gpu-0-mig-{slice}","attributes":{{{common}{uuid}}},"capacity":{{"memory":{{"value":"4864Mi"}},"memorySlice{slice}":{{"value":"1"}}}}}}"#
        )
    };
    let made = r#","uuid":{"string":"MIG-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d"}"#;
    let machine = read(&slice(&instance(made, 2)));
    let gpu = machine.gpus().next().unwrap();
    assert_eq!(gpu.uuid.unwrap().to_string(), "GPU-2fa81118-5a5f-aa66-7660-471eed407181");
    assert_eq!((gpu.memory, gpu.mig), (None, Some(MigMode::new(true, true))));
    let (_, part) = machine.gpu_instances(0).next().unwrap();
    assert_eq!(part.uuid.as_deref(), Some("MIG-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d"));
    assert_eq!((part.profile.as_deref(), part.memory), (Some("1g.5gb"), Some(4864 << 20)));
    assert_eq!(part.placement.map(|place| (place.start, place.size)), Some((2, 1)));

    // Instances that can be made on demand have no UUID, and the GPU is there once.
    let whole = r#"{"name":"gpu-0","attributes":{"type":{"string":"gpu"},"uuid":{"string":"GPU-2fa81118-5a5f-aa66-7660-471eed407181"}},
"capacity":{"memory":{"value":"40Gi"}},"consumesCounters":[{"counterSet":"gpu-0-counter-set","counters":{"memory":{"value":"40Gi"}}}]}"#;
    let machine = read(&slice(&[whole.to_owned(), instance("", 0), instance("", 1)].join(",")));
    assert_eq!((machine.gpus().len(), machine.gpu_instances(0).count()), (1, 0));
    let gpu = machine.gpus().next().unwrap();
    assert_eq!((gpu.memory, gpu.mig), (Some(40 << 30), None));
    assert!(
        notes_of(&machine, NoteCode::Unknown)[0]
            .starts_with("gpu-0-mig-0, gpu-0-mig-1: parts of GPUs that exist once"),
        "{:?}",
        machine.notes()
    );
}

#[test]
fn gpus_for_virtual_machines_are_left_out_unless_they_are_there_as_such() {
    let guest = r#"{"name":"gpu-vfio-0","attributes":{"type":{"string":"vfio"},"uuid":{"string":"GPU-2fa81118-5a5f-aa66-7660-471eed407181"},
"resource.kubernetes.io/pciBusID":{"string":"0000:65:00.0"}}}"#;
    let whole = guest.replace("vfio\"}", "gpu\"}").replace("gpu-vfio-0", "gpu-0");
    let other = whole.replace("0000:65", "0000:66").replace("2fa81118", "2fa81119").replace("gpu-0", "gpu-1");
    let machine = read(&slice(&format!("{guest},{other}")));
    assert_eq!(addresses(&machine), ["0000:66:00.0"]);
    assert!(
        notes_of(&machine, NoteCode::DeviceLeftOut)[0].starts_with("gpu-vfio-0"),
        "{:?}",
        machine.notes()
    );
    let machine = read(&slice(&format!("{whole},{guest},{other}")));
    assert_eq!((machine.gpus().len(), notes_of(&machine, NoteCode::DeviceLeftOut).len()), (2, 0));
}

#[test]
fn virtual_functions_of_an_adapter_are_that_adapter() {
    let function = |number: u32| {
        format!(
            r#"{{"name":"p{number}","attributes":{{"sriovnetwork.k8snetworkplumbingwg.io/PFName":{{"string":"ens1f0"}},
"sriovnetwork.k8snetworkplumbingwg.io/vfID":{{"int":{number}}},"sriovnetwork.k8snetworkplumbingwg.io/pfPciAddress":{{"string":"0000:17:00.0"}},
"sriovnetwork.k8snetworkplumbingwg.io/linkType":{{"string":"ether"}},"resource.kubernetes.io/pciBusID":{{"string":"0000:17:02.{number}"}},
"resource.kubernetes.io/pcieRoot":{{"string":"pci0000:16"}},"dra.net/numaNode":{{"int":0}}}}}}"#
        )
    };
    let text = slice(&format!("{},{}", function(0), function(1)))
        .replace("gpu.nvidia.com", "sriovnetwork.k8snetworkplumbingwg.io");
    let machine = read(&text);
    let nic = machine.nics().next().unwrap();
    assert_eq!((machine.nics().len(), nic.name.as_str()), (1, "ens1f0"));
    assert_eq!(nic.address.unwrap().to_string(), "0000:17:00.0");
    assert_eq!(roots(&machine), ["0000:16:00.0 0: ens1f0"]);
    assert!(
        notes_of(&machine, NoteCode::Inferred)[0].contains("2 virtual functions"),
        "{:?}",
        machine.notes()
    );
}

#[test]
fn only_the_latest_generation_of_a_pool_counts() {
    let gpu = |bus: &str| {
        format!(
            r#"{{"name":"gpu-0","attributes":{{"type":{{"string":"gpu"}},"resource.kubernetes.io/pciBusID":{{"string":"0000:{bus}:00.0"}}}}}}"#
        )
    };
    let old = slice(&gpu("01")).replace("\"generation\":2", "\"generation\":1");
    let machine = read(&format!("{old}\n{}", slice(&gpu("02"))));
    assert_eq!(addresses(&machine), ["0000:02:00.0"]);
    let part = slice(&gpu("02")).replace("\"resourceSliceCount\":1", "\"resourceSliceCount\":3");
    assert_eq!(
        notes_of(&read(&part), NoteCode::TextCut),
        ["the pool n1 of gpu.nvidia.com has 3 slices, and 1 of them are here, so other devices are unknown"]
    );
}

#[test]
fn zones_are_numa_nodes_and_counts_are_no_gpus() {
    let machine = recorded("zones-v1alpha2-costs.yaml");
    let nodes: Vec<_> =
        machine.numa_nodes().map(|node| (node.os_index, node.distances.clone(), node.memory)).collect();
    assert_eq!(nodes, [(0, vec![(1, 32)], None), (1, vec![(0, 32)], None)]);
    assert_eq!((machine.devices().len(), machine.cpus().len()), (0, 0));
    let counted = notes_of(&machine, NoteCode::GpusUnknown)[0];
    assert!(
        counted.contains("4 nvidia.com/gpu on NUMA node 0, 4 nvidia.com/gpu on NUMA node 1"),
        "{counted}"
    );
    let cpus = notes_of(&machine, NoteCode::NumaCpusUnknown)[0];
    assert!(cpus.contains("64 on NUMA node 0, 64 on NUMA node 1"), "{cpus}");

    // The first version.
    let machine = recorded("zones-v1alpha1.yaml");
    let nodes: Vec<_> = machine.numa_nodes().map(|node| (node.os_index, node.distances.len())).collect();
    assert_eq!(nodes, [(0, 0), (1, 0), (2, 0), (3, 0)]);
    assert_eq!(codes(&machine), ["numa-cpus-unknown"]);

    // Koordinator lists CPUs, which are believed where they are as many as the zones count.
    let listed = text("zones-koordinator.yaml");
    let machine = read(&listed);
    assert!(machine.numa_nodes().all(|node| node.cpus.is_empty()));
    assert!(
        notes_of(&machine, NoteCode::Conflict)[0].contains("1 of 20 on NUMA node 0"),
        "{:?}",
        machine.notes()
    );
    let machine = read(&listed.replace("capacity: 20", "capacity: 1").replace("capacity: 30", "capacity: 1"));
    assert!(
        machine.numa_nodes().all(|node| node.cpus.is_empty()),
        "nodes 2 and 3 have CPUs that are not listed"
    );
    let two = listed.find("  - name: node-2").unwrap();
    let machine =
        read(&listed[..two].replace("capacity: 20", "capacity: 1").replace("capacity: 30", "capacity: 1"));
    let nodes: Vec<String> = machine.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!((nodes, machine.cpus().to_string()), (vec!["0".to_owned(), "1".to_owned()], "0-1".to_owned()));
    let bad = listed.replace("\"id\": 1", "\"id\": 0");
    assert!(refused(&bad).message().contains("names a CPU twice"), "{}", refused(&bad));
}

#[test]
fn zones_and_slices_add_to_other_sources() {
    let zones = text("zones-v1alpha2-costs.yaml")
        .replace("resources: [", "resources: [{name: memory, capacity: 512Gi}, ");
    let lscpu = "# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,0,,0,0,0,0\n1,1,1,1,,1,1,1,1\n";
    let lscpu = format!("# The following is the parsable format, which can be fed to other\n{lscpu}");
    let builder = TopologyBuilder::new().with(parse("zones", zones.as_bytes()).unwrap());
    let machine = builder.with(parse("lscpu", lscpu.as_bytes()).unwrap()).build().unwrap();
    let nodes: Vec<_> = machine
        .numa_nodes()
        .map(|node| (node.cpus.to_string(), node.distances.clone(), node.memory))
        .collect();
    assert_eq!(
        nodes,
        [("0".into(), vec![(1, 32)], Some(512 << 30)), ("1".into(), vec![(0, 32)], Some(512 << 30))]
    );
    assert!(!codes(&machine).contains(&"numa-cpus-unknown"));
}

#[test]
fn yaml_and_json_are_read_alike_with_what_stands_around() {
    let yaml = text("p4d-gpus.yaml");
    let plain = read(&yaml);
    for around in [
        format!("# a comment\n---\n{yaml}"),
        format!("```yaml\n{yaml}```\n"),
        format!("$ kubectl get resourceslices -o yaml\n{yaml}"),
        format!("user@host:~$ kubectl get resourceslices -o yaml\n{yaml}"),
        format!("\u{feff}{yaml}"),
        yaml.replace('\n', "\r\n"),
    ] {
        assert_eq!(read(&around), plain, "{}", &around[..80]);
    }
    // Beside the output of another tool.
    let both = format!(
        "$ kubectl get resourceslices -o yaml\n{yaml}$ numactl --hardware\navailable: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 100 MB\n"
    );
    let machine = read(&both);
    assert_eq!((machine.gpus().len(), machine.cpus().to_string()), (8, "0-1".to_owned()));
}

#[test]
fn a_text_that_begins_within_a_device_is_read_as_far_as_it_goes() {
    let yaml = text("p4d-gpus.yaml");
    let from = yaml.find("        productName:").unwrap();
    let machine = read(&yaml[from..]);
    assert_eq!(machine.gpus().len(), 8);
    assert_eq!(notes_of(&machine, NoteCode::TextCut).len(), 1);
    let gpu = machine.gpus().next().unwrap();
    assert_eq!((gpu.address.unwrap().to_string(), gpu.compute_capability), ("0000:10:1c.0".to_owned(), None));
}

#[test]
fn bombs_and_broken_texts_are_refused() {
    let mut bomb = "kind: ResourceSlice\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb = format!("{bomb}a{level}: &a{level} [{}]\n", vec![alias; 10].join(", "));
    }
    assert!(refused(&bomb).message().starts_with("this is no valid YAML"));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 10_000] {
            refused(&format!(
                "{{\"kind\": \"ResourceSlice\", \"a\": {}1{}}}",
                open.repeat(depth),
                close.repeat(depth)
            ));
        }
    }
    refused(&format!("{{\"kind\": \"ResourceSlice\", \"a\": [{}0]}}", "0,".repeat(300_000)));
    refused(&format!("kind: ResourceSlice\na:\n{}", "- 0\n".repeat(300_000)));
    let error = refused("kind: ResourceSlice\nspec:\n  devices: [\n");
    assert!(error.to_string().contains("no valid YAML") && error.line().is_some(), "{error}");
    let error = refused("{\"kind\": \"ResourceSlice\",\n \"spec\": {]}");
    assert_eq!(error.line(), Some(2), "{error}");
    let many: Vec<String> = (0..2100)
        .map(|bus| format!("  - name: gpu-{bus}\n    attributes: {{type: {{string: gpu}}}}\n"))
        .collect();
    let many = many.concat();
    let many = format!("kind: ResourceSlice\nspec:\n  driver: gpu.nvidia.com\n  devices:\n{many}");
    assert!(refused(&many).to_string().contains("more than 2048 GPUs"), "{}", refused(&many));
}

/// Values that are none, each with its place.
#[test]
fn wrong_values_are_refused_with_their_place() {
    let gpu = text("gb200-gpus.yaml");
    let zones = text("zones-v1alpha1.yaml");
    for (text, from, to, message) in [
        (&gpu, "0009:06:00.0", "0009:06", "'0009:06' is not a PCI address"),
        (&gpu, "value: ", "value: x", "is no quantity of memory"),
        (
            &gpu,
            "addressingMode:\n        string: ATS",
            "numaNode:\n        int: 99999999",
            "is no numaNode up to",
        ),
        (&zones, "capacity: 30", "capacity: many", "'many' is no quantity of cpu"),
        (&zones, "name: node-1", "name: node-0", "NUMA node 0 is there twice"),
        (
            &zones,
            "    type: Node\n",
            "    type: Node\n    costs: [{name: node-9, value: 0}]\n",
            "'0' is no distance",
        ),
    ] {
        let error = refused(&text.replacen(from, to, 2));
        assert!(
            error.message().contains(message) && error.line().is_some_and(|line| line > 3),
            "{message}: {error}"
        );
    }
    let old = "apiVersion: resource.k8s.io/v1alpha2\nkind: ResourceSlice\nnodeName: n1\nnamedResources: {instances: []}\n";
    assert!(refused(old).message().contains("has no devices"));
    let other = refused("kind: CustomResourceDefinition\nspec:\n  names:\n    kind: NodeResourceTopology\n");
    assert!(other.message().contains("no ResourceSlice and no NodeResourceTopology"));
    let all =
        slice("").replace("\"nodeName\":\"n1\"", "\"allNodes\":true").replace("[]", "[{\"name\":\"a\"}]");
    assert!(notes_of(&read(&all), NoteCode::Unknown)[0].contains("that several nodes can reach"));
}

#[test]
fn a_taint_keeps_a_gpu_from_jobs_and_an_effect_of_none_does_not() {
    let tainted = |effect: &str| {
        let taint = format!(r#"{{"key":"gpu.nvidia.com/xid","value":"79","effect":"{effect}"}}"#);
        let machine = read(&slice(&format!(
            r#"{{"name":"gpu-0","attributes":{{"type":{{"string":"gpu"}}}},"taints":[{taint}]}}"#
        )));
        machine.gpus().next().unwrap().unusable.clone()
    };
    assert_eq!(
        tainted("NoExecute").as_deref(),
        Some("is tainted in Kubernetes: gpu.nvidia.com/xid=79:NoExecute")
    );
    assert_eq!(tainted("None"), None);
}

/// Objects with values of other types than they should have, and texts that end anywhere.
#[test]
fn no_damage_makes_the_reader_fail_in_another_way() {
    for path in files("k8s/nodes", ".yaml") {
        let whole = std::fs::read_to_string(&path).unwrap();
        let step = (whole.len() / 60).max(1);
        for at in (0..whole.len()).step_by(step).filter(|at| whole.is_char_boundary(*at)) {
            let _ = Topology::parse("head", &whole.as_bytes()[..at]);
            let _ = Topology::parse("tail", &whole.as_bytes()[at..]);
        }
        for (from, to) in [
            ("string:", "int:"),
            (": ", ": -"),
            ("devices:", "devices: 3\n  x:"),
            ("0", "99999999999"),
            ("gpu", ""),
        ] {
            let _ = Topology::parse("changed", whole.replace(from, to).as_bytes());
        }
    }
}

/// Lists what each recorded file is read as, one in a line.
#[test]
fn recorded_nodes_stay_what_they_are() {
    let folder = data("k8s/nodes");
    let mut told = String::new();
    for path in files("k8s/nodes", ".yaml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let line = match Topology::open(&[Locator::Path(path.clone())]) {
            Ok(machine) => format!(
                "{} GPUs, {} NICs, {} NUMA nodes, {} host bridges; {}",
                machine.gpus().len(),
                machine.nics().len(),
                machine.numa_nodes().count(),
                roots(&machine).len(),
                codes(&machine).join(" ")
            ),
            Err(error) => error.message().to_owned(),
        };
        told.extend([name, ": ", &line, "\n"]);
    }
    let snapshot = folder.join("snapshot.txt");
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::write(&snapshot, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(&snapshot).unwrap());
}

#[test]
fn words_around_fences_are_no_objects() {
    let object = slice(
        r#"{"name":"gpu-0","attributes":{"type":{"string":"gpu"},"resource.kubernetes.io/pciBusID":{"string":"0000:65:00.0"}}}"#,
    );
    let own = read(&object);
    assert_eq!(addresses(&own), ["0000:65:00.0"]);
    let marked =
        format!("---\ntitle: x\n---\n\nText\n\n```yaml\n{object}\n```\n- a list: item\nThanks: all.\n");
    assert_eq!(addresses(&read(&marked)), addresses(&own));
    let of = |name: &str, gpu: u32| {
        format!(
            "kind: ResourceSlice\nmetadata:\n  name: {name}\nspec:\n  driver: gpu.nvidia.com\n  nodeName: n1\n  pool:\n    name: {name}\n    \
             generation: 1\n    resourceSliceCount: 1\n  devices:\n  - name: gpu-{gpu}\n    attributes:\n      type:\n        string: gpu\n      \
             resource.kubernetes.io/pciBusID:\n        string: \"0000:{gpu}5:00.0\"\n"
        )
    };
    // Two blocks are two documents, and the last fence may be missing.
    let two = format!("First:\n```yaml\n{}```\nand: then\n\n```yaml\n{}", of("a", 1), of("b", 2));
    assert_eq!(addresses(&read(&two)), ["0000:15:00.0", "0000:25:00.0"]);
}
