//! Rates that NCCL plans with, in MB/s.
//!
//! Source: NCCL 2.30, `src/graph/topo.h` (rates of links) and `src/graph/search.cc` (speeds of rings).

use super::rings::MAX_HOST_RINGS;

/// Wire rate and planned rate of one NVLink: P100, V100 to H100, bridges of RTX A6000, and B200.
const NVLINK: [(u64, u64); 4] = [(20_000, 18_000), (25_000, 20_000), (14_062, 12_000), (50_000, 40_100)];

/// The speeds of rings that are tried, the greatest first.
pub(super) const SPEEDS: [u64; 13] =
    [40_000, 30_000, 20_000, 18_000, 15_000, 12_000, 10_000, 9_000, 7_000, 6_000, 5_000, 4_000, 3_000];

/// Returns the rate that NCCL plans with for an NVLink of a wire rate; four fifths of it for an unknown NVLink.
pub(super) fn nvlink(carries: u64) -> u64 {
    NVLINK.iter().find(|(wire, _)| *wire == carries).map_or(carries * 4 / 5, |(_, planned)| *planned)
}

/// Returns the rate that NCCL plans with for a PCIe link of a wire rate.
pub(super) fn pcie(carries: u64) -> u64 {
    carries * 12_000 / 15_753
}

/// Returns the wire rate of PCIe for a rate that NCCL plans with.
pub(super) fn pcie_wire(planned: u64) -> u64 {
    planned * 15_753 / 12_000
}

/// Returns the most that rings of one speed carry out of a GPU where each of them uses PCIe somewhere, in MB/s of the
/// wires: over direct NVLinks, by the rate to each other GPU, and over its PCIe link. `widest` is the widest PCIe link
/// of all.
pub(crate) fn most_beside_pcie(nvlinks: &(impl Iterator<Item = u64> + Clone), host: u64, widest: u64) -> u64 {
    let rings = |speed: u64| {
        // NCCL plans with nine tenths of an NVLink at most, and with four fifths at least.
        let direct: u64 = nvlinks.clone().map(|carries| carries * 9 / 10 / speed).sum();
        (direct + pcie(host) / speed).min(MAX_HOST_RINGS)
    };
    let speeds = SPEEDS.into_iter().filter(|speed| *speed <= pcie(widest));
    // A little above five fourths, since the rates that are planned with are rounded down.
    speeds.map(|speed| (rings(speed) * speed * 1252).div_ceil(1000)).max().unwrap_or(0).max(widest)
}

/// Returns a bound on that by the sum of the rates alone.
pub(crate) fn most_by_sum(nvlinks: u64, widest: u64) -> u64 {
    ((nvlinks * 9 / 10 + pcie(widest)) * 1252).div_ceil(1000).max(widest)
}
