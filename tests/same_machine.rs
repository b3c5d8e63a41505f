//! The same machine, read from hwloc's XML and from its own `/sys` and `/proc`, is the same: every difference is listed,
//! and stays only with a reason.

use crate::sysfs;
use nvtopo::model::{CacheKind, CoreClass, Node, NodeId, NodeKind, PciFacts};
use nvtopo::{CpuSet, PciAddress, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};
use std::path::{Path, PathBuf};

/// Differences on purpose: XML file, what (several words for what follows from one cause), and the reason.
const ON_PURPOSE: &[(&str, &[&str], &str)] = &[
    ("nvidia-dgx-gb10", &["CPU models"], "hwloc does not name ARM CPUs"),
    (
        "40intel64-2g2n4c+pcilocality",
        &["nearest nodes"],
        "hwloc was told by hand where PCI devices are, other than the machine says",
    ),
    (
        "16amd64-8n2c-cpusets",
        &["NUMA nodes", "allowed nodes"],
        "the file is of another run, which was allowed the memory of one node more",
    ),
    (
        "16amd64-8n2c-cpusets",
        &["offline"],
        "the file hides CPUs that are off like those that are not allowed; a note says so",
    ),
    (
        "16em64t-4s2c2t-offlines",
        &[
            "CPUs",
            "offline",
            "packages",
            "cores",
            "classes of cores",
            "L1 data caches",
            "L2 caches",
            "L3 caches",
            "NUMA nodes",
        ],
        "the file is of another run, with other CPUs switched off",
    ),
    (
        "96em64t-4n4d3ca2co-pci",
        &["devices", "bridges", "nearest nodes", "product"],
        "the archive was cut down to CPUs and memory",
    ),
    (
        "96em64t-4n4d3ca2co-pci",
        &["NUMA nodes"],
        "the file is of another day, with less memory in the machine",
    ),
    ("96em64t-4n4d3ca2co-pci", &["CPU models"], OLD),
    ("16amd64-8n2c-cpusets", &["CPU models"], OLD),
    ("16em64t-4s2c2t-offlines", &["CPU models"], OLD),
];

const OLD: &str = "the hwloc that wrote the file did not name CPUs yet";

/// XML files of machines whose archive has another name.
const RENAMED: &[(&str, &str)] = &[("96em64t-4n4d3ca2co-pci", "96em64t-4no4pa3ca2co")];

#[test]
fn from_xml_and_from_sysfs_machines_are_the_same() {
    let mut report = String::new();
    let (mut compared, mut used) = (Vec::new(), BTreeSet::new());
    for (name, xml, archive) in pairs() {
        let text = std::fs::read(&xml).unwrap();
        let (xml, tree) = (Topology::parse("machine.xml", &text).unwrap(), sysfs::open(&archive));
        let (xml, tree) = (Facts::of(&xml), Facts::of(&tree));
        for (what, theirs) in &xml.0 {
            let ours = tree.0.get(what).unwrap_or(const { &BTreeSet::new() });
            if ours == theirs {
                continue;
            }
            let explains = |(of, facts, _): &(&str, &[&str], &str)| *of == name && facts.contains(what);
            if ON_PURPOSE.iter().any(explains) {
                used.insert((name.clone(), *what));
                continue;
            }
            writeln!(report, "{name}, {what}").unwrap();
            for (only, facts) in [("XML", theirs.difference(ours)), ("sysfs", ours.difference(theirs))] {
                for fact in facts {
                    writeln!(report, "  only {only}: {fact}").unwrap();
                }
            }
        }
        compared.push(name);
    }
    assert!(compared.len() >= 8, "{compared:?}");
    assert!(report.is_empty(), "\n{report}");
    for (name, facts, reason) in ON_PURPOSE {
        for what in *facts {
            assert!(used.contains(&((*name).to_owned(), *what)), "{name}, {what} no longer differ: {reason}");
        }
    }
}

#[test]
fn the_kinds_of_cores_are_what_hwloc_says_they_are() {
    let text = std::fs::read_to_string(sysfs::data().join("nvidia-dgx-gb10.xml")).unwrap();
    let classes = |text: &str| {
        let topology = Topology::parse("machine.xml", text.as_bytes()).unwrap();
        let mut sets: BTreeMap<Option<CoreClass>, CpuSet> = BTreeMap::new();
        let below = cpus_below(&topology);
        for (id, node) in topology.nodes() {
            if let NodeKind::Core(core) = &node.kind {
                let set = sets.entry(core.class).or_default();
                *set = set.union(&below[&id]);
            }
        }
        sets.into_iter().map(|(class, cpus)| (class, cpus.to_string())).collect::<Vec<_>>()
    };
    let expected = [
        (Some(CoreClass::Efficiency), "0-4,10-14".to_owned()),
        (Some(CoreClass::Performance), "5-9,15-19".to_owned()),
    ];
    assert_eq!(classes(&text), expected);
    let named = text
        .replace(r#""LinuxCapacity" value="718""#, r#""CoreType" value="IntelAtom""#)
        .replace(r#""LinuxCapacity" value="997""#, r#""CoreType" value="IntelCore""#);
    assert_eq!(classes(&named), expected);
    let alike = [(None, "0-19".to_owned())];
    // Clocks tell cores apart too, but not why; those of favoured cores differ less.
    let clocks = text.replace("LinuxCapacity", "FrequencyMaxMHz");
    let fast = [
        (Some(CoreClass::Standard), "0-4,10-14".to_owned()),
        (Some(CoreClass::Priority), "5-9,15-19".to_owned()),
    ];
    assert_eq!(classes(&clocks), fast);
    assert_eq!(classes(&clocks.replace("718", "920")), alike);
    for (old, new) in [("LinuxCapacity", "Other"), ("718", "990"), ("<cpukind", "<cpu")] {
        let mut text = text.replace(old, new);
        if new == "<cpu" {
            text = text.replace("</cpukind", "</cpu");
        }
        assert_eq!(classes(&text), alike, "{new}");
    }
}

#[test]
fn a_disk_has_the_size_that_hwloc_gives() {
    let topology = sysfs::open("32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2");
    let text = std::fs::read(sysfs::data().join("32em64t-2n8c+dax+nvme+mic+dimms.xml")).unwrap();
    let file = Topology::parse("machine.xml", &text).unwrap();
    for topology in [&topology, &file] {
        let disks = topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Nvme(nvme) => Some((&*nvme.name, nvme.size)),
            _ => None,
        });
        assert_eq!(disks.collect::<Vec<_>>(), [("nvme0", Some(390_711_384 << 10))]);
    }
}

/// The XML files that a machine's archive stands beside, by name.
fn pairs() -> Vec<(String, PathBuf, String)> {
    let folders = [sysfs::data(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hwloc-xml")];
    let files = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut pairs = Vec::new();
    for path in files.map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let renamed = RENAMED.iter().find(|(xml, _)| *xml == name);
        let archive = format!("{}.tar.bz2", renamed.map_or(&*name, |(_, archive)| archive));
        if path.extension().is_some_and(|kind| kind == "xml") && sysfs::data().join(&archive).exists() {
            pairs.push((name, path, archive));
        }
    }
    pairs.sort();
    pairs
}

/// The caches by level and kind. A file that has none of a kind was written without that kind.
const CACHES: &[(u8, CacheKind, &str)] = &[
    (1, CacheKind::Data, "L1 data caches"),
    (1, CacheKind::Instruction, "L1 instruction caches"),
    (1, CacheKind::Unified, "L1 caches"),
    (2, CacheKind::Unified, "L2 caches"),
    (2, CacheKind::Data, "L2 data caches"),
    (2, CacheKind::Instruction, "L2 instruction caches"),
    (3, CacheKind::Unified, "L3 caches"),
    (4, CacheKind::Unified, "L4 caches"),
];

/// The compared facts, by the device that they are of.
struct Facts(BTreeMap<&'static str, BTreeSet<String>>);

impl Facts {
    /// The facts about what the reader may use: hwloc hides the rest.
    fn of(topology: &Topology) -> Self {
        let machine = topology.machine();
        let allowed = machine.allowed_cpus.clone().unwrap_or_else(|| topology.cpus());
        let numbers = topology.numa_nodes().map(|node| node.os_index).collect();
        let nodes = machine.allowed_nodes.clone().unwrap_or(numbers);
        let mut facts = Self(BTreeMap::new());
        facts.add("CPUs", &allowed.intersection(&topology.cpus()));
        facts.add("allowed nodes", &nodes);
        facts.add("offline", &machine.offline_cpus);
        facts.add("product", &machine.product);
        for what in ["packages", "CPU models", "cores", "classes of cores", "NUMA nodes", "devices", "places"]
        {
            facts.0.entry(what).or_default();
        }
        let below = cpus_below(topology);
        for (id, node) in topology.nodes() {
            let cpus = below.get(&id).map(|cpus| cpus.intersection(&allowed)).unwrap_or_default();
            match &node.kind {
                NodeKind::Package(package) if !cpus.is_empty() => {
                    facts.add("packages", &(package.os_index, cpus.to_string()));
                    facts.add("CPU models", &package.model);
                }
                NodeKind::Core(core) if !cpus.is_empty() => {
                    facts.add("cores", &(core.os_index, cpus.to_string()));
                    facts.add("classes of cores", &(cpus.to_string(), core.class));
                }
                NodeKind::NumaNode(numa) if nodes.contains(numa.os_index) => {
                    let cpus = numa.cpus.intersection(&allowed).to_string();
                    let distances = numa.distances.iter().filter(|(to, _)| nodes.contains(*to));
                    let memory = numa.memory.unwrap_or_default();
                    let distances: BTreeMap<_, _> = distances.copied().collect();
                    facts.add("NUMA nodes", &(numa.os_index, cpus, memory, numa.gpu, distances));
                }
                NodeKind::Cache(cache) if !cache.cpus.is_disjoint(&allowed) => {
                    let cpus = cache.cpus.intersection(&allowed).to_string();
                    let is_own =
                        |(level, kind, _): &&(u8, CacheKind, _)| (*level, *kind) == (cache.level, cache.kind);
                    let (.., what) = CACHES.iter().find(is_own).unwrap();
                    facts.add(what, &(cpus, cache.size));
                }
                NodeKind::Gpu(gpu) => facts.device(topology, id, gpu.address, &gpu.name(), &gpu.pci),
                // The kernel lists functions of the class of adapters that no driver runs; so does hwloc, as devices.
                NodeKind::Nic(nic) if nic.rdma_device.is_some() || !nic.net_devices.is_empty() => {
                    facts.device(topology, id, nic.address, &nic.name, &nic.pci);
                    if let (Some(_), Some(name)) = (nic.address, &nic.rdma_device) {
                        facts.add("ports", &(name, nic.state));
                    }
                }
                NodeKind::Nvme(nvme) => facts.device(topology, id, nvme.address, &nvme.name, &nvme.pci),
                NodeKind::NvSwitch(switch) => facts.device(topology, id, switch.address, "", &switch.pci),
                _ => {}
            }
        }
        facts
    }

    /// A device on PCI, with the bridges above it.
    fn device(
        &mut self,
        topology: &Topology,
        id: NodeId,
        at: Option<PciAddress>,
        name: &str,
        pci: &PciFacts,
    ) {
        // The kernel names software devices too, which are on no bus.
        let Some(at) = at.map(|at| at.to_string()) else { return };
        let ids = (pci.vendor, pci.device, pci.subsystem_vendor, pci.subsystem_device);
        self.add("devices", &(&at, name, ids));
        let above = topology.ancestors(id).filter_map(|id| above(topology.node(id)));
        self.add("bridges", &(&at, above.collect::<Vec<_>>()));
        self.add("nearest nodes", &(&at, topology.local_nodes(id).known().map(ToString::to_string)));
    }

    fn add(&mut self, what: &'static str, fact: &impl Debug) {
        self.0.entry(what).or_default().insert(format!("{fact:?}"));
    }
}

fn above(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::PcieSwitch(switch) => switch.address.map(|address| address.to_string()),
        NodeKind::HostBridge(host) => host.address.map(|address| address.to_string()),
        _ => None,
    }
}

/// The CPUs below each node that has some.
fn cpus_below(topology: &Topology) -> BTreeMap<NodeId, CpuSet> {
    let mut below: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
    for (id, node) in topology.nodes() {
        if let NodeKind::Pu(pu) = &node.kind {
            for above in topology.ancestors(id) {
                below.entry(above).or_default().insert(pu.os_index);
            }
        }
    }
    below
}
