//! Files below a root that was given by somebody else, on a kernel that confines paths by itself: one call resolves all
//! of a path.
//!
//! `openat2` (Linux 5.6) answers in plain cases. A path that it refuses for any reason (a link too many, a file in the
//! middle, a sandbox that forbids the call) is resolved step by step instead, by [`super::confined`], so that both give
//! the same answers.

use super::confined::Confined;
use super::disk::Disk;
use super::files::{Entry, FileError, Files, Part, entries, regular};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, readlinkat};
use rustix::io::Errno;
use std::cell::RefCell;
use std::path::Path;

/// The number of directories to keep open: files of one are read one after the other, and many could be named.
const MOST_NEAR: usize = 4;

pub(super) struct Rooted {
    root: OwnedFd,
    /// The directories with many reads, the latest last.
    near: RefCell<Vec<(String, OwnedFd)>>,
    stepwise: Confined<Disk>,
}

impl Rooted {
    /// Opens a root. `None`: there is no such root, or the kernel has no such call.
    pub(super) fn new(root: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty()).ok()?;
        Some(Self { root: open, near: RefCell::default(), stepwise: Confined::new(Disk::new(root)) })
    }

    /// Opens what is at the end of a way, where the kernel can. Outer errors: the way has to be gone step by step.
    fn open(&self, path: &str, flags: OFlags) -> Result<Result<OwnedFd, FileError>, Errno> {
        let open = self.open_near(path, flags).unwrap_or_else(|| {
            // Links of `proc` lead anywhere, whatever they say.
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let path = if path.is_empty() { "." } else { path };
            openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        });
        match open {
            Ok(open) => Ok(Ok(open)),
            Err(Errno::NOENT) => Ok(Err(FileError::Absent)),
            Err(other) => Err(other),
        }
    }

    /// Opens what is below a directory that was prepared. `None`: it is elsewhere, or a link is on the way, which
    /// counts from the root.
    fn open_near(&self, path: &str, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        let near = self.near.borrow();
        let below = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/');
        let (open, rest) = near.iter().rev().find_map(|(folder, open)| Some((open, below(folder)?)))?;
        // Without links and steps up, a way leads down.
        if rest.starts_with('/') || rest.contains('.') && rest.contains("..") {
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
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        // Does not wait for the other end of a pipe.
        let Ok(open) = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) else {
            return self.stepwise.read(path, part, buffer);
        };
        let file = open?;
        let read = part.read(&file, path, buffer);
        // Most files have content, so that only the kind of empty ones is checked.
        if read.is_err() || buffer.is_empty() {
            regular(&file)?;
        }
        Ok(read?)
    }

    fn prepare(&self, folder: &str) {
        if let Ok(Ok(open)) = self.open(folder, OFlags::PATH | OFlags::DIRECTORY) {
            let mut near = self.near.borrow_mut();
            if near.len() == MOST_NEAR {
                near.remove(0);
            }
            near.push((folder.to_owned(), open));
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(open) => entries(open?),
            Err(_) => self.stepwise.list(path),
        }
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        let Ok(open) = self.open(path, OFlags::PATH | OFlags::NOFOLLOW) else {
            return self.stepwise.link(path);
        };
        let target = readlinkat(open?, "", Vec::new()).map_err(|_| FileError::Absent)?;
        target.into_string().map_err(|_| FileError::Absent)
    }

    fn is_folder(&self, path: &str) -> Result<bool, FileError> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(open) => open.map(|_| true),
            Err(_) => self.stepwise.is_folder(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree with every kind of link, and beside it what must not be seen.
    struct Trap(std::path::PathBuf);

    impl Drop for Trap {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Trap {
        fn new(name: &str) -> Self {
            let trap = Self(std::env::temp_dir().join(format!("nvtopo-{name}-{}", std::process::id())));
            let root = trap.root();
            std::fs::create_dir_all(root.join("cpu/cpu0/cache")).unwrap();
            std::fs::write(trap.0.join("secret"), "outside").unwrap();
            std::fs::write(root.join("secret"), "inside").unwrap();
            std::fs::write(root.join("cpu/online"), "0").unwrap();
            std::fs::write(root.join("cpu/empty"), "").unwrap();
            for (target, link) in [
                ("../../secret", "cpu/up"),
                ("../../../secret", "cpu/cpu0/up"),
                ("/secret", "cpu/absolute"),
                ("../..", "cpu/cpu1"),
                ("/", "cpu/cpu2"),
                ("cpu3", "cpu/cpu3"),
                ("cpu5", "cpu/cpu4"),
                ("cpu4", "cpu/cpu5"),
                ("online/../cpu0", "cpu/through"),
                ("nowhere", "cpu/dangling"),
                ("cpu0/../../../secret", "cpu/steps"),
                ("cpu", "alias"),
            ] {
                symlink(target, root.join(link)).unwrap();
            }
            for link in 0..50 {
                symlink(format!("chain{}", link + 1), root.join(format!("chain{link}"))).unwrap();
            }
            std::fs::write(root.join("chain50"), "far").unwrap();
            trap
        }

        fn root(&self) -> std::path::PathBuf {
            self.0.join("root")
        }
    }

    const PATHS: &[&str] = &[
        "secret",
        "../secret",
        "cpu/../../secret",
        "cpu/up",
        "cpu/cpu0/up",
        "cpu/absolute",
        "cpu/cpu1/secret",
        "cpu/cpu2/secret",
        "cpu/cpu1/root/secret",
        "cpu/cpu3/x",
        "cpu/cpu3",
        "cpu/cpu4/x",
        "cpu/cpu5",
        "cpu/through/up",
        "cpu/dangling",
        "cpu/dangling/x",
        "cpu/steps",
        "cpu/online",
        "cpu/online/x",
        "cpu/empty",
        "cpu/cpu0",
        "cpu/cpu0/cache",
        "cpu/cpu0/missing",
        "cpu//../../secret",
        "cpu/..",
        "cpu/.",
        "alias/up",
        "alias/cpu0/up",
        "alias/cpu2/cpu/online",
        "chain0",
        "chain20",
        "",
        "/",
        "/secret",
    ];

    type Answers = (
        Result<Vec<u8>, FileError>,
        Result<Vec<Entry>, FileError>,
        Result<String, FileError>,
        Result<bool, FileError>,
    );

    fn ask(files: &dyn Files, path: &str) -> Answers {
        let mut buffer = Vec::new();
        let read = files.read(path, Part::head(100), &mut buffer).map(|()| buffer);
        let list = files.list(path).map(|mut entries| {
            entries.sort();
            entries
        });
        (read, list, files.link(path), files.is_folder(path))
    }

    #[test]
    fn the_kernel_and_the_steps_answer_alike_and_inside() {
        let trap = Trap::new("alike");
        let steps = Confined::new(Disk::new(&trap.root()));
        // A kernel without the call has no second way.
        let Some(kernel) = Rooted::new(&trap.root()) else { return };
        let Some(prepared) = Rooted::new(&trap.root()) else { return };
        prepared.prepare("cpu");
        prepared.prepare("cpu/cpu3");
        assert_eq!(prepared.near.borrow().len(), 1, "a loop is no directory");
        prepared.prepare("cpu/cpu0");
        prepared.prepare("alias/cpu2");
        for path in PATHS {
            let expected = ask(&steps, path);
            assert_eq!(ask(&kernel, path), expected, "{path}");
            assert_eq!(ask(&prepared, path), expected, "{path}, from nearby");
            assert_ne!(expected.0.as_deref(), Ok(&b"outside"[..]), "{path}");
        }
        let inside = ["cpu/up", "cpu/cpu0/up", "cpu/absolute", "cpu/cpu2/secret", "cpu/steps", "alias/up"];
        for path in inside {
            assert_eq!(ask(&prepared, path).0.as_deref(), Ok(&b"inside"[..]), "{path}");
        }
    }

    #[test]
    fn few_directories_are_kept_open() {
        let trap = Trap::new("few");
        let Some(files) = Rooted::new(&trap.root()) else { return };
        for _ in 0..20 {
            files.prepare("cpu");
        }
        assert_eq!(files.near.borrow().len(), MOST_NEAR);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let trap = Trap::new("refused");
        let Some(files) = Rooted::new(&trap.root()) else { return };
        let pipe = trap.root().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // With somebody at its other end, who has written.
        let held = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        std::io::Write::write_all(&mut &held, b"0-7").unwrap();
        let ask = |path| files.read(path, Part::head(100), &mut Vec::new());
        assert!(matches!(ask("pipe"), Err(FileError::Refused(_))));
        assert!(matches!(ask("cpu"), Err(FileError::Refused(_))));
        assert_eq!(ask("cpu/empty"), Ok(()));
    }
}
