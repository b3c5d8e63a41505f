//! What stands beside the matrix: lists that are not finished, empty cells, and the place of each.

use super::{PLAIN, assert_plain, notes, parse};
use nvtopo::model::{
    Fragment, Gpu, NodeId, NodeKind, NoteKind, NumaNode, Provenance, Stated, TopologyBuilder,
};
use nvtopo::source::{Input, SOURCES};
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
    let shares = nvtopo::share_cpus(&topology, &nvtopo::CpuLimits::default());
    assert!(shares.gpus.iter().all(|share| share.cpus.is_empty()), "{shares:?}");
    // One GPU's CPUs are known, and the other is not beside them.
    let topology = parse(&of_lists("0-15", "16,18,20,22,24,26"));
    assert_eq!(topology.cpus().to_string(), "0-15");
}

/// A machine as its kernel tells it: a GPU on each node.
fn kernel(cpus: [&str; 2]) -> Fragment {
    let mut fragment = Fragment::new(Provenance::Sysfs);
    for (index, cpus) in (0..).zip(cpus) {
        let numa = NumaNode { os_index: index, cpus: cpus.parse().unwrap(), ..NumaNode::default() };
        let numa = fragment.add(NodeId::MACHINE, NodeKind::NumaNode(numa));
        fragment.add(numa, NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() })));
    }
    fragment
}

fn text(text: &str) -> Fragment {
    let input = Input::Text { name: "topo.txt", bytes: text.as_bytes() };
    SOURCES.iter().find(|source| source.recognizes(input)).unwrap().read(input).unwrap()
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
