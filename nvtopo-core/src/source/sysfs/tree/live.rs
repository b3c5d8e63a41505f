//! The machine that we run on: its kernel is trusted, and paths are opened as they are.

use super::confined::Place;
use super::disk::Disk;
use super::files::{Entry, Files, Part, Trouble};
use std::fs::{self, File};
use std::path::Path;

pub(super) struct Live {
    disk: Disk,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { disk: Disk::new(Path::new("/")) }
    }
}

impl Files for Live {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), Trouble> {
        Ok(part.read(File::open(self.disk.path(path))?, path, buffer)?)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        self.disk.list(path)
    }

    fn link(&self, path: &str) -> Result<String, Trouble> {
        self.disk.link(path)
    }

    fn is_folder(&self, path: &str) -> Result<bool, Trouble> {
        Ok(fs::metadata(self.disk.path(path)).is_ok_and(|found| found.is_dir()))
    }

    fn is_live(&self) -> bool {
        true
    }
}
