//! The needs of a job for each of its GPUs: CPUs, memory, huge pages and NICs.
//!
//! `supply` holds what the machine has, from which follows the greatest number of GPUs of a group that can be served, a limit on
//! the search; `flow` divides stocks among the GPUs that draw on them, `allot` decides the allotment of each chosen GPU, and
//! `serve` applies it.

mod allot;
mod flow;
mod serve;
mod supply;
mod words;

use super::Placement;
use crate::cpuset::CpuSet;
use crate::solve::placement::amounts::{NodeMemory, NodePages};
use crate::units::{count_of, exact_bytes};
pub(in crate::solve) use allot::{Allotment, Asker, allot, can_serve};
pub(in crate::solve) use serve::{Service, askers, not_enough};
use std::collections::BTreeMap;
pub(in crate::solve) use supply::{Kind, Shortage, Supply};

/// The needs of a job for each GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::solve) struct Needs {
    /// The number of hardware threads; 0: its share.
    pub(in crate::solve) cpus: usize,
    /// The memory in bytes; 0: no requirement.
    pub(in crate::solve) memory: u64,
    /// The number of pages of each size in bytes.
    pub(in crate::solve) pages: BTreeMap<u64, u64>,
    /// The greatest number of GPUs of a NIC; 0: as many as are needed if all GPUs use NICs.
    pub(in crate::solve) per_nic: usize,
}

impl Needs {
    /// Returns whether nothing is needed.
    pub(in crate::solve) fn is_empty(&self) -> bool {
        self.cpus == 0
            && self.memory == 0
            && self.pages.values().all(|count| *count == 0)
            && self.per_nic == 0
    }

    /// Returns what GPUs have if this is met, as parts of a sentence.
    pub(in crate::solve) fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.cpus > 0 {
            all.push(format!("have {} each near them", count_of(self.cpus, "CPU")));
        }
        if self.memory > 0 {
            all.push(format!("have {} of memory each beside them", exact_bytes(self.memory)));
        }
        all.extend(self.pages.iter().filter(|(_, count)| **count > 0).map(|(size, count)| {
            let s = if *count == 1 { "" } else { "s" };
            format!("have {count} page{s} of {} each beside them", exact_bytes(*size))
        }));
        if self.per_nic > 0 {
            all.push(format!("share a NIC with at most {} in all", count_of(self.per_nic, "GPU")));
        }
        all
    }
}

/// The resources of a machine that jobs have besides GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::solve) struct Taken {
    pub(in crate::solve) cpus: CpuSet,
    /// The bytes of memory by NUMA node.
    pub(in crate::solve) memory: BTreeMap<u32, u64>,
    /// The number of pages by NUMA node and size.
    pub(in crate::solve) pages: BTreeMap<(u32, u64), u64>,
    /// The number of GPUs that use a NIC, by its name.
    pub(in crate::solve) nics: BTreeMap<String, usize>,
}

impl Taken {
    /// Adds the resources of a job.
    pub(in crate::solve) fn add_job(&mut self, placement: &Placement) {
        for gpu in placement.gpus() {
            self.add(&gpu.cpus, gpu.memory.as_deref(), gpu.huge_pages.as_deref());
        }
        self.add_nics(placement);
    }

    /// Adds the NICs of a job.
    pub(in crate::solve) fn add_nics(&mut self, placement: &Placement) {
        for nic in placement.gpus().iter().filter_map(|gpu| gpu.nic.clone()) {
            *self.nics.entry(nic).or_default() += 1;
        }
    }

    /// Adds the allotment of a GPU.
    pub(in crate::solve) fn add_allotment(&mut self, given: &Allotment) {
        let none = CpuSet::new();
        self.add(given.cpus.as_ref().unwrap_or(&none), given.memory.as_deref(), given.pages.as_deref());
    }

    fn add(&mut self, cpus: &CpuSet, memory: Option<&[NodeMemory]>, pages: Option<&[NodePages]>) {
        self.cpus = self.cpus.union(cpus);
        for given in memory.unwrap_or_default() {
            let own = self.memory.entry(given.node).or_default();
            *own = own.saturating_add(given.bytes);
        }
        for given in pages.unwrap_or_default() {
            let own = self.pages.entry((given.node, given.size)).or_default();
            *own = own.saturating_add(given.count);
        }
    }
}
