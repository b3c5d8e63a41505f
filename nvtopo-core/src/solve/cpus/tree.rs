//! The tree of packages, groups, caches, cores and PUs as hwloc builds it, in hwloc's order.
//!
//! hwloc orders objects by their complete sets: by the CPUs that they have, usable or not. So an object does not move
//! when a cpuset takes its first CPU away.

use super::distances::groups;
use crate::cpuset::CpuSet;
use crate::model::{NodeKind, Provenance, Topology};
use std::collections::BTreeMap;

/// An object of the tree: its CPUs and its children.
pub(super) struct Object {
    /// Its usable CPUs.
    pub(super) cpus: CpuSet,
    pub(super) children: Vec<Object>,
}

impl Object {
    /// Appends the usable CPUs in the order of the tree.
    pub(super) fn leaves(&self, order: &mut Vec<u32>) {
        if self.children.is_empty() {
            order.extend(self.cpus.iter());
        }
        self.children.iter().for_each(|child| child.leaves(order));
    }

    /// Inserts a set below the smallest object that contains it.
    fn insert(&mut self, cpus: CpuSet) {
        if cpus == self.cpus {
            return;
        }
        if let Some(child) = self.children.iter_mut().find(|child| cpus.is_subset(&child.cpus)) {
            return child.insert(cpus);
        }
        // A set that cuts through another object is no part of the tree.
        if self.children.iter().all(|child| child.cpus.is_disjoint(&cpus)) {
            self.children.push(Self { cpus, children: Vec::new() });
        }
    }

    fn sort(&mut self, order: &impl Fn(&CpuSet) -> usize) {
        self.children.sort_by_cached_key(|child| order(&child.cpus));
        self.children.iter_mut().for_each(|child| child.sort(order));
    }

    /// Removes the CPUs that are not usable, and objects without usable ones.
    fn restrict(&mut self, usable: &CpuSet) {
        self.cpus = self.cpus.intersection(usable);
        self.children.retain_mut(|child| {
            child.restrict(usable);
            !child.cpus.is_empty()
        });
    }
}

/// Builds the tree of the usable CPUs, ordered by all that are online.
///
/// CPUs that are left out for another reason than the machine's limits are treated as absent, as with the option
/// `--restrict` of hwloc's tools.
pub(super) fn tree(topology: &Topology, usable: &CpuSet) -> Object {
    let complete = topology.cpus().difference(&topology.machine().offline_cpus);
    let complete = if *usable == topology.usable_cpus() { complete } else { usable.clone() };
    let mut sets: Vec<CpuSet> = sets(topology).iter().map(|set| set.intersection(&complete)).collect();
    sets.retain(|set| !set.is_empty());
    sets.sort_by_cached_key(|set| (std::cmp::Reverse(set.len()), set.first()));
    let mut root = Object { cpus: complete, children: Vec::new() };
    for set in sets {
        root.insert(set);
    }
    match order_of_file(topology) {
        // The file does not tell the complete sets by which hwloc ordered it.
        Some(places) => root.sort(&|cpus| {
            cpus.iter().filter_map(|cpu| places.get(&cpu)).min().copied().unwrap_or(usize::MAX)
        }),
        None => root.sort(&|cpus| cpus.first().map_or(usize::MAX, |cpu| cpu as usize)),
    }
    root.restrict(usable);
    root
}

/// Returns the place of each CPU in the file, where hwloc wrote it.
fn order_of_file(topology: &Topology) -> Option<BTreeMap<u32, usize>> {
    let mut places = BTreeMap::new();
    for (_, node) in topology.nodes() {
        if let NodeKind::Pu(pu) = &node.kind {
            if node.provenance != Provenance::Hwloc {
                return None;
            }
            places.insert(pu.os_index, places.len());
        }
    }
    Some(places)
}

/// Returns the sets of all objects that hwloc forms.
fn sets(topology: &Topology) -> Vec<CpuSet> {
    let mut above: BTreeMap<_, CpuSet> = BTreeMap::new();
    let mut sets: Vec<CpuSet> = Vec::new();
    for (id, node) in topology.nodes() {
        match &node.kind {
            NodeKind::NumaNode(numa) => sets.push(numa.cpus.clone()),
            NodeKind::Cache(cache) => sets.push(cache.cpus.clone()),
            NodeKind::Group(group) => sets.push(group.cpus.clone()),
            NodeKind::Pu(pu) => {
                let own = topology
                    .ancestors(id)
                    .filter(|id| matches!(topology.node(*id).kind, NodeKind::Core(_) | NodeKind::Package(_)));
                for object in own {
                    above.entry(object).or_default().insert(pu.os_index);
                }
                sets.push(CpuSet::from_iter([pu.os_index]));
            }
            _ => {}
        }
    }
    sets.extend(above.into_values());
    sets.extend(groups(topology));
    sets
}

/// Returns `count` sets of the usable CPUs. Where there are more sets than CPUs, some are equal.
pub(super) fn distribute(topology: &Topology, usable: &CpuSet, count: usize) -> Vec<CpuSet> {
    let mut sets = Vec::with_capacity(count);
    if !usable.is_empty() {
        divide(&[tree(topology, usable)], count, &mut sets);
    }
    sets
}

/// Returns the CPUs of the machine that may be used, in the order of its tree, in which hwloc and Open MPI count them:
/// that of all online CPUs, so that it does not change where a cpuset allows some of them only.
pub fn logical_cpus(topology: &Topology) -> Vec<u32> {
    let mut order = Vec::new();
    tree(topology, &topology.usable_cpus()).leaves(&mut order);
    order
}

/// Adds `count` sets of these objects.
fn divide(objects: &[Object], count: usize, sets: &mut Vec<CpuSet>) {
    let total: usize = objects.iter().map(|object| object.cpus.len()).sum();
    // The number of sets of the objects before a CPU, rounded up: an object never gets less for coming later.
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
