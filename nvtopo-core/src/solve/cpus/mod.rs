//! The share of each GPU in the CPUs, by a policy.
//!
//! Shares are cut over all GPUs of the machine, not over those of one job, so that two jobs never overlap. A GPU is
//! near to the CPUs that a source names, else to those of its NUMA node, else to all. `pool` computes the near and
//! usable CPUs; each policy is a file in `policy/`.

mod classes;
mod cores;
mod deal;
mod distances;
mod kubelet;
mod limits;
mod memory;
mod policy;
mod pool;
mod reserve;
pub(super) mod shares;
mod tree;

use crate::cpuset::CpuSet;
use crate::model::Topology;
use crate::solve::process::no_gpu;
pub use classes::core_classes;
pub(super) use classes::{CoreClasses, remarks as cpu_remarks, unbalanced};
pub(super) use cores::{core_groups, cores, own_cores, packages as package_cpus};
pub use deal::split_cpus;
pub(super) use deal::{Arrangement, deal, overlapping, split};
pub use kubelet::{Kubelet, KubeletCpus};
pub use limits::{Cores, CpuLimits, Isolated, Smt};
pub(super) use memory::{all_memory, memory_beside, memory_nodes};
pub use policy::{CPU_POLICIES, CpuPolicy};
use pool::CpuPool;
pub(super) use pool::usable_by_all;
pub use reserve::nic_interrupt_cpus;
pub use shares::CpuRules;
use shares::{Share, Shares};
use std::borrow::Cow;
pub use tree::logical_cpus;

/// Deals the CPUs out to the GPUs by a policy: by default, in equal, disjoint shares of whole cores.
///
/// ```
/// use nvtopo::{CpuRules, Smt, Topology, share_cpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let shares = share_cpus(&dgx, &CpuRules::default());
/// assert_eq!(shares.gpus[0].cpus.to_string(), "0-13,112-125");
/// assert_eq!(shares.gpus[0].mems.to_string(), "0");
/// let rules = CpuRules { policy: "node".parse()?, smt: Smt::One, ..CpuRules::default() };
/// assert_eq!(share_cpus(&dgx, &rules).gpus[5].cpus.to_string(), "56-111");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn share_cpus(topology: &Topology, rules: &CpuRules) -> Shares {
    let mut shares = shares(topology, rules, &every_gpu(topology));
    let names = (0..shares.gpus.len()).map(|gpu| topology.device_name(gpu));
    let sets = names.zip(shares.gpus.iter().map(|share| &share.cpus));
    shares.remarks.extend(classes::remarks(topology, sets));
    if shares.gpus.is_empty() {
        shares.remarks.push(no_gpu(topology));
    }
    shares
}

/// The usable CPUs, as the search for a job uses them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NearCpus {
    /// The CPUs near each GPU; empty where none of these may be used.
    pub(super) near: Vec<CpuSet>,
    /// The usable CPUs by core.
    pub(super) cores: Vec<CpuSet>,
    /// The usable CPUs by level 3 cache, as far as that is known.
    pub(super) caches: Vec<CpuSet>,
}

/// Returns the usable CPUs within limits.
pub(super) fn near_cpus(topology: &Topology, limits: &CpuLimits) -> NearCpus {
    let rules = CpuRules::from(limits);
    let pool = CpuPool::of(topology, &rules.limits, rules.smt, &[], &mut Vec::new());
    let (complexes, _) = cores::complexes(topology, &pool.cores);
    let union = |cores: Vec<CpuSet>| cores.iter().collect::<CpuSet>();
    NearCpus { near: pool.near, cores: pool.cores, caches: complexes.into_iter().map(union).collect() }
}

/// Returns the usable CPUs by core, near ones together, whatever GPUs there are.
pub(super) fn usable_cores(topology: &Topology, rules: &CpuRules, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    // Remarks on GPUs do not matter here.
    let pool = CpuPool::of(topology, &rules.limits, rules.smt, &[], &mut Vec::new());
    if !pool.isolated.is_empty() {
        remarks.push(format!(
            "CPUs {} are left out because they are isolated (isolcpus or an isolated cpuset); they are used only where that is \
             asked for",
            pool.isolated
        ));
    }
    cores(topology, &pool.usable, remarks)
}

/// Groups cores by their class, the fastest first.
pub(super) fn by_class(topology: &Topology, cores: &[CpuSet]) -> Vec<Vec<CpuSet>> {
    CoreClasses::of(topology).divide(cores).into_iter().map(Cow::into_owned).collect()
}

fn every_gpu(topology: &Topology) -> Vec<usize> {
    (0..topology.gpus().len()).collect()
}

/// Computes the shares of all GPUs. Of those near which no CPU may be used, the claimed ones take others.
pub(super) fn shares(topology: &Topology, rules: &CpuRules, claimed: &[usize]) -> Shares {
    let mut remarks = Vec::new();
    let pool = CpuPool::of(topology, &rules.limits, rules.smt, claimed, &mut remarks);
    let cpus = rules.policy.deal(&pool, &mut remarks);
    let memory = memory_nodes(topology);
    let share = |(gpu, cpus)| Share { mems: memory(gpu, &cpus), cpus };
    let gpus = cpus.into_iter().enumerate().map(share).collect();
    remarks.extend(memory::remark(topology, claimed));
    Shares { gpus, strays: pool.strays, remarks }
}
