//! Machines, data, and programs that stand in for benchmarks.
#![allow(dead_code, reason = "not every system runs all tests")]

use nvtopo::Topology;
use nvtopo_validate::{Figure, Metric, Results, Subject};
use std::path::{Path, PathBuf};

/// Reads a file of the tests' data: below `tests/data` of the repository.
pub(crate) fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn preset(name: &str) -> Topology {
    Topology::preset(name).unwrap()
}

/// The bandwidth from one device to another.
pub(crate) fn path(program: &'static str, from: usize, to: usize, value: f64) -> Figure {
    Figure::new(program, Subject::Path { from, to }, Metric::Bandwidth, value)
}

/// Results of all directions between GPUs.
pub(crate) fn all_pairs(gpus: usize, value: impl Fn(usize, usize) -> f64) -> Results {
    let mut results = Results::default();
    for from in 0..gpus {
        for to in (0..gpus).filter(|to| *to != from) {
            results.add(path("nvbandwidth", from, to, value(from, to)));
        }
    }
    results
}

/// A directory with programs, which is removed at the end.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Creates a directory.
    pub(crate) fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("nvtopo-validate-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    /// Adds a program: a script for `sh`, in which `$DIR` is the directory.
    pub(crate) fn with(self, name: &str, script: &str) -> Self {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nDIR='{}'\n{script}\n", self.0.display())).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Returns the program of a name, found as through `PATH`.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        nvtopo_validate::find(name, self.0.as_os_str())
    }

    /// Returns the text of a file that a program wrote.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
