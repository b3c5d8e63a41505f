//! Upper bounds on the bandwidth of NVLink among the GPUs of a partial set.

use crate::model::{PathType, Topology};
use crate::query::{Weight, most_beside_pcie};
use crate::solve::search::objective::{Partial, pairs};
use crate::solve::search::set::{Set, members};
use crate::units::Bandwidth;

/// Returns an upper bound on the NVLink rate of the weakest member of any set that extends the chosen ones; 0 if NVLink does not
/// connect enough GPUs with the chosen ones.
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

/// Returns whether the NVLinks of these GPUs among each other are known, with their rates.
pub(super) fn nvlinks_are_known(topology: &Topology, gpus: &[usize]) -> bool {
    topology.nvlink_known() && pairs(topology, gpus).all(|pair| pair.nvlinks == 0 || pair.rate.is_some())
}

/// Returns an upper bound on the rings that leave NVLink, several of them together, out of each member over its NVLinks and its
/// PCIe link, if that may exceed the known bound. 0 if only one ring counts.
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
