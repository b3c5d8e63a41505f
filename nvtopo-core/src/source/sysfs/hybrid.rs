//! What cores were made for, on machines with cores of several kinds.

use super::cpu::Cpus;
use super::tree::Tree;
use crate::cpuset::CpuSet;
use crate::model::CoreClass;

/// Fills in the classes of cores; machines whose cores are alike have none.
pub(super) fn read(tree: &Tree, cpus: &mut Cpus) {
    if !by_event_sources(tree, cpus) {
        by_capacity(tree, cpus);
    }
}

/// x86 kernels have a source of performance events for each kind of core.
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

/// ARM kernels tell how much a CPU can do beside the best one (1024). Cores of one kind differ a little where some may
/// run at higher clocks: those of a GB10 have 997 to 1024 and 718 to 731. So the kinds are told apart in the middle, and
/// less than a tenth between the best and the least is no difference.
fn by_capacity(tree: &Tree, cpus: &mut Cpus) {
    let capacity = |core: &super::cpu::CoreOf| {
        let cpu = core.cpus.first()?;
        tree.text(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"))?.parse::<u32>().ok()
    };
    let mut capacities = Vec::with_capacity(cpus.cores.len());
    for core in &cpus.cores {
        // All have the file or none has.
        let Some(capacity) = capacity(core) else { return };
        capacities.push(u64::from(capacity));
    }
    let (Some(least), Some(best)) = (capacities.iter().min(), capacities.iter().max()) else { return };
    if least * 10 >= best * 9 {
        return;
    }
    for (core, capacity) in cpus.cores.iter_mut().zip(&capacities) {
        let fast = capacity * 2 > least + best;
        core.class = Some(if fast { CoreClass::Performance } else { CoreClass::Efficiency });
    }
}
