//! Nodes of packages, NUMA nodes, caches, cores and PUs.

use super::super::common;
use super::summary::Facts;
use crate::cpuset::CpuSet;
use crate::model::{
    Cache, CacheKind, Core, Fragment, NodeId, NodeKind, NumaNode, Package, Provenance, Pu, Stated,
};
use std::collections::BTreeMap;

/// The processors of a machine.
#[derive(Default)]
pub(super) struct Cpus {
    pub(super) online: CpuSet,
    pub(super) offline: CpuSet,
    pub(super) packages: BTreeMap<u32, CpuSet>,
    /// Empty: memory only, or unknown.
    pub(super) nodes: BTreeMap<u32, CpuSet>,
    /// By the tool's name, such as `L1d`, and its number.
    pub(super) caches: BTreeMap<(String, u32), CpuSet>,
    /// Sorted by their first CPU.
    pub(super) cores: Vec<CoreOf>,
}

pub(super) struct CoreOf {
    pub(super) os_index: Option<u32>,
    pub(super) cpus: Vec<u32>,
    /// False for a CPU of which the core is unknown.
    pub(super) known: bool,
}

/// Builds the fragment.
pub(super) fn fragment(mut cpus: Cpus, facts: &Facts) -> Fragment {
    let mut fragment = Fragment::new(Provenance::SystemTool);
    fragment.set_nvlink_unknown();
    for (node, own) in &facts.nodes {
        let own = own.as_ref().map(|own| own.intersection(&cpus.online));
        cpus.nodes.entry(*node).or_insert(own.unwrap_or_default());
    }
    let machine = fragment.machine();
    machine.offline_cpus = cpus.offline.union(&facts.offline).difference(&cpus.online);
    machine.cpu.architecture.clone_from(&facts.architecture);
    if let Some(hypervisor) = &facts.hypervisor {
        machine.hypervisor = Stated::Known(hypervisor.clone());
    }
    let packages: Vec<(NodeId, &CpuSet)> = cpus
        .packages
        .iter()
        .map(|(os_index, own)| {
            let model = facts.model.clone();
            let mut package = Package::new(*os_index);
            package.model = model;
            (fragment.add(NodeId::MACHINE, package), own)
        })
        .collect();
    let holder = |own: &CpuSet| {
        let found = packages.iter().find(|(_, package)| !own.is_empty() && own.is_subset(package));
        found.map_or(NodeId::MACHINE, |(id, _)| *id)
    };
    let mut with_cpus = Vec::new();
    for (os_index, own) in &cpus.nodes {
        let mut node = NumaNode::new(*os_index);
        node.cpus.clone_from(own);
        let id = fragment.add(holder(own), node);
        let is_unknown = facts.nodes.get(os_index).is_some_and(Option::is_none);
        if !own.is_empty() || is_unknown {
            with_cpus.push(id);
        }
    }
    common::link_numa_nodes(&mut fragment, &with_cpus, facts.model.as_deref());
    for ((name, _), own) in &cpus.caches {
        if let Some((level, kind)) = cache(name) {
            let mut cache = Cache::new(level, kind, own.clone());
            cache.size = facts.caches.get(name).copied();
            fragment.add(holder(own), cache);
        }
    }
    let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
    for core in &cpus.cores {
        let own: CpuSet = core.cpus.iter().copied().collect();
        let mut parent = holder(&own);
        if core.known {
            let position = counts.entry(parent).or_default();
            let core = Core::new(core.os_index.unwrap_or(*position));
            *position += 1;
            parent = fragment.add(parent, core);
        }
        for &cpu in &core.cpus {
            fragment.add(parent, NodeKind::Pu(Pu::new(cpu)));
        }
    }
    fragment
}

/// Reads the name of a cache: `L1d`, `L2`.
pub(super) fn cache(name: &str) -> Option<(u8, CacheKind)> {
    let rest = name.strip_prefix('L')?;
    let (level, kind) = match rest.as_bytes() {
        [level] => (level, CacheKind::Unified),
        [level, b'd'] => (level, CacheKind::Data),
        [level, b'i'] => (level, CacheKind::Instruction),
        _ => return None,
    };
    (b'1'..=b'9').contains(level).then(|| (level - b'0', kind))
}
