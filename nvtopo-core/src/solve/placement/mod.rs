//! The answer to a request: the chosen GPUs, what belongs to each, the scores, and the proof.

pub(super) mod amounts;
pub(super) mod explain;
pub(super) mod local;
pub(super) mod needs;
pub(super) mod score;

use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{GpuUuid, PciAddress};
use crate::model::{Basis, Pair, PathType, Topology};
use crate::query::{GpuFault, Weight, nearest_nics};
use crate::solve::constraint::Constraint;
use crate::solve::cpus::{CpuLimits, all_memory};
use crate::solve::placement::amounts::{NodeMemory, NodePages};
use crate::solve::placement::local::Local;
use crate::solve::placement::score::{Score, scores};
use crate::solve::process::{by_model, cuda_environment, divided, listed};
use crate::solve::search::objective::Objective;
use crate::solve::search::problem::Solution;
use std::fmt;
use std::sync::Arc;

/// A chosen GPU with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlacedGpu {
    /// The position in [`Topology::gpus`].
    pub position: usize,
    /// The index by which tools name it.
    pub index: u32,
    /// The driver's UUID.
    pub uuid: Option<GpuUuid>,
    /// The place on the PCI bus.
    pub address: Option<PciAddress>,
    /// The share of the CPUs; disjoint between GPUs if there are enough CPUs. As many as were asked for, if [a
    /// number](crate::Request::cpus_per_gpu) was.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
    /// The memory from each node. `None`: [none](crate::Request::memory_per_gpu) was asked for, or the memory of its nodes
    /// is unknown.
    pub memory: Option<Vec<NodeMemory>>,
    /// The huge pages from each node, by size. `None`: [none](crate::Request::hugepages_per_gpu) were asked for, or the
    /// pages of its nodes are unknown.
    pub huge_pages: Option<Vec<NodePages>>,
    /// The names of the nearest NICs, all of one path class.
    pub nics: Vec<String>,
    /// The class of the path to these NICs.
    pub nic_path: Option<PathType>,
    /// The name of the NIC to use: the [fair](crate::fair_nics) one among all GPUs of the machine, not always one of the
    /// nearest.
    pub nic: Option<String>,
    /// The indices of the other GPUs of the machine that share this NIC, whichever job has them; where the request limits the
    /// GPUs of a NIC, those of its own job.
    pub nic_shared_with: Vec<u32>,
}

impl PlacedGpu {
    /// Creates the GPU at a position with what the topology says of it; nothing is given to it yet.
    pub(super) fn at(topology: &Topology, position: usize) -> Self {
        let gpu = topology.node(topology.devices()[position]).kind.as_gpu();
        let (nics, nic_path) = nearest_nics(topology, position);
        Self {
            position,
            index: gpu.map_or(0, |gpu| gpu.index),
            uuid: gpu.and_then(|gpu| gpu.uuid),
            address: gpu.and_then(|gpu| gpu.address),
            cpus: CpuSet::default(),
            mems: NodeSet::default(),
            memory: None,
            huge_pages: None,
            nics: nics.into_iter().map(|nic| topology.device_name(nic)).collect(),
            nic_path,
            nic: None,
            nic_shared_with: Vec::new(),
        }
    }
}

/// A preferred constraint that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmet {
    /// The constraint that the request prefers.
    pub constraint: Constraint,
    /// The reason why no set meets it, with the greatest number of GPUs that do.
    pub witness: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.constraint, self.witness)
    }
}

/// The proof that no set is better, or the fact that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// Every set was examined, or excluded because a bound or an exchange of interchangeable GPUs shows it to be no better.
    Exhaustive {
        /// The number of sets and partial sets that were examined.
        steps: u64,
    },
    /// The search was stopped: the bounds of the scores limit how much better a set could be.
    Bound {
        /// The number of sets and partial sets that were examined.
        steps: u64,
    },
}

/// A placement: the GPUs for a job, best by the objectives of the request.
///
/// ```
/// use nvtopo::{Request, Topology};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let placement = Request::gpus(2).solve(&dgx)?;
/// for gpu in placement.gpus() {
///     println!("GPU{}: CPUs {}, memory of node {}, NICs {:?}", gpu.index, gpu.cpus, gpu.mems, gpu.nics);
/// }
/// assert_eq!(placement.gpus()[0].nics, ["mlx5_0"]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Placement(Arc<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    topology: Topology,
    gpus: Vec<PlacedGpu>,
    scores: Vec<Score>,
    proof: Proof,
    why: String,
    remarks: Vec<String>,
    preference: Option<Constraint>,
    unmet: Vec<Unmet>,
}

impl Placement {
    /// Returns the topology of the placement.
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// Returns the chosen GPUs in the order to use: rank 0 takes the first.
    pub fn gpus(&self) -> &[PlacedGpu] {
        &self.0.gpus
    }

    /// Returns the indices of the chosen GPUs in the order to use.
    pub fn gpu_indices(&self) -> Vec<u32> {
        self.0.gpus.iter().map(|gpu| gpu.index).collect()
    }

    /// Returns the CPUs of all chosen GPUs together.
    pub fn cpus(&self) -> CpuSet {
        self.0.gpus.iter().map(|gpu| &gpu.cpus).collect::<CpuSet>()
    }

    /// Returns the memory nodes of all chosen GPUs together; empty if any is unknown.
    pub fn mems(&self) -> NodeSet {
        all_memory(self.0.gpus.iter().map(|gpu| &gpu.mems))
    }

    /// Returns one value for each objective, most important first.
    pub fn scores(&self) -> &[Score] {
        &self.0.scores
    }

    /// Returns the proof that no set is better, or that the search was stopped.
    pub fn proof(&self) -> Proof {
        self.0.proof
    }

    /// Returns whether it is proven that no set is better.
    pub fn is_optimal(&self) -> bool {
        matches!(self.0.proof, Proof::Exhaustive { .. })
    }

    /// Returns one sentence on the reason.
    pub fn why(&self) -> &str {
        &self.0.why
    }

    /// Returns the first [preferred](crate::Request::prefer) constraint that can be met. `None`: none was preferred, or
    /// none can be met.
    pub fn preference(&self) -> Option<Constraint> {
        self.0.preference
    }

    /// Returns the constraints that the request prefers to that one, with the reasons why they cannot be met.
    pub fn unmet(&self) -> &[Unmet] {
        &self.0.unmet
    }

    /// Returns the remarks on the chosen GPUs, their CPUs and memory.
    pub fn remarks(&self) -> &[String] {
        &self.0.remarks
    }

    /// Returns a placement without preferences.
    pub(super) fn new(
        topology: &Topology,
        gpus: Vec<PlacedGpu>,
        scores: Vec<Score>,
        proof: Proof,
        why: String,
        remarks: Vec<String>,
    ) -> Self {
        let (topology, preference, unmet) = (topology.clone(), None, Vec::new());
        Self(Arc::new(Inner { topology, gpus, scores, proof, why, remarks, preference, unmet }))
    }

    /// Returns the chosen GPUs, to be changed.
    pub(super) fn gpus_mut(&mut self) -> &mut [PlacedGpu] {
        &mut Arc::make_mut(&mut self.0).gpus
    }

    /// Adds remarks.
    pub(super) fn remark(&mut self, remarks: impl IntoIterator<Item = String>) {
        Arc::make_mut(&mut self.0).remarks.extend(remarks);
    }

    /// Sets the preference that is met, and those that are not.
    pub(super) fn stand_on(&mut self, preference: Option<Constraint>, unmet: Vec<Unmet>) {
        let inner = Arc::make_mut(&mut self.0);
        (inner.preference, inner.unmet) = (preference, unmet);
    }

    /// Returns the values of `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` that show a process just these GPUs, in this order:
    /// UUIDs if all are known, else indices.
    pub fn cuda_environment(&self) -> Vec<(&'static str, String)> {
        let positions: Vec<usize> = self.0.gpus.iter().map(|gpu| gpu.position).collect();
        cuda_environment(&self.0.topology, &positions)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.gpus.iter().map(|gpu| format!("GPU{}", gpu.index)).collect();
        write!(f, "{} on CPUs {}", names.join(","), self.cpus())
    }
}

/// Completes a solution with what belongs to its GPUs, and with the reason. `limited`: not every set of the candidates meets the
/// request.
pub(super) fn complete(
    topology: &Topology,
    local: &Local,
    chosen: &[usize],
    (candidates, limited): (&[usize], bool),
    solution: &Solution,
    objectives: &[&'static dyn Objective],
    limits: &CpuLimits,
) -> Placement {
    let shares = local.shares(topology, limits, chosen);
    let own_nics = local.nics(topology);
    let gpus = chosen
        .iter()
        .map(|&position| PlacedGpu {
            cpus: shares.gpus[position].cpus.clone(),
            mems: shares.gpus[position].mems.clone(),
            nic: own_nics[position].map(|nic| topology.device_name(nic)),
            nic_shared_with: sharing(topology, own_nics, position),
            ..PlacedGpu::at(topology, position)
        })
        .collect();
    let scores = scores(topology, chosen, objectives, solution);
    let steps = solution.steps;
    let proof = if solution.complete { Proof::Exhaustive { steps } } else { Proof::Bound { steps } };
    let first = (objectives[0].name(), solution.values[0]);
    let why = explain(topology, chosen, (candidates, limited), first, proof);
    let of_gpus = topology.gpus().enumerate().filter(|(position, _)| chosen.contains(position));
    let of_gpus =
        of_gpus.flat_map(|(position, gpu)| divided(gpu).into_iter().chain(faults(topology, position)));
    let remarks = shares.remarks.iter().cloned().chain(of_gpus).chain(several_models(topology, chosen));
    Placement::new(topology, gpus, scores, proof, why, remarks.collect())
}

/// Returns the indices of the other GPUs with the same fair NIC as the GPU at a position.
fn sharing(topology: &Topology, own_nics: &[Option<usize>], position: usize) -> Vec<u32> {
    let own = own_nics[position];
    let others = topology.gpus().zip(own_nics).enumerate();
    let same = others.filter(|(other, (_, nic))| *other != position && own.is_some() && **nic == own);
    same.map(|(_, (gpu, _))| gpu.index).collect()
}

fn faults(topology: &Topology, gpu: usize) -> Vec<String> {
    let name = topology.device_name(gpu);
    let told = |fault: &GpuFault| match fault {
        GpuFault::OutOfFabric => {
            format!("{name} is not in its NVLink fabric: NVLinks and CUDA may not work")
        }
        fault => format!("{name}: {fault}"),
    };
    topology.gpu_faults(gpu).iter().map(told).collect()
}

/// Returns the remark on the models of the chosen GPUs, if they differ.
fn several_models(topology: &Topology, chosen: &[usize]) -> Option<String> {
    let all = || topology.gpus().filter_map(|gpu| Some((gpu.index, gpu.model.as_deref()?)));
    let indices: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    let own = |(index, _): &(u32, &str)| chosen.iter().any(|gpu| indices[*gpu] == *index);
    let models = by_model(all().filter(own));
    let avoidable = by_model(all()).iter().any(|(_, gpus)| gpus.len() >= chosen.len());
    let advice = if avoidable { "; the constraint same-model keeps to one" } else { "" };
    (models.len() > 1).then(|| format!("the GPUs are of several models: {}{advice}", listed(&models)))
}

fn explain(
    topology: &Topology,
    chosen: &[usize],
    (candidates, limited): (&[usize], bool),
    (first, value): (&str, Weight),
    proof: Proof,
) -> String {
    let name = |position: usize| topology.device_name(position);
    let count = chosen.len();
    // Those without faults are taken first, so other sets with as many faulty GPUs are ruled out, and no more.
    let is_sound = |gpu: &&usize| topology.gpu_faults(**gpu).is_empty();
    let is_short = (1..count).contains(&candidates.iter().filter(is_sound).count());
    let faults = if is_short { " with as few faulty ones" } else { "" };
    let candidates = candidates.len();
    let (meets, meet) = if limited { (" and meets the request", " and meet the request") } else { ("", "") };
    let Some((a, b, pair)) = worst_pair(topology, chosen) else {
        let only = chosen.first().map_or_else(String::new, |only| name(*only));
        return match candidates {
            1 => format!("{only} is the only GPU there is to choose."),
            _ if matches!(proof, Proof::Bound { .. }) => {
                format!("{only}; the search was stopped before it could rule out a better GPU.")
            }
            _ => format!("{only}: no other of the {candidates} GPUs to choose from is better{meets}."),
        };
    };
    // The search has computed the rings already, which is expensive on large sets.
    let rings = (first == "ring").then(|| value.path()).flatten();
    let carried = value.bandwidth();
    let has = match (count, rings) {
        (2, _) => format!("{} and {} share {}", name(a), name(b), describe(topology, pair)),
        (_, Some(path)) if path <= PathType::Nvl => format!("Rings of NVLink through them carry {carried}"),
        (_, Some(path)) => format!("The ring through them, over {} paths, carries {carried}", path.word()),
        _ => format!("The worst pair, {} and {}, has {}", name(a), name(b), describe(topology, pair)),
    };
    let better = match first {
        "min-pair" => "have a better worst pair",
        "ring" if count > 2 => "carry more",
        _ => &format!("are better by {first}"),
    };
    match proof {
        _ if count == candidates => format!("{has}; all {count} GPUs there are to choose were asked for."),
        Proof::Bound { .. } => {
            format!("{has}; the search was stopped before it could rule out a better set.")
        }
        Proof::Exhaustive { .. } => {
            format!("{has}; no {count} of the {candidates} GPUs to choose from {better}{faults}{meet}.")
        }
    }
}

/// Returns the pair with the least bandwidth, and the worst path among equals; the first of several.
fn worst_pair(topology: &Topology, chosen: &[usize]) -> Option<(usize, usize, Pair)> {
    let pairs = chosen.iter().enumerate().flat_map(|(index, &a)| {
        chosen[index + 1..].iter().map(move |&b| (a, b, topology.pairs().pair(a, b)))
    });
    pairs.min_by_key(|(_, _, pair)| (pair.rate.map(|rate| rate.bandwidth), std::cmp::Reverse(pair.path)))
}

fn describe(topology: &Topology, pair: Pair) -> String {
    let path = match (pair.nvlinks, pair.word(topology.dialect())) {
        (0, None) => "an unknown path".to_owned(),
        (0, Some(word)) => format!("a {word} path"),
        (1, _) => "1 NVLink".to_owned(),
        (count, _) => format!("{count} NVLinks"),
    };
    match pair.rate {
        Some(rate) if rate.basis == Basis::Assumed => format!("{path} (about {}, assumed)", rate.bandwidth),
        Some(rate) => format!("{path} ({})", rate.bandwidth),
        None => path,
    }
}
