//! Upper bounds on the bandwidth of NVLink among the GPUs of a partial set.

use crate::bits::component;
use crate::model::{PathType, Topology};
use crate::query::Weight;
use crate::solve::search::objective::{Partial, pairs};
use crate::solve::search::set::{Set, members};
use crate::solve::search::value::Value;
use crate::solve::search::weights::Weights;
use crate::units::Bandwidth;

/// Returns the candidates that can be in a set together with all chosen ones if it must be connected by some pairs, given as the
/// neighbours of each candidate.
pub(super) fn connected(near: &[Set], partial: &Partial<'_>) -> Set {
    let all = partial.chosen | partial.open;
    let mut left = if partial.chosen == 0 { all } else { partial.chosen & partial.chosen.wrapping_neg() };
    let mut connected = 0;
    while left != 0 {
        let part = component(near, left.trailing_zeros() as usize, all);
        if partial.chosen & !part == 0 && part.count_ones() as usize >= partial.size() {
            connected |= part;
        }
        left &= !part;
    }
    connected
}

/// Returns an upper bound on the NVLink rate of the weakest member of any set that extends the chosen ones; 0 if NVLink does not
/// connect enough GPUs with the chosen ones.
pub(super) fn weakest(partial: &Partial<'_>) -> Weight {
    let links = partial.weights.links();
    let all: Set = partial.chosen | partial.open;
    let connected = connected(&links.near, partial);
    if connected == 0 {
        return Weight::default();
    }
    let sends = |gpu: usize| {
        let inside = connected >> gpu & 1 == 1;
        if inside { over_nvlink(links.degree(gpu, all)) } else { Weight::default() }
    };
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
    let cuts = weights.links().cuts()?;
    let (most, narrow) = cuts.direct_rings(set, cuts.least(set))?;
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
        let most = partial.weights.room(gpu, all).most_beside_pcie(widest, links.link);
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
        let links = weights.links();
        let mut single = Bandwidth::ZERO;
        for (a, b) in (0..weights.gpus()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            if links.between(a, b).min(links.between(b, a)) == 0 {
                single = single.max(weights.between(a, b).bandwidth());
            }
        }
        Self { weights, single, widest: weights.widest_host(), several: links.host_rings(size) }
    }

    /// Returns the bound for every set.
    pub(super) fn any(&self) -> Bandwidth {
        let several = if self.several > 1 { self.widest * self.several } else { 0 };
        self.single.max(Bandwidth::from_mb_per_s(several))
    }

    /// Returns whether the bound for one set is no more than a bandwidth.
    pub(super) fn within(&self, carried: Bandwidth, set: Set) -> bool {
        let sends =
            |gpu: usize| self.weights.room(gpu, set).most_beside_pcie(self.widest, self.weights.links().link);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_of_a_short_search_are_those_of_the_whole_search() {
        // Meshes of eight GPUs with 0 to 2 links between each two, all of them different.
        let mut state = 1u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let names: Vec<String> = (0..8).map(|gpu| format!("GPU{gpu}")).collect();
        let (mut short, mut tight) = (0, 0);
        for _ in 0..12 {
            let mut cells = vec![vec!["SYS"; 8]; 8];
            for (a, b) in (0..8).flat_map(|b| (0..b).map(move |a| (a, b))) {
                let cell = ["SYS", "NV1", "NV1", "NV2", "NV2"][draw(5) as usize];
                (cells[a][b], cells[b][a]) = (cell, cell);
            }
            let rows: Vec<String> = (0..8)
                .map(|gpu| {
                    cells[gpu][gpu] = " X ";
                    format!("GPU{gpu}\t{}\t0-7\t0", cells[gpu].join("\t"))
                })
                .collect();
            let text = format!("\t{}\tCPU Affinity\tNUMA Affinity\n{}\n", names.join("\t"), rows.join("\n"));
            let topology = Topology::parse("mesh", text.as_bytes()).unwrap();
            let weights = Weights::of(&topology, &(0..8).collect::<Vec<_>>());
            for set in (0..256).filter(|set: &Set| set.count_ones() > 2) {
                let rings = topology.rings(&weights.positions(set)).unwrap();
                let cuts = weights.links().cuts().unwrap();
                if let Some((most, _)) = cuts.direct_rings(set, cuts.least(set)) {
                    let most = Bandwidth::from_mb_per_s(most);
                    assert!(
                        rings.bandwidth <= most && rings.path <= Some(PathType::Nvb),
                        "{set:b}: {rings:?}\n{text}"
                    );
                    tight += usize::from(most < Bandwidth::from_mb_per_s(cuts.least(set)));
                }
                let Some(value) = direct(&weights, set) else { continue };
                assert!(value.proven && rings.path == Some(PathType::Nvl), "{set:b}: {rings:?}\n{text}");
                let carried = value.worth.bandwidth();
                assert!(rings.bandwidth <= carried && carried <= rings.bound, "{set:b}: {rings:?}\n{text}");
                short += 1;
            }
        }
        assert!(short > 200 && tight > 20, "{short} sets, {tight} bounds");
    }
}
