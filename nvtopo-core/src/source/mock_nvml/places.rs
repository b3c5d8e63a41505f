//! Where GPUs are, as the mock has it: root complexes, NUMA nodes, CPUs, and the classes of paths that follow from them.

use super::profile::{Level, PcieTopology, RootComplex};
use crate::cpuset::NodeSet;
use crate::ids::PciAddress;
use crate::model::{PathType, Topology, tree};

/// The place of each GPU.
pub(super) struct Places {
    /// The class of all paths, where nothing else is known.
    pub(super) level: Option<PathType>,
    /// The first NUMA node near each GPU.
    pub(super) nodes: Vec<Option<u32>>,
    /// The number of the root complex of each GPU: GPUs that at most one PCIe switch parts share one.
    roots: Vec<usize>,
    cpus: Vec<Option<String>>,
}

impl Places {
    pub(super) fn of(topology: &Topology) -> Self {
        let gpus = topology.gpus().len();
        let devices = &topology.devices()[..gpus];
        let nodes = devices.iter().map(|id| topology.local_nodes(*id).known().and_then(NodeSet::first));
        let cpus = devices.iter().map(|id| topology.local_cpus(*id).known().map(ToString::to_string));
        let mut roots: Vec<usize> = (0..gpus).collect();
        for b in 0..gpus {
            if let Some(a) = (0..b).find(|a| path(topology, *a, b) == Some(PathType::Pix)) {
                roots[b] = roots[a];
            }
        }
        let mut places = Self { level: None, nodes: nodes.collect(), roots, cpus: cpus.collect() };
        if places.nodes.iter().all(Option::is_none) && places.cpus.iter().all(Option::is_none) {
            let mut paths =
                (0..gpus).flat_map(|b| (0..b).map(move |a| (a, b))).map(|(a, b)| path(topology, a, b));
            let first = paths.next().flatten();
            places.level = first.filter(|_| paths.all(|path| path == first));
        }
        places
    }

    /// Returns the class of the path between two GPUs that the mock shows.
    pub(super) fn path(&self, a: usize, b: usize) -> PathType {
        match self.level {
            Some(level) => level,
            None if self.nodes[a] != self.nodes[b] => PathType::Sys,
            None if self.roots[a] == self.roots[b] => PathType::Pix,
            None => PathType::Phb,
        }
    }

    /// Returns the class of all paths in the mock's words, where it is told once.
    pub(super) fn written_level(&self) -> Option<Level> {
        let default_level = match self.level? {
            PathType::Pix => "single",
            PathType::Pxb => "multiple",
            PathType::Phb => "hostbridge",
            PathType::Node => "node",
            _ => "system",
        };
        Some(Level { default_level })
    }

    /// Returns the root complexes in the mock's words.
    pub(super) fn written(&self, addresses: &[PciAddress]) -> Option<PcieTopology> {
        if self.level.is_some() {
            return None;
        }
        let mut root_complexes: Vec<RootComplex> = Vec::new();
        for (gpu, address) in addresses.iter().enumerate() {
            let own = RootComplex {
                id: format!("root{}", self.roots[gpu]),
                numa_node: self.nodes[gpu].map_or(-1, i64::from),
                devices: vec![address.to_string()],
                // The mock makes CPUs up where the text is empty, and reads none from one that is no list.
                cpu_affinity: self.cpus[gpu].clone().unwrap_or_else(|| "unknown".to_owned()),
            };
            let same = |other: &&mut RootComplex| {
                (&other.id, other.numa_node, &other.cpu_affinity)
                    == (&own.id, own.numa_node, &own.cpu_affinity)
            };
            match root_complexes.iter_mut().find(same) {
                Some(known) => known.devices.extend(own.devices),
                None => root_complexes.push(own),
            }
        }
        Some(PcieTopology { root_complexes })
    }
}

/// Returns the class of the path between two GPUs over PCIe and the CPUs.
pub(super) fn path(topology: &Topology, a: usize, b: usize) -> Option<PathType> {
    let (one, other) = (topology.devices()[a], topology.devices()[b]);
    let is_bus = |path: &PathType| (PathType::Pix..=PathType::Sys).contains(path);
    topology.stated_path(one, other).filter(is_bus).or_else(|| tree::path(|id| topology.node(id), one, other))
}
