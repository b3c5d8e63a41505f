//! Reading files below a root: the live `/`, or a recorded tree that may be damaged or hostile.
//!
//! Paths are relative to the root and written with `/`. In a recorded tree no link leads out of the root, pipes
//! do not block, and nothing is read beyond [`LIMIT`]; on the live root the kernel is trusted and paths are
//! opened as they are. Nothing here knows what the files mean.

use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::error::Error;
use crate::model::{Note, NoteKind};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most bytes of one file that are read. The longest honest one is a list of [`MAX_INDEX`] CPUs.
pub(super) const LIMIT: usize = 512 << 10;

/// How many links may be followed on one way, as in the kernel.
const MAX_LINKS: u32 = 40;

/// How many notes about single files are kept: a damaged tree would otherwise bury what matters.
const MAX_NOTES: usize = 20;

/// The files below a root.
pub(super) struct Tree {
    root: PathBuf,
    /// Whether this is the file system of the machine that we run on.
    pub(super) live: bool,
    /// Where directories of a recorded tree really are, below the root.
    resolved: RefCell<BTreeMap<String, String>>,
    buffer: RefCell<Vec<u8>>,
    notes: RefCell<Vec<Note>>,
    untold: Cell<usize>,
}

/// One of several names of the same attribute, by kernel version; the one that was found last is tried first.
pub(super) struct Names {
    candidates: &'static [(&'static str, Syntax)],
    last: Cell<usize>,
}

/// How a set is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// `00000000,000000ff`
    Mask,
    /// `0-7`
    List,
}

impl Names {
    pub(super) const fn new(candidates: &'static [(&'static str, Syntax)]) -> Self {
        Self { candidates, last: Cell::new(0) }
    }
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            live: root == Path::new("/"),
            resolved: RefCell::default(),
            buffer: RefCell::new(Vec::with_capacity(8192)),
            notes: RefCell::default(),
            untold: Cell::new(0),
        }
    }

    /// The text of a small file, without the white space around it. `None`: absent or unreadable.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let mut buffer = self.buffer.borrow_mut();
        if !self.fill(path, LIMIT, &mut buffer) {
            return None;
        }
        if buffer.len() > LIMIT {
            self.damage(format!("{path} is longer than {} KiB, so it was left out", LIMIT >> 10));
            return None;
        }
        let text = String::from_utf8_lossy(&buffer);
        // Strings of the device tree end with a zero byte.
        Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    }

    /// The first bytes of a file, which may be longer. Empty: absent or unreadable.
    pub(super) fn head(&self, path: &str, limit: usize) -> Vec<u8> {
        let mut buffer = Vec::new();
        if !self.fill(path, limit, &mut buffer) {
            return Vec::new();
        }
        buffer.truncate(limit);
        buffer
    }

    /// A few bytes of a file, from a place in it on; fewer where it ends before. Empty: absent or unreadable. Each byte
    /// of a device's configuration space is asked of the device, so only what is needed should be.
    pub(super) fn part(&self, path: &str, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = self.locate(path).ok_or_else(|| io::ErrorKind::NotFound.into());
        let read = read.and_then(|place| self.open(path, &place)?.read_at(&mut bytes, offset));
        bytes.truncate(read.map_err(|error| self.complain(path, &error)).unwrap_or_default());
        bytes
    }

    /// A decimal number.
    pub(super) fn number(&self, path: &str) -> Option<i64> {
        let text = self.text(path)?;
        let number = text.parse().ok();
        if number.is_none() && !text.is_empty() {
            self.damage(format!("{path} should hold a number"));
        }
        number
    }

    /// A list of CPUs or of nodes.
    pub(super) fn list<S: FromStr<Err = Error>>(&self, path: &str) -> Option<S> {
        self.text(path)?.parse().map_err(|error| self.damage(format!("{path}: {error}"))).ok()
    }

    /// A set of CPUs, under the name that this kernel gives it.
    pub(super) fn named_set(&self, folder: &str, names: &Names) -> Option<CpuSet> {
        let last = names.last.get();
        let others = (0..names.candidates.len()).filter(|index| *index != last);
        std::iter::once(last).chain(others).find_map(|index| {
            let (name, syntax) = names.candidates[index];
            let set = self.set(&format!("{folder}/{name}"), syntax)?;
            names.last.set(index);
            Some(set)
        })
    }

    fn set(&self, path: &str, syntax: Syntax) -> Option<CpuSet> {
        let text = self.text(path)?;
        let set = match syntax {
            // An empty mask is written with digits; a file without any says nothing.
            Syntax::Mask if text.is_empty() => return None,
            Syntax::Mask => CpuSet::from_mask(&text),
            Syntax::List => text.parse(),
        };
        set.map_err(|error| self.damage(format!("{path}: {error}"))).ok()
    }

    /// The names in a directory, sorted. Empty: absent or unreadable.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        self.entries(path, |_| true)
    }

    /// The names of the directories in a directory, sorted; links to directories are not among them.
    pub(super) fn folders(&self, path: &str) -> Vec<String> {
        self.entries(path, |entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    }

    /// The numbers in names such as `cpu12`, sorted.
    pub(super) fn numbered(&self, path: &str, prefix: &str) -> Vec<u32> {
        let names = self.names(path);
        let digits = names.iter().filter_map(|name| name.strip_prefix(prefix));
        let mut numbers: Vec<u32> = digits
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
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

    /// Where a link leads, as it is written. `None`: absent, or not a link.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.locate(path)?).ok()?;
        target.to_str().map(str::to_owned)
    }

    /// Whether there is a directory.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.folder(path).is_some_and(|path| path.is_dir())
    }

    /// Adds a note that a part of the tree is damaged.
    pub(super) fn damage(&self, text: String) {
        let mut notes = self.notes.borrow_mut();
        if notes.len() < MAX_NOTES {
            notes.push(Note { kind: NoteKind::Damage, text });
        } else {
            self.untold.set(self.untold.get() + 1);
        }
    }

    /// The notes about files so far.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        let mut notes = self.notes.take();
        let untold = self.untold.take();
        if untold > 0 {
            notes.push(Note { kind: NoteKind::Damage, text: format!("{untold} more files are damaged") });
        }
        notes
    }

    fn entries(&self, path: &str, keep: impl Fn(&std::fs::DirEntry) -> bool) -> Vec<String> {
        let Some(entries) = self.folder(path).and_then(|folder| match std::fs::read_dir(folder) {
            Ok(entries) => Some(entries),
            Err(error) => {
                self.complain(path, &error);
                None
            }
        }) else {
            return Vec::new();
        };
        let entries = entries.flatten().filter(keep);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// Fills the buffer with up to `limit + 1` bytes of a file.
    fn fill(&self, path: &str, limit: usize, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let Some(place) = self.locate(path) else { return false };
        let read = self.open(path, &place).and_then(|file| file.take(limit as u64 + 1).read_to_end(buffer));
        read.map_err(|error| self.complain(path, &error)).is_ok()
    }

    fn open(&self, path: &str, place: &Path) -> io::Result<File> {
        if self.live {
            return File::open(place);
        }
        let file = match open_recorded(place) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                let real = self.walk(path, MAX_LINKS).ok_or(io::ErrorKind::NotFound)?;
                open_recorded(&self.root.join(real))?
            }
            other => other?,
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::IsADirectory.into()) }
    }

    /// Absence is normal, and so is that a device has nothing to say; the rest is worth a note.
    fn complain(&self, path: &str, error: &io::Error) {
        let notable = matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
        );
        if notable {
            self.damage(format!("cannot read {path}: {error}"));
        }
    }

    /// The path of a file whose directory is free of links.
    fn locate(&self, path: &str) -> Option<PathBuf> {
        match path.rsplit_once('/') {
            _ if self.live => Some(self.root.join(path)),
            Some((folder, name)) => Some(self.folder(folder)?.join(name)),
            None => Some(self.root.join(path)),
        }
    }

    /// The path of a directory free of links.
    fn folder(&self, path: &str) -> Option<PathBuf> {
        if self.live {
            return Some(self.root.join(path));
        }
        if let Some(known) = self.resolved.borrow().get(path) {
            return Some(self.root.join(known));
        }
        // What is absent is not remembered: a short list can name very many folders that are not there.
        let real = self.walk_folder(path)?;
        let place = self.root.join(&real);
        self.resolved.borrow_mut().insert(path.to_owned(), real);
        Some(place)
    }

    /// As [`walk`](Self::walk), from the parent directory on, which is often known.
    fn walk_folder(&self, path: &str) -> Option<String> {
        let Some((parent, name)) = path.rsplit_once('/') else { return self.walk(path, MAX_LINKS) };
        self.folder(parent)?;
        let real = self.resolved.borrow().get(parent).cloned()?;
        let (real, _) = self.step(real, name, MAX_LINKS)?;
        let kind = std::fs::symlink_metadata(self.root.join(&real)).ok()?;
        if !kind.is_dir() {
            self.damage(format!("{path} should be a directory"));
            return None;
        }
        Some(real)
    }

    /// Follows a path from the root, with every link on it.
    fn walk(&self, path: &str, links: u32) -> Option<String> {
        Some(self.walk_from(String::new(), path, links)?.0)
    }

    fn walk_from(&self, start: String, path: &str, mut links: u32) -> Option<(String, u32)> {
        let mut real = if path.starts_with('/') { String::new() } else { start };
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                // As at the real root, there is nothing above.
                real.truncate(real.rfind('/').unwrap_or(0));
            } else {
                (real, links) = self.step(real, name, links)?;
            }
        }
        Some((real, links))
    }

    /// Goes one name down, and on where that is a link.
    fn step(&self, folder: String, name: &str, links: u32) -> Option<(String, u32)> {
        let here = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let kind = std::fs::symlink_metadata(self.root.join(&here)).ok()?;
        if !kind.is_symlink() {
            return Some((here, links));
        }
        let target = std::fs::read_link(self.root.join(&here)).ok()?;
        self.walk_from(folder, target.to_str()?, links.checked_sub(1)?)
    }
}

/// Opens without following a last link and without waiting for the other end of a pipe.
fn open_recorded(place: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(place)
}
