//! Equal, disjoint shares of the near cores, each spread over the caches.

use super::dealer::CpuPolicy;
use crate::solve::cpus::deal::{Arrangement, deal_near};

pub(super) const POLICY: CpuPolicy = CpuPolicy {
    name: "scattered",
    summary: "as exclusive, with the cores of each share spread over the level 3 caches",
    also: "scatter",
    disjoint: true,
    deal: |ground, remarks| deal_near(ground, Arrangement::Apart, remarks),
};
