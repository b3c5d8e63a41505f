//! Constraints between all GPUs of a placement.

use crate::cpuset::NodeSet;
use crate::error::{Error, Result};
use crate::model::{Gpu, PathType, Topology};
use crate::units::{Bandwidth, Bytes, exact_bytes, whole_unit};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A constraint between all GPUs of a placement. A fact that is unknown does not satisfy it.
///
/// ```
/// use nvtopo::{Request, Topology, solve::Constraint};
///
/// let bridged = Topology::preset("rtx-a6000-4-bridged")?;
/// let pair = Request::gpus(2).require([Constraint::SameNvlinkGroup]).solve(&bridged)?;
/// assert_eq!(pair.gpu_indices(), [0, 1]);
/// let error = Request::gpus(3).require(["nvlink-group".parse()?]).solve(&bridged).unwrap_err();
/// assert_eq!(error.kind(), nvtopo::ErrorKind::Unsatisfiable);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Constraint {
    /// `nvlink-group`: all GPUs are in one [NVLink group](Topology::nvlink_groups).
    SameNvlinkGroup,
    /// `numa-node`: all GPUs have the same nearest NUMA nodes.
    SameNumaNode,
    /// `pcie-switch`: all paths over PCIe avoid the host bridges.
    SamePcieSwitch,
    /// `same-model`: all GPUs are of one model.
    SameModel,
    /// `at-least:X`: each pair has a path of at least X GB/s.
    AtLeast(Bandwidth),
    /// `gpu-memory:X`: each GPU has at least X bytes of memory, such as `gpu-memory:40GiB`.
    GpuMemory(Bytes),
}

/// The words of the constraints without a number.
const WORDS: [(&str, Constraint); 4] = [
    ("nvlink-group", Constraint::SameNvlinkGroup),
    ("numa-node", Constraint::SameNumaNode),
    ("pcie-switch", Constraint::SamePcieSwitch),
    ("same-model", Constraint::SameModel),
];

impl Constraint {
    /// Returns what holds between GPUs that meet it, as a part of a sentence.
    pub(in crate::solve) fn sentence(self) -> String {
        match self {
            Self::SameNvlinkGroup => "are of one NVLink group".to_owned(),
            Self::SameNumaNode => "are beside one NUMA node".to_owned(),
            Self::SamePcieSwitch => "are below one PCIe switch".to_owned(),
            Self::SameModel => "are of one model".to_owned(),
            Self::AtLeast(bandwidth) => format!("have at least {bandwidth} between each two"),
            Self::GpuMemory(Bytes(bytes)) => format!("have at least {} of memory each", exact_bytes(bytes)),
        }
    }

    /// Returns the groups of GPUs that meet it together, by position; a GPU with unknown facts is a group of its own. `None`: the
    /// constraint does not divide the GPUs into groups.
    pub(in crate::solve) fn groups(self, topology: &Topology) -> Option<Vec<Vec<usize>>> {
        let gpus = 0..topology.gpus().len();
        match self {
            Self::SameNvlinkGroup => {
                Some(topology.nvlink_groups().iter().map(|group| group.gpus.clone()).collect())
            }
            Self::SameNumaNode => {
                let mut groups: BTreeMap<Result<NodeSet, usize>, Vec<usize>> = BTreeMap::new();
                for gpu in gpus {
                    groups.entry(topology.known_nodes(gpu).ok_or(gpu)).or_default().push(gpu);
                }
                Some(groups.into_values().collect())
            }
            Self::SamePcieSwitch => {
                let near = |a: usize, b: usize| {
                    let (a, b) = (topology.devices()[a], topology.devices()[b]);
                    matches!(topology.host_path(a, b), Some(PathType::Pix | PathType::Pxb))
                };
                let mut groups: Vec<Vec<usize>> = Vec::new();
                for gpu in gpus {
                    match groups.iter_mut().find(|group| near(group[0], gpu)) {
                        Some(group) => group.push(gpu),
                        None => groups.push(vec![gpu]),
                    }
                }
                Some(groups)
            }
            Self::SameModel => {
                let mut groups: BTreeMap<Result<&str, usize>, Vec<usize>> = BTreeMap::new();
                for (position, gpu) in topology.gpus().enumerate() {
                    groups.entry(gpu.model.as_deref().ok_or(position)).or_default().push(position);
                }
                Some(groups.into_values().collect())
            }
            Self::AtLeast(_) => None,
            Self::GpuMemory(Bytes(least)) => {
                let enough = |gpu: &Gpu| gpu.memory.is_some_and(|memory| memory >= least);
                let with = topology.gpus().enumerate().filter(|(_, gpu)| enough(gpu));
                Some(vec![with.map(|(position, _)| position).collect()])
            }
        }
    }

    /// Returns the remark on the given GPUs that do not meet it because the fact is unknown.
    pub(in crate::solve) fn unknown(self, topology: &Topology, gpus: &[usize]) -> Option<String> {
        let (what, known): (_, fn(&Gpu) -> bool) = match self {
            Self::SameModel => ("model", |gpu| gpu.model.is_some()),
            Self::GpuMemory(_) => ("memory", |gpu| gpu.memory.is_some()),
            _ => return None,
        };
        let all = topology.gpus().enumerate();
        let unknown: NodeSet = all
            .filter(|(position, gpu)| gpus.contains(position) && !known(gpu))
            .map(|(_, gpu)| gpu.index)
            .collect();
        (!unknown.is_empty()).then(|| format!("the {what} of GPU{unknown} is unknown"))
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (WORDS.iter().find(|(_, constraint)| constraint == self), self) {
            (Some((word, _)), _) => f.write_str(word),
            (None, Self::AtLeast(bandwidth)) => write!(f, "at-least:{}", bandwidth.as_gb_per_s()),
            (None, Self::GpuMemory(Bytes(bytes))) => {
                let (number, unit) = whole_unit(*bytes);
                write!(f, "gpu-memory:{number}{unit}")
            }
            (None, _) => Ok(()),
        }
    }
}

impl FromStr for Constraint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some((_, constraint)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*constraint);
        }
        // Earlier versions used this word.
        if text == "gpu-model" {
            return Ok(Self::SameModel);
        }
        if let Some(bytes) = text.strip_prefix("gpu-memory:") {
            return bytes.trim().parse().map(Self::GpuMemory);
        }
        let number = text.strip_prefix("at-least:").and_then(|number| number.trim().parse::<f64>().ok());
        if let Some(number) = number.filter(|number| number.is_finite() && *number >= 0.0) {
            return Ok(Self::AtLeast(Bandwidth::from_gb_per_s(number)));
        }
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        Err(Error::request(format!("there is no constraint '{text}'"))
            .help(format!("there are {}, at-least:GB/s, such as at-least:50, and gpu-memory:BYTES, such as gpu-memory:40GiB", words.join(", "))))
    }
}
