//! Reading `nvidia-smi topo -m`: recorded machines, and every kind of damage. Random ones are in [`random`].

mod affinities;
mod cut;
mod random;
mod rows;
mod shapes;

use nvtopo::model::{NodeKind, NoteKind, Stated};
use nvtopo::{CpuSet, ErrorKind, NodeSet, Topology};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/topo-m");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    texts.sort();
    texts
}

fn parse(text: &str) -> Topology {
    Topology::parse("topo.txt", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn error(text: &str) -> nvtopo::Error {
    match Topology::parse("topo.txt", text.as_bytes()) {
        Ok(_) => panic!("was read:\n{text}"),
        Err(error) => error,
    }
}

fn position(topology: &Topology, name: &str) -> Option<usize> {
    (0..topology.devices().len()).find(|device| topology.device_name(*device) == name)
}

fn word(topology: &Topology, a: &str, b: &str) -> Option<String> {
    let (a, b) = (position(topology, a)?, position(topology, b)?);
    topology.pairs().pair(a, b).word(topology.dialect())
}

fn notes(topology: &Topology, kind: NoteKind) -> Vec<&str> {
    topology.notes().iter().filter(|note| note.kind() == kind).map(|note| note.text.as_str()).collect()
}

/// Compares what was read of an affinity with an expectation: absent, null, `N/A`, or a list.
fn affinity<T: std::str::FromStr + PartialEq + std::fmt::Debug>(
    expected: Option<&Value>,
    found: &Stated<T>,
) -> Option<String> {
    let same = match expected {
        None => *found == Stated::Unstated,
        Some(Value::Null) => *found == Stated::Unreadable,
        Some(Value::String(text)) if text == "N/A" => *found == Stated::NotAvailable,
        Some(Value::String(text)) => text.parse().ok().as_ref() == found.known(),
        Some(_) => false,
    };
    (!same).then(|| format!("expected {expected:?}, found {found:?}"))
}

/// The affinities of all GPUs as they were read.
fn affinities_of(topology: &Topology) -> Vec<String> {
    topology.gpus().map(|gpu| format!("{:?} {:?} {:?}", gpu.cpus, gpu.nodes, gpu.memory_node)).collect()
}

fn differences(topology: &Topology, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, expected: String, actual: String| {
        if expected != actual {
            found.push(format!("{what}: expected {expected}, found {actual}"));
        }
    };
    compare("gpus", expected["gpus"].to_string(), topology.gpus().len().to_string());
    compare("nics", expected["nics"].to_string(), topology.nics().len().to_string());
    for (pair, link) in expected["links"].as_object().unwrap() {
        let (a, b) = pair.split_once('-').unwrap();
        for (a, b) in [(a, b), (b, a)] {
            compare(pair, link.as_str().unwrap().to_owned(), word(topology, a, b).unwrap_or_default());
        }
    }
    let groups: Vec<_> = topology.nvlink_groups().iter().map(|group| group.gpus.clone()).collect();
    compare(
        "groups",
        expected["nvlink_groups"].to_string(),
        serde_json::to_value(groups).unwrap().to_string(),
    );
    for gpu in topology.gpus() {
        let of = |key: &str| expected[key].as_object().unwrap().get(&gpu.name());
        let cpus = affinity::<CpuSet>(of("cpu_affinity"), &gpu.cpus);
        let nodes = affinity::<NodeSet>(of("numa_affinity"), &gpu.nodes);
        found.extend(cpus.map(|text| format!("{} CPUs: {text}", gpu.name())));
        found.extend(nodes.map(|text| format!("{} nodes: {text}", gpu.name())));
    }
    found
}

#[test]
fn recorded_machines_read_as_they_are() {
    let mut report = Vec::new();
    assert!(recorded().len() > 60);
    for path in recorded() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("expect.json")).unwrap()).unwrap();
        match Topology::parse(&name, &std::fs::read(&path).unwrap()) {
            Err(error) => report.push(error.to_string()),
            Ok(topology) => {
                report.extend(differences(&topology, &expected).iter().map(|text| format!("{name}: {text}")));
                // What is whole must not be called damaged.
                let noted = notes(&topology, NoteKind::Damage);
                if expected["damaged"].is_null() && !noted.is_empty() {
                    report.push(format!("{name}: damage where there is none: {noted:?}"));
                }
            }
        }
    }
    assert!(report.is_empty(), "{} differences:\n{}", report.len(), report.join("\n"));
}

/// Tabs as a terminal shows them.
fn expand(line: &str) -> String {
    let mut shown = String::new();
    for c in line.chars() {
        match c {
            '\t' => shown.push_str(&" ".repeat(8 - shown.chars().count() % 8)),
            _ => shown.push(c),
        }
    }
    shown
}

/// Lines broken where a terminal of this width breaks them.
fn wrap(line: &str, width: usize) -> String {
    let shown: Vec<char> = expand(line).chars().collect();
    let parts: Vec<String> = shown.chunks(width).map(|part| part.iter().collect()).collect();
    parts.join("\n")
}

#[test]
fn recorded_machines_read_the_same_however_they_are_passed_on() {
    type Change = (&'static str, fn(&str) -> String);
    let changes: [Change; 12] = [
        ("CRLF", |line| format!("{line}\r")),
        ("hash", |line| format!("# {line}")),
        ("quote", |line| format!("> {line}")),
        ("star", |line| format!("   * {line}")),
        ("tag", |line| format!("[1,0]<stdout>: {line}")),
        ("spaces", expand),
        ("narrow", |line| line.replace('\t', "    ")),
        ("squeezed", |line| line.split_whitespace().collect::<Vec<_>>().join(" ")),
        ("double", |line| format!("{line}\n")),
        ("left", |line| line.trim_start().to_owned()),
        ("wrapped at 80", |line| wrap(line, 80)),
        ("wrapped at 132", |line| wrap(line, 132)),
    ];
    let mut report = Vec::new();
    for path in recorded() {
        let expected: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("expect.json")).unwrap()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (change, apply) in changes {
            // The fields of a table with bars cannot be told once its lines are broken.
            if change.starts_with("wrapped") && text.contains("| GPU0") {
                continue;
            }
            let name = format!("{} ({change})", path.file_stem().unwrap().to_string_lossy());
            let text: String = text.lines().map(|line| apply(line) + "\n").collect();
            match Topology::parse(&name, text.as_bytes()) {
                Err(error) => report.push(error.to_string()),
                Ok(topology) => {
                    report.extend(
                        differences(&topology, &expected).iter().map(|text| format!("{name}: {text}")),
                    );
                }
            }
        }
    }
    assert!(report.is_empty(), "{} differences:\n{}", report.len(), report.join("\n"));
}

const PLAIN: &str = "\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV4\tPIX\t0-15\t0\t\tN/A
GPU1\tNV4\t X \tSYS\t16-31\t1\t\tN/A
NIC0\tPIX\tSYS\t X \t\t\t\t
";

/// Everything that the plain matrix says, for texts that say the same.
fn assert_plain(text: &[u8]) -> Topology {
    let shown = String::from_utf8_lossy(text);
    let topology = Topology::parse("topo.txt", text).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let words =
        [("GPU0", "GPU1", "NV4"), ("GPU0", "NIC0", "PIX"), ("GPU1", "NIC0", "SYS"), ("NIC0", "NIC0", "X")];
    for (a, b, expected) in words {
        assert_eq!(word(&topology, a, b).as_deref(), Some(expected), "{a} {b}\n{shown}");
        assert_eq!(word(&topology, b, a).as_deref(), Some(expected), "{b} {a}\n{shown}");
    }
    let cpus: Vec<String> = topology.gpus().map(|gpu| gpu.cpus.known().unwrap().to_string()).collect();
    assert_eq!(cpus, ["0-15", "16-31"], "{shown}");
    let nodes: Vec<String> = topology.gpus().map(|gpu| gpu.nodes.known().unwrap().to_string()).collect();
    assert_eq!(nodes, ["0", "1"], "{shown}");
    assert!(topology.gpus().all(|gpu| gpu.memory_node == Stated::NotAvailable), "{shown}");
    topology
}

#[test]
fn damage_that_leaves_the_meaning_clear_is_read() {
    let each = |f: &dyn Fn(&str) -> String| PLAIN.lines().map(f).collect::<Vec<_>>().join("\n") + "\n";
    let variants = [
        PLAIN.to_owned(),
        PLAIN.trim_end().to_owned(),
        PLAIN.replace('\n', "\r\n"),
        PLAIN.replace('\n', "\n\n"),
        PLAIN.replace('\t', "    "),
        PLAIN.replace('\t', " "),
        PLAIN.replacen('\t', "", 1),
        PLAIN.replace("\tGPU0\tGPU1", "\t\tGPU0\tGPU1"),
        PLAIN.replace("\tGPU0\tGPU1", "\u{1b}[4m\tGPU0\tGPU1").replace("ID\n", "ID\u{1b}[0m\n"),
        PLAIN.replace("\tGPU0\tGPU1", "[4m\tGPU0\tGPU1").replace("ID\n", "ID[0m\n"),
        PLAIN.replace("NV4", "\u{1b}[32mNV4\u{1b}[0m"),
        format!("\u{feff}{PLAIN}"),
        each(&|line| format!("# {line}")),
        each(&|line| format!("#{line}")),
        each(&|line| format!("   * {line}")),
        each(&|line| format!("// {line}")),
        each(&|line| format!("> {line}")),
        each(&|line| format!("[1,0]<stdout>:{line}")),
        each(&|line| format!("node01: {line}")),
        each(&|line| format!("2024-05-01 12:00:00 INFO {line}")),
        each(&|line| format!("        {line}")),
        format!("$ nvidia-smi topo -m\n{PLAIN}$ \n"),
        format!("root@host:/# nvidia-smi topo -m\n{PLAIN}root@host:/# exit\n"),
        format!("GPU: 8 * H100\nGPU0 is the first\n{PLAIN}"),
        format!("```\n{PLAIN}```\n"),
        format!("{PLAIN}\nGPU0 and GPU1 are joined by NV4, GPU0 GPU1 NV4\nGPU0 -> NIC0: PIX\n"),
        format!("{PLAIN}\nthe same for the PCI bus:\nGPU0\t X \tPHB\tPIX\t0-15\t0\t\tN/A\n"),
        PLAIN.replace("NIC0\tPIX\tSYS\t X \t\t\t\t\n", "NIC0\tPIX\tSY\n...\n```\n"),
        PLAIN.replace("GPU1\tNV4", "kernel: something happened\nGPU1\tNV4"),
        PLAIN.replace("NV4\tPIX", "NV4PIX"),
        PLAIN.replace("SYS\t16-31", "SYS16-31"),
        PLAIN.replace("NIC0\tPIX", "NIC0PIX"),
        PLAIN.replace("GPU0\tGPU1\tNIC0\tCPU", "GPU0GPU1NIC0CPU"),
        PLAIN.replace("\tNUMA Affinity", " NUMA Affinity").replace("\tCPU", " CPU"),
        PLAIN.replace("SYS\t16-31\t1", "SY\nS\t16-31\t1"),
        PLAIN.replace("SYS\t16-31\t1", "SYS\n\t16-31\t1"),
        PLAIN.replace("SYS\t16-31\t1", "SYS\t16\n-31\t1"),
        PLAIN.replace("SYS\t16-31\t1", "SYS\t16-3\n1\t1"),
        PLAIN.replace("NIC0\tCPU Affinity", "NI\nC0\tCPU Affinity"),
        PLAIN.replace("NIC0\tCPU Affinity", "NIC0\nCPU Affinity"),
        PLAIN.replace("CPU Affinity", "CPU Affi\nnity"),
        PLAIN.replace("0-15", "0-7, 8-15"),
        PLAIN.replace("GPU1\tNV4\t X ", "GPU1\tNV\0\t X "),
        PLAIN.replace("GPU0\t X \tNV4", "GPU0\t X \tN\u{1}4"),
        PLAIN.replace("GPU1\tNV4\t X ", "GPU1\tN/A\t X "),
        PLAIN.replace("GPU1\tNV4\t X ", "GPU1\t\t X "),
        PLAIN.replace("GPU0\t X \tNV4\t", "GPU0\t X \t\t"),
        format!("{PLAIN}GPU1\tNV4\t X \tSYS\t16-31\t1\t\tN/A\n"),
        format!("{PLAIN}\n{}", PLAIN.replace("NV4", "PHB")),
        format!("{PLAIN}\0\0\0\0"),
        PLAIN.replace("GPU NUMA ID", "GPU NUMA ID\tPower Zone").replace("N/A", "N/A\t7"),
        PLAIN.replace("NIC0\tPIX\tSYS\t X \t\t\t\t\n", ""),
        PLAIN.replace("NIC0\tPIX\tSYS\t X \t\t\t\t\n", "NIC0\tPIX\tSY"),
    ];
    for text in variants {
        assert_plain(text.as_bytes());
    }
    let wide: Vec<u8> = format!("\u{feff}{PLAIN}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_plain(&wide);
    let mut broken = b"\xff\xfe\xfd junk\n".to_vec();
    broken.extend(PLAIN.bytes());
    broken[0] = b'x';
    assert!(!notes(&assert_plain(&broken), NoteKind::Damage).is_empty());
}

#[test]
fn damage_is_noted_with_its_place() {
    let noted = |text: &str| notes(&parse(text), NoteKind::Damage).join("; ");
    for (text, expected) in [
        (PLAIN.replace("NV4\tPIX", "NV4PIX"), "line 2 run together"),
        (PLAIN.replace("GPU1\tNV4\t X ", "GPU1\t\t X "), "line 3 has 1 empty cell"),
        (PLAIN.replace("GPU1\tNV4", "GPU1\tN\u{1}4"), "GPU1 in line 3 is damaged"),
        (PLAIN.replace("SYS\t16-31\t1", "SY\nS\t16-31\t1"), "broken over two lines or more, first in line 4"),
        (PLAIN.replace("NIC0\tCPU", "NIC0\nCPU"), "header is broken over lines 1 and 2"),
        (PLAIN.replace("GPU1\tNV4", "junk\nGPU1\tNV4"), "not of the matrix, first line 3"),
        (format!("{PLAIN}\n{PLAIN}"), "line 6 begins another matrix"),
        (PLAIN.lines().skip(1).collect::<Vec<_>>().join("\n"), "no header above line 1"),
        (PLAIN.replace("0-15", "0-x"), "CPU affinity of GPU0 in line 2 is damaged"),
        (PLAIN.replace("0\t\tN/A\nGPU1", "0\nGPU1"), "GPU NUMA ID of GPU0 in line 2 is empty"),
        (PLAIN.lines().take(2).collect::<Vec<_>>().join("\n"), "rows of 2 devices are missing, first GPU1"),
    ] {
        assert!(noted(&text).contains(expected), "{expected}: {}\n{text}", noted(&text));
    }
}

#[test]
fn what_cannot_be_clear_is_an_error_with_its_place() {
    for (text, line, column, message) in [
        (
            PLAIN.replace("GPU1\tNV4", "GPU1\tNV2"),
            3,
            6,
            "not symmetric: GPU1 to GPU0 is NV2 here, and NV4 in line 2",
        ),
        (PLAIN.replace("GPU1\tNV4", "GPU1\tFOO"), 3, 6, "unknown word 'FOO'"),
        (PLAIN.replace("\tSYS\t16", "\tSYS\tSYS\t16"), 3, 18, "more cells than the matrix has columns"),
        (PLAIN.replace("\tSYS\t16", "\t16"), 3, 14, "the row GPU1 has 2 cells, and the matrix 3 columns"),
        (PLAIN.replace("\tGPU0\tGPU1", "\tGPU0\tGPU0"), 1, 7, "the header names GPU0 twice"),
        (PLAIN.replace("GPU1\tNV4", "GPU7\tNV4"), 3, 1, "there is a row GPU7 and no such column"),
        (
            format!("{PLAIN}GPU1\tNV4\t X \tPHB\n"),
            5,
            1,
            "second row GPU1 that differs from the one in line 3",
        ),
        (PLAIN.replace("GPU0\t X \tNV4", "GPU0\tNV4\t X "), 2, 6, "GPU0 to itself is NV4, not X"),
        (PLAIN.replace("NV4", "NV412"), 2, 10, "unknown word 'NV412'"),
        (PLAIN.lines().take(1).collect::<String>(), 1, 2, "there is no row"),
        (PLAIN.replace("NV4", "OK"), 2, 10, "unknown word 'OK'"),
        (PLAIN.replace("NV4", "N\u{1}4"), 2, 10, "unknown word 'N\u{fffd}4'"),
    ] {
        let error = error(&text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(message), "{error}\n{text}");
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{error}\n{text}");
    }
    assert!(error("").to_string().contains("empty"), "{}", error(""));
    assert!(error(" \n\t\n").to_string().contains("empty"));
    for text in ["no matrix at all", "\0\u{1}\u{2}", "GPU", "Legend:\n  X    = Self\n"] {
        assert_eq!(error(text).kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn too_many_devices_are_an_error() {
    let names: Vec<String> = (0..2049).map(|index| format!("GPU{index}")).collect();
    let cells = vec!["SYS"; 2048].join("\t");
    let text = format!("\t{}\nGPU0\tX\t{cells}\n", names.join("\t"));
    assert!(error(&text).message().contains("more than 2048"));
    assert!(error(&format!("GPU0\tX\t{cells}\t{cells}\n")).message().contains("more than 2048"));
}

#[test]
fn a_large_matrix_is_read_and_noise_costs_little() {
    let names: Vec<String> = (0..1024).map(|index| format!("GPU{index}")).collect();
    let mut text = format!("\t{}\n", names.join("\t"));
    let row = |(row, name): (usize, &String)| {
        let cell = |column: usize| if column == row { "X" } else { "SYS" };
        let cells: Vec<&str> = (0..names.len()).map(cell).collect();
        [name, "\t", &cells.join("\t"), "\n"].concat()
    };
    text.extend(names.iter().enumerate().map(row));
    assert_eq!(parse(&text).gpus().len(), 1024);
    let noise = format!("{}\n{}", "GPU0 GPU1 ".repeat(200_000), "GPU0 GPU1 NIC0\n".repeat(20_000));
    assert_eq!(error(&noise).kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_cut_text_says_what_it_can() {
    let cut = |text: &str| parse(text);
    // The end of a number may be missing, unless the other half of the matrix tells.
    let alone = cut("\tGPU0\tGPU1\tGPU2\nGPU0\t X \tNV1");
    assert_eq!(word(&alone, "GPU0", "GPU1"), None);
    assert!(!alone.nvlink_known());
    let uniform = cut("\tGPU0\tGPU1\tGPU2\tGPU3\nGPU0\t X \tNV12\tNV1");
    assert_eq!(
        (word(&uniform, "GPU0", "GPU1").as_deref(), word(&uniform, "GPU0", "GPU2")),
        (Some("NV12"), None)
    );
    let mirrored = cut("\tGPU0\tGPU1\tGPU2\nGPU0\t X \tNV12\tNV12\nGPU1\tNV1");
    assert_eq!(word(&mirrored, "GPU0", "GPU1").as_deref(), Some("NV12"));
    let cpus = |text: &str| cut(text).gpus().map(|gpu| gpu.cpus.clone()).collect::<Vec<_>>();
    let full = |text: &str| Stated::Known(text.parse::<CpuSet>().unwrap());
    let head = "\tGPU0\tGPU1\tGPU2\tCPU Affinity\nGPU0\t X \tSYS\tSYS\t0-15\n";
    assert_eq!(cpus(&format!("{head}GPU1\tSYS\t X \tSYS\t16-3"))[1], Stated::Unreadable);
    assert_eq!(cpus(&format!("{head}GPU1\tSYS\t X \tSYS\t16-31"))[1], full("16-31"));
    assert_eq!(cpus(&format!("{head}GPU1\tSYS\t X \tSYS\t0-1\n"))[1], Stated::Unreadable);
    assert_eq!(cpus(&format!("{head}GPU1\tSYS\t X \tSYS\t"))[1], Stated::Unstated);
    assert_eq!(cpus(&format!("{head}GPU1\tSYS\t X"))[1..], [Stated::Unstated, Stated::Unstated]);
}

#[test]
fn columns_may_be_told_by_place_only() {
    let text = "        GPU0    GPU1    GPU2    CPU Affinity    NUMA Affinity
GPU0     X              SYS     0-15            0
GPU1             X      SYS                     0
GPU2    SYS     SYS      X      16-31           1
";
    let topology = parse(text);
    assert_eq!(word(&topology, "GPU0", "GPU1"), None);
    assert_eq!(word(&topology, "GPU1", "GPU2").as_deref(), Some("SYS"));
    let gpu = topology.gpus().nth(1).unwrap();
    assert_eq!((&gpu.cpus, gpu.nodes.known().unwrap().to_string().as_str()), (&Stated::Unreadable, "0"));
}

#[test]
fn nics_are_known_by_their_rdma_devices() {
    let text = format!("{PLAIN}\nLegend:\n\n  X    = Self\n\nNIC Legend:\n\n  NIC0: rocep49s0\n");
    let rdma = |text: &str| parse(text).nics().map(|nic| nic.rdma_device.clone()).collect::<Vec<_>>();
    assert_eq!(rdma(&text), [Some("rocep49s0".to_owned())]);
    assert_eq!(rdma(PLAIN), [None]);
    assert_eq!(rdma(&PLAIN.replace("NIC0", "mlx5_bond_0")), [Some("mlx5_bond_0".to_owned())]);
    assert_eq!(rdma(&PLAIN.replace("NIC0", "hfi1_0")), [Some("hfi1_0".to_owned())]);
    assert_eq!(rdma(&PLAIN.replace("NIC0", "DPU0")), [None]);
}

#[test]
fn absence_of_nvlink_is_no_proof_where_the_text_cannot_tell() {
    let bare = PLAIN.replace("NV4", "PHB");
    let legend = "\nLegend:\n\n  X    = Self\n  PIX  = Connection traversing at most a single PCIe bridge\n";
    let nv = "  NV#  = Connection traversing a bonded set of # NVLinks\n";
    for (text, known) in [
        (PLAIN.to_owned(), true),
        (bare.clone(), false),
        (format!("{bare}{legend}"), false),
        (format!("{bare}{legend}{nv}"), true),
        (format!("$ nvidia-smi topo -m\n{bare}{legend}{nv}"), true),
        (format!("$ nvidia-smi topo -m\n{bare}"), true),
        (format!("$ nvidia-smi topo -mp\n{bare}"), false),
        (format!("$ nvidia-smi topo --matrix_pci\n{bare}{legend}"), false),
        (format!("$ nvidia-smi topo -mp\n{bare}\n$ nvidia-smi topo -m\n{PLAIN}{legend}{nv}"), false),
    ] {
        assert_eq!(parse(&text).nvlink_known(), known, "{text}");
    }
}

#[test]
fn the_command_is_known_whatever_stands_around_it() {
    let bare = PLAIN.replace("NV4", "PHB");
    for (command, known) in [
        ("**Topology (`nvidia-smi topo --matrix`):**", true),
        ("Output of \"nvidia-smi topo -m\":", true),
        ("subprocess.run(['nvidia-smi', 'topo', '-m'])", true),
        ("(nvidia-smi topo -mp)", false),
        ("[nvidia-smi topo --matrix_pci]", false),
        ("topology of the machine", false),
    ] {
        assert_eq!(parse(&format!("{command}\n\n{bare}")).nvlink_known(), known, "{command}");
    }
}

#[test]
fn prose_that_names_gpus_begins_no_other_matrix() {
    let table = "| field | value |\n|---|---|\n| NVLink between GPU0/GPU1 | 4 active links |\n";
    for after in [table, "GPU0 GPU1\n", "The pair GPU0/GPU1 is used.\n"] {
        let topology = assert_plain(format!("{PLAIN}\n{after}").as_bytes());
        assert!(notes(&topology, NoteKind::Damage).is_empty(), "{after}: {:?}", topology.notes());
    }
}

#[test]
fn headings_that_people_write_are_known() {
    let md = |cpus: &str, nodes: &str| {
        format!(
            "| | GPU0 | GPU1 | {cpus} | {nodes} |\n|---|---|---|---|---|\n| GPU0 | X | SYS | 0-15 | 0 |\n| GPU1 | SYS | X | 16-31 | 1 |\n"
        )
    };
    let text = |cpus: &str, nodes: &str| {
        format!("\tGPU0\tGPU1\t{cpus}\t{nodes}\nGPU0\t X \tSYS\t0-15\t0\nGPU1\tSYS\t X \t16-31\t1\n")
    };
    for (cpus, nodes) in
        [("CPU", "NUMA"), ("CPUs", "NUMA node"), ("cpu affinity", "numa affinity"), ("CPU(s)", "NUMA nodes")]
    {
        for text in [md(cpus, nodes), text(cpus, nodes)] {
            let topology = parse(&text);
            let found: Vec<_> = topology
                .gpus()
                .map(|gpu| (gpu.cpus.known().unwrap().to_string(), gpu.nodes.known().unwrap().to_string()))
                .collect();
            let expected = [("0-15", "0"), ("16-31", "1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
    }
}

#[test]
fn a_header_without_any_white_space_comes_apart() {
    for header in [
        "GPU0GPU1NIC0CPU AffinityNUMA AffinityGPU NUMA ID",
        "GPU0GPU1NIC0CPU Affinity NUMA AffinityGPU NUMA ID",
    ] {
        let text = format!("{header}\n{}", PLAIN.split_once('\n').unwrap().1);
        assert_plain(text.as_bytes());
    }
    let text = "GPU0GPU1mlx5_0mlx5_1CPU AffinityNUMA Affinity
GPU0\t X \tNV4\tPIX\tSYS\t0-15\t0
GPU1\tNV4\t X \tSYS\tPIX\t16-31\t1
mlx5_0\tPIX\tSYS\t X \tSYS
mlx5_1\tSYS\tPIX\tSYS\t X
";
    let topology = parse(text);
    assert_eq!((topology.gpus().len(), topology.nics().len()), (2, 2));
    assert_eq!(word(&topology, "GPU1", "mlx5_1").as_deref(), Some("PIX"));
    assert_eq!(topology.gpus().nth(1).unwrap().nodes.known().unwrap().to_string(), "1");
}

fn chain(topology: &Topology, device: &str) -> Vec<String> {
    let id = topology.devices()[position(topology, device).unwrap()];
    let name = |kind: &NodeKind| match kind {
        NodeKind::PcieSwitch(_) => "switch".to_owned(),
        NodeKind::HostBridge(_) => "bridge".to_owned(),
        NodeKind::NumaNode(node) => format!("node {} ({})", node.os_index, node.cpus),
        NodeKind::Machine(_) => "machine".to_owned(),
        _ => "device".to_owned(),
    };
    topology.ancestors(id).skip(1).map(|id| name(&topology.node(id).kind)).collect()
}

#[test]
fn the_tree_explains_the_classes() {
    let text = "\tGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity
GPU0\t X \tPXB\tPHB\tSYS\tPIX\tSYS\t0-15\t0
GPU1\tPXB\t X \tPHB\tSYS\tPXB\tSYS\t0-15\t0
GPU2\tPHB\tPHB\t X \tSYS\tPHB\tSYS\t0-15\t0
GPU3\tSYS\tSYS\tSYS\t X \tSYS\tNODE\t16-31\t1
NIC0\tPIX\tPXB\tPHB\tSYS\t X \tSYS
NIC1\tSYS\tSYS\tSYS\tNODE\tSYS\t X
";
    let topology = parse(text);
    assert_eq!(chain(&topology, "GPU0"), ["switch", "switch", "bridge", "node 0 (0-15)", "machine"]);
    assert_eq!(chain(&topology, "NIC0"), chain(&topology, "GPU0"));
    assert_eq!(chain(&topology, "GPU1"), ["switch", "switch", "bridge", "node 0 (0-15)", "machine"]);
    assert_eq!(chain(&topology, "GPU2"), ["bridge", "node 0 (0-15)", "machine"]);
    assert_eq!(chain(&topology, "GPU3"), ["node 1 (16-31)", "machine"]);
    assert_eq!(chain(&topology, "NIC1"), ["node 1 (16-31)", "machine"]);
    assert!(notes(&topology, NoteKind::Conflict).is_empty(), "{:?}", topology.notes());
    let torn = parse(&text.replace("PHB", "SYS"));
    assert_eq!(notes(&torn, NoteKind::Conflict).len(), 1, "{:?}", torn.notes());
}

#[test]
fn nics_keep_the_order_of_their_columns() {
    let text = "\tGPU0\tNIC0\tNIC1\tNIC2\tCPU Affinity\tNUMA Affinity
GPU0\t X \tSYS\tPIX\tNODE\t0-15\t0
NIC0\tSYS\t X \tSYS\tSYS
NIC1\tPIX\tSYS\t X \tNODE
NIC2\tNODE\tSYS\tNODE\t X
";
    let topology = parse(text);
    let names: Vec<&str> = topology.nics().map(|nic| nic.name.as_str()).collect();
    assert_eq!(names, ["NIC0", "NIC1", "NIC2"]);
}

#[test]
fn many_links_mean_a_switch() {
    let mut text = "\tGPU0\tGPU1\tGPU2\tGPU3\nGPU0\t X \tNV12\tNV12\tNV12\n".to_owned();
    let topology = parse(&text);
    let switches = |topology: &Topology| {
        topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_))).count()
    };
    assert_eq!(switches(&topology), 1);
    assert_eq!(word(&topology, "GPU2", "GPU3").as_deref(), Some("NV12"));
    assert!(topology.nvlink_known());
    text = text.replace("NV12", "NV4");
    assert_eq!(switches(&parse(&text)), 0);
    assert_eq!(word(&parse(&text), "GPU2", "GPU3"), None);
}
