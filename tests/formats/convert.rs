//! The registry of writers, and the round trip through nvtopo's own document.

use nvtopo::Topology;
use nvtopo::source::{PRESETS, WRITERS, WriteOptions, writer};
use std::collections::BTreeSet;

#[test]
fn writers_have_names_of_their_own_and_write_every_preset() {
    let names: BTreeSet<&str> = WRITERS.iter().map(|writer| writer.name).collect();
    assert_eq!(names.len(), WRITERS.len());
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for writer in WRITERS {
            assert!(!writer.summary.is_empty() && !writer.summary.ends_with('.'), "{}", writer.name);
            let first = writer.write(&topology, &WriteOptions::default());
            let name = format!("{} of {}", writer.name, preset.name);
            let first = first.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(first.text.ends_with('\n') && !first.text.contains('\r'), "{name}");
            assert_eq!(topology.write(writer.name).unwrap(), first, "{name}");
        }
    }
}

#[test]
fn a_format_that_does_not_exist_is_refused_with_those_that_do() {
    let said = writer("docx").unwrap_err().to_string();
    assert!(said.contains("'docx'") && WRITERS.iter().all(|writer| said.contains(writer.name)), "{said}");
}

#[test]
fn the_document_of_every_recorded_text_is_read_back_equal() {
    for path in super::files("topo-m", ".txt") {
        let Ok(topology) = Topology::open(&[nvtopo::source::Locator::Path(path.clone())]) else { continue };
        let written = topology.write("json").unwrap();
        assert!(written.notes.is_empty());
        assert_eq!(
            Topology::parse("written", written.text.as_bytes()).unwrap(),
            topology,
            "{}",
            path.display()
        );
    }
}

/// A machine whose driver could not be asked has no GPUs, and the error says why.
#[test]
fn writers_of_gpus_say_why_there_are_none() {
    let text = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":true,"nodes":[{"machine":{}}],
        "notes":[{"kind":"driver","code":"driver","text":"the driver is not loaded: modprobe nvidia"}]}}"#;
    let machine = nvtopo::Topology::parse("made", text.as_bytes()).unwrap();
    for format in ["gres.conf", "nccl-xml", "topo-m"] {
        let error = machine.write(format).unwrap_err();
        assert!(error.advice().is_some_and(|help| help.contains("modprobe nvidia")), "{format}: {error:?}");
    }
}
