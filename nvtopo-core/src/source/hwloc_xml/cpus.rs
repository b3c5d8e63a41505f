//! Nodes of the machine as a whole, its packages, caches, cores and PUs, from hwloc's objects.

use super::super::{common, make};
use super::element::Element;
use super::objects::{Objects, Version};
use super::set::Bitmap;
use super::{ARCHITECTURE, CLASS, OFFLINE};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::{self, CoreClass, Fragment, NodeId, NodeKind, NoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// The most memory that the sets of one file take: a few bytes can name a CPU whose number makes a set long. A
/// machine of 8192 CPUs with three levels of caches needs half of it.
const MAX_SETS: usize = 64 << 20;

/// The memory that the sets of a file may still take.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_SETS)
    }

    /// Returns a set that is to be kept.
    pub(super) fn keep(&mut self, cpus: CpuSet) -> Result<CpuSet> {
        // At least the size of what holds it.
        let size = cpus.iter().last().map_or(0, |highest| highest as usize / 8) + 32;
        self.0 = self
            .0
            .checked_sub(size)
            .ok_or_else(|| Error::input("the sets of CPUs are larger than any machine's"))?;
        Ok(cpus)
    }
}

/// Fills in the machine.
pub(super) fn fill_machine(objects: &Objects<'_>, version: Version, fragment: &mut Fragment) -> Result<()> {
    let root = objects.root;
    let name = root.info("DMIProductName").and_then(common::product_name);
    let within = |set: Option<Bitmap>| -> Option<CpuSet> {
        set.map(|set| objects.online.iter().filter(|cpu| set.contains(*cpu)).collect())
    };
    let allowed = within(root.set("allowed_cpuset")?);
    let nodes = root.set("allowed_nodeset")?;
    let nodes: Option<NodeSet> =
        nodes.map(|set| objects.numbers().iter().filter(|node| set.contains(*node)).collect());
    let complete: CpuSet = root.set("complete_cpuset")?.and_then(|set| set.finite()).unwrap_or_default();
    let hidden = complete.difference(&objects.online);
    let limited = allowed.as_ref().is_some_and(|allowed| *allowed != objects.online);

    let machine = fragment.machine();
    machine.cpu.architecture = root.info(ARCHITECTURE).and_then(make::architecture);
    machine.product = name.or_else(|| root.info("PlatformModel").and_then(common::product_name));
    machine.allowed_cpus = allowed.filter(|set| !set.is_empty() && *set != objects.online);
    machine.allowed_nodes = nodes.filter(|set| !set.is_empty() && set != objects.numbers());
    let mut unsure = CpuSet::new();
    let told = root.info(OFFLINE).and_then(|list| list.parse::<CpuSet>().ok());
    if let Some(off) = told {
        machine.offline_cpus = off.difference(&objects.online);
    } else if let (Version(1), Some(on)) = (version, root.set("online_cpuset")?) {
        let off: CpuSet = hidden.iter().filter(|cpu| !on.contains(*cpu)).collect();
        unsure = hidden.difference(&off);
        machine.offline_cpus = off;
    } else if limited {
        // A file that shows CPUs which may not be used hides only those that are off.
        machine.offline_cpus = hidden;
    } else {
        unsure = hidden;
    }
    if !unsure.is_empty() {
        let text = format!("CPUs {unsure} are switched off, or were not allowed when the file was written");
        fragment.note(NoteKind::Unknown, text);
    }
    Ok(())
}

/// Returns the model of the first package that has one.
pub(super) fn model<'a>(objects: &Objects<'a>) -> Option<&'a str> {
    objects.packages.iter().find_map(|package| package.model).or_else(|| objects.root.info("CPUModel"))
}

/// Adds the packages.
pub(super) fn add_packages(objects: &Objects<'_>, fragment: &mut Fragment) -> Vec<NodeId> {
    let numbers = common::numbers(objects.packages.iter().map(|package| package.os_index));
    let machines = objects.root.info("CPUModel");
    let mut ids = Vec::new();
    for (package, os_index) in objects.packages.iter().zip(numbers) {
        let model = package.model.or(machines).map(str::to_owned);
        ids.push(fragment.add(NodeId::MACHINE, model::Package { os_index, model }));
    }
    ids
}

/// Adds the caches, below their packages.
pub(super) fn add_caches(
    objects: &Objects<'_>,
    packages: &[NodeId],
    budget: &mut Budget,
    fragment: &mut Fragment,
) -> Result<()> {
    for cache in &objects.caches {
        let cpus = budget.keep(objects.cpus(&cache.pus))?;
        let kind = model::Cache { level: cache.level, kind: cache.kind, size: cache.size, cpus };
        fragment.add(below(packages, cache.package), kind);
    }
    Ok(())
}

/// Adds the groups, below their packages: those of several CPUs that are not a package or the machine.
pub(super) fn add_groups(
    objects: &Objects<'_>,
    packages: &[NodeId],
    budget: &mut Budget,
    fragment: &mut Fragment,
) -> Result<()> {
    let mut seen: BTreeSet<(usize, usize)> =
        objects.packages.iter().map(|package| (package.pus.start, package.pus.end)).collect();
    seen.extend(objects.caches.iter().map(|cache| (cache.pus.start, cache.pus.end)));
    for group in &objects.groups {
        let range = (group.pus.start, group.pus.end);
        if group.pus.len() > 1 && group.pus.len() < objects.pus.len() && seen.insert(range) {
            let cpus = budget.keep(objects.cpus(&group.pus))?;
            let kind = model::Group { kind: group.kind, cpus };
            fragment.add(below(packages, group.package), kind);
        }
    }
    Ok(())
}

/// Adds the cores and PUs.
pub(super) fn add_cores(objects: &Objects<'_>, packages: &[NodeId], kinds: &Kinds, fragment: &mut Fragment) {
    let mut classes = vec![None; objects.cores.len()];
    for pu in &objects.pus {
        if let Some(core) = pu.core {
            classes[core] = kinds.class_of(pu.os_index);
        }
    }
    let mut counts: BTreeMap<Option<usize>, u32> = BTreeMap::new();
    let mut cores = Vec::with_capacity(objects.cores.len());
    for (core, class) in objects.cores.iter().zip(classes) {
        let position = counts.entry(core.package).or_default();
        let os_index = core.os_index.unwrap_or(*position);
        *position += 1;
        let kind = NodeKind::Core(model::Core { os_index, class });
        cores.push(fragment.add(below(packages, core.package), kind));
    }
    for pu in &objects.pus {
        let parent = pu.core.map_or_else(|| below(packages, pu.package), |core| cores[core]);
        fragment.add(parent, model::Pu { os_index: pu.os_index });
    }
}

fn below(packages: &[NodeId], package: Option<usize>) -> NodeId {
    package.map_or(NodeId::MACHINE, |package| packages[package])
}

/// The kinds of cores on machines whose CPUs differ: the CPUs of each kind, with its class.
#[derive(Default)]
pub(super) struct Kinds(Vec<(Bitmap, CoreClass)>);

impl Kinds {
    /// Returns the class of a CPU's core.
    pub(super) fn class_of(&self, cpu: u32) -> Option<CoreClass> {
        self.0.iter().find(|(cpus, _)| cpus.contains(cpu)).map(|(_, class)| *class)
    }
}

/// Reads the kinds: by the maker's names, else by the capacities that Linux states, else by their clocks.
///
/// hwloc lists kinds by efficiency, but also where the clocks of favoured cores differ a little, which are of one
/// class.
pub(super) fn read_kinds(topology: Element<'_>) -> Result<Kinds> {
    let (mut kinds, mut infos) = (Vec::new(), Vec::new());
    for kind in topology.below("cpukind") {
        if let Some(cpus) = kind.set("cpuset")? {
            kinds.push(cpus);
            infos.push(kind);
        }
    }
    let named = |name: Option<&str>| match name? {
        "IntelCore" => Some(CoreClass::Performance),
        "IntelAtom" | "IntelLowPower" => Some(CoreClass::Efficiency),
        _ => None,
    };
    let numbers =
        |name: &str| -> Option<Vec<u32>> { infos.iter().map(|kind| kind.info(name)?.parse().ok()).collect() };
    let classes = || {
        infos
            .iter()
            .map(|kind| CoreClass::ALL.into_iter().find(|class| kind.info(CLASS) == Some(class.name())))
    };
    if let Some(classes) = classes().collect::<Option<Vec<CoreClass>>>() {
        return Ok(Kinds(kinds.into_iter().zip(classes).collect()));
    }
    let made_for: Option<Vec<CoreClass>> = infos.iter().map(|kind| named(kind.info("CoreType"))).collect();
    let differ = |classes: &Vec<CoreClass>| classes.iter().any(|class| Some(class) != classes.first());
    let classes = made_for.filter(differ);
    let classes = classes.or_else(|| common::classes_by_capacity(&numbers("LinuxCapacity")?));
    let classes = classes.or_else(|| common::classes_by_clock(&numbers("FrequencyBaseMHz")?));
    let classes = classes.or_else(|| common::classes_by_clock(&numbers("FrequencyMaxMHz")?));
    Ok(classes.map_or_else(Kinds::default, |classes| Kinds(kinds.into_iter().zip(classes).collect())))
}
