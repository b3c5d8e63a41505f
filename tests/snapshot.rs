//! Snapshots replay to the same topology: of every recorded machine, and of this one.

mod hostile;
mod made;
mod redaction;

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

/// The content of an archive.
struct Entry {
    path: String,
    kind: tar::EntryType,
    target: String,
    content: Vec<u8>,
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (path, kind) = (text(&entry.path_bytes()), entry.header().entry_type());
        let target = entry.link_name_bytes().map(|target| text(&target)).unwrap_or_default();
        for number in [entry.header().uid(), entry.header().gid(), entry.header().mtime()] {
            assert_eq!(number.unwrap(), 0, "{path}");
        }
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        Entry { path, kind, target, content }
    };
    archive.entries().unwrap().map(entry).collect()
}

/// An archive of anything.
fn pack(entries: &[(tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    let raw = |archive: &mut tar::Builder<_>, kind, path: &[u8], target: &[u8], content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        // Past the checks of the library.
        header.as_old_mut().name[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_link_name_literal(target).unwrap();
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    for (kind, path, content) in entries {
        // What is no character stands for a byte that is none.
        let path: Vec<u8> = path.replace('\u{fffd}', "\x01").into_bytes();
        let path: Vec<u8> = path.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
        if path.len() > 100 {
            raw(&mut archive, tar::EntryType::GNULongName, b"././@LongLink", b"", &path);
        }
        let is_link = kind.is_symlink() || kind.is_hard_link();
        let (target, content) = if is_link { (*content, &b""[..]) } else { (&b""[..], *content) };
        raw(&mut archive, *kind, &path, target, content);
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Returns the first difference of two topologies, for people.
fn difference(a: &Topology, b: &Topology) -> Option<String> {
    if a == b {
        return None;
    }
    let (a, b) = (a.to_json(), b.to_json());
    let differs = a.lines().zip(b.lines()).find(|(a, b)| a != b);
    Some(differs.map_or("in length".to_owned(), |(a, b)| format!("{a} and {b}")))
}

#[test]
fn what_could_not_be_read_is_told_again() {
    let made = made::Made::machine();
    let cpu = "sys/devices/system/cpu";
    // A directory, a pipe and a file in wrong places, links that lead nowhere, and what is too long.
    made.file(&format!("{cpu}/isolated/x"), "");
    std::fs::remove_file(made.path().join("proc/cpuinfo")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(made.path().join("proc/cpuinfo")).status();
    assert!(pipe.unwrap().success());
    made.file(&format!("{cpu}/cpu0/cache"), "a file");
    made.link(&format!("{cpu}/cpu1/cache"), "../cpu1/cache");
    made.link("sys/bus/pci/devices/0000:00:02.0", "../../../../../../../etc");
    made.link("sys/bus/pci/devices/0000:00:03.0", "/");
    made.link("sys/class/nvme", "/proc/self");
    made.file("sys/devices/system/node/node0/distance", "x".repeat(600 << 10));
    made.file(&format!("{cpu}/cpu2/topology/core_id"), [0xff, 0xfe]);
    let read = Topology::open(&[Locator::Path(made.path().to_owned())]).unwrap();
    let notes: Vec<String> = read.notes().iter().map(ToString::to_string).collect();
    let notes = notes.join("\n");
    for words in
        ["isolated: is a directory", "cpuinfo: is a directory", "cache should be a directory", "longer than"]
    {
        assert!(notes.contains(words), "no '{words}' in {notes}");
    }
    for redaction in [Redaction::None, Redaction::Identifiers] {
        let snapshot = Snapshot::of_recorded(made.path(), redaction).unwrap();
        assert_eq!(replayed(&snapshot).unwrap().notes(), read.notes());
    }
    let whole = Snapshot::of_recorded(made.path(), Redaction::None).unwrap();
    assert_eq!(difference(&replayed(&whole).unwrap(), &read), None);
}

#[test]
fn a_machine_that_is_not_understood_has_a_snapshot() {
    let made = made::Made::empty();
    made.file("sys/devices/system/cpu/online", "0-7");
    let root = Locator::Path(made.path().to_owned());
    let error = Topology::open(std::slice::from_ref(&root)).unwrap_err();
    let snapshot = Snapshot::take(&root, Redaction::None).unwrap();
    assert_eq!(replayed(&snapshot).unwrap_err().message(), error.message());
    assert_eq!(snapshot.topology().unwrap_err().message(), error.message());
    let empty = made::Made::empty();
    assert!(Snapshot::take(&Locator::Path(empty.path().to_owned()), Redaction::None).is_err());
}

#[test]
fn this_machine_replays_to_the_same() {
    // Another process may change this machine between two readings, so some are compared.
    let live = Live::default().with_nvml("/nowhere/libnvidia-ml.so.1");
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
