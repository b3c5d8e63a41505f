//! The driver's report: its answers as plain facts, without calls or conclusions.
//!
//! Snapshots hold it as JSON. Fields that are missing have their defaults, so that a snapshot of an older nvtopo stays
//! readable. Nothing is trusted: lists are bounded while they are read, and [`DriverReport::check`] does the rest.

use super::NvLinkCounters;
use super::failures::CallFailures;
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::model::PathType;
use crate::source::json::Text;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

/// More GPUs than any server has; a count beyond it is a broken library's.
pub(super) const MAX_GPUS: usize = 1024;

/// More NVLinks than any GPU has.
pub(super) const MAX_NVLINKS: usize = 64;

/// More MIG instances than any GPU can have.
pub(super) const MAX_INSTANCES: usize = 64;

/// The number of pairs of that many GPUs.
const MAX_PAIRS: usize = MAX_GPUS * (MAX_GPUS - 1) / 2;

/// The number of NVLinks of that many GPUs.
const MAX_COUNTED: usize = MAX_GPUS * MAX_NVLINKS;

/// The longest text in bytes; NVML's own buffers are smaller.
pub(super) const MAX_TEXT: usize = 4096;

/// The report on a machine.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct DriverReport {
    pub(super) driver: Option<String>,
    pub(super) cuda: Option<String>,
    /// The GPUs of which it gave a handle; see `lost`.
    #[serde(deserialize_with = "at_most::<_, _, MAX_GPUS>")]
    pub(super) gpus: Vec<ReportedGpu>,
    /// The numbers of GPUs that it counts and could not give a handle of.
    #[serde(deserialize_with = "at_most::<_, _, MAX_GPUS>")]
    pub(super) lost: Vec<u32>,
    /// The classes of paths between GPUs, by their positions in `gpus`.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PAIRS>")]
    pub(super) paths: Vec<(usize, usize, Text<PathType>)>,
    /// The peer-to-peer access of pairs.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PAIRS>")]
    pub(super) p2p: Vec<ReportedP2p>,
    #[serde(rename = "troubles")]
    pub(super) failures: CallFailures,
    /// The counters of NVLinks, in snapshots alone.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<_, _, MAX_COUNTED>")]
    pub(super) counters: Vec<NvLinkCounters>,
}

/// A GPU.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedGpu {
    pub(super) index: u32,
    pub(super) minor: Option<u32>,
    pub(super) model: Option<String>,
    pub(super) capability: Option<Text<ComputeCapability>>,
    pub(super) uuid: Option<Text<GpuUuid>>,
    pub(super) serial: Option<String>,
    /// The version of its VBIOS.
    pub(super) firmware: Option<String>,
    pub(super) address: Option<Text<PciAddress>>,
    /// The PCI vendor in the lower half, the device in the upper.
    pub(super) pci_device: Option<u32>,
    /// The subsystem vendor of the board in the lower half, the subsystem in the upper.
    pub(super) pci_subsystem: Option<u32>,
    pub(super) memory: Option<u64>,
    pub(super) memory_used: Option<u64>,
    pub(super) memory_free: Option<u64>,
    /// The number of processes that use it; neither their ids nor their names are kept.
    pub(super) processes: Option<u32>,
    /// The local CPUs in list syntax.
    pub(super) cpus: Option<String>,
    /// The local NUMA nodes in list syntax.
    pub(super) nodes: Option<String>,
    pub(super) memory_node: MemoryNode,
    pub(super) pcie: ReportedPcie,
    pub(super) c2c: bool,
    /// The number of C2C links.
    pub(super) c2c_links: Option<u32>,
    /// The bandwidths of the C2C links that are up, in MB/s.
    #[serde(deserialize_with = "at_most::<_, _, MAX_NVLINKS>")]
    pub(super) c2c_up: Vec<Option<u64>>,
    /// MIG mode: enabled now, and after the next reset.
    pub(super) mig: Option<(bool, bool)>,
    #[serde(deserialize_with = "at_most::<_, _, MAX_INSTANCES>")]
    pub(super) instances: Vec<ReportedInstance>,
    /// True if the driver tells only administrators where the instances lie.
    pub(super) placements_denied: bool,
    pub(super) fabric: Option<ReportedFabric>,
    /// NVML's number of the recovery action that it asks for.
    pub(super) recovery: Option<u32>,
    pub(super) nvlinks: ReportedNvlinks,
}

/// The NUMA node that the memory of a GPU is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::source) enum MemoryNode {
    #[default]
    Unknown,
    None,
    Node(u32),
}

/// The PCIe link of a GPU, in generations and lanes.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedPcie {
    pub(super) generation: Option<u32>,
    pub(super) width: Option<u32>,
    /// The latest that the GPU itself can do.
    pub(super) own_generation: Option<u32>,
    /// The most that the GPU and its port can do together.
    pub(super) max_generation: Option<u32>,
    pub(super) max_width: Option<u32>,
}

/// The peer-to-peer access of two GPUs, in NVML's numbers.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedP2p {
    /// The positions of the two.
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) read: Option<u32>,
    pub(super) write: Option<u32>,
    pub(super) nvlink: Option<u32>,
    pub(super) atomics: Option<u32>,
}

/// A MIG instance.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedInstance {
    pub(super) uuid: Option<String>,
    /// The product's name, followed by that of the profile.
    pub(super) name: Option<String>,
    pub(super) gpu_instance: Option<u32>,
    pub(super) compute_instance: Option<u32>,
    pub(super) slices: Option<u32>,
    /// In MiB.
    pub(super) memory: Option<u64>,
    /// The first memory slice, and the number of slices.
    pub(super) placement: Option<(u32, u32)>,
}

/// A GPU's place in an NVLink fabric, in NVML's numbers.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedFabric {
    pub(super) state: u32,
    pub(super) status: u32,
    pub(super) cluster: Option<String>,
    pub(super) clique: u32,
    pub(super) health: Option<u32>,
    pub(super) health_summary: Option<u32>,
}

/// The NVLinks of a GPU.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedNvlinks {
    /// True if the driver gave no answer about some of them.
    pub(super) unknown: bool,
    /// The NVLinks that exist, by increasing number.
    #[serde(deserialize_with = "at_most::<_, _, MAX_NVLINKS>")]
    pub(super) links: Vec<ReportedNvlink>,
}

/// An NVLink.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct ReportedNvlink {
    pub(super) number: u32,
    pub(super) up: bool,
    /// NVML's number for the version of NVLink.
    pub(super) version: Option<u32>,
    /// The bandwidth that the driver reports, one direction, in MB/s.
    pub(super) speed: Option<u64>,
    pub(super) end: End,
}

/// The device at the other end of an NVLink.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(in crate::source) enum End {
    Gpu(Text<PciAddress>),
    /// An NVSwitch, with its address unless the driver hides it.
    Switch(Option<Text<PciAddress>>),
    /// A POWER CPU.
    Cpu,
    /// A device of unknown kind.
    #[serde(rename = "something")]
    Untyped(Text<PciAddress>),
    #[default]
    Unknown,
}

impl ReportedNvlinks {
    pub(super) fn up(&self) -> impl Iterator<Item = &ReportedNvlink> {
        self.links.iter().filter(|link| link.up)
    }
}

impl ReportedGpu {
    fn texts(&self) -> impl Iterator<Item = &Option<String>> {
        let of_instances = self.instances.iter().flat_map(|instance| [&instance.uuid, &instance.name]);
        let of_fabric = self.fabric.iter().map(|fabric| &fabric.cluster);
        [&self.model, &self.serial, &self.firmware].into_iter().chain(of_instances).chain(of_fabric)
    }
}

impl DriverReport {
    /// Checks what the conclusions rely on.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut numbers = BTreeSet::new();
        for index in self.gpus.iter().map(|gpu| gpu.index).chain(self.lost.iter().copied()) {
            if index as usize >= MAX_GPUS {
                return Err(format!("it has a GPU{index}"));
            }
            if !numbers.insert(index) {
                return Err(format!("GPU{index} occurs twice"));
            }
        }
        let pairs = self.paths.iter().map(|(a, b, _)| (*a, *b));
        let pairs = pairs.chain(self.p2p.iter().map(|p2p| (p2p.a, p2p.b)));
        for (a, b) in pairs {
            if a == b || a.max(b) >= self.gpus.len() {
                return Err(format!("it has a pair of GPUs at {a} and {b}, of {}", self.gpus.len()));
            }
        }
        let texts =
            [&self.driver, &self.cuda].into_iter().chain(self.gpus.iter().flat_map(ReportedGpu::texts));
        let longest = texts.flatten().map(String::len).chain([self.failures.longest_text()]).max();
        if longest.is_some_and(|longest| longest > MAX_TEXT) {
            return Err(format!("it has a text of more than {MAX_TEXT} characters"));
        }
        Ok(())
    }
}

/// Reads a list of at most `MOST` elements.
pub(super) fn at_most<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == MOST {
                    return Err(A::Error::invalid_length(MOST + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List::<T, MOST>(PhantomData))
}
