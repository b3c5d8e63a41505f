//! How CPUs are dealt out: one policy or family of them in each file.

mod balanced;
mod core_complex;
mod exclusive;
mod hwloc_distrib;
mod kubelet;
mod machine;
mod node;
mod scattered;
mod socket;
mod torchrun;

use super::ground::Ground;
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A way to deal CPUs out to GPUs: one of [`CPU_POLICIES`], by its name.
///
/// ```
/// use nvtopo::solve::{CPU_POLICIES, CpuPolicy};
///
/// let policy: CpuPolicy = "core-complex".parse()?;
/// assert!(policy.is_disjoint());
/// assert_eq!(CpuPolicy::default().name(), CPU_POLICIES[0].name());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct CpuPolicy {
    name: &'static str,
    summary: &'static str,
    also: &'static str,
    disjoint: bool,
    deal: fn(&Ground<'_>, &mut Vec<String>) -> Vec<CpuSet>,
}

/// Every policy; the first is the default.
pub static CPU_POLICIES: &[CpuPolicy] = &[
    exclusive::POLICY,
    scattered::POLICY,
    balanced::POLICY,
    core_complex::POLICY,
    machine::POLICY,
    node::POLICY,
    socket::POLICY,
    hwloc_distrib::POLICY,
    torchrun::NODE,
    torchrun::SOCKET,
    torchrun::EXCLUSIVE,
    torchrun::CORE_COMPLEX,
    kubelet::PACKED,
    kubelet::ACROSS_NUMA,
    kubelet::BY_SOCKET,
    kubelet::ACROSS_CORES,
    kubelet::BY_UNCORE,
];

impl CpuPolicy {
    /// What it is called.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does, in one line for people.
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// Another word for it; empty where there is none.
    pub const fn also(&self) -> &'static str {
        self.also
    }

    /// Whether no CPU is in two shares, where there are enough for one each.
    pub const fn is_disjoint(&self) -> bool {
        self.disjoint
    }

    /// The one that takes nothing from anybody: by node.
    pub(in crate::solve) const fn shared() -> Self {
        node::POLICY
    }

    /// The CPUs of each GPU by its position; what a person should know goes to the remarks.
    pub(super) fn deal(&self, ground: &Ground<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
        (self.deal)(ground, remarks)
    }
}

impl Default for CpuPolicy {
    fn default() -> Self {
        CPU_POLICIES[0]
    }
}

impl PartialEq for CpuPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CpuPolicy {}

impl FromStr for CpuPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_it = |policy: &&Self| policy.name == text || (!policy.also.is_empty() && policy.also == text);
        CPU_POLICIES.iter().find(is_it).copied().ok_or_else(|| {
            let names: Vec<&str> = CPU_POLICIES.iter().map(|policy| policy.name).collect();
            Error::request(format!("there is no policy '{text}' for CPUs"))
                .help(format!("there are {}", names.join(", ")))
        })
    }
}

impl fmt::Display for CpuPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for CpuPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuPolicy({})", self.name)
    }
}
