//! The files of a directory on disk, by increasing path. Links are not followed: they would lead out of the directory, or to
//! a file that is read anyway.

use super::{SYSTEM, Sink};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The greatest depth of a directory that is looked into.
const MAX_DEPTH: usize = 8;

/// The most entries that are looked at.
const MAX_ENTRIES: usize = 100_000;

/// Reads the files of a directory; those of a Linux machine, if it has a `root`, are left to others.
pub(super) fn walk(folder: &Path, root: Option<&Path>, sink: &mut dyn Sink) -> Result<()> {
    fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    Walk { root, sink, entries: 0 }.folder(folder, "", 0);
    Ok(())
}

struct Walk<'a> {
    root: Option<&'a Path>,
    sink: &'a mut dyn Sink,
    entries: usize,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else {
            self.sink.skip(prefix);
            return;
        };
        let room = MAX_ENTRIES.saturating_sub(self.entries);
        let mut entries = entries.flatten();
        let mut names: Vec<_> = entries.by_ref().take(room).map(|entry| entry.file_name()).collect();
        self.entries += names.len();
        if entries.next().is_some() {
            let shown = if prefix.is_empty() { "others".to_owned() } else { format!("others in {prefix}") };
            self.sink.skip(&shown);
        }
        names.sort_unstable();
        for name in names {
            let path = folder.join(&name);
            let shown = name.to_string_lossy();
            let label = if prefix.is_empty() { shown.to_string() } else { format!("{prefix}/{shown}") };
            let Ok(kind) = fs::symlink_metadata(&path).map(|own| own.file_type()) else { continue };
            if kind.is_dir() {
                let is_system = self.root == Some(folder) && SYSTEM.contains(&&*shown);
                if !is_system && !shown.starts_with('.') && depth < MAX_DEPTH {
                    self.folder(&path, &label, depth + 1);
                }
            } else if kind.is_file() && !shown.starts_with('.') {
                self.file(&path, &label);
            }
        }
    }

    fn file(&mut self, path: &Path, label: &str) {
        let Some(room) = self.sink.room() else {
            self.sink.skip(label);
            return;
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(room + 1).read_to_end(&mut bytes));
        if read.is_ok() && bytes.len() as u64 <= room {
            self.sink.add(label, &bytes);
        } else {
            self.sink.skip(label);
        }
    }
}
