//! Cuts through a set of GPUs: the NVLink bandwidth from each part of the set to the rest.

use super::MAX_EXACT;
use super::fabric::Fabric;
use crate::bits::members;

/// Calls with each cut through the set: the members on one side, as bits (never empty, never all), and the MB/s that
/// they can send to the other side. Each cut comes once, with the last member on the other side; capacities are the
/// same from both sides.
pub(super) fn each(fabric: &Fabric, mut call: impl FnMut(u32, u64)) {
    let count = fabric.count;
    let degree: Vec<u64> =
        (0..count).map(|a| (0..count).map(|b| u64::from(fabric.units(a, b))).sum()).collect();
    let mut direct = vec![0u64; 1 << (count - 1)];
    let totals: Vec<u64> = fabric.planes.iter().map(|ports| ports.iter().sum()).collect();
    for set in 1..1usize << (count - 1) {
        let low = set.trailing_zeros() as usize;
        let rest = set & (set - 1);
        let (mut inside, mut left) = (0, rest);
        while left != 0 {
            inside += u64::from(fabric.units(low, left.trailing_zeros() as usize));
            left &= left - 1;
        }
        direct[set] = direct[rest] + degree[low] - 2 * inside;
        let ports: u64 = fabric
            .planes
            .iter()
            .zip(&totals)
            .map(|(ports, total)| {
                let here: u64 = members(set as u128).map(|a| ports[a]).sum();
                here.min(total - here)
            })
            .sum();
        call(set as u32, direct[set] * fabric.unit + ports);
    }
}

/// Returns the least capacity of any cut, in MB/s. Beyond [`MAX_EXACT`] GPUs only cuts around single GPUs are examined.
pub(super) fn least(fabric: &Fabric) -> u64 {
    let single = (0..fabric.count).map(|member| fabric.degree(member)).min().unwrap_or(0);
    if fabric.count > MAX_EXACT {
        return single;
    }
    // The least port rate of all members to a switch crosses every cut.
    let all: u64 = fabric.planes.iter().map(|ports| ports.iter().copied().min().unwrap_or(0)).sum();
    if single <= all {
        return single;
    }
    let mut least = single;
    each(fabric, |_, capacity| least = least.min(capacity));
    least
}
