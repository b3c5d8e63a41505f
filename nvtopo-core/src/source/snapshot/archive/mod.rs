//! The file of a snapshot: a gzipped tar archive, and the documents in it that are not files of the machine.

mod read;
mod write;

use super::super::sysfs::Refused;
use crate::model::MachineIdentity;
use serde::{Deserialize, Serialize};

pub(super) use read::{Content, read, read_any};
pub(in crate::source) use read::{is_archive, unpack};
pub(super) use write::write;

/// The version that is written, and the latest that is read.
pub(super) const VERSION: u32 = 1;

pub(super) const FORMAT: &str = "nvtopo-snapshot";

/// The directory of the documents.
const OWN: &str = "nvtopo";
const HEAD: &str = "nvtopo/snapshot.json";
const DRIVER: &str = "nvtopo/nvml.json";

/// The document that says what the archive is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: String,
    pub(super) version: u64,
    /// The version of nvtopo that wrote it.
    pub(super) nvtopo: String,
    pub(super) redacted: bool,
    /// True if the machine recorded itself, so that `/proc/self` is of who recorded it.
    pub(super) own: bool,
    #[serde(default, with = "Identity")]
    pub(super) identity: MachineIdentity,
    #[serde(default)]
    pub(super) refused: Refused,
}

/// Digests, as everywhere.
#[derive(Serialize, Deserialize)]
#[serde(remote = "MachineIdentity")]
struct Identity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}
