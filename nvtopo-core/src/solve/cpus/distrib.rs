//! CPUs divided along the tree of the machine, as `hwloc-distrib` divides them: each object passes on a number of sets
//! that is proportional to its CPUs.

use crate::cpuset::CpuSet;
use crate::model::{NodeKind, Topology};
use std::collections::BTreeMap;

/// So many sets of the usable CPUs. Where there are more sets than CPUs, some are alike.
pub(super) fn distribute(topology: &Topology, usable: &CpuSet, count: usize) -> Vec<CpuSet> {
    let mut sets = Vec::with_capacity(count);
    if !usable.is_empty() {
        divide(&[tree(topology, usable)], count, &mut sets);
    }
    sets
}

/// The CPUs of the machine that may be used, in the order of its tree, in which hwloc and Open MPI count them.
pub fn logical_cpus(topology: &Topology) -> Vec<u32> {
    fn walk(object: &Object, order: &mut Vec<u32>) {
        if object.children.is_empty() {
            order.extend(object.cpus.iter());
        }
        object.children.iter().for_each(|child| walk(child, order));
    }
    let mut usable = topology.cpus().difference(&topology.machine().offline_cpus);
    if let Some(allowed) = &topology.machine().allowed_cpus {
        usable = usable.intersection(allowed);
    }
    let mut order = Vec::new();
    walk(&tree(topology, &usable), &mut order);
    order
}

/// CPUs that belong together, and what they consist of.
struct Object {
    cpus: CpuSet,
    children: Vec<Object>,
}

impl Object {
    /// Puts a set below the smallest object that contains it.
    fn insert(&mut self, cpus: CpuSet) {
        if cpus == self.cpus {
            return;
        }
        if let Some(child) = self.children.iter_mut().find(|child| cpus.is_subset(&child.cpus)) {
            return child.insert(cpus);
        }
        // What cuts through another object is no part of the tree.
        if self.children.iter().all(|child| child.cpus.is_disjoint(&cpus)) {
            self.children.push(Self { cpus, children: Vec::new() });
        }
    }

    fn sort(&mut self) {
        self.children.sort_by_key(|child| child.cpus.first());
        self.children.iter_mut().for_each(Self::sort);
    }
}

/// Packages, NUMA nodes, caches, cores and PUs by what contains what.
fn tree(topology: &Topology, usable: &CpuSet) -> Object {
    let mut groups: BTreeMap<_, CpuSet> = BTreeMap::new();
    let mut sets: Vec<CpuSet> = Vec::new();
    for (id, node) in topology.nodes() {
        match &node.kind {
            NodeKind::NumaNode(numa) => sets.push(numa.cpus.clone()),
            NodeKind::Cache(cache) => sets.push(cache.cpus.clone()),
            NodeKind::Pu(pu) => {
                let above = topology
                    .ancestors(id)
                    .filter(|id| matches!(topology.node(*id).kind, NodeKind::Core(_) | NodeKind::Package(_)));
                for group in above {
                    groups.entry(group).or_default().insert(pu.os_index);
                }
                sets.push(CpuSet::from_iter([pu.os_index]));
            }
            _ => {}
        }
    }
    sets.extend(groups.into_values());
    let mut sets: Vec<CpuSet> = sets.iter().map(|set| set.intersection(usable)).collect();
    sets.retain(|set| !set.is_empty());
    sets.sort_by_cached_key(|set| (std::cmp::Reverse(set.len()), set.first()));
    let mut root = Object { cpus: usable.clone(), children: Vec::new() };
    for set in sets {
        root.insert(set);
    }
    root.sort();
    root
}

/// Adds `count` sets of these objects.
fn divide(objects: &[Object], count: usize, sets: &mut Vec<CpuSet>) {
    let total: usize = objects.iter().map(|object| object.cpus.len()).sum();
    // What the objects before a CPU get, rounded up: an object never gets less for coming later.
    let before = |cpus: usize| (cpus * count).div_ceil(total.max(1));
    let mut weight = 0;
    for object in objects {
        let chunk = before(weight + object.cpus.len()) - before(weight);
        weight += object.cpus.len();
        if chunk > 1 && !object.children.is_empty() {
            divide(&object.children, chunk, sets);
        } else if chunk > 0 {
            sets.extend(std::iter::repeat_n(object.cpus.clone(), chunk));
        } else if let Some(last) = sets.last_mut() {
            *last = last.union(&object.cpus);
        }
    }
}
