//! Real devices: what the kernel and `lspci` recorded of them, with a small machine built around it.

use nvtopo::model::{LinkLayer, Nic, Node, NodeId, NodeKind, PcieSpeed, PortState, VirtualFunctions};
use nvtopo::source::Locator;
use nvtopo::{Bandwidth, PathType, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A tree that goes when the test ends.
struct Machine(PathBuf);

impl Drop for Machine {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Machine {
    /// Two NUMA nodes with a CPU each.
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("devices-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let machine = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        machine.file("sys/devices/system/cpu/online", "0-1");
        for (number, mask) in [(0, "1"), (1, "2")] {
            let topology = format!("sys/devices/system/cpu/cpu{number}/topology");
            machine.file(&format!("{topology}/core_cpus"), mask);
            machine.file(&format!("{topology}/package_cpus"), mask);
            machine.file(&format!("sys/devices/system/node/node{number}/cpumap"), mask);
        }
        machine
    }

    fn bytes(&self, path: &str, content: &[u8]) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn file(&self, path: &str, content: &str) {
        self.bytes(path, format!("{content}\n").as_bytes());
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// An entry on the bus.
    fn on_bus(&self, path: &str) {
        let address = path.rsplit('/').next().unwrap();
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/{path}"));
    }

    /// A name that the kernel has for a device.
    fn named(&self, path: &str, class: &str, name: &str) {
        self.link(&format!("sys/class/{class}/{name}"), &format!("../../devices/{path}/{class}/{name}"));
    }

    /// Recorded files, below a folder.
    fn recorded(&self, name: &str, folder: &str) {
        for line in data(name).lines() {
            if let Some((path, content)) = line.split_once('\t') {
                self.file(&format!("{folder}/{path}"), content);
            } else {
                let (path, target) = line.split_once(" -> ").unwrap();
                self.link(&format!("{folder}/{path}"), target);
            }
        }
    }

    fn topology(&self) -> Topology {
        Topology::open(&[Locator::Path(self.0.clone())]).unwrap()
    }
}

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/devices");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A function in the text of `lspci -vvv`.
struct Function<'t> {
    address: &'t str,
    kind: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> Function<'t> {
    fn all(text: &'t str) -> Vec<Self> {
        let mut functions: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let (Some(line), Some(last)) = (line.strip_prefix("  "), functions.last_mut()) {
                last.lines.push(line);
            } else {
                let (address, rest) = line.split_once(' ').unwrap();
                let kind = rest.split_once(": ").unwrap().0;
                functions.push(Self { address, kind, lines: Vec::new() });
            }
        }
        functions
    }

    /// Returns the text between the two words.
    fn word(&self, before: &str, after: char) -> Option<&'t str> {
        let rest = self.lines.iter().find_map(|line| Some(line.split_once(before)?.1))?;
        Some(rest.split(after).next().unwrap().trim())
    }

    fn bus(&self) -> &'t str {
        self.address.split(':').next().unwrap()
    }

    /// The place in the tree of devices.
    fn path(&self, all: &[Self]) -> String {
        let above = all.iter().find(|other| other.word("secondary=", ',') == Some(self.bus()));
        let above = above.map_or_else(|| format!("pci0000:{}", self.bus()), |above| above.path(all));
        format!("{above}/0000:{}", self.address)
    }

    /// The configuration space, with the type of the port and its ACS.
    fn config(&self) -> Vec<u8> {
        let kind = match self.word("Express (v2) ", ',').unwrap_or_default() {
            kind if kind.starts_with("Root Port") => 4,
            kind if kind.starts_with("Upstream") => 5,
            kind if kind.starts_with("Downstream") => 6,
            kind if kind.starts_with("PCI-Express to PCI") => 7,
            _ => 0,
        };
        let mut config = vec![0; 4096];
        (config[0x34], config[0x40], config[0x42]) = (0x40, 0x10, kind << 4);
        if let Some(line) = self.lines.iter().find_map(|line| line.strip_prefix("ACSCtl: ")) {
            let bits = line.split(' ').zip(0..).filter(|(word, _)| word.ends_with('+'));
            config[0x100] = 0x0d;
            config[0x102] = 0x01;
            config[0x106] = bits.map(|(_, bit)| 1 << bit).sum();
        }
        config
    }
}

/// The server with eight H100, as the superuser sees it.
fn dell() -> Machine {
    let text = data("dell-8xh100.lspci");
    let functions = Function::all(&text);
    let machine = Machine::new();
    let mut disks = 0;
    for function in &functions {
        let path = function.path(&functions);
        let folder = format!("sys/devices/{path}");
        let (class, vendor) = match function.kind {
            "3D controller" => ("0x030200", "0x10de"),
            "Bridge" => ("0x068000", "0x10de"),
            "Ethernet controller" => ("0x020000", "0x15b3"),
            "Non-Volatile memory controller" => ("0x010802", "0x1344"),
            "PCI bridge" => ("0x060400", "0x1000"),
            kind => panic!("{kind}"),
        };
        machine.file(&format!("{folder}/class"), class);
        machine.file(&format!("{folder}/vendor"), vendor);
        machine.file(&format!("{folder}/numa_node"), function.word("NUMA node: ", ' ').unwrap());
        machine.bytes(&format!("{folder}/config"), &function.config());
        for (line, which) in [("LnkSta: ", "current"), ("LnkCap: ", "max")] {
            let Some(rest) = function.lines.iter().find_map(|text| text.strip_prefix(line)) else { continue };
            let after = |word: &str| rest.split_once(word).unwrap().1;
            let speed: f64 = after("Speed ").split_once("GT/s").unwrap().0.parse().unwrap();
            machine.file(&format!("{folder}/{which}_link_speed"), &format!("{speed:.1} GT/s PCIe"));
            let width = after("Width x").split(' ').next().unwrap();
            machine.file(&format!("{folder}/{which}_link_width"), width);
        }
        if let Some(total) = function.word("Total VFs: ", ',') {
            machine.file(&format!("{folder}/sriov_totalvfs"), total);
            machine.file(&format!("{folder}/sriov_numvfs"), function.word("Number of VFs: ", ',').unwrap());
        }
        if let Some(driver) = function.word("driver in use: ", ' ') {
            machine.link(&format!("{folder}/driver"), &format!("../bus/pci/drivers/{driver}"));
        }
        if function.kind.starts_with("Non-Volatile") {
            machine.named(&path, "nvme", &format!("nvme{disks}"));
            disks += 1;
        }
        machine.on_bus(&path);
    }
    machine
}

/// The device with an address, by bus and device.
fn find(topology: &Topology, bus: u8) -> NodeId {
    let has = |node: &Node| match &node.kind {
        NodeKind::Gpu(gpu) => gpu.address.is_some_and(|address| address.bus == bus),
        NodeKind::Nic(nic) => nic.address.is_some_and(|address| address.bus == bus),
        _ => false,
    };
    topology.nodes().find(|(_, node)| has(node)).unwrap().0
}

#[test]
fn each_gpu_of_a_server_shares_a_switch_with_a_nic_and_a_disk() {
    let machine = dell();
    let topology = machine.topology();
    let switches = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_)));
    assert_eq!((topology.gpus().len(), topology.nics().len(), switches.count()), (8, 14, 4));
    let is_rail = |nic: &Nic| nic.pci.virtual_functions.is_some_and(|functions| functions.total == 16);
    let mut below: BTreeMap<NodeId, [u32; 3]> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        let place = match &node.kind {
            NodeKind::Gpu(_) => 0,
            NodeKind::Nic(nic) if is_rail(nic) => 1,
            NodeKind::Nvme(_) => 2,
            _ => continue,
        };
        assert!(matches!(topology.node(node.parent.unwrap()).kind, NodeKind::PcieSwitch(_)), "{node:?}");
        below.entry(node.parent.unwrap()).or_default()[place] += 1;
    }
    assert_eq!(below.values().copied().collect::<Vec<_>>(), [[1, 1, 1]; 8]);

    let devices = topology.devices();
    let near: Vec<(usize, usize)> = (0..8)
        .flat_map(|gpu| (8..22).map(move |nic| (gpu, nic)))
        .filter(|(gpu, nic)| topology.pairs().pair(*gpu, *nic).path == Some(PathType::Pix))
        .collect();
    let gpus: BTreeSet<usize> = near.iter().map(|(gpu, _)| *gpu).collect();
    assert_eq!(gpus.len(), 8);
    for (gpu, nic) in near {
        assert_eq!(topology.redirected(devices[gpu], devices[nic]), Some(false), "{gpu} {nic}");
    }
    assert_eq!(topology.redirected(devices[0], devices[1]), None, "they meet at no switch");
}

#[test]
fn links_of_a_server_are_as_lspci_says() {
    let topology = dell().topology();
    let speed = |generation, width| PcieSpeed::new(Some(generation), Some(width));
    for gpu in topology.gpus() {
        let link = gpu.pci.link.unwrap();
        assert_eq!([link.now, link.device, link.port], [speed(5, 16); 3]);
        assert_eq!(gpu.pci.virtual_functions, Some(VirtualFunctions::new(0, 32)));
    }
    let NodeKind::Nic(nic) = &topology.node(find(&topology, 0x01)).kind else { panic!() };
    let link = nic.pci.link.unwrap();
    // A device for two lanes in a slot with one.
    assert_eq!([link.now, link.device, link.port], [speed(2, 1), speed(2, 2), speed(3, 1)]);
    assert_eq!(nic.model.as_deref(), Some("tg3"));
}

#[test]
fn a_port_that_redirects_is_found_by_who_may_look() {
    let machine = dell();
    let port = "sys/devices/pci0000:15/0000:15:01.0/0000:16:00.0/0000:17:01.0/config";
    let mut config = std::fs::read(machine.0.join(port)).unwrap();
    config[0x106] = 0b1_1101;
    machine.bytes(port, &config);
    let topology = machine.topology();
    assert_eq!(topology.redirected(find(&topology, 0x19), find(&topology, 0x1a)), Some(true));
    assert_eq!(topology.redirected(find(&topology, 0x3b), find(&topology, 0x3c)), Some(false));

    let shape = |topology: &Topology| {
        let nodes = topology.nodes().map(|(_, node)| (node.kind.clone(), node.parent));
        nodes.collect::<Vec<_>>()
    };
    let seen = shape(&topology);
    for line in data("dell-8xh100.lspci").lines().filter(|line| line.contains("PCI bridge")) {
        let address = format!("0000:{}", line.split(' ').next().unwrap());
        let config = machine.0.join("sys/bus/pci/devices").join(address).join("config");
        std::fs::File::options().write(true).open(config).unwrap().set_len(64).unwrap();
    }
    let asked = topology;
    let topology = machine.topology();
    assert_eq!(shape(&topology), seen, "where things are does not need the superuser");
    assert!(topology.links().all(|(_, _, link)| link.redirects.is_none()));
    // That is said, until somebody who may look has told.
    let said =
        |topology: &Topology| topology.notes().iter().any(|note| note.text.contains("(ACS) is unknown"));
    assert!(said(&topology) && !said(&asked));
    machine.file("asked.json", &asked.to_json());
    let both = [machine.0.clone(), machine.0.join("asked.json")].map(Locator::Path);
    let told = Topology::open(&both).unwrap();
    assert_eq!(told.redirected(find(&told, 0x19), find(&told, 0x1a)), Some(true));
    assert!(!said(&told));
}

#[test]
fn infiniband_ports_of_a_server_are_read() {
    let machine = Machine::new();
    let text = data("h100-infiniband.files");
    let names: BTreeSet<&str> = text.lines().map(|line| line.split('/').next().unwrap()).collect();
    for (name, bus) in names.iter().zip(0x10..) {
        let path = format!("pci0000:{bus:02x}/0000:{bus:02x}:00.0");
        machine.file(&format!("sys/devices/{path}/class"), "0x020700");
        machine.on_bus(&path);
        machine.recorded("h100-infiniband.files", &format!("sys/devices/{path}/infiniband"));
        machine.named(&path, "infiniband", name);
    }
    let topology = machine.topology();
    assert_eq!(topology.nics().len(), 9);
    for nic in topology.nics() {
        assert_eq!(nic.state, Some(PortState::Active));
        let bond = nic.name == "mlx5_bond_0";
        let (model, firmware) = if bond { ("MT41692", "38.3056") } else { ("MT4129", "28.41.1000") };
        assert_eq!(nic.model.as_deref(), Some(model));
        assert!(nic.firmware.as_ref().unwrap().ends_with(firmware), "{nic:?}");
        let layer = if bond { LinkLayer::Ethernet } else { LinkLayer::InfiniBand };
        assert_eq!(nic.link_layer, Some(layer));
        assert_eq!(nic.rate, Some(Bandwidth::from_gb_per_s(if bond { 25.0 } else { 50.0 })));
    }
}

#[test]
fn an_ethernet_adapter_is_read() {
    let machine = Machine::new();
    let path = "pci0000:a2/0000:a2:00.0";
    machine.recorded("ice-sriov.files", &format!("sys/devices/{path}"));
    machine.on_bus(path);
    machine.named(path, "net", "enp162s0f0np0");
    let topology = machine.topology();
    let nic = topology.nics().next().unwrap();
    assert_eq!((nic.pci.vendor, nic.pci.device), (Some(0x8086), Some(0x159b)));
    assert_eq!((nic.pci.subsystem_vendor, nic.pci.subsystem_device), (Some(0x8086), Some(3)));
    let eight = PcieSpeed::new(Some(4), Some(8));
    let link = nic.pci.link.unwrap();
    assert_eq!([link.now, link.device, link.port], [eight, eight, PcieSpeed::default()]);
    assert_eq!(nic.pci.virtual_functions, Some(VirtualFunctions::new(0, 128)));
    assert_eq!(
        (nic.state, nic.link_layer, nic.rate),
        (Some(PortState::Down), Some(LinkLayer::Ethernet), None)
    );
    assert_eq!((nic.mtu, nic.model.as_deref()), (Some(1500), Some("ice")));
    let node = topology.local_nodes(topology.devices()[0]).known().unwrap().to_string();
    assert_eq!(node, "1");
}
