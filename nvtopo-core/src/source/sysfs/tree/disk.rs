//! A place on disk: each call looks at one path and follows no link in its last part.

use super::confined::Place;
use super::files::{Entry, Kind, Part, Trouble};
use std::fs;
use std::io;
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

    pub(super) fn entries(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        let entries = fs::read_dir(self.path(path))?.flatten();
        let entry = |entry: fs::DirEntry| {
            let kind = entry.file_type().map_or(Kind::File, Kind::from);
            Some(Entry { name: entry.file_name().into_string().ok()?, kind })
        };
        Ok(entries.filter_map(entry).collect())
    }
}

impl Place for Disk {
    fn kind(&self, path: &str) -> Result<Kind, Trouble> {
        Ok(fs::symlink_metadata(self.path(path))?.file_type().into())
    }

    fn link(&self, path: &str) -> Result<String, Trouble> {
        let target = fs::read_link(self.path(path)).map_err(|_| Trouble::Absent)?;
        target.into_os_string().into_string().map_err(|_| Trouble::Absent)
    }

    /// Does not wait for the other end of a pipe.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<bool, Trouble> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(self.path(path)) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(false),
            file => file?,
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        // A recorded file has the size that it says; the kernel's own, under another name for the root, say 0 or a page.
        let size = Some(found.len()).filter(|size| *size > 0);
        part.read(file, size, false, buffer)?;
        Ok(true)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        self.entries(path)
    }
}
