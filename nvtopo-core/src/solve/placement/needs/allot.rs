//! The allotment of supplies to each chosen GPU.

use super::flow::divide;
use super::supply::{Demand, Kind, Place, demands};
use super::{NodeMemory, NodePages, Supply};
use crate::cpuset::CpuSet;
use crate::model::Topology;
use std::cmp::Reverse;

/// The allotment of a GPU. `None`: the resource was not asked for, or its supply is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::solve) struct Allotment {
    pub(in crate::solve) cpus: Option<CpuSet>,
    pub(in crate::solve) memory: Option<Vec<NodeMemory>>,
    pub(in crate::solve) pages: Option<Vec<NodePages>>,
}

/// A GPU that asks for what its job needs.
pub(in crate::solve) struct Asker<'a> {
    /// The position of the GPU.
    pub(in crate::solve) gpu: usize,
    /// The supply for its job.
    pub(in crate::solve) supply: &'a Supply,
    /// The CPUs that it gets first.
    pub(in crate::solve) share: CpuSet,
    /// The CPUs that it gets last.
    pub(in crate::solve) avoid: CpuSet,
}

/// Returns whether the supplies are enough for all of these GPUs.
pub(in crate::solve) fn can_serve(all: &[(usize, &Supply)]) -> bool {
    demands(all).iter().all(|own| divide(&own.needs, &own.stocks_of, &own.stocks).is_some())
}

/// Returns the allotments in the order of the askers; `None` if the supplies are not enough for all.
pub(in crate::solve) fn allot(topology: &Topology, askers: &[Asker<'_>]) -> Option<Vec<Allotment>> {
    let all: Vec<(usize, &Supply)> = askers.iter().map(|asker| (asker.gpu, asker.supply)).collect();
    let mut given = vec![Allotment::default(); askers.len()];
    // CPUs come first: memory is then taken local to them.
    for mut demand in demands(&all) {
        for (consumer, stocks) in demand.consumers.iter().zip(&mut demand.stocks_of) {
            let (share, own) = (&askers[*consumer].share, given[*consumer].cpus.as_ref());
            let cpus = own.unwrap_or(share);
            stocks.sort_by_cached_key(|stock| match &demand.places[*stock] {
                Place::Nics => false,
                Place::Cpus(part) => part.is_disjoint(share),
                Place::Node(node) => {
                    !topology.numa_nodes().any(|numa| numa.os_index == *node && !numa.cpus.is_disjoint(cpus))
                }
            });
        }
        let drawn = divide(&demand.needs, &demand.stocks_of, &demand.stocks)?;
        if demand.kind == Kind::Cpus {
            for (consumer, cpus) in demand.consumers.iter().zip(hand_out(&demand, &drawn, askers)) {
                given[*consumer].cpus = Some(cpus);
            }
        }
        for (consumer, amounts) in demand.consumers.iter().zip(&drawn) {
            let of_node = |(place, amount): (&Place, &u64)| Some((place.node()?, *amount));
            let mut parts: Vec<(u32, u64)> = demand.places.iter().zip(amounts).filter_map(of_node).collect();
            parts.retain(|(_, amount)| *amount > 0);
            parts.sort_unstable();
            let (given, parts) = (&mut given[*consumer], parts.into_iter());
            match demand.kind {
                Kind::Cpus | Kind::Nics => {}
                Kind::Memory => {
                    given.memory = Some(parts.map(|(node, bytes)| NodeMemory { node, bytes }).collect());
                }
                Kind::Pages(size) => {
                    let pages = parts.map(|(node, count)| NodePages { node, size, count });
                    given.pages.get_or_insert_default().extend(pages);
                }
            }
        }
    }
    Some(given)
}

/// Returns the CPUs of each consumer, with the drawn number from each part: of its own share first, and of the CPUs to avoid last.
fn hand_out(demand: &Demand, drawn: &[Vec<u64>], askers: &[Asker<'_>]) -> Vec<CpuSet> {
    let mut given = vec![CpuSet::new(); demand.consumers.len()];
    for (stock, place) in demand.places.iter().enumerate() {
        let Place::Cpus(part) = place else { continue };
        let mut free = part.clone();
        let mut missing: Vec<usize> = drawn.iter().map(|amounts| amounts[stock] as usize).collect();
        let rounds: [fn(&CpuSet, &Asker<'_>) -> CpuSet; 3] = [
            |free, asker| free.intersection(&asker.share),
            |free, asker| free.difference(&asker.avoid),
            |free, _| free.clone(),
        ];
        for round in rounds {
            for (index, consumer) in demand.consumers.iter().enumerate() {
                if missing[index] == 0 {
                    continue;
                }
                let asker = &askers[*consumer];
                let Supply { cores, caches, .. } = asker.supply;
                let count = missing[index];
                let mut cpus = take(&round(&free, asker), cores, caches, count, &asker.share);
                // It takes from the shares of other GPUs of the job before it uses one more cache.
                let wide = take(&free.difference(&asker.avoid), cores, caches, count, &asker.share);
                let below = |cpus: &CpuSet| caches.iter().filter(|cache| !cache.is_disjoint(cpus)).count();
                if given[index].is_empty() && wide.len() >= cpus.len() && below(&wide) < below(&cpus) {
                    cpus = wide;
                }
                missing[index] -= cpus.len();
                free = free.difference(&cpus);
                given[index] = given[index].union(&cpus);
            }
        }
    }
    given
}

/// Takes `count` CPUs, or all if there are fewer: whole cores of as few level 3 caches as possible, then threads of partly taken
/// cores, under the same caches if possible. Of caches with room, the one with most of a share comes first.
pub(super) fn take(
    free: &CpuSet,
    cores: &[CpuSet],
    caches: &[CpuSet],
    count: usize,
    share: &CpuSet,
) -> CpuSet {
    let mut taken = CpuSet::new();
    let under_one = caches.iter().collect::<CpuSet>();
    // The cores without a known cache are one place.
    let mut places: Vec<CpuSet> = caches.iter().map(|cache| cache.intersection(free)).collect();
    places.push(free.difference(&under_one));
    let whole =
        |place: &CpuSet| -> Vec<&CpuSet> { cores.iter().filter(|core| core.is_subset(place)).collect() };
    while taken.len() < count {
        let missing = count - taken.len();
        let size = |place: &CpuSet| whole(place).iter().map(|core| core.len()).sum::<usize>();
        // The smallest place whose whole cores are enough for the rest, else the one with the most of them.
        let sizes = places.iter().map(|place| (size(place), place.len())).enumerate();
        let fits =
            |(_, (size, all)): &(usize, (usize, usize))| *size >= missing || *size > 0 && *all >= missing;
        let own = |index: usize| Reverse(places[index].intersection(share).len().min(missing));
        let best = sizes
            .clone()
            .filter(fits)
            .min_by_key(|(index, (size, _))| (*size < missing, own(*index), *size, *index));
        let best = best.or_else(|| sizes.max_by_key(|(index, (size, _))| (*size, Reverse(*index))));
        let Some((index, _)) = best.filter(|(_, (size, _))| *size > 0) else { break };
        let before = taken.len();
        for core in whole(&places[index]) {
            if taken.len() + core.len() <= count {
                taken = taken.union(core);
            }
        }
        if taken.len() == before {
            // Less than a core is missing.
            break;
        }
        places[index] = CpuSet::new();
    }
    let left = free.difference(&taken);
    let mut broken: Vec<CpuSet> =
        cores.iter().map(|core| core.intersection(&left)).filter(|core| !core.is_empty()).collect();
    let touched =
        |core: &CpuSet| caches.iter().any(|cache| !cache.is_disjoint(core) && !cache.is_disjoint(&taken));
    broken.sort_by_cached_key(|core| (!touched(core), core.len()));
    for cpu in broken.iter().flat_map(CpuSet::iter).take(count - taken.len()).collect::<Vec<_>>() {
        taken.insert(cpu);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn whole_cores_come_first() {
        let cores = [set("0,8"), set("1,9"), set("2,10"), set("3,11")];
        let take = |free: &str, count| take(&set(free), &cores, &[], count, &CpuSet::new());
        assert_eq!(take("0-3,8-11", 4), set("0-1,8-9"));
        assert_eq!(take("0-3,8-11", 5), set("0-2,8-9"));
        // A core with one thread taken comes last, wherever it is.
        assert_eq!(take("0-3,9-11", 3), set("0-1,9"));
        assert_eq!(take("0-3,8-10", 3), set("0,3,8"));
        assert_eq!(take("0-3,8-10", 1), set("3"));
        assert_eq!(take("0-1", 3), set("0-1"));
    }

    #[test]
    fn cores_of_one_cache_come_before_those_of_several() {
        let cores: Vec<CpuSet> = (0..12).map(|core| CpuSet::from_iter([core, core + 12])).collect();
        let caches = [set("0-3,12-15"), set("4-7,16-19"), set("8-11,20-23")];
        let take_by = |share: &str, free: &str, count| {
            take(&set(free), &cores, &caches, count, &set(share)).to_string()
        };
        let take = |free: &str, count| take_by("", free, count);
        // Cores 2 and 3 would straddle.
        assert_eq!(take("2-7,14-19", 6), "4-6,16-18");
        // Two cores fit where only two are left.
        assert_eq!(take("2-11,14-23", 4), "2-3,14-15");
        // More than a cache: one whole, and the rest from the smallest place with room.
        assert_eq!(take("2-11,14-23", 12), "2-7,14-19");
        // Half a core is taken where the whole ones are taken.
        assert_eq!(take("2-11,14-23", 5), "4-6,16-17");
        assert_eq!(take("2-11,14-23", 100), "2-11,14-23");
        // Of two caches with room, the one with most of its share.
        assert_eq!(take_by("6-10,18-22", "4-11,16-23", 8), "8-11,20-23");
        assert_eq!(take_by("6,18", "4-11,16-23", 8), "4-7,16-19");
    }
}
