//! Dies, clusters, books and drawers: the kernel's groups of CPUs besides caches, cores and packages.

use super::cpu::Cpus;
use super::tree::{Names, Syntax, Tree};
use crate::cpuset::CpuSet;
use crate::model::{Cache, Group, GroupKind};

/// The names of each kind's sets, the largest groups first.
const KINDS: [(GroupKind, &[(&str, Syntax)]); 4] = [
    (GroupKind::Drawer, &[("drawer_siblings", Syntax::Mask), ("drawer_siblings_list", Syntax::List)]),
    (GroupKind::Book, &[("book_siblings", Syntax::Mask), ("book_siblings_list", Syntax::List)]),
    (GroupKind::Die, &[("die_cpus", Syntax::Mask), ("die_cpus_list", Syntax::List)]),
    (GroupKind::Cluster, &[("cluster_cpus", Syntax::Mask), ("cluster_cpus_list", Syntax::List)]),
];

/// Returns the groups that are no core, package or cache.
pub(super) fn read(tree: &Tree, cpus: &Cpus, caches: &[Cache]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let Some(first) = cpus.online.first() else { return groups };
    let folder = |cpu: u32| format!("sys/devices/system/cpu/cpu{cpu}/topology");
    let there = tree.names(&folder(first));
    for (kind, names) in KINDS {
        // Kernels have these files for all CPUs or for none.
        if !names.iter().any(|(name, _)| there.iter().any(|known| known == name)) {
            continue;
        }
        let names = Names::new(names);
        let mut seen = CpuSet::new();
        for core in &cpus.cores {
            let Some(&cpu) = core.cpus.first().filter(|cpu| !seen.contains(**cpu)) else { continue };
            let Some(set) = tree.named_set(&folder(cpu), &names).filter(|set| set.contains(cpu)) else {
                continue;
            };
            let set = set.intersection(&cpus.online);
            // A set that overlaps another one of its kind is no group.
            if set.is_disjoint(&seen) && is_new(cpus, caches, &groups, &set) {
                groups.push(Group { kind, cpus: set.clone() });
            }
            seen = seen.union(&set);
        }
    }
    groups
}

/// Returns whether no other object has the same CPUs.
fn is_new(cpus: &Cpus, caches: &[Cache], groups: &[Group], set: &CpuSet) -> bool {
    set.len() > 1
        && *set != cpus.online
        && !cpus.packages.iter().any(|package| package.cpus == *set)
        && !cpus
            .cores
            .iter()
            .any(|core| core.cpus.len() == set.len() && core.cpus.iter().all(|cpu| set.contains(*cpu)))
        && !caches.iter().any(|cache| cache.cpus == *set)
        && !groups.iter().any(|group| group.cpus == *set)
}
