//! Texts that lost their shape on the way: literals in source code, all on one line, tables that lost a cell, glued rows.

use super::{affinities_of, error, notes, parse, word};
use nvtopo::Topology;
use nvtopo::model::{NoteKind, Stated};

const WHOLE: &str = "\tGPU0\tGPU1\tNIC0\tmlx5_1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV12\tPIX\tSYS\t0-15,32-47\t0\t\tN/A
GPU1\tNV12\t X \tSYS\tNODE\t16-31,48-63\t1\t\tN/A
NIC0\tPIX\tSYS\t X \tSYS\t\t\t\t
mlx5_1\tSYS\tNODE\tSYS\t X \t\t\t\t

Legend:

  X    = Self
  NV#  = Connection traversing a bonded set of # NVLinks
";

/// All that is read of the text, as far as its shape can change it.
fn told(topology: &Topology) -> Vec<String> {
    let names: Vec<String> =
        (0..topology.devices().len()).map(|device| topology.device_name(device)).collect();
    let words = names.iter().flat_map(|a| names.iter().map(move |b| word(topology, a, b)));
    let words: Vec<String> = words.map(Option::unwrap_or_default).collect();
    [names.clone(), words, affinities_of(topology)].concat()
}

fn each_line(show: impl Fn(&str) -> String) -> String {
    WHOLE.lines().map(|line| show(line) + "\n").collect()
}

#[test]
fn literals_of_source_code_are_read_as_what_they_hold() {
    let whole = told(&parse(WHOLE));
    let escaped = |line: &str| line.replace('\t', "\\t");
    let joined = WHOLE.replace('\t', "\\t").replace('\n', "\\n");
    let coloured =
        joined.replacen("GPU0", "\\x1b[4mGPU0", 1).replacen("GPU NUMA ID", "GPU NUMA ID\\x1b[0m", 1);
    for (way, text) in [
        ("Python", each_line(|line| format!("    \"{}\\n\"", escaped(line)))),
        (
            "Java",
            format!("String text = \"\"{};\n", each_line(|line| format!("\n    + \"{}\\n\"", escaped(line)))),
        ),
        ("C", format!("puts({});", each_line(|line| format!("'{}\\r\\n'", escaped(line))))),
        ("list", each_line(|line| format!("  \"{}\",", escaped(line)))),
        ("no quotes", each_line(escaped)),
        ("one literal", format!("const TOPO: &str = \"{joined}\";\n")),
        ("coloured", format!("topo = '{coloured}'\n")),
        ("octal", format!("topo = '{}'\n", coloured.replace("\\x1b", "\\033"))),
        ("unicode", format!("topo = '{}'\n", coloured.replace("\\x1b", "\\u001b"))),
        ("twice", format!("text: \"{}\"\n", joined.replace('\\', "\\\\"))),
    ] {
        let topology = parse(&text);
        assert_eq!(told(&topology), whole, "{way}\n{text}");
        assert!(notes(&topology, NoteKind::Damage).is_empty(), "{way}: {:?}", topology.notes());
    }
    // Places are those of the input.
    let wrong = each_line(|line| format!("  \"{}\\n\",", escaped(line))).replacen("NODE", "NEAR", 1);
    let at = error(&wrong);
    let line = wrong.lines().nth(2).unwrap();
    assert_eq!((at.line(), at.column()), (Some(3), line.find("NEAR").map(|at| at + 1)), "{at}");
    let wrong = joined.replacen("NODE", "NEAR", 1);
    let at = error(&wrong);
    assert_eq!((at.line(), at.column()), (Some(1), wrong.find("NEAR").map(|at| at + 1)), "{at}");
}

#[test]
fn a_text_on_one_line_is_read() {
    let whole = told(&parse(WHOLE));
    let tabs = WHOLE.replace('\n', " ");
    let spaces = tabs.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        tabs,
        spaces.clone(),
        format!("GPU Topology: {spaces}"),
        format!("$ nvidia-smi topo -m {spaces}\nBye.\n"),
    ] {
        let topology = parse(&text);
        assert_eq!(told(&topology), whole, "{text}");
        assert!(notes(&topology, NoteKind::Damage).is_empty(), "{:?}", topology.notes());
    }
    let wrong = spaces.replacen("NODE", "NEAR", 1);
    let at = error(&wrong);
    assert_eq!((at.line(), at.column()), (Some(1), wrong.find("NEAR").map(|at| at + 1)), "{at}");
    // Cut anywhere behind the first row, nothing is made of it that is not in the whole.
    let first = spaces.find("GPU1 NV12").unwrap();
    let end = spaces.find("Legend").unwrap();
    for cut in first..end {
        let Ok(topology) = Topology::parse("t", &spaces.as_bytes()[..cut]) else { continue };
        for (a, b) in [("GPU0", "GPU1"), ("GPU0", "NIC0"), ("GPU1", "mlx5_1"), ("NIC0", "mlx5_1")] {
            let known = word(&topology, a, b);
            assert!(known.is_none() || known == word(&parse(WHOLE), a, b), "{cut} {a} {b}: {known:?}");
        }
        for (cut_gpu, gpu) in topology.gpus().zip(parse(WHOLE).gpus()) {
            assert!(cut_gpu.cpus.known().is_none() || cut_gpu.cpus == gpu.cpus, "{:?}", &spaces[..cut]);
        }
    }
    // A sentence that names GPUs is none.
    assert!(Topology::parse("t", b"GPU0 and GPU1 share GPU0 X what").is_err());
}

#[test]
fn a_table_may_lack_its_first_cell() {
    let table = |header: &str| {
        format!(
            "{header}\n|---|---|---|---|---|\n| GPU0 | X | NODE | 0-31 | 0 |\n| GPU1 | NODE | X | 0-31 | 0 |\n"
        )
    };
    let whole = told(&parse(&table("| | GPU0 | GPU1 | CPU Affinity | NUMA Affinity |")));
    for header in [
        "| GPU0 | GPU1 | CPU Affinity | NUMA Affinity | |",
        "| GPU0 | GPU1 | CPU Affinity | NUMA Affinity |",
        "| **GPU0** | **GPU1** | CPU Affinity | NUMA Affinity |",
    ] {
        let topology = parse(&table(header));
        assert_eq!(told(&topology), whole, "{header}");
        assert!(notes(&topology, NoteKind::Damage)[0].contains("lacks the cell above the names"), "{header}");
    }
    let plain = parse(&table("| | GPU0 | GPU1 | CPU Affinity | NUMA Affinity |"));
    assert!(notes(&plain, NoteKind::Damage).is_empty());
}

#[test]
fn glued_rows_tell_the_classes_and_no_list_that_may_be_two() {
    let topology = parse(include_str!("../data/topo-m-quoted/glued-rows.txt"));
    assert_eq!(word(&topology, "GPU0", "GPU2").as_deref(), Some("NODE"));
    assert!(topology.gpus().all(|gpu| gpu.cpus == Stated::Unreadable && gpu.nodes == Stated::Unstated));
    assert!(notes(&topology, NoteKind::Damage).iter().any(|note| note.contains("0-310N/A (run together)")));
    // One list alone is one.
    let alone = parse("GPU0GPU1CPU Affinity\nGPU0XNODE0-31\nGPU1NODEX32-63\n");
    let cpus: Vec<String> = alone.gpus().map(|gpu| gpu.cpus.known().unwrap().to_string()).collect();
    assert_eq!(cpus, ["0-31", "32-63"]);
    // Two are not, without anything between them.
    let two = parse("GPU0GPU1CPU AffinityNUMA Affinity\nGPU0XNODE0-310\nGPU1NODEX32-631\n");
    assert!(two.gpus().all(|gpu| gpu.cpus == Stated::Unreadable && gpu.nodes == Stated::Unstated));
    let last =
        parse("\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNODE0-310\nGPU1\tNODE\t X 0-310\n");
    assert!(last.gpus().all(|gpu| gpu.cpus == Stated::Unreadable), "{:?}", last.notes());
}

#[test]
fn published_texts_without_shape_are_read() {
    let read = |text: &str| {
        let topology = parse(text);
        let cpus: Vec<String> = topology.gpus().map(|gpu| gpu.cpus.known().unwrap().to_string()).collect();
        (cpus, topology)
    };
    let (cpus, topology) = read(include_str!("../data/topo-m-quoted/python-literal.txt"));
    assert_eq!(cpus, ["0-191", "0-191", "192-383", "192-383"]);
    assert_eq!(word(&topology, "GPU1", "NIC0").as_deref(), Some("NODE"));
    let (cpus, topology) = read(include_str!("../data/topo-m-quoted/java-literal-cut.txt"));
    assert_eq!((cpus, word(&topology, "GPU2", "GPU3").as_deref()), (vec!["0-31".to_owned(); 4], Some("PHB")));
    let (cpus, topology) = read(include_str!("../data/topo-m-quoted/one-line-cut.txt"));
    assert_eq!(
        (cpus, topology.pairs().pair(0, 1).nvlinks),
        (vec!["0-23".to_owned(), "24-47".to_owned()], 12)
    );
    assert_eq!(word(&topology, "NIC0", "NIC1").as_deref(), Some("NODE"));
    let (cpus, topology) = read(include_str!("../data/topo-m-quoted/md-header-lacks-first-cell.txt"));
    assert_eq!(
        (cpus, word(&topology, "GPU0", "GPU2").as_deref()),
        (vec!["0-31".to_owned(); 3], Some("NODE"))
    );
}
