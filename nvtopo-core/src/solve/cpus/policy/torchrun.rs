//! The CPUs that torchrun's `--numa-binding` gives each rank where it sees all GPUs of the machine, in its four modes.
//!
//! As in torchrun, a GPU of unknown node is on node 0, and complexes are dealt out in turn, so that GPUs may share one.
//! Where torchrun fails, the CPUs near the GPU are taken, with a remark.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::model::{CacheKind, NodeKind, Topology};
use crate::solve::cpus::cores::{cores, packages};
use crate::solve::cpus::pool::CpuPool;
use std::cmp::Reverse;
use std::collections::BTreeMap;

pub(super) const NODE: CpuPolicy = CpuPolicy::new(
    "torchrun-node",
    "as torchrun --numa-binding=node: the CPUs of the GPU's NUMA node",
    |pool, remarks| deal(pool, remarks, |pool, node, _, _| cpus_of(pool, node)),
)
.shared();

pub(super) const SOCKET: CpuPolicy = CpuPolicy::new(
    "torchrun-socket",
    "as torchrun --numa-binding=socket: the CPUs of all NUMA nodes of the GPU's package",
    |pool, remarks| deal(pool, remarks, |pool, node, _, _| of_socket(pool, node)),
)
.shared();

pub(super) const EXCLUSIVE: CpuPolicy = CpuPolicy::new(
    "torchrun-exclusive",
    "as torchrun --numa-binding=exclusive: the cores of the NUMA node divided by its GPUs",
    |pool, remarks| deal(pool, remarks, exclusive),
);

pub(super) const CORE_COMPLEX: CpuPolicy = CpuPolicy::new(
    "torchrun-core-complex",
    "as torchrun --numa-binding=core-complex: one last-level cache each, the largest first, in turn",
    |pool, remarks| deal(pool, remarks, core_complex),
)
.shared();

/// A mode: returns the CPUs of a GPU on a node, given its rank among the GPUs there and their number.
type Mode = fn(&CpuPool<'_>, u32, usize, usize) -> CpuSet;

fn deal(pool: &CpuPool<'_>, remarks: &mut Vec<String>, mode: Mode) -> Vec<CpuSet> {
    let nodes: Vec<u32> = (0..pool.near.len()).map(|gpu| node_of(pool.topology, gpu)).collect();
    let of = |gpu: usize| {
        let there = |gpus: &[u32]| gpus.iter().filter(|node| **node == nodes[gpu]).count();
        mode(pool, nodes[gpu], there(&nodes[..gpu]), there(&nodes))
    };
    let mut shares: Vec<CpuSet> = (0..nodes.len()).map(of).collect();
    for (gpu, share) in shares.iter_mut().enumerate().filter(|(_, share)| share.is_empty()) {
        // The GPU of another job may have no usable CPU near it.
        if !pool.near[gpu].is_empty() {
            let name = pool.topology.device_name(gpu);
            remarks.push(format!(
                "torchrun gives up on {name}; the CPUs near it are taken, and GPUs may share CPUs"
            ));
            share.clone_from(&pool.near[gpu]);
        }
    }
    shares
}

fn node_of(topology: &Topology, gpu: usize) -> u32 {
    topology.local_nodes(topology.devices()[gpu]).known().and_then(crate::cpuset::NodeSet::first).unwrap_or(0)
}

fn cpus_of(pool: &CpuPool<'_>, node: u32) -> CpuSet {
    let numa = pool.topology.numa_nodes().find(|numa| numa.os_index == node);
    numa.map(|numa| numa.cpus.intersection(&pool.usable)).unwrap_or_default()
}

fn of_socket(pool: &CpuPool<'_>, node: u32) -> CpuSet {
    let first = cpus_of(pool, node).first();
    let holds = |package: &CpuSet, first: Option<u32>| first.is_some_and(|first| package.contains(first));
    let packages = packages(pool.topology);
    let Some(place) = packages.iter().find(|package| holds(package, first)) else { return CpuSet::new() };
    let nodes = pool.topology.numa_nodes().map(|numa| cpus_of(pool, numa.os_index));
    nodes.filter(|cpus| holds(place, cpus.first())).fold(CpuSet::new(), |all, cpus| all.union(&cpus))
}

fn exclusive(pool: &CpuPool<'_>, node: u32, place: usize, gpus: usize) -> CpuSet {
    let cpus = cpus_of(pool, node);
    // The siblings that are not usable count for the order of the cores.
    let mut cores = cores(pool.topology, &pool.topology.cpus(), &mut Vec::new());
    cores.retain(|core| !core.is_disjoint(&cpus));
    cores.sort_by_key(CpuSet::first);
    let (each, more) = (cores.len() / gpus, cores.len() % gpus);
    if each == 0 {
        return CpuSet::new();
    }
    let first = place * each + place.min(more);
    let own = &cores[first..first + each + usize::from(place < more)];
    own.iter().collect::<CpuSet>().intersection(&cpus)
}

fn core_complex(pool: &CpuPool<'_>, node: u32, place: usize, _: usize) -> CpuSet {
    let mut complexes: BTreeMap<u32, CpuSet> = BTreeMap::new();
    for cpu in cpus_of(pool, node).iter() {
        complexes.entry(cache_of(pool.topology, cpu)).or_default().insert(cpu);
    }
    let mut complexes: Vec<(u32, CpuSet)> = complexes.into_iter().collect();
    complexes.sort_by_key(|(first, cpus)| (Reverse(cpus.len()), *first));
    if complexes.is_empty() { CpuSet::new() } else { complexes.swap_remove(place % complexes.len()).1 }
}

/// Returns the lowest CPU under a CPU's last-level cache, usable or not.
fn cache_of(topology: &Topology, cpu: u32) -> u32 {
    let caches = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::Cache(cache) if cache.kind != CacheKind::Instruction && cache.cpus.contains(cpu) => {
            Some(cache)
        }
        _ => None,
    });
    caches.max_by_key(|cache| cache.level).and_then(|cache| cache.cpus.first()).unwrap_or(cpu)
}
