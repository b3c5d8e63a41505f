//! Classes of cores: the groups of equal cores, and remarks on isolated ones.

use super::cores::cores;
use super::limits::Cores;
use crate::cpuset::CpuSet;
use crate::model::{CoreClass, NodeKind, Topology};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The class of each CPU's core.
#[derive(Clone, Debug, Default)]
pub(in crate::solve) struct CoreClasses(BTreeMap<CoreClass, CpuSet>);

impl CoreClasses {
    /// Returns the classes of a machine; none where its cores are alike.
    pub(in crate::solve) fn of(topology: &Topology) -> Self {
        let mut classes: BTreeMap<CoreClass, CpuSet> = BTreeMap::new();
        for (_, node) in topology.nodes() {
            if let (NodeKind::Pu(pu), Some(parent)) = (&node.kind, node.parent)
                && let NodeKind::Core(core) = &topology.node(parent).kind
                && let Some(class) = core.class
            {
                classes.entry(class).or_default().insert(pu.os_index);
            }
        }
        Self(classes)
    }

    /// Returns the classes of a machine that has no more than their CPUs.
    #[cfg(test)]
    pub(super) fn of_sets(sets: impl IntoIterator<Item = (CoreClass, CpuSet)>) -> Self {
        Self(sets.into_iter().collect())
    }

    /// Groups sets of CPUs by the classes that they hold, the fastest first, each in the order given.
    pub(super) fn divide<'a>(&self, sets: &'a [CpuSet]) -> Vec<Cow<'a, [CpuSet]>> {
        if self.0.len() < 2 {
            return vec![sets.into()];
        }
        let mut kinds: BTreeMap<Reverse<BTreeSet<CoreClass>>, Vec<CpuSet>> = BTreeMap::new();
        for set in sets {
            let classes = self.0.iter().filter(|(_, cpus)| !cpus.is_disjoint(set)).map(|(class, _)| *class);
            kinds.entry(Reverse(classes.collect())).or_default().push(set.clone());
        }
        kinds.into_values().map(Cow::from).collect()
    }

    /// Returns the CPUs among some that a choice keeps. `None`: it keeps all, as no differences between them are known.
    pub(super) fn choose(&self, cores: Cores, among: &CpuSet) -> Option<CpuSet> {
        match cores {
            Cores::All => Some(among.clone()),
            Cores::Fast => {
                let mut parts = self.0.values().rev().map(|cpus| cpus.intersection(among));
                if self.0.len() < 2 { None } else { parts.find(|cpus| !cpus.is_empty()) }
            }
        }
    }
}

/// Returns the CPUs of each class of cores among some, the slowest class first; empty where the machine's cores are
/// alike, or their classes are unknown.
///
/// ```
/// use nvtopo::{Topology, solve::core_classes};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// assert!(core_classes(&dgx, &dgx.cpus()).is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn core_classes(topology: &Topology, cpus: &CpuSet) -> Vec<(CoreClass, CpuSet)> {
    let CoreClasses(classes) = CoreClasses::of(topology);
    let own = classes.into_iter().map(|(class, all)| (class, all.intersection(cpus)));
    own.filter(|(_, cpus)| !cpus.is_empty()).collect()
}

/// Returns the remarks on named sets: their cores of each class, and several isolated CPUs in one.
pub(in crate::solve) fn remarks<'a>(
    topology: &Topology,
    sets: impl Iterator<Item = (String, &'a CpuSet)> + Clone,
) -> impl Iterator<Item = String> {
    [of_each_class(topology, sets.clone()), unbalanced(topology, sets)].into_iter().flatten()
}

/// Describes the number of cores of each class in named sets; empty where the machine's cores are alike.
fn of_each_class<'a>(
    topology: &Topology,
    sets: impl Iterator<Item = (String, &'a CpuSet)>,
) -> Option<String> {
    let CoreClasses(classes) = CoreClasses::of(topology);
    if classes.len() < 2 {
        return None;
    }
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for (name, cpus) in sets.filter(|(_, cpus)| !cpus.is_empty()) {
        let cores = cores(topology, cpus, &mut Vec::new());
        let counts = classes.iter().rev().map(|(class, of_class)| {
            (class.name(), cores.iter().filter(|core| !core.is_disjoint(of_class)).count())
        });
        let counts: Vec<String> = counts.map(|(class, count)| format!("{count} {class}")).collect();
        let one = counts.last().is_some_and(|last| last.starts_with("1 "));
        let counts = format!("{} core{}", counts.join(" and "), if one { "" } else { "s" });
        match told.iter_mut().find(|(known, _)| *known == counts) {
            Some((_, names)) => names.push(name),
            None => told.push((counts, vec![name])),
        }
    }
    let parts = told.iter().map(|(counts, names)| match names.as_slice() {
        [name] => format!("{name} has {counts}"),
        _ => format!("{} have {counts} each", names.join(", ")),
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("cores of several classes: {}", parts.join("; ")))
}

/// Returns a warning for the named sets that have several isolated CPUs.
pub(in crate::solve) fn unbalanced<'a>(
    topology: &Topology,
    sets: impl Iterator<Item = (String, &'a CpuSet)>,
) -> Option<String> {
    let isolated = &topology.machine().isolated_cpus;
    if isolated.is_empty() {
        return None;
    }
    let several = sets.filter(|(_, cpus)| cpus.intersection(isolated).len() > 1);
    let names: Vec<String> = several.map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} may run on several isolated CPUs, between which the kernel does not balance load: bind each thread to a CPU \
             of its own, or all of them stay on one",
            names.join(", ")
        )
    })
}
