//! What is asked of the files below a root, whoever answers: this machine, a directory, or an archive.

use crate::model::MachineIdentity;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Files below a root. Paths are relative to it and written with `/`; links on the way are followed.
pub(in crate::source) trait Files {
    /// Fills an empty buffer with the bytes of a part of a file that are there.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), Trouble>;

    /// What is in a directory, in any order; names that are not UTF-8 are left out.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble>;

    /// Where a link leads, as it is written.
    fn link(&self, path: &str) -> Result<String, Trouble>;

    /// Whether there is a directory.
    fn is_folder(&self, path: &str) -> Result<bool, Trouble>;

    /// As [`read`](Self::read), of what identifies a machine: it is never recorded.
    fn read_secret(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), Trouble> {
        self.read(path, part, buffer)
    }

    /// Which machine it is, where that is known without its identifiers.
    fn identity(&self) -> Option<MachineIdentity> {
        None
    }

    /// Whether this is the file system of the machine that we run on.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether `/proc/self` is of who reads the machine, and not of who copied its files.
    fn is_own(&self) -> bool {
        self.is_live()
    }
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Part {
    pub(in crate::source) offset: usize,
    pub(in crate::source) length: usize,
}

impl Part {
    /// The first bytes.
    pub(in crate::source) fn head(length: usize) -> Self {
        Self { offset: 0, length }
    }

    /// Reads it, by one call where that can be known to be all. A file of a `size` ends there; one that is `whole` at once
    /// gives all that it has left whenever it gives less than was asked for, as the kernel's attributes do.
    pub(super) fn read(
        self,
        mut file: File,
        size: Option<u64>,
        whole: bool,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.offset > 0 {
            file.seek(SeekFrom::Start(self.offset as u64))?;
        }
        let mut chunk = [0; 4096];
        let end = size.map(|size| size.saturating_sub(self.offset as u64));
        while buffer.len() < self.length {
            let wanted = chunk.len().min(self.length - buffer.len());
            let count = match file.read(&mut chunk[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            buffer.extend_from_slice(&chunk[..count]);
            let ended = end.is_some_and(|end| buffer.len() as u64 >= end);
            if count == 0 || ended || (whole && count < wanted) {
                break;
            }
        }
        Ok(())
    }

    /// The part of what a file holds.
    #[cfg(feature = "snapshot")]
    pub(in crate::source) fn of(self, content: &[u8]) -> &[u8] {
        let rest = &content[content.len().min(self.offset)..];
        &rest[..rest.len().min(self.length)]
    }
}

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source) struct Entry {
    pub(in crate::source) name: String,
    pub(in crate::source) kind: Kind,
}

/// What an entry is, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source) enum Kind {
    Folder,
    Link,
    /// A file, or what is read like one.
    File,
}

impl From<std::fs::FileType> for Kind {
    fn from(kind: std::fs::FileType) -> Self {
        match () {
            () if kind.is_dir() => Self::Folder,
            () if kind.is_symlink() => Self::Link,
            () => Self::File,
        }
    }
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) enum Trouble {
    /// Nothing is there, or a device has nothing to say: that is normal.
    Absent,
    /// The way leads through this path, which is no directory.
    NotAFolder(String),
    /// Something is there and cannot be read: why.
    Refused(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Self::Refused(error.to_string())
            }
            _ => Self::Absent,
        }
    }
}
