//! Disjoint shares of one size for all GPUs of the machine: what the most crowded place gives is what each gets.

use super::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::deal::{Arrangement, count_cores, deal_near, trim};
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
    let taken = shares.iter().filter(|share| !share.is_empty());
    let least = taken.map(|share| count_cores(share, &ground.cores)).min().unwrap_or(0);
    trim(&mut shares, &ground.cores, least);
    shares
}
