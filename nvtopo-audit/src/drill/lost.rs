//! [`Lost`]: a part or a label that is lost, by its name and in words.

use nvtopo::model::NodeKind;
use nvtopo::{Error, LostPart, NvLinkChoice, Result, Topology};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A part of a machine, or a label of its Kubernetes node, that is lost.
///
/// ```
/// use nvtopo_audit::Lost;
///
/// assert!(matches!("gpu:3".parse()?, Lost::Part(_)));
/// assert_eq!("label:nvlink.group".parse::<Lost>()?, Lost::Label("nvlink.group".to_owned()));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// A part of the machine.
    Part(LostPart),
    /// A label of the Kubernetes node, by its key or its name behind the prefix: `label:nvlink.group`.
    Label(String),
}

impl Lost {
    /// Returns the word of its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Part(LostPart::Gpu(_)) => "gpu",
            Self::Part(LostPart::Nic(_)) => "nic",
            Self::Part(LostPart::NvLinks { which: NvLinkChoice::All, .. }) => "nvlinks",
            Self::Part(LostPart::NvLinks { .. }) => "nvlink",
            Self::Part(LostPart::Cpus(_) | LostPart::NumaCpus(_)) => "cpus",
            Self::Part(LostPart::NvSwitch(_)) => "nvswitch",
            Self::Part(_) => "switch",
        }
    }
}

impl FromStr for Lost {
    type Err = Error;

    /// Reads `label:KEY`, or a part as [`LostPart`] reads it.
    fn from_str(text: &str) -> Result<Self> {
        let key = text.trim().strip_prefix("label:").map(str::trim).filter(|key| !key.is_empty());
        if let Some(key) = key {
            return Ok(Self::Label(key.to_owned()));
        }
        text.parse().map(Self::Part).map_err(|error: Error| {
            let advice = format!("{}, or label:KEY", error.advice().unwrap_or_default());
            Error::wrong_use(error.message(), advice)
        })
    }
}

impl fmt::Display for Lost {
    /// Writes it as it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(part) => part.fmt(f),
            Self::Label(key) => write!(f, "label:{key}"),
        }
    }
}

/// Describes a loss for people, by the machine before and after it.
pub(super) fn describe(lost: &Lost, before: &Topology, after: &Topology) -> String {
    let part = match lost {
        Lost::Label(key) => return format!("label {key}"),
        Lost::Part(part) => part,
    };
    let left: BTreeSet<String> = (0..after.devices().len()).map(|device| after.device_name(device)).collect();
    let gone = (0..before.devices().len()).filter(|device| !left.contains(&before.device_name(*device)));
    let gone: Vec<usize> = gone.collect();
    let facts = || {
        let [device] = gone.as_slice() else { return None };
        let (model, address) = match &before.node(before.devices()[*device]).kind {
            NodeKind::Gpu(gpu) => (gpu.model.clone(), gpu.address),
            NodeKind::Nic(nic) => (nic.model.clone(), nic.address),
            _ => return None,
        };
        let facts: Vec<String> = model.into_iter().chain(address.map(|own| own.to_string())).collect();
        let name = before.device_name(*device);
        Some(if facts.is_empty() { name } else { format!("{name} ({})", facts.join(", ")) })
    };
    let names = || gone.iter().map(|device| before.device_name(*device)).collect::<Vec<_>>().join(", ");
    match part {
        LostPart::Gpu(name) => facts().unwrap_or_else(|| format!("GPU {name}")),
        LostPart::Nic(name) => facts().unwrap_or_else(|| format!("NIC {name}")),
        LostPart::PcieSwitch(name) if gone.is_empty() => format!("PCIe switch {name}"),
        LostPart::PcieSwitch(name) => format!("PCIe switch {name} with {}", names()),
        LostPart::NvSwitch(name) => format!("NVSwitch {name}"),
        LostPart::Cpus(cpus) => format!("CPUs {cpus}"),
        LostPart::NumaCpus(node) => format!("the CPUs of NUMA node {node}"),
        LostPart::NvLinks { gpu, to, which } => {
            let ends =
                to.map_or_else(|| format!("of GPU{gpu}"), |to| format!("between GPU{gpu} and GPU{to}"));
            match which {
                NvLinkChoice::All => format!("all NVLinks {ends}"),
                NvLinkChoice::Count(1) => format!("one NVLink {ends}"),
                NvLinkChoice::Count(count) => format!("{count} NVLinks {ends}"),
                NvLinkChoice::Number(number) => format!("NVLink {number} {ends}"),
                _ => format!("NVLinks {ends}"),
            }
        }
        other => other.to_string(),
    }
}
