//! The build without NVML: nothing is asked, and nothing is noted.

use super::{DriverAnswer, DriverError, GpuProcess, NvLinkCounters};
use std::path::Path;
use std::time::Duration;

/// Returns that the driver was not asked.
pub(in crate::source) fn ask(_library: Option<&Path>, _timeout: Duration) -> DriverAnswer {
    DriverAnswer::NotAsked
}

/// Returns that the driver was not asked.
pub(in crate::source) fn count(
    _library: Option<&Path>,
    _timeout: Duration,
) -> Result<Vec<NvLinkCounters>, DriverError> {
    Err(DriverError::NotAsked)
}

/// Returns that the driver was not asked.
pub(in crate::source) fn processes(
    _library: Option<&Path>,
    _timeout: Duration,
) -> Result<Vec<GpuProcess>, DriverError> {
    Err(DriverError::NotAsked)
}
