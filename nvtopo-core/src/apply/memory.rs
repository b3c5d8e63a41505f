//! The memory policy of the calling thread, and of threads that it starts.
//!
//! It is set by system call, without `numactl`; a refusal is a warning and changes nothing.

use super::Bound;
use crate::cpuset::NodeSet;
use crate::solve::MemoryPolicy;
use crate::sys;

/// A memory policy in force, as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemorySetting {
    /// The policy; `None` for a kind without a name here.
    pub policy: Option<MemoryPolicy>,
    /// Its nodes.
    pub nodes: NodeSet,
    /// The kernel's mode, with its flags.
    mode: i32,
}

/// Reads the policy of the calling thread, unless it is the kernel's default.
pub(super) fn current() -> Option<MemorySetting> {
    let (mode, nodes) = sys::memory_policy().ok()?;
    let setting = MemorySetting { policy: of_mode(mode), nodes, mode };
    (mode != sys::MPOL_DEFAULT).then_some(setting)
}

fn of_mode(mode: i32) -> Option<MemoryPolicy> {
    // Flags stand in the upper bits.
    match mode & 0xff {
        sys::MPOL_PREFERRED | sys::MPOL_PREFERRED_MANY => Some(MemoryPolicy::Preferred),
        sys::MPOL_LOCAL => Some(MemoryPolicy::Local),
        sys::MPOL_BIND => Some(MemoryPolicy::Bind),
        sys::MPOL_INTERLEAVE => Some(MemoryPolicy::Interleave),
        _ => None,
    }
}

/// Sets a policy, and records it or a warning.
pub(super) fn set(policy: MemoryPolicy, nodes: &NodeSet, bound: &mut Bound) {
    if policy == MemoryPolicy::Local {
        match sys::set_memory_policy(sys::MPOL_LOCAL, &NodeSet::new()) {
            Ok(()) => bound.memory = Some(policy),
            Err(error) => bound.warnings.push(format!("memory could not be taken locally: {error}")),
        }
        return;
    }
    if nodes.is_empty() {
        return;
    }
    let done = match policy {
        MemoryPolicy::Bind => sys::set_memory_policy(sys::MPOL_BIND, nodes).map(|()| nodes.clone()),
        MemoryPolicy::Interleave => {
            sys::set_memory_policy(sys::MPOL_INTERLEAVE, nodes).map(|()| nodes.clone())
        }
        MemoryPolicy::Preferred | MemoryPolicy::Local => prefer(nodes),
    };
    match done {
        Ok(nodes) => {
            bound.memory = Some(policy);
            bound.mems = Some(nodes);
        }
        Err(error) => bound.warnings.push(format!(
            "the memory policy {policy} of nodes {nodes} was refused, so there is none: {error}"
        )),
    }
}

/// Restores the policy before.
pub(super) fn restore(before: Option<&MemorySetting>) -> std::io::Result<()> {
    match before {
        Some(setting) => sys::set_memory_policy(setting.mode, &setting.nodes),
        None => sys::set_memory_policy(sys::MPOL_DEFAULT, &NodeSet::new()),
    }
}

/// Prefers the nodes. Kernels before 5.15 prefer one node only: the first.
fn prefer(nodes: &NodeSet) -> std::io::Result<NodeSet> {
    let first: NodeSet = nodes.first().into_iter().collect();
    if nodes.len() > 1 && sys::set_memory_policy(sys::MPOL_PREFERRED_MANY, nodes).is_ok() {
        return Ok(nodes.clone());
    }
    sys::set_memory_policy(sys::MPOL_PREFERRED, &first).map(|()| first)
}
