//! Directories and archives of a machine: recorded files of `/sys` and `/proc`, saved outputs of tools, or both, as support
//! bundles hold them.
//!
//! A file is recognized by its content, wherever it lies and whatever its name is. Files of no known format are listed in one
//! note, as are those beyond the limits: a bundle holds logs too. Files of two machines are refused.

#[cfg(feature = "snapshot")]
mod archive;
mod disk;
mod hosts;

use super::contents::Knows;
use super::{MAX_INPUT, SavedText, several, sysfs};
use crate::error::{Error, Result};
use crate::model::{Fragment, Note, NoteCode, NoteKind, Provenance};
use crate::units::{count_of, several as list};
use hosts::Hosts;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) use hosts::{check_matrices, check_prompts};

#[cfg(feature = "snapshot")]
pub(super) use archive::{entries, machine_files, read_compressed, read_entries};

/// The most files that are looked into.
const MAX_FILES: usize = 4096;

/// Directories of a root file system that hold no saved outputs.
const SYSTEM: [&str; 24] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "lost+found",
    "media",
    "mnt",
    "nvtopo",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "snap",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
];

/// A taker of the files of a directory or an archive, one by one.
pub(super) trait Sink {
    /// Returns the most bytes that the next file may have; `None` where there may be no other.
    fn room(&self) -> Option<u64>;

    /// Adds a file that is beyond the limits, or cannot be read.
    fn skip(&mut self, name: &str);

    /// Adds a file.
    fn add(&mut self, name: &str, bytes: &[u8]);
}

/// Reads a directory. `knows` says which files of no known format are read by others.
pub(super) fn read(folder: &Path, knows: Option<&Knows<'_>>) -> Result<Fragment> {
    let mut bundle = Bundle { knows, ..Bundle::default() };
    let root = files(folder, &mut bundle)?;
    bundle.finish(match root {
        Ok(root) => sysfs::root(&root),
        Err(error) => Err(error),
    })
}

/// Hands the files of a directory to a sink, but for those of a Linux machine, whose root is returned if there is one.
pub(super) fn files(folder: &Path, sink: &mut dyn Sink) -> Result<Result<PathBuf>> {
    let root = sysfs::find_root(folder);
    // The root of a system is no bundle, and its other files are nobody's to read.
    if !root.as_deref().is_ok_and(is_system) {
        disk::walk(folder, root.as_deref().ok(), sink)?;
    }
    Ok(root)
}

/// The files of a directory or an archive, read one by one.
#[derive(Default)]
struct Bundle<'a> {
    knows: Option<&'a Knows<'a>>,
    /// True where there are files that others read.
    has_others: bool,
    fragments: Vec<Fragment>,
    hosts: Hosts,
    /// The contents that were read, for equal ones say nothing new.
    seen: BTreeSet<Vec<u8>>,
    /// The files of no known format.
    unknown: Vec<String>,
    /// The files that are damaged beyond reading.
    damaged: Vec<(String, Error)>,
    /// The files beyond the limits.
    beyond: Vec<String>,
    files: usize,
    bytes: u64,
}

impl Sink for Bundle<'_> {
    fn room(&self) -> Option<u64> {
        room(self.files, self.bytes)
    }

    fn skip(&mut self, name: &str) {
        self.beyond.push(name.to_owned());
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.files += 1;
        self.bytes += bytes.len() as u64;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if is_compressed(bytes) {
            self.compressed(name, bytes);
            return;
        }
        let tells_host = self.hosts.look(name, bytes);
        if self.seen.contains(bytes) {
            return;
        }
        match super::read_known(bytes) {
            Some(Ok(fragment)) => {
                self.seen.insert(bytes.to_vec());
                self.take(name, fragment);
            }
            Some(Err(error)) => self.damaged.push((name.to_owned(), error.in_input(name))),
            None if tells_host => {}
            None if self.is_known(name, bytes) => self.has_others = true,
            None => self.unknown.push(name.to_owned()),
        }
    }
}

impl Bundle<'_> {
    #[cfg(not(feature = "snapshot"))]
    fn compressed(&mut self, name: &str, _bytes: &[u8]) {
        self.skip(name);
    }

    fn is_known(&self, name: &str, bytes: &[u8]) -> bool {
        let text = || SavedText::new(name, String::from_utf8_lossy(bytes));
        self.knows.is_some_and(|knows| knows(&text()))
    }

    fn take(&mut self, name: &str, mut fragment: Fragment) {
        fragment.file = Some(name.into());
        for note in fragment.notes.iter_mut().filter(|note| note.kind() == NoteKind::Damage) {
            *note = Note::new(note.code(), format!("{name}: {}", note.text));
        }
        self.fragments.push(fragment);
    }

    /// Merges what was read with the machine that its files of `/sys` and `/proc` describe.
    fn finish(mut self, machine: Result<Fragment>) -> Result<Fragment> {
        if self.has_others && self.fragments.is_empty() {
            self.fragments.push(Fragment::new(Provenance::SystemTool));
        }
        let is_empty = self.fragments.is_empty();
        let mut notes = Vec::new();
        match machine {
            Ok(machine) if is_empty => return Ok(machine),
            Ok(machine) => self.fragments.push(machine),
            Err(error) if is_empty => return Err(self.nothing(error)),
            Err(error) if sysfs::is_no_tree(&error) => {}
            Err(error) => {
                notes.push(Note::new(NoteCode::Damage, format!("the files of /sys were left out: {error}")));
            }
        }
        self.hosts.check(&self.fragments)?;
        for (_, error) in &self.damaged {
            notes.push(Note::new(NoteCode::Damage, format!("{error}; the file was left out")));
        }
        let lists = [
            (&self.unknown, "of no format that nvtopo knows"),
            (&self.beyond, "left out: they cannot be read, or there is too much before them"),
        ];
        for (names, what) in lists.into_iter().filter(|(names, _)| !names.is_empty()) {
            let text = format!("{} {what}: {}", count_of(names.len(), "file"), list(names));
            notes.push(Note::new(NoteCode::FilesLeftOut, text));
        }
        let mut merged = several::merged(self.fragments)?;
        merged.notes.extend(notes);
        Ok(merged)
    }

    /// Returns the error where nothing was read.
    fn nothing(mut self, error: Error) -> Error {
        if !self.damaged.is_empty() {
            return self.damaged.swap_remove(0).1;
        }
        if !sysfs::is_no_tree(&error) {
            return error;
        }
        if !self.beyond.is_empty() {
            let (count, names) = (count_of(self.beyond.len(), "file"), list(&self.beyond));
            let text = format!("{count} cannot be read, or there is too much before them: {names}");
            let help = "give a directory with the saved outputs of nvidia-smi and other tools alone, or the root of a Linux machine";
            return Error::input(text).help(help);
        }
        if self.unknown.is_empty() {
            return error;
        }
        let (count, names) = (count_of(self.unknown.len(), "file"), list(&self.unknown));
        let text = format!("not a recorded machine, and {count} of no format that nvtopo knows: {names}");
        let help = "give the root of a Linux machine or a copy of one (sys/devices/system/cpu must be in it), or a directory \
                    with the saved outputs of nvidia-smi and other tools";
        Error::input(text).help(help)
    }
}

/// Returns whether a root is that of a whole file system, from which programs run.
fn is_system(root: &Path) -> bool {
    ["bin/sh", "usr/bin/env"].iter().any(|program| root.join(program).symlink_metadata().is_ok())
}

/// Returns the most bytes that the next file may have after so many; `None` where there may be no other.
pub(super) fn room(files: usize, bytes: u64) -> Option<u64> {
    (files < MAX_FILES && bytes < MAX_INPUT).then(|| MAX_INPUT - bytes)
}

/// Returns whether a file has the mark of gzip.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_read_once() {
        let mut bundle = Bundle::default();
        let text = "GPU 0: A (UUID: GPU-11111111-2222-3333-4444-555555555555)\n";
        for name in ["a", "b", "c"] {
            bundle.add(name, text.as_bytes());
            bundle.add(name, text.replace("A (", "B (").as_bytes());
            bundle.add(name, b"of no format");
        }
        assert_eq!((bundle.files, bundle.fragments.len()), (9, 2));
        assert_eq!(bundle.unknown, ["a", "b", "c"]);
    }
}
