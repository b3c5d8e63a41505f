//! The CPUs to deal out: the usable CPUs, their cores, and those near each GPU.

use super::classes::CoreClasses;
use super::cores::{cores, first_threads};
use super::limits::{CpuLimits, Isolated, Smt};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NumaNode, PathType, Stated, Topology};
use std::collections::BTreeMap;

/// The input of a policy.
pub(super) struct CpuPool<'a> {
    pub(super) topology: &'a Topology,
    /// The CPUs that may be given away.
    pub(super) usable: CpuSet,
    /// The near CPUs, by position of the GPU; empty for one that takes nothing.
    pub(super) near: Vec<CpuSet>,
    /// The usable CPUs by core, near ones together.
    pub(super) cores: Vec<CpuSet>,
    pub(super) classes: CoreClasses,
    /// The GPUs without a usable CPU near them.
    pub(super) strays: Vec<usize>,
    /// The CPUs that are left out because they are isolated.
    pub(super) isolated: CpuSet,
}

impl<'a> CpuPool<'a> {
    /// Collects the usable CPUs. Of the GPUs that are near to no usable CPU, the claimed ones take others.
    pub(super) fn of(
        topology: &'a Topology,
        limits: &CpuLimits,
        smt: Smt,
        claimed: &[usize],
        remarks: &mut Vec<String>,
    ) -> Self {
        let classes = CoreClasses::of(topology);
        let (usable, isolated) = usable_cpus(topology, limits, smt, &classes, remarks);
        let (near, cores_of, strays) = (Vec::new(), Vec::new(), Vec::new());
        let mut pool = Self { topology, usable, near, cores: cores_of, classes, strays, isolated };
        pool.look_around(claimed, remarks);
        pool.cores = cores(topology, &pool.usable, remarks);
        pool
    }

    /// Finds, for each GPU, the usable CPUs that it is nearest to.
    fn look_around(&mut self, claimed: &[usize], remarks: &mut Vec<String>) {
        let topology = self.topology;
        let stated: Vec<Option<CpuSet>> =
            (0..topology.gpus().len()).map(|gpu| local_cpus(topology, gpu)).collect();
        let beside = Beside::of(topology, &stated);
        let (mut unknown, mut concluded) = (Vec::new(), Vec::new());
        // The GPUs, by the isolated CPUs near them.
        let mut isolated: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (gpu, own) in stated.iter().enumerate() {
            let other = || is_elsewhere(topology, gpu).then(CpuSet::new);
            let mut local = own.clone().or_else(other);
            if local.is_none() {
                local = beside.nearer(gpu);
                concluded.extend(local.is_some().then_some(gpu));
            }
            let open = || self.usable.difference(&beside.far(gpu));
            let mut near = local.as_ref().map_or_else(open, |local| local.intersection(&self.usable));
            let left_out = local.as_ref().unwrap_or(&self.isolated).intersection(&self.isolated);
            if claimed.contains(&gpu) && !left_out.is_empty() {
                isolated.entry(left_out.to_string()).or_default().push(gpu);
            }
            match local {
                None => unknown.push(gpu),
                Some(local) if near.is_empty() => {
                    self.strays.push(gpu);
                    if claimed.contains(&gpu) {
                        near = nearest_cpus(topology, &local_nodes(topology, gpu, &local), &self.usable);
                    }
                }
                Some(_) => {}
            }
            self.near.push(near);
        }
        if !concluded.is_empty() {
            let gpus = topology.device_names(&concluded);
            remarks.push(format!(
                "which CPUs are near to {gpus} is not stated; those near to the GPUs of the same NUMA node are taken"
            ));
        }
        let (nowhere, unknown): (Vec<usize>, Vec<usize>) =
            unknown.into_iter().partition(|gpu| self.near[*gpu].is_empty() && !self.usable.is_empty());
        let (partly, unknown): (Vec<usize>, Vec<usize>) =
            unknown.into_iter().partition(|gpu| !beside.far(*gpu).is_empty());
        for (gpus, end) in [
            (unknown, "all are taken to be"),
            (partly, "all are taken to be, but for those near to GPUs of other NUMA nodes"),
            (nowhere, "all that are known are near to GPUs of other NUMA nodes, so none are given"),
        ] {
            if !gpus.is_empty() {
                let gpus = topology.device_names(&gpus);
                remarks.push(format!("which CPUs are near to {gpus} is unknown; {end}"));
            }
        }
        for (cpus, gpus) in isolated {
            let gpus = topology.device_names(&gpus);
            remarks.push(format!(
                "CPUs {cpus} near {gpus} are left out because they are isolated (isolcpus or an isolated cpuset); they are \
                 used only where that is asked for"
            ));
        }
        let told: Vec<usize> = self.strays.iter().copied().filter(|stray| claimed.contains(stray)).collect();
        let (open, told): (Vec<usize>, Vec<usize>) =
            told.into_iter().partition(|gpu| is_elsewhere(topology, *gpu));
        if !told.is_empty() {
            let gpus = topology.device_names(&told);
            let is_off = || topology.cpus().is_subset(&topology.machine().offline_cpus);
            let end = match (self.usable.is_empty(), topology.usable_cpus().is_empty()) {
                (false, _) => "the nearest others are taken",
                (true, false) => "and no others are left: fewer have to be reserved, or more allowed",
                (true, true) if is_off() => "and no others are left: all are offline",
                (true, true) => "and no others are left: more have to be allowed",
            };
            remarks.push(format!("none of the CPUs near {gpus} may be used; {end}"));
        }
        if !open.is_empty() {
            let gpus = topology.device_names(&open);
            remarks
                .push(format!("which CPUs are near {gpus} is unknown; CPUs of other NUMA nodes are taken"));
        }
    }

    /// Returns sets of usable CPUs, the nearest first: the CPUs near a GPU, those of each NUMA node by distance, and at
    /// last all, since some may be of no node.
    pub(super) fn by_distance(&self, gpu: usize) -> Vec<CpuSet> {
        let near = &self.near[gpu];
        let near_nodes = local_nodes(self.topology, gpu, near);
        let mut nodes: Vec<&NumaNode> = self.topology.numa_nodes().collect();
        nodes.sort_by_key(|numa| (distance(self.topology, &near_nodes, numa.os_index), numa.os_index));
        let sets =
            std::iter::once(near).chain(nodes.into_iter().map(|numa| &numa.cpus)).chain([&self.usable]);
        sets.map(|cpus| cpus.intersection(&self.usable)).collect()
    }
}

/// The CPUs near to GPUs of which no source states them, derived from their paths to GPUs of which one does.
struct Beside<'a> {
    topology: &'a Topology,
    stated: Vec<(usize, &'a CpuSet)>,
    /// True if `SYS` separates NUMA nodes: some drivers print it for GPUs of one node.
    divides: bool,
}

impl<'a> Beside<'a> {
    fn of(topology: &'a Topology, stated: &'a [Option<CpuSet>]) -> Self {
        let all = stated.iter().enumerate().filter_map(|(gpu, cpus)| Some((gpu, cpus.as_ref()?)));
        let mut beside = Self { topology, stated: all.collect(), divides: true };
        let known = beside.stated.iter().enumerate();
        beside.divides = beside.stated.len() == stated.len()
            || !known.into_iter().any(|(index, (a, cpus))| {
                let others = &beside.stated[index + 1..];
                let alike = |(b, other): &(usize, &CpuSet)| {
                    !cpus.is_disjoint(other) && beside.path(*a, *b) == Some(PathType::Sys)
                };
                others.iter().any(alike)
            });
        beside
    }

    fn path(&self, a: usize, b: usize) -> Option<PathType> {
        let devices = self.topology.devices();
        self.topology.host_path(devices[a], devices[b])
    }

    /// Returns the CPUs of the GPUs that share a NUMA node with this one, if they are the same for all of these.
    fn nearer(&self, gpu: usize) -> Option<CpuSet> {
        let inside =
            |path| matches!(path, Some(PathType::Pix | PathType::Pxb | PathType::Phb | PathType::Node));
        let mut sets =
            self.stated.iter().filter(|(other, _)| inside(self.path(gpu, *other))).map(|(_, cpus)| *cpus);
        let first = sets.next()?;
        sets.all(|set| set == first).then(|| first.clone())
    }

    /// Returns the CPUs of GPUs that are on other NUMA nodes than this one.
    fn far(&self, gpu: usize) -> CpuSet {
        let apart = |other: usize| self.divides && self.path(gpu, other) == Some(PathType::Sys);
        self.stated.iter().filter(|(other, _)| apart(*other)).map(|(_, cpus)| *cpus).collect()
    }
}

/// Returns the CPUs that a job may use by the limits of its request, whatever its processes are bound to: that differs between the
/// ranks of a job, which must all choose the same GPUs.
pub(in crate::solve) fn usable_by_all(topology: &Topology, limits: &CpuLimits) -> CpuSet {
    let limits = CpuLimits { allowed: None, ..limits.clone() };
    usable_cpus(topology, &limits, Smt::All, &CoreClasses::of(topology), &mut Vec::new()).0
}

/// Returns the CPUs that may be given away, and those left out because they are isolated. Isolated CPUs are kept back,
/// unless there are no others: then they are meant for this use.
fn usable_cpus(
    topology: &Topology,
    limits: &CpuLimits,
    smt: Smt,
    classes: &CoreClasses,
    remarks: &mut Vec<String>,
) -> (CpuSet, CpuSet) {
    let machine = topology.machine();
    if !limits.reserved.is_empty() && topology.lists_all_cpus() {
        let all = topology.cpus().union(&machine.offline_cpus);
        let strange = limits.reserved.difference(&all);
        let told = || format!("CPUs {strange} are reserved, and not there: this machine has CPUs {all}");
        remarks.extend((!strange.is_empty()).then(told));
    }
    let mut usable = topology.usable_cpus().difference(&limits.reserved);
    limits.allowed.iter().for_each(|allowed| usable &= allowed);
    let mut isolated = CpuSet::new();
    if limits.isolated == Isolated::Avoid {
        let scheduled = usable.difference(&machine.isolated_cpus);
        if !scheduled.is_empty() {
            isolated = usable.intersection(&machine.isolated_cpus);
            usable = scheduled;
        }
    }
    match classes.choose(limits.cores, &usable) {
        Some(chosen) => usable = chosen,
        None => remarks.push("no cores are known to be faster than others; all are used".to_owned()),
    }
    let usable = match smt {
        Smt::All => usable,
        Smt::One => first_threads(topology, &usable),
    };
    (usable, isolated)
}

/// Returns the CPUs nearest to a GPU, usable or not; `None` where they are unknown.
fn local_cpus(topology: &Topology, gpu: usize) -> Option<CpuSet> {
    let device = topology.devices()[gpu];
    if let Stated::Known(cpus) = topology.local_cpus(device)
        && !cpus.is_empty()
    {
        return Some(cpus);
    }
    // A node without CPUs cannot run a process: the nearest nodes with CPUs replace it.
    let nodes = topology.local_nodes(device).known().cloned()?;
    let any = topology.cpus();
    let measured =
        topology.numa_nodes().any(|numa| nodes.contains(numa.os_index) && !numa.distances.is_empty());
    (measured && !nodes.is_empty())
        .then(|| nearest_cpus(topology, &nodes, &any))
        .filter(|cpus| !cpus.is_empty())
}

/// Tells whether all known CPUs are near to other nodes than the GPU's, whose own CPUs could not be read.
fn is_elsewhere(topology: &Topology, gpu: usize) -> bool {
    let device = topology.devices()[gpu];
    let Stated::Known(nodes) = topology.local_nodes(device) else { return false };
    let has_cpus = |numa: &NumaNode| !numa.cpus.is_empty();
    topology.local_cpus(device) == Stated::Unreadable
        && topology.numa_nodes().any(has_cpus)
        && !topology.numa_nodes().any(|numa| nodes.contains(numa.os_index) && has_cpus(numa))
}

/// Returns the nodes that a GPU is on: the stated ones, else those of its CPUs.
pub(super) fn local_nodes(topology: &Topology, gpu: usize, local: &CpuSet) -> NodeSet {
    if let Stated::Known(nodes) = topology.local_nodes(topology.devices()[gpu]) {
        return nodes;
    }
    topology.nodes_of_cpus(local)
}

/// Returns the least distance from one of the nodes.
pub(super) fn distance(topology: &Topology, from: &NodeSet, to: u32) -> u32 {
    let nodes = topology.numa_nodes().filter(|numa| from.contains(numa.os_index));
    let distances = nodes.flat_map(|numa| &numa.distances);
    distances.filter(|(node, _)| *node == to).map(|(_, distance)| *distance).min().unwrap_or(u32::MAX)
}

/// Returns the usable CPUs of the nodes at the least distance; all, where no distance is known.
fn nearest_cpus(topology: &Topology, from: &NodeSet, usable: &CpuSet) -> CpuSet {
    let reachable = || topology.numa_nodes().filter(|numa| !numa.cpus.is_disjoint(usable));
    let least = reachable().map(|numa| distance(topology, from, numa.os_index)).min();
    let nearest = reachable().filter(|numa| Some(distance(topology, from, numa.os_index)) == least);
    let cpus = nearest.fold(CpuSet::new(), |all, numa| all.union(&numa.cpus.intersection(usable)));
    if least.is_none_or(|least| least == u32::MAX) { usable.clone() } else { cpus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_told_by_the_distance_of_their_nodes() {
        let dgx = Topology::preset("dgx-a100").unwrap();
        let pool = CpuPool::of(&dgx, &CpuLimits::default(), Smt::default(), &[], &mut Vec::new());
        let sets = pool.by_distance(7);
        let of_package = |nodes: std::ops::Range<u32>| {
            let own = dgx.numa_nodes().filter(|node| nodes.contains(&node.os_index));
            own.map(|node| &node.cpus).collect::<CpuSet>()
        };
        let (first, second) = (of_package(0..4), of_package(4..8));
        assert_eq!((sets.len(), &sets[0]), (10, &pool.near[7]));
        assert!(sets[1..4].iter().all(|set| set.is_subset(&second)), "{sets:?}");
        assert!(sets[4..8].iter().all(|set| set.is_subset(&first)), "{sets:?}");
        assert_eq!(sets[9], pool.usable);
    }
}
