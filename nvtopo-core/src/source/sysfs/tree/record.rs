//! The record of a reading: files, links and names as they really are, under paths that are free of links.
//!
//! Recorded entries are answered from the record, so that the recorded reading sees exactly what its replay will see.
//! Absent entries are not recorded.

use super::confined::{Place, join, walk};
use super::files::{Entry, FileError, Files, Kind, Part};
use super::memory::{Refused, Stored};
use super::{Disk, Tree};
use crate::model::MachineIdentity;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// The folder of the reader's own process. It is a link to a number that changes with each process, so it is recorded
/// as the directory that it leads to.
const SELF: &str = "proc/self";

/// The record of everything that was read.
#[derive(Default)]
pub(in crate::source) struct Record {
    entries: BTreeMap<String, Stored<Content>>,
    refused: Refused,
}

impl Record {
    /// Returns the content stored at each path, and the paths that could not be read.
    pub(in crate::source) fn into_parts(self) -> (BTreeMap<String, Stored>, Refused) {
        let stored = |found| match found {
            Stored::Folder => Stored::Folder,
            Stored::Link(target) => Stored::Link(target),
            Stored::File(content) => Stored::File(content.map(|content: Content| content.bytes)),
        };
        let entries = self.entries.into_iter().map(|(path, found)| (path, stored(found)));
        (entries.collect(), self.refused)
    }
}

/// Takes out of a file's content what changes from moment to moment. It is called with the path, what was read, and
/// whether that is the whole file.
pub(in crate::source) type Trim = fn(path: &str, bytes: Vec<u8>, whole: bool) -> Vec<u8>;

impl Tree {
    /// Returns the files like [`Tree::new`], with a record of everything that will be read.
    pub(in crate::source) fn recording(root: &Path, trim: Trim) -> (Self, Rc<RefCell<Record>>) {
        let record = Rc::default();
        let recorder =
            Recorder { files: super::files(root), disk: Disk::new(root), trim, record: Rc::clone(&record) };
        (Self::of(Box::new(recorder)), record)
    }
}

#[derive(Default)]
struct Content {
    /// The bytes; those between parts that were read are zero.
    bytes: Vec<u8>,
    /// The number of bytes that were read from the start on.
    head: usize,
    /// True if the file ends there.
    whole: bool,
}

struct Recorder {
    files: Box<dyn Files>,
    disk: Disk,
    trim: Trim,
    record: Rc<RefCell<Record>>,
}

impl Recorder {
    /// Records the links on the way to a path, and returns where it ends.
    fn walk(&self, path: &str) -> Result<String, FileError> {
        walk(&Steps(self), path)
    }

    fn known(&self, path: &str) -> Option<Kind> {
        self.record.borrow().entries.get(path).map(Stored::kind)
    }

    /// Records what is at a path that is free of links.
    fn put(&self, path: &str, kind: Kind) {
        let found = match kind {
            Kind::Folder => Stored::Folder,
            // An unreadable target leads nowhere.
            Kind::Link => self.disk.link(path).map_or(Stored::File(None), Stored::Link),
            Kind::File => Stored::File(None),
        };
        self.record.borrow_mut().entries.entry(path.to_owned()).or_insert(found);
    }

    /// Answers from what was read of a file before, where that is enough.
    fn again(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> bool {
        match self.record.borrow().entries.get(path) {
            Some(Stored::File(Some(content)))
                if content.whole || part.offset + part.length <= content.head =>
            {
                buffer.extend_from_slice(part.of(&content.bytes));
                true
            }
            _ => false,
        }
    }

    /// Records what was read of a file.
    fn keep(&self, path: String, part: Part, buffer: &mut Vec<u8>) {
        let whole = part.offset == 0 && buffer.len() < part.length;
        if part.offset == 0 {
            *buffer = (self.trim)(&path, std::mem::take(buffer), whole);
        }
        let mut record = self.record.borrow_mut();
        let found = record.entries.entry(path).or_insert(Stored::File(None));
        if let Stored::File(content) = found {
            let content = content.get_or_insert_default();
            let end = part.offset + buffer.len();
            if content.bytes.len() < end && !buffer.is_empty() {
                content.bytes.resize(end, 0);
            }
            if let Some(place) = content.bytes.get_mut(part.offset..end) {
                place.copy_from_slice(buffer);
            }
            if part.offset <= content.head {
                content.head = content.head.max(end);
            }
            if whole {
                content.bytes.truncate(end);
                content.whole = true;
            }
        }
    }
}

impl Files for Recorder {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        let real = self.walk(path);
        if real.as_ref().is_ok_and(|real| self.again(real, part, buffer)) {
            return Ok(());
        }
        let answer = self.files.read(path, part, buffer);
        match (&answer, real) {
            (Ok(()), Ok(real)) => self.keep(real, part, buffer),
            (Err(FileError::Refused(why)), _) => {
                self.record.borrow_mut().refused.files.insert(path.to_owned(), why.clone());
            }
            _ => {}
        }
        answer
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        let real = self.walk(path);
        let answer = self.files.list(path);
        match (&answer, real) {
            (Ok(entries), Ok(real)) => {
                for entry in entries {
                    self.put(&join(&real, &entry.name), entry.kind);
                }
            }
            (Err(FileError::Refused(why)), _) => {
                self.record.borrow_mut().refused.folders.insert(path.to_owned(), why.clone());
            }
            _ => {}
        }
        answer
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Ok(folder) = self.walk(folder) {
            // Nothing there is an answer too.
            let _ = Steps(self).kind(&join(&folder, name));
        }
        self.files.link(path)
    }

    fn is_folder(&self, path: &str) -> Result<bool, FileError> {
        let _ = self.walk(path);
        self.files.is_folder(path)
    }

    fn prepare(&self, folder: &str) {
        self.files.prepare(folder);
    }

    fn read_secret(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        self.files.read_secret(path, part, buffer)
    }

    fn identity(&self) -> Option<MachineIdentity> {
        self.files.identity()
    }

    fn is_live(&self) -> bool {
        self.files.is_live()
    }

    fn is_own(&self) -> bool {
        self.files.is_own()
    }
}

/// The machine step by step, each step recorded.
struct Steps<'a>(&'a Recorder);

impl Place for Steps<'_> {
    fn kind(&self, path: &str) -> Result<Kind, FileError> {
        let recorder = self.0;
        if let Some(kind) = recorder.known(path) {
            return Ok(kind);
        }
        let own = path == SELF && recorder.files.is_own();
        let kind = if own { Kind::Folder } else { recorder.disk.kind(path)? };
        recorder.put(path, kind);
        Ok(recorder.known(path).unwrap_or(kind))
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        match self.0.record.borrow().entries.get(path) {
            Some(Stored::Link(target)) => Ok(target.clone()),
            _ => Err(FileError::Absent),
        }
    }

    fn read(&self, _: &str, _: Part, _: &mut Vec<u8>) -> Result<bool, FileError> {
        Err(FileError::Absent)
    }

    fn list(&self, _: &str) -> Result<Vec<Entry>, FileError> {
        Err(FileError::Absent)
    }
}
