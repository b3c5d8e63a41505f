//! The registry of writers, and the round trip through nvtopo's own document.

use nvtopo::Topology;
use nvtopo::model::{LinkKind, NoteCode};
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

/// The codes of the notes of a writer.
fn codes(written: &nvtopo::source::Written) -> BTreeSet<NoteCode> {
    written.notes.iter().map(nvtopo::model::Note::code).collect()
}

fn read(text: &str) -> Topology {
    Topology::parse("written", text.as_bytes()).unwrap()
}

/// NVLinks that nobody told stay unknown in every format that is read again, with a note.
#[test]
fn unknown_nvlinks_stay_unknown() {
    let list = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tPIX\t0-3\t0\nGPU1\tPIX\t X \t0-3\t0\n";
    let unknown = read(list);
    // A cut matrix: the NVLinks of the third GPU are not told.
    let cut = "\tGPU0\tGPU1\tGPU2\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\tN/A\t0-3\t0\nGPU1\tNV4\t X \tN/A\t0-3\t0\nGPU2\tN/A\tN/A\t X \t0-3\t0\n\nLegend:\n  NV#  = NVLinks\n";
    let partly = read(cut);
    for machine in [&unknown, &partly] {
        assert!(!machine.nvlink_known());
        for format in ["topo-m", "nccl-xml", "hwloc-xml", "json"] {
            let written = machine.write(format).unwrap();
            let again = read(&written.text);
            assert!(!again.nvlink_known(), "{format}: {}", written.text);
            assert_eq!(again.pairs().pair(0, 1).nvlinks, machine.pairs().pair(0, 1).nvlinks, "{format}");
            if format != "json" {
                assert!(codes(&written).contains(&NoteCode::NvlinksUnknown), "{format}: {:?}", written.notes);
                let twice = read(&again.write(format).unwrap().text);
                assert!(!twice.nvlink_known(), "{format}");
            }
        }
    }
    // Once they are known, no mark is left.
    let none = read(&format!("{list}\nLegend:\n  NV#  = NVLinks\n"));
    assert!(none.nvlink_known());
    for format in ["topo-m", "nccl-xml", "hwloc-xml"] {
        let written = none.write(format).unwrap();
        assert!(read(&written.text).nvlink_known(), "{format}");
        assert!(!codes(&written).contains(&NoteCode::NvlinksUnknown), "{format}");
    }
}

/// Each format says which facts of a machine it has no place for.
#[test]
fn formats_say_what_they_lose() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    for (format, lost) in [
        ("topo-m", &["models of GPUs", "memory of GPUs", "NUMA nodes without GPUs", "rates of NICs"][..]),
        ("csv", &["models of GPUs", "NUMA nodes", "rates of NICs"]),
        ("dot", &["memory of GPUs", "PCI addresses"]),
        ("graphml", &["rates of NICs"]),
        ("nccl-xml", &["models of GPUs", "memory of GPUs"]),
        ("hwloc-xml", &["rates of NICs", "revisions"]),
    ] {
        let written = dgx.write(format).unwrap();
        let notes: Vec<&str> = written
            .notes
            .iter()
            .filter(|note| note.code() == NoteCode::NotExpressed)
            .map(|note| note.text.as_str())
            .collect();
        let [note] = notes[..] else { panic!("{format}: {notes:?}") };
        for fact in lost {
            assert!(note.contains(fact), "{format}, {fact}: {note}");
        }
    }
    // A machine without such facts loses none.
    let bare = read("\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n");
    for format in ["topo-m", "csv", "dot", "graphml"] {
        assert!(!codes(&bare.write(format).unwrap()).contains(&NoteCode::NotExpressed), "{format}");
    }
}

/// GPUs of AMD stay AMD's, with their class, numbers and xGMI.
#[test]
fn gpus_of_amd_go_through_hwloc() {
    let amd = Topology::parse("amd", &std::fs::read(super::data("nccl-xml/rccl-topo-8p-940.xml")).unwrap())
        .unwrap();
    let written = amd.write("hwloc-xml").unwrap().text;
    assert!(!written.contains("nvml") && written.contains("name=\"rsmi0\"") && !written.contains("\"0302 ["));
    let again = read(&written);
    let told = |topology: &Topology| -> Vec<_> {
        topology.gpus().map(|gpu| (gpu.index, gpu.address, gpu.pci.clone())).collect()
    };
    assert_eq!(told(&amd), told(&again));
    for (a, b) in (0..8).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let (before, after) = (amd.pairs().pair(a, b), again.pairs().pair(a, b));
        assert_eq!((before.path, before.nvlinks), (after.path, after.nvlinks), "{a} {b}");
    }
    let kinds: BTreeSet<LinkKind> =
        again.links().map(|(_, _, link)| link.kind).filter(|kind| kind.is_fabric()).collect();
    assert_eq!(kinds, BTreeSet::from([LinkKind::Xgmi]));
}
