//! Equal, disjoint shares of the near cores, neighbours together.
//!
//! Whole cores are dealt out first; where there are fewer cores than GPUs, hardware threads; where there are fewer of
//! these too, the GPUs share. Shares of GPUs that compete for the same CPUs differ by one core at most.

use super::dealer::CpuPolicy;
use crate::solve::cpus::deal::{Arrangement, deal_near};

pub(super) const POLICY: CpuPolicy = CpuPolicy {
    name: "exclusive",
    summary: "disjoint shares of the near cores, equal among the GPUs that are near to the same, neighbours together",
    also: "compact",
    disjoint: true,
    deal: |ground, remarks| deal_near(ground, Arrangement::Together, remarks),
};
