//! Snapshots: everything that discovery read of a machine, in one small file that replays to the same topology.
//!
//! The file is a gzipped tar archive, so that people can look into it: the files, links and directories of `/sys` and
//! `/proc` as they are, `nvtopo/snapshot.json` with what else replay needs, and `nvtopo/nvml.json` with what NVIDIA's
//! driver answered. A file whose content was not read has no permissions. Replay asks nothing of the machine that it
//! runs on, and nothing is ever unpacked to disk.

#[cfg(feature = "snapshot")]
mod archive;
#[cfg(not(feature = "snapshot"))]
mod disabled;
#[cfg(feature = "snapshot")]
mod enabled;
#[cfg(feature = "snapshot")]
mod redact;
#[cfg(feature = "snapshot")]
mod trim;

use super::{Input, Source};
use crate::error::{Error, Result};
use crate::model::Fragment;

#[cfg(not(feature = "snapshot"))]
use disabled::read;
#[cfg(feature = "snapshot")]
use enabled::read;
#[cfg(feature = "snapshot")]
pub use enabled::{Redaction, Snapshot};

pub(super) struct SnapshotFile;

impl Source for SnapshotFile {
    fn name(&self) -> &'static str {
        "nvtopo snapshot"
    }

    /// By the mark of gzip, which no other format has.
    fn recognizes(&self, input: Input<'_>) -> bool {
        matches!(input, Input::Text { bytes, .. } if bytes.starts_with(&[0x1f, 0x8b, 8]))
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        match input {
            Input::Text { bytes, .. } => read(bytes),
            Input::Tree(_) => Err(Error::input("a directory is not a snapshot")),
        }
    }
}
