//! The share of each GPU in the CPUs near it.
//!
//! Shares are cut over all GPUs of the machine, not over those of one job, so that two jobs never overlap. Whole
//! cores are dealt out first; where there are fewer cores than GPUs, hardware threads; where there are fewer of
//! these too, the GPUs share. A GPU is near to the CPUs that a source names, else to those of its NUMA node, else to
//! all.

use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeKind, NumaNode, Share, Shares, Topology};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// Which CPUs may be given away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuLimits {
    /// Only these, besides what the topology itself allows. `None`: no further limit.
    pub allowed: Option<CpuSet>,
    /// These are kept for others.
    pub reserved: CpuSet,
}

/// Deals the CPUs out to the GPUs.
///
/// ```
/// use nvtopo::{CpuLimits, Topology, share_cpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let shares = share_cpus(&dgx, &CpuLimits::default());
/// assert_eq!(shares.gpus[0].cpus.to_string(), "0-13,112-125");
/// assert_eq!(shares.gpus[0].mems.to_string(), "0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[doc(alias = "hwloc_distrib")]
pub fn share_cpus(topology: &Topology, limits: &CpuLimits) -> Shares {
    shares(topology, limits, &every_gpu(topology)).into_owned()
}

/// The shares as a job sees them that runs on its `own` GPUs, one of several on the `claimed` ones.
///
/// A process that was bound to the share of its GPUs keeps it, instead of cutting it once more. GPUs whose near CPUs
/// are all forbidden take from others only where they are claimed: a job elsewhere on the machine has no part here.
pub(super) fn shares_of<'a>(
    topology: &'a Topology,
    limits: &CpuLimits,
    own: &[usize],
    claimed: &[usize],
) -> Cow<'a, Shares> {
    let Some(allowed) = &limits.allowed else {
        return shares(topology, limits, claimed);
    };
    let unlimited = CpuLimits { allowed: None, reserved: limits.reserved.clone() };
    let whole = shares(topology, &unlimited, claimed);
    let bound = own.iter().fold(CpuSet::new(), |all, gpu| all.union(&whole.gpus[*gpu].cpus));
    if !own.is_empty() && bound == *allowed { whole } else { shares(topology, limits, claimed) }
}

/// The shares; those without limits, which most placements ask for, are dealt out once.
fn shares<'a>(topology: &'a Topology, limits: &CpuLimits, claimed: &[usize]) -> Cow<'a, Shares> {
    if *limits == CpuLimits::default() {
        let all = topology.share_cell().get_or_init(|| deal_out(topology, limits, &every_gpu(topology)));
        if all.strays.iter().all(|stray| claimed.contains(stray)) {
            return Cow::Borrowed(all);
        }
    }
    Cow::Owned(deal_out(topology, limits, claimed))
}

fn every_gpu(topology: &Topology) -> Vec<usize> {
    (0..topology.gpus().len()).collect()
}

fn deal_out(topology: &Topology, limits: &CpuLimits, claimed: &[usize]) -> Shares {
    let mut remarks = Vec::new();
    let usable = usable_cpus(topology, limits);
    let (near, strays) = near_cpus(topology, &usable, claimed, &mut remarks);
    let cores = cores(topology, &usable, &mut remarks);
    let mut gpus = vec![Share::default(); near.len()];
    for group in overlapping(&near) {
        let cpus = deal(&group, &near, &cores).unwrap_or_else(|| {
            let gpus = names(topology, &group);
            remarks.push(format!("{gpus} share CPUs: there are fewer than one for each"));
            group.iter().map(|&gpu| near[gpu].clone()).collect()
        });
        for (gpu, cpus) in group.into_iter().zip(cpus) {
            gpus[gpu] = Share { mems: memory_nodes(topology, gpu, &cpus), cpus };
        }
    }
    Shares { gpus, strays, remarks }
}

fn usable_cpus(topology: &Topology, limits: &CpuLimits) -> CpuSet {
    let machine = topology.machine();
    let mut usable = topology.cpus().difference(&machine.offline_cpus);
    for allowed in [&machine.allowed_cpus, &limits.allowed].into_iter().flatten() {
        usable = usable.intersection(allowed);
    }
    usable.difference(&limits.reserved)
}

/// For each GPU the usable CPUs that it is nearest to, and the GPUs that are near to none. Of these only the claimed
/// ones get others.
fn near_cpus(
    topology: &Topology,
    usable: &CpuSet,
    claimed: &[usize],
    remarks: &mut Vec<String>,
) -> (Vec<CpuSet>, Vec<usize>) {
    let (mut unknown, mut strays) = (Vec::new(), Vec::new());
    let mut near_to = |gpu: usize| {
        let local = topology.local_cpus(topology.devices()[gpu]);
        let Some(local) = local.known().filter(|cpus| !cpus.is_empty()) else {
            unknown.push(gpu);
            return usable.clone();
        };
        let near = local.intersection(usable);
        if !near.is_empty() {
            return near;
        }
        strays.push(gpu);
        if claimed.contains(&gpu) { nearest_cpus(topology, gpu, local, usable) } else { near }
    };
    let near = (0..topology.gpus().len()).map(&mut near_to).collect();
    if !unknown.is_empty() {
        let gpus = names(topology, &unknown);
        remarks.push(format!("which CPUs are near to {gpus} is unknown; all are taken to be"));
    }
    let told: Vec<usize> = strays.iter().copied().filter(|stray| claimed.contains(stray)).collect();
    if !told.is_empty() {
        let gpus = names(topology, &told);
        remarks.push(format!("none of the CPUs near {gpus} may be used; the nearest others are taken"));
    }
    (near, strays)
}

fn names(topology: &Topology, gpus: &[usize]) -> String {
    gpus.iter().map(|gpu| topology.device_name(*gpu)).collect::<Vec<_>>().join(", ")
}

/// The usable CPUs of the node at the least distance from a GPU whose own may not be used.
fn nearest_cpus(topology: &Topology, gpu: usize, local: &CpuSet, usable: &CpuSet) -> CpuSet {
    let stated = topology.local_nodes(topology.devices()[gpu]);
    let is_home = |numa: &NumaNode| match stated.known() {
        Some(nodes) => nodes.contains(numa.os_index),
        None => !numa.cpus.is_disjoint(local),
    };
    let distance = |node: u32| {
        let distances = topology.numa_nodes().filter(|numa| is_home(numa)).flat_map(|numa| &numa.distances);
        distances.filter(|(to, _)| *to == node).map(|(_, distance)| *distance).min().unwrap_or(u32::MAX)
    };
    let reachable = topology.numa_nodes().filter(|numa| !numa.cpus.is_disjoint(usable));
    let nearest = reachable.min_by_key(|numa| (distance(numa.os_index), numa.os_index));
    nearest.map_or_else(|| usable.clone(), |numa| numa.cpus.intersection(usable))
}

/// The usable CPUs by core, near ones together.
fn cores(topology: &Topology, usable: &CpuSet, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let mut cores: BTreeMap<_, CpuSet> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        if let (NodeKind::Pu(pu), Some(core)) = (&node.kind, node.parent)
            && usable.contains(pu.os_index)
        {
            cores.entry(core).or_default().insert(pu.os_index);
        }
    }
    let known = cores.values().fold(CpuSet::new(), |known, core| known.union(core));
    let mut cores: Vec<CpuSet> = cores.into_values().collect();
    let unknown = usable.difference(&known);
    if !unknown.is_empty() {
        remarks
            .push("which CPUs are threads of one core is unknown; the usual numbering is assumed".to_owned());
        cores.extend(assumed_cores(topology, &unknown));
    }
    let homes = homes(topology);
    let home = |cpu: u32| homes.get(cpu as usize).copied().unwrap_or_default();
    cores.sort_by_cached_key(|core| core.first().map(|first| (home(first), first)));
    cores
}

/// The number of a CPU's NUMA node, and the first CPU of its level 3 cache.
type Home = (Option<u32>, Option<u32>);

/// The home of each CPU, by its number.
fn homes(topology: &Topology) -> Vec<Home> {
    let mut homes: Vec<Home> = Vec::new();
    for (_, node) in topology.nodes() {
        let (cpus, learn): (_, &dyn Fn(&mut Home)) = match &node.kind {
            NodeKind::NumaNode(numa) => (&numa.cpus, &|home| home.0 = Some(numa.os_index)),
            NodeKind::Cache(cache) if cache.level == 3 => (&cache.cpus, &|home| home.1 = cache.cpus.first()),
            _ => continue,
        };
        for cpu in cpus.iter().map(|cpu| cpu as usize) {
            if cpu >= homes.len() {
                homes.resize(cpu + 1, Home::default());
            }
            learn(&mut homes[cpu]);
        }
    }
    homes
}

/// Where a device's CPUs are two ranges of one length, Linux usually numbers the second threads of the cores after
/// the first ones.
fn assumed_cores(topology: &Topology, unknown: &CpuSet) -> Vec<CpuSet> {
    let mut rest = unknown.clone();
    let mut cores = Vec::new();
    for device in topology.devices() {
        let Some(cpus) = topology.local_cpus(*device).known().cloned() else { continue };
        let all: Vec<u32> = cpus.iter().collect();
        let (low, high) = all.split_at(all.len() / 2);
        let range = |half: &[u32]| half.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let two = low.len() == high.len() && range(low) && range(high) && low.last() < high.first();
        let apart = low.last().zip(high.first()).is_some_and(|(low, high)| low + 1 < *high);
        if two && apart {
            for (a, b) in low.iter().zip(high).filter(|(a, b)| rest.contains(**a) && rest.contains(**b)) {
                cores.push(CpuSet::from_iter([*a, *b]));
            }
            rest = rest.difference(&cpus);
        }
    }
    let paired = cores.iter().fold(CpuSet::new(), |paired, core: &CpuSet| paired.union(core));
    cores.extend(unknown.difference(&paired).iter().map(|cpu| CpuSet::from_iter([cpu])));
    cores
}

/// Groups of GPUs whose CPUs overlap, directly or through others. A GPU without CPUs is in none.
fn overlapping(near: &[CpuSet]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(CpuSet, Vec<usize>)> = Vec::new();
    for (gpu, cpus) in near.iter().enumerate().filter(|(_, cpus)| !cpus.is_empty()) {
        let (touching, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(all, _)| !all.is_disjoint(cpus));
        let mut merged = (cpus.clone(), vec![gpu]);
        for (all, gpus) in touching {
            merged = (merged.0.union(&all), [gpus, merged.1].concat());
        }
        groups = others;
        groups.push(merged);
    }
    let sorted = |mut gpus: Vec<usize>| {
        gpus.sort_unstable();
        gpus
    };
    groups.into_iter().map(|(_, gpus)| sorted(gpus)).collect()
}

/// Disjoint shares by cores, or by hardware threads where there are too few cores; `None` where these are too few.
fn deal(group: &[usize], near: &[CpuSet], cores: &[CpuSet]) -> Option<Vec<CpuSet>> {
    let all = group.iter().fold(CpuSet::new(), |all, &gpu| all.union(&near[gpu]));
    let cores: Vec<CpuSet> =
        cores.iter().map(|core| core.intersection(&all)).filter(|core| !core.is_empty()).collect();
    deal_atoms(group, near, &cores).or_else(|| {
        let threads = cores.iter().flat_map(CpuSet::iter).map(|cpu| CpuSet::from_iter([cpu]));
        deal_atoms(group, near, &threads.collect::<Vec<_>>())
    })
}

/// Deals out atoms so that the counts are as equal as they can be, each GPU's atoms next to each other.
fn deal_atoms(group: &[usize], near: &[CpuSet], atoms: &[CpuSet]) -> Option<Vec<CpuSet>> {
    // Atoms of one class are near to the same GPUs.
    let mut classes: BTreeMap<Vec<usize>, Vec<&CpuSet>> = BTreeMap::new();
    for atom in atoms {
        let takers = (0..group.len()).filter(|&taker| !near[group[taker]].is_disjoint(atom)).collect();
        classes.entry(takers).or_default().push(atom);
    }
    let takers: Vec<&Vec<usize>> = classes.keys().collect();
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let counts = balance(group.len(), &takers, &sizes);
    let mut shares = vec![CpuSet::new(); group.len()];
    for ((takers, atoms), counts) in classes.iter().zip(&counts) {
        let mut atoms = atoms.iter();
        for &taker in takers {
            for atom in atoms.by_ref().take(counts[taker]) {
                // An atom may reach beyond the CPUs near its taker where affinities cut through cores.
                shares[taker] = shares[taker].union(&atom.intersection(&near[group[taker]]));
            }
        }
    }
    shares.iter().all(|share| !share.is_empty()).then_some(shares)
}

/// How many atoms of each class each taker gets, such that no sequence of exchanges makes the totals more equal.
fn balance(count: usize, takers: &[&Vec<usize>], sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; count]; takers.len()];
    let mut totals = vec![0; count];
    for (class, (takers, size)) in takers.iter().zip(sizes).enumerate() {
        for _ in 0..*size {
            let Some(&least) = takers.iter().min_by_key(|&&taker| (totals[taker], taker)) else { break };
            counts[class][least] += 1;
            totals[least] += 1;
        }
    }
    while let Some(steps) = improving_path(&counts, &totals, takers) {
        for (class, from, to) in steps {
            counts[class][from] -= 1;
            counts[class][to] += 1;
            totals[from] -= 1;
            totals[to] += 1;
        }
    }
    counts
}

/// A sequence of single exchanges from a taker to one that has at least two less.
fn improving_path(
    counts: &[Vec<usize>],
    totals: &[usize],
    takers: &[&Vec<usize>],
) -> Option<Vec<(usize, usize, usize)>> {
    for start in 0..totals.len() {
        let mut came: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            if totals[from] + 2 <= totals[start] {
                let mut steps = Vec::new();
                let mut to = from;
                while let Some(&(class, before)) = came.get(&to).filter(|_| to != start) {
                    steps.push((class, before, to));
                    to = before;
                }
                return Some(steps);
            }
            for (class, takers) in takers.iter().enumerate().filter(|(class, _)| counts[*class][from] > 0) {
                for &to in takers.iter().filter(|&&to| to != start) {
                    came.entry(to).or_insert_with(|| {
                        queue.push_back(to);
                        (class, from)
                    });
                }
            }
        }
    }
    None
}

/// Cuts a share into equal parts: whole cores where there are enough, else hardware threads; shared where there are too
/// few of these too.
pub(super) fn cut(topology: &Topology, cpus: &CpuSet, parts: usize) -> Vec<CpuSet> {
    let cores = cores(topology, cpus, &mut Vec::new());
    let near = vec![cpus.clone(); parts];
    let group: Vec<usize> = (0..parts).collect();
    deal(&group, &near, &cores).unwrap_or(near)
}

/// The nodes with memory beside these CPUs; the GPU's own nodes where the CPUs' are unknown.
fn memory_nodes(topology: &Topology, gpu: usize, cpus: &CpuSet) -> NodeSet {
    let allowed = topology.machine().allowed_nodes.as_ref();
    let may = |node: u32| allowed.is_none_or(|allowed| allowed.contains(node));
    let with_memory = topology.numa_nodes().filter(|numa| numa.memory != Some(0) && numa.gpu.is_none());
    let beside: NodeSet = with_memory
        .filter(|numa| !numa.cpus.is_disjoint(cpus) && may(numa.os_index))
        .map(|numa| numa.os_index)
        .collect();
    if !beside.is_empty() {
        return beside;
    }
    // A text names the nodes of GPU memory beside the CPU's. The kernel numbers these after all of the CPUs'.
    let first_of_gpus = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).min();
    let of_cpus = |node: u32| first_of_gpus.is_none_or(|first| node < first);
    let stated = topology.local_nodes(topology.devices()[gpu]);
    let nodes = stated.known().into_iter().flat_map(NodeSet::iter);
    nodes.filter(|node| may(*node) && of_cpus(*node)).collect()
}
