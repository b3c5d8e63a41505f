//! The file of a snapshot: a gzipped tar archive, and the documents in it that are not files of the machine.

mod read;
mod write;

use super::super::sysfs::Refused;
use crate::model::MachineIdentity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) use read::read;
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
    #[serde(default)]
    pub(super) identity: Identity,
    #[serde(default)]
    pub(super) refused: RefusedPaths,
}

/// Digests, as everywhere.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Identity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}

/// Why files and directories could not be read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RefusedPaths {
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    folders: BTreeMap<String, String>,
}

impl From<MachineIdentity> for Identity {
    fn from(MachineIdentity { machine, boot }: MachineIdentity) -> Self {
        Self { machine, boot }
    }
}

impl From<Identity> for MachineIdentity {
    fn from(Identity { machine, boot }: Identity) -> Self {
        Self { machine, boot }
    }
}

impl From<Refused> for RefusedPaths {
    fn from(Refused { files, folders }: Refused) -> Self {
        Self { files, folders }
    }
}

impl From<RefusedPaths> for Refused {
    fn from(RefusedPaths { files, folders }: RefusedPaths) -> Self {
        Self { files, folders }
    }
}
