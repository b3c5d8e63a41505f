//! nvtopo's own JSON: written and read without loss, and refused with reasons where it is broken.

use crate::generate;
use nvtopo::source::PRESETS;
use nvtopo::{Error, ErrorKind, Topology};
use proptest::prelude::*;

fn read(text: &str) -> Result<Topology, Error> {
    Topology::parse("t.json", text.as_bytes())
}

/// A document with these nodes after the machine, and more keys of the topology.
fn document(nodes: &str, more: &str) -> String {
    format!(
        r#"{{"format": "nvtopo-topology", "version": 1,
"topology": {{"source": "sysfs", "nvlink_known": true,
"nodes": [{{"machine": {{}}}}{nodes}]{more}}}}}"#
    )
}

const TWO_GPUS: &str = r#", {"gpu": {"parent": 0, "index": 0}}, {"gpu": {"parent": 0, "index": 1}}"#;

#[test]
fn presets_round_trip() {
    for preset in PRESETS {
        let written = Topology::preset(preset.name).unwrap();
        let text = written.to_json();
        let again = read(&text).unwrap();
        assert!(again == written, "{}", preset.name);
        assert_eq!(again.to_json(), text, "{}", preset.name);
    }
}

#[test]
fn the_text_is_for_people_too() {
    let text = Topology::preset("gh200").unwrap().to_json();
    let line =
        |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
    assert!(line(r#"{"gpu": "#).contains(r#""memory_node": 1"#), "{text}");
    assert!(line(r#"{"numa_node": "#).contains(r#""cpus": "0-71", "memory_bytes": 515396075520"#), "{text}");
    assert!(!text.contains("null") && !text.contains("[]"), "unknown things are left out: {text}");
}

#[test]
fn derived_keys_are_ignored() {
    let text = document(TWO_GPUS, r#", "notes": [{"kind": "damage", "text": "one row is cut"}]"#);
    let with = text.replacen('{', r#"{"notes": ["damage: x"], "matrix": [["X"]], "devices": {}, "#, 1);
    let (plain, with) = (read(&text).unwrap(), read(&with).unwrap());
    assert!(plain == with);
    assert_eq!(with.notes().len(), 1);
}

#[test]
fn a_byte_order_mark_and_space_are_no_harm() {
    let text = format!("\u{feff}\n  {}", document("", ""));
    assert_eq!(read(&text).unwrap().node_count(), 1);
}

#[test]
fn broken_documents_are_refused_with_reasons() {
    let pu = r#", {"pu": {"parent": 0, "os_index": 3}}"#;
    let numa = r#", {"numa_node": {"parent": 0, "os_index": 0, "distances": [[1, 10], [1, 20]]}}"#;
    for (text, reason) in [
        ("{".to_owned(), "ends too early"),
        ("{}".to_owned(), "missing field `format`"),
        (r#"{"format": "other", "version": 1}"#.to_owned(), "format is 'other'"),
        (
            r#"{"format": "nvtopo-topology", "version": 2, "tree": 7}"#.to_owned(),
            "version 2 is later than the 1",
        ),
        (r#"{"format": "nvtopo-topology", "version": 0}"#.to_owned(), "no version 0"),
        (r#"{"format": "nvtopo-topology", "version": "1"}"#.to_owned(), "expected u64"),
        (r#"{"format": "nvtopo-topology", "version": 1}"#.to_owned(), "missing field `topology`"),
        (document("", r#", "nodez": []"#), "unknown field `nodez`"),
        (document("", r#", "links": 3"#), "expected a sequence"),
        (document(r#", {"gpu": {"parent": 0}}"#, ""), "missing field `index`"),
        (document(r#", {"gpu": {"parent": 0, "index": "0"}}"#, ""), "expected u32"),
        (document(r#", {"gpu": {"parent": 0, "index": -1}}"#, ""), "expected u32"),
        (
            document(r#", {"gpu": {"parent": 0, "index": 0, "address": "zz"}}"#, ""),
            "'zz' is not a PCI address",
        ),
        (document(r#", {"gpu": {"parent": 0, "index": 0, "cpus": 7}}"#, ""), "expected a list such as"),
        (document(r#", {"gpu": {"parent": 0, "index": 0, "cpus": "0-x"}}"#, ""), "'0-x'"),
        (document(r#", {"gpu": {"parent": 0, "index": 0, "cpus": "3-1"}}"#, ""), "nodes[1]: '3-1'"),
        (
            document(r#", {"gpu": {"parent": 0, "index": 0, "memory_node": "x"}}"#, ""),
            "\"n/a\" or \"unreadable\"",
        ),
        (document(r#", {"tpu": {"parent": 0, "index": 0}}"#, ""), "unknown variant `tpu`"),
        (document(r#", {"core": {"parent": 2, "os_index": 0}}"#, ""), "nodes[1]: the parent, 2"),
        (document(r#", {"machine": {}}"#, ""), "nodes[1]: the first node"),
        (
            document(TWO_GPUS, "").replace(r#""nodes": [{"machine": {}}, "#, r#""nodes": ["#),
            "nodes[0]: the first node",
        ),
        (document("", "").replace(r#"{"machine": {}}"#, ""), "nodes is empty"),
        (
            document(TWO_GPUS, r#", "links": [{"between": [1, 9], "kind": "pcie"}]"#),
            "links[0]: there is no node 9",
        ),
        (document(TWO_GPUS, r#", "links": [{"between": [1, 1], "kind": "pcie"}]"#), "links[0]: both ends"),
        (
            document(TWO_GPUS, r#", "links": [{"between": [1], "kind": "pcie"}]"#),
            "expected a tuple of size 2",
        ),
        (
            document(TWO_GPUS, r#", "links": [{"between": [0, 1], "kind": "nvlink"}]"#),
            "neither a GPU nor an NVSwitch",
        ),
        (
            document(TWO_GPUS, r#", "paths": [{"between": [1, 7], "path": "SYS"}]"#),
            "paths[0]: there is no node 7",
        ),
        (document(TWO_GPUS, r#", "paths": [{"between": [1, 2], "path": "FAR"}]"#), "unknown variant `FAR`"),
        (
            document(
                TWO_GPUS,
                r#", "paths": [{"between": [1, 2], "path": "SYS"}, {"between": [2, 1], "path": "PIX"}]"#,
            ),
            "paths[1]: nodes 2 and 1 occur twice",
        ),
        (document(&format!("{TWO_GPUS}{TWO_GPUS}"), ""), "GPU0 occurs twice"),
        (document(&format!("{pu}{pu}"), ""), "CPU 3 occurs twice"),
        (document(numa, ""), "two distances to node 1"),
        (
            document(r#", {"pu": {"parent": 0, "os_index": 0, "os_index": 1}}"#, ""),
            "duplicate field `os_index`",
        ),
    ] {
        let error = read(&text).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert_eq!(error.input_name(), Some("t.json"));
        assert!(error.to_string().contains(reason), "{error}\n{text}");
    }
}

#[test]
fn errors_have_their_place() {
    let error = read(&document(r#", {"gpu": {"parent": 0, "index": true}}"#, "")).unwrap_err();
    assert_eq!(error.line(), Some(3));
    assert!(error.column() > Some(40), "{error}");
    assert!(!error.message().contains(" at line "), "{error}");
}

#[test]
fn a_short_text_cannot_take_much() {
    // Nested, many, and large beyond reason.
    let deep = "[".repeat(200_000);
    assert!(read(&format!(r#"{{"format": {deep}"#)).is_err());
    let wide =
        r#", {"cache": {"parent": 0, "level": 3, "holds": "unified", "cpus": "65535"}}"#.repeat(10_000);
    assert!(read(&document(&wide, "")).unwrap_err().to_string().contains("larger than any machine's"));
    let ranges = r#", {"cache": {"parent": 0, "level": 3, "holds": "unified", "cpus": "0-4294967295"}}"#;
    assert!(read(&document(ranges, "")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn generated_topologies_round_trip(topology in generate::topology()) {
        let again = read(&topology.to_json());
        prop_assert!(again.is_ok(), "{:?}", again);
        prop_assert!(again.unwrap() == topology);
    }

    #[test]
    fn damage_is_an_error_and_no_panic(topology in generate::topology(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = topology.to_json().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let _ = Topology::parse("damaged.json", &bytes);
    }
}

#[cfg(feature = "schema")]
#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/topology-v1.schema.json");
    let generated = nvtopo::schema::topology();
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == generated, "run with NVTOPO_UPDATE=1 to write docs/topology-v1.schema.json again");
}
