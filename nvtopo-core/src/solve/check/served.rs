//! A check that the resources local to some GPUs are enough for them, by trying all groups of them.

use crate::cpuset::CpuSet;
use crate::solve::placement::needs::{Kind, Supply};
use std::collections::BTreeMap;

/// The most groups of GPUs beside the same things that are told apart. The others are taken to be served.
const MAX_GROUPS: usize = 16;

/// The first kind of thing of which there is not enough: some of the GPUs need more than all that is beside any of them (Hall).
pub(super) fn lack(supply: &Supply, set: &[usize]) -> Option<Kind> {
    supply.kinds().find(|kind| {
        let need = supply.need(*kind);
        if *kind == Kind::Nics {
            return supply.nics().is_some_and(|left| {
                set.len() > left.iter().fold(0, |all: usize, left| all.saturating_add(*left))
            });
        }
        if *kind == Kind::Cpus {
            let near = set.iter().filter_map(|gpu| supply.near(*gpu).cloned()).collect();
            let union = |group: &[&CpuSet]| group.iter().copied().collect::<CpuSet>().len() as u128;
            return lacks(near, need, &union);
        }
        let beside: Vec<BTreeMap<u32, u64>> =
            set.iter().filter_map(|gpu| supply.beside(*kind, *gpu)).collect();
        let union = |group: &[&BTreeMap<u32, u64>]| {
            let nodes: BTreeMap<u32, u64> =
                group.iter().copied().flatten().map(|(node, stock)| (*node, *stock)).collect();
            nodes.values().map(|stock| u128::from(*stock)).sum()
        };
        lacks(beside, need, &union)
    })
}

/// Returns true where some of them have too little together.
fn lacks<T: Ord>(all: Vec<T>, need: u64, union: &dyn Fn(&[&T]) -> u128) -> bool {
    let mut groups: BTreeMap<T, u128> = BTreeMap::new();
    for beside in all {
        *groups.entry(beside).or_default() += 1;
    }
    let groups: Vec<(&T, &u128)> = groups.iter().take(MAX_GROUPS).collect();
    (1u32..1 << groups.len()).any(|some| {
        let some: Vec<_> =
            (0..groups.len()).filter(|group| some >> group & 1 == 1).map(|group| groups[group]).collect();
        let gpus: u128 = some.iter().map(|(_, count)| **count).sum();
        let beside: Vec<&T> = some.iter().map(|(beside, _)| *beside).collect();
        gpus * u128::from(need) > union(&beside)
    })
}
