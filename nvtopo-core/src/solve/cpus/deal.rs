//! Dealing out: disjoint shares of whole cores, as equal as they can be.

use super::cores::cores;
use super::ground::{Ground, names};
use crate::cpuset::CpuSet;
use crate::model::Topology;
use std::collections::{BTreeMap, VecDeque};

/// Cuts a share into equal parts: whole cores where there are enough, else hardware threads; shared where there are too
/// few of these too.
pub(in super::super) fn cut(topology: &Topology, cpus: &CpuSet, parts: usize) -> Vec<CpuSet> {
    let cores = cores(topology, cpus, &mut Vec::new());
    let near = vec![cpus.clone(); parts];
    let group: Vec<usize> = (0..parts).collect();
    deal(&group, &near, &cores, Arrangement::Together).unwrap_or(near)
}

/// Which of the cores that a GPU may have are given to it.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) enum Arrangement {
    /// Neighbours, which share caches.
    Together,
    /// Far ones, which have the most cache each.
    Apart,
}

/// Cuts the CPUs near each GPU into disjoint parts, group by group; where there are too few, the GPUs of a group share,
/// with a remark.
pub(super) fn deal_near(
    ground: &Ground<'_>,
    arrangement: Arrangement,
    remarks: &mut Vec<String>,
) -> Vec<CpuSet> {
    let mut shares = vec![CpuSet::new(); ground.near.len()];
    for group in overlapping(&ground.near) {
        let dealt = deal(&group, &ground.near, &ground.cores, arrangement)
            .unwrap_or_else(|| shared(ground, &group, remarks));
        for (gpu, cpus) in group.into_iter().zip(dealt) {
            shares[gpu] = cpus;
        }
    }
    shares
}

/// What GPUs get that are more than their CPUs: all of them.
pub(super) fn shared(ground: &Ground<'_>, group: &[usize], remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let gpus = names(ground.topology, group);
    remarks.push(format!("{gpus} share CPUs: there are fewer than one for each"));
    group.iter().map(|&gpu| ground.near[gpu].clone()).collect()
}

/// Takes cores from the end of each share until it has no more than so many.
pub(super) fn trim(shares: &mut [CpuSet], cores: &[CpuSet], most: usize) {
    for share in shares {
        let own = cores.iter().map(|core| core.intersection(share)).filter(|core| !core.is_empty());
        *share = own.take(most).fold(CpuSet::new(), |all, core| all.union(&core));
    }
}

/// How many cores a share has a thread of.
pub(super) fn count_cores(share: &CpuSet, cores: &[CpuSet]) -> usize {
    cores.iter().filter(|core| !core.is_disjoint(share)).count()
}

/// Groups of GPUs whose CPUs overlap, directly or through others. A GPU without CPUs is in none.
pub(in super::super) fn overlapping(near: &[CpuSet]) -> Vec<Vec<usize>> {
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

/// Disjoint shares by cores, or by hardware threads where there are too few cores; `None` where these are too few.
pub(in super::super) fn deal(
    group: &[usize],
    near: &[CpuSet],
    cores: &[CpuSet],
    arrangement: Arrangement,
) -> Option<Vec<CpuSet>> {
    let all = group.iter().fold(CpuSet::new(), |all, &gpu| all.union(&near[gpu]));
    let cores: Vec<CpuSet> =
        cores.iter().map(|core| core.intersection(&all)).filter(|core| !core.is_empty()).collect();
    deal_atoms(group, near, &cores, arrangement).or_else(|| {
        let threads = cores.iter().flat_map(CpuSet::iter).map(|cpu| CpuSet::from_iter([cpu]));
        deal_atoms(group, near, &threads.collect::<Vec<_>>(), arrangement)
    })
}

/// Deals out atoms so that the counts are as equal as they can be. `None` where a GPU would get none.
pub(super) fn deal_atoms(
    group: &[usize],
    near: &[CpuSet],
    atoms: &[CpuSet],
    arrangement: Arrangement,
) -> Option<Vec<CpuSet>> {
    // Atoms of one class are near to the same GPUs.
    let mut classes: BTreeMap<Vec<usize>, Vec<&CpuSet>> = BTreeMap::new();
    for atom in atoms {
        let takers = (0..group.len()).filter(|&taker| !near[group[taker]].is_disjoint(atom)).collect();
        classes.entry(takers).or_default().push(atom);
    }
    let takers: Vec<&Vec<usize>> = classes.keys().collect();
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let counts = balance(group.len(), &takers, &sizes);
    let mut shares = vec![CpuSet::new(); group.len()];
    for ((takers, atoms), counts) in classes.iter().zip(&counts) {
        for (taker, atom) in turns(takers, counts, arrangement).zip(atoms) {
            // An atom may reach beyond the CPUs near its taker where affinities cut through cores.
            shares[taker] = shares[taker].union(&atom.intersection(&near[group[taker]]));
        }
    }
    shares.iter().all(|share| !share.is_empty()).then_some(shares)
}

/// Who takes the next atom of a class, until each has its count.
fn turns(takers: &[usize], counts: &[usize], arrangement: Arrangement) -> impl Iterator<Item = usize> {
    let mut turns: Vec<(usize, usize)> =
        takers.iter().flat_map(|&taker| (0..counts[taker]).map(move |round| (round, taker))).collect();
    if arrangement == Arrangement::Apart {
        turns.sort_unstable();
    }
    turns.into_iter().map(|(_, taker)| taker)
}

/// How many atoms of each class each taker gets, such that no sequence of exchanges makes the totals more equal.
fn balance(count: usize, takers: &[&Vec<usize>], sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; count]; takers.len()];
    let mut totals = vec![0; count];
    for (class, (takers, size)) in takers.iter().zip(sizes).enumerate() {
        for _ in 0..*size {
            let Some(&least) = takers.iter().min_by_key(|&&taker| (totals[taker], taker)) else { break };
            counts[class][least] += 1;
            totals[least] += 1;
        }
    }
    while let Some(steps) = improving_path(&counts, &totals, takers) {
        for (class, from, to) in steps {
            counts[class][from] -= 1;
            counts[class][to] += 1;
            totals[from] -= 1;
            totals[to] += 1;
        }
    }
    counts
}

/// A sequence of single exchanges from a taker to one that has at least two less.
fn improving_path(
    counts: &[Vec<usize>],
    totals: &[usize],
    takers: &[&Vec<usize>],
) -> Option<Vec<(usize, usize, usize)>> {
    for start in 0..totals.len() {
        let mut came: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            if totals[from] + 2 <= totals[start] {
                let mut steps = Vec::new();
                let mut to = from;
                while let Some(&(class, before)) = came.get(&to).filter(|_| to != start) {
                    steps.push((class, before, to));
                    to = before;
                }
                return Some(steps);
            }
            for (class, takers) in takers.iter().enumerate().filter(|(class, _)| counts[*class][from] > 0) {
                for &to in takers.iter().filter(|&&to| to != start) {
                    came.entry(to).or_insert_with(|| {
                        queue.push_back(to);
                        (class, from)
                    });
                }
            }
        }
    }
    None
}
