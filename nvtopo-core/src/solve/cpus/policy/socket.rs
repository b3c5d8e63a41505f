//! All CPUs of the packages that the GPU's near CPUs are on, shared with the other GPUs there.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::cores::packages;
use crate::solve::cpus::ground::Ground;

pub(super) const POLICY: CpuPolicy = CpuPolicy {
    name: "socket",
    summary: "all CPUs of the package near the GPU, shared by all GPUs there",
    also: "package",
    disjoint: false,
    deal,
};

fn deal(ground: &Ground<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let packages = packages(ground.topology);
    let of = |near: &CpuSet| {
        let touched = packages.iter().filter(|package| !package.is_disjoint(near));
        touched.fold(near.clone(), |all, package| all.union(&package.intersection(&ground.usable)))
    };
    if packages.is_empty() {
        remarks.push("which CPUs are of one package is unknown; those near each GPU are taken".to_owned());
    }
    ground.near.iter().map(of).collect()
}
