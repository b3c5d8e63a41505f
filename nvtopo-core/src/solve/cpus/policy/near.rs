//! Policies that keep to the CPUs near each GPU.
//!
//! Whole cores are dealt out first; where there are fewer cores than GPUs, hardware threads; where there are fewer of
//! these too, the GPUs share. Shares of GPUs that compete for the same CPUs differ by one core at most.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::cores::packages;
use crate::solve::cpus::deal::{Arrangement, deal_near, trim_alike};
use crate::solve::cpus::pool::CpuPool;

/// Shares of neighbouring cores.
pub(super) const EXCLUSIVE: CpuPolicy = CpuPolicy::new(
    "exclusive",
    "disjoint shares of the near cores, equal among the GPUs that are near to the same, neighbours together",
    |pool, remarks| deal_near(pool, Arrangement::Together, remarks),
)
.or("compact");

pub(super) const SCATTERED: CpuPolicy = CpuPolicy::new(
    "scattered",
    "as exclusive, with the cores of each share spread over the level 3 caches",
    |pool, remarks| deal_near(pool, Arrangement::Apart, remarks),
)
.or("scatter");

/// Shares of equal size: that of the most crowded place.
pub(super) const BALANCED: CpuPolicy = CpuPolicy::new(
    "balanced",
    "as exclusive, each share cut down to the size of the smallest of the machine",
    |pool, remarks| {
        let mut shares = deal_near(pool, Arrangement::Together, remarks);
        trim_alike(&mut shares, &pool.cores, &pool.classes);
        shares
    },
);

pub(super) const NODE: CpuPolicy = CpuPolicy::new(
    "node",
    "all CPUs near the GPU, those of its NUMA node, shared by all GPUs there",
    |pool, _| pool.near.clone(),
)
.or("numa")
.shared();

pub(super) const SOCKET: CpuPolicy =
    CpuPolicy::new("socket", "all CPUs of the package near the GPU, shared by all GPUs there", of_packages)
        .or("package")
        .shared();

fn of_packages(pool: &CpuPool<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let packages = packages(pool.topology);
    let of = |near: &CpuSet| {
        let touched = packages.iter().filter(|package| !package.is_disjoint(near));
        touched.fold(near.clone(), |all, package| all.union(&package.intersection(&pool.usable)))
    };
    if packages.is_empty() {
        remarks.push("which CPUs are of one package is unknown; those near each GPU are taken".to_owned());
    }
    pool.near.iter().map(of).collect()
}
