//! CPU caches: level, kind, size, and the CPUs that share them.
//!
//! Each cache is read once, from the first CPU that it serves: its sharers and its size. Kernels number the caches of a
//! CPU by level, so that two with the same number, size and count of sharers are of one level and kind, which is read
//! at the first of them. A cache below one of a single core has the same CPUs, if that was so at a similar cache; such
//! sharers are not read. Caches on the memory side are not CPU caches and left out.

use super::cpu::Cpus;
use super::tree::{Names, Syntax, Tree};
use crate::cpuset::CpuSet;
use crate::model::{Cache, CacheKind, Note, NoteCode};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

/// The largest number of caches of one CPU; the kernel numbers them from 0. Each number is one digit.
const MAX_INDEX: usize = 10;

const SHARED: &[(&str, Syntax)] = &[("shared_cpu_map", Syntax::Mask), ("shared_cpu_list", Syntax::List)];

/// Returns the caches by their first CPU, and what is odd about them.
pub(super) fn read(tree: &Tree, cpus: &Cpus) -> (Vec<Cache>, Vec<Note>) {
    let mut reader = Reader::new(tree, cpus);
    let mut levels: BTreeMap<(u8, CacheKind), CpuSet> = BTreeMap::new();
    let (mut caches, mut notes) = (Vec::new(), Vec::new());
    for cpu in cpus.online.iter() {
        for cache in reader.of_cpu(cpu) {
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
                    // The files of other CPUs about the same cache contradict it: it is unknown, as for hwloc.
                    level.insert(cpu);
                }
            } else {
                *level |= &cache.cpus;
                caches.push(cache);
            }
        }
    }
    (caches, notes)
}

/// The reader of caches; it skips those that earlier CPUs listed.
struct Reader<'a> {
    tree: &'a Tree,
    cpus: &'a Cpus,
    names: Names,
    /// By number: the CPUs whose cache of that number is known. As many as there were caches of one CPU.
    served: Vec<CpuSet>,
    kinds: Vec<Kinds>,
    /// The siblings of each CPU by number, which few machines need.
    cores: OnceCell<Vec<&'a [u32]>>,
    /// The folder of the CPU's caches, with room for a number.
    folder: String,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a Tree, cpus: &'a Cpus) -> Self {
        let (names, cores) = (Names::new(SHARED), OnceCell::new());
        Self { tree, cpus, names, served: Vec::new(), kinds: Vec::new(), cores, folder: String::new() }
    }

    /// Returns the caches of a CPU, by number.
    fn of_cpu(&mut self, cpu: u32) -> Vec<Cache> {
        let mut found = Vec::new();
        let known = self.served.len();
        if known > 0 && self.served.iter().all(|served| served.contains(cpu)) {
            return found;
        }
        self.folder.clear();
        // Writing to a string does not fail.
        let _ = write!(self.folder, "sys/devices/system/cpu/cpu{cpu}/cache/index");
        // A cache above that no other core has: its level, and its CPUs.
        let mut above: Option<(u8, CpuSet)> = None;
        for index in (0..known).rev() {
            if self.served[index].contains(cpu) {
                continue;
            }
            let below =
                above.as_ref().filter(|(level, _)| self.highest(index).is_some_and(|own| own < *level));
            let size = below.and_then(|_| self.size(index));
            let alike =
                |cpus: &CpuSet| size.is_some_and(|size| self.kinds[index].contains_key(&(size, cpus.len())));
            let sharers = match below {
                Some((_, cpus)) if alike(cpus) => Some(cpus.clone()),
                _ => self.sharers(cpu, index),
            };
            let Some(sharers) = sharers else { continue };
            let size = size.or_else(|| self.size(index));
            if above.as_ref().is_none_or(|(_, cpus)| *cpus != sharers) {
                let level = self.kinds[index].values().map(|(level, _)| *level).min();
                above =
                    level.filter(|_| self.is_in_core(cpu, &sharers)).map(|level| (level, sharers.clone()));
            }
            self.served[index] |= &sharers;
            found.extend(self.read_one(index, sharers, size));
        }
        found.reverse();
        // CPUs of one machine have much the same caches: look one further than the others went. The kernel leaves no
        // gap in its numbers.
        let end = if known == 0 { MAX_INDEX } else { MAX_INDEX.min(known + 1) };
        for index in known..end {
            // Nearly all CPUs have none, which one look at its folder shows.
            if known > 0 && !self.tree.has_folder(self.place(index)) {
                break;
            }
            let Some(sharers) = self.sharers(cpu, index) else {
                if self.served.is_empty() {
                    continue;
                }
                break;
            };
            self.served.resize(index, CpuSet::new());
            self.kinds.resize(index + 1, Kinds::new());
            self.served.push(sharers.clone());
            let size = self.size(index);
            found.extend(self.read_one(index, sharers, size));
        }
        found
    }

    /// Returns the highest level of caches with this number, as far as is known.
    fn highest(&self, index: usize) -> Option<u8> {
        self.kinds[index].values().map(|(level, _)| *level).max()
    }

    /// Returns whether all of a set are of the core of a CPU.
    fn is_in_core(&self, cpu: u32, set: &CpuSet) -> bool {
        set.len() == 1 || set.iter().all(|other| self.core(cpu).contains(&other))
    }

    /// Returns the CPUs of the core of a CPU.
    fn core(&self, cpu: u32) -> &'a [u32] {
        let cores = self.cores.get_or_init(|| {
            let mut cores: Vec<&[u32]> = Vec::new();
            for core in &self.cpus.cores {
                for cpu in core.cpus.iter().map(|cpu| *cpu as usize) {
                    cores.resize(cores.len().max(cpu + 1), &[]);
                    cores[cpu] = &core.cpus;
                }
            }
            cores
        });
        cores.get(cpu as usize).copied().unwrap_or_default()
    }

    /// Returns the folder of the cache with this number.
    fn place(&mut self, index: usize) -> &str {
        self.folder.truncate(self.folder.trim_end_matches(|c: char| c.is_ascii_digit()).len());
        self.folder.push(char::from(b'0' + index as u8));
        &self.folder
    }

    /// Returns the CPUs that share a cache of a CPU. `None`: there is no such cache.
    fn sharers(&mut self, cpu: u32, index: usize) -> Option<CpuSet> {
        let (tree, cpus) = (self.tree, self.cpus);
        self.place(index);
        let mut sharers = tree.named_set(&self.folder, &self.names)?;
        // IA-64 kernels leave some of these sets empty: such a cache is the core's.
        if sharers.is_empty() {
            sharers = self.core(cpu).iter().copied().collect();
        }
        sharers &= &cpus.online;
        sharers.insert(cpu);
        Some(sharers)
    }

    fn size(&mut self, index: usize) -> Option<u64> {
        let tree = self.tree;
        tree.with_text_in(self.place(index), "size", size).flatten()
    }

    /// Returns the cache with this number, as far as it is one.
    fn read_one(&mut self, index: usize, cpus: CpuSet, size: Option<u64>) -> Option<Cache> {
        let tree = self.tree;
        self.place(index);
        let Some(bytes) = size else {
            let (level, kind) = level_and_kind(tree, &self.folder)?;
            return Some(Cache { level, kind, size, cpus });
        };
        let (level, kind) = match self.kinds[index].entry((bytes, cpus.len())) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(level_and_kind(tree, &self.folder)?),
        };
        Some(Cache { level, kind, size, cpus })
    }
}

fn conflict(cache: &Cache, other: &str) -> Note {
    let text = format!("the level {} cache of CPUs {} names CPUs that {other}", cache.level, cache.cpus);
    Note::new(NoteCode::Conflict, text + "; it was left out")
}

fn crosses_a_package(cpus: &Cpus, set: &CpuSet) -> bool {
    cpus.package_of(set).is_none()
        && cpus.packages_in(set).into_iter().any(|package| !cpus.packages[package].cpus.is_subset(set))
}

/// Level and kind of the caches with one number, by size and count of sharers.
type Kinds = BTreeMap<(u64, usize), (u8, CacheKind)>;

fn level_and_kind(tree: &Tree, folder: &str) -> Option<(u8, CacheKind)> {
    let level = tree.number_in(folder, "level")?;
    let level = u8::try_from(level).ok().filter(|level| (1..=5).contains(level))?;
    let kind = tree.with_text_in(folder, "type", |text| match text {
        "Data" => CacheKind::Data,
        "Instruction" => CacheKind::Instruction,
        _ => CacheKind::Unified,
    });
    Some((level, kind.unwrap_or(CacheKind::Unified)))
}

/// Reads a size such as `32K`. The kernel writes 0 for an unknown one.
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
