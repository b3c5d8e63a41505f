//! Compressed files: texts, and archives of a directory. Nothing is unpacked to disk.

use super::{Bundle, SYSTEM, Sink, is_compressed};
use crate::error::{Error, Result};
use crate::model::{Fragment, MachineIdentity};
use crate::source::snapshot::{self, unpack};
use crate::source::sysfs::{self, Refused, Replay, Stored, Tree};
use std::collections::BTreeMap;

/// Reads a compressed text.
pub(in crate::source) fn read_compressed(bytes: &[u8]) -> Result<Fragment> {
    let text = unpack(bytes)?;
    if is_compressed(&text) {
        return Err(Error::input("it is compressed twice").help("decompress it once"));
    }
    crate::source::read(&text)
}

/// Reads an archive of a directory: its files, by their paths.
pub(in crate::source) fn read_entries(entries: BTreeMap<String, Stored>) -> Result<Fragment> {
    let mut bundle = Bundle::default();
    let root = self::entries(&entries, &mut bundle);
    bundle.finish(
        root.map_or_else(|| Err(sysfs::no_tree()), |root| sysfs::read(&machine_files(entries, &root)?)),
    )
}

/// Hands the files of an archive to a sink, but for those of a Linux machine; returns what stands before the paths of those.
pub(in crate::source) fn entries(entries: &BTreeMap<String, Stored>, sink: &mut dyn Sink) -> Option<String> {
    let root = root(entries);
    for (path, stored) in entries {
        let Stored::File(Some(bytes)) = stored else { continue };
        let below = root.as_ref().and_then(|root| path.strip_prefix(root.as_str()));
        let top = below.and_then(|own| Some(own.split_once('/')?.0));
        let is_system = top.is_some_and(|top| SYSTEM.contains(&top));
        if is_system || path.split('/').any(|part| part.starts_with('.')) {
            continue;
        }
        let name = below.unwrap_or(path);
        match sink.room() {
            Some(free) if bytes.len() as u64 <= free => sink.add(name, bytes),
            _ => sink.skip(name),
        }
    }
    root
}

/// Returns the files of `/sys` and `/proc`, whose paths begin with `prefix`.
pub(in crate::source) fn machine_files(entries: BTreeMap<String, Stored>, prefix: &str) -> Result<Tree> {
    let below = |path: String| path.strip_prefix(prefix).map(str::to_owned);
    let entries = entries.into_iter().filter_map(|(path, stored)| Some((below(path)?, stored))).collect();
    let replay = Replay::new(entries, Refused::default(), false, MachineIdentity::default())?;
    Ok(Tree::replay(replay))
}

/// Returns what stands before the paths of a Linux machine's files: nothing, or the directories down to the only one that is the
/// root of one.
fn root(entries: &BTreeMap<String, Stored>) -> Option<String> {
    let is_root = |prefix: &String| {
        let below = |name: &str| {
            let folder = format!("{prefix}{name}/");
            entries.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder))
        };
        below("sys") || below("proc")
    };
    let mut prefix = String::new();
    loop {
        if is_root(&prefix) {
            return Some(prefix);
        }
        let folders = folders(entries, &prefix);
        let mut roots = folders.iter().filter(|folder| is_root(folder));
        if let Some(root) = roots.next() {
            return Some(root.clone()).filter(|_| roots.next().is_none());
        }
        prefix.clone_from(folders.first().filter(|_| folders.len() == 1)?);
    }
}

/// Returns the directories directly below a prefix. What is inside them is passed over, for paths may be long and many.
fn folders(entries: &BTreeMap<String, Stored>, prefix: &str) -> Vec<String> {
    let (mut folders, mut from) = (Vec::new(), prefix.to_owned());
    while let Some((path, _)) = entries.range(from..).next()
        && let Some(own) = path.strip_prefix(prefix)
    {
        from = match own.split_once('/') {
            Some((name, _)) => {
                folders.push(format!("{prefix}{name}/"));
                // The character after the one that ends the name of a directory.
                format!("{prefix}{name}0")
            }
            None => format!("{path}\0"),
        };
    }
    folders
}

impl Bundle<'_> {
    /// Reads a compressed file: a text, a snapshot, or an archive of texts.
    pub(super) fn compressed(&mut self, name: &str, bytes: &[u8]) {
        if snapshot::is_archive(bytes) {
            match snapshot::read(bytes) {
                Ok(fragment) => self.take(name, fragment),
                Err(error) => self.damaged.push((name.to_owned(), error.in_input(name))),
            }
            return;
        }
        match unpack(bytes) {
            Ok(text) if is_compressed(&text) => self.unknown.push(name.to_owned()),
            Ok(text) if self.room().is_some_and(|room| text.len() as u64 <= room) => self.add(name, &text),
            Ok(_) => self.skip(name),
            Err(error) => self.damaged.push((name.to_owned(), error.in_input(name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each level is looked at by its own names: with all paths at each level these would take an hour.
    #[test]
    fn the_root_of_a_deep_archive_is_found_by_its_directories() {
        let deep = "a/".repeat(2000);
        let file = || Stored::File(Some(Vec::new()));
        let paths = (0..5000).map(|number| (format!("{deep}{number}"), file()));
        let mut entries: BTreeMap<String, Stored> = paths.collect();
        assert_eq!(root(&entries), None);
        entries.insert("a/note".to_owned(), file());
        entries.insert(format!("{deep}b/sys/x"), file());
        assert_eq!(root(&entries), Some(format!("{deep}b/")));
        entries.insert(format!("{deep}c/proc/x"), file());
        assert_eq!(root(&entries), None, "there are two");
        assert_eq!(folders(&entries, &deep), ["b/", "c/"].map(|name| format!("{deep}{name}")));
    }
}
