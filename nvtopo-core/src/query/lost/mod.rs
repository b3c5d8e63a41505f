//! Parts of a machine that can be lost, and the machine without them: what is left when a GPU falls off the bus, an NVLink
//! goes down, or CPUs are taken away.

mod find;
mod without;

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::named::gpu_index;
use crate::model::{Link, NodeId, NodeKind, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// A part of a machine that can be lost, by its name.
///
/// ```
/// use nvtopo::{LostPart, NvLinkChoice, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let lost: LostPart = "nvlink:0-3:1".parse()?;
/// assert_eq!(lost, LostPart::NvLinks { gpu: 0, to: Some(3), which: NvLinkChoice::Count(1) });
/// assert_eq!(dgx1.without(&[lost])?.pairs().pair(0, 3).nvlinks, 1); // of 2
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LostPart {
    /// A GPU, by its index, UUID or PCI address: `gpu:3`.
    Gpu(String),
    /// A NIC, by its name, its RDMA device, its interface or its PCI address: `nic:mlx5_0`. An address loses all ports.
    Nic(String),
    /// NVLinks of a GPU.
    NvLinks {
        /// The index of the GPU.
        gpu: u32,
        /// The index of the GPU at the other ends. `None`: whatever is there.
        to: Option<u32>,
        /// The links of those.
        which: NvLinkChoice,
    },
    /// CPUs: `cpus:0-3`.
    Cpus(CpuSet),
    /// The CPUs of a NUMA node, by the kernel's number of the node: `numa:1`. Its memory stays.
    NumaCpus(u32),
    /// A PCIe switch with everything below it, by its PCI address, or by its place among the switches of the machine from 0:
    /// `switch:0000:17:00.0`.
    PcieSwitch(String),
    /// An NVSwitch, by its PCI address, or by its place among those of the machine from 0: `nvswitch:0`.
    NvSwitch(String),
}

/// A choice among NVLinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NvLinkChoice {
    /// All that are up: `nvlink:0-1`.
    All,
    /// A number of them: `nvlink:0-1:2`.
    Count(u16),
    /// The one of this number on the GPU, as `nvidia-smi nvlink -s` numbers them: `nvlink:0#4`.
    Number(u32),
}

/// The forms of a part, for errors.
const FORMS: &str = "write gpu:3, nic:mlx5_0, nvlink:0-1 (all between two GPUs), nvlink:0-1:1 (one of them), nvlink:0 (all of \
                     a GPU), nvlink:0#4 (its link 4), cpus:0-3, numa:1 (its CPUs), switch:0000:17:00.0 or nvswitch:0";

impl FromStr for LostPart {
    type Err = Error;

    /// Reads the kind of a part and its name, such as `gpu:3`. Names are looked up later, by [`Topology::without`].
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::request(format!("'{text}' is no part of a machine that can be lost")).help(FORMS);
        let (kind, name) = text.trim().split_once(':').ok_or_else(wrong)?;
        let named = Some(name.trim().to_owned()).filter(|name| !name.is_empty()).ok_or_else(wrong);
        Ok(match kind.trim() {
            "gpu" => Self::Gpu(named?),
            "nic" => Self::Nic(named?),
            "switch" => Self::PcieSwitch(named?),
            "nvswitch" => Self::NvSwitch(named?),
            "nvlink" => nvlinks(name.trim()).ok_or_else(wrong)?,
            "cpus" => match named?.parse::<CpuSet>() {
                Ok(cpus) if !cpus.is_empty() => Self::Cpus(cpus),
                _ => return Err(wrong()),
            },
            "numa" => Self::NumaCpus(named?.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        })
    }
}

/// Reads `0`, `0-1`, `0-1:2` or `0#4`.
fn nvlinks(text: &str) -> Option<LostPart> {
    let (ends, which) = if let Some((ends, number)) = text.split_once('#') {
        (ends, NvLinkChoice::Number(number.parse().ok()?))
    } else if let Some((ends, count)) = text.split_once(':') {
        (ends, NvLinkChoice::Count(count.parse().ok().filter(|count| *count > 0)?))
    } else {
        (text, NvLinkChoice::All)
    };
    let (gpu, to) = match ends.split_once('-') {
        Some((gpu, to)) => (gpu_index(gpu)?, Some(gpu_index(to)?)),
        None => (gpu_index(ends)?, None),
    };
    (to != Some(gpu)).then_some(LostPart::NvLinks { gpu, to, which })
}

impl fmt::Display for LostPart {
    /// Writes it as it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(name) => write!(f, "gpu:{name}"),
            Self::Nic(name) => write!(f, "nic:{name}"),
            Self::PcieSwitch(name) => write!(f, "switch:{name}"),
            Self::NvSwitch(name) => write!(f, "nvswitch:{name}"),
            Self::Cpus(cpus) => write!(f, "cpus:{cpus}"),
            Self::NumaCpus(node) => write!(f, "numa:{node}"),
            Self::NvLinks { gpu, to, which } => {
                write!(f, "nvlink:{gpu}")?;
                if let Some(to) = to {
                    write!(f, "-{to}")?;
                }
                match which {
                    NvLinkChoice::All => Ok(()),
                    NvLinkChoice::Count(count) => write!(f, ":{count}"),
                    NvLinkChoice::Number(number) => write!(f, "#{number}"),
                }
            }
        }
    }
}

impl LostPart {
    /// Returns the parts of a machine that can be lost one at a time: each GPU; of each pair of GPUs with NVLinks one and all
    /// of these, and of each GPU on NVSwitches one and all of its links; each NVSwitch, PCIe switch and NIC; and the CPUs of each
    /// NUMA node, where others have CPUs too.
    ///
    /// ```
    /// let bridged = nvtopo::Topology::preset("rtx-a6000-4-bridged")?;
    /// let parts: Vec<String> = nvtopo::LostPart::of(&bridged).iter().map(ToString::to_string).collect();
    /// assert!(parts.contains(&"gpu:3".to_owned()) && parts.contains(&"nvlink:0-1:1".to_owned()));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of(topology: &Topology) -> Vec<Self> {
        let mut parts: Vec<Self> = topology.gpus().map(|gpu| Self::Gpu(gpu.index.to_string())).collect();
        for ((gpu, to), links) in fabric_links(topology) {
            parts.push(Self::NvLinks { gpu, to, which: NvLinkChoice::All });
            if links > 1 {
                parts.push(Self::NvLinks { gpu, to, which: NvLinkChoice::Count(1) });
            }
        }
        let switches = find::switches(topology);
        parts.extend(find::names(topology, &switches.nvlink).map(Self::NvSwitch));
        let holding: BTreeSet<NodeId> =
            topology.devices().iter().flat_map(|device| topology.ancestors(*device)).collect();
        let pcie = switches.pcie.iter().zip(find::names(topology, &switches.pcie));
        parts.extend(pcie.filter(|(id, _)| holding.contains(id)).map(|(_, name)| Self::PcieSwitch(name)));
        parts.extend(topology.nics().map(|nic| Self::Nic(nic.name.clone())));
        let all = topology.cpus();
        let nodes = topology.numa_nodes().filter(|node| !node.cpus.is_empty() && node.cpus != all);
        parts.extend(nodes.map(|node| Self::NumaCpus(node.os_index)));
        parts
    }
}

/// Returns the numbers of links between GPUs, and from GPUs to NVSwitches, by the indices of the GPUs.
fn fabric_links(topology: &Topology) -> BTreeMap<(u32, Option<u32>), u32> {
    let index = |id: NodeId| topology.node(id).kind.as_gpu().map(|gpu| gpu.index);
    let mut links: BTreeMap<(u32, Option<u32>), u32> = BTreeMap::new();
    for (a, b, link) in topology.links().filter(|(_, _, link)| link.kind.is_fabric()) {
        let ends = match (index(a), index(b)) {
            (Some(a), Some(b)) => (a.min(b), Some(a.max(b))),
            (Some(gpu), None) | (None, Some(gpu)) => (gpu, None),
            (None, None) => continue,
        };
        if lanes(link) > 0 {
            *links.entry(ends).or_default() += u32::from(lanes(link));
        }
    }
    links
}

/// Returns the number of NVLinks of a link; one where it is not told, as queries count it.
fn lanes(link: &Link) -> u16 {
    link.lanes.unwrap_or(1)
}

/// Returns whether a node is an NVSwitch.
fn is_nvswitch(topology: &Topology, id: NodeId) -> bool {
    matches!(topology.node(id).kind, NodeKind::NvSwitch(_))
}
