//! Bounds of what NVLink carries among GPUs of which some are still to be chosen.

use crate::model::{PathType, Topology};
use crate::query::{Weight, most_beside_pcie};
use crate::solve::search::objective::{Partial, pairs};
use crate::solve::search::set::{Set, members};
use crate::units::Bandwidth;

/// What the weakest member of any set that extends the chosen ones can send over NVLink at most; nothing where NVLink does
/// not connect enough GPUs with the chosen ones.
pub(super) fn weakest(partial: &Partial<'_>) -> Weight {
    let links = partial.weights.links();
    let all: Set = partial.chosen | partial.open;
    if partial.chosen != 0 {
        let first = partial.chosen.trailing_zeros() as usize;
        let connected = links.connected(first, all);
        if partial.chosen & !connected != 0 || (connected.count_ones() as usize) < partial.size() {
            return Weight::default();
        }
    }
    let sends = |gpu: usize| {
        let bandwidth = Bandwidth::from_mb_per_s(links.degree(gpu, all));
        if bandwidth == Bandwidth::ZERO { Weight::default() } else { Weight::over(bandwidth, PathType::Nvl) }
    };
    let chosen = members(partial.chosen).map(sends).min().unwrap_or(Weight::MAX);
    chosen.min(partial.worst_to_join(sends))
}

/// Whether it is known which NVLinks these GPUs have among each other, and what each carries.
pub(super) fn nvlinks_are_known(topology: &Topology, gpus: &[usize]) -> bool {
    topology.nvlink_known() && pairs(topology, gpus).all(|pair| pair.nvlinks == 0 || pair.rate.is_some())
}

/// What rings that leave NVLink carry at most, several of them together, if that may be more than what is known already: out
/// of each member over its NVLinks and its PCIe link. Nothing where no more than one ring counts.
pub(super) fn beyond(partial: &Partial<'_>, known: Weight) -> Weight {
    let links = partial.weights.links();
    let all: Set = partial.chosen | partial.open;
    let most = partial.weights.topology().host_rings(partial.size());
    let widest = members(all).map(|gpu| links.host(gpu)).max().unwrap_or(0);
    if most < 2 || known.bandwidth() > Bandwidth::from_mb_per_s(widest).times(most) || !links.any_direct(all)
    {
        return Weight::default();
    }
    let sends = |gpu: usize| {
        let most = most_beside_pcie(&links.direct(gpu, all), links.host(gpu), widest);
        Weight::over(Bandwidth::from_mb_per_s(most), PathType::Pix)
    };
    let chosen = members(partial.chosen).map(sends).min().unwrap_or(Weight::MAX);
    chosen.min(partial.worst_to_join(sends))
}
