//! A build without NVML: nobody is asked, and nothing is noted.

use super::{Asked, NvLinkCounters, Refusal};
use std::path::Path;
use std::time::Duration;

/// As its namesake with the feature.
pub(in crate::source) fn ask(_library: Option<&Path>, _patience: Duration) -> Asked {
    Asked::NotAsked
}

/// As its namesake with the feature.
pub(in crate::source) fn count(
    _library: Option<&Path>,
    _patience: Duration,
) -> Result<Vec<NvLinkCounters>, Refusal> {
    Err(Refusal::NotAsked)
}
