//! Upper bounds on the bandwidth of NVLink among the GPUs of a partial set.

use crate::model::{PathType, Topology};
use crate::query::{Weight, most_beside_pcie, most_by_sum};
use crate::solve::search::objective::{Partial, pairs};
use crate::solve::search::set::{self, Set, members};
use crate::solve::search::weights::Weights;
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
    let most = links.host_rings(partial.size());
    if most < 2 {
        return Weight::default();
    }
    let host = |gpu: usize| partial.weights.host(gpu);
    let widest = members(all).map(host).max().unwrap_or(0);
    if known.bandwidth() > Bandwidth::from_mb_per_s(widest).times(most) || !links.any_direct(all) {
        return Weight::default();
    }
    let sends = |gpu: usize| {
        let most = most_beside_pcie(&links.direct(gpu, all), host(gpu), widest);
        Weight::over(Bandwidth::from_mb_per_s(most), PathType::Pix)
    };
    let chosen = members(partial.chosen).map(sends).min().unwrap_or(Weight::MAX);
    chosen.min(partial.worst_to_join(sends))
}

/// Returns an upper bound on what rings of one size carry that use another path than NVLink somewhere: through one set, or through
/// any.
pub(super) fn beside_nvlink(weights: &Weights, size: usize) -> impl Fn(Option<Set>) -> Bandwidth {
    let (links, all) = (weights.links(), set::all(weights.gpus()));
    let apart = |a: usize| {
        let others = members(all & !(1 << a)).filter(move |b| !links.has_direct(a, 1 << b));
        others.map(move |b| weights.between(a, b).bandwidth())
    };
    let single = members(all).flat_map(apart).max().unwrap_or(Bandwidth::ZERO);
    let widest = members(all).map(|gpu| weights.host(gpu)).max().unwrap_or(0);
    let several = links.host_rings(size);
    move |set| {
        let degree = |set: Set| members(set).map(|gpu| links.degree(gpu, set)).min();
        let most = set.and_then(degree).map_or(u64::MAX, |degree| most_by_sum(degree, widest));
        let most = if several > 1 { most.min(widest * several) } else { 0 };
        single.max(Bandwidth::from_mb_per_s(most))
    }
}
