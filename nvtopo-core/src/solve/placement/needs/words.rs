//! The wording of shortages and unchecked supplies.

use super::Supply;
use super::supply::{Kind, Shortage};
use crate::cpuset::NodeSet;
use crate::model::Topology;
use crate::units::{count_of, exact_bytes};
use std::fmt::Write;

impl Shortage {
    /// Returns what is available, and the number of GPUs that it is enough for.
    pub(in crate::solve) fn sentence(&self, topology: &Topology) -> String {
        if self.kind == Kind::Nics {
            return format!("the NICs can serve {} so", count_of(self.most, "more GPU"));
        }
        let gpus = topology.device_names(&self.gpus);
        let nodes = match self.nodes.len() {
            0 => "no NUMA node that may be used".to_owned(),
            1 => format!("NUMA node {}", self.nodes),
            _ => format!("NUMA nodes {}", self.nodes),
        };
        let has = if self.nodes.len() == 1 { "has" } else { "have" };
        let mut text = match (self.kind, self.nodes.is_empty()) {
            (Kind::Cpus | Kind::Nics, _) if self.amount == 1 => format!("1 CPU is left near {gpus}"),
            (Kind::Cpus | Kind::Nics, _) => format!("{} CPUs are left near {gpus}", self.amount),
            (_, true) => format!("{nodes} is beside {gpus}"),
            (Kind::Memory, _) => format!("{nodes} {has} {} of memory left", exact_bytes(self.amount)),
            (Kind::Pages(bytes), _) => {
                format!("{nodes} {has} {} pages of {} left", self.amount, exact_bytes(bytes))
            }
        };
        let _ = match (self.most, self.kind, self.nodes.is_empty()) {
            (_, Kind::Memory | Kind::Pages(_), true) => Ok(()),
            (0, Kind::Cpus, _) => write!(text, ", enough for none of them"),
            (most, Kind::Cpus, _) => write!(text, ", enough for {most} of them"),
            (0, ..) => write!(text, ", enough for none of {gpus}"),
            (most, ..) => write!(text, ", enough for {most} of {gpus}"),
        };
        text
    }
}

impl Supply {
    /// Returns the remarks on what could not be checked for these GPUs because it is unknown.
    pub(super) fn unchecked(&self, topology: &Topology, gpus: &[usize]) -> Vec<String> {
        let mut remarks = Vec::new();
        for kind in self.kinds() {
            let what = match kind {
                Kind::Cpus => {
                    if gpus.iter().any(|gpu| self.near(*gpu).is_none()) {
                        remarks.push("the CPUs of this machine are unknown: not checked".to_owned());
                    }
                    continue;
                }
                Kind::Nics => continue,
                Kind::Memory => "memory".to_owned(),
                Kind::Pages(bytes) => format!("number of {} pages", exact_bytes(bytes)),
            };
            let unplaced: Vec<usize> =
                gpus.iter().copied().filter(|gpu| self.nodes_of[*gpu].is_none()).collect();
            if !unplaced.is_empty() {
                let gpus = topology.device_names(&unplaced);
                remarks.push(format!(
                    "which NUMA node {gpus} draws on is unknown: the {what} there is not checked"
                ));
            }
            let nodes_of = gpus.iter().filter_map(|gpu| self.nodes_of[*gpu].as_ref());
            let nodes = nodes_of.collect::<NodeSet>();
            let unknown = nodes.iter().filter(|node| self.stock(kind, *node).is_none());
            remarks.extend(
                unknown.map(|node| format!("the {what} of NUMA node {node} is unknown: not checked")),
            );
        }
        remarks
    }
}
