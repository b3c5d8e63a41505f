//! A redacted snapshot holds none of what was redacted, and is still the same machine.

use super::made::{Made, SECRETS};
use super::{difference, entries, replayed};
use nvtopo::Topology;
use nvtopo::model::Origin;
use nvtopo::source::{Locator, Redaction, Snapshot};
use std::collections::BTreeSet;

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret.as_bytes()))
}

#[test]
fn no_secret_is_left() {
    let made = Made::machine();
    let open = Snapshot::of_recorded(made.path(), Redaction::None).unwrap();
    let redacted = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
    assert!(!open.is_redacted() && redacted.is_redacted());
    let all = |snapshot: &Snapshot| {
        let mut bytes = Vec::new();
        for entry in entries(&snapshot.to_bytes().unwrap()) {
            bytes.extend(entry.path.bytes().chain(entry.target.bytes()).chain(entry.content).chain([b'\n']));
        }
        bytes
    };
    let (open, redacted) = (all(&open), all(&redacted));
    // The machine has its secrets where discovery reads them.
    assert!(SECRETS.iter().filter(|secret| holds(&open, secret)).count() >= 12);
    let left: Vec<&&str> = SECRETS.iter().filter(|secret| holds(&redacted, secret)).collect();
    assert!(left.is_empty(), "{left:?} in\n{}", String::from_utf8_lossy(&redacted));
    // The identity stays with the machine, even as a digest.
    let identity = Snapshot::of_recorded(made.path(), Redaction::None).unwrap().topology().unwrap();
    let Origin::Machine(identity) = identity.origin() else { panic!("{identity:?}") };
    for digest in [&identity.machine, &identity.boot] {
        let digest = digest.as_deref().unwrap();
        assert!(holds(&open, digest) && !holds(&redacted, digest));
    }
}

#[test]
fn the_machine_is_the_same_but_for_its_identifiers() {
    let made = Made::machine();
    let read = Topology::open(&[Locator::Path(made.path().to_owned())]).unwrap();
    let redacted = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
    let found = replayed(&redacted).unwrap();
    assert_eq!(found.origin(), &Origin::Unknown);
    assert_eq!(found.machine().allowed_cpus, Some("1-3".parse().unwrap()));
    assert_eq!(found.machine().allowed_nodes, Some("0".parse().unwrap()));
    let uuids = |topology: &Topology| topology.gpus().map(|gpu| gpu.uuid.unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(uuids(&found).len(), 2, "what was told apart still is");
    assert!(uuids(&found).is_disjoint(&uuids(&read)));
    let interfaces: Vec<&String> = found.nics().flat_map(|nic| &nic.net_devices).collect();
    // Two of one function, and three of each of the two RDMA devices of the other.
    assert_eq!(interfaces.len(), 2 + 3 * 2);
    assert!(interfaces.iter().any(|name| name.starts_with("enx")), "{interfaces:?}");
    assert!(found.nics().any(|nic| nic.bond.as_deref() == Some("bond0")));
    assert!(found.notes().iter().any(|note| note.text.contains("1 of the ConnectX-7 functions")));
    assert_eq!(without_names(&found), without_names(&read));
}

#[test]
fn a_name_that_holds_the_name_of_the_machine_is_another_everywhere() {
    let made = Made::machine();
    let read = Topology::open(&[Locator::Path(made.path().to_owned())]).unwrap();
    let redacted = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
    let found = replayed(&redacted).unwrap();
    let names = |topology: &Topology| {
        let nics = topology.nics().filter(|nic| nic.address.is_some_and(|address| address.bus == 0x82));
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        nics.flat_map(|nic| [&[name(&nic.rdma_device), name(&nic.bond)], &nic.net_devices[..]].concat())
            .collect::<Vec<_>>()
    };
    let first = ["0falcon17", "myfalcon17br", "Falcon17p1", "falcon17ib0", "ib9"];
    let second = ["mlx5_3", "myfalcon17br", "Falcon17p1", "falcon17ib0", "ib9"];
    assert_eq!(names(&read), [first, second].concat());
    // The interface net1 is of another function.
    let (first, second) =
        (["rdma0", "net4", "net0", "net2", "net3"], ["rdma1", "net4", "net0", "net2", "net3"]);
    assert_eq!(names(&found), [first, second].concat());
    let bytes = entries(&redacted.to_bytes().unwrap());
    let slaves = bytes.iter().find(|entry| entry.path.ends_with("net4/bonding/slaves")).unwrap();
    assert_eq!(String::from_utf8_lossy(&slaves.content), "net2 net3\n");
}

#[test]
fn the_domain_that_the_kernel_knows_is_looked_for() {
    let made = Made::machine();
    made.file("proc/sys/kernel/hostname", "falcon17\n");
    made.file("proc/sys/kernel/domainname", "corp.initech\n");
    made.file("sys/class/dmi/id/product_name", "Server of corp.initech\n");
    let redacted = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
    let bytes = entries(&redacted.to_bytes().unwrap());
    let product = bytes.iter().find(|entry| entry.path.ends_with("product_name")).unwrap();
    assert_eq!(String::from_utf8_lossy(&product.content), "Server of example.org\n");
}

#[test]
fn a_short_name_of_a_machine_is_part_of_too_much() {
    let made = Made::machine();
    for (host, kept) in [("f\n", true), ("fa\n", true), ("localhost\n", true), ("fal\n", false)] {
        made.file("proc/sys/kernel/hostname", host);
        let redacted = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
        let topology = replayed(&redacted).unwrap();
        let is_kept = topology.nics().any(|nic| nic.net_devices.iter().any(|name| name == "falcon17ib0"));
        assert_eq!(is_kept, kept, "{host}");
        assert_eq!(topology.nics().count(), 4, "{host}");
    }
}

/// The document without names and identifiers.
fn without_names(topology: &Topology) -> serde_json::Value {
    fn clear(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                for name in ["origin", "uuid", "name", "rdma_device", "net_devices", "bond", "product"] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(clear);
            }
            serde_json::Value::Array(elements) => elements.iter_mut().for_each(clear),
            _ => {}
        }
    }
    let mut document = serde_json::from_str(&topology.to_json()).unwrap();
    clear(&mut document);
    document
}

#[test]
fn an_unredacted_snapshot_is_the_same_in_everything() {
    let made = Made::machine();
    let read = Topology::open(&[Locator::Path(made.path().to_owned())]).unwrap();
    let snapshot = Snapshot::of_recorded(made.path(), Redaction::None).unwrap();
    assert_eq!(difference(&replayed(&snapshot).unwrap(), &read), None);
    // Only the digests of what identifies the machine.
    for secret in ["0123456789abcdef0123456789abcdef", "b5b1e5ce-52c3-4b0e-9c47-6f1e9c0aa001\n"] {
        let entries = entries(&snapshot.to_bytes().unwrap());
        assert!(!entries.iter().any(|entry| entry.path.contains("random") || holds(&entry.content, secret)));
    }
}

#[test]
fn unpacked_it_is_a_recorded_machine() {
    let made = Made::machine();
    let once = Snapshot::of_recorded(made.path(), Redaction::Identifiers).unwrap();
    let folder = Made::empty();
    for entry in entries(&once.to_bytes().unwrap()) {
        match entry.kind {
            tar::EntryType::Regular => folder.file(&entry.path, &entry.content),
            tar::EntryType::Symlink => folder.link(&entry.path, &entry.target),
            _ => std::fs::create_dir_all(folder.path().join(&entry.path)).unwrap(),
        }
    }
    let unpacked = Topology::open(&[Locator::Path(folder.path().to_owned())]).unwrap();
    assert_eq!(difference(&unpacked, &replayed(&once).unwrap()), None);
}
