//! Files from somebody else, which may be damaged or hostile: links are followed one by one, so that none leads out of
//! the root.

use super::files::{Entry, FileError, Files, Kind, Part};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The largest number of links to follow on one path, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A place with files, where no link is followed. Paths have none on the way.
pub(in crate::source) trait Place {
    /// Returns the kind of the entry at a path.
    fn kind(&self, path: &str) -> Result<Kind, FileError>;

    /// Returns the target of a link, as it is written.
    fn link(&self, path: &str) -> Result<String, FileError>;

    /// Fills an empty buffer with the bytes of a part of a file that are there. False: it is a link.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<bool, FileError>;

    /// Returns the entries of a directory.
    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError>;
}

/// A place with links that are followed inside it.
pub(in crate::source) struct Confined<P> {
    place: P,
    /// The real paths of directories.
    resolved: RefCell<BTreeMap<String, String>>,
}

impl<P: Place> Confined<P> {
    pub(super) fn new(place: P) -> Self {
        Self { place, resolved: RefCell::default() }
    }

    /// Returns the path of a file whose directory is free of links.
    fn locate(&self, path: &str) -> Result<String, FileError> {
        match path.rsplit_once('/') {
            Some((folder, name)) if is_plain(name) => Ok(join(&self.folder(folder)?, name)),
            None if is_plain(path) => Ok(path.to_owned()),
            _ => walk(&self.place, path),
        }
    }

    /// Returns the path of a directory free of links.
    fn folder(&self, path: &str) -> Result<String, FileError> {
        if let Some(known) = self.resolved.borrow().get(path) {
            return Ok(known.clone());
        }
        // Absent folders are not cached: a short list can name very many of them.
        let real = match path.rsplit_once('/') {
            // The parent is often known.
            Some((parent, name)) if is_plain(name) => {
                step(&self.place, self.folder(parent)?, name, MAX_LINKS)?.0
            }
            _ => walk(&self.place, path)?,
        };
        if self.place.kind(&real)? != Kind::Folder {
            return Err(FileError::NotAFolder(path.to_owned()));
        }
        self.resolved.borrow_mut().insert(path.to_owned(), real.clone());
        Ok(real)
    }
}

impl<P: Place> Files for Confined<P> {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        if !self.place.read(&self.locate(path)?, part, buffer)? {
            let real = walk(&self.place, path)?;
            self.place.read(&real, part, buffer)?;
        }
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        self.place.list(&self.folder(path)?)
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        self.place.link(&self.locate(path)?)
    }

    fn is_folder(&self, path: &str) -> Result<bool, FileError> {
        self.folder(path).map(|_| true)
    }
}

/// Follows a path from the root, with every link on it.
pub(super) fn walk(place: &(impl Place + ?Sized), path: &str) -> Result<String, FileError> {
    Ok(walk_from(place, String::new(), path, MAX_LINKS)?.0)
}

fn walk_from(
    place: &(impl Place + ?Sized),
    start: String,
    path: &str,
    mut links: u32,
) -> Result<(String, u32), FileError> {
    let mut real = if path.starts_with('/') { String::new() } else { start };
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            // Nothing is above the root, as in the kernel.
            real.truncate(real.rfind('/').unwrap_or(0));
        } else {
            (real, links) = step(place, real, name, links)?;
        }
    }
    Ok((real, links))
}

/// Goes one name down, and on where that is a link.
fn step(
    place: &(impl Place + ?Sized),
    folder: String,
    name: &str,
    links: u32,
) -> Result<(String, u32), FileError> {
    let here = join(&folder, name);
    if place.kind(&here)? != Kind::Link {
        return Ok((here, links));
    }
    let target = place.link(&here)?;
    walk_from(place, folder, &target, links.checked_sub(1).ok_or(FileError::Absent)?)
}

/// Returns whether a name leads down and not up: the targets of links become parts of paths.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
}

/// Returns the path of a name in a directory.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { [folder, "/", name].concat() }
}
