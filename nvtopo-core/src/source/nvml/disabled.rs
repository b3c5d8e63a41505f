//! A build without NVML: nobody is asked, and nothing is noted.

use super::Asked;
use std::path::Path;
use std::time::Duration;

/// As its namesake with the feature.
pub(in crate::source) fn ask(_library: Option<&Path>, _patience: Duration) -> Asked {
    Asked::NotAsked
}
