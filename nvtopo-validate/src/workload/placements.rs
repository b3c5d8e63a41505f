//! The two placements that are compared: the best one, and one that is poor on purpose.

use crate::plan::Step;
use nvtopo::solve::VisibleDevice;
use nvtopo::{CpuSet, Error, NodeSet, Part, Request, Result, Topology, VisibleGpus};

/// The most sets of GPUs that are tried; beyond, the poor set grows from the worst pair.
const MOST_SETS: usize = 200_000;

/// The part of a placement that is poor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Poor {
    /// The GPUs: those with the slowest paths between each other.
    Gpus,
    /// The CPUs and memory: those of the NUMA node farthest from the GPUs.
    Cpus,
    /// Both, as far as the machine allows.
    #[default]
    Both,
}

/// Two placements of as many GPUs and CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placements {
    /// The best placement: GPUs by the request's objectives, CPUs and memory beside them.
    pub best: Step,
    /// The poor one.
    pub poor: Step,
}

impl Placements {
    /// Places as many GPUs as asked for, well and poorly. `visible` are the GPUs that this process sees, `allowed` the CPUs that
    /// it may use.
    ///
    /// Errors with [`Unsatisfiable`](nvtopo::ErrorKind::Unsatisfiable) where the machine has too few GPUs, and where all its
    /// placements are alike in what is to be poor.
    ///
    /// ```
    /// use nvtopo_validate::workload::{Placements, Poor};
    ///
    /// let dgx = nvtopo::Topology::preset("dgx-1-v100")?;
    /// let own = Placements::new(&dgx, 2, Poor::Both, None, None)?;
    /// assert_eq!(own.name(&dgx, true), "GPUs 0,3 on CPUs 0-19,40-59");
    /// assert!(own.name(&dgx, false).ends_with("on CPUs 20-39,60-79"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn new(
        topology: &Topology,
        gpus: usize,
        poor: Poor,
        visible: Option<&VisibleGpus>,
        allowed: Option<&CpuSet>,
    ) -> Result<Self> {
        let mut request = Request::gpus(gpus);
        if let Some(visible) = visible {
            request = request.visible(visible);
        }
        if let Some(allowed) = allowed {
            request = request.allowed_cpus(allowed.clone());
        }
        let placement = request.solve(topology)?;
        let best: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
        let candidates: Vec<usize> = crate::device::gpus(topology, visible).0;
        let worst = match poor {
            Poor::Cpus => best.clone(),
            _ => worst(topology, &candidates, gpus).unwrap_or_else(|| best.clone()),
        };
        // Among equal sets nothing is poor.
        let worst = if sum(topology, &worst) == sum(topology, &best) { best.clone() } else { worst };
        let everything = topology.cpus();
        let allowed = allowed.unwrap_or(&everything);
        let mut near = near(topology, &best, allowed);
        let mut cpus = match poor {
            Poor::Gpus => self::near(topology, &worst, allowed),
            _ => far(topology, &worst, allowed).unwrap_or_else(|| self::near(topology, &worst, allowed)),
        };
        if worst == best && near.0 == cpus.0 {
            let what = match poor {
                Poor::Gpus => "the GPUs that can be chosen are alike",
                Poor::Cpus => "no allowed CPU is far from the GPUs",
                Poor::Both => "the GPUs that can be chosen are alike, and no allowed CPU is far from them",
            };
            return Err(Error::unsatisfiable(format!("there is no poor placement to compare with: {what}")));
        }
        // More CPUs alone would make one of the two better.
        let count = near.0.len().min(cpus.0.len());
        for own in [&mut near.0, &mut cpus.0] {
            *own = own.iter().take(count).collect();
        }
        Ok(Self { best: step(topology, &best, near), poor: step(topology, &worst, cpus) })
    }

    /// Returns the GPUs and CPUs of the best placement, or of the poor one.
    pub fn name(&self, topology: &Topology, best: bool) -> String {
        let part = if best { &self.best.part } else { &self.poor.part };
        let gpus = crate::figure::group_name(topology, &part.gpus);
        if part.cpus.is_empty() { gpus } else { format!("{gpus} on CPUs {}", part.cpus) }
    }
}

fn step(topology: &Topology, gpus: &[usize], (cpus, mems): (CpuSet, NodeSet)) -> Step {
    let devices = gpus.iter().map(|gpu| VisibleDevice { gpu: *gpu, instance: None }).collect();
    let visible = VisibleGpus { devices, same_for_all: true, ..VisibleGpus::default() };
    let environment = visible.cuda_environment(topology).unwrap_or_default();
    let part = Part { gpus: gpus.to_vec(), cpus, mems, ..Part::default() };
    Step { arguments: Vec::new(), environment, part }
}

/// The CPUs and memory nearest to some GPUs.
fn near(topology: &Topology, gpus: &[usize], allowed: &CpuSet) -> (CpuSet, NodeSet) {
    let (mut cpus, mut mems) = (CpuSet::new(), NodeSet::new());
    for gpu in gpus {
        let id = topology.devices()[*gpu];
        topology.local_cpus(id).known().into_iter().for_each(|own| cpus |= own);
        topology.local_nodes(id).known().into_iter().for_each(|own| mems |= own);
    }
    (cpus.intersection(allowed), mems)
}

/// The allowed CPUs of the NUMA node that is far from the most of some GPUs, and of these the farthest one. `None`: no node is far
/// from any of them, or nothing is known of them.
fn far(topology: &Topology, gpus: &[usize], allowed: &CpuSet) -> Option<(CpuSet, NodeSet)> {
    let ids = || gpus.iter().map(|gpu| topology.devices()[*gpu]);
    let value = |node: &nvtopo::model::NumaNode| {
        let is_far = |id| topology.local_cpus(id).known().is_some_and(|own| own.is_disjoint(&node.cpus));
        let distance = |id| {
            let own = topology.local_nodes(id);
            let known = node
                .distances
                .iter()
                .filter(|(other, _)| own.known().is_some_and(|own| own.contains(*other)));
            known.map(|(_, distance)| *distance).min().unwrap_or_default()
        };
        let far = ids().filter(|id| is_far(*id)).count();
        (far > 0).then(|| (far, ids().map(distance).fold(0, u32::saturating_add), node.os_index))
    };
    let nodes = topology.numa_nodes().filter_map(|node| {
        let cpus = node.cpus.intersection(allowed);
        Some((value(node).filter(|_| !cpus.is_empty())?, cpus))
    });
    let ((.., node), cpus) = nodes.max_by_key(|(value, _)| *value)?;
    Some((cpus, [node].into_iter().collect()))
}

/// The slowest pair of a set and the sum of all its pairs, in MB/s. `None`: a rate is unknown.
fn sum(topology: &Topology, gpus: &[usize]) -> Option<(u64, u64)> {
    let (mut least, mut sum) = (u64::MAX, 0_u64);
    for (place, a) in gpus.iter().enumerate() {
        for b in &gpus[place + 1..] {
            let rate = topology.pairs().pair(*a, *b).rate?.bandwidth.as_mb_per_s();
            (least, sum) = (least.min(rate), sum.saturating_add(rate));
        }
    }
    Some((least, sum))
}

/// The set whose slowest pair is slowest, and of these the one with the least sum; the last of equal ones, which is far from
/// where good sets begin.
fn worst(topology: &Topology, candidates: &[usize], count: usize) -> Option<Vec<usize>> {
    if count == 0 || count > candidates.len() {
        return None;
    }
    let mut set: Vec<usize> = (0..count).collect();
    let mut found: Option<((u64, u64), Vec<usize>)> = None;
    for _ in 0..MOST_SETS {
        let own: Vec<usize> = set.iter().map(|place| candidates[*place]).collect();
        if let Some(value) = sum(topology, &own)
            && found.as_ref().is_none_or(|(least, _)| value <= *least)
        {
            found = Some((value, own));
        }
        // The next set in lexical order.
        let Some(at) = (0..count).rev().find(|at| set[*at] < candidates.len() - count + at) else {
            return found.map(|(_, set)| set);
        };
        set[at] += 1;
        for later in at + 1..count {
            set[later] = set[later - 1] + 1;
        }
    }
    Some(grown(topology, candidates, count).unwrap_or(found?.1))
}

/// A poor set of a machine with too many: it grows by the GPU with the slowest paths to it.
fn grown(topology: &Topology, candidates: &[usize], count: usize) -> Option<Vec<usize>> {
    let pairs = || {
        candidates.iter().flat_map(|a| candidates.iter().filter(move |b| a < *b).map(move |b| vec![*a, *b]))
    };
    let mut set = pairs().filter_map(|pair| Some((sum(topology, &pair)?, pair))).min()?.1;
    while set.len() < count {
        let with = |gpu: &usize| [&set[..], &[*gpu]].concat();
        let others = candidates.iter().filter(|gpu| !set.contains(gpu)).map(with);
        set = others.filter_map(|set| Some((sum(topology, &set)?, set))).min()?.1;
    }
    set.truncate(count);
    set.sort_unstable();
    Some(set)
}
