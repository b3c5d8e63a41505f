//! Cores, level 3 caches and packages, as groups of the usable CPUs.

use crate::cpuset::CpuSet;
use crate::model::{Node, NodeId, NodeKind, Topology};
use std::collections::BTreeMap;

/// Groups the usable CPUs by core, near ones together.
pub(in crate::solve) fn cores(
    topology: &Topology,
    usable: &CpuSet,
    remarks: &mut Vec<String>,
) -> Vec<CpuSet> {
    let thread = |node: &Node| match (&node.kind, node.parent) {
        (NodeKind::Pu(pu), Some(core)) if usable.contains(pu.os_index) => Some((core, pu.os_index)),
        _ => None,
    };
    let mut threads: Vec<(NodeId, u32)> = topology.nodes().filter_map(|(_, node)| thread(node)).collect();
    threads.sort_unstable();
    let core = |threads: &[(NodeId, u32)]| threads.iter().map(|(_, cpu)| *cpu).collect();
    let mut cores: Vec<CpuSet> = threads.chunk_by(|a, b| a.0 == b.0).map(core).collect();
    let unknown = usable.difference(&cores.iter().collect());
    if !unknown.is_empty() {
        remarks
            .push("which CPUs are threads of one core is unknown; the usual numbering is assumed".to_owned());
        cores.extend(assumed_cores(topology, &unknown));
    }
    let places = places(topology);
    let place = |cpu: u32| places.get(cpu as usize).copied().unwrap_or_default();
    cores.sort_by_cached_key(|core| core.first().map(|first| (place(first), first)));
    cores
}

/// Returns the number of cores of which only this set has threads, and none of the others. A core with threads in two
/// sets counts for neither.
pub(in crate::solve) fn own_cores<'a>(
    topology: &Topology,
    cpus: &CpuSet,
    others: impl IntoIterator<Item = &'a CpuSet>,
) -> usize {
    let others = others.into_iter().collect::<CpuSet>();
    // The siblings of a core must be included to see that another set has one of them.
    let cores = cores(topology, &cpus.union(&others), &mut Vec::new());
    cores.iter().filter(|core| !core.is_disjoint(cpus) && core.is_disjoint(&others)).count()
}

/// Returns the first usable thread of each core, as its siblings stay idle.
pub(super) fn first_threads(topology: &Topology, usable: &CpuSet) -> CpuSet {
    cores(topology, usable, &mut Vec::new()).iter().filter_map(CpuSet::first).collect()
}

/// Groups the cores by level 3 cache, and returns those under no known cache as the last group. Near ones together.
pub(super) fn complexes(topology: &Topology, cores: &[CpuSet]) -> (Vec<Vec<CpuSet>>, Vec<CpuSet>) {
    let places = places(topology);
    let mut complexes: BTreeMap<(Option<u32>, u32), Vec<CpuSet>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for core in cores {
        let place = core.first().and_then(|first| places.get(first as usize).copied()).unwrap_or_default();
        match place {
            (node, Some(cache)) => complexes.entry((node, cache)).or_default().push(core.clone()),
            _ => unknown.push(core.clone()),
        }
    }
    (complexes.into_values().collect(), unknown)
}

/// Groups the cores by level 3 cache; those under no known cache are a group too.
pub(in crate::solve) fn core_groups(topology: &Topology, cores: &[CpuSet]) -> Vec<Vec<CpuSet>> {
    let (mut groups, unknown) = complexes(topology, cores);
    groups.extend((!unknown.is_empty()).then_some(unknown));
    groups
}

/// Returns the CPUs of each package, by increasing number of the package's node.
pub(in crate::solve) fn packages(topology: &Topology) -> Vec<CpuSet> {
    let mut packages: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
    for (id, node) in topology.nodes() {
        let NodeKind::Pu(pu) = &node.kind else { continue };
        let package =
            topology.ancestors(id).find(|id| matches!(topology.node(*id).kind, NodeKind::Package(_)));
        if let Some(package) = package {
            packages.entry(package).or_default().insert(pu.os_index);
        }
    }
    packages.into_values().collect()
}

/// The number of a CPU's NUMA node, and the first CPU of its level 3 cache.
type CpuPlace = (Option<u32>, Option<u32>);

/// Returns the NUMA node and cache of each CPU, by its number.
pub(super) fn places(topology: &Topology) -> Vec<CpuPlace> {
    let mut places: Vec<CpuPlace> = Vec::new();
    for (_, node) in topology.nodes() {
        let (cpus, learn): (_, &dyn Fn(&mut CpuPlace)) = match &node.kind {
            NodeKind::NumaNode(numa) => (&numa.cpus, &|place| place.0 = Some(numa.os_index)),
            NodeKind::Cache(cache) if cache.level == 3 => {
                (&cache.cpus, &|place| place.1 = cache.cpus.first())
            }
            _ => continue,
        };
        for cpu in cpus.iter().map(|cpu| cpu as usize) {
            if cpu >= places.len() {
                places.resize(cpu + 1, CpuPlace::default());
            }
            learn(&mut places[cpu]);
        }
    }
    places
}

/// Pairs the threads of cores where a device's CPUs are two ranges of one length: Linux usually numbers the second
/// threads of the cores after the first ones.
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
    let paired = cores.iter().collect::<CpuSet>();
    cores.extend(unknown.difference(&paired).iter().map(|cpu| CpuSet::from_iter([cpu])));
    cores
}
