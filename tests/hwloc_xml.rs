//! hwloc's XML files: every recorded one is read, and holds what it names.
//!
//! The meaning of single lines, and which are refused, is in [`lines`].

mod lines;

use nvtopo::model::{GroupShape, LinkKind, NodeKind, Provenance};
use nvtopo::{Bandwidth, PathType, Topology};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Counts that differ from the file's on purpose: file, what, and the reason.
const ON_PURPOSE: &[(&str, &str, &str)] = &[];

#[test]
fn files_hold_what_they_name() {
    let files = files();
    assert!(files.len() >= 24, "{} files", files.len());
    let mut report = String::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (ours, theirs) = (Counts::of(&read(&text)), Counts::of_text(&text));
        for (what, theirs) in theirs.0 {
            let ours = ours.0.get(what).copied().unwrap_or_default();
            if ours != theirs && !ON_PURPOSE.iter().any(|(file, of, _)| (*file, *of) == (name, what)) {
                writeln!(report, "{name}: {what}: ours {ours}, the file's {theirs}").unwrap();
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn dgx2_has_its_gpus_and_nvlinks() {
    let topology = open("nvidiaDGX2");
    assert_eq!(topology.machine().product.as_deref(), Some("NVIDIA DGX-2H"));
    assert_eq!(topology.gpus().len(), 16);
    let first = topology.gpus().next().unwrap();
    assert_eq!(first.model.as_deref(), Some("Tesla V100-SXM3-32GB-H"));
    assert!(first.uuid.is_some());
    let groups: Vec<(Vec<usize>, GroupShape)> =
        topology.nvlink_groups().iter().map(|group| (group.gpus.clone(), group.shape)).collect();
    // Which NVSwitches are linked with each other hwloc cannot ask.
    assert_eq!(groups, [((0..8).collect(), GroupShape::Switched), ((8..16).collect(), GroupShape::Switched)]);
    assert!(!topology.nvlink_known());
    let pair = topology.pairs().pair(0, 7);
    assert_eq!((pair.nvlinks, pair.rate.unwrap().bandwidth), (6, Bandwidth::from_gb_per_s(150.0)));
    assert_eq!(topology.pairs().pair(0, 8).path, Some(PathType::Sys));

    // Below the NVLinks: two GPUs on a switch, four behind two levels of switches, eight on a socket.
    let tree = read(&text("nvidiaDGX2").replace("NVLinkBandwidth", "Other"));
    let class = |a, b| tree.pairs().pair(a, b).path.map(PathType::word);
    assert_eq!(
        [class(0, 1), class(0, 2), class(0, 4), class(0, 8)].map(Option::unwrap),
        ["PIX", "PXB", "NODE", "SYS"]
    );
    assert!(!tree.nvlink_known());
    let node = |gpu: usize| tree.local_nodes(tree.devices()[gpu]).known().unwrap().to_string();
    assert_eq!((node(7), node(8)), ("0".to_owned(), "1".to_owned()));
    let wire = tree.links().find(|(_, _, link)| link.kind == LinkKind::Pcie).unwrap().2;
    assert_eq!(wire.rate.unwrap().bandwidth.as_mb_per_s(), 15_754);
}

#[test]
fn power8_has_pairs_of_gpus() {
    let topology = open("power8gpudistances");
    let linked = |a, b| topology.pairs().pair(a, b).nvlinks;
    assert_eq!([linked(0, 1), linked(2, 3), linked(1, 2)], [2, 2, 0]);
    assert!(topology.nvlink_known());
    let distances: Vec<_> = topology.numa_nodes().map(|node| node.distances.clone()).collect();
    assert_eq!(distances, [[(1, 40)], [(0, 40)]]);
}

#[test]
fn the_first_version_is_read() {
    let topology = open("llnl-coral-ea-hwloc1");
    assert_eq!((topology.gpus().len(), topology.nics().len()), (4, 4));
    let names: Vec<(&str, &[String])> = topology.nics().map(|nic| (&*nic.name, &*nic.net_devices)).collect();
    assert_eq!(names[0], ("mlx5_0", &["hsi0".to_owned()][..]));
    let nodes: Vec<_> =
        topology.numa_nodes().map(|node| (node.cpus.to_string(), node.distances.clone())).collect();
    assert_eq!(nodes, [("0-79".to_owned(), vec![(1, 40)]), ("80-159".to_owned(), vec![(0, 40)])]);
    let near: Vec<String> = topology.devices()[..4]
        .iter()
        .map(|gpu| topology.local_nodes(*gpu).known().unwrap().to_string())
        .collect();
    assert_eq!(near, ["0", "0", "1", "1"]);
}

#[test]
fn the_first_version_is_read_as_hwloc_2_writes_it() {
    let topology = open("v1-by-hwloc2.9-distances-lost");
    let nodes: Vec<_> = topology.numa_nodes().collect();
    assert_eq!(nodes.len(), 8);
    for node in nodes {
        let expected: Vec<(u32, u32)> = (0..8).filter(|to| *to != node.os_index).map(|to| (to, 20)).collect();
        assert_eq!(node.distances, expected, "{node:?}");
    }
}

#[test]
fn memory_of_a_machine_without_nodes_is_kept() {
    let topology = open("v1-machine-memory-lost");
    let memory: Vec<_> = topology.numa_nodes().map(|node| node.memory).collect();
    assert_eq!(memory, [Some(33_738_452_992)]);
}

#[test]
fn a_place_finer_than_a_node_is_kept() {
    let topology = open("fakepcilocalities");
    let at = |address: &str| {
        let is_it = |id: &&nvtopo::model::NodeId| {
            topology
                .node(**id)
                .kind
                .as_nic()
                .and_then(|nic| nic.address)
                .is_some_and(|own| own.to_string() == address)
        };
        *topology.devices().iter().find(is_it).unwrap()
    };
    assert_eq!(topology.local_cpus(at("0000:43:00.0")).known().unwrap().to_string(), "33,37");
    assert_eq!(topology.local_nodes(at("0000:43:00.0")).known().unwrap().to_string(), "1");
}

#[test]
fn what_is_left_out_is_noted() {
    let has = |name: &str, words: &str| open(name).notes().iter().any(|note| note.text.contains(words));
    assert!(has("llnl-eas-tioga", "GPUs or display adapters of AMD were left out"));
    assert!(has("16intel64-manyVFs", "0000:0b:00.1, 0000:0b:00.2"));
    assert!(!has("nvidiaDGX2", "were left out, as only NVIDIA's are read"));
    let intel =
        "<object type=\"PCIDev\" pci_busid=\"0000:18:00.0\" pci_type=\"0380 [8086:0bd5] [8086:0000] 2f\"/>";
    let text = text("llnl-g4dnmetal").replacen(
        "<object type=\"PCIDev\"",
        &format!("{intel}<object type=\"PCIDev\""),
        1,
    );
    let notes: Vec<String> = read(&text).notes().iter().map(ToString::to_string).collect();
    assert!(
        notes.join("\n").contains("of Intel were left out, as only NVIDIA's are read: 0000:18:00.0"),
        "{notes:?}"
    );
}

#[test]
fn pasted_xml_is_found() {
    let pasted = std::fs::read_to_string(folder().join("hwloc-in-a-fence.txt")).unwrap();
    let inside = pasted.split_once("```xml\n").unwrap().1.trim_end().trim_end_matches("```");
    for text in [
        pasted.clone(),
        format!("$ lstopo --of xml\n{inside}$ \n"),
        format!("Hello,\n\nas you asked:\n\n{inside}\n-- \nme"),
        format!("> {}", inside.trim_end().replace('\n', "\n> ")),
    ] {
        let topology = read(&text);
        assert_eq!(
            (topology.numa_nodes().count(), topology.cpus().to_string()),
            (1, "0-1".to_owned()),
            "{text}"
        );
    }
    // Errors have the place in what was pasted.
    let broken = pasted.replace("os_index=\"1\"", "os_index=\"0\"");
    let error = Topology::parse("x", broken.as_bytes()).unwrap_err();
    let line = broken.lines().position(|line| line.contains("cpuset=\"0x2\"")).unwrap() + 1;
    assert_eq!((error.line(), error.message()), (Some(line), "CPU 0 occurs twice"));
}

#[test]
fn memory_beside_memory_has_no_cpus() {
    let topology = open("64intel64-heteromem");
    for node in topology.numa_nodes() {
        assert_eq!(node.cpus.is_empty(), node.os_index >= 4, "{node:?}");
        assert_eq!(node.memory, Some(if node.os_index >= 4 { 2 << 30 } else { 1 << 30 }));
    }
}

#[test]
fn what_may_not_be_used_is_told() {
    let topology = open("irregulargroups-disallowed");
    assert_eq!(topology.machine().allowed_cpus.as_ref().unwrap().to_string(), "0-15");
    assert_eq!(topology.machine().allowed_nodes.as_ref().unwrap().to_string(), "0-1");
    // hwloc hides CPUs that are off like those that are not allowed.
    let topology = open("llnl-coral-lassen");
    assert!(topology.machine().offline_cpus.is_empty());
    assert!(topology.notes().iter().any(|note| note.text.contains("CPUs 0-7,88-95 are switched off, or")));
}

#[test]
fn nothing_of_the_host_is_kept() {
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap().replace("\"node1\"", "\"secret-host\"");
        let text = text
            .replace("Serial\" value=\"0", "Serial\" value=\"secret-0")
            .replace("GUID\" value=\"0", "GUID\" value=\"secret-0");
        assert!(!read(&text).to_json().contains("secret"), "{}", path.display());
    }
}

#[test]
fn json_holds_all_of_it() {
    for path in files() {
        let topology = read(&std::fs::read_to_string(&path).unwrap());
        assert!(
            topology
                .nodes()
                .all(|(_, node)| matches!(node.provenance, Provenance::Hwloc | Provenance::Inferred))
        );
        assert!(read(&topology.to_json()) == topology, "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn damage_is_an_error_and_no_panic(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        kind in 0..5u8,
    ) {
        let small: Vec<PathBuf> = files().into_iter().filter(|path| path.metadata().unwrap().len() < 64 << 10).collect();
        let mut bytes = std::fs::read(file.get(&small)).unwrap();
        let place = at.index(bytes.len());
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let line = at.index(lines.len());
        match kind {
            0 => bytes.truncate(place),
            1 => bytes[place] = byte,
            2 => bytes[place] ^= 1 << (byte % 8),
            3 => { lines.remove(line); bytes = lines.concat(); }
            _ => { lines.insert(line, lines[line]); bytes = lines.concat(); }
        }
        match Topology::parse("damaged.xml", &bytes) {
            Ok(topology) => { topology.pairs(); topology.nvlink_groups(); topology.to_json(); }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_number_of_any_size_is_no_panic(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        value in prop_oneof![Just(String::new()), Just("-1".to_owned()), Just("0xf...f".to_owned()), any::<u64>().prop_map(|n| n.to_string()), any::<f64>().prop_map(|n| n.to_string())],
    ) {
        let small: Vec<PathBuf> = files().into_iter().filter(|path| path.metadata().unwrap().len() < 64 << 10).collect();
        let text = std::fs::read_to_string(file.get(&small)).unwrap();
        let starts: Vec<usize> = text.match_indices("=\"").map(|(start, _)| start + 2).collect();
        let start = *at.get(&starts);
        let end = start + text[start..].find('"').unwrap();
        let _ = Topology::parse("odd.xml", format!("{}{value}{}", &text[..start], &text[end..]).as_bytes());
    }
}

/// The number of objects of each kind.
#[derive(Debug, Default)]
struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    fn of(topology: &Topology) -> Self {
        let mut counts = Self::default();
        for (_, node) in topology.nodes().filter(|(_, node)| node.provenance == Provenance::Hwloc) {
            let what = match &node.kind {
                NodeKind::Package(_) => "packages",
                NodeKind::NumaNode(_) => "NUMA nodes",
                NodeKind::Core(_) => "cores",
                NodeKind::Pu(_) => "PUs",
                NodeKind::Cache(cache) if cache.level == 3 => "L3 caches",
                NodeKind::Cache(_) => "other caches",
                NodeKind::Gpu(_) => "GPUs",
                NodeKind::NvSwitch(_) => "NVSwitches",
                _ => continue,
            };
            *counts.0.entry(what).or_default() += 1;
        }
        counts
    }

    /// The names in the text, found without our reader.
    fn of_text(text: &str) -> Self {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options).unwrap();
        let mut counts = Self::default();
        for object in document.descendants().filter(|node| node.has_tag_name("object")) {
            let numbers = object.attribute("pci_type").unwrap_or_default();
            let what = match object.attribute("type").unwrap() {
                "Package" | "Socket" => "packages",
                "NUMANode" => "NUMA nodes",
                "Core" => "cores",
                "PU" => "PUs",
                "L3Cache" => "L3 caches",
                "Cache" if object.attribute("depth") == Some("3") => "L3 caches",
                "Cache" | "L1Cache" | "L1iCache" | "L2Cache" => "other caches",
                "PCIDev" if numbers.starts_with("0302 [10de:") || numbers.starts_with("0300 [10de:") => {
                    "GPUs"
                }
                "PCIDev"
                    if object.attribute("subtype") == Some("NVSwitch")
                        || numbers.starts_with("0680 [10de:") =>
                {
                    "NVSwitches"
                }
                _ => continue,
            };
            *counts.0.entry(what).or_default() += 1;
        }
        counts
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hwloc-xml")
}

fn files() -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "xml")).collect();
    files.sort();
    files
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.xml"))).unwrap()
}

fn open(name: &str) -> Topology {
    read(&text(name))
}

fn read(text: &str) -> Topology {
    Topology::parse("machine.xml", text.as_bytes()).unwrap()
}
