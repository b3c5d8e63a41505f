//! Formats of other programs, one module each: readers on recorded texts, writers, and round trips.

mod convert;
mod diff;
mod folder;
mod graphs;
mod guest;
mod hostile;
mod hwloc_write;
#[cfg(feature = "yaml")]
mod kubernetes;
mod lscpu;
mod lspci;
#[cfg(feature = "yaml")]
mod mock_nvml;
mod mutations;
mod nccl_xml;
mod numactl;
mod nvlink;
mod rdma;
mod slurm;
mod slurm_read;
mod smi;
#[path = "../support/through.rs"]
mod through;
mod topo_m;

use nvtopo::Topology;
use nvtopo::model::NoteCode;
use std::path::{Path, PathBuf};

/// The path of a recorded machine in `tests/data`.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// The addresses of a machine's NVSwitches.
fn nvswitches(topology: &nvtopo::Topology) -> Vec<String> {
    let address = |kind: &nvtopo::model::NodeKind| match kind {
        nvtopo::model::NodeKind::NvSwitch(switch) => switch.address.map(|address| address.to_string()),
        _ => None,
    };
    topology.nodes().filter_map(|(_, node)| address(&node.kind)).collect()
}

/// The recorded files below a folder of `tests/data` whose names end so, in order.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().is_some_and(|path| path.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} holds no *{end}");
    found
}

/// The notes of a topology, one in each line.
fn notes(topology: &Topology) -> String {
    topology.notes().iter().map(|note| format!("{note}\n")).collect::<Vec<_>>().concat()
}

/// The texts of the notes with a code.
fn notes_of(topology: &Topology, code: NoteCode) -> Vec<&str> {
    let notes = topology.notes().iter().filter(|note| note.code() == code);
    notes.map(|note| note.text.as_str()).collect()
}
