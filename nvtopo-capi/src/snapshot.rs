//! Snapshots: this machine in a file, which `nvtopo_topology_open` reads like any other.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::Text;
use crate::status::{guard, nvtopo_status};
use nvtopo::source::{Locator, Redaction, Snapshot};

/// Writes everything that discovery reads of this machine to a file, which `nvtopo_topology_open` reads anywhere as this
/// machine. It is what to send with a report of a bug. A file that is there is replaced.
///
/// With `redact`, serial numbers, UUIDs, host names, addresses, the names of containers and jobs, and the kernel's command
/// line are left out.
///
/// Fails with `NVTOPO_STATUS_IO` where the file cannot be written.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_snapshot_write(path: Text, redact: bool) -> nvtopo_status {
    guard(|| {
        let path = path.read("path")?;
        let redaction = if redact { Redaction::Identifiers } else { Redaction::None };
        Snapshot::take(&Locator::Live, redaction)?.write(path)?;
        Ok(())
    })
}
