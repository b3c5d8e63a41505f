//! Disjoint shares of one size for all GPUs of the machine: what the most crowded place gives is what each gets.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::deal::{Arrangement, deal_near, trim_alike};
use crate::solve::cpus::ground::Ground;

pub(super) const POLICY: CpuPolicy = CpuPolicy {
    name: "balanced",
    summary: "as exclusive, each share cut down to the size of the smallest of the machine",
    also: "",
    disjoint: true,
    deal,
};

fn deal(ground: &Ground<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let mut shares = deal_near(ground, Arrangement::Together, remarks);
    trim_alike(&mut shares, &ground.cores, &ground.classes);
    shares
}
