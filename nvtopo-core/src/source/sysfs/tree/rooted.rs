//! Files that somebody gave us, on a kernel that keeps a way below a root by itself: one call follows all of it.
//!
//! The kernel is asked by `openat2` (Linux 5.6), and answers where all is plain. What it refuses for any reason (a link
//! too many, a way through a file, a sandbox that forbids the call) is gone through step by step instead, as
//! [`super::confined`] does, so that both ways give the same answers.

use super::confined::Confined;
use super::disk::Disk;
use super::files::{Entry, Files, Part, Trouble, entries, regular};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, readlinkat};
use rustix::io::Errno;
use std::cell::RefCell;
use std::path::Path;

pub(super) struct Rooted {
    root: OwnedFd,
    /// The directory that much is asked of.
    near: RefCell<Option<(String, OwnedFd)>>,
    stepwise: Confined<Disk>,
}

impl Rooted {
    /// `None`: there is no such root, or the kernel has no such call.
    pub(super) fn new(root: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty()).ok()?;
        Some(Self { root: open, near: RefCell::default(), stepwise: Confined::new(Disk::new(root)) })
    }

    /// Opens what is at the end of a way, where the kernel can. Outer errors: the way has to be gone step by step.
    fn open(&self, path: &str, flags: OFlags) -> Result<Result<OwnedFd, Trouble>, Errno> {
        let open = self.open_near(path, flags).unwrap_or_else(|| {
            // Links of `proc` lead anywhere, whatever they say.
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        });
        match open {
            Ok(open) => Ok(Ok(open)),
            Err(Errno::NOENT) => Ok(Err(Trouble::Absent)),
            Err(other) => Err(other),
        }
    }

    /// Opens what is below the directory that was prepared. `None`: it is elsewhere, or a link is on the way, which
    /// counts from the root.
    fn open_near(&self, path: &str, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        let near = self.near.borrow();
        let (folder, open) = near.as_ref()?;
        let rest = path.strip_prefix(&**folder)?.strip_prefix('/')?;
        // Without links and steps up, a way leads down.
        if rest.starts_with('/') || rest.as_bytes().windows(2).any(|pair| pair == b"..") {
            return None;
        }
        match openat2(open, rest, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(open) => Some(Ok(open)),
            Err(Errno::NOENT) => Some(Err(Errno::NOENT)),
            Err(_) => None,
        }
    }
}

impl Files for Rooted {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), Trouble> {
        // Does not wait for the other end of a pipe.
        let Ok(open) = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) else {
            return self.stepwise.read(path, part, buffer);
        };
        let file = open?;
        let read = part.read(&file, path, buffer);
        // Files that hold something are most of what is read, so that only the others are asked what they are.
        if read.is_err() || buffer.is_empty() {
            regular(&file)?;
        }
        Ok(read?)
    }

    fn prepare(&self, folder: &str) {
        if let Ok(Ok(open)) = self.open(folder, OFlags::PATH | OFlags::DIRECTORY) {
            self.near.replace(Some((folder.to_owned(), open)));
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(open) => entries(open?),
            Err(_) => self.stepwise.list(path),
        }
    }

    fn link(&self, path: &str) -> Result<String, Trouble> {
        let Ok(open) = self.open(path, OFlags::PATH | OFlags::NOFOLLOW) else {
            return self.stepwise.link(path);
        };
        let target = readlinkat(open?, "", Vec::new()).map_err(|_| Trouble::Absent)?;
        target.into_string().map_err(|_| Trouble::Absent)
    }

    fn is_folder(&self, path: &str) -> Result<bool, Trouble> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(open) => open.map(|_| true),
            Err(_) => self.stepwise.is_folder(path),
        }
    }
}
