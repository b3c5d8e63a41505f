//! Rates that NCCL plans with, in MB/s.
//!
//! Source: NCCL 2.30, `src/graph/search.cc` (speeds of rings). The rates of links are in `model::rates`.

use super::rings::MAX_HOST_RINGS;
use crate::model::rates;
use crate::units::Bandwidth;

/// The speeds of rings that are tried, the greatest first.
pub(super) const SPEEDS: [u64; 13] =
    [40_000, 30_000, 20_000, 18_000, 15_000, 12_000, 10_000, 9_000, 7_000, 6_000, 5_000, 4_000, 3_000];

/// Returns the rate that NCCL plans with for an NVLink of a wire rate; four fifths of it for an unknown NVLink.
pub(super) fn nvlink(carries: u64) -> u64 {
    rates::planned_nvlink(Bandwidth::from_mb_per_s(carries)).as_mb_per_s()
}

/// Returns the rate that NCCL plans with for a PCIe link of a wire rate.
pub(super) fn pcie(carries: u64) -> u64 {
    rates::planned_pcie(Bandwidth::from_mb_per_s(carries)).as_mb_per_s()
}

/// Returns the wire rate of PCIe for a rate that NCCL plans with.
pub(super) fn pcie_wire(planned: u64) -> u64 {
    planned * 15_753 / 12_000
}

/// The rings of each speed that links have room for, as far as they count: in 16 bytes, which processors add at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room([u8; 16]);

impl Room {
    /// Returns the room of direct NVLinks of a wire rate between two GPUs. NCCL plans with nine tenths of it at most, and
    /// with four fifths at least.
    pub(crate) fn of_nvlinks(carries: u64) -> Self {
        Self::of(carries * 9 / 10)
    }

    /// Returns the room of a PCIe link of a wire rate.
    pub(crate) fn of_pcie(carries: u64) -> Self {
        Self::of(pcie(carries))
    }

    fn of(planned: u64) -> Self {
        let rings = |speed: &u64| (1..=MAX_HOST_RINGS).filter(|rings| rings * speed <= planned).count() as u8;
        Self(std::array::from_fn(|at| SPEEDS.get(at).map_or(0, rings)))
    }

    /// Returns the room of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(more);
        }
        self
    }

    /// Returns the most that rings of one speed carry out of a GPU with this room where each of them uses PCIe somewhere,
    /// in MB/s of the wires. `widest` is the widest PCIe link of all, `link` the rate of each NVLink; 0 where they differ.
    pub(crate) fn most_beside_pcie(self, widest: u64, link: u64) -> u64 {
        let (host, mut carried) = (pcie(widest), 0);
        for (speed, rings) in SPEEDS.into_iter().zip(self.0).skip_while(|(speed, _)| *speed > host) {
            if speed * MAX_HOST_RINGS <= carried {
                break;
            }
            carried = carried.max(u64::from(rings).min(MAX_HOST_RINGS) * speed);
        }
        // A little above five fourths where the rates that are planned with may be rounded down.
        let (wire, planned) = if link > 0 { (link, nvlink(link).max(1)) } else { (1252, 1000) };
        (carried * wire).div_ceil(planned).max(widest)
    }
}
