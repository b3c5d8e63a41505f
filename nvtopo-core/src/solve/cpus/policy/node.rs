//! All CPUs of the GPU's NUMA node, shared with the other GPUs there.

use super::dealer::CpuPolicy;

pub(super) const POLICY: CpuPolicy = CpuPolicy {
    name: "node",
    summary: "all CPUs near the GPU, those of its NUMA node, shared by all GPUs there",
    also: "numa",
    disjoint: false,
    deal: |ground, _| ground.near.clone(),
};
