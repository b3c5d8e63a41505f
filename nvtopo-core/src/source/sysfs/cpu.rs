//! Processors: packages, cores, and processing units, online or not.
//!
//! Sets of siblings are read once for each set, from its first CPU: the others have the same. Caches are in
//! [`super::cache`], the CPUs that may be used in [`super::limits`].

use super::super::common;
use super::tree::{Names, Syntax, Tree};
use super::{cpuinfo, hybrid};
use crate::cpuset::CpuSet;
use crate::model::{CoreClass, Fragment, NodeId, Note, NoteCode, Package, Pu};
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "sys/devices/system/cpu";

/// The processors of a machine.
#[derive(Default)]
pub(super) struct Cpus {
    pub(super) online: CpuSet,
    pub(super) offline: CpuSet,
    pub(super) isolated: CpuSet,
    pub(super) nohz_full: CpuSet,
    /// The model of the first CPU.
    pub(super) model: Option<String>,
    /// True if the CPU says that a hypervisor runs it; x86 has a flag for that.
    pub(super) in_guest: Option<bool>,
    /// Sorted by their first CPU.
    pub(super) packages: Vec<PackageOf>,
    /// Indexed by the number of the CPU.
    package_of_cpu: Vec<Option<usize>>,
    /// Sorted by their first CPU.
    pub(super) cores: Vec<CoreOf>,
    pub(super) notes: Vec<Note>,
}

pub(super) struct PackageOf {
    os_index: Option<u32>,
    pub(super) cpus: CpuSet,
}

pub(super) struct CoreOf {
    os_index: Option<u32>,
    pub(super) cpus: Vec<u32>,
    /// The class of the core, where cores differ in that.
    pub(super) class: Option<CoreClass>,
    /// True if the kernel lists it as a core, false if only as a CPU.
    known: bool,
}

impl Cpus {
    /// Returns the package that holds all of a set.
    pub(super) fn package_of(&self, cpus: &CpuSet) -> Option<usize> {
        let found = self.package_with(cpus.first()?)?;
        cpus.is_subset(&self.packages[found].cpus).then_some(found)
    }

    /// Returns the node of the package that holds all of a set, else the machine.
    pub(super) fn holder(&self, packages: &[NodeId], cpus: &CpuSet) -> NodeId {
        self.package_of(cpus).map_or(NodeId::MACHINE, |package| packages[package])
    }

    fn package_with(&self, cpu: u32) -> Option<usize> {
        *self.package_of_cpu.get(cpu as usize)?
    }

    /// Returns the packages that a set touches.
    pub(super) fn packages_in(&self, cpus: &CpuSet) -> BTreeSet<usize> {
        cpus.iter().filter_map(|cpu| self.package_with(cpu)).collect()
    }

    /// Adds the packages, which hold the rest.
    pub(super) fn add_packages(&self, fragment: &mut Fragment) -> Vec<NodeId> {
        let numbers = common::numbers(self.packages.iter().map(|package| package.os_index));
        let add = |os_index| {
            let package = Package { os_index, model: self.model.clone() };
            fragment.add(NodeId::MACHINE, package)
        };
        numbers.into_iter().map(add).collect()
    }

    /// Adds the cores and processing units, below their packages.
    pub(super) fn add_cores(&self, fragment: &mut Fragment, packages: &[NodeId]) {
        let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for core in &self.cores {
            let package = core.cpus.first().and_then(|cpu| self.package_with(*cpu));
            let mut parent = package.map_or(NodeId::MACHINE, |package| packages[package]);
            if core.known {
                let position = counts.entry(parent).or_default();
                let os_index = core.os_index.unwrap_or(*position);
                *position += 1;
                let class = core.class;
                parent = fragment.add(parent, crate::model::Core { os_index, class });
            }
            for &os_index in &core.cpus {
                fragment.add(parent, Pu { os_index });
            }
        }
    }
}

/// Reads the processors.
pub(super) fn read(tree: &Tree) -> Cpus {
    tree.prepare(ROOT);
    let first = cpuinfo::read(tree);
    let names = tree.names(ROOT);
    // Older kernels lack some lists.
    let has = |name: &str| names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
    let list = |name: &str| {
        if has(name) || names.is_empty() { tree.list(&format!("{ROOT}/{name}")) } else { None }
    };
    let mut cpus = Cpus {
        isolated: list("isolated").unwrap_or_default(),
        nohz_full: list("nohz_full").unwrap_or_default(),
        model: first.model,
        in_guest: first.in_guest,
        ..Cpus::default()
    };
    let existing = existing(tree, &names);
    // One CPU at least is online: a list that names none of them is damaged.
    let listed = list("online");
    let listed = listed.filter(|listed: &CpuSet| existing.iter().any(|cpu| listed.contains(*cpu)));
    for cpu in existing {
        let on = match &listed {
            Some(listed) => listed.contains(cpu),
            // Before the list there was a file for each CPU that can be switched off.
            None => tree.text(&format!("{ROOT}/cpu{cpu}/online")).is_none_or(|text| text != "0"),
        };
        if on {
            cpus.online.insert(cpu)
        } else {
            cpus.offline.insert(cpu)
        };
    }
    read_siblings(tree, &mut cpus, first.threads_are_cores, has("smt"));
    hybrid::read(tree, &mut cpus);
    cpus
}

/// Returns the CPUs that there are: each has a folder. A tree without folders may still describe them; a bare list of
/// online CPUs is not enough, as its few characters can name very many.
fn existing(tree: &Tree, names: &[String]) -> Vec<u32> {
    let folders = tree.numbers(ROOT, names, "cpu");
    if !folders.is_empty() {
        return folders;
    }
    let cpuinfo = tree.text("proc/cpuinfo").unwrap_or_default();
    let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let numbers =
        fields.filter(|(key, _)| key.trim() == "processor").map(|(_, value)| value.trim().parse::<u32>());
    let cpus: CpuSet = numbers.flatten().collect();
    cpus.iter().collect()
}

/// The names of sibling sets changed with Linux 5.3, and lists came after masks. Masks come first here because
/// every kernel has them.
const CORE: &[(&str, Syntax)] = &[
    ("core_cpus", Syntax::Mask),
    ("thread_siblings", Syntax::Mask),
    ("core_cpus_list", Syntax::List),
    ("thread_siblings_list", Syntax::List),
];
const PACKAGE: &[(&str, Syntax)] = &[
    ("package_cpus", Syntax::Mask),
    ("core_siblings", Syntax::Mask),
    ("package_cpus_list", Syntax::List),
    ("core_siblings_list", Syntax::List),
];

/// Reads the cores. `tells_smt`: the kernel shows whether any core has several CPUs that are online, since Linux 4.19.
fn read_siblings(tree: &Tree, cpus: &mut Cpus, threads_are_cores: bool, tells_smt: bool) {
    let names = (Names::new(CORE), Names::new(PACKAGE));
    let smt_is_off = || tells_smt && tree.text(&format!("{ROOT}/smt/active")).as_deref() == Some("0");
    // Asked once a core has one CPU: kernels that were built without a scheduler for SMT say that it is off.
    let mut alone = None;
    let (mut in_core, mut in_package, mut unplaced) = (CpuSet::new(), CpuSet::new(), Vec::new());
    let mut by_number = BTreeMap::new();
    for cpu in cpus.online.clone().iter() {
        if in_core.contains(cpu) && in_package.contains(cpu) {
            continue;
        }
        let folder = topology(cpu);
        if !in_core.contains(cpu) {
            // The kernel numbers only CPUs that it knows.
            let number = if alone == Some(true) { core_number(tree, &folder) } else { None };
            let siblings = match number {
                Some(_) => Some(std::iter::once(cpu).collect()),
                None => tree.named_set(&folder, &names.0).filter(|siblings| siblings.contains(cpu)),
            };
            match siblings {
                Some(mut siblings) => {
                    siblings &= &cpus.online;
                    if alone.is_none() {
                        alone = Some(siblings.len() == 1 && smt_is_off());
                    }
                    let free = siblings.difference(&in_core);
                    let number = number.or_else(|| core_number(tree, &folder));
                    in_core |= &add_core(tree, cpus, cpu, number, free, threads_are_cores);
                }
                None if tree.has_folder(&folder) => {
                    add_by_number(tree, cpus, cpu, &folder, &mut by_number);
                    in_core.insert(cpu);
                }
                None => {
                    unplaced.push(cpu);
                    continue;
                }
            }
        }
        if !in_package.contains(cpu) {
            in_package |= &read_package(tree, cpus, cpu, &folder, &names.1, &in_package);
        }
    }
    unplaced.retain(|cpu| !in_core.contains(*cpu));
    place_rest(tree, cpus, unplaced);
    note_unknown(cpus);
    let packages = (0..).zip(&cpus.packages);
    for (cpu, index) in packages.flat_map(|(index, package)| package.cpus.iter().map(move |cpu| (cpu, index)))
    {
        let place = cpu as usize;
        if place >= cpus.package_of_cpu.len() {
            cpus.package_of_cpu.resize(place + 1, None);
        }
        cpus.package_of_cpu[place] = Some(index);
    }
}

fn topology(cpu: u32) -> String {
    format!("{ROOT}/cpu{cpu}/topology")
}

/// Returns the number of a core, in the folder of one of its CPUs.
fn core_number(tree: &Tree, folder: &str) -> Option<u32> {
    tree.number_in(folder, "core_id").and_then(|id| u32::try_from(id).ok())
}

/// Adds a core by its set of siblings, and returns its CPUs.
fn add_core(
    tree: &Tree,
    cpus: &mut Cpus,
    cpu: u32,
    os_index: Option<u32>,
    siblings: CpuSet,
    threads_are_cores: bool,
) -> CpuSet {
    let differs = |other| core_number(tree, &topology(other)) != os_index;
    let apart = threads_are_cores && siblings.len() > 1 && siblings.iter().any(differs);
    let own = if apart { std::iter::once(cpu).collect() } else { siblings };
    cpus.cores.push(CoreOf { os_index, cpus: own.iter().collect(), class: None, known: true });
    own
}

/// Adds a CPU without sibling sets: equal core numbers in one package make a core.
fn add_by_number(
    tree: &Tree,
    cpus: &mut Cpus,
    cpu: u32,
    folder: &str,
    known: &mut BTreeMap<(Option<i64>, u32), usize>,
) {
    let number = core_number(tree, folder);
    let package = tree.number_in(folder, "physical_package_id");
    let next = cpus.cores.len();
    let place = number.map_or(next, |number| *known.entry((package, number)).or_insert(next));
    match cpus.cores.get_mut(place) {
        Some(core) => core.cpus.push(cpu),
        None => cpus.cores.push(CoreOf {
            os_index: number,
            cpus: vec![cpu],
            class: None,
            known: number.is_some(),
        }),
    }
}

/// Adds the package of a CPU, and returns the CPUs whose package is known by that.
fn read_package(
    tree: &Tree,
    cpus: &mut Cpus,
    cpu: u32,
    folder: &str,
    names: &Names,
    taken: &CpuSet,
) -> CpuSet {
    let own: CpuSet = std::iter::once(cpu).collect();
    // A set without the CPU itself says nothing of it.
    let siblings = tree.named_set(folder, names).filter(|siblings| siblings.contains(cpu));
    let id = tree.number_in(folder, "physical_package_id");
    let os_index = id.and_then(|id| u32::try_from(id).ok());
    let Some(siblings) = siblings else {
        // Without sets, equal numbers make a package.
        match cpus.packages.iter_mut().find(|package| os_index.is_some() && package.os_index == os_index) {
            Some(package) => _ = package.cpus.insert(cpu),
            None if os_index.is_some() => cpus.packages.push(PackageOf { os_index, cpus: own.clone() }),
            None => {}
        }
        return own;
    };
    let siblings = siblings.intersection(&cpus.online).union(&own);
    if siblings.is_disjoint(taken) {
        cpus.packages.push(PackageOf { os_index, cpus: siblings.clone() });
    } else {
        let common = siblings.intersection(taken);
        cpus.notes.push(Note::new(
            NoteCode::Conflict,
            format!("CPU {cpu} names CPUs {common} as of its package, which are of another; the package was left out"),
        ));
    }
    siblings
}

/// Places CPUs without any topology: they are left out where others have it, as the kernel gives it to each online CPU;
/// else each is known to exist, and no more.
fn place_rest(tree: &Tree, cpus: &mut Cpus, unplaced: Vec<u32>) {
    if !cpus.cores.is_empty() {
        for cpu in unplaced {
            tree.damage(format!("CPU {cpu} has no topology folder, so it was left out"));
            cpus.online.remove(cpu);
        }
        return;
    }
    let alone = |cpu: &u32| CoreOf { os_index: None, cpus: vec![*cpu], class: None, known: false };
    cpus.cores = unplaced.iter().map(alone).collect();
}

/// Notes the CPUs of unknown core: kernels may give them no topology folder, or an empty one.
fn note_unknown(cpus: &mut Cpus) {
    let unknown: CpuSet =
        cpus.cores.iter().filter(|core| !core.known).flat_map(|core| core.cpus.iter().copied()).collect();
    if unknown.is_empty() {
        return;
    }
    let which =
        if unknown == cpus.online { "which CPUs".to_owned() } else { format!("which of CPUs {unknown}") };
    let what = if cpus.packages.is_empty() { "a core or a package" } else { "a core" };
    cpus.notes.push(Note::new(NoteCode::Unknown, format!("the kernel does not tell {which} share {what}")));
}
