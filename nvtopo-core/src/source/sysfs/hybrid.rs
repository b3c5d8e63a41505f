//! Classes of cores, on machines whose cores differ: by their models, else by their highest clocks.

use super::super::common;
use super::cpu::{CoreOf, Cpus};
use super::cpuinfo::arm_model;
use super::tree::Tree;
use crate::cpuset::CpuSet;
use crate::model::CoreClass;

/// Fills in the classes of cores; machines whose cores are alike have none.
pub(super) fn read(tree: &Tree, cpus: &mut Cpus) {
    _ = by_event_sources(tree, cpus) || by_capacity(tree, cpus) || by_clocks(tree, cpus);
}

/// Reads the classes by sources of performance events: x86 kernels have one for each kind of core.
fn by_event_sources(tree: &Tree, cpus: &mut Cpus) -> bool {
    let of = |kind: &str| tree.list::<CpuSet>(&format!("sys/devices/cpu_{kind}/cpus"));
    let Some(fast) = of("core") else { return false };
    let frugal = ["atom", "lowpower"].into_iter().filter_map(of).reduce(|all, own| all.union(&own));
    let Some(frugal) = frugal.filter(|frugal| !frugal.is_disjoint(&cpus.online)) else { return false };
    if fast.is_disjoint(&cpus.online) {
        return false;
    }
    for core in &mut cpus.cores {
        let has = |set: &CpuSet| core.cpus.iter().any(|cpu| set.contains(*cpu));
        core.class = match (has(&fast), has(&frugal)) {
            (true, false) => Some(CoreClass::Performance),
            (false, true) => Some(CoreClass::Efficiency),
            _ => None,
        };
    }
    true
}

/// Reads the classes by the capacity of each CPU, which kernels for ARM show, and newer ones for x86.
fn by_capacity(tree: &Tree, cpus: &mut Cpus) -> bool {
    if !give(tree, cpus, "cpu_capacity", common::classes_by_capacity) {
        return false;
    }
    name_both(tree, cpus);
    true
}

/// Files that differ between cores of one make where some run faster, the most significant first: their base clocks
/// (Intel's SST-BF), the limits of the firmware (priority core turbo), and the kernel's limit after that.
const CLOCKS: [&str; 3] = ["cpufreq/base_frequency", "acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq"];

fn by_clocks(tree: &Tree, cpus: &mut Cpus) -> bool {
    CLOCKS.into_iter().any(|name| give(tree, cpus, name, common::classes_by_clock))
}

/// Classifies the cores by a number in a file of each CPU. Machines have the file for all CPUs, or for none.
fn give(tree: &Tree, cpus: &mut Cpus, name: &str, classes: fn(&[u32]) -> Option<Vec<CoreClass>>) -> bool {
    let number = |core: &CoreOf| -> Option<u32> {
        let cpu = core.cpus.first()?;
        tree.text(&format!("sys/devices/system/cpu/cpu{cpu}/{name}"))?.parse().ok()
    };
    let mut numbers = Vec::with_capacity(cpus.cores.len());
    for core in &cpus.cores {
        let Some(number) = number(core) else { return false };
        numbers.push(number);
    }
    let Some(classes) = classes(&numbers) else { return false };
    for (core, class) in cpus.cores.iter_mut().zip(classes) {
        core.class = Some(class);
    }
    true
}

/// Names both models of CPUs: the name of the first CPU is that of its kind only, and each CPU shows its own number.
fn name_both(tree: &Tree, cpus: &mut Cpus) {
    let name = |class| {
        let core = cpus.cores.iter().find(|core| core.class == Some(class))?;
        let cpu = core.cpus.first()?;
        let text = tree.text(&format!("sys/devices/system/cpu/cpu{cpu}/regs/identification/midr_el1"))?;
        let number = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
        arm_model((number >> 24 & 0xff) as u32, (number >> 4 & 0xfff) as u32)
    };
    if let (Some(fast), Some(frugal)) = (name(CoreClass::Performance), name(CoreClass::Efficiency)) {
        cpus.model = Some(if fast == frugal { fast } else { format!("{fast} and {frugal}") });
    }
}
