//! What is asked of the files below a root, whoever answers: this machine, a directory, or an archive.

use crate::model::MachineIdentity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType};
use std::io;
use std::mem::MaybeUninit;

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

    /// Says that much will be asked of what is below a directory.
    fn prepare(&self, _folder: &str) {}

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

/// How much is read at once: most files are shorter.
const CHUNK: usize = 8192;

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

    /// Reads it, by one call where that can be known to be all: only files of `proc` give less than was asked for while
    /// there is more.
    pub(super) fn read(self, file: impl AsFd, path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        let whole = !path.starts_with("proc/");
        while buffer.len() < self.length {
            let mut chunk = [MaybeUninit::uninit(); CHUNK];
            let wanted = chunk.len().min(self.length - buffer.len());
            let at = (self.offset + buffer.len()) as u64;
            let count = match rustix::io::pread(&file, &mut chunk[..wanted], at) {
                Err(rustix::io::Errno::INTR) => continue,
                read => {
                    let (bytes, _) = read?;
                    buffer.extend_from_slice(bytes);
                    bytes.len()
                }
            };
            if count == 0 || (whole && count < wanted) {
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

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::File,
        }
    }
}

/// What is in an open directory.
pub(super) fn entries(folder: OwnedFd) -> Result<Vec<Entry>, Trouble> {
    let mut found = Vec::new();
    let mut folder = Dir::new(folder)?;
    while let Some(Ok(entry)) = folder.read() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        let kind = match entry.file_type() {
            // Some file systems tell only when they are asked.
            FileType::Unknown => rustix::fs::statat(folder.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
            kind => kind,
        };
        if !matches!(name, "." | "..") {
            found.push(Entry { name: name.to_owned(), kind: kind.into() });
        }
    }
    Ok(found)
}

/// Refuses what is no file: a directory, a pipe, a device.
pub(super) fn regular(file: impl AsFd) -> Result<(), Trouble> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    if kind == FileType::RegularFile {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::IsADirectory).into())
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

impl From<rustix::io::Errno> for Trouble {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
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
