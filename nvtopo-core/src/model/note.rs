//! What a topology says about itself: where it comes from, and what a person should know about it.

use std::fmt;

words! {
    /// Where a node was learned.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Provenance {
        /// The kernel's `/sys` and `/proc`. When sources disagree, the one that stands first here wins.
        Sysfs = "sysfs",
        /// NVIDIA's driver, through its management library.
        Nvml = "nvml",
        /// An XML file of hwloc.
        Hwloc = "hwloc",
        /// A text of `nvidia-smi`.
        Smi = "nvidia-smi",
        /// A preset: the published layout of a product.
        Preset = "preset",
        /// The output of a benchmark.
        Measurement = "measurement",
        /// Concluded from other facts; a note says from which.
        Inferred = "inferred",
    }
    /// The name used in documents.
    name, Display
}

/// Which machine a topology describes. What acts on this machine asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing says which machine it is: a text, or a recorded tree without identity.
    #[default]
    Unknown,
    /// The layout of a product, not a machine.
    Preset(String),
    /// A machine with this identity.
    Machine(MachineIdentity),
}

/// What tells machines apart: digests, so that a shared topology gives no identifier away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineIdentity {
    /// A digest of `/etc/machine-id`: one per installation, or per container image.
    pub machine: Option<String>,
    /// A digest of the kernel's boot id: the same in every container of a host, until it restarts.
    pub boot: Option<String>,
}

impl MachineIdentity {
    /// Whether the two are the same machine: `None` when they have nothing in common to compare.
    pub fn is_same(&self, other: &Self) -> Option<bool> {
        let compare = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
        let answers = [compare(&self.machine, &other.machine), compare(&self.boot, &other.boot)];
        answers.into_iter().flatten().reduce(|a, b| a || b)
    }
}

words! {
    /// What a note is about.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum NoteKind {
        /// The input was damaged; what could be read was.
        Damage = "damage",
        /// The input does not tell something that matters.
        Unknown = "unknown",
        /// Two sources, or two parts of one, disagree.
        Conflict = "conflict",
        /// Something was concluded, not read.
        Inferred = "inferred",
        /// NVIDIA's driver could not be asked, or does not show all GPUs: why.
        Driver = "driver",
    }
    /// The name used in documents.
    name
}

/// Something that a person should know about a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// One sentence.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}
