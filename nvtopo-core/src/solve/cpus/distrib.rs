//! CPUs divided along the tree of the machine, as `hwloc-distrib` divides them: each object passes on a number of sets
//! that is proportional to its CPUs.

use super::tree::{Object, tree};
use crate::cpuset::CpuSet;
use crate::model::Topology;

/// So many sets of the usable CPUs. Where there are more sets than CPUs, some are alike.
pub(super) fn distribute(topology: &Topology, usable: &CpuSet, count: usize) -> Vec<CpuSet> {
    let mut sets = Vec::with_capacity(count);
    if !usable.is_empty() {
        divide(&[tree(topology, usable)], count, &mut sets);
    }
    sets
}

/// The CPUs of the machine that may be used, in the order of its tree, in which hwloc and Open MPI count them: that of all
/// CPUs which are switched on, so that it does not change where a cpuset allows some of them only.
pub fn logical_cpus(topology: &Topology) -> Vec<u32> {
    let mut usable = topology.cpus().difference(&topology.machine().offline_cpus);
    if let Some(allowed) = &topology.machine().allowed_cpus {
        usable = usable.intersection(allowed);
    }
    let mut order = Vec::new();
    tree(topology, &usable).leaves(&mut order);
    order
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
