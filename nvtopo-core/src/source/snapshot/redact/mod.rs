//! Redaction of the identifiers of a machine, its owner and its users, so that a snapshot can be shown to anybody.
//!
//! Facts that share an identifier still do: it is replaced by the same made-up one in each place. At the end every
//! identifier that was found is searched again in everything that is left, in any form; entries that still contain one
//! are removed. Discovery reads none of the entries that are removed as a whole, so only identifiers of the topology
//! change.

mod files;
mod groups;
mod ids;
mod names;
mod paths;
mod secrets;

use super::super::nvml::DriverAnswer;
use super::super::sysfs::{Refused, Stored};
use super::enabled::Snapshot;
use crate::error::{Error, Result};
use crate::model::MachineIdentity;
use groups::Groups;
use ids::{Ids, Read};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The directories in which names are given by people or by addresses, one for each.
const NAMED: [&str; 3] = ["net", "infiniband", "bonding"];

/// A shorter serial number is a number like any other.
const SHORTEST_SERIAL: usize = 6;

/// Returns the snapshot without identifiers. Secrets are looked up below the root that it was taken of.
pub(super) fn redact(snapshot: Snapshot, root: &Path) -> Result<Snapshot> {
    let mut ids = Ids::default();
    secrets::add(root, &mut ids);
    let groups = Groups::of(&snapshot.entries);
    groups.names().for_each(|name| ids.add_digits(name));
    let names = names::stand_ins(&snapshot.entries, &snapshot.refused, &ids.words());
    for (name, stand_in) in &names {
        ids.add_word(name, stand_in);
    }
    let driver = redact_driver(snapshot.driver, &mut ids)?;
    let mut redactor = Redactor { ids, groups, names };
    let unused = unused_interfaces(&snapshot.entries);
    let entries = snapshot.entries.into_iter().filter(|(path, _)| !unused.contains(path));
    let entries = entries.filter_map(|(path, stored)| redactor.entry(&path, stored)).collect();
    let refused = Refused {
        files: redactor.refused(snapshot.refused.files),
        folders: redactor.refused(snapshot.refused.folders),
    };
    let entries = redactor.swept(entries);
    let identity = MachineIdentity::default();
    Ok(Snapshot { entries, refused, identity, driver, redacted: true, ..snapshot })
}

/// Returns the entries of interfaces that are of no hardware and of which nothing was read: tunnels, bridges and the
/// like have names that people gave them.
fn unused_interfaces(entries: &BTreeMap<String, Stored>) -> BTreeSet<String> {
    let is_used = |folder: &str| {
        let inside = format!("{folder}/");
        entries.range(inside.clone()..).next().is_some_and(|(path, _)| path.starts_with(&inside))
    };
    let unused = entries.iter().filter(|(path, stored)| match stored {
        Stored::Link(target) if path.starts_with("sys/class/net/") => target
            .split_once("devices/virtual/")
            .is_some_and(|(_, rest)| !is_used(&format!("sys/devices/virtual/{rest}"))),
        _ => false,
    });
    unused.map(|(path, _)| path.clone()).collect()
}

struct Redactor {
    ids: Ids,
    groups: Groups,
    /// The names of interfaces and RDMA devices that are replaced as a whole.
    names: BTreeMap<String, String>,
}

impl Redactor {
    fn entry(&mut self, path: &str, stored: Stored) -> Option<(String, Stored)> {
        let stored = match stored {
            Stored::Folder if self.groups.is_above(path) => return None,
            Stored::Folder => Stored::Folder,
            // Nothing that people named is a part of the machine.
            Stored::Link(target) if paths::leaves(path, &target) => Stored::Link("/path".to_owned()),
            Stored::Link(target) => Stored::Link(self.path(&target)),
            Stored::File(content) => Stored::File(content.and_then(|content| self.content(path, &content))),
        };
        Some((self.path(path), stored))
    }

    fn content(&mut self, path: &str, content: &[u8]) -> Option<Vec<u8>> {
        match self.groups.replace(path, &String::from_utf8_lossy(content)) {
            Some(text) => Some(self.ids.replace(&text, Read::Groups).into_bytes()),
            None => files::redact(path, content, &mut self.ids),
        }
    }

    /// Returns a path, or the target of a link.
    fn path(&mut self, path: &str) -> String {
        let moved = self.groups.path(path);
        let mut named = false;
        let mut parts = Vec::new();
        for part in moved.as_deref().unwrap_or(path).split('/') {
            // Bonds and bridges link their ports by name: `lower_eth0`.
            let ends = part.starts_with("lower_") || part.starts_with("upper_");
            // Links beside each other name nothing but the other: `../bond0`.
            parts.push(match self.names.get(part) {
                Some(name) => name.clone(),
                None => self.ids.replace(part, if named || ends { Read::Text } else { Read::Fixed }),
            });
            named = NAMED.contains(&part);
        }
        parts.join("/")
    }

    fn refused(&mut self, refused: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let refused = refused.into_iter();
        refused.map(|(path, why)| (self.path(&path), self.ids.replace(&why, Read::Text))).collect()
    }

    /// Removes the entries that still hold an identifier.
    fn swept(&self, entries: BTreeMap<String, Stored>) -> BTreeMap<String, Stored> {
        let clean = |(path, stored): (String, Stored)| {
            let stored = match stored {
                Stored::File(Some(content)) if self.ids.is_in(&content) => Stored::File(None),
                Stored::Link(target) if self.ids.is_in(target.as_bytes()) => return None,
                stored => stored,
            };
            (!self.ids.is_in(path.as_bytes())).then_some((path, stored))
        };
        entries.into_iter().filter_map(clean).collect()
    }
}

/// Returns the driver's answer without identifiers.
fn redact_driver(driver: DriverAnswer, ids: &mut Ids) -> Result<DriverAnswer> {
    let failed =
        |error: serde_json::Error| Error::input(format!("the driver's answer cannot be redacted: {error}"));
    let mut document = serde_json::to_value(driver).map_err(failed)?;
    note_serials(&document, ids);
    redact_value("", &mut document, ids);
    serde_json::from_value(document).map_err(failed)
}

fn is_serial(name: &str) -> bool {
    name.to_ascii_lowercase().contains("serial")
}

/// Records the serial numbers, to be searched elsewhere too.
fn note_serials(value: &Value, ids: &mut Ids) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Value::String(serial)) = (is_serial(name), value)
                    && serial.len() >= SHORTEST_SERIAL
                {
                    ids.add_word(serial, "serial");
                }
                note_serials(value, ids);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| note_serials(element, ids)),
        _ => {}
    }
}

fn redact_value(name: &str, value: &mut Value, ids: &mut Ids) {
    match value {
        _ if is_serial(name) => *value = Value::Null,
        Value::String(text) => *text = ids.replace(text, files::reading(name)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| redact_value(name, element, ids)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                redact_value(name, value, ids);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_holds_an_identifier_in_another_form() {
        let mut ids = Ids::default();
        ids.add_digits("a8:5e:45:c0:ff:ee");
        let redactor = Redactor { ids, groups: Groups::default(), names: BTreeMap::new() };
        let file = |text: &str| Stored::File(Some(text.as_bytes().to_vec()));
        let link = |target: &str| Stored::Link(target.to_owned());
        let entries = [
            ("sys/a", file("port A85E.45C0.FFEE")),
            ("sys/b", file("port 1")),
            ("sys/c", link("../devices/a85e.45c0_ffee/net")),
            ("sys/d", link("../devices/e")),
            ("sys/devices/xA85E_45C0_FFEE/mtu", file("9000")),
            ("sys/devices/yA85E-45C0.FFEE", Stored::Folder),
        ];
        let left = redactor.swept(entries.map(|(path, stored)| (path.to_owned(), stored)).into());
        // A file whose content is not known is still there.
        let expected =
            [("sys/a", Stored::File(None)), ("sys/b", file("port 1")), ("sys/d", link("../devices/e"))];
        assert_eq!(left, expected.map(|(path, stored)| (path.to_owned(), stored)).into());
    }

    #[test]
    fn serial_numbers_of_six_characters_are_looked_for_elsewhere() {
        let mut ids = Ids::default();
        let document = serde_json::json!({
            "gpus": [{ "serial": "132432", "board": { "SerialNumber": "X98765" } }, { "serial": "12345" }],
            "name": "132499",
            "serial": 1_324_321,
        });
        note_serials(&document, &mut ids);
        assert_eq!(ids.words(), ["132432", "X98765"]);
        assert_eq!(ids.replace("of 132432, 12345 and 132499", Read::Text), "of serial, 12345 and 132499");
    }
}
