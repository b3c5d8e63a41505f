//! Atomic writing of files: on failure the old file stays.

use crate::error::{Error, Result};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file atomically: beside the old one, then renamed, so that a full disk or an interruption never costs the old one,
/// and a reader never sees half of it. The file's mode stays. The target of a symbolic link is replaced; a pipe, a terminal or
/// `/dev/null` is written to directly, and a block device is refused.
///
/// ```
/// let file = std::env::temp_dir().join(format!("nvtopo-save-example-{}", std::process::id()));
/// nvtopo::save_file(&file, b"whole")?;
/// assert_eq!(std::fs::read(&file).unwrap(), b"whole");
/// # std::fs::remove_file(&file).unwrap();
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn save_file(path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write(path, content).map_err(|error| Error::cannot_write(path, error))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = &match fs::canonicalize(path) {
        Ok(real) if !real.is_file() && !real.is_dir() => return write_through(&real, content),
        Ok(real) => real,
        // A dangling link: its target is created.
        Err(_) => fs::read_link(path).map_or_else(|_| path.to_owned(), |target| beside(path, &target)),
    };
    let mode = fs::metadata(path).ok().map(|old| old.permissions());
    let (part, mut file) = create_beside(path)?;
    let done = file
        .write_all(content)
        .and_then(|()| mode.map_or(Ok(()), |mode| fs::set_permissions(&part, mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // The error of the first failure matters, not that of the clean-up.
        let _ = fs::remove_file(&part);
    }
    done
}

fn beside(path: &Path, target: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(target)
}

/// Writes into a device or a pipe, which cannot be renamed over.
fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_block_device(&fs::metadata(path)?.file_type()) {
        return Err(io::Error::other("it is a disk, whose content would be lost; give the name of a file"));
    }
    let mut device = fs::OpenOptions::new().write(true).open(path)?;
    device.write_all(content)?;
    device.flush()
}

/// Creates a new file in the same directory, so that it can be renamed.
fn create_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let name = path.file_name().filter(|_| !path.is_dir()).ok_or(io::ErrorKind::IsADirectory)?;
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 0..100 {
        let mut part = std::ffi::OsString::from(".");
        // A long name with more behind it may be longer than a name can be.
        part.push(if name.len() > 200 { std::ffi::OsStr::new("nvtopo") } else { name });
        part.push(format!(".{}-{number}.part", std::process::id()));
        let part = path.with_file_name(part);
        match fs::OpenOptions::new().write(true).create_new(true).open(&part) {
            Ok(file) => return Ok((part, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("nvtopo-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = Scratch::new("save");
        let (file, link) = (folder.0.join("a"), folder.0.join("b"));
        std::os::unix::fs::symlink("a", &link).unwrap();
        save_file(&link, b"first").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"first");
        save_file(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        save_file(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "the mode stays");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(save_file(&folder.0, b"x").unwrap_err().to_string().contains("cannot write"));
        assert!(save_file(folder.0.join("no/where"), b"x").is_err());
        let long = folder.0.join("x".repeat(250));
        save_file(&long, b"long").unwrap();
        fs::remove_file(long).unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
    }

    #[test]
    fn devices_are_written_to_as_they_are() {
        save_file("/dev/null", b"x").unwrap();
        if Path::new("/dev/full").exists() {
            let full = save_file("/dev/full", b"x").unwrap_err();
            assert!(full.to_string().starts_with("cannot write /dev/full: "), "{full}");
        }
    }
}
