//! A build without snapshots: it knows one when it sees it.

use crate::error::{Error, ErrorKind, Result};
use crate::model::Fragment;

/// As its namesake with the feature.
pub(super) fn read(_bytes: &[u8]) -> Result<Fragment> {
    Err(Error::new(ErrorKind::Unsupported, "this build cannot read snapshots")
        .help("build nvtopo-core with the feature 'snapshot'"))
}
