//! What a topology says about itself: where it comes from, and what a person should know about it.

use std::fmt;

/// Where a node was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Provenance {
    /// The kernel's `/sys` and `/proc`. When sources disagree, the one that stands first here wins.
    Sysfs,
    /// NVIDIA's driver, through its management library.
    Nvml,
    /// An XML file of hwloc.
    Hwloc,
    /// A text of `nvidia-smi`.
    Smi,
    /// A preset: the published layout of a product.
    Preset,
    /// The output of a benchmark.
    Measurement,
    /// Concluded from other facts; a note says from which.
    Inferred,
}

impl Provenance {
    /// Every source of knowledge.
    pub const ALL: [Self; 7] =
        [Self::Sysfs, Self::Nvml, Self::Hwloc, Self::Smi, Self::Preset, Self::Measurement, Self::Inferred];

    /// The name used in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sysfs => "sysfs",
            Self::Hwloc => "hwloc",
            Self::Nvml => "nvml",
            Self::Smi => "nvidia-smi",
            Self::Preset => "preset",
            Self::Measurement => "measurement",
            Self::Inferred => "inferred",
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NoteKind {
    /// The input was damaged; what could be read was.
    Damage,
    /// The input does not tell something that matters.
    Unknown,
    /// Two sources, or two parts of one, disagree.
    Conflict,
    /// Something was concluded, not read.
    Inferred,
    /// NVIDIA's driver could not be asked, or does not show all GPUs: why.
    Driver,
}

impl NoteKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Damage, Self::Unknown, Self::Conflict, Self::Inferred, Self::Driver];

    /// The name used in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Unknown => "unknown",
            Self::Conflict => "conflict",
            Self::Inferred => "inferred",
            Self::Driver => "driver",
        }
    }
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
