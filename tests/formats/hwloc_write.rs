//! hwloc's XML as nvtopo writes it: read back by nvtopo, and by the real lstopo where it is installed.

use super::files;
use nvtopo::model::{GroupKind, LinkKind, NodeId, NodeKind, NoteKind, Stated};
use nvtopo::source::{Locator, PRESETS};
use nvtopo::{ErrorKind, PathType, Topology};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The facts of a topology that hwloc's XML can tell, one a line.
fn facts(topology: &Topology) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let up = |id: NodeId| -> Vec<String> {
        let above = topology.ancestors(id).skip(1);
        let named = above.filter_map(|id| match &topology.node(id).kind {
            NodeKind::Package(package) => Some(format!("package {}", package.os_index)),
            NodeKind::PcieSwitch(switch) => Some(format!("switch {:?}", switch.address)),
            NodeKind::HostBridge(host) => Some(format!("host {:?}", host.address)),
            _ => None,
        });
        named.collect()
    };
    let package =
        |id: NodeId| up(id).into_iter().filter(|above| above.starts_with("package")).collect::<Vec<_>>();
    // Disks and NVSwitches are found at the bus; a bridge that was concluded is as good as none.
    let place =
        |id: NodeId| up(id).into_iter().filter(|above| !above.starts_with("package")).collect::<Vec<_>>();
    let all = topology.cpus();
    for (id, node) in topology.nodes() {
        let fact = match &node.kind {
            NodeKind::Machine(machine) => {
                let allowed = machine.allowed_cpus.as_ref().filter(|own| **own != all);
                let (product, off) = (&machine.product, &machine.offline_cpus);
                format!("{product:?} allowed {allowed:?} {:?} off {off}", machine.allowed_nodes)
            }
            NodeKind::Package(package) => format!("package {} {:?}", package.os_index, package.model),
            NodeKind::NumaNode(node) => {
                let memory = node.memory.filter(|memory| *memory > 0);
                format!("node {} {} {memory:?} {:?} {:?}", node.os_index, node.cpus, node.distances, node.gpu)
            }
            NodeKind::Cache(cache) => {
                format!(
                    "cache {} {:?} {:?} {} {:?}",
                    cache.level,
                    cache.kind,
                    cache.size,
                    cache.cpus,
                    package(id)
                )
            }
            NodeKind::Group(group) if group.kind == GroupKind::Other => continue,
            NodeKind::Group(group) => format!("group {:?} {}", group.kind, group.cpus),
            NodeKind::Core(core) => format!("core {} {:?} {:?}", core.os_index, core.class, package(id)),
            NodeKind::Pu(pu) => {
                let core = node.parent.map(|parent| topology.node(parent).kind.clone());
                let core = core.and_then(|kind| match kind {
                    NodeKind::Core(core) => Some(core.os_index),
                    _ => None,
                });
                format!("pu {} of {core:?} {:?}", pu.os_index, package(id))
            }
            NodeKind::Gpu(gpu) => format!(
                "gpu {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                gpu.index,
                gpu.model,
                gpu.uuid,
                gpu.address,
                gpu.pci.device,
                gpu.pci.subsystem_device,
                gpu.memory,
                known(&gpu.memory_node),
                place(id)
            ),
            NodeKind::NvSwitch(switch) => format!("nvswitch {:?}", switch.address),
            NodeKind::Nic(nic) => {
                let name = nic.rdma_device.as_ref().unwrap_or(&nic.name);
                // hwloc tells the ports of RDMA devices only.
                let state = nic.state.filter(|_| nic.rdma_device.is_some());
                let port = nic.port.filter(|_| state.is_some());
                format!(
                    "nic {name} {:?} {:?} {state:?} {port:?} {:?}",
                    nic.net_devices,
                    nic.address,
                    place(id)
                )
            }
            NodeKind::Nvme(nvme) => {
                let size = nvme.size.map(|size| size / 1024);
                format!("nvme {} {:?} {:?} {size:?} {:?}", nvme.name, nvme.model, nvme.address, place(id))
            }
            _ => continue,
        };
        // Two cores can be alike in all that is told here.
        let count = (0..u32::MAX).find(|count| !facts.contains(&format!("{fact} #{count}"))).unwrap();
        facts.insert(format!("{fact} #{count}"));
    }
    facts.extend(pairs(topology));
    facts
}

fn known<T: Clone>(stated: &Stated<T>) -> Option<T> {
    stated.known().cloned()
}

/// The facts of pairs of devices, and of their places.
fn pairs(topology: &Topology) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let all = topology.cpus();
    let nodes: usize = topology.numa_nodes().filter(|node| !node.cpus.is_empty()).count();
    let name = |device: usize| device_name(topology, device);
    for (device, id) in topology.devices().iter().enumerate() {
        let cpus = known(&topology.local_cpus(*id)).filter(|cpus| *cpus != all);
        let near = known(&topology.local_nodes(*id)).filter(|_| nodes > 1);
        facts.insert(format!("{} near {cpus:?} {near:?}", name(device)));
    }
    let devices = topology.devices().len();
    for (a, b) in (0..devices).flat_map(|a| (a + 1..devices).map(move |b| (a, b))) {
        let pair = topology.pairs().pair(a, b);
        let rate = pair.rate.filter(|_| pair.nvlinks > 0).map(|rate| rate.bandwidth);
        facts.insert(format!("{} - {}: {:?} {} {rate:?}", name(a), name(b), pair.path, pair.nvlinks));
    }
    let nvlinks: u32 = topology
        .links()
        .filter(|(_, _, link)| link.kind == LinkKind::NvLink)
        .map(|(_, _, link)| u32::from(link.lanes.unwrap_or(0)))
        .sum();
    facts.insert(format!("{nvlinks} NVLinks"));
    facts
}

/// The lines that one has and the other has not.
fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> String {
    let lost = before.difference(after).take(8).map(|line| format!("\n  - {line}"));
    let new = after.difference(before).take(8).map(|line| format!("\n  + {line}"));
    lost.chain(new).collect()
}

fn read(text: &str) -> Topology {
    Topology::parse("written.xml", text.as_bytes()).unwrap()
}

/// The machines whose CPUs are known: XML files of hwloc, presets, recorded trees.
fn machines() -> &'static [(String, Topology)] {
    static MACHINES: OnceLock<Vec<(String, Topology)>> = OnceLock::new();
    MACHINES.get_or_init(read_machines)
}

fn read_machines() -> Vec<(String, Topology)> {
    let mut machines = Vec::new();
    for path in files("hwloc-xml", ".xml") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        machines.push((name, Topology::open(&[Locator::Path(path)]).unwrap()));
    }
    for preset in PRESETS {
        machines.push((preset.name.to_owned(), Topology::preset(preset.name).unwrap()));
    }
    for path in files("sysfs", ".tar.bz2") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = unpacked(&path);
        let root = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let root = if root.join("sys").is_dir() { root } else { folder };
        machines.push((name, Topology::open(&[Locator::Path(root)]).unwrap()));
    }
    machines
}

/// The folder with the content of an archive, unpacked by the first run that asks.
fn unpacked(archive: &Path) -> PathBuf {
    let name =
        format!("{}.{}", archive.file_name().unwrap().to_str().unwrap(), archive.metadata().unwrap().len());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats").join(name);
    if !folder.is_dir() {
        // Two runs can unpack at once: the first to finish names the result.
        let own = folder.with_extension(std::process::id().to_string());
        let file = std::io::BufReader::new(std::fs::File::open(archive).unwrap());
        tar::Archive::new(bzip2::read::BzDecoder::new(file)).unpack(&own).unwrap();
        if std::fs::rename(&own, &folder).is_err() {
            std::fs::remove_dir_all(&own).unwrap();
        }
    }
    folder
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("nvtopo-formats-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_written_is_read_back_equal() {
    let mut report = String::new();
    let machines = machines();
    assert!(machines.len() > 55, "{}", machines.len());
    for (name, topology) in machines {
        let written = topology.write("hwloc-xml").unwrap();
        let again = read(&written.text);
        let difference = difference(&facts(topology), &facts(&again));
        if !difference.is_empty() {
            write!(report, "\n{name}: {:?}{difference}", written.notes).unwrap();
        }
        // What is read back is written the same.
        // Whether a port is of InfiniBand is not read from the class of its device, which may be assumed by it.
        let twice = again.write("hwloc-xml").unwrap().text;
        let plain = |text: &str| text.replace("\"0207 [", "\"0200 [");
        let (twice, first) = (plain(&twice), plain(&written.text));
        let other = twice.lines().zip(first.lines()).find(|(after, before)| after != before);
        // Of a device without bridges the reader takes the bus for one.
        let is_bare = |(_, node): (NodeId, &nvtopo::model::Node)| {
            matches!(&node.kind, NodeKind::NvSwitch(own) if own.address.is_some())
                && node.parent == Some(NodeId::MACHINE)
        };
        let other = other.filter(|_| !topology.nodes().any(is_bare));
        if let Some((after, before)) = other {
            write!(report, "\n{name}:\n  - {before}\n  + {after}").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// Runs lstopo over a text. Returns its output; `None` where it is not installed.
fn lstopo(input: &str, options: &[&str]) -> Option<String> {
    let program = std::env::var("NVTOPO_LSTOPO").unwrap_or_else(|_| "lstopo-no-graphics".to_owned());
    let done = Command::new(program)
        .args(["-i", input, "--disallowed", "--whole-io"])
        .args(options)
        .env("HWLOC_XML_VERBOSE", "1")
        .env("HWLOC_HIDE_ERRORS", "0")
        .output();
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            eprintln!(
                "skipped: lstopo-no-graphics does not run here ({error}); the package hwloc-nox has it"
            );
            return None;
        }
    };
    // hwloc 3 says so of host bridges in another order than the CPUs near them, also of files that hwloc 2 wrote.
    let said = String::from_utf8_lossy(&done.stderr)
        .replace("hwloc/xml/pci: overlapping pci localities are ignored.", "");
    assert!(done.status.success() && said.trim().is_empty(), "{input}: {said}");
    Some(String::from_utf8(done.stdout).unwrap())
}

#[test]
fn the_real_lstopo_takes_it_and_gives_it_back() {
    let folder = Scratch::new("lstopo");
    let mut report = String::new();
    for (name, topology) in machines() {
        let path = folder.0.join(format!("{name}.xml"));
        let written = topology.write("hwloc-xml").unwrap().text;
        std::fs::write(&path, &written).unwrap();
        let path = path.to_str().unwrap();
        let Some(console) = lstopo(path, &["--of", "console"]) else { return };
        let gpus = console.matches("(NVML)").count();
        assert_eq!(gpus, topology.gpus().len(), "{name}: {console}");
        assert_eq!(console.matches("PU L#").count(), topology.cpus().len(), "{name}: {console}");
        let again = lstopo(path, &["--of", "xml"]).unwrap();
        let difference = difference(&facts(&read(&written)), &facts(&read(&again)));
        if !difference.is_empty() {
            write!(report, "\n{name}{difference}").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn lstopo_shows_what_was_meant() {
    let folder = Scratch::new("dgx");
    let path = folder.0.join("dgx.xml");
    std::fs::write(&path, Topology::preset("dgx-1-v100").unwrap().write("hwloc-xml").unwrap().text).unwrap();
    let path = path.to_str().unwrap();
    let Some(console) = lstopo(path, &["--of", "console"]) else { return };
    let lines: Vec<&str> = console.lines().map(str::trim).collect();
    let at = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).unwrap();
    // The first GPU is in the first package, after its node and on a bus below a host bridge.
    let places =
        ["Package L#0", "NUMANode L#0 (P#0 256GB)", "HostBridge", "PCI 06:00.0 (3D)", "GPU(NVML) \"nvml0\""];
    assert!(places.map(at).is_sorted(), "{console}");
    assert!(console.contains("OpenFabrics \"mlx5_0\""), "{console}");
    // NVLinks as hwloc counts them: 50 GB/s to GPU3, none to GPU5.
    let distances = lstopo(path, &["--distances"]).unwrap();
    let words: Vec<&str> = distances
        .lines()
        .find(|line| line.contains("nvml0 ") || line.contains("OSDev:"))
        .map(|line| line.split_whitespace().collect())
        .unwrap_or_default();
    assert!(distances.contains("NVLinkBandwidth") && distances.contains("50000"), "{distances} {words:?}");
}

#[test]
fn a_machine_without_cpus_is_refused_with_what_is_missing() {
    let text = "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n";
    let error = Topology::parse("topo.txt", text.as_bytes()).unwrap().write("hwloc-xml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("knows no CPU"), "{error}");
}

/// The pairs of which the original knows the path, with those that the tree of bridges and the NVLinks tell.
fn told(original: &Topology, topology: &Topology) -> BTreeSet<String> {
    let position = |name: &str| (0..topology.devices().len()).find(|own| device_name(topology, *own) == name);
    let mut told = BTreeSet::new();
    let devices = original.devices().len();
    for (a, b) in (0..devices).flat_map(|a| (a + 1..devices).map(move |b| (a, b))) {
        let names = [a, b].map(|device| device_name(original, device));
        if original.pairs().pair(a, b).path.is_none() {
            continue;
        }
        let (Some(a), Some(b)) = (position(&names[0]), position(&names[1])) else { panic!("{names:?}") };
        let pair = topology.pairs().pair(a, b);
        let rate = pair.rate.filter(|_| pair.nvlinks > 0).map(|rate| rate.bandwidth);
        // A text can state that GPUs of one node are as far apart as those of two.
        let path = pair.path.filter(|path| !matches!(path, PathType::Node | PathType::Sys));
        told.insert(format!("{names:?} {path:?} {} {rate:?}", pair.nvlinks));
    }
    told
}

fn device_name(topology: &Topology, device: usize) -> String {
    match &topology.node(topology.devices()[device]).kind {
        NodeKind::Nic(nic) => nic.rdma_device.clone().unwrap_or_else(|| nic.name.clone()),
        _ => topology.device_name(device),
    }
}

#[test]
fn texts_of_nvidia_smi_keep_their_pairs() {
    let mut report = String::new();
    let mut count = 0;
    for path in files("topo-m", ".txt") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(topology) = Topology::open(&[Locator::Path(path)]) else { continue };
        let Ok(written) = topology.write("hwloc-xml") else { continue };
        // Of a text that was cut, the tree lacks devices whose paths are stated.
        if topology.notes().iter().any(|note| note.kind() == NoteKind::Damage) || name.ends_with("-cut.txt") {
            continue;
        }
        count += 1;
        let difference = difference(&told(&topology, &topology), &told(&topology, &read(&written.text)));
        if !difference.is_empty() {
            write!(report, "\n{name}: {:?}{difference}", written.notes).unwrap();
        }
    }
    assert!(count > 30, "{count}");
    assert!(report.is_empty(), "{report}");
}

#[test]
fn adapters_without_a_name_are_read_back() {
    let text = std::fs::read_to_string(super::data("nccl-xml/aws-p4d-24xl.xml")).unwrap();
    let cloud = read(&text);
    let written = cloud.write("hwloc-xml").unwrap().text;
    let again = read(&written);
    let names = |topology: &Topology| topology.nics().map(|nic| nic.name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&cloud).len(), 4);
    assert_eq!(names(&again), names(&cloud));
    // Other programs write virtual functions so, which are no adapters to choose.
    let other = written.replace("<info name=\"NvtopoNIC\" value=\"unnamed\"/>", "");
    assert_eq!(read(&other).nics().len(), 0);
}

#[test]
fn sets_and_numbers_are_as_hwloc_demands() {
    let text = Topology::preset("dgx-1-v100").unwrap().write("hwloc-xml").unwrap().text;
    let document = roxmltree::Document::parse_with_options(
        &text,
        roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
    )
    .unwrap();
    let numbers: Vec<&str> = document.descendants().filter_map(|node| node.attribute("gp_index")).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    let first = document.descendants().find(|node| node.has_tag_name("object")).unwrap();
    assert_eq!(first.attribute("type"), Some("Machine"));
    assert_eq!(first.attribute("cpuset"), Some("0x0000ffff,0xffffffff,0xffffffff"));
    assert_eq!(first.attribute("allowed_nodeset"), Some("0x00000003"));
    let matrix =
        document.descendants().find(|node| node.attribute("name") == Some("NVLinkBandwidth")).unwrap();
    assert_eq!((matrix.attribute("type"), matrix.attribute("kind")), (Some("OSDev"), Some("9")));
}

#[test]
fn the_synthetic_string_is_the_machine_again() {
    let mut refused = 0;
    for (name, topology) in machines() {
        let written = match topology.write("hwloc-synthetic") {
            Ok(written) => written,
            Err(error) => {
                assert!(error.to_string().contains("not alike everywhere"), "{name}: {error}");
                refused += 1;
                continue;
            }
        };
        let Some(xml) = lstopo(written.text.trim_end(), &["--of", "xml"]) else { return };
        let only = |topology: &Topology| -> BTreeSet<String> {
            let mut found = BTreeSet::new();
            let gpus: BTreeSet<u32> = topology.gpus().filter_map(|gpu| known(&gpu.memory_node)).collect();
            for (_, node) in topology.nodes() {
                found.extend(match &node.kind {
                    NodeKind::NumaNode(node) if !gpus.contains(&node.os_index) => {
                        Some(format!("node {} {}", node.os_index, node.cpus))
                    }
                    NodeKind::Cache(cache) => Some(format!("cache {} {}", cache.level, cache.cpus)),
                    _ => None,
                });
            }
            let count =
                |is: fn(&NodeKind) -> bool| topology.nodes().filter(|(_, node)| is(&node.kind)).count();
            let packages = count(|kind| matches!(kind, NodeKind::Package(_)));
            let cores = count(|kind| matches!(kind, NodeKind::Core(_)));
            found.insert(format!("{packages} packages, {cores} cores, CPUs {}", topology.cpus()));
            found
        };
        let (before, after) = (only(topology), only(&read(&xml)));
        assert!(before == after, "{name}: {}{}", written.text, difference(&before, &after));
    }
    assert!(refused > 3 && refused < 30, "{refused}");
}

#[test]
fn the_synthetic_string_says_how_a_machine_is_made() {
    let string = Topology::preset("dgx-1-v100").unwrap().write("hwloc-synthetic").unwrap();
    let levels: Vec<&str> =
        string.text.split_whitespace().map(|word| word.split("indexes").next().unwrap()).collect();
    assert_eq!(levels, ["Package:2", "[NUMANode(memory=274877906944)]", "Core:20", "PU:2("]);
    assert!(string.text.contains("(indexes=0,40,1,41,"), "{}", string.text);
    assert!(string.notes[0].text.contains("no words for devices"), "{:?}", string.notes);
    let hybrid = machines().iter().find(|(name, _)| name.contains("hybrid-1p6c2t")).unwrap();
    let error = hybrid.1.write("hwloc-synthetic").unwrap_err().to_string();
    assert!(error.contains("not alike everywhere") && error.contains("hwloc-xml"), "{error}");
}
