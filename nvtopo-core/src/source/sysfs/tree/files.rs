//! The interface of files below a root: of this machine, of a directory, or of an archive.

use crate::model::MachineIdentity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType};
use std::io;
use std::mem::MaybeUninit;

/// Files below a root. Paths are relative to it and written with `/`; links on the way are followed.
pub(in crate::source) trait Files {
    /// Fills an empty buffer with the bytes of a part of a file that are there.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError>;

    /// Returns the entries of a directory, in any order; names that are not UTF-8 are left out.
    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError>;

    /// Returns the target of a link, as it is written.
    fn link(&self, path: &str) -> Result<String, FileError>;

    /// Returns whether there is a directory.
    fn is_folder(&self, path: &str) -> Result<bool, FileError>;

    /// Prepares for many reads below a directory.
    fn prepare(&self, _folder: &str) {}

    /// Reads a file that identifies a machine, like [`read`](Self::read): it is never recorded.
    fn read_secret(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        self.read(path, part, buffer)
    }

    /// Returns the identity of the machine, where it is known without its identifiers.
    fn identity(&self) -> Option<MachineIdentity> {
        None
    }

    /// Returns whether this is the file system of the machine that this process runs on.
    fn is_live(&self) -> bool {
        false
    }

    /// Returns whether `/proc/self` belongs to the reader of the machine, and not to a process that copied its files.
    fn is_own(&self) -> bool {
        self.is_live()
    }
}

/// The number of bytes to read at once: most files are shorter.
const CHUNK: usize = 8192;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Part {
    pub(in crate::source) offset: usize,
    pub(in crate::source) length: usize,
}

impl Part {
    /// Returns the first bytes.
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

    /// Returns the part of what a file holds.
    #[cfg(feature = "snapshot")]
    pub(in crate::source) fn of(self, content: &[u8]) -> &[u8] {
        let rest = &content[content.len().min(self.offset)..];
        &rest[..rest.len().min(self.length)]
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source) struct Entry {
    pub(in crate::source) name: String,
    pub(in crate::source) kind: Kind,
}

/// The kind of an entry, links not followed.
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

/// Returns the entries of an open directory.
pub(super) fn entries(folder: OwnedFd) -> Result<Vec<Entry>, FileError> {
    let mut found = Vec::new();
    let mut folder = Dir::new(folder)?;
    while let Some(Ok(entry)) = folder.read() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        let kind = match entry.file_type() {
            // Some file systems report the kind only on request.
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
pub(super) fn regular(file: impl AsFd) -> Result<(), FileError> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    if kind == FileType::RegularFile {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::IsADirectory).into())
    }
}

/// The reason why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) enum FileError {
    /// Nothing is there, or a device has no value, which is normal.
    Absent,
    /// A part of the path that is no directory.
    NotAFolder(String),
    /// An existing file cannot be read, for this reason.
    Refused(String),
}

impl From<rustix::io::Errno> for FileError {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Self::Refused(error.to_string())
            }
            _ => Self::Absent,
        }
    }
}
