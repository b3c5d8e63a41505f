//! A policy: its name, and how it deals CPUs out.

use crate::cpuset::CpuSet;
use crate::solve::cpus::ground::Ground;
use std::fmt;

/// A way to deal CPUs out to GPUs: one of [`CPU_POLICIES`](crate::solve::CPU_POLICIES), by its name.
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
    pub(super) name: &'static str,
    summary: &'static str,
    pub(super) also: &'static str,
    disjoint: bool,
    deal: Deal,
}

/// How CPUs are dealt out: those of each GPU by its position; what a person should know goes to the remarks.
type Deal = fn(&Ground<'_>, &mut Vec<String>) -> Vec<CpuSet>;

impl CpuPolicy {
    /// One that gives no CPU to two GPUs, where there are enough for one each.
    pub(super) const fn new(name: &'static str, summary: &'static str, deal: Deal) -> Self {
        Self { name, summary, also: "", disjoint: true, deal }
    }

    /// The same by another word too.
    pub(super) const fn or(self, also: &'static str) -> Self {
        Self { also, ..self }
    }

    /// The same where GPUs may have the same CPUs.
    pub(super) const fn shared(self) -> Self {
        Self { disjoint: false, ..self }
    }

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

    pub(in crate::solve::cpus) fn deal(&self, ground: &Ground<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
        (self.deal)(ground, remarks)
    }
}

impl PartialEq for CpuPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CpuPolicy {}

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
