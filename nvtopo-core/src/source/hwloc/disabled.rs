//! A build without libhwloc: an error that says how to get one with it.

use crate::error::{Error, ErrorKind, Result};
use crate::model::Fragment;

/// As its namesake with the feature.
pub(in crate::source) fn fragment() -> Result<Fragment> {
    Err(Error::new(ErrorKind::Unsupported, "this build cannot ask libhwloc").help(
        "build with the feature 'hwloc', or read what 'lstopo --of xml FILE' writes, which needs no library",
    ))
}
