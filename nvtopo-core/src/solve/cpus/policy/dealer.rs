//! A policy: its name, and the function that deals CPUs out.

use crate::cpuset::CpuSet;
use crate::solve::cpus::pool::CpuPool;
use std::fmt;

/// A way to deal CPUs out to GPUs: one of [`CPU_POLICIES`](crate::solve::CPU_POLICIES), by its name.
///
/// ```
/// use nvtopo::solve::CPU_POLICIES;
/// use nvtopo::CpuPolicy;
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

/// The function of a policy: returns the CPUs of each GPU by its position, and adds remarks for people.
type Deal = fn(&CpuPool<'_>, &mut Vec<String>) -> Vec<CpuSet>;

impl CpuPolicy {
    /// Creates a policy that gives no CPU to two GPUs, where there are enough for one each.
    pub(super) const fn new(name: &'static str, summary: &'static str, deal: Deal) -> Self {
        Self { name, summary, also: "", disjoint: true, deal }
    }

    /// Adds another word for the policy.
    pub(super) const fn or(self, also: &'static str) -> Self {
        Self { also, ..self }
    }

    /// Marks the policy as one whose shares may overlap.
    pub(super) const fn shared(self) -> Self {
        Self { disjoint: false, ..self }
    }

    /// Returns its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns a summary of one line for people.
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// Returns another word for it; empty where there is none.
    pub const fn also(&self) -> &'static str {
        self.also
    }

    /// Tells whether shares are disjoint, where there are enough CPUs for one each.
    pub const fn is_disjoint(&self) -> bool {
        self.disjoint
    }

    pub(in crate::solve::cpus) fn deal(&self, pool: &CpuPool<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
        (self.deal)(pool, remarks)
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
