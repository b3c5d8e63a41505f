//! Where the calling thread, and what it starts, takes memory from.
//!
//! By system call: no `numactl` is needed, and what a sandbox refuses is a warning and leaves the policy as it was.

use super::Bound;
use crate::cpuset::NodeSet;
use crate::error::{Error, Result};
use crate::sys;
use std::fmt;
use std::str::FromStr;

/// How memory is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryPolicy {
    /// From the given nodes first, from others when these are full.
    #[default]
    Preferred,
    /// From the node of the CPU that asks.
    Local,
    /// From the given nodes only: a process that wants more is killed.
    Bind,
    /// From the given nodes in turn.
    Interleave,
}

impl MemoryPolicy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Preferred, Self::Local, Self::Bind, Self::Interleave];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Local => "local",
            Self::Bind => "bind",
            Self::Interleave => "interleave",
        }
    }

    fn of_mode(mode: i32) -> Option<Self> {
        // Flags stand in the upper bits.
        match mode & 0xff {
            sys::MPOL_PREFERRED | sys::MPOL_PREFERRED_MANY => Some(Self::Preferred),
            sys::MPOL_LOCAL => Some(Self::Local),
            sys::MPOL_BIND => Some(Self::Bind),
            sys::MPOL_INTERLEAVE => Some(Self::Interleave),
            _ => None,
        }
    }
}

impl fmt::Display for MemoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for MemoryPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|policy| policy.word() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            Error::request(format!("there is no memory policy '{text}'")).help(format!("there are {words}"))
        })
    }
}

/// A memory policy that was found, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySetting {
    /// What it is; `None` for a kind that nvtopo does not know by name.
    pub policy: Option<MemoryPolicy>,
    /// Its nodes.
    pub nodes: NodeSet,
    /// The kernel's number of it, with its flags.
    mode: i32,
}

/// The policy of the calling thread, unless it is the kernel's default.
pub(super) fn found() -> Option<MemorySetting> {
    let (mode, nodes) = sys::memory_policy().ok()?;
    let setting = MemorySetting { policy: MemoryPolicy::of_mode(mode), nodes, mode };
    (mode != sys::MPOL_DEFAULT).then_some(setting)
}

/// Sets a policy and says so, or says why not.
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

/// Sets what was found before.
pub(super) fn restore(before: Option<&MemorySetting>) -> std::io::Result<()> {
    match before {
        Some(setting) => sys::set_memory_policy(setting.mode, &setting.nodes),
        None => sys::set_memory_policy(sys::MPOL_DEFAULT, &NodeSet::new()),
    }
}

/// Kernels before 5.15 prefer one node only: then it is the first.
fn prefer(nodes: &NodeSet) -> std::io::Result<NodeSet> {
    let first: NodeSet = nodes.first().into_iter().collect();
    if nodes.len() > 1 && sys::set_memory_policy(sys::MPOL_PREFERRED_MANY, nodes).is_ok() {
        return Ok(nodes.clone());
    }
    sys::set_memory_policy(sys::MPOL_PREFERRED, &first).map(|()| first)
}
