//! Packing: whole nodes and packages first, then caches where the options say so, whole cores, single threads.

use super::layout::{Layout, Level};
use crate::cpuset::CpuSet;

/// Takes CPUs until there are enough.
pub(super) struct Accumulator<'a> {
    layout: &'a Layout,
    pub(super) free: CpuSet,
    pub(super) taken: CpuSet,
    pub(super) needed: usize,
}

impl<'a> Accumulator<'a> {
    pub(super) fn new(layout: &'a Layout, available: &CpuSet, count: usize) -> Self {
        Self { layout, free: available.clone(), taken: CpuSet::new(), needed: count }
    }

    /// Takes `count` of the available CPUs, of which there are enough.
    pub(super) fn packed(
        layout: &'a Layout,
        available: &CpuSet,
        count: usize,
        spread: bool,
        by_uncore: bool,
    ) -> CpuSet {
        let mut own = Self::new(layout, available, count);
        let (first, second) =
            if own.numa_first() { (Level::Numa, Level::Socket) } else { (Level::Socket, Level::Numa) };
        own.take_whole(first);
        own.take_whole(second);
        if by_uncore {
            own.take_uncores();
        }
        if !spread {
            own.take_whole(Level::Core);
        }
        let level = if spread { Level::Socket } else { Level::Core };
        let rest = own.sorted(level).into_iter().flat_map(|id| own.cpus(level, id));
        let rest = rest.take(own.needed).collect();
        own.take(&rest);
        own.taken
    }

    /// Tells whether NUMA nodes contain packages, and not the other way round.
    fn numa_first(&self) -> bool {
        self.layout.count(Level::Socket) >= self.layout.count(Level::Numa)
    }

    pub(super) fn take(&mut self, cpus: &CpuSet) {
        self.taken = self.taken.union(cpus);
        self.free = self.free.difference(cpus);
        self.needed = self.needed.saturating_sub(cpus.len());
    }

    fn cpus(&self, level: Level, id: u32) -> Vec<u32> {
        self.layout.inside(level, id, &self.free).iter().collect()
    }

    /// Returns the members of a level within these CPUs, the fewest free CPUs first.
    fn by_free(&self, level: Level, within: &CpuSet) -> Vec<u32> {
        let mut ids: Vec<u32> = self.layout.ids(level, within);
        ids.sort_by_key(|id| (self.layout.inside(level, *id, &self.free).len(), *id));
        ids
    }

    /// Returns the members of a level that have free CPUs, in the order in which they are taken from.
    pub(super) fn sorted(&self, level: Level) -> Vec<u32> {
        let outer = match (level, self.numa_first()) {
            (Level::Numa, true) | (Level::Socket, false) => return self.by_free(level, &self.free),
            (Level::Socket, true) | (Level::Core, false) | (Level::Uncore, _) => Level::Numa,
            (Level::Numa, false) | (Level::Core, true) => Level::Socket,
        };
        let outers = self.sorted(outer).into_iter();
        outers.flat_map(|id| self.by_free(level, &self.layout.inside(outer, id, &self.free))).collect()
    }

    /// Takes all members of a level that are wholly free, as long as that many CPUs are needed.
    fn take_whole(&mut self, level: Level) {
        for id in self.sorted(level) {
            let all = self.layout.inside(level, id, &self.layout.cpus);
            if all.is_subset(&self.free) && self.needed >= all.len() {
                self.take(&all);
            }
        }
    }

    /// Takes whole caches first, then the rest from one cache that has room for all of it.
    fn take_uncores(&mut self) {
        let each = self.layout.cpus.len() / self.layout.count(Level::Uncore).max(1);
        for uncore in self.sorted(Level::Uncore) {
            if self.needed >= each {
                self.take_whole(Level::Uncore);
            }
            if self.needed == 0 {
                return;
            }
            self.take_part_of(uncore);
        }
    }

    fn take_part_of(&mut self, uncore: u32) {
        let threads = self.layout.cpus_per_core();
        let here = self.layout.inside(Level::Uncore, uncore, &self.free);
        let cores = self.layout.ids(Level::Core, &here).into_iter().take(self.needed.div_ceil(threads));
        let mut cpus: Vec<u32> = cores.flat_map(|core| self.cpus(Level::Core, core)).collect();
        cpus.sort_unstable();
        // Half a core is left over.
        if !self.needed.is_multiple_of(2) && threads > 1 && cpus.len() > self.needed {
            cpus.pop();
        }
        if cpus.len() == self.needed {
            self.take(&cpus.into_iter().collect());
        }
    }
}
