//! Policies for dealing out CPUs: one policy or family of them in each file.

mod core_complex;
mod dealer;
mod hwloc_distrib;
mod kubelet;
mod machine;
mod near;
mod torchrun;

use crate::error::{Error, Result};
pub use dealer::CpuPolicy;
use std::str::FromStr;

/// Every policy; the first is the default.
pub static CPU_POLICIES: &[CpuPolicy] = &[
    near::EXCLUSIVE,
    near::SCATTERED,
    near::BALANCED,
    core_complex::POLICY,
    machine::POLICY,
    near::NODE,
    near::SOCKET,
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
    /// Returns the policy that takes nothing from any other process: by node.
    pub(in crate::solve) const fn by_node() -> Self {
        near::NODE
    }
}

impl Default for CpuPolicy {
    fn default() -> Self {
        CPU_POLICIES[0]
    }
}

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
