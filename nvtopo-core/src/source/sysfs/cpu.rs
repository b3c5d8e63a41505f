//! Processors: packages, cores, processing units, and which of them are online.
//!
//! Sets of siblings are read once for each set, from its first CPU: what the kernel says there holds for the
//! others. Caches are in [`super::cache`]; who may use which CPU is in [`super::limits`].

use super::hybrid;
use super::tree::{Names, Syntax, Tree, join};
use crate::cpuset::CpuSet;
use crate::model::{CoreClass, Fragment, NodeId, NodeKind, NoteKind, Package, Pu};
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "sys/devices/system/cpu";

/// How much of `/proc/cpuinfo` is read: its first processor. The kernel measures clocks while it writes the
/// file, so the rest would cost milliseconds.
const CPUINFO_HEAD: usize = 8 << 10;

/// The processors of a machine.
#[derive(Default)]
pub(super) struct Cpus {
    pub(super) online: CpuSet,
    pub(super) offline: CpuSet,
    pub(super) isolated: CpuSet,
    pub(super) nohz_full: CpuSet,
    /// The model of the first CPU.
    pub(super) model: Option<String>,
    /// Whether the CPU says that a hypervisor runs it; x86 has a flag for that.
    pub(super) in_guest: Option<bool>,
    /// By their first CPU.
    pub(super) packages: Vec<PackageOf>,
    package_of_cpu: BTreeMap<u32, usize>,
    /// By their first CPU.
    pub(super) cores: Vec<CoreOf>,
    pub(super) notes: Vec<(NoteKind, String)>,
}

pub(super) struct PackageOf {
    os_index: Option<u32>,
    pub(super) cpus: CpuSet,
}

pub(super) struct CoreOf {
    os_index: Option<u32>,
    pub(super) cpus: Vec<u32>,
    /// What it was made for, where cores differ in that.
    pub(super) class: Option<CoreClass>,
    /// Whether the kernel says that it is a core, or just a CPU.
    known: bool,
}

impl Cpus {
    /// The package that holds all of a set.
    pub(super) fn package_of(&self, cpus: &CpuSet) -> Option<usize> {
        let found = *self.package_of_cpu.get(&cpus.first()?)?;
        cpus.is_subset(&self.packages[found].cpus).then_some(found)
    }

    /// The packages that a set touches.
    pub(super) fn packages_in(&self, cpus: &CpuSet) -> BTreeSet<usize> {
        cpus.iter().filter_map(|cpu| self.package_of_cpu.get(&cpu).copied()).collect()
    }

    /// Adds the packages, which hold the rest.
    pub(super) fn add_packages(&self, fragment: &mut Fragment) -> Vec<NodeId> {
        let numbers = numbers(self.packages.iter().map(|package| package.os_index));
        let add = |os_index| {
            let package = Package { os_index, model: self.model.clone() };
            fragment.add(NodeId::MACHINE, NodeKind::Package(package))
        };
        numbers.into_iter().map(add).collect()
    }

    /// Adds the cores and processing units, below their packages.
    pub(super) fn add_cores(&self, fragment: &mut Fragment, packages: &[NodeId]) {
        let mut counts: BTreeMap<NodeId, u32> = BTreeMap::new();
        for core in &self.cores {
            let package = core.cpus.first().and_then(|cpu| self.package_of_cpu.get(cpu));
            let mut parent = package.map_or(NodeId::MACHINE, |package| packages[*package]);
            if core.known {
                let position = counts.entry(parent).or_default();
                let os_index = core.os_index.unwrap_or(*position);
                *position += 1;
                let class = core.class;
                parent = fragment.add(parent, NodeKind::Core(crate::model::Core { os_index, class }));
            }
            for &os_index in &core.cpus {
                fragment.add(parent, NodeKind::Pu(Pu { os_index }));
            }
        }
    }
}

/// The kernel's numbers, and the lowest free ones for those that it left out.
fn numbers(known: impl Iterator<Item = Option<u32>> + Clone) -> Vec<u32> {
    let taken: BTreeSet<u32> = known.clone().flatten().collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    known.map(|number| number.or_else(|| free.next()).unwrap_or_default()).collect()
}

/// Reads the processors.
pub(super) fn read(tree: &Tree) -> Cpus {
    tree.prepare(ROOT);
    let cpuinfo = String::from_utf8_lossy(&tree.head("proc/cpuinfo", CPUINFO_HEAD)).into_owned();
    let mut cpus = Cpus {
        isolated: tree.list(&format!("{ROOT}/isolated")).unwrap_or_default(),
        nohz_full: tree.list(&format!("{ROOT}/nohz_full")).unwrap_or_default(),
        model: model(&cpuinfo),
        in_guest: in_guest(&cpuinfo),
        ..Cpus::default()
    };
    let existing = existing(tree);
    // One CPU at least is online: a list that names none of them is damaged.
    let listed = tree.list(&format!("{ROOT}/online"));
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
    read_siblings(tree, &mut cpus, threads_are_cores(&cpuinfo));
    hybrid::read(tree, &mut cpus);
    cpus
}

/// The CPUs that there are: each has a folder. A tree without folders may still describe them; a bare list of
/// online CPUs is not enough, as its few characters can name very many.
fn existing(tree: &Tree) -> Vec<u32> {
    let folders = tree.numbered(ROOT, "cpu");
    if !folders.is_empty() {
        return folders;
    }
    let cpuinfo = tree.text("proc/cpuinfo").unwrap_or_default();
    let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let numbers = fields.filter(|(key, _)| key.trim() == "processor").map(|(_, value)| value.trim().parse());
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

fn read_siblings(tree: &Tree, cpus: &mut Cpus, threads_are_cores: bool) {
    let names = (Names::new(CORE), Names::new(PACKAGE));
    let (mut in_core, mut in_package, mut unplaced) = (CpuSet::new(), CpuSet::new(), Vec::new());
    let mut by_number = BTreeMap::new();
    for cpu in cpus.online.clone().iter() {
        let folder = format!("{ROOT}/cpu{cpu}/topology");
        if !in_core.contains(cpu) {
            let siblings = tree.named_set(&folder, &names.0).filter(|siblings| siblings.contains(cpu));
            match siblings {
                Some(siblings) => {
                    let free = siblings.intersection(&cpus.online).difference(&in_core);
                    let own = add_core(tree, cpus, cpu, free, threads_are_cores);
                    in_core = in_core.union(&own);
                }
                None if tree.has_folder(&folder) => {
                    add_by_number(tree, cpus, cpu, &mut by_number);
                    in_core.insert(cpu);
                }
                None => {
                    unplaced.push(cpu);
                    continue;
                }
            }
        }
        if !in_package.contains(cpu) {
            let taken = read_package(tree, cpus, cpu, &folder, &names.1, &in_package);
            in_package = in_package.union(&taken);
        }
    }
    unplaced.retain(|cpu| !in_core.contains(*cpu));
    place_rest(tree, cpus, unplaced);
    for (index, package) in cpus.packages.iter().enumerate() {
        cpus.package_of_cpu.extend(package.cpus.iter().map(|cpu| (cpu, index)));
    }
}

fn core_number(tree: &Tree, cpu: u32) -> Option<u32> {
    tree.number(&format!("{ROOT}/cpu{cpu}/topology/core_id")).and_then(|id| u32::try_from(id).ok())
}

/// Adds a core by its set of siblings, and answers with its CPUs.
fn add_core(tree: &Tree, cpus: &mut Cpus, cpu: u32, siblings: CpuSet, threads_are_cores: bool) -> CpuSet {
    let os_index = core_number(tree, cpu);
    let differs = |other| core_number(tree, other) != os_index;
    let apart = threads_are_cores && siblings.len() > 1 && siblings.iter().any(differs);
    let own = if apart { std::iter::once(cpu).collect() } else { siblings };
    cpus.cores.push(CoreOf { os_index, cpus: own.iter().collect(), class: None, known: true });
    own
}

/// Adds a CPU without sibling sets: equal core numbers in one package make a core.
fn add_by_number(tree: &Tree, cpus: &mut Cpus, cpu: u32, known: &mut BTreeMap<(Option<i64>, u32), usize>) {
    let number = core_number(tree, cpu);
    let package = tree.number(&format!("{ROOT}/cpu{cpu}/topology/physical_package_id"));
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

/// Adds the package of a CPU, and answers for which CPUs that settles the question.
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
    let id = tree.number(&join(folder, "physical_package_id"));
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
        cpus.notes.push((
            NoteKind::Conflict,
            format!("CPU {cpu} names CPUs {common} as of its package, which are of another; the package was left out"),
        ));
    }
    siblings
}

/// CPUs without any topology: left out where others have it, as the kernel gives it to each online CPU; else each
/// is known to exist, and no more.
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
    if !unplaced.is_empty() {
        let text = "the kernel does not tell which CPUs share a core or a package";
        cpus.notes.push((NoteKind::Unknown, text.to_owned()));
    }
}

/// The value of a field of the first processor in `/proc/cpuinfo`.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name && !value.trim().is_empty()).then(|| value.trim())
    })
}

/// AMD's Bulldozer family calls two cores that share a module threads of one core; their numbers differ.
fn threads_are_cores(cpuinfo: &str) -> bool {
    field(cpuinfo, "vendor_id") == Some("AuthenticAMD")
        && matches!(field(cpuinfo, "cpu family"), Some("21" | "22"))
}

/// Whether the CPU has the flag of CPUs that a hypervisor runs, where it has flags.
fn in_guest(cpuinfo: &str) -> Option<bool> {
    Some(field(cpuinfo, "flags")?.split(' ').any(|flag| flag == "hypervisor"))
}

/// The model's name, by the fields that architectures use: x86 and IA-64, POWER and SPARC, MIPS, Loongson, old ARM.
fn model(cpuinfo: &str) -> Option<String> {
    let names = ["model name", "cpu", "cpu model", "Model Name", "Processor"];
    let name = names.iter().find_map(|name| field(cpuinfo, name)).map(str::to_owned);
    let number = |name| u32::from_str_radix(field(cpuinfo, name)?.trim_start_matches("0x"), 16).ok();
    name.or_else(|| arm_model(number("CPU implementer")?, number("CPU part")?))
}

/// Newer ARM kernels give numbers only. Source: the Main ID registers in the makers' reference manuals.
pub(super) fn arm_model(implementer: u32, part: u32) -> Option<String> {
    let name = match (implementer, part) {
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x41, 0xd8e) => "Neoverse-N3",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd4f) => "Neoverse-V2",
        (0x41, 0xd84) => "Neoverse-V3",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd42) => "Cortex-A78AE",
        (0x41, 0xd85) => "Cortex-X925",
        (0x41, 0xd87) => "Cortex-A725",
        (0x43, 0x0af) => "ThunderX2-99xx",
        (0x46, 0x001) => "A64FX",
        (0x48, 0xd01) => "Kunpeng-920",
        (0x4e, 0x004) => "Carmel",
        (0x50, 0x000) => "X-Gene",
        (0xc0, 0xac3) => "Ampere-1",
        (0xc0, 0xac4) => "Ampere-1a",
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_on_every_architecture() {
        for (text, expected) in [
            ("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nmodel name\t: Xeon\n", Some("Xeon")),
            ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", Some("POWER9, altivec supported")),
            ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n", Some("Neoverse-V2")),
            ("processor\t: 0\nmodel name\t: \n", None),
            ("", None),
        ] {
            assert_eq!(model(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn packages_without_a_number_take_free_ones() {
        assert_eq!(numbers([None, Some(0), None].into_iter()), [1, 0, 2]);
    }
}
