//! The division of the machine's CPUs that `hwloc-distrib` makes for as many processes as there are GPUs. The places of
//! the GPUs do not count.

use super::dealer::CpuPolicy;
use crate::solve::cpus::tree::distribute;

pub(super) const POLICY: CpuPolicy = CpuPolicy::new(
    "hwloc-distrib",
    "what hwloc-distrib gives as many processes as there are GPUs, wherever these are",
    |pool, remarks| {
        let gpus = pool.near.len();
        if gpus > pool.usable.len() {
            remarks.push("some GPUs share CPUs: there are fewer than one for each".to_owned());
        }
        let mut sets = distribute(pool.topology, &pool.usable, gpus);
        sets.resize_with(gpus, Default::default);
        sets
    },
);
