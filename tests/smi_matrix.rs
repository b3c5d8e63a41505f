//! Reading `nvidia-smi topo -m`: recorded machines, every kind of damage, and random matrices.

use nvtopo::model::{NodeKind, NoteKind, Stated};
use nvtopo::{CpuSet, ErrorKind, NodeSet, Topology};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
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
    topology.notes().iter().filter(|note| note.kind == kind).map(|note| note.text.as_str()).collect()
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
    for path in recorded() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("expect.json")).unwrap()).unwrap();
        match Topology::parse(&name, &std::fs::read(&path).unwrap()) {
            Err(error) => report.push(error.to_string()),
            Ok(topology) => {
                report.extend(differences(&topology, &expected).iter().map(|text| format!("{name}: {text}")));
                let damaged = expected["damaged"].is_string();
                let noted = !notes(&topology, NoteKind::Damage).is_empty();
                if noted && !damaged {
                    report.push(format!("{name}: damage is noted: {:?}", topology.notes()));
                }
                let conflicts = notes(&topology, NoteKind::Conflict);
                if std::env::var_os("SHOW").is_some() {
                    println!("{name}: {:#?}", topology.notes());
                }
                let _ = conflicts;
            }
        }
    }
    assert!(report.is_empty(), "{} differences:\n{}", report.len(), report.join("\n"));
}
