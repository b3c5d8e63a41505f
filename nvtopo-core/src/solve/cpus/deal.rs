//! The division of CPUs into disjoint shares of whole cores, as equal as possible.

use super::classes::CoreClasses;
use super::cores::cores;
use super::pool::CpuPool;
use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::error::{Error, Result};
use crate::model::Topology;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// Splits CPUs into parts of about equal size, for the workers of one process. Near cores stay together, and cores stay
/// whole as long as there are enough, equally many of each class; where there are more parts than CPUs, some parts are equal.
///
/// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for more parts than CPUs can be numbered.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let workers = nvtopo::split_cpus(&dgx, &"0-13,112-125".parse()?, 2)?;
/// assert_eq!(workers, ["0-6,112-118".parse()?, "7-13,119-125".parse()?]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn split_cpus(topology: &Topology, cpus: &CpuSet, parts: usize) -> Result<Vec<CpuSet>> {
    let most = MAX_INDEX as usize + 1;
    if parts > most {
        let message = format!("{parts} parts of CPUs are more than the {most} that there can be");
        return Err(Error::request(message));
    }
    Ok(split(topology, cpus, parts))
}

/// Splits CPUs into a number of parts.
pub(in crate::solve) fn split(topology: &Topology, cpus: &CpuSet, parts: usize) -> Vec<CpuSet> {
    let mut units = cores(topology, cpus, &mut Vec::new());
    if parts > units.len() {
        units = units.iter().flat_map(CpuSet::iter).map(|cpu| CpuSet::from_iter([cpu])).collect();
    }
    if parts == 0 || parts > units.len() {
        let one = |part: usize| units.get(part * units.len() / parts).cloned().unwrap_or_default();
        return (0..parts).map(one).collect();
    }
    let mut split = vec![CpuSet::new(); parts];
    // The parts that get one more of a class take turns, so that the totals differ by one at most.
    let mut turn = 0;
    for class in CoreClasses::of(topology).divide(&units) {
        let (each, more) = (class.len() / parts, class.len() % parts);
        let mut units = class.iter();
        for (part, cpus) in split.iter_mut().enumerate() {
            let count = each + usize::from((part + turn) % parts >= parts - more);
            units.by_ref().take(count).for_each(|unit| *cpus |= unit);
        }
        turn += more;
    }
    split
}

/// The cores that a GPU is given among its candidates.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::solve) enum Arrangement {
    /// Neighbours, which share caches.
    Together,
    /// Distant ones, which have the most cache each.
    Apart,
}

/// Cuts the CPUs near each GPU into disjoint parts, group by group; where there are too few, the GPUs of a group share,
/// with a remark.
pub(super) fn deal_near(
    pool: &CpuPool<'_>,
    arrangement: Arrangement,
    remarks: &mut Vec<String>,
) -> Vec<CpuSet> {
    let mut shares = vec![CpuSet::new(); pool.near.len()];
    for group in overlapping(&pool.near) {
        let dealt = deal(&group, &pool.near, &pool.cores, &pool.classes, arrangement)
            .unwrap_or_else(|| shared(pool, &group, remarks));
        for (gpu, cpus) in group.into_iter().zip(dealt) {
            shares[gpu] = cpus;
        }
    }
    shares
}

/// Returns the shares of GPUs that outnumber their CPUs: all of them for each.
pub(super) fn shared(pool: &CpuPool<'_>, group: &[usize], remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let gpus = pool.topology.device_names(group);
    remarks.push(format!("{gpus} share CPUs: there are fewer than one for each"));
    group.iter().map(|&gpu| pool.near[gpu].clone()).collect()
}

/// Takes cores from the end of each share until it has at most `most`.
pub(super) fn trim(shares: &mut [CpuSet], cores: &[CpuSet], most: usize) {
    for share in shares {
        let own = cores.iter().filter(|core| !core.is_disjoint(share)).take(most).collect::<CpuSet>();
        *share &= &own;
    }
}

/// Cuts shares down to the number of cores of the smallest, and to the same number of each class where possible.
pub(super) fn trim_alike(shares: &mut [CpuSet], cores: &[CpuSet], classes: &CoreClasses) {
    let kinds = classes.divide(cores);
    let least = |cores: &[CpuSet]| {
        let taken = shares.iter().filter(|share| !share.is_empty());
        taken.map(|share| count_cores(share, cores)).min().unwrap_or(0)
    };
    let most = least(cores);
    let of_each: Vec<usize> = kinds.iter().map(|kind| least(kind)).collect();
    for share in shares {
        let mut kept = vec![share.clone(); kinds.len()];
        for ((kept, kind), of_kind) in kept.iter_mut().zip(&kinds).zip(&of_each) {
            trim(std::slice::from_mut(kept), kind, *of_kind);
        }
        let mut kept = kept.iter().collect::<CpuSet>();
        let mut missing = most.saturating_sub(count_cores(&kept, cores));
        for core in cores {
            let own = core.intersection(share);
            if missing > 0 && !own.is_empty() && own.is_disjoint(&kept) {
                kept = kept.union(&own);
                missing -= 1;
            }
        }
        *share = kept;
    }
}

/// Returns the number of cores of which a share has a thread.
pub(super) fn count_cores(share: &CpuSet, cores: &[CpuSet]) -> usize {
    cores.iter().filter(|core| !core.is_disjoint(share)).count()
}

/// Groups GPUs whose CPUs overlap, directly or through others. A GPU without CPUs is in none.
pub(in crate::solve) fn overlapping(near: &[CpuSet]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(CpuSet, Vec<usize>)> = Vec::new();
    for (gpu, cpus) in near.iter().enumerate().filter(|(_, cpus)| !cpus.is_empty()) {
        let (touching, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(all, _)| !all.is_disjoint(cpus));
        let mut merged = (cpus.clone(), vec![gpu]);
        for (all, gpus) in touching {
            merged = (merged.0.union(&all), [gpus, merged.1].concat());
        }
        groups = others;
        groups.push(merged);
    }
    let sorted = |mut gpus: Vec<usize>| {
        gpus.sort_unstable();
        gpus
    };
    groups.into_iter().map(|(_, gpus)| sorted(gpus)).collect()
}

/// Deals out disjoint shares by cores, or by hardware threads where there are too few cores; `None` where there are too
/// few threads.
pub(in crate::solve) fn deal(
    group: &[usize],
    near: &[CpuSet],
    cores: &[CpuSet],
    classes: &CoreClasses,
    arrangement: Arrangement,
) -> Option<Vec<CpuSet>> {
    deal_atoms(group, near, cores, classes, arrangement).or_else(|| {
        let threads = cores.iter().flat_map(CpuSet::iter).map(|cpu| CpuSet::from_iter([cpu]));
        deal_atoms(group, near, &threads.collect::<Vec<_>>(), classes, arrangement)
    })
}

/// Deals out the atoms near to GPUs so that the counts are as equal as possible: of each class of cores, and then in
/// total. `None` where a GPU would get none.
pub(super) fn deal_atoms(
    group: &[usize],
    near: &[CpuSet],
    atoms: &[CpuSet],
    classes: &CoreClasses,
    arrangement: Arrangement,
) -> Option<Vec<CpuSet>> {
    let deal_kinds = |kinds: &[Cow<'_, [CpuSet]>]| {
        let (mut shares, mut held) = (vec![CpuSet::new(); group.len()], vec![0; group.len()]);
        for atoms in kinds {
            deal_kind(group, near, atoms, arrangement, &mut shares, &mut held);
        }
        shares.iter().all(|share| !share.is_empty()).then_some(shares)
    };
    let kinds = classes.divide(atoms);
    // A GPU may reach one class only, of which the others must leave it some.
    deal_kinds(&kinds).or_else(|| if kinds.len() > 1 { deal_kinds(&[atoms.into()]) } else { None })
}

/// Deals out atoms of one class, given the number of atoms of other classes that each GPU holds already.
fn deal_kind(
    group: &[usize],
    near: &[CpuSet],
    atoms: &[CpuSet],
    arrangement: Arrangement,
    shares: &mut [CpuSet],
    held: &mut [usize],
) {
    // Atoms that are near to the same GPUs.
    let mut places: BTreeMap<Vec<usize>, Vec<&CpuSet>> = BTreeMap::new();
    let mut alike: Vec<(&CpuSet, Vec<usize>)> = Vec::new();
    for (consumer, cpus) in group.iter().map(|gpu| &near[*gpu]).enumerate() {
        match alike.iter_mut().find(|(other, _)| *other == cpus) {
            Some((_, consumers)) => consumers.push(consumer),
            None => alike.push((cpus, vec![consumer])),
        }
    }
    let mut consumers = Vec::new();
    for atom in atoms {
        consumers.clear();
        let close = alike.iter().filter(|(cpus, _)| !cpus.is_disjoint(atom));
        close.for_each(|(_, alike)| consumers.extend_from_slice(alike));
        consumers.sort_unstable();
        match places.get_mut(&consumers[..]) {
            Some(atoms) => atoms.push(atom),
            None if consumers.is_empty() => {}
            None => _ = places.insert(consumers.clone(), vec![atom]),
        }
    }
    let consumers: Vec<&Vec<usize>> = places.keys().collect();
    let sizes: Vec<usize> = places.values().map(Vec::len).collect();
    let counts = balance(held, &consumers, &sizes);
    for ((consumers, atoms), counts) in places.iter().zip(&counts) {
        for (consumer, atom) in turns(consumers, counts, arrangement).zip(atoms) {
            // An atom may reach beyond the CPUs near its GPU where affinities cut through cores.
            let near = &near[group[consumer]];
            let own =
                if atom.is_subset(near) { Cow::Borrowed(*atom) } else { Cow::Owned(atom.intersection(near)) };
            shares[consumer] |= &own;
            held[consumer] += 1;
        }
    }
}

/// Returns the GPU that takes each next atom of a class, until each has its count.
fn turns(consumers: &[usize], counts: &[usize], arrangement: Arrangement) -> impl Iterator<Item = usize> {
    let mut turns: Vec<(usize, usize)> = consumers
        .iter()
        .flat_map(|&consumer| (0..counts[consumer]).map(move |round| (round, consumer)))
        .collect();
    if arrangement == Arrangement::Apart {
        turns.sort_unstable();
    }
    turns.into_iter().map(|(_, consumer)| consumer)
}

/// Returns the number of atoms of each place that each GPU gets, such that no sequence of exchanges makes the totals
/// more equal, nor, with these as equal, the totals together with the atoms held already.
fn balance(held: &[usize], consumers: &[&Vec<usize>], sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; held.len()]; consumers.len()];
    let mut totals = vec![0; held.len()];
    for (place, (consumers, size)) in consumers.iter().zip(sizes).enumerate() {
        for _ in 0..*size {
            let least = consumers
                .iter()
                .min_by_key(|&&consumer| (totals[consumer], held[consumer] + totals[consumer], consumer));
            let Some(&least) = least else { break };
            counts[place][least] += 1;
            totals[least] += 1;
        }
    }
    while let Some(steps) = improving_path(&counts, &totals, held, consumers) {
        for (place, from, to) in steps {
            counts[place][from] -= 1;
            counts[place][to] += 1;
            totals[from] -= 1;
            totals[to] += 1;
        }
    }
    counts
}

/// Finds an augmenting path: single exchanges from a GPU to one that has at least two less, or one less and two less in
/// total.
fn improving_path(
    counts: &[Vec<usize>],
    totals: &[usize],
    held: &[usize],
    consumers: &[&Vec<usize>],
) -> Option<Vec<(usize, usize, usize)>> {
    let improves = |from: usize, to: usize| {
        totals[to] + 2 <= totals[from]
            || totals[to] + 1 == totals[from] && held[to] + totals[to] + 2 <= held[from] + totals[from]
    };
    let all = 0..totals.len();
    for start in all.clone().filter(|start| all.clone().any(|to| improves(*start, to))) {
        let mut came: Vec<Option<(usize, usize)>> = vec![None; totals.len()];
        let mut queue = VecDeque::from([start]);
        // A place that is reached reaches all of its GPUs, so each place is expanded once.
        let mut reached = vec![false; consumers.len()];
        while let Some(from) = queue.pop_front() {
            if improves(start, from) {
                let mut steps = Vec::new();
                let mut to = from;
                while let Some((place, before)) = came[to] {
                    steps.push((place, before, to));
                    to = before;
                }
                return Some(steps);
            }
            for (place, consumers) in consumers.iter().enumerate() {
                if reached[place] || counts[place][from] == 0 {
                    continue;
                }
                reached[place] = true;
                for &to in consumers.iter().filter(|&&to| to != start) {
                    came[to].get_or_insert_with(|| {
                        queue.push_back(to);
                        (place, from)
                    });
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CoreClass;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    /// Eight cores of one thread each, the first four of them fast.
    fn eight() -> (Vec<CpuSet>, CoreClasses) {
        let cores = (0..8).map(|cpu| CpuSet::from_iter([cpu])).collect();
        let classes = [(CoreClass::Performance, set("0-3")), (CoreClass::Efficiency, set("4-7"))];
        (cores, CoreClasses::of_sets(classes))
    }

    #[test]
    fn shares_of_unequal_classes_are_cut_down_to_the_size_of_the_smallest() {
        let (cores, classes) = eight();
        let mut shares = [set("0-2,4"), set("3,5,6")];
        trim_alike(&mut shares, &cores, &classes);
        assert_eq!(shares, [set("0,1,4"), set("3,5,6")]);
        let mut equal = [set("0-2,4"), set("3,5-7")];
        trim_alike(&mut equal, &cores, &classes);
        assert_eq!(equal, [set("0-2,4"), set("3,5-7")]);
    }

    #[test]
    fn a_gpu_that_reaches_one_class_only_is_left_some_of_it() {
        let (cores, classes) = eight();
        let dealt = deal_atoms(&[0, 1], &[set("0,4"), set("0")], &cores, &classes, Arrangement::Together);
        assert_eq!(dealt, Some(vec![set("4"), set("0")]));
    }
}
