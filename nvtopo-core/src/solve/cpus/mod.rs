//! The share of each GPU in the CPUs, by the policy that is asked for.
//!
//! Shares are cut over all GPUs of the machine, not over those of one job, so that two jobs never overlap. A GPU is near
//! to the CPUs that a source names, else to those of its NUMA node, else to all. What is near and may be used is worked
//! out in `ground`; how it is dealt out is one file each in `policy/`.

mod cores;
mod deal;
mod distrib;
mod ground;
mod kubelet;
mod memory;
mod policy;
mod reserve;

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::{Share, Shares, Topology};
pub(super) use cores::cores;
pub(super) use deal::{Arrangement, cut, deal, overlapping};
pub use distrib::logical_cpus;
use ground::Ground;
pub use kubelet::Kubelet;
pub(super) use memory::memory_nodes;
pub use policy::{CPU_POLICIES, CpuPolicy};
pub use reserve::nic_interrupt_cpus;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Which CPUs may be given away.
///
/// Those that are switched off are never given, and those that the kernel keeps out of scheduling (`isolcpus`) only where
/// there are no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuLimits {
    /// Only these, besides what the topology itself allows. `None`: no further limit.
    pub allowed: Option<CpuSet>,
    /// These are kept for others: for the system and the kubelet (`reservedSystemCPUs`), for the interrupts of NICs (see
    /// [`nic_interrupt_cpus`]).
    pub reserved: CpuSet,
}

/// Whether the hardware threads of a core are used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Smt {
    /// All threads of a core that may be used.
    #[default]
    All,
    /// The first of them; its siblings stay idle.
    One,
}

impl FromStr for Smt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "one" => Ok(Self::One),
            _ => Err(Error::request(format!("'{text}' threads of a core")).help("there are all and one")),
        }
    }
}

impl fmt::Display for Smt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::One => "one",
        })
    }
}

/// How CPUs are dealt out to the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRules {
    /// By which policy.
    pub policy: CpuPolicy,
    /// Whether siblings are used.
    pub smt: Smt,
    /// Which CPUs there are to deal out.
    pub limits: CpuLimits,
}

/// Deals the CPUs out to the GPUs in equal, disjoint shares of whole cores.
///
/// ```
/// use nvtopo::{CpuLimits, Topology, share_cpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let shares = share_cpus(&dgx, &CpuLimits::default());
/// assert_eq!(shares.gpus[0].cpus.to_string(), "0-13,112-125");
/// assert_eq!(shares.gpus[0].mems.to_string(), "0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn share_cpus(topology: &Topology, limits: &CpuLimits) -> Shares {
    let rules = CpuRules { limits: limits.clone(), ..CpuRules::default() };
    share_cpus_by(topology, &rules)
}

/// Deals the CPUs out to the GPUs by a policy.
///
/// ```
/// use nvtopo::{CpuRules, Smt, Topology, share_cpus_by};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let rules = CpuRules { policy: "node".parse()?, smt: Smt::One, ..CpuRules::default() };
/// assert_eq!(share_cpus_by(&dgx, &rules).gpus[5].cpus.to_string(), "56-111");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn share_cpus_by(topology: &Topology, rules: &CpuRules) -> Shares {
    shares(topology, rules, &every_gpu(topology)).into_owned()
}

/// The shares as a job sees them that runs on its `own` GPUs, one of several on the `claimed` ones.
///
/// A process that was bound to the share of its GPUs keeps it, instead of cutting it once more. GPUs whose near CPUs
/// are all forbidden take from others only where they are claimed: a job elsewhere on the machine has no part here.
pub(super) fn shares_of<'a>(
    topology: &'a Topology,
    rules: &CpuRules,
    own: &[usize],
    claimed: &[usize],
) -> Cow<'a, Shares> {
    let Some(allowed) = &rules.limits.allowed else {
        return shares(topology, rules, claimed);
    };
    let mut unlimited = rules.clone();
    unlimited.limits.allowed = None;
    let whole = shares(topology, &unlimited, claimed);
    let bound = own.iter().fold(CpuSet::new(), |all, gpu| all.union(&whole.gpus[*gpu].cpus));
    if !own.is_empty() && bound == *allowed { whole } else { shares(topology, rules, claimed) }
}

/// The shares; those by the default rules, which most placements ask for, are dealt out once.
pub(super) fn shares<'a>(topology: &'a Topology, rules: &CpuRules, claimed: &[usize]) -> Cow<'a, Shares> {
    if *rules == CpuRules::default() {
        let all = topology.computed().shares.get_or_init(|| deal_out(topology, rules, &every_gpu(topology)));
        if all.strays.iter().all(|stray| claimed.contains(stray)) {
            return Cow::Borrowed(all);
        }
    }
    Cow::Owned(deal_out(topology, rules, claimed))
}

/// For each GPU the usable CPUs near it, none where all of those are kept from it; and the usable CPUs by core.
pub(super) fn near_cpus(topology: &Topology, limits: &CpuLimits) -> (Vec<CpuSet>, Vec<CpuSet>) {
    let rules = CpuRules { limits: limits.clone(), ..CpuRules::default() };
    let ground = Ground::of(topology, &rules, &[], &mut Vec::new());
    (ground.near, ground.cores)
}

fn every_gpu(topology: &Topology) -> Vec<usize> {
    (0..topology.gpus().len()).collect()
}

fn deal_out(topology: &Topology, rules: &CpuRules, claimed: &[usize]) -> Shares {
    let mut remarks = Vec::new();
    let ground = Ground::of(topology, rules, claimed, &mut remarks);
    let cpus = rules.policy.deal(&ground, &mut remarks);
    let share = |(gpu, cpus)| Share { mems: memory_nodes(topology, gpu, &cpus), cpus };
    let gpus = cpus.into_iter().enumerate().map(share).collect();
    Shares { gpus, strays: ground.strays, remarks }
}
