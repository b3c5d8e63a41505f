//! Leaving out identifiers.

use super::enabled::Snapshot;
use std::path::Path;

pub(super) fn redact(snapshot: Snapshot, _root: &Path) -> Snapshot {
    snapshot
}
