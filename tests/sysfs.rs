//! Recorded machines of hwloc's tests, read from their `/sys` and `/proc`, against what hwloc says of them; and
//! this machine.
//!
//! `data/sysfs/NAME.test` names the archive, the options that hwloc ran with, and the file with its answer: a text
//! tree or XML. Trees made up for single questions are beside
//! the source.

use nvtopo::model::{CacheKind, CoreClass, LinkLayer, NodeId, NodeKind, PortState, Stated};
use nvtopo::source::Locator;
use nvtopo::{CpuSet, NodeSet, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Differences on purpose: test, the line, and the reason.
const ON_PURPOSE: &[(&str, &str, &str)] = &[(
    "nvidiagpunumanodes",
    "NUMA nodes",
    "hwloc hides the memory of GPUs on POWER; we keep it, marked with its GPU, because a job can allocate there",
)];

#[test]
fn recorded_machines_are_as_hwloc_says() {
    let mut report = String::new();
    let mut tests = 0;
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "test") {
            tests += 1;
            compare(&path, &mut report);
        }
    }
    assert!(tests >= 22, "{tests} tests found");
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn this_machine_has_the_cpus_that_the_process_may_use() {
    let topology = Topology::discover().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let allowed: CpuSet = allowed.trim().parse().unwrap();
    let online = Seen::of(&topology, true).pus;
    assert!(!online.is_empty());
    let usable = topology.machine().allowed_cpus.clone().unwrap_or_else(|| online.clone());
    assert_eq!(usable, allowed.intersection(&online), "{:?}", topology.notes());
    assert!(topology.numa_nodes().count() >= 1);
    assert!(matches!(topology.origin(), nvtopo::model::Origin::Machine(_)));
}

#[test]
fn the_gpu_memory_of_power9_is_not_a_cpu_node() {
    let topology = open("nvidiagpunumanodes.tar.bz2");
    let gpus: Vec<_> = topology.gpus().map(|gpu| gpu.memory_node.known().copied()).collect();
    assert_eq!(gpus, [Some(255), Some(254), Some(253), Some(252), Some(251), Some(250)]);
    for node in topology.numa_nodes() {
        assert_eq!(node.gpu.is_some(), node.os_index >= 250);
        assert_eq!(node.cpus.is_empty(), node.os_index >= 250);
    }
    let local: Vec<String> =
        topology.devices().iter().map(|id| topology.local_nodes(*id).known().unwrap().to_string()).collect();
    assert_eq!(local, ["0", "0", "0", "8", "8", "8"]);
    assert!(!topology.nvlink_known());
}

#[test]
fn adapters_of_recorded_machines_are_found() {
    let topology = open("32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2");
    let nics: Vec<(&str, Option<u64>)> =
        topology.nics().map(|nic| (&*nic.name, nic.rate.map(nvtopo::Bandwidth::as_mb_per_s))).collect();
    assert_eq!(nics[..3], [("eth0", Some(125)), ("eth1", None), ("mlx4_0", Some(7000))]);
    let infiniband = topology.nics().nth(2).unwrap();
    assert_eq!(infiniband.net_devices, ["ib0"]);
    assert_eq!(
        (infiniband.model.as_deref(), infiniband.firmware.as_deref()),
        (Some("MT4099"), Some("2.11.500"))
    );
    let ports: Vec<_> = topology.nics().take(3).map(|nic| (nic.state, nic.link_layer)).collect();
    let (up, down) = (Some(PortState::Active), Some(PortState::Down));
    let (ethernet, fabric) = (Some(LinkLayer::Ethernet), Some(LinkLayer::InfiniBand));
    assert_eq!(ports, [(up, ethernet), (down, ethernet), (up, fabric)]);
    assert_eq!(topology.nics().next().unwrap().model.as_deref(), Some("igb"));
    assert_eq!(topology.nics().next().unwrap().mtu, Some(1500));
    let word = |a, b| topology.pairs().pair(a, b).path.map(nvtopo::PathType::word);
    assert_eq!((word(0, 1), word(0, 2)), (Some("PIX"), Some("SYS")));

    let topology = open("40intel64-2g2n4c+pcilocality.tar.bz2");
    let names: Vec<&str> = topology.nics().map(|nic| &*nic.name).collect();
    assert_eq!(names, ["eth0", "eth1", "eth2", "eth3", "qib0"]);
    // For all but one the firmware says -1 and names all CPUs: nobody knows where they are.
    let local: Vec<Option<NodeSet>> =
        topology.devices().iter().map(|id| topology.local_nodes(*id).known().cloned()).collect();
    assert_eq!(local, [None, None, None, None, Some("2".parse().unwrap())]);
}

#[test]
fn machines_are_named() {
    let spark = open("nvidia-dgx-gb10.tar.bz2");
    assert_eq!(spark.machine().product.as_deref(), Some("NVIDIA_DGX_Spark"));
    let models = |topology: &Topology| {
        let packages = topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => Some(package.model.clone()),
            _ => None,
        });
        packages.collect::<Vec<_>>()
    };
    assert_eq!(models(&spark), [Some("Cortex-X925 and Cortex-A725".to_owned())]);
    let kunpeng = Some("Kunpeng-920".to_owned());
    assert_eq!(models(&open("128arm-2pa2n8cluster4co.tar.bz2")), [kunpeng.clone(), kunpeng]);
    let power = open("256ppc-8n8s4t.tar.bz2");
    assert_eq!(models(&power)[0].as_deref(), Some("POWER7 (architected), altivec supported"));
    assert_eq!(power.origin(), &nvtopo::model::Origin::Unknown);
}

#[test]
fn recorded_machines_are_real() {
    let real = ["32em64t-2n8c+dax+nvme+mic+dimms", "64amd64-4s2n4ca2co", "offline-cpu0-node0"];
    for name in real {
        let topology = open(&format!("{name}.tar.bz2"));
        assert_eq!(topology.machine().hypervisor, Stated::NotAvailable, "{name}");
    }
    // Neither flags nor names of a hypervisor.
    for name in ["nvidia-dgx-gb10", "256ppc-8n8s4t", "8ia64-2n2s2c"] {
        let topology = open(&format!("{name}.tar.bz2"));
        assert_eq!(topology.machine().hypervisor, Stated::Unstated, "{name}");
    }
}

#[test]
fn recorded_cores_are_alike_but_for_two_machines() {
    let classes = |name: &str| {
        let topology = open(&format!("{name}.tar.bz2"));
        let classes = topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Core(core) => Some(core.class),
            _ => None,
        });
        classes.fold([0, 0, 0], |mut counts, class| {
            counts[class.map_or(0, |class| if class <= CoreClass::Standard { 1 } else { 2 })] += 1;
            counts
        })
    };
    assert_eq!(classes("nvidia-dgx-gb10"), [0, 10, 10]);
    assert_eq!(classes("128arm-2pa2n8cluster4co"), [128, 0, 0]);
    // This recording lacks what x86 kernels say of kinds, but not how fast the cores may run.
    assert_eq!(classes("20em64t-hybrid-1p6c2t+2ca4co1t"), [0, 8, 6]);
}

#[test]
fn offline_cpus_are_kept_apart() {
    let topology = open("offline-cpu0-node0.tar.bz2");
    assert_eq!(topology.machine().offline_cpus.to_string(), "0-3,21-23");
    assert!(topology.cpus().is_disjoint(&topology.machine().offline_cpus));
}

/// The compared facts.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    pus: CpuSet,
    packages: BTreeSet<(Option<u32>, String)>,
    cores: BTreeSet<String>,
    /// The kernel's numbers of the cores, as often as they occur.
    core_numbers: Vec<u32>,
    /// By hwloc's names of levels and kinds, each as the CPUs that share it.
    caches: BTreeMap<String, BTreeSet<String>>,
    nodes: NodeSet,
    /// Number, memory, CPUs where it has any.
    node_facts: Vec<(u32, Memory, String)>,
}

/// Bytes, and how far the printed number may be off.
type Memory = Option<(u64, u64)>;

impl Seen {
    /// Our objects, as far as the reader may use them, unless `all`.
    fn of(topology: &Topology, all: bool) -> Self {
        let machine = topology.machine();
        let allowed_cpus = machine.allowed_cpus.as_ref().filter(|_| !all);
        let usable =
            |cpus: &CpuSet| allowed_cpus.map_or_else(|| cpus.clone(), |allowed| cpus.intersection(allowed));
        let allowed_nodes = machine.allowed_nodes.as_ref().filter(|_| !all);
        let mut seen = Self::default();
        for (id, node) in topology.nodes() {
            let cpus = usable(&cpus_below(topology, id));
            match &node.kind {
                NodeKind::Pu(_) => seen.pus = seen.pus.union(&cpus),
                NodeKind::Core(core) if !cpus.is_empty() => {
                    seen.cores.insert(cpus.to_string());
                    seen.core_numbers.push(core.os_index);
                }
                NodeKind::Cache(cache) => {
                    let kind = match cache.kind {
                        CacheKind::Instruction => "i",
                        CacheKind::Data => "d",
                        CacheKind::Unified => "",
                    };
                    seen.add_cache(&format!("L{}{kind}Cache", cache.level), &usable(&cache.cpus));
                }
                NodeKind::NumaNode(numa)
                    if allowed_nodes.is_none_or(|nodes| nodes.contains(numa.os_index)) =>
                {
                    seen.nodes.insert(numa.os_index);
                    let memory = numa.memory.filter(|bytes| *bytes > 0).map(|bytes| (bytes, 0));
                    seen.node_facts.push((numa.os_index, memory, usable(&numa.cpus).to_string()));
                }
                // hwloc keeps packages with memory that may be used, even if no CPU of theirs may.
                NodeKind::Package(package) if !cpus.is_empty() || has_node(topology, id, allowed_nodes) => {
                    seen.packages.insert((Some(package.os_index), cpus.to_string()));
                }
                _ => {}
            }
        }
        seen.core_numbers.sort_unstable();
        seen.node_facts.sort();
        seen
    }

    /// The objects of hwloc's tree.
    fn of_objects(root: &Object) -> Self {
        let mut seen = Self::default();
        seen.add(root, &root.cpus());
        seen.core_numbers.sort_unstable();
        seen.node_facts.sort();
        seen
    }

    fn add_cache(&mut self, name: &str, cpus: &CpuSet) {
        if !cpus.is_empty() {
            self.caches.entry(name.to_owned()).or_default().insert(cpus.to_string());
        }
    }

    fn add(&mut self, object: &Object, holder: &CpuSet) {
        let cpus = object.cpus();
        match (&*object.kind, object.os_index) {
            ("PU", Some(index)) => _ = self.pus.insert(index),
            ("Package", index) => _ = self.packages.insert((index, cpus.to_string())),
            ("Core", index) => {
                self.cores.insert(cpus.to_string());
                self.core_numbers.extend(index);
            }
            // XML tells the kind of a cache apart from its name.
            ("L1Cache", _) => self.add_cache("L1dCache", &cpus),
            (cache, _) if cache.starts_with('L') && cache.ends_with("Cache") => self.add_cache(cache, &cpus),
            ("NUMANode", Some(index)) => {
                self.nodes.insert(index);
                self.node_facts.push((index, object.memory, holder.to_string()));
            }
            _ => {}
        }
        // Memory hangs beside the CPUs that it is near to.
        let holder = if object.kind == "MemCache" { holder } else { &cpus };
        for child in &object.children {
            self.add(child, holder);
        }
    }
}

fn cpus_below(topology: &Topology, id: NodeId) -> CpuSet {
    let pus = topology.nodes().filter_map(|(pu, node)| match &node.kind {
        NodeKind::Pu(cpu) if topology.ancestors(pu).any(|above| above == id) => Some(cpu.os_index),
        _ => None,
    });
    // Only what holds CPUs is asked: a walk for each cache would be slow.
    match topology.node(id).kind {
        NodeKind::Pu(_) | NodeKind::Core(_) | NodeKind::Package(_) => pus.collect(),
        _ => CpuSet::new(),
    }
}

fn has_node(topology: &Topology, package: NodeId, allowed: Option<&NodeSet>) -> bool {
    topology.nodes().any(|(_, node)| match &node.kind {
        NodeKind::NumaNode(numa) => {
            node.parent == Some(package) && allowed.is_none_or(|nodes| nodes.contains(numa.os_index))
        }
        _ => false,
    })
}

fn compare(case: &Path, report: &mut String) {
    let text = std::fs::read_to_string(case).unwrap();
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.next().map(str::trim)
    };
    let name = case.file_stem().unwrap().to_str().unwrap();
    let target = data().join(field("target").unwrap());
    let expected = std::fs::read_to_string(&target).unwrap();
    let objects = if target.extension().is_some_and(|extension| extension == "xml") {
        objects_of_xml(&expected)
    } else {
        objects_of_text(&expected)
    };
    let all = field("options").is_some_and(|options| options.contains("--disallowed"));
    let (mut ours, theirs) = (Seen::of(&open(field("source").unwrap()), all), Seen::of_objects(&objects));

    let mut differ = |what: &str, ours: String, theirs: String| {
        if ours != theirs && !ON_PURPOSE.iter().any(|(test, line, _)| (*test, *line) == (name, what)) {
            writeln!(report, "{name}: {what}\n   ours: {ours}\n  hwloc: {theirs}").unwrap();
        }
    };
    differ("PUs", ours.pus.to_string(), theirs.pus.to_string());
    // The kernel numbers some packages -1; hwloc leaves such a number out, and we take a free one.
    if theirs.packages.iter().any(|(number, _)| number.is_none()) {
        ours.packages = ours.packages.into_iter().map(|(_, cpus)| (None, cpus)).collect();
    }
    differ("packages", format!("{:?}", ours.packages), format!("{:?}", theirs.packages));
    differ("NUMA nodes", ours.nodes.to_string(), theirs.nodes.to_string());
    // Filters of the test can leave whole levels out.
    if !theirs.cores.is_empty() {
        differ("cores", format!("{:?}", ours.cores), format!("{:?}", theirs.cores));
        differ("core numbers", format!("{:?}", ours.core_numbers), format!("{:?}", theirs.core_numbers));
    }
    for (name, shared) in &theirs.caches {
        differ(name, format!("{:?}", ours.caches.get(name)), format!("{:?}", Some(shared)));
    }
    for (index, memory, cpus) in &theirs.node_facts {
        let Some((_, own_memory, own_cpus)) = ours.node_facts.iter().find(|(own, ..)| own == index) else {
            continue;
        };
        let near = |(own, _): (u64, u64)| memory.is_some_and(|(bytes, off)| own.abs_diff(bytes) <= off);
        if !own_memory.map_or(memory.is_none(), near) {
            differ("memory", format!("node {index} {own_memory:?}"), format!("node {index} {memory:?}"));
        }
        // hwloc hangs memory without CPUs somewhere near by distance.
        if !own_cpus.is_empty() {
            differ("CPUs of a node", format!("{index}: {own_cpus}"), format!("{index}: {cpus}"));
        }
    }
}

/// An object of hwloc's answer.
#[derive(Debug, Default)]
struct Object {
    kind: String,
    os_index: Option<u32>,
    memory: Memory,
    children: Vec<Object>,
}

impl Object {
    fn cpus(&self) -> CpuSet {
        let own = self.os_index.filter(|_| self.kind == "PU");
        let below = self.children.iter().map(Object::cpus);
        below.fold(own.into_iter().collect(), |all, cpus| all.union(&cpus))
    }
}

fn objects_of_xml(text: &str) -> Object {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).unwrap();
    let is_object = |node: &roxmltree::Node<'_, '_>| node.has_tag_name("object");
    object_of_xml(document.root_element().children().find(is_object).unwrap())
}

fn object_of_xml(node: roxmltree::Node<'_, '_>) -> Object {
    let memory: Option<u64> = node.attribute("local_memory").map(|bytes| bytes.parse().unwrap());
    Object {
        kind: node.attribute("type").unwrap().to_owned(),
        os_index: node.attribute("os_index").map(|index| index.parse().unwrap()),
        memory: memory.map(|bytes| (bytes, 0)),
        children: node.children().filter(|child| child.has_tag_name("object")).map(object_of_xml).collect(),
    }
}

/// Lines such as `  NUMANode L#0 (P#2 local=8192MiB total=8192MiB)`, indented by depth, until a summary.
fn objects_of_text(text: &str) -> Object {
    let mut open: Vec<Object> = Vec::new();
    let close = |open: &mut Vec<Object>, depth: usize| {
        while open.len() > depth.max(1) {
            let object = open.pop().unwrap();
            open.last_mut().unwrap().children.push(object);
        }
    };
    let lines = text.lines().take_while(|line| !line.trim_start().starts_with("depth "));
    for line in lines.filter(|line| !line.is_empty()) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        close(&mut open, depth);
        open.push(object_of_line(line.trim_start()));
    }
    close(&mut open, 1);
    open.pop().unwrap()
}

fn object_of_line(line: &str) -> Object {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest);
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let memory = after("local=").map(|rest| {
        let number = digits(rest);
        let shift = match &rest[number.len()..number.len() + 3] {
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            unit => panic!("unit {unit}"),
        };
        (number.parse::<u64>().unwrap() << shift, 1 << shift)
    });
    Object {
        kind: line.split(' ').next().unwrap().to_owned(),
        os_index: after("(P#").map(|rest| digits(rest).parse().unwrap()),
        memory,
        children: Vec::new(),
    }
}

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sysfs")
}

pub(crate) fn open(archive: &str) -> Topology {
    Topology::open(&[Locator::Path(unpacked(archive))]).unwrap()
}

/// The directory with the archive's content, unpacked by the first test that asks.
pub(crate) fn unpacked(archive: &str) -> PathBuf {
    unpack(&data().join(archive))
}

/// The same of any archive, packed with gzip or bzip2.
pub(crate) fn unpack(source: &Path) -> PathBuf {
    let name = source.file_name().unwrap().to_str().unwrap();
    let length = source.metadata().unwrap().len();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sysfs").join(format!("{name}.{length}"));
    if !folder.is_dir() {
        // Tests run side by side: each unpacks beside, and the first to finish names the result.
        let own = folder.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
        let file = std::io::BufReader::new(std::fs::File::open(source).unwrap());
        let plain: Box<dyn std::io::Read> = match source.extension().unwrap().to_str() {
            Some("gz") => Box::new(flate2::read::GzDecoder::new(file)),
            _ => Box::new(bzip2::read::BzDecoder::new(file)),
        };
        tar::Archive::new(plain).unpack(&own).unwrap();
        if std::fs::rename(&own, &folder).is_err() {
            std::fs::remove_dir_all(&own).unwrap();
        }
    }
    folder
}
