//! The text of `numactl --hardware`.

use nvtopo::model::{NoteCode, NumaNode, Provenance};
use nvtopo::{CpuSet, Topology};

fn recorded(name: &str) -> Topology {
    let bytes = std::fs::read(super::data("numa").join(name)).unwrap();
    Topology::parse(name, &bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn node(topology: &Topology, os_index: u32) -> &NumaNode {
    topology.numa_nodes().find(|node| node.os_index == os_index).unwrap()
}

fn numbers(topology: &Topology) -> Vec<u32> {
    topology.numa_nodes().map(|node| node.os_index).collect()
}

/// The memory of a node whose size the tool gives in MiB.
fn mib(size: u64) -> Option<u64> {
    size.checked_shl(20)
}

fn codes(topology: &Topology) -> Vec<NoteCode> {
    topology.notes().iter().map(nvtopo::model::Note::code).collect()
}

fn is_distance_matrix(topology: &Topology, rows: &[(u32, &[u32])]) {
    for (from, row) in rows {
        let told: Vec<(u32, u32)> = rows.iter().map(|(to, _)| *to).zip(row.iter().copied()).collect();
        let told: Vec<(u32, u32)> = told.into_iter().filter(|(to, _)| to != from).collect();
        assert_eq!(node(topology, *from).distances, told, "from {from}");
    }
}

#[test]
fn nodes_have_their_cpus_memory_and_distances() {
    let topology = recorded("numactl-h-2node-distance32.txt");
    assert_eq!(numbers(&topology), [0, 1]);
    assert_eq!(node(&topology, 0).cpus.to_string(), "0-23");
    assert_eq!(node(&topology, 1).cpus.to_string(), "24-47");
    assert_eq!((node(&topology, 0).memory, node(&topology, 1).memory), (mib(515_346), mib(516_087)));
    is_distance_matrix(&topology, &[(0, &[10, 32]), (1, &[32, 10])]);
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());
    assert!(topology.gpus().len() == 0 && topology.nics().len() == 0);
    let (_, first) = topology.nodes().nth(1).unwrap();
    assert_eq!(first.provenance, Provenance::SystemTool);

    let topology = recorded("numactl-h-2node-interleaved-cpus.txt");
    let even: CpuSet = (0..48).step_by(2).collect();
    let odd: CpuSet = (1..48).step_by(2).collect();
    assert_eq!((&node(&topology, 0).cpus, &node(&topology, 1).cpus), (&even, &odd));
    assert_eq!((node(&topology, 0).memory, node(&topology, 1).memory), (mib(515_192), mib(516_088)));
    is_distance_matrix(&topology, &[(0, &[10, 20]), (1, &[20, 10])]);
}

#[test]
fn a_ring_of_sockets_has_two_distances() {
    let topology = recorded("numactl-h-4node-4socket-ring-distance.txt");
    let cpus: Vec<String> = topology.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!(cpus, ["0-9", "10-19", "20-29", "30-39"]);
    assert_eq!(node(&topology, 0).memory, mib(131_039));
    assert!([1, 2, 3].iter().all(|number| node(&topology, *number).memory == mib(131_072)));
    let rows: [(u32, &[u32]); 4] =
        [(0, &[10, 21, 30, 21]), (1, &[21, 10, 21, 30]), (2, &[30, 21, 10, 21]), (3, &[21, 30, 21, 10])];
    is_distance_matrix(&topology, &rows);
}

#[test]
fn an_ellipsis_hides_cpus_and_nodes_and_makes_no_memory_only_ones() {
    let topology = recorded("numactl-h-dardel-8node-elided-cpus.txt");
    assert_eq!(numbers(&topology), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(topology.cpus().is_empty());
    assert_eq!((node(&topology, 0).memory, node(&topology, 7).memory), (mib(31_620), mib(32_246)));
    assert!((1..7).all(|number| node(&topology, number).memory.is_none()));
    assert_eq!(codes(&topology), [NoteCode::TextCut, NoteCode::NumaCpusUnknown]);
    let said: Vec<&str> = topology.notes().iter().map(|note| &*note.text).collect();
    assert!(said[1].contains("NUMA nodes 0-7") && said[0].contains("line 5"), "{said:?}");
}

#[test]
fn nodes_without_memory_have_none() {
    let topology = recorded("numactl-h-epyc7401-8node-memoryless.txt");
    assert_eq!(numbers(&topology), [0, 1, 2, 3, 4, 5, 6, 7]);
    let firsts = [0, 2, 4, 6, 1, 3, 5, 7];
    for (number, first) in (0..).zip(firsts) {
        let cpus: CpuSet = (first..96).step_by(8).collect();
        assert_eq!(node(&topology, number).cpus, cpus);
        assert!(node(&topology, number).distances.is_empty());
        let memory = match number {
            1 => mib(31_584),
            5 => mib(32_214),
            _ => Some(0),
        };
        assert_eq!(node(&topology, number).memory, memory);
    }
}

#[test]
fn mail_wraps_quotes_and_encodes() {
    let topology = recorded("numactl-h-ibm-p730-cpu-node-without-memory-wrapped.txt");
    assert_eq!(node(&topology, 0).cpus.to_string(), "0-31");
    assert!(node(&topology, 1).cpus.is_empty());
    assert_eq!((node(&topology, 0).memory, node(&topology, 1).memory), (Some(0), mib(12_288)));
    is_distance_matrix(&topology, &[(0, &[10, 40]), (1, &[40, 10])]);
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());

    let topology = recorded("numactl-h-kunpeng920-4node-quoted-mail.txt");
    let cpus: Vec<String> = topology.numa_nodes().map(|node| node.cpus.to_string()).collect();
    assert_eq!(cpus, ["0-23", "24-47", "48-71", "72-95"]);
    let memory: Vec<Option<u64>> = topology.numa_nodes().map(|node| node.memory).collect();
    assert_eq!(memory, [mib(128_669), mib(128_997), mib(129_021), mib(127_993)]);
    let rows: [(u32, &[u32]); 4] =
        [(0, &[10, 12, 20, 22]), (1, &[12, 10, 22, 24]), (2, &[20, 22, 10, 12]), (3, &[22, 24, 12, 10])];
    is_distance_matrix(&topology, &rows);

    let topology = recorded("numactl-h-power9-gpu-nodes-252-255-mail-wrapped.txt");
    assert_eq!(numbers(&topology), [0, 8, 252, 253, 254, 255]);
    assert_eq!(node(&topology, 0).cpus.to_string(), "0-63");
    assert_eq!(node(&topology, 8).cpus.to_string(), "64-127");
    assert_eq!((node(&topology, 0).memory, node(&topology, 8).memory), (mib(130_210), mib(130_784)));
    for number in 252..=255 {
        assert!(node(&topology, number).cpus.is_empty() && node(&topology, number).memory == Some(0));
    }
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());
}

#[test]
fn lines_that_are_lost_are_noted() {
    let text = "available: 3 nodes (0-1)\nnode 0 cpus: 0 1\nnode 0 size: 10 MB\nnode distances:\nnode 0 1\n 0: 10 20\n 1: 20\n";
    let topology = Topology::parse("numa", text.as_bytes()).unwrap();
    assert_eq!(numbers(&topology), [0, 1]);
    assert_eq!(node(&topology, 0).distances, [(1, 20)]);
    assert!(node(&topology, 1).distances.is_empty());
    let codes = codes(&topology);
    for code in [NoteCode::Damage, NoteCode::TextCut, NoteCode::NumaCpusUnknown] {
        assert!(codes.contains(&code), "{code:?}: {:?}", topology.notes());
    }
    let unknown = "node 0 cpus: 0 1\nnode 0 size: <not available>\n";
    assert_eq!(node(&Topology::parse("numa", unknown.as_bytes()).unwrap(), 0).memory, None);
    let fake = "node 0 cpus: 0 1\nnode 1 cpus: 0 1\n";
    let topology = Topology::parse("numa", fake.as_bytes()).unwrap();
    assert!(node(&topology, 1).cpus.is_empty());
    assert!(topology.notes().iter().any(|note| note.code() == NoteCode::Conflict));
}

#[test]
fn wrong_text_is_refused_with_its_place() {
    for (text, line, column, words) in [
        ("node 0 cpus: 0 x 2\n", 1, 16, "'x'"),
        ("> node 0 cpus: 0\n> node 0 size: many MB\n", 2, 16, "'many MB'"),
        ("node 0 cpus: 0 70000\n", 1, 16, "'70000'"),
        ("node 0 size: 99999999999999999 MB\n", 1, 14, "no size"),
        ("node 0 cpus: 0\nnode 0 cpus: 1\n", 2, 1, "twice"),
        ("node 0 cpus: 0\nnode distances:\nnode 0\n 0: 10 20\n", 4, 8, "more distances"),
        ("node 0 cpus: 0\nnode distances:\nnode 0\n 0: ten\n", 4, 5, "'ten'"),
        ("node 0 cpus: 0 =\n1 y\n", 2, 3, "'y'"),
    ] {
        let error = Topology::parse("numa", text.as_bytes()).unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn nothing_that_is_cut_or_changed_breaks_the_reader() {
    for path in super::files("numa", ".txt") {
        let bytes = std::fs::read(&path).unwrap();
        for end in (0..bytes.len()).step_by(11) {
            let _ = Topology::parse("cut", &bytes[..end]);
        }
        for at in (0..bytes.len()).step_by(23) {
            for byte in [b'9', b' ', b'\n', b'.', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = Topology::parse("changed", &changed);
            }
        }
    }
}
