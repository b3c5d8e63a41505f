//! What must hold between all GPUs of a placement.

use crate::error::{Error, Result};
use crate::model::{PathType, Topology};
use crate::solve::objective::Set;
use crate::solve::placement::needs::{Shortage, Supply};
use crate::solve::search::quota::Quotas;
use crate::solve::search::set;
use crate::solve::search::set::members;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What must hold between all GPUs of a placement. What is not known to hold, does not.
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
    /// `nvlink-group`: they are of one [NVLink group](Topology::nvlink_groups).
    SameNvlinkGroup,
    /// `numa-node`: the same NUMA nodes are nearest to all of them.
    SameNumaNode,
    /// `pcie-switch`: they reach each other over PCIe without going through a host bridge.
    SamePcieSwitch,
    /// `gpu-model`: they are of one model.
    SameGpuModel,
    /// `at-least:X`: each two have a path of at least X GB/s.
    AtLeast(Bandwidth),
}

/// The words for those that need no number.
const WORDS: [(&str, Constraint); 4] = [
    ("nvlink-group", Constraint::SameNvlinkGroup),
    ("numa-node", Constraint::SameNumaNode),
    ("pcie-switch", Constraint::SamePcieSwitch),
    ("gpu-model", Constraint::SameGpuModel),
];

impl Constraint {
    /// What holds between GPUs that meet it, as a part of a sentence.
    pub(in crate::solve) fn sentence(self) -> String {
        match self {
            Self::SameNvlinkGroup => "are of one NVLink group".to_owned(),
            Self::SameNumaNode => "are beside one NUMA node".to_owned(),
            Self::SamePcieSwitch => "are below one PCIe switch".to_owned(),
            Self::SameGpuModel => "are of one model".to_owned(),
            Self::AtLeast(bandwidth) => format!("have at least {bandwidth} between each two"),
        }
    }

    /// Whose GPUs belong together, by position; one of which it is not known belongs to itself only. `None`: any may belong
    /// together.
    fn groups(self, topology: &Topology) -> Option<Vec<Vec<usize>>> {
        let gpus = 0..topology.gpus().len();
        match self {
            Self::SameNvlinkGroup => {
                Some(topology.nvlink_groups().iter().map(|group| group.gpus.clone()).collect())
            }
            Self::SameNumaNode => {
                let mut groups: BTreeMap<Result<String, usize>, Vec<usize>> = BTreeMap::new();
                for gpu in gpus {
                    let nodes = topology.local_nodes(topology.devices()[gpu]);
                    let nodes = nodes.known().filter(|nodes| !nodes.is_empty());
                    groups.entry(nodes.map(ToString::to_string).ok_or(gpu)).or_default().push(gpu);
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
            Self::SameGpuModel => {
                let mut groups: BTreeMap<Result<&str, usize>, Vec<usize>> = BTreeMap::new();
                for (position, gpu) in topology.gpus().enumerate() {
                    groups.entry(gpu.model.as_deref().ok_or(position)).or_default().push(position);
                }
                Some(groups.into_values().collect())
            }
            Self::AtLeast(_) => None,
        }
    }
}

/// What several constraints leave to choose from.
#[derive(PartialEq, Eq)]
pub(in crate::solve) struct Limits {
    /// The set lies within one of these.
    pub(in crate::solve) scopes: Option<Vec<Set>>,
    /// For each candidate those that it may be chosen with.
    pub(in crate::solve) near: Option<Vec<Set>>,
    /// What is beside some of them is enough for so many only.
    pub(in crate::solve) quotas: Quotas,
    /// How many GPUs each usable NIC has room for, where the request says so.
    pub(in crate::solve) nic_room: Option<Vec<usize>>,
}

impl Limits {
    /// The topology is the one that was asked about: the weights may be those of another machine of equal structure, with other
    /// names and other paths beside its NVLinks.
    pub(in crate::solve) fn new(constraints: &[Constraint], topology: &Topology, weights: &Weights) -> Self {
        let mut scopes: Option<Vec<Set>> = None;
        for groups in constraints.iter().filter_map(|constraint| constraint.groups(topology)) {
            let sets = groups.iter().map(|group| weights.set(group));
            scopes = Some(match scopes {
                None => sets.collect(),
                Some(before) => sets.flat_map(|set| before.iter().map(move |other| set & other)).collect(),
            });
        }
        if let Some(scopes) = &mut scopes {
            scopes.retain(|scope| *scope != 0);
            scopes.sort_unstable_by_key(|scope| scope.trailing_zeros());
        }
        let least = constraints.iter().filter_map(|constraint| match constraint {
            Constraint::AtLeast(least) => Some(*least),
            _ => None,
        });
        let near = least.max().map(|least| {
            let near = |a: usize| {
                let enough = |b: &usize| weights.between(a, *b).bandwidth() >= least;
                set::of(members(set::all(weights.gpus()) & !(1 << a)).filter(enough))
            };
            (0..weights.gpus()).map(near).collect()
        });
        Self { scopes, near, quotas: Quotas::default(), nic_room: None }
    }

    /// Besides, what is beside the GPUs must be enough for them.
    pub(in crate::solve) fn served(
        self,
        supply: Option<&Supply>,
        shortages: &[Shortage],
        weights: &Weights,
    ) -> Self {
        let nic_room = supply.and_then(Supply::nics).map(<[usize]>::to_vec);
        Self { quotas: Quotas::of(shortages, weights), nic_room, ..self }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (WORDS.iter().find(|(_, constraint)| constraint == self), self) {
            (Some((word, _)), _) => f.write_str(word),
            (None, Self::AtLeast(bandwidth)) => write!(f, "at-least:{}", bandwidth.as_gb_per_s()),
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
        let number = text.strip_prefix("at-least:").and_then(|number| number.trim().parse::<f64>().ok());
        if let Some(number) = number.filter(|number| number.is_finite() && *number >= 0.0) {
            return Ok(Self::AtLeast(Bandwidth::from_gb_per_s(number)));
        }
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        Err(Error::request(format!("there is no constraint '{text}'"))
            .help(format!("there are {} and at-least:GB/s, such as at-least:50", words.join(", "))))
    }
}
