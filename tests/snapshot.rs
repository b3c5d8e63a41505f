//! Snapshots replay to the same topology: of every recorded machine, and of this one.

use crate::sysfs::{data, unpacked};
use nvtopo::source::{Live, Locator, Redaction, Snapshot};
use nvtopo::{Result, Topology};
use std::path::Path;

fn replayed(snapshot: &Snapshot) -> Result<Topology> {
    Topology::parse("machine.tar.gz", &snapshot.to_bytes().unwrap())
}

#[test]
fn every_recorded_machine_replays_to_the_same() {
    let mut archives = 0;
    for entry in std::fs::read_dir(data()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".tar.bz2") {
            archives += 1;
            let folder = unpacked(&name);
            let read = Topology::open(&[Locator::Path(folder.clone())]).unwrap();
            let snapshot = Snapshot::of_recorded(&folder, Redaction::None).unwrap();
            assert_eq!(difference(&replayed(&snapshot).unwrap(), &read), None, "{name}");
            // What is made up for identifiers is in none of these topologies.
            let redacted = Snapshot::of_recorded(&folder, Redaction::Identifiers).unwrap();
            assert_eq!(difference(&replayed(&redacted).unwrap(), &read), None, "{name}, redacted");
        }
    }
    assert!(archives >= 20, "{archives} archives found");
}

/// Where two topologies differ, for people.
fn difference(a: &Topology, b: &Topology) -> Option<String> {
    if a == b {
        return None;
    }
    let (a, b) = (a.to_json(), b.to_json());
    let differs = a.lines().zip(b.lines()).find(|(a, b)| a != b);
    Some(differs.map_or("in length".to_owned(), |(a, b)| format!("{a} and {b}")))
}

#[test]
fn this_machine_replays_to_the_same() {
    // Another process may change this machine between two readings, so some are compared.
    let live = Live { nvml: Some("/nowhere/libnvidia-ml.so.1".into()), ..Live::default() };
    let same = (0..5).any(|_| {
        let snapshot = live.snapshot(Redaction::None).unwrap();
        let (read, topology) = (live.read().unwrap(), replayed(&snapshot).unwrap());
        difference(&topology, &read).is_none()
    });
    assert!(same);
}

#[test]
fn one_machine_gives_the_same_bytes() {
    let folder = unpacked("32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2");
    let bytes = |root: &Path, redaction| Snapshot::of_recorded(root, redaction).unwrap().to_bytes().unwrap();
    for redaction in [Redaction::None, Redaction::Identifiers] {
        let once = bytes(&folder, redaction);
        assert_eq!(once, bytes(&folder, redaction));
        assert_eq!(once, Snapshot::read(&once).unwrap().to_bytes().unwrap(), "read and written again");
    }
}
