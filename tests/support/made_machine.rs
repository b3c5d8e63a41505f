//! Random machines for properties: nodes of several sizes, with memory only or crowded with GPUs, with or without
//! siblings, caches, packages, and GPUs of which nobody knows where they are.

use nvtopo::model::{
    Cache, CacheKind, Core, Fragment, Gpu, NodeId, NumaNode, Package, Provenance, Pu, Stated, TopologyBuilder,
};
use nvtopo::{CpuSet, PciAddress, Topology};
use proptest::prelude::*;

/// A machine before it is built. NUMA nodes with CPUs come first, those with memory only after them.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Cores of each node with CPUs.
    pub(crate) cores: Vec<u32>,
    /// GPUs on each of them.
    pub(crate) gpus: Vec<usize>,
    pub(crate) threads: u32,
    /// True where siblings are numbered next to each other, and not as core + N.
    pub(crate) siblings_adjacent: bool,
    /// Cores under each level 3 cache; 0: no cache is known.
    pub(crate) complex: usize,
    pub(crate) nodes_per_package: usize,
    /// GPUs on the one node that has memory only; 0: there is no such node.
    pub(crate) gpus_on_memory: usize,
    pub(crate) unknown_gpus: usize,
}

/// A machine of NUMA nodes with so many cores of one thread each, and so many GPUs.
pub(crate) fn nodes(cores: &[u32], gpus: &[usize]) -> Made {
    Made {
        cores: cores.to_vec(),
        gpus: gpus.to_vec(),
        threads: 1,
        siblings_adjacent: false,
        complex: 0,
        nodes_per_package: 1,
        gpus_on_memory: 0,
        unknown_gpus: 0,
    }
}

pub(crate) fn made() -> impl Strategy<Value = Made> {
    let nodes = (1usize..=4).prop_flat_map(|nodes| {
        (prop::collection::vec(1u32..=9, nodes), prop::collection::vec(0usize..=4, nodes))
    });
    (
        nodes,
        1u32..=2,
        any::<bool>(),
        0usize..=4,
        1usize..=2,
        0usize..=2,
        prop_oneof![3 => Just(0usize), 1 => 1usize..=2],
    )
        .prop_map(
            |(
                (cores, gpus),
                threads,
                siblings_adjacent,
                complex,
                nodes_per_package,
                gpus_on_memory,
                unknown_gpus,
            )| {
                Made {
                    cores,
                    gpus,
                    threads,
                    siblings_adjacent,
                    complex,
                    nodes_per_package,
                    gpus_on_memory,
                    unknown_gpus,
                }
            },
        )
}

impl Made {
    /// The cores that have a usable thread, with these threads only.
    pub(crate) fn usable_cores(&self, usable: &CpuSet) -> Vec<CpuSet> {
        let all = (0..self.cores.len()).flat_map(|node| self.cores_of(node));
        all.map(|core| core.intersection(usable)).filter(|core| !core.is_empty()).collect()
    }

    /// The CPUs of each core of a node.
    pub(crate) fn cores_of(&self, node: usize) -> Vec<CpuSet> {
        let before: u32 = self.cores[..node].iter().sum();
        let total: u32 = self.cores.iter().sum();
        let number = |core: u32, thread: u32| {
            if self.siblings_adjacent { core * self.threads + thread } else { core + thread * total }
        };
        let threads = |core: u32| (0..self.threads).map(move |thread| number(core, thread)).collect();
        (before..before + self.cores[node]).map(threads).collect()
    }

    pub(crate) fn cpus_of(&self, node: usize) -> CpuSet {
        union(&self.cores_of(node))
    }

    /// The place of each GPU: its node by number, that of memory only being one past the last; `None` where nobody knows.
    pub(crate) fn homes(&self) -> Vec<Option<usize>> {
        let near = self.gpus.iter().enumerate().flat_map(|(node, count)| vec![Some(node); *count]);
        let far = vec![Some(self.cores.len()); self.gpus_on_memory];
        near.chain(far).chain(vec![None; self.unknown_gpus]).collect()
    }

    /// The kernel's distance from a node to one with CPUs.
    pub(crate) fn distance(&self, from: usize, to: usize) -> u32 {
        match (from, to) {
            _ if from == to => 10,
            // Memory of a GPU, beside the last node.
            _ if from.max(to) == self.cores.len() => 40 + 10 * (self.cores.len() - from.min(to)) as u32,
            _ if from / self.nodes_per_package == to / self.nodes_per_package => 12,
            _ => 32,
        }
    }

    /// The CPUs nearest to a GPU that may be used: those of its node, else those of the nodes at the least distance.
    pub(crate) fn near(&self, home: Option<usize>, usable: &CpuSet) -> CpuSet {
        let Some(home) = home else { return usable.clone() };
        let with = |node: &usize| !self.cpus_of(*node).is_disjoint(usable);
        let least = (0..self.cores.len()).filter(with).map(|node| self.distance(home, node)).min();
        let nearest = (0..self.cores.len()).filter(|node| Some(self.distance(home, *node)) == least);
        union(&nearest.map(|node| self.cpus_of(node)).collect::<Vec<_>>()).intersection(usable)
    }

    pub(crate) fn topology(&self) -> Topology {
        TopologyBuilder::new().with(self.fragment()).build().unwrap()
    }

    pub(crate) fn fragment(&self) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Preset);
        let count = self.cores.len() + usize::from(self.gpus_on_memory > 0);
        let distances =
            |from: usize| (0..count).map(|to| (to as u32, self.distance(from, to))).collect::<Vec<_>>();
        let mut homes = Vec::new();
        let mut package = NodeId::MACHINE;
        for node in 0..self.cores.len() {
            if node % self.nodes_per_package == 0 {
                let os_index = (node / self.nodes_per_package) as u32;
                package = fragment.add(NodeId::MACHINE, Package::new(os_index));
            }
            let numa = fact!(
                NumaNode::new(node as u32),
                cpus = self.cpus_of(node),
                memory = Some(1 << 30),
                distances = distances(node)
            );
            let numa = fragment.add(package, numa);
            for (number, core) in self.cores_of(node).iter().enumerate() {
                let core_node = Core::new(number as u32);
                let id = fragment.add(numa, core_node);
                for cpu in core.iter() {
                    fragment.add(id, Pu::new(cpu));
                }
            }
            for cores in self.cores_of(node).chunks(self.complex.max(1)).filter(|_| self.complex > 0) {
                let cache = Cache::new(3, CacheKind::Unified, union(cores));
                fragment.add(numa, cache);
            }
            homes.push(numa);
        }
        if self.gpus_on_memory > 0 {
            let os_index = self.cores.len() as u32;
            let distances = distances(self.cores.len());
            let numa = fact!(NumaNode::new(os_index), memory = Some(1 << 30), distances = distances);
            homes.push(fragment.add(NodeId::MACHINE, numa));
        }
        for (index, home) in (0..).zip(self.homes()) {
            let address: Option<PciAddress> = format!("0000:{:02x}:00.0", index + 1).parse().ok();
            let mut gpu = fact!(Gpu::new(index), address = address);
            if home.is_none() {
                gpu.nodes = Stated::NotAvailable;
            }
            let parent = home.map_or(NodeId::MACHINE, |home| homes[home]);
            fragment.add(parent, gpu);
        }
        fragment
    }
}

pub(crate) fn union(sets: &[CpuSet]) -> CpuSet {
    sets.iter().fold(CpuSet::new(), |all, set| all.union(set))
}

/// True for a policy that answers as another binder does, and so promises less: only its own cases say what.
pub(crate) fn is_anothers(policy: nvtopo::CpuPolicy) -> bool {
    ["hwloc", "kubelet", "torchrun"].iter().any(|other| policy.name().starts_with(other))
}
