//! What the driver says, as plain facts: no call, and nothing concluded.
//!
//! They are written down as JSON and read again. What is missing has its default, so that what an older nvtopo wrote
//! stays readable; nothing is trusted, so lists are bounded while they are read, and [`Seen::check`] does the rest.

use super::troubles::Troubles;
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

/// More instances than any GPU can be divided into.
pub(super) const MAX_INSTANCES: usize = 64;

/// The pairs of so many GPUs.
const MAX_PAIRS: usize = MAX_GPUS * (MAX_GPUS - 1) / 2;

/// The longest text in characters; NVML's own buffers are smaller.
pub(super) const MAX_TEXT: usize = 4096;

/// A machine as the driver sees it.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct Seen {
    pub(super) driver: Option<String>,
    pub(super) cuda: Option<String>,
    /// Those that it could hand out; see `lost`.
    #[serde(deserialize_with = "at_most::<_, _, MAX_GPUS>")]
    pub(super) gpus: Vec<SeenGpu>,
    /// The numbers of GPUs that it counts and could not hand out.
    #[serde(deserialize_with = "at_most::<_, _, MAX_GPUS>")]
    pub(super) lost: Vec<u32>,
    /// The classes of paths between GPUs, by their positions in `gpus`.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PAIRS>")]
    pub(super) paths: Vec<(usize, usize, Text<PathType>)>,
    /// What pairs may do with each other's memory.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PAIRS>")]
    pub(super) p2p: Vec<SeenP2p>,
    pub(super) troubles: Troubles,
}

/// A GPU.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct SeenGpu {
    pub(super) index: u32,
    pub(super) minor: Option<u32>,
    pub(super) model: Option<String>,
    pub(super) capability: Option<Text<ComputeCapability>>,
    pub(super) uuid: Option<Text<GpuUuid>>,
    pub(super) serial: Option<String>,
    pub(super) address: Option<Text<PciAddress>>,
    /// Who made the chip, and above that, which it is.
    pub(super) pci_device: Option<u32>,
    /// As much of the board.
    pub(super) pci_subsystem: Option<u32>,
    pub(super) memory: Option<u64>,
    pub(super) memory_used: Option<u64>,
    pub(super) memory_free: Option<u64>,
    /// The number of processes that use it; neither their numbers nor their names are kept.
    pub(super) processes: Option<u32>,
    /// In list syntax, and so are the nodes.
    pub(super) cpus: Option<String>,
    pub(super) nodes: Option<String>,
    pub(super) memory_node: MemoryNode,
    pub(super) pcie: SeenPcie,
    pub(super) c2c: bool,
    /// How many links of C2C there are, and those that are up, each with what it carries in MB/s.
    pub(super) c2c_links: Option<u32>,
    #[serde(deserialize_with = "at_most::<_, _, MAX_NVLINKS>")]
    pub(super) c2c_up: Vec<Option<u64>>,
    /// Whether it is divided, now and after its next reset.
    pub(super) mig: Option<(bool, bool)>,
    #[serde(deserialize_with = "at_most::<_, _, MAX_INSTANCES>")]
    pub(super) instances: Vec<SeenInstance>,
    /// Whether only administrators are told where these lie.
    pub(super) placements_denied: bool,
    pub(super) fabric: Option<SeenFabric>,
    /// NVML's number for what it asks to be done about the GPU.
    pub(super) recovery: Option<u32>,
    pub(super) nvlinks: SeenNvlinks,
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
pub(in crate::source) struct SeenPcie {
    pub(super) generation: Option<u32>,
    pub(super) width: Option<u32>,
    /// The latest that the GPU itself can do.
    pub(super) own_generation: Option<u32>,
    /// The most that the GPU and what it hangs on can do.
    pub(super) max_generation: Option<u32>,
    pub(super) max_width: Option<u32>,
}

/// What the driver allows two GPUs to do with each other's memory, in NVML's numbers.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct SeenP2p {
    /// The positions of the two.
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) read: Option<u32>,
    pub(super) write: Option<u32>,
    pub(super) nvlink: Option<u32>,
    pub(super) atomics: Option<u32>,
}

/// A part of a GPU (MIG).
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct SeenInstance {
    pub(super) uuid: Option<String>,
    /// The product's name, with that of the profile.
    pub(super) name: Option<String>,
    pub(super) gpu_instance: Option<u32>,
    pub(super) compute_instance: Option<u32>,
    pub(super) slices: Option<u32>,
    /// In MiB.
    pub(super) memory: Option<u64>,
    /// The first memory slice, and how many.
    pub(super) placement: Option<(u32, u32)>,
}

/// A GPU's place in an NVLink fabric, in NVML's numbers.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct SeenFabric {
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
pub(in crate::source) struct SeenNvlinks {
    /// Whether some could not be asked of.
    pub(super) unknown: bool,
    /// Those that exist, by increasing number.
    #[serde(deserialize_with = "at_most::<_, _, MAX_NVLINKS>")]
    pub(super) links: Vec<SeenNvlink>,
}

/// An NVLink.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct SeenNvlink {
    pub(super) number: u32,
    pub(super) up: bool,
    /// NVML's number for the version of NVLink.
    pub(super) version: Option<u32>,
    /// What it carries by the driver's word, one direction, in MB/s.
    pub(super) speed: Option<u64>,
    pub(super) end: End,
}

/// What an NVLink leads to.
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
    /// Something with an address, of a kind that the driver did not tell.
    Something(Text<PciAddress>),
    #[default]
    Unknown,
}

impl SeenNvlinks {
    pub(super) fn up(&self) -> impl Iterator<Item = &SeenNvlink> {
        self.links.iter().filter(|link| link.up)
    }
}

impl SeenGpu {
    fn texts(&self) -> impl Iterator<Item = &Option<String>> {
        let of_instances = self.instances.iter().flat_map(|instance| [&instance.uuid, &instance.name]);
        let of_fabric = self.fabric.iter().map(|fabric| &fabric.cluster);
        [&self.model, &self.serial].into_iter().chain(of_instances).chain(of_fabric)
    }
}

impl Seen {
    /// Whether it can be what a driver said: what the conclusions rely on.
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
        let texts = [&self.driver, &self.cuda].into_iter().chain(self.gpus.iter().flat_map(SeenGpu::texts));
        let longest = texts.flatten().map(String::len).chain([self.troubles.longest_text()]).max();
        if longest.is_some_and(|longest| longest > MAX_TEXT) {
            return Err(format!("it has a text of more than {MAX_TEXT} characters"));
        }
        Ok(())
    }
}

/// Reads a list that has no more elements than that.
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
