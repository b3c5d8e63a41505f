//! CPU caches: level, kind, size, and the CPUs that share them.
//!
//! Each cache is read once, from the first CPU that it serves: always its sharers and its size. Kernels number the caches
//! of a CPU by level, so that two with the same number, size and count of sharers are of one level and kind, which is
//! read at the first of them. Caches on the memory side are not CPU caches and left out.

use super::cpu::{CoreOf, Cpus};
use super::tree::{Names, Syntax, Tree, join};
use crate::cpuset::CpuSet;
use crate::model::{Cache, CacheKind, Fragment, NodeId, NodeKind, NoteKind};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The most caches of one CPU that are looked for; the kernel numbers them from 0.
const MAX_INDEX: usize = 10;

const SHARED: &[(&str, Syntax)] = &[("shared_cpu_map", Syntax::Mask), ("shared_cpu_list", Syntax::List)];

/// The caches by their first CPU, and what is odd about them.
pub(super) fn read(tree: &Tree, cpus: &Cpus) -> (Vec<Cache>, Vec<(NoteKind, String)>) {
    let names = Names::new(SHARED);
    let cores: BTreeMap<u32, &CoreOf> =
        cpus.cores.iter().flat_map(|core| core.cpus.iter().map(move |cpu| (*cpu, core))).collect();
    // By index: the CPUs whose cache of that index is known.
    let mut served = vec![CpuSet::new(); MAX_INDEX];
    let mut kinds: Vec<Kinds> = vec![Kinds::new(); MAX_INDEX];
    let mut levels: BTreeMap<(u8, CacheKind), CpuSet> = BTreeMap::new();
    let (mut caches, mut notes) = (Vec::new(), Vec::new());
    let mut end = MAX_INDEX;
    let mut highest = None;
    for cpu in cpus.online.iter() {
        // Whether others did not tell all of this CPU.
        let mut asked = false;
        for (index, served) in served.iter_mut().enumerate().take(end) {
            if served.contains(cpu) {
                continue;
            }
            let folder = format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
            // The kernel leaves no gap in its numbers, and a CPU that others told all of has no more than they.
            if highest.is_some_and(|highest| index > highest) && (!asked || !tree.has_folder(&folder)) {
                break;
            }
            asked = true;
            let Some(sharers) = tree.named_set(&folder, &names) else {
                if highest.is_some_and(|highest| index > highest) {
                    break;
                }
                continue;
            };
            highest = highest.max(Some(index));
            let sharers = match cores.get(&cpu) {
                // IA-64 kernels leave some of these sets empty: such a cache is the core's.
                Some(core) if sharers.is_empty() => core.cpus.iter().copied().collect(),
                _ => sharers.intersection(&cpus.online).union(&std::iter::once(cpu).collect()),
            };
            *served = served.union(&sharers);
            let Some(cache) = read_one(tree, &folder, sharers, &mut kinds[index]) else { continue };
            let level = levels.entry((cache.level, cache.kind)).or_default();
            let repeated = cache.cpus.is_subset(level);
            let reason = if !cache.cpus.is_disjoint(level) {
                Some("another cache of its level serves")
            } else if crosses_a_package(cpus, &cache.cpus) {
                Some("another package has")
            } else {
                None
            };
            if let Some(reason) = reason {
                if !repeated {
                    notes.push(conflict(&cache, reason));
                    // What its other CPUs say of the same cache contradicts it: nobody knows, as for hwloc.
                    level.insert(cpu);
                }
            } else {
                *level = level.union(&cache.cpus);
                caches.push(cache);
            }
        }
        // CPUs of one machine have much the same caches: look one further than the others went.
        if let Some(highest) = highest {
            end = MAX_INDEX.min(highest + 2);
        }
    }
    (caches, notes)
}

/// Adds the caches, below the package that holds all their CPUs.
pub(super) fn add(caches: Vec<Cache>, cpus: &Cpus, packages: &[NodeId], fragment: &mut Fragment) {
    for cache in caches {
        let package = cpus.package_of(&cache.cpus).map(|package| packages[package]);
        fragment.add(package.unwrap_or(NodeId::MACHINE), NodeKind::Cache(cache));
    }
}

fn conflict(cache: &Cache, other: &str) -> (NoteKind, String) {
    let text = format!("the level {} cache of CPUs {} names CPUs that {other}", cache.level, cache.cpus);
    (NoteKind::Conflict, text + "; it was left out")
}

fn crosses_a_package(cpus: &Cpus, set: &CpuSet) -> bool {
    cpus.package_of(set).is_none()
        && cpus.packages_in(set).into_iter().any(|package| !cpus.packages[package].cpus.is_subset(set))
}

/// Level and kind of the caches with one number, by size and count of sharers.
type Kinds = BTreeMap<(u64, usize), (u8, CacheKind)>;

fn read_one(tree: &Tree, folder: &str, cpus: CpuSet, kinds: &mut Kinds) -> Option<Cache> {
    let size = tree.with_text(&join(folder, "size"), size).flatten();
    let Some(bytes) = size else {
        let (level, kind) = level_and_kind(tree, folder)?;
        return Some(Cache { level, kind, size, cpus });
    };
    let (level, kind) = match kinds.entry((bytes, cpus.len())) {
        Entry::Occupied(known) => *known.get(),
        Entry::Vacant(unknown) => *unknown.insert(level_and_kind(tree, folder)?),
    };
    Some(Cache { level, kind, size, cpus })
}

fn level_and_kind(tree: &Tree, folder: &str) -> Option<(u8, CacheKind)> {
    let level = tree.number(&join(folder, "level"))?;
    let level = u8::try_from(level).ok().filter(|level| (1..=5).contains(level))?;
    let kind = tree.with_text(&join(folder, "type"), |text| match text {
        "Data" => CacheKind::Data,
        "Instruction" => CacheKind::Instruction,
        _ => CacheKind::Unified,
    });
    Some((level, kind.unwrap_or(CacheKind::Unified)))
}

/// `32K`. The kernel writes 0 for a size that it does not know.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].chars().next() {
        None => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some(_) => return None,
    };
    digits.parse::<u64>().ok().filter(|size| *size > 0)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, expected) in [
            ("32K", Some(32 << 10)),
            ("24M", Some(24 << 20)),
            ("0K", None),
            ("", None),
            ("18446744073709551615K", None),
            ("32é", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
