//! The columns beside the matrix: lists that are not finished, empty cells, and the place of each.

use super::{PLAIN, assert_plain, notes, parse};
use nvtopo::model::{Fragment, Gpu, NodeId, NoteKind, NumaNode, Provenance, Stated, TopologyBuilder};
use nvtopo::{CpuSet, NodeSet, Request, Topology};

fn of<T>(topology: &Topology, what: fn(&Gpu) -> &Stated<T>) -> Vec<String>
where
    T: ToString,
{
    let text = |stated: &Stated<T>| match stated {
        Stated::Known(set) => set.to_string(),
        Stated::NotAvailable => "N/A".to_owned(),
        Stated::Unreadable => "?".to_owned(),
        Stated::Unstated => String::new(),
    };
    topology.gpus().map(|gpu| text(what(gpu))).collect()
}

fn cpus(topology: &Topology) -> Vec<String> {
    of::<CpuSet>(topology, |gpu| &gpu.cpus)
}

fn nodes(topology: &Topology) -> Vec<String> {
    of::<NodeSet>(topology, |gpu| &gpu.nodes)
}

fn memory_nodes(topology: &Topology) -> Vec<String> {
    of::<u32>(topology, |gpu| &gpu.memory_node)
}

fn of_lists(first: &str, second: &str) -> String {
    PLAIN.replace("0-15", first).replace("16-31", second)
}

#[test]
fn a_list_of_six_entries_may_go_on() {
    let stops = "nvidia-smi stops a list of CPUs after six entries";
    for (first, second, expected) in [
        ("0,2,4,6,8,10", "1,3,5,7,9,11", ["?", "?"]),
        ("0-3,8-11,16-19,24-27,32-35,40-43", "4-7", ["?", "4-7"]),
        ("0-1,4,6,8,10,12", "64-127", ["?", "64-127"]),
        ("0,2,4,6,8", "1,3,5,7,9", ["0,2,4,6,8", "1,3,5,7,9"]),
        ("0-3,8-11", "4-7,12-15", ["0-3,8-11", "4-7,12-15"]),
        // What prints seven does not stop after six.
        ("0,2,4,6,8,10,12", "1,3,5,7,9,11", ["0,2,4,6,8,10,12", "1,3,5,7,9,11"]),
    ] {
        let topology = parse(&of_lists(first, second));
        assert_eq!(cpus(&topology), expected, "{first}");
        assert_eq!(nodes(&topology), ["0", "1"], "{first}");
        let unknown = notes(&topology, NoteKind::Unknown);
        let noted: Vec<&&str> = unknown.iter().filter(|note| note.starts_with(stops)).collect();
        assert_eq!(noted.len(), usize::from(expected.contains(&"?")), "{first}: {unknown:?}");
        for note in noted {
            assert!(note.contains(&format!("near to GPU0 at least {first}")), "{note}");
            assert_eq!(note.contains("GPU1"), expected[1] == "?", "{note}");
        }
        assert!(notes(&topology, NoteKind::Damage).is_empty(), "{first}");
    }
}

#[test]
fn no_cpus_are_concluded_from_a_list_that_may_go_on() {
    let topology = parse(&of_lists("0,2,4,6,8,10", "1,3,5,7,9,11"));
    assert_eq!(topology.numa_nodes().count(), 2);
    assert!(topology.cpus().is_empty(), "{:?}", topology.cpus());
    let shares = nvtopo::share_cpus(&topology, &nvtopo::CpuRules::default());
    assert!(shares.gpus.iter().all(|share| share.cpus.is_empty()), "{shares:?}");
    // One GPU's CPUs are known, and the other is not beside them.
    let topology = parse(&of_lists("0-15", "16,18,20,22,24,26"));
    assert_eq!(topology.cpus().to_string(), "0-15");
}

/// A machine as its kernel tells it: a GPU on each node.
fn kernel(cpus: [&str; 2]) -> Fragment {
    let mut fragment = Fragment::new(Provenance::Sysfs);
    for (index, cpus) in (0..).zip(cpus) {
        let numa = fact!(NumaNode::new(index), cpus = cpus.parse().unwrap());
        let numa = fragment.add(NodeId::MACHINE, numa);
        fragment.add(numa, Gpu::new(index));
    }
    fragment
}

fn text(text: &str) -> Fragment {
    nvtopo::source::parse("topo.txt", text.as_bytes()).unwrap()
}

#[test]
fn the_live_machine_ends_the_doubt_in_either_order() {
    let whole = ["0,2,4,6,8,10,12,14", "1,3,5,7,9,11,13,15"];
    let live = || kernel(whole);
    for (doubtful, said) in [
        (of_lists("0,2,4,6,8,10", "1,3,5,7,9,11"), "six entries"),
        (of_lists("0,2,4,6,8,10", ""), "is empty"),
        (PLAIN.replace("0-15\t0", "\t").replace("16-31\t1", "\t"), "is empty"),
    ] {
        let alone = parse(&doubtful);
        assert!(notes(&alone, NoteKind::Unknown).iter().any(|note| note.contains(said)), "{doubtful}");
        for fragments in [[text(&doubtful), live()], [live(), text(&doubtful)]] {
            let merged =
                fragments.into_iter().fold(TopologyBuilder::new(), TopologyBuilder::with).build().unwrap();
            for (gpu, expected) in whole.iter().enumerate() {
                let id = merged.devices()[gpu];
                assert_eq!(merged.local_cpus(id).known().unwrap().to_string(), *expected);
                assert_eq!(merged.local_nodes(id).known().unwrap().to_string(), gpu.to_string());
            }
            let conflicts = notes(&merged, NoteKind::Conflict);
            assert!(conflicts.iter().all(|note| note.contains("NVLinks")), "{conflicts:?}");
            assert!(!merged.notes().iter().any(|note| note.text.contains(said)), "{:?}", merged.notes());
        }
    }
}

/// The rows of a machine of four GPUs whose process may use the first node only.
fn in_cgroup(separate: fn(&str) -> String) -> String {
    let mut text = separate("\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n");
    for gpu in 0..4 {
        let cells: Vec<&str> = (0..4).map(|other| if other == gpu { " X " } else { "SYS" }).collect();
        let (cpus, node) = if gpu < 2 { ("0-15,56-71", "0") } else { ("", "1") };
        let row = format!("GPU{gpu}\t{}\t{cpus}\t{node}\t\tN/A\n", cells.join("\t"));
        text.push_str(&separate(&row));
    }
    text
}

#[test]
fn an_empty_cell_is_known_by_the_stops_that_tabs_became() {
    type Way = (&'static str, fn(&str) -> String);
    let ways: [Way; 9] = [
        ("tabs", str::to_owned),
        ("stops", |line| super::expand(line)),
        ("stops behind a prefix", |line| format!("# {}", super::expand(line))),
        ("a prefix before stops", |line| super::expand(&format!("# {line}"))),
        ("a long prefix before stops", |line| super::expand(&format!("node01: {line}"))),
        ("stops of 4", |line| {
            let mut shown = String::new();
            for c in line.chars() {
                if c == '\t' { shown.push_str(&" ".repeat(4 - shown.len() % 4)) } else { shown.push(c) }
            }
            shown
        }),
        ("four spaces", |line| line.replace('\t', "    ")),
        ("one space", |line| line.replace('\t', " ")),
        ("squeezed", |line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"),
    ];
    for (way, separate) in ways {
        let once = in_cgroup(separate);
        for text in [once.clone(), format!("{once}\nLegend:\n\n  X    = Self\n"), once.trim_end().to_owned()]
        {
            let topology = parse(&text);
            assert_eq!(cpus(&topology), ["0-15,56-71", "0-15,56-71", "?", "?"], "{way}\n{text}");
            assert_eq!(nodes(&topology), ["0", "0", "1", "1"], "{way}\n{text}");
            assert_eq!(memory_nodes(&topology), ["N/A"; 4], "{way}\n{text}");
            assert!(notes(&topology, NoteKind::Damage).is_empty(), "{way}: {:?}", topology.notes());
            let unknown = notes(&topology, NoteKind::Unknown).join("; ");
            assert!(
                unknown.contains("CPU affinity is empty") && unknown.contains(": GPU2, GPU3"),
                "{unknown}"
            );
        }
    }
}

#[test]
fn gpus_whose_cpus_may_not_be_used_take_none_from_the_others() {
    let topology = parse(&in_cgroup(str::to_owned));
    let place = |gpus: Vec<u32>| Request::gpus(gpus.len()).only(gpus).solve(&topology).unwrap();
    let near = place(vec![0, 1]);
    assert_eq!(near.cpus().to_string(), "0-15,56-71");
    let [first, second] = near.gpus() else { panic!("{near:?}") };
    assert!(first.cpus.is_disjoint(&second.cpus), "{near:?}");
    // A job on another has to run somewhere, and is told.
    let far = place(vec![2]);
    assert!(!far.cpus().is_empty());
    assert!(
        far.remarks().iter().any(|remark| remark.contains("near GPU2 is unknown; CPUs of other")),
        "{far:?}"
    );
}

#[test]
fn only_the_last_cell_is_there() {
    let text = "\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV4\tPIX\t\t\t\tN/A
GPU1\tNV4\t X \tSYS\t\t\t\tN/A
NIC0\tPIX\tSYS\t X \t\t\t\t
";
    let squeezed: String =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect();
    let shown: String = text.lines().map(|line| super::expand(line) + "\n").collect();
    for text in [text.to_owned(), shown, text.replace('\t', "   "), squeezed] {
        let topology = parse(&text);
        assert_eq!(
            (cpus(&topology), nodes(&topology)),
            (vec!["?".to_owned(); 2], vec!["?".to_owned(); 2]),
            "{text}"
        );
        assert_eq!(memory_nodes(&topology), ["N/A"; 2], "{text}");
        assert!(notes(&topology, NoteKind::Damage).is_empty(), "{:?}", topology.notes());
    }
    assert_plain(PLAIN.as_bytes());
}

/// Two GPUs beside each of two nodes with CPUs, with what stands under `NUMA Affinity` and `GPU NUMA ID`.
fn four(lists: [&str; 2], memory: [&str; 4]) -> Topology {
    let mut text = "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n".to_owned();
    for (gpu, memory) in memory.into_iter().enumerate() {
        let cells: Vec<&str> = (0..4).map(|other| if other == gpu { " X " } else { "NV18" }).collect();
        let (cpus, list) = (["0-71", "72-143"][gpu / 2], lists[gpu / 2]);
        let row = format!("GPU{gpu}\t{}\t{cpus}\t{list}\t\t{memory}\n", cells.join("\t"));
        text.push_str(&row);
    }
    parse(&text)
}

#[test]
fn of_nodes_for_the_memory_of_gpus_the_one_with_cpus_counts() {
    let (own, none) = (["2", "10", "18", "26"], ["N/A"; 4]);
    let inferred = |topology: &Topology| {
        let mut notes = notes(topology, NoteKind::Inferred);
        notes.retain(|note| note.contains("kept for the memory of GPUs"));
        notes.join("; ")
    };
    let span = |topology: &Topology, gpus: [u32; 2]| {
        let placement = Request::gpus(2).only(gpus).objectives(["numa-span"]).solve(topology).unwrap();
        placement.scores().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for (lists, memory) in [
        (["0,3-9,11-17", "1,19-25,27-33"], own),
        (["0,2-17", "1,18-33"], own),
        (["0,3-9,11-17", "1,19-25,27-33"], none),
        (["0-1", "2-3"], ["4", "5", "6", "7"]),
        (["0,2-9", "1,10-17"], ["2", "N/A", "10", "N/A"]),
    ] {
        let topology = four(lists, memory);
        let low = |list: &str| list.split(['-', ',']).next().unwrap().to_owned();
        let [a, b] = lists.map(low);
        assert_eq!(nodes(&topology), [a.clone(), a, b.clone(), b], "{lists:?}");
        assert!(inferred(&topology).contains("GPU0, GPU1, GPU2, GPU3"), "{:?}", topology.notes());
        let with_cpus = topology.numa_nodes().filter(|numa| !numa.cpus.is_empty());
        assert_eq!(with_cpus.count(), 2, "{lists:?}");
        assert!(span(&topology, [0, 1]).contains("1 NUMA node"), "{}", span(&topology, [0, 1]));
        assert!(span(&topology, [0, 2]).contains("2 NUMA nodes"), "{}", span(&topology, [0, 2]));
    }
    // Nodes with CPUs, of which a GPU may well be near to several.
    for lists in [["0-1", "0-1"], ["0-7", "0-7"], ["0-1", "2-3"], ["0-7", "8-15"], ["0,2", "1,3"]] {
        let topology = four(lists, none);
        let [a, b] = lists.map(|list| list.parse::<NodeSet>().unwrap().to_string());
        assert_eq!(nodes(&topology), [a.clone(), a, b.clone(), b], "{lists:?}");
        assert!(inferred(&topology).is_empty(), "{:?}", topology.notes());
    }
    // Lists that begin alike beside other CPUs tell nothing.
    let topology = four(["0,3-9,11-17", "0,19-25,27-33"], own);
    assert!(inferred(&topology).is_empty(), "{:?}", topology.notes());
    let unknown = notes(&topology, NoteKind::Unknown).join("; ");
    assert!(unknown.contains("which of them have CPUs is unknown: GPU0"), "{unknown}");
}

#[test]
fn nics_are_on_the_node_that_their_cells_tell() {
    let cut = "\tGPU0\tGPU1\tGPU2\tNIC0\tNIC1\tNIC2\tNIC3\tCPU Affinity\tNUMA Affinity
GPU0\t X \tNV4\tSYS\tNODE\tNODE\tNODE\tSYS\t0-15\t0
GPU1\tNV4\t X \tSYS\tNODE\tNODE\tNODE\tSYS\t0-15\t0
GPU2\tSYS\tSYS\t X \tSYS\tSYS\tSYS\tNODE\t16-31\t1
";
    for text in [cut.to_owned(), format!("{cut}NIC0\tNODE\tNO"), super::expand(cut)] {
        let topology = parse(&text);
        let nodes: Vec<String> = topology
            .devices()
            .iter()
            .map(|id| topology.local_nodes(*id).known().map(ToString::to_string).unwrap_or_default())
            .collect();
        assert_eq!(nodes, ["0", "0", "1", "0", "0", "0", "1"], "{text}");
        for (a, b) in [("NIC0", "NIC1"), ("NIC1", "NIC2")] {
            assert_eq!(super::word(&topology, a, b), None, "{text}");
        }
        let unknown = notes(&topology, NoteKind::Unknown).join("; ");
        assert!(unknown.contains("does not say what lies between"), "{unknown}");
    }
}

#[test]
fn columns_that_are_left_out_are_named() {
    let unknown = |text: &str| notes(&parse(text), NoteKind::Unknown).join("; ");
    let more = PLAIN.replace("GPU NUMA ID", "GPU NUMA ID\tPower Zone").replace("N/A", "N/A\t7");
    assert!(
        unknown(&more).contains("1 column of the matrix left out") && unknown(&more).contains("'Power Zone'")
    );
    assert!(!unknown(PLAIN).contains("left out"));
    let table = "| host | name | GPU0 | GPU1 | CPU Affinity | remark |\n|---|---|---|---|---|---|
| a | GPU0 | X | SYS | 0-15 | fast |\n| a | GPU1 | SYS | X | 16-31 | |\n";
    let said = unknown(table);
    assert!(said.contains("2 columns of the matrix left out") && said.contains("'host', 'remark'"), "{said}");
}

#[test]
fn a_tag_above_a_matrix_hides_nothing() {
    for tag in [
        "<details>\n<summary>nvidia-smi topo -m</summary>\n\n",
        "<pre>\n",
        "<pre>",
        "<!-- topo -m -->\n",
        "<br>\n",
    ] {
        assert_plain(format!("{tag}{PLAIN}").as_bytes());
    }
    assert!(super::error(&format!("<?xml version=\"1.0\"?>\n<nvidia_smi_log>\n{PLAIN}")).message().len() > 3);
}
