//! The origin of a topology, and its notes: remarks for people, each with a code for programs.

use crate::error::Error;
use std::fmt;

words! {
    /// The kind of source that a node is known from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Provenance {
        /// The kernel's `/sys` and `/proc`. When sources disagree, the one that stands first here wins.
        Sysfs = "sysfs",
        /// NVIDIA's driver, through its management library.
        Nvml = "nvml",
        /// An XML file of hwloc.
        Hwloc = "hwloc",
        /// An XML file of NCCL.
        Nccl = "nccl",
        /// A text of one of the operating system's tools: `lscpu`, `numactl`, `lspci`, `ibstat` and the like.
        SystemTool = "system-tool",
        /// A text of `nvidia-smi`.
        Smi = "nvidia-smi",
        /// Objects of Kubernetes that drivers and agents publish about a node.
        Kubernetes = "kubernetes",
        /// A preset: the published layout of a product.
        Preset = "preset",
        /// The configuration of a job scheduler: Slurm's `gres.conf` and its line of a node.
        Scheduler = "scheduler",
        /// The output of a benchmark.
        Measurement = "measurement",
        /// Concluded from other facts; a note names them.
        Inferred = "inferred",
    }
    /// The name used in documents.
    name, Display
}

/// The machine that a topology describes. Binding checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// An unknown machine: a text, or a recorded tree without identity.
    #[default]
    Unknown,
    /// The layout of a product, not a machine.
    Preset(String),
    /// A machine with this identity.
    Machine(MachineIdentity),
}

/// The identity of a machine, as digests: a shared topology gives no identifier away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineIdentity {
    /// A digest of `/etc/machine-id`: one per installation, or per container image.
    pub machine: Option<String>,
    /// A digest of the kernel's boot id: the same in every container of a host, until it restarts.
    pub boot: Option<String>,
}

impl MachineIdentity {
    /// Creates an identity by its digests.
    pub const fn new(machine: Option<String>, boot: Option<String>) -> Self {
        Self { machine, boot }
    }

    /// Returns true for the same machine; `None` where the two have no digest in common to compare.
    pub fn is_same(&self, other: &Self) -> Option<bool> {
        let compare = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
        let answers = [compare(&self.machine, &other.machine), compare(&self.boot, &other.boot)];
        answers.into_iter().flatten().reduce(|a, b| a || b)
    }
}

words! {
    /// The kind of a note.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum NoteKind {
        /// Damaged input, of which the readable part is used.
        Damage = "damage",
        /// A fact that matters and is unknown.
        Unknown = "unknown",
        /// A contradiction between two sources, or two parts of one.
        Conflict = "conflict",
        /// A conclusion from other facts.
        Inferred = "inferred",
        /// A driver that could not be asked, or that does not show all GPUs.
        Driver = "driver",
    }
    /// The name used in documents.
    name
}

words! {
    /// The stable code of a note. Programs decide by it, and merging knows notes by it; the text may change.
    ///
    /// ```
    /// use nvtopo::model::{NoteCode, NoteKind};
    ///
    /// let code: NoteCode = "nvlinks-unknown".parse()?;
    /// assert_eq!((code, code.kind()), (NoteCode::NvlinksUnknown, NoteKind::Unknown));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum NoteCode {
        /// Damaged input in another way than the codes below.
        Damage = "damage",
        /// A text that ends early, or lacks lines or cells.
        TextCut = "text-cut",
        /// A fact that is unknown, other than the codes below.
        Unknown = "unknown",
        /// The source does not tell which GPUs NVLink connects.
        NvlinksUnknown = "nvlinks-unknown",
        /// All NVLinks of a GPU are down, so that nvidia-smi lists none.
        AllNvlinksDown = "all-nvlinks-down",
        /// The source does not tell the NVLinks of some GPUs.
        NvlinksPartlyUnknown = "nvlinks-partly-unknown",
        /// The generation of NVLink is unknown, and a usual rate is assumed.
        NvlinkRateAssumed = "nvlink-rate-assumed",
        /// The generation and width of PCIe links are unknown, and usual ones are assumed.
        PcieRateAssumed = "pcie-rate-assumed",
        /// It is unknown whether PCIe ports redirect peer-to-peer traffic (ACS).
        AcsUnknown = "acs-unknown",
        /// A list of near CPUs may be incomplete.
        CpuListTruncated = "cpu-list-truncated",
        /// The CPUs near to a device are unknown.
        CpusUnknown = "cpus-unknown",
        /// The CPUs of some NUMA nodes are unknown.
        NumaCpusUnknown = "numa-cpus-unknown",
        /// The source counts GPUs, and does not tell which they are.
        GpusUnknown = "gpus-unknown",
        /// The NUMA node of a device is unknown.
        NumaUnknown = "numa-unknown",
        /// The paths between some devices are unknown.
        PathsUnknown = "paths-unknown",
        /// A benchmark lacks some pairs of GPUs.
        NotMeasured = "not-measured",
        /// Devices that no job can use were left out.
        DeviceLeftOut = "device-left-out",
        /// Files of a directory that are of no known format, or beyond the limits.
        FilesLeftOut = "files-left-out",
        /// A fact that the format of an output cannot tell, or not as it is.
        NotExpressed = "not-expressed",
        /// Only one of several sources has a device.
        OneSourceOnly = "one-source-only",
        /// The driver did not answer a call.
        DriverCallFailed = "driver-call-failed",
        /// A setting of the driver disables peer-to-peer access.
        P2pDisabled = "p2p-disabled",
        /// A contradiction other than the codes below.
        Conflict = "conflict",
        /// Two sources state different values of a fact; the better source is believed.
        SourcesDisagree = "sources-disagree",
        /// Two devices have one PCI address or UUID; the first keeps it.
        DuplicateIdentity = "duplicate-identity",
        /// Two sources give one name to two devices; one is renamed.
        DeviceRenamed = "device-renamed",
        /// A measured bandwidth exceeds the rate of its links.
        MeasuredAboveRate = "measured-above-rate",
        /// NVLinks join GPUs between which the driver refuses peer-to-peer access.
        P2pRefused = "p2p-refused",
        /// Some NVLinks are down.
        NvlinksDown = "nvlinks-down",
        /// Errors were counted on NVLinks.
        NvlinkErrors = "nvlink-errors",
        /// A conclusion other than the codes below.
        Inferred = "inferred",
        /// NUMA nodes, or their CPUs, were concluded.
        NumaInferred = "numa-inferred",
        /// Host bridges or PCIe switches were concluded.
        BridgesInferred = "bridges-inferred",
        /// NVSwitches, or the NVLinks between them, were concluded.
        NvswitchesInferred = "nvswitches-inferred",
        /// The plan of NCCL for a collective, read from its graph file.
        NcclPlan = "nccl-plan",
        /// A virtual machine does not see whether PCIe ports of its host redirect peer-to-peer traffic (ACS).
        GuestAcs = "guest-acs",
        /// A virtual machine reads wrong speeds of PCIe links.
        GuestLinkSpeeds = "guest-link-speeds",
        /// NVLinks end outside of a virtual machine, or at NVSwitches that it does not see.
        GuestNvlinks = "guest-nvlinks",
        /// A passed-through device shares its IOMMU group with one that is not.
        GuestIommuGroup = "guest-iommu-group",
        /// A virtual machine numbers its GPUs in another order than its host.
        GuestGpus = "guest-gpus",
        /// The CPUs of a virtual machine are a proposal.
        GuestCpus = "guest-cpus",
        /// The memory of a virtual machine is assumed.
        GuestMemory = "guest-memory",
        /// NVIDIA's driver could not be asked.
        Driver = "driver",
        /// The driver hides GPUs from this process.
        GpusHidden = "gpus-hidden",
    }
    /// The name used in documents: `nvlinks-unknown`.
    name, |text| Error::request(format!("there is no code '{text}' of notes"))
}

impl NoteCode {
    /// Returns the kind of the notes with this code.
    pub const fn kind(self) -> NoteKind {
        match self {
            Self::Damage | Self::TextCut => NoteKind::Damage,
            Self::Unknown
            | Self::NvlinksUnknown
            | Self::AllNvlinksDown
            | Self::NvlinksPartlyUnknown
            | Self::NvlinkRateAssumed
            | Self::PcieRateAssumed
            | Self::AcsUnknown
            | Self::CpuListTruncated
            | Self::CpusUnknown
            | Self::NumaCpusUnknown
            | Self::GpusUnknown
            | Self::NumaUnknown
            | Self::PathsUnknown
            | Self::NotMeasured
            | Self::DeviceLeftOut
            | Self::FilesLeftOut
            | Self::NotExpressed
            | Self::OneSourceOnly
            | Self::DriverCallFailed
            | Self::P2pDisabled
            | Self::GuestAcs
            | Self::GuestLinkSpeeds
            | Self::GuestNvlinks
            | Self::GuestIommuGroup => NoteKind::Unknown,
            Self::Conflict
            | Self::SourcesDisagree
            | Self::DuplicateIdentity
            | Self::DeviceRenamed
            | Self::MeasuredAboveRate
            | Self::P2pRefused
            | Self::NvlinksDown
            | Self::NvlinkErrors => NoteKind::Conflict,
            Self::Inferred
            | Self::NumaInferred
            | Self::BridgesInferred
            | Self::NvswitchesInferred
            | Self::NcclPlan
            | Self::GuestGpus
            | Self::GuestCpus
            | Self::GuestMemory => NoteKind::Inferred,
            Self::Driver | Self::GpusHidden => NoteKind::Driver,
        }
    }
}

impl From<NoteKind> for NoteCode {
    /// Returns the general code of a kind.
    fn from(kind: NoteKind) -> Self {
        match kind {
            NoteKind::Damage => Self::Damage,
            NoteKind::Unknown => Self::Unknown,
            NoteKind::Conflict => Self::Conflict,
            NoteKind::Inferred => Self::Inferred,
            NoteKind::Driver => Self::Driver,
        }
    }
}

/// A remark for people about a topology, with a code for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    code: NoteCode,
    /// One sentence.
    pub text: String,
}

impl Note {
    /// Creates a note of one sentence, with a code, or the general code of a kind.
    pub fn new(code: impl Into<NoteCode>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// Returns the stable code.
    pub const fn code(&self) -> NoteCode {
        self.code
    }

    /// Returns the kind, which follows from the code.
    pub const fn kind(&self) -> NoteKind {
        self.code.kind()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind().name(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_of_their_own_that_are_read_again() {
        let names: std::collections::BTreeSet<&str> = NoteCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), NoteCode::ALL.len());
        for code in NoteCode::ALL {
            assert_eq!(code.name().parse::<NoteCode>().unwrap(), code);
        }
        for kind in NoteKind::ALL {
            let general = NoteCode::from(kind);
            assert_eq!((general.kind(), general.name()), (kind, kind.name()));
        }
        assert!("nvlinks".parse::<NoteCode>().is_err());
    }
}
