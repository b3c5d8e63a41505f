//! The tree of hwloc's objects with CPUs, from the nodes of a topology: each object inside the smallest one that holds all its
//! CPUs, and memory at the object with the same CPUs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheKind, CoreClass, GroupKind, NodeId, NodeKind, NumaNode, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// The tree; the machine is the first object.
pub(in super::super::super) struct Tree<'a> {
    pub(in super::super::super) objects: Vec<Object<'a>>,
    pub(in super::super::super) memory: Vec<Memory>,
    /// The remarks of whoever built it.
    pub(in super::super::super) remarks: Vec<String>,
    /// The CPUs of each class of cores.
    pub(super) classes: BTreeMap<CoreClass, CpuSet>,
}

/// An object with CPUs.
pub(in super::super::super) struct Object<'a> {
    pub(in super::super::super) kind: Kind<'a>,
    pub(in super::super::super) cpus: CpuSet,
    /// The NUMA nodes attached to it, to what holds it, and to what it holds.
    pub(super) nodes: NodeSet,
    /// By their first CPU.
    pub(in super::super::super) children: Vec<usize>,
    /// The positions of the NUMA nodes attached to it.
    pub(in super::super::super) memory: Vec<usize>,
}

/// The types of objects with CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super::super) enum Kind<'a> {
    Machine,
    Package {
        os_index: u32,
        model: Option<&'a str>,
    },
    Group(GroupKind),
    /// A group that hwloc makes for NUMA nodes whose CPUs are those of no other object.
    MemoryGroup,
    /// The same for PCI devices.
    IoGroup,
    Cache {
        level: u8,
        kind: CacheKind,
        size: Option<u64>,
    },
    Core {
        os_index: u32,
    },
    Pu {
        os_index: u32,
    },
}

/// A NUMA node.
pub(in super::super::super) struct Memory {
    pub(in super::super::super) node: NumaNode,
    /// True where it is the memory of a GPU.
    pub(in super::super::super) of_gpu: bool,
    /// True where it is there only because hwloc demands one.
    pub(super) made_up: bool,
}

impl Kind<'_> {
    /// Returns its place among objects with the same CPUs, from the outermost.
    fn rank(self) -> u8 {
        match self {
            Self::Machine => 0,
            Self::Group(GroupKind::Book | GroupKind::Drawer) => 1,
            Self::Package { .. } => 2,
            Self::Group(_) => 3,
            Self::MemoryGroup | Self::IoGroup => 4,
            Self::Cache { level, kind, .. } => {
                5 + 2 * (16 - level.min(16)) + u8::from(kind == CacheKind::Instruction)
            }
            Self::Core { .. } => 100,
            Self::Pu { .. } => 101,
        }
    }

    /// Returns true where memory and devices can be attached to it.
    fn holds_memory(self) -> bool {
        !matches!(self, Self::Core { .. } | Self::Pu { .. })
    }

    /// Returns true for objects of which one CPU has one at most.
    fn is_same_level(self, other: Self) -> bool {
        match (self, other) {
            (Self::Cache { level, kind, .. }, Self::Cache { level: far, kind: other, .. }) => {
                (level, kind) == (far, other)
            }
            _ => false,
        }
    }
}

impl<'a> Tree<'a> {
    /// Builds the tree, with groups for these places of devices where they need one.
    ///
    /// Errors where no CPU is known: hwloc demands one.
    pub(in super::super::super) fn build(topology: &'a Topology, places: &[&CpuSet]) -> Result<Self> {
        let all = topology.cpus();
        if all.is_empty() {
            let error = Error::new(
                ErrorKind::Unsatisfiable,
                "the topology knows no CPU, and hwloc describes no machine without",
            );
            return Err(
                error.help("add a source that knows the CPUs, such as the text of numactl --hardware")
            );
        }
        let (mut found, classes) = cpu_objects(topology);
        let mut remarks = Vec::new();
        let known: CpuSet = pus(topology).map(|(_, os_index)| os_index).collect();
        let bare = all.difference(&known);
        if !bare.is_empty() {
            remarks.push(format!("the cores of CPUs {bare} are unknown; each CPU stands by itself"));
            found.extend(bare.iter().map(|os_index| (one(os_index), Kind::Pu { os_index })));
        }
        let memory = memory(topology, &all, &mut remarks);
        let mut sets: BTreeSet<CpuSet> =
            found.iter().filter(|(_, kind)| kind.holds_memory()).map(|(cpus, _)| cpus.clone()).collect();
        sets.insert(all.clone());
        let of_nodes = memory.iter().map(|memory| (&memory.node.cpus, Kind::MemoryGroup));
        let of_devices = places.iter().map(|place| (*place, Kind::IoGroup));
        for (cpus, kind) in of_nodes.chain(of_devices).filter(|(cpus, _)| !cpus.is_empty()) {
            if cpus.is_subset(&all) && sets.insert(cpus.clone()) {
                found.push((cpus.clone(), kind));
            }
        }
        let mut tree = Self::nest(all, found, remarks);
        tree.memory = memory;
        tree.classes = classes;
        tree.attach_memory(topology);
        tree.add_nodes(0, &NodeSet::new());
        Ok(tree)
    }

    /// Puts each object into the smallest one that holds all its CPUs. One that crosses another is left out.
    fn nest(all: CpuSet, mut found: Vec<(CpuSet, Kind<'a>)>, mut remarks: Vec<String>) -> Self {
        let machine = Object::new(Kind::Machine, all);
        let mut inner = vec![0; machine.cpus.iter().last().map_or(0, |last| last as usize + 1)];
        let mut objects = vec![machine];
        let mut crossing = 0;
        found.sort_by_cached_key(|(cpus, kind)| {
            let (size, first) = (std::cmp::Reverse(cpus.len()), cpus.first());
            (size, first, kind.rank())
        });
        for (cpus, kind) in found {
            let Some(first) = cpus.first() else { continue };
            let parent = inner[first as usize];
            if cpus.iter().any(|cpu| inner[cpu as usize] != parent) {
                crossing += usize::from(!matches!(kind, Kind::IoGroup));
                continue;
            }
            let above: &Object<'_> = &objects[parent];
            if above.cpus == cpus && above.kind.is_same_level(kind) {
                continue;
            }
            let own = objects.len();
            objects[parent].children.push(own);
            cpus.iter().for_each(|cpu| inner[cpu as usize] = own);
            objects.push(Object::new(kind, cpus));
        }
        if crossing > 0 {
            remarks.push(format!(
                "{crossing} objects share CPUs with others without being part of them, and were left out"
            ));
        }
        let first: Vec<Option<u32>> = objects.iter().map(|object| object.cpus.first()).collect();
        for object in &mut objects {
            object.children.sort_by_key(|child| first[*child]);
        }
        Self { objects, memory: Vec::new(), remarks, classes: BTreeMap::new() }
    }

    /// Returns the outermost object with these CPUs, else the smallest that holds them all.
    pub(super) fn covering(&self, cpus: &CpuSet) -> usize {
        let mut at = 0;
        loop {
            let inside = self.objects[at].children.iter().copied().find(|child| {
                let child = &self.objects[*child];
                child.kind.holds_memory() && cpus.is_subset(&child.cpus)
            });
            match inside {
                Some(child) if self.objects[child].cpus == *cpus => return child,
                Some(child) => at = child,
                None => return at,
            }
        }
    }

    fn attach_memory(&mut self, topology: &Topology) {
        let packages = packages_of_nodes(topology);
        let (with_cpus, without): (Vec<usize>, Vec<usize>) =
            (0..self.memory.len()).partition(|node| !self.memory[*node].node.cpus.is_empty());
        let mut wider = NodeSet::new();
        for node in with_cpus {
            let cpus = &self.memory[node].node.cpus;
            let at = self.covering(cpus);
            if self.objects[at].cpus != *cpus {
                wider.insert(self.memory[node].node.os_index);
            }
            self.objects[at].memory.push(node);
        }
        if !wider.is_empty() {
            self.remarks.push(format!(
                "NUMA nodes {wider} have CPUs that cross other objects, and stand at a larger object"
            ));
        }
        for node in without {
            let own = &self.memory[node];
            let package = packages.get(&own.node.os_index);
            let at = package.map_or(0, |cpus| self.covering(cpus));
            self.objects[at].memory.push(node);
        }
        for object in &mut self.objects {
            object.memory.sort_by_key(|node| self.memory[*node].node.os_index);
        }
    }

    /// Fills in the NUMA nodes of an object and of all that it holds, and returns those within it.
    fn add_nodes(&mut self, at: usize, above: &NodeSet) -> NodeSet {
        let own = self.objects[at].memory.iter().map(|node| self.memory[*node].node.os_index);
        let own: NodeSet = own.collect();
        let from_above = above.union(&own);
        let mut within = own;
        for child in self.objects[at].children.clone() {
            within |= &self.add_nodes(child, &from_above);
        }
        self.objects[at].nodes = within.union(&from_above);
        within
    }
}

impl<'a> Object<'a> {
    fn new(kind: Kind<'a>, cpus: CpuSet) -> Self {
        Self { kind, cpus, nodes: NodeSet::new(), children: Vec::new(), memory: Vec::new() }
    }
}

fn one(cpu: u32) -> CpuSet {
    std::iter::once(cpu).collect()
}

/// Iterates over the PUs.
fn pus(topology: &Topology) -> impl Iterator<Item = (NodeId, u32)> {
    topology.nodes().filter_map(|(id, node)| match &node.kind {
        NodeKind::Pu(pu) => Some((id, pu.os_index)),
        _ => None,
    })
}

/// Returns the packages, groups, caches, cores and PUs with their CPUs, and the CPUs of each class of cores.
fn cpu_objects(topology: &Topology) -> (Vec<(CpuSet, Kind<'_>)>, BTreeMap<CoreClass, CpuSet>) {
    let mut below: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
    let mut found = Vec::new();
    for (id, os_index) in pus(topology) {
        found.push((one(os_index), Kind::Pu { os_index }));
        for above in topology.ancestors(id) {
            if matches!(topology.node(above).kind, NodeKind::Core(_) | NodeKind::Package(_)) {
                below.entry(above).or_default().insert(os_index);
            }
        }
    }
    // Where no PU is known, the NUMA nodes of a package tell its CPUs.
    for (id, node) in topology.nodes() {
        if let NodeKind::NumaNode(numa) = &node.kind {
            let package = topology.ancestors(id).find(|id| is_package(topology, *id));
            if let Some(package) = package {
                *below.entry(package).or_default() |= &numa.cpus;
            }
        }
    }
    let mut classes: BTreeMap<CoreClass, CpuSet> = BTreeMap::new();
    for (id, node) in topology.nodes() {
        let own = below.get(&id).filter(|cpus| !cpus.is_empty());
        let object = match (&node.kind, own) {
            (NodeKind::Package(package), Some(cpus)) => {
                let model = package.model.as_deref();
                (cpus.clone(), Kind::Package { os_index: package.os_index, model })
            }
            (NodeKind::Core(core), Some(cpus)) => {
                core.class.into_iter().for_each(|class| *classes.entry(class).or_default() |= cpus);
                (cpus.clone(), Kind::Core { os_index: core.os_index })
            }
            (NodeKind::Group(group), _) => (group.cpus.clone(), Kind::Group(group.kind)),
            // Instructions have caches of their own up to the third level, and hwloc has five levels.
            (NodeKind::Cache(cache), _)
                if (1..=5).contains(&cache.level)
                    && (cache.kind != CacheKind::Instruction || cache.level <= 3) =>
            {
                (cache.cpus.clone(), Kind::Cache { level: cache.level, kind: cache.kind, size: cache.size })
            }
            _ => continue,
        };
        found.push(object);
    }
    let all = topology.cpus();
    found.retain(|(cpus, _)| cpus.is_subset(&all));
    (found, classes)
}

fn is_package(topology: &Topology, id: NodeId) -> bool {
    matches!(topology.node(id).kind, NodeKind::Package(_))
}

/// Returns the NUMA nodes; where none is known, the whole machine as one, as hwloc demands one.
fn memory(topology: &Topology, all: &CpuSet, remarks: &mut Vec<String>) -> Vec<Memory> {
    let of_gpus: BTreeSet<u32> = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).collect();
    let memory = topology.numa_nodes().map(|node| {
        let of_gpu = node.gpu.is_some() || of_gpus.contains(&node.os_index) && node.cpus.is_empty();
        Memory { node: node.clone(), of_gpu, made_up: false }
    });
    let mut memory: Vec<Memory> = memory.collect();
    if memory.is_empty() {
        let text = "the NUMA nodes are unknown; hwloc demands one, so the whole machine was taken as node 0";
        remarks.push(text.to_owned());
        let node = NumaNode { cpus: all.clone(), ..NumaNode::default() };
        memory.push(Memory { node, of_gpu: false, made_up: true });
    }
    memory
}

/// Returns the CPUs of the package that holds each NUMA node without CPUs.
fn packages_of_nodes(topology: &Topology) -> BTreeMap<u32, CpuSet> {
    let mut packages: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
    for (id, node) in topology.nodes() {
        let cpus = match &node.kind {
            NodeKind::Pu(pu) => one(pu.os_index),
            NodeKind::NumaNode(numa) => numa.cpus.clone(),
            _ => continue,
        };
        if let Some(package) = topology.ancestors(id).find(|id| is_package(topology, *id)) {
            *packages.entry(package).or_default() |= &cpus;
        }
    }
    let nodes = topology.nodes().filter_map(|(id, node)| {
        let numa = node.kind.as_numa_node().filter(|numa| numa.cpus.is_empty())?;
        let package = topology.ancestors(id).find(|id| is_package(topology, *id))?;
        Some((numa.os_index, packages.get(&package)?.clone()))
    });
    nodes.filter(|(_, cpus)| !cpus.is_empty()).collect()
}
