//! [`Snapshot`]: taking one of a machine, reading it, and replaying it.

use super::super::Locator;
use super::super::contents::Files;
use super::super::folder;
use super::super::live::{Live, joined};
use super::super::nvml::{DriverAnswer, NvLinkCounters};
use super::super::sysfs::{self, Refused, Replay, Stored, Tree};
use super::{archive, redact, trim};
use crate::error::{Error, Result};
use crate::model::{Fragment, MachineIdentity, Topology, TopologyBuilder};
use crate::save::save_file;
use std::collections::BTreeMap;
use std::path::Path;

/// The redaction of a snapshot: the facts that it leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redaction {
    /// Only `/etc/machine-id` and the boot id, which digests replace.
    #[default]
    None,
    /// Identifiers of this machine, its owner or its users: serial numbers, UUIDs, host names, MAC and IP addresses,
    /// InfiniBand's GUIDs, the names of cgroups, paths that people named, and the kernel's command line. An identifier
    /// that ties facts together is replaced by the same made-up one everywhere. The model of the machine, the names of
    /// its devices and their PCI addresses stay: the topology consists of them. But a network interface, bond or RDMA
    /// device whose name contains that of the machine (`node17ib0`) gets another, such as `net0` or `rdma0`. The name
    /// of the machine is searched in capitals and in small letters, but not if it has fewer than three letters or is
    /// common (`localhost`).
    Identifiers,
}

/// A record of everything that discovery read of a machine: it replays to the same topology on any machine.
///
/// Send one with a report that a machine is not understood:
///
/// ```no_run
/// use nvtopo::source::{Live, Redaction};
///
/// Live::default().snapshot(Redaction::Identifiers)?.write("machine.tar.gz")?;
/// # Ok::<(), nvtopo::Error>(())
/// ```
///
/// or, from the shell, `nvtopo snapshot --redact -o machine.tar.gz`. It is an ordinary archive: `tar tzf
/// machine.tar.gz` lists its content. `Topology::open(&[Locator::Path("machine.tar.gz".into())])` and `nvtopo show
/// --from machine.tar.gz` read it anywhere.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) entries: BTreeMap<String, Stored>,
    pub(super) refused: Refused,
    /// True if the machine recorded itself.
    pub(super) own: bool,
    pub(super) identity: MachineIdentity,
    /// The answer of NVIDIA's driver.
    pub(super) driver: DriverAnswer,
    pub(super) redacted: bool,
    /// The version of nvtopo that took it.
    pub(super) writer: String,
}

impl Live {
    /// Takes a snapshot of the machine. A machine of which no topology can be made has a snapshot all the same, so that
    /// the reason can be found.
    ///
    /// Errors where nothing at all can be read.
    pub fn snapshot(&self, redaction: Redaction) -> Result<Snapshot> {
        self.snapshot_with(redaction, |_, _| ())
    }

    /// Takes a snapshot with everything that another reader asks of the machine's files, beside discovery. It is not called
    /// where no topology can be made of the machine.
    pub fn snapshot_with(
        &self,
        redaction: Redaction,
        also: impl FnOnce(&Topology, &Files),
    ) -> Result<Snapshot> {
        let kernel = Snapshot::of_files(&self.root, also)?;
        // Two snapshots are compared by counters.
        let counters = self.nvlink_counters().unwrap_or_default();
        Snapshot { driver: self.ask().with_counters(counters), ..kernel }.redacted(redaction, &self.root)
    }
}

impl Snapshot {
    /// Takes a snapshot of the machine that a locator names: this one, or a directory with a recorded one.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for anything else, which is no machine.
    pub fn take(locator: &Locator, redaction: Redaction) -> Result<Self> {
        Self::take_with(locator, redaction, |_, _| ())
    }

    /// Takes a snapshot like [`take`](Self::take), with everything that another reader asks of the machine's files. It is
    /// not called where no topology can be made of the machine.
    ///
    /// ```no_run
    /// use nvtopo::source::{Locator, Redaction, Snapshot};
    ///
    /// Snapshot::take_with(&Locator::Live, Redaction::None, |_topology, files| {
    ///     files.text("proc/sys/kernel/numa_balancing"); // now it is in the snapshot
    /// })?;
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn take_with(
        locator: &Locator,
        redaction: Redaction,
        also: impl FnOnce(&Topology, &Files),
    ) -> Result<Self> {
        match locator {
            Locator::Live => Live::default().snapshot_with(redaction, also),
            Locator::Path(path) if path.is_dir() => {
                let name = path.display().to_string();
                let root = sysfs::find_root(path).map_err(|error| error.in_input(&name))?;
                Self::of_files(&root, also)?.redacted(redaction, &root)
            }
            Locator::Path(path) if !path.exists() => {
                Err(Error::io(path, std::io::ErrorKind::NotFound.into()))
            }
            other => Err(Error::request(format!("{other} is no machine of which a snapshot can be taken"))
                .help("give live, or a directory with a recorded /sys and /proc")),
        }
    }

    /// Takes a snapshot of a recorded machine: a directory with a copy of `/sys` and `/proc`.
    pub fn of_recorded(root: &Path, redaction: Redaction) -> Result<Self> {
        Self::take(&Locator::Path(root.to_owned()), redaction)
    }

    /// Reads the bytes of a snapshot's file.
    ///
    /// Errors with [`InvalidInput`](crate::ErrorKind::InvalidInput) where they are damaged, unpack to more than 64 MiB,
    /// or are of a later version.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        archive::read(bytes)
    }

    /// Returns the bytes of its file. The same snapshot gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        archive::write(self)
    }

    /// Writes its file, and returns the number of bytes. An existing file is replaced when the new one is complete.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<u64> {
        let bytes = self.to_bytes()?;
        save_file(path, &bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Returns the topology of the machine, as it was discovered when the snapshot was taken.
    pub fn topology(&self) -> Result<Topology> {
        TopologyBuilder::new().with(self.clone().replay()?).build()
    }

    /// Returns whether identifiers were left out.
    pub fn is_redacted(&self) -> bool {
        self.redacted
    }

    fn of_files(root: &Path, also: impl FnOnce(&Topology, &Files)) -> Result<Self> {
        let (mut tree, record) = Tree::recording(root, trim::trim);
        let read = sysfs::read(&tree);
        let machine =
            read.as_ref().ok().and_then(|own| TopologyBuilder::new().with(own.clone()).build().ok());
        if let Some(topology) = machine {
            tree = Files::lend(tree, |files| also(&topology, files));
        }
        let (own, identity) = (tree.is_own(), sysfs::identity(&tree));
        drop(tree);
        let (entries, refused) = record.take().into_parts();
        if let (Err(error), true) = (read, entries.is_empty()) {
            return Err(error);
        }
        let writer = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { entries, refused, own, identity, driver: DriverAnswer::NotAsked, redacted: false, writer })
    }

    fn redacted(self, redaction: Redaction, root: &Path) -> Result<Self> {
        match redaction {
            Redaction::None => Ok(self),
            Redaction::Identifiers => redact::redact(self, root),
        }
    }

    fn replay(self) -> Result<Fragment> {
        let (tree, driver) = self.parts()?;
        joined(sysfs::read(&tree)?, &driver)
    }

    /// Returns the files of the machine, and the answer of NVIDIA's driver.
    fn parts(self) -> Result<(Tree, DriverAnswer)> {
        let replay = Replay::new(self.entries, self.refused, self.own, self.identity)?;
        Ok((Tree::replay(replay), self.driver))
    }
}

/// Reads this machine, with all that another reader asks of its files; returns them as they were.
pub(in crate::source) fn at_once(
    look: &dyn Fn(&Topology, &Files),
) -> Result<(Fragment, Tree, Vec<NvLinkCounters>)> {
    let snapshot = Live::default().snapshot_with(Redaction::None, look)?;
    let (tree, driver) = snapshot.parts()?;
    Ok((joined(sysfs::read(&tree)?, &driver)?, tree, driver.counters()))
}

/// The content of a gzip file.
pub(in crate::source) enum Unpacked {
    /// A snapshot: the files of its machine, and the counters of NVLinks.
    Machine(Tree, Vec<NvLinkCounters>),
    /// An archive of a directory.
    Files(BTreeMap<String, Stored>),
    /// A text.
    Text(Vec<u8>),
}

/// Returns the content of the bytes of a gzip file.
pub(in crate::source) fn contents(bytes: &[u8]) -> Result<Unpacked> {
    if !archive::is_archive(bytes) {
        return Ok(Unpacked::Text(archive::unpack(bytes)?));
    }
    Ok(match archive::read_any(bytes)? {
        archive::Content::Snapshot(snapshot) => {
            let (tree, driver) = snapshot.parts()?;
            Unpacked::Machine(tree, driver.counters())
        }
        archive::Content::Files(entries) => Unpacked::Files(entries),
    })
}

/// Returns the machine that the bytes of a gzip file describe: a snapshot, an archive of a directory, or a text.
pub(in crate::source) fn read(bytes: &[u8]) -> Result<Fragment> {
    if !archive::is_archive(bytes) {
        return folder::read_compressed(bytes);
    }
    match archive::read_any(bytes)? {
        archive::Content::Snapshot(snapshot) => snapshot.replay(),
        archive::Content::Files(entries) => folder::read_entries(entries),
    }
}
