//! Snapshots: everything that discovery read of a machine, in one small file that replays to the same topology.
//!
//! The file is a gzipped tar archive, so that people can look into it: the files, links and directories of `/sys` and
//! `/proc` as they are, `nvtopo/snapshot.json` with the other facts that replay needs, and `nvtopo/nvml.json` with the
//! answer of NVIDIA's driver. A file whose content was not read has no permissions. Replay reads nothing of the machine
//! that it runs on, and nothing is ever unpacked to disk.

#[cfg(feature = "snapshot")]
mod archive;
#[cfg(feature = "snapshot")]
mod enabled;
#[cfg(feature = "snapshot")]
mod redact;
#[cfg(feature = "snapshot")]
mod trim;

use super::{Input, TextFormat};
#[cfg(not(feature = "snapshot"))]
use crate::error::Error;
use crate::error::Result;
use crate::model::Fragment;

#[cfg(feature = "snapshot")]
pub(super) use archive::{is_archive, unpack};
#[cfg(feature = "snapshot")]
pub use enabled::{Redaction, Snapshot};
#[cfg(feature = "snapshot")]
pub(super) use enabled::{Unpacked, at_once, contents, read};

pub(super) struct SnapshotFile;

impl TextFormat for SnapshotFile {
    const NAME: &'static str = "nvtopo snapshot, or another gzip file";

    /// Returns whether the text has the mark of gzip, which no other format has.
    fn recognizes(input: &Input<'_>) -> bool {
        input.bytes().starts_with(&[0x1f, 0x8b, 8])
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        read(bytes)
    }
}

/// Returns the error of a build without the feature.
#[cfg(not(feature = "snapshot"))]
fn read(_bytes: &[u8]) -> Result<Fragment> {
    let error = Error::new(crate::ErrorKind::Unsupported, "this build cannot read snapshots");
    Err(error.help("build nvtopo-core with the feature 'snapshot'"))
}
