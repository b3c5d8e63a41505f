//! Files that somebody gave us, and that may be damaged or hostile: links are followed one by one, so that none
//! leads out of the root.

use super::files::{Entry, Files, Kind, Part, Trouble};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How many links may be followed on one way, as in the kernel.
const MAX_LINKS: u32 = 40;

/// Where files are, with no link followed. The paths that are asked of have none on the way.
pub(in crate::source) trait Place {
    /// What is at a path.
    fn kind(&self, path: &str) -> Result<Kind, Trouble>;

    /// Where a link leads, as it is written.
    fn link(&self, path: &str) -> Result<String, Trouble>;

    /// Fills an empty buffer with the bytes of a part of a file that are there. False: it is a link.
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<bool, Trouble>;

    /// What is in a directory.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble>;
}

/// A place with links that are followed inside it.
pub(in crate::source) struct Confined<P> {
    place: P,
    /// Where directories really are.
    resolved: RefCell<BTreeMap<String, String>>,
}

impl<P: Place> Confined<P> {
    pub(super) fn new(place: P) -> Self {
        Self { place, resolved: RefCell::default() }
    }

    /// The path of a file whose directory is free of links.
    fn locate(&self, path: &str) -> Result<String, Trouble> {
        match path.rsplit_once('/') {
            Some((folder, name)) if is_plain(name) => Ok(join(&self.folder(folder)?, name)),
            None if is_plain(path) => Ok(path.to_owned()),
            _ => walk(&self.place, path),
        }
    }

    /// The path of a directory free of links.
    fn folder(&self, path: &str) -> Result<String, Trouble> {
        if let Some(known) = self.resolved.borrow().get(path) {
            return Ok(known.clone());
        }
        // What is absent is not remembered: a short list can name very many folders that are not there.
        let real = match path.rsplit_once('/') {
            // The parent is often known.
            Some((parent, name)) if is_plain(name) => {
                step(&self.place, self.folder(parent)?, name, MAX_LINKS)?.0
            }
            _ => walk(&self.place, path)?,
        };
        if self.place.kind(&real)? != Kind::Folder {
            return Err(Trouble::NotAFolder(path.to_owned()));
        }
        self.resolved.borrow_mut().insert(path.to_owned(), real.clone());
        Ok(real)
    }
}

impl<P: Place> Files for Confined<P> {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), Trouble> {
        if !self.place.read(&self.locate(path)?, part, buffer)? {
            let real = walk(&self.place, path)?;
            self.place.read(&real, part, buffer)?;
        }
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        self.place.list(&self.folder(path)?)
    }

    fn link(&self, path: &str) -> Result<String, Trouble> {
        self.place.link(&self.locate(path)?)
    }

    fn is_folder(&self, path: &str) -> Result<bool, Trouble> {
        self.folder(path).map(|_| true)
    }
}

/// Follows a path from the root, with every link on it.
pub(super) fn walk(place: &(impl Place + ?Sized), path: &str) -> Result<String, Trouble> {
    Ok(walk_from(place, String::new(), path, MAX_LINKS)?.0)
}

fn walk_from(
    place: &(impl Place + ?Sized),
    start: String,
    path: &str,
    mut links: u32,
) -> Result<(String, u32), Trouble> {
    let mut real = if path.starts_with('/') { String::new() } else { start };
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            // As at the real root, there is nothing above.
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
) -> Result<(String, u32), Trouble> {
    let here = join(&folder, name);
    if place.kind(&here)? != Kind::Link {
        return Ok((here, links));
    }
    let target = place.link(&here)?;
    walk_from(place, folder, &target, links.checked_sub(1).ok_or(Trouble::Absent)?)
}

/// Whether a name leads down and not up: what a link says becomes a part of paths that are asked of.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
}

/// The path of a name in a directory.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { [folder, "/", name].concat() }
}
