//! The rules by which CPUs are dealt out.

use super::limits::{CpuLimits, Smt};
use super::policy::CpuPolicy;
use crate::solve::process::layout::RankLayout;

/// How CPUs are dealt out to the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRules {
    /// By which policy.
    pub policy: CpuPolicy,
    /// Whether siblings are used.
    pub smt: Smt,
    /// Which CPUs there are to deal out.
    pub limits: CpuLimits,
    /// How many GPUs and cores each rank of a plan gets. Shares of GPUs do not go by it.
    pub layout: RankLayout,
}
