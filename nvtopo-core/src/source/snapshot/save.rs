//! Writing a file whole or not at all.

use crate::error::{Error, Result};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes the content to a file. An old one stays until the new one is complete.
pub(super) fn save(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content).map_err(|error| Error::cannot_write(path, error))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // What a link leads to is replaced, not the link. A device or a pipe cannot be.
    let path = &match fs::canonicalize(path) {
        Ok(real) if !real.is_file() && !real.is_dir() => return fs::write(real, content),
        Ok(real) => real,
        Err(_) => path.to_owned(),
    };
    let (beside, mut file) = create_beside(path)?;
    let done =
        file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // What is left of it is of no use; that the first thing failed is what matters.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// A new file in the same directory, so that it can be renamed.
fn create_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 0..100 {
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}-{number}.part", std::process::id()));
        let beside = path.with_file_name(beside);
        match fs::OpenOptions::new().write(true).create_new(true).open(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("nvtopo-save-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("a"), folder.join("b"));
        std::os::unix::fs::symlink("a", &link).unwrap();
        save(&file, b"old").unwrap();
        save(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(save(&folder, b"x").unwrap_err().to_string().contains("cannot write"));
        assert!(save(&folder.join("no/where"), b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        save(Path::new("/dev/null"), b"x").unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
