//! A place on disk: each call looks at one path and follows no link in its last part.

use super::confined::Place;
use super::files::{Entry, FileError, Kind, Part, entries, regular};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

#[derive(Clone)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Place for Disk {
    fn kind(&self, path: &str) -> Result<Kind, FileError> {
        Ok(FileType::from_raw_mode(rustix::fs::lstat(self.path(path))?.st_mode).into())
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        let target = rustix::fs::readlink(self.path(path), Vec::new()).map_err(|_| FileError::Absent)?;
        target.into_string().map_err(|_| FileError::Absent)
    }

    /// Reads without waiting for the other end of a pipe.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<bool, FileError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(self.path(path), flags, Mode::empty()) {
            Err(Errno::LOOP) => return Ok(false),
            file => file?,
        };
        regular(&file)?;
        part.read(file, path, buffer)?;
        Ok(true)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        entries(rustix::fs::open(self.path(path), flags, Mode::empty())?)
    }
}
