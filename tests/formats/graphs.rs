//! DOT, `GraphML` and CSV: every node, link and pair of every preset and recorded machine is in them.

use super::files;
use nvtopo::Topology;
use nvtopo::model::NoteCode;
use nvtopo::source::{Locator, PRESETS};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn machines() -> Vec<(String, Topology)> {
    let presets =
        PRESETS.iter().map(|preset| (preset.name.to_owned(), Topology::preset(preset.name).unwrap()));
    let texts = files("topo-m", ".txt").into_iter().chain(files("hwloc-xml", ".xml"));
    let recorded = texts.filter_map(|path| {
        let topology = Topology::open(&[Locator::Path(path.clone())]).ok()?;
        Some((path.display().to_string(), topology))
    });
    presets.chain(recorded).collect()
}

#[test]
fn graphml_holds_every_node_and_link_with_types() {
    for (name, topology) in machines() {
        let text = topology.write("graphml").unwrap().text;
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let all = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag)).count();
        assert_eq!(all("node"), topology.node_count(), "{name}");
        assert_eq!(all("edge"), topology.node_count() - 1 + topology.links().len(), "{name}");
        let keys: BTreeSet<&str> = document
            .descendants()
            .filter(|node| node.tag_name().name() == "key")
            .map(|key| key.attribute("id").unwrap())
            .collect();
        for data in document.descendants().filter(|node| node.tag_name().name() == "data") {
            assert!(keys.contains(data.attribute("key").unwrap()), "{name}");
        }
    }
}

#[test]
fn csv_has_a_line_for_each_pair() {
    for (name, topology) in machines() {
        let text = topology.write("csv").unwrap().text;
        let devices = topology.devices().len();
        let mut lines = text.lines();
        let columns = lines.next().unwrap().split(',').count();
        assert_eq!(lines.clone().count(), devices * devices.saturating_sub(1) / 2, "{name}");
        assert!(lines.all(|line| line.contains('"') || line.split(',').count() == columns), "{name}");
    }
    let text = Topology::preset("dgx-1-v100").unwrap().write("csv").unwrap().text;
    assert!(text.contains("\nGPU0,GPU3,NVL,2,50,nominal,,,\n"), "{text}");
    assert!(text.contains("\nGPU0,GPU5,SYS,0,"), "{text}");
}

#[test]
fn links_between_sockets_have_labels_that_every_graphviz_can_place() {
    let dot = Topology::preset("dgx-a100").unwrap().write("dot").unwrap().text;
    let free: Vec<&str> = dot.lines().filter(|line| line.contains("constraint=false")).collect();
    assert!(!free.is_empty());
    // Version 2.43 ends with an error at a label of an edge that constrains nothing.
    assert!(free.iter().all(|line| line.contains("[xlabel=")), "{free:?}");
}

#[test]
fn names_do_not_break_out() {
    let text = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,"nodes":[
        {"machine":{"product":"a \"b\" <c> & \\d"}},{"gpu":{"parent":0,"index":0,"model":"x\"];evil[\n]]>"}},
        {"nic":{"parent":0,"name":"mlx,\"0\""}}]}}"#;
    let topology = Topology::parse("made", text.as_bytes()).unwrap();
    let csv = topology.write("csv").unwrap().text;
    assert!(csv.contains("\nGPU0,\"mlx,\"\"0\"\"\","), "{csv}");
    let graphml = topology.write("graphml").unwrap().text;
    let document = roxmltree::Document::parse(&graphml).unwrap();
    assert!(document.descendants().any(|node| node.text() == Some("a \"b\" <c> & \\d")), "{graphml}");
    let dot = topology.write("dot").unwrap().text;
    assert!(dot.contains(r#"label="a \"b\" <c> & \\d";"#) && dot.contains(r#"x\"];evil["#), "{dot}");
    check_dot("made", &dot);
}

#[test]
fn names_are_no_formulas_in_spreadsheets() {
    let written = |name: &str| {
        let nodes = serde_json::json!([{"machine": {}}, {"gpu": {"parent": 0, "index": 0}}, {"nic": {"parent": 0, "name": name}}]);
        let text = serde_json::json!({"format": "nvtopo-topology", "version": 1,
            "topology": {"source": "sysfs", "nvlink_known": true, "nodes": nodes}});
        let topology = Topology::parse("made", text.to_string().as_bytes()).unwrap();
        let csv = topology.write("csv").unwrap().text;
        csv.lines().nth(1).unwrap().strip_prefix("GPU0,").unwrap().to_owned()
    };
    for (name, cell) in [
        ("=1+2", "\"'=1+2\","),
        ("+1", "\"'+1\","),
        ("-1", "\"'-1\","),
        ("@SUM(A1)", "\"'@SUM(A1)\","),
        ("=cmd|' /C calc'!\"A0\"", "\"'=cmd|' /C calc'!\"\"A0\"\"\","),
        ("＝1", "\"'＝1\","),
        ("mlx5_0", "mlx5_0,"),
    ] {
        assert!(written(name).starts_with(cell), "{}", written(name));
    }
    // Tabs and ends of lines are written as their escapes, which begin no formula.
    assert!(written("\t=1").starts_with('\\') && written("\r=1").starts_with('\\'), "{}", written("\t=1"));
}

#[test]
fn nvlinks_that_are_unknown_are_written_as_unknown() {
    let text = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":KNOWN,"nodes":[
        {"machine":{}},{"gpu":{"parent":0,"index":0,"address":"0000:01:00.0"}},
        {"gpu":{"parent":0,"index":1,"address":"0000:02:00.0"}},{"nic":{"parent":0,"name":"mlx5_0"}}],
        "paths":[{"between":[1,2],"path":"SYS"}]}}"#;
    for (known, nvlinks, links) in [("false", "", None), ("true", "0", Some(" Links=-1,0"))] {
        let topology = Topology::parse("made", text.replace("KNOWN", known).as_bytes()).unwrap();
        let csv = topology.write("csv").unwrap().text;
        assert!(csv.contains(&format!("\nGPU0,GPU1,SYS,{nvlinks},10,")), "{csv}");
        assert!(csv.contains("\nGPU0,mlx5_0,,0,,"), "{csv}");
        for format in ["gres.conf", "nccl-xml"] {
            let written = topology.write(format).unwrap();
            let is_noted = written.notes.iter().any(|note| note.code() == NoteCode::NvlinksUnknown);
            assert_eq!(is_noted, known == "false", "{format}");
        }
        let gres = topology.write("gres.conf").unwrap().text;
        assert_eq!(gres.contains("Links="), links.is_some(), "{gres}");
        assert!(links.is_none_or(|links| gres.contains(links)), "{gres}");
        for format in ["gres.conf", "topo-m"] {
            let again = Topology::parse("written", topology.write(format).unwrap().text.as_bytes()).unwrap();
            let is_known = again.nvlink_known();
            // Slurm's own detection writes 0 for GPUs on NVSwitches, so that zeros alone tell nothing.
            assert_eq!(is_known, known == "true" && format == "topo-m", "{format}");
        }
    }
}

#[test]
fn graphviz_reads_every_machine() {
    for (name, topology) in machines() {
        let text = topology.write("dot").unwrap().text;
        check_dot(&name, &text);
    }
}

/// Has Graphviz read a graph, where it is installed; drawing all machines would take minutes.
fn check_dot(name: &str, text: &str) {
    let child = Command::new("nop")
        .args(["-p"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{name}");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
