//! Boards for tests.

use nvtopo::Topology;
use nvtopo::model::{
    Cache, CacheKind, Core, Fragment, Gpu, NodeId, NodeKind, NumaNode, Package, Provenance, Pu,
    TopologyBuilder, rates,
};
use nvtopo::{CpuSet, NodeSet};

/// The parts of a board. CPUs are numbered as usual: first threads of all cores, then second ones.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) packages: u32,
    /// In each package.
    pub(crate) nodes: u32,
    /// In each node.
    pub(crate) cores: u32,
    pub(crate) threads: u32,
    /// The cores that share a level 3 cache; 0: nobody tells of caches.
    pub(crate) cache: u32,
    /// The node of each GPU.
    pub(crate) gpus: Vec<Option<u32>>,
    /// Pairs of GPUs.
    pub(crate) links: Vec<(usize, usize)>,
    /// Bytes of each node.
    pub(crate) memory: Option<u64>,
}

impl Board {
    pub(crate) fn topology(&self) -> Topology {
        let mut made = Fragment::new(Provenance::Preset);
        let root = NodeId::MACHINE;
        let mut numa = Vec::new();
        let nodes = self.packages * self.nodes;
        for package in 0..self.packages {
            let kind = NodeKind::Package(Package::new(package));
            let package_id = made.add(root, kind);
            for node in package * self.nodes..(package + 1) * self.nodes {
                let cpu = |core: u32, thread: u32| thread * nodes * self.cores + node * self.cores + core;
                let all =
                    (0..self.cores).flat_map(|core| (0..self.threads).map(move |thread| cpu(core, thread)));
                let mut own = NumaNode::new(node);
                own.cpus = all.collect::<CpuSet>();
                own.memory = self.memory;
                own.distances =
                    (0..nodes).map(|other| (other, if other == node { 10 } else { 20 })).collect();
                let id = made.add(package_id, own);
                numa.push(id);
                let mut under = id;
                for core in 0..self.cores {
                    if self.cache > 0 && core.is_multiple_of(self.cache) {
                        let cores = core..self.cores.min(core + self.cache);
                        let own =
                            cores.flat_map(|core| (0..self.threads).map(move |thread| cpu(core, thread)));
                        let cache = Cache::new(3, CacheKind::Unified, own.collect());
                        under = made.add(id, cache);
                    }
                    let place = made.add(under, Core::new(cpu(core, 0)));
                    for thread in 0..self.threads {
                        made.add(place, Pu::new(cpu(core, thread)));
                    }
                }
            }
        }
        let mut gpus = Vec::new();
        for (index, node) in self.gpus.iter().enumerate() {
            let nodes = node.map(|node| NodeSet::from_iter([node]));
            let mut gpu = Gpu::new(index as u32);
            gpu.nodes = nodes.map_or(nvtopo::model::Stated::Unstated, nvtopo::model::Stated::Known);
            let parent = node.map_or(root, |node| numa[node as usize]);
            gpus.push(made.add(parent, gpu));
        }
        for (a, b) in &self.links {
            made.link(gpus[*a], gpus[*b], rates::nvlink(3, 12));
        }
        TopologyBuilder::new().with(made).build().unwrap()
    }

    /// Four NUMA nodes with a GPU each, of which two and two are linked.
    pub(crate) fn linked_across_nodes() -> Self {
        Self {
            packages: 2,
            nodes: 2,
            cores: 16,
            threads: 2,
            cache: 0,
            gpus: vec![Some(0), Some(1), Some(2), Some(3)],
            links: vec![(0, 1), (2, 3)],
            memory: Some(64 << 30),
        }
    }

    /// Two packages of four linked GPUs each, all linked, as H100 servers have them.
    pub(crate) fn two_of_four() -> Self {
        let pairs = (0..8).flat_map(|a| (a + 1..8).map(move |b| (a, b)));
        Self {
            packages: 2,
            nodes: 1,
            cores: 48,
            threads: 2,
            cache: 0,
            gpus: (0..8).map(|gpu| Some(gpu / 4)).collect(),
            links: pairs.collect(),
            memory: Some(1 << 40),
        }
    }
}
