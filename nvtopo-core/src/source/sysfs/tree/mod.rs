//! Files below a root: the live `/`, a recorded tree that may be damaged or hostile, or an archive.
//!
//! Paths are relative to the root and written with `/`. In a recorded tree no link leads out of the root, pipes
//! do not block, and nothing is read beyond [`LIMIT`]; on the live root the kernel is trusted and paths are
//! opened as they are. The meaning of the files is no matter of this module.

mod confined;
mod disk;
mod files;
mod live;
#[cfg(feature = "snapshot")]
mod memory;
#[cfg(feature = "snapshot")]
mod record;
#[cfg(target_os = "linux")]
mod rooted;

use super::super::plain::is_number;
use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::error::Error;
use crate::model::{MachineIdentity, Note, NoteKind, Stated};
use confined::Confined;
use disk::Disk;
use files::{Entry, FileError, Files, Kind, Part};
use live::Live;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::str::FromStr;

#[cfg(feature = "snapshot")]
pub(in crate::source) use memory::{Refused, Replay, Stored};

/// The most bytes of one file that are read. The longest honest one is a list of [`MAX_INDEX`] CPUs.
pub(in crate::source) const LIMIT: usize = 512 << 10;

/// The largest number of notes about single files: a damaged tree would otherwise bury the others.
const MAX_NOTES: usize = 20;

/// The files below a root.
pub(in crate::source) struct Tree {
    files: Box<dyn Files>,
    buffer: RefCell<Vec<u8>>,
    /// Room for paths.
    path: Cell<String>,
    notes: RefCell<Vec<Note>>,
    unlisted: Cell<usize>,
}

/// One of several names of the same attribute, by kernel version. A kernel uses one of them for all that it names, so
/// that once one was found no other is tried.
pub(super) struct Names {
    candidates: &'static [(&'static str, Syntax)],
    found: Cell<Option<usize>>,
}

/// The syntax of a set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// `00000000,000000ff`
    Mask,
    /// `0-7`
    List,
}

impl Names {
    pub(super) const fn new(candidates: &'static [(&'static str, Syntax)]) -> Self {
        Self { candidates, found: Cell::new(None) }
    }
}

impl Tree {
    /// Returns the files of this machine, where the root is `/`, or a recorded tree.
    pub(in crate::source) fn new(root: &Path) -> Self {
        Self::of(files(root))
    }

    fn of(files: Box<dyn Files>) -> Self {
        Self {
            files,
            buffer: RefCell::new(Vec::with_capacity(8192)),
            path: Cell::default(),
            notes: RefCell::default(),
            unlisted: Cell::new(0),
        }
    }

    /// Returns the files of a snapshot.
    #[cfg(feature = "snapshot")]
    pub(in crate::source) fn replay(replay: Replay) -> Self {
        Self::of(Box::new(replay))
    }

    /// Returns whether this is the file system of the machine that this process runs on.
    pub(in crate::source) fn is_live(&self) -> bool {
        self.files.is_live()
    }

    /// Returns whether `/proc/self` belongs to the reader of the machine, and not to a process that copied its files.
    pub(in crate::source) fn is_own(&self) -> bool {
        self.files.is_own()
    }

    /// Returns the identity of the machine, where it is known without its identifiers.
    pub(super) fn identity(&self) -> Option<MachineIdentity> {
        self.files.identity()
    }

    /// Prepares for many reads below a directory, so that the path to it is resolved once.
    pub(super) fn prepare(&self, folder: &str) {
        self.files.prepare(folder);
    }

    /// Returns the text of a small file, without the white space around it. `None`: absent or unreadable.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.with_text(path, str::to_owned)
    }

    /// Returns what `make` makes of the text of a small file. It must not read another.
    pub(super) fn with_text<T>(&self, path: &str, make: impl FnOnce(&str) -> T) -> Option<T> {
        let mut buffer = self.buffer.borrow_mut();
        if !self.fill(path, Part::head(LIMIT + 1), &mut buffer) {
            return None;
        }
        if buffer.len() > LIMIT {
            self.damage(format!("{path} is longer than {} KiB, so it was left out", LIMIT >> 10));
            return None;
        }
        // It is almost always UTF-8, and checking is faster than replacing.
        Some(match std::str::from_utf8(&buffer) {
            Ok(text) => make(plain(text)),
            Err(_) => make(plain(&String::from_utf8_lossy(&buffer))),
        })
    }

    /// Does the same as [`with_text`](Self::with_text) with a file in a folder.
    pub(super) fn with_text_in<T>(
        &self,
        folder: &str,
        name: &str,
        make: impl FnOnce(&str) -> T,
    ) -> Option<T> {
        self.below(folder, name, |path| self.with_text(path, make))
    }

    /// Returns the text of a file that identifies a machine, like [`text`](Self::text): no record holds it.
    pub(in crate::source) fn secret(&self, path: &str) -> Option<String> {
        let mut buffer = Vec::new();
        self.files.read_secret(path, Part::head(LIMIT), &mut buffer).ok()?;
        Some(plain(&String::from_utf8_lossy(&buffer)).to_owned())
    }

    /// Returns the first bytes of a file, which may be longer. Empty: absent or unreadable.
    pub(super) fn head(&self, path: &str, limit: usize) -> Vec<u8> {
        self.some(path, Part::head(limit))
    }

    /// Returns the [`head`](Self::head) of a file that few may read: no note says that it cannot be read.
    pub(super) fn quiet_head(&self, path: &str, limit: usize) -> Vec<u8> {
        let mut buffer = Vec::new();
        let read = self.files.read(path, Part::head(limit), &mut buffer);
        if self.quietly(read).is_some() { buffer } else { Vec::new() }
    }

    /// Returns a few bytes of a file, from a place in it on; fewer where it ends before. Empty: absent or unreadable.
    /// Each byte of a device's configuration space is read from the device, so read only what is needed.
    pub(super) fn part(&self, path: &str, offset: usize, length: usize) -> Vec<u8> {
        self.some(path, Part { offset, length })
    }

    /// Returns some bytes of a file without any note: not available where nothing is there, or a device has no value, and
    /// unreadable where it cannot be read.
    pub(in crate::source) fn probe(&self, path: &str, offset: usize, length: usize) -> Stated<Vec<u8>> {
        let mut buffer = Vec::new();
        match self.files.read(path, Part { offset, length }, &mut buffer) {
            Ok(()) => Stated::Known(buffer),
            Err(FileError::Absent | FileError::NotAFolder(_)) => Stated::NotAvailable,
            Err(FileError::Refused(_)) => Stated::Unreadable,
        }
    }

    fn some(&self, path: &str, part: Part) -> Vec<u8> {
        let mut buffer = Vec::new();
        if self.fill(path, part, &mut buffer) { buffer } else { Vec::new() }
    }

    /// Returns a decimal number.
    pub(super) fn number(&self, path: &str) -> Option<i64> {
        self.with_text(path, |text| {
            let number = text.parse().ok();
            if number.is_none() && !text.is_empty() {
                self.damage(format!("{path} should hold a number"));
            }
            number
        })?
    }

    /// Returns a decimal number, of a file in a folder.
    pub(super) fn number_in(&self, folder: &str, name: &str) -> Option<i64> {
        self.below(folder, name, |path| self.number(path))
    }

    /// Returns a list of CPUs or of nodes.
    pub(super) fn list<S: FromStr<Err = Error>>(&self, path: &str) -> Option<S> {
        // So kernels write a set that was never made.
        let parse = |text: &str| if text == "(null)" { None } else { Some(text.parse()) };
        self.with_text(path, parse)??.map_err(|error| self.damage(format!("{path}: {error}"))).ok()
    }

    /// Returns a set of CPUs, under the name that this kernel gives it.
    pub(super) fn named_set(&self, folder: &str, names: &Names) -> Option<CpuSet> {
        let ask = |index: usize| {
            let (name, syntax) = names.candidates[index];
            self.below(folder, name, |path| self.set(path, syntax))
        };
        if let Some(found) = names.found.get() {
            return ask(found);
        }
        let (index, set) = (0..names.candidates.len()).find_map(|index| Some((index, ask(index)?)))?;
        names.found.set(Some(index));
        Some(set)
    }

    fn set(&self, path: &str, syntax: Syntax) -> Option<CpuSet> {
        let set = self.with_text(path, |text| match syntax {
            // An empty mask is written with digits; a file without any says nothing.
            Syntax::Mask if text.is_empty() => None,
            Syntax::Mask => Some(CpuSet::from_mask(text)),
            Syntax::List => Some(text.parse()),
        });
        set??.map_err(|error| self.damage(format!("{path}: {error}"))).ok()
    }

    /// Returns the names in a directory, sorted. Empty: absent or unreadable.
    pub(in crate::source) fn names(&self, path: &str) -> Vec<String> {
        self.entries(path, |_| true)
    }

    /// Returns the names of the directories in a directory, sorted; links to directories are not among them.
    pub(super) fn folders(&self, path: &str) -> Vec<String> {
        self.entries(path, |kind| kind == Kind::Folder)
    }

    /// Returns the numbers in names such as `cpu12`, sorted.
    pub(super) fn numbered(&self, path: &str, prefix: &str) -> Vec<u32> {
        self.numbers(path, &self.names(path), prefix)
    }

    /// Returns the numbers in some names of a folder, sorted.
    pub(super) fn numbers(&self, path: &str, names: &[String], prefix: &str) -> Vec<u32> {
        let digits = names.iter().filter_map(|name| name.strip_prefix(prefix));
        let mut numbers: Vec<u32> = digits
            .filter(|digits| is_number(digits))
            .filter_map(|digits| {
                let number = digits.parse().ok().filter(|number| *number <= MAX_INDEX);
                if number.is_none() {
                    self.damage(format!("{path}/{prefix}{digits} is beyond the highest number, {MAX_INDEX}"));
                }
                number
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns the target of a link, as it is written. `None`: absent, or not a link.
    pub(in crate::source) fn link(&self, path: &str) -> Option<String> {
        self.quietly(self.files.link(path))
    }

    /// Returns whether there is a directory.
    pub(in crate::source) fn has_folder(&self, path: &str) -> bool {
        self.quietly(self.files.is_folder(path)).unwrap_or(false)
    }

    /// Adds a note that a part of the tree is damaged.
    pub(super) fn damage(&self, text: String) {
        let mut notes = self.notes.borrow_mut();
        if notes.len() < MAX_NOTES {
            notes.push(Note::new(NoteKind::Damage, text));
        } else {
            self.unlisted.set(self.unlisted.get() + 1);
        }
    }

    /// Returns the notes about files so far.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        let mut notes = self.notes.take();
        let unlisted = self.unlisted.take();
        if unlisted > 0 {
            notes.push(Note::new(NoteKind::Damage, format!("{unlisted} more files are damaged")));
        }
        notes
    }

    fn entries(&self, path: &str, keep: impl Fn(Kind) -> bool) -> Vec<String> {
        let entries = self.files.list(path).unwrap_or_else(|error| {
            self.complain(path, error);
            Vec::new()
        });
        let kept = entries.into_iter().filter(|entry| keep(entry.kind));
        let mut names: Vec<String> = kept.map(|entry: Entry| entry.name).collect();
        names.sort_unstable();
        names
    }

    /// Asks of the path of a name in a folder, which takes no memory of its own.
    fn below<T>(&self, folder: &str, name: &str, ask: impl FnOnce(&str) -> T) -> T {
        let mut path = self.path.take();
        path.clear();
        for part in [folder, "/", name] {
            path.push_str(part);
        }
        let answer = ask(&path);
        self.path.set(path);
        answer
    }

    /// Fills the buffer with a part of a file.
    fn fill(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        self.files.read(path, part, buffer).map_err(|error| self.complain(path, error)).is_ok()
    }

    /// Returns the answer, without a note where the file cannot be read.
    fn quietly<T>(&self, answer: Result<T, FileError>) -> Option<T> {
        answer
            .map_err(|error| {
                if let FileError::NotAFolder(_) = error {
                    self.complain("", error);
                }
            })
            .ok()
    }

    /// Notes a file that could not be read. Absence is normal.
    fn complain(&self, path: &str, error: FileError) {
        match error {
            FileError::Absent => {}
            FileError::NotAFolder(path) => self.damage(format!("{path} should be a directory")),
            FileError::Refused(why) => self.damage(format!("cannot read {path}: {why}")),
        }
    }
}

/// Returns the files of this machine, or of a recorded tree, whose links are followed inside it.
fn files(root: &Path) -> Box<dyn Files> {
    if root == Path::new("/") {
        return Box::new(Live::new());
    }
    #[cfg(target_os = "linux")]
    if let Some(rooted) = rooted::Rooted::new(root) {
        return Box::new(rooted);
    }
    Box::new(Confined::new(Disk::new(root)))
}

/// Returns a text without the white space around it. Strings of the device tree end with a zero byte.
fn plain(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}
