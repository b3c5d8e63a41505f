//! Upper bounds on the bandwidth of NVLink among the GPUs of a partial set.

use crate::model::{PathType, Topology};
use crate::query::Weight;
use crate::solve::search::objective::{Partial, pairs};
use crate::solve::search::set::{self, Set, members};
use crate::solve::search::value::Value;
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
    let sends = |gpu: usize| over_nvlink(links.degree(gpu, all));
    let chosen = members(partial.chosen).map(sends).min().unwrap_or(Weight::MAX);
    chosen.min(partial.worst_to_join(sends))
}

/// Returns the weight of a rate in MB/s over NVLink; none where it is 0.
pub(super) fn over_nvlink(rate: u64) -> Weight {
    if rate == 0 { Weight::default() } else { Weight::over(Bandwidth::from_mb_per_s(rate), PathType::Nvl) }
}

/// Returns the value of the rings of a set where a short search finds those over direct links that carry the most they could, and
/// NCCL takes no others.
pub(super) fn direct(weights: &Weights, set: Set) -> Option<Value> {
    let links = weights.links();
    let (most, narrow) = links.direct_rings(links.cuts()?, set)?;
    let wide = weights.topology().quick_rings(&weights.positions(set), Bandwidth::from_mb_per_s(most))?;
    (narrow || wide).then(|| over_nvlink(most).into())
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
        let most = partial.weights.room(gpu, all).most_beside_pcie(widest, links.link());
        Weight::over(Bandwidth::from_mb_per_s(most), PathType::Pix)
    };
    let chosen = members(partial.chosen).map(sends).min().unwrap_or(Weight::MAX);
    chosen.min(partial.worst_to_join(sends))
}

/// Upper bounds on what rings of one size carry that use another path than NVLink somewhere.
pub(super) struct Beside<'a> {
    weights: &'a Weights,
    /// Of one ring alone.
    single: Bandwidth,
    /// The widest PCIe link.
    widest: u64,
    /// The most rings that count.
    several: u64,
}

impl<'a> Beside<'a> {
    pub(super) fn of(weights: &'a Weights, size: usize) -> Self {
        let (links, all) = (weights.links(), set::all(weights.gpus()));
        let apart = |a: usize| {
            let others = members(all & !(1 << a)).filter(move |b| !links.has_direct(a, 1 << b));
            others.map(move |b| weights.between(a, b).bandwidth())
        };
        let single = members(all).flat_map(apart).max().unwrap_or(Bandwidth::ZERO);
        Self { weights, single, widest: weights.widest_host(), several: links.host_rings(size) }
    }

    /// Returns the bound for every set.
    pub(super) fn any(&self) -> Bandwidth {
        let several = if self.several > 1 { self.widest * self.several } else { 0 };
        self.single.max(Bandwidth::from_mb_per_s(several))
    }

    /// Returns whether it is no more than a bandwidth for one set.
    pub(super) fn within(&self, carried: Bandwidth, set: Set) -> bool {
        let sends = |gpu: usize| {
            self.weights.room(gpu, set).most_beside_pcie(self.widest, self.weights.links().link())
        };
        let weak = |gpu: usize| carried >= Bandwidth::from_mb_per_s(sends(gpu));
        if carried >= self.single && (self.several < 2 || members(set).any(weak)) {
            return true;
        }
        let gpus = self.weights.positions(set);
        match self.weights.topology().most_beside_nvlink(&gpus, self.widest) {
            Some(Bandwidth::ZERO) => true,
            most => most.is_some_and(|most| carried >= most.max(self.single)),
        }
    }
}
