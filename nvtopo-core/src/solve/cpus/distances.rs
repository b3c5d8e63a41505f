//! Groups of NUMA nodes that are nearest to each other, as hwloc forms them: nodes that the least distance connects,
//! and groups of such groups by the mean distances between them.

use crate::cpuset::CpuSet;
use crate::model::{NumaNode, Topology};
use std::collections::BTreeMap;

/// The most nodes that are grouped: the effort grows with the square of their number.
const MOST_NODES: usize = 1024;

/// Returns the CPUs of each group of several NUMA nodes, smaller groups before those that contain them.
pub(super) fn groups(topology: &Topology) -> Vec<CpuSet> {
    let mut nodes: Vec<&NumaNode> = topology.numa_nodes().collect();
    nodes.sort_by_key(|numa| numa.os_index);
    if nodes.len() > MOST_NODES {
        return Vec::new();
    }
    let distances: Option<Vec<_>> = nodes.iter().map(|numa| row(numa, &nodes)).collect();
    let Some(mut distances) = distances.filter(|known| is_sound(known)) else { return Vec::new() };
    let mut members: Vec<CpuSet> = nodes.iter().map(|numa| numa.cpus.clone()).collect();
    let mut found = Vec::new();
    while let Some(group_of) = by_least(&distances) {
        let count = group_of.iter().flatten().max().map_or(0, |last| last + 1);
        let mut sets = vec![CpuSet::new(); count];
        for (group, own) in group_of.iter().zip(&members) {
            if let Some(group) = group {
                sets[*group] = sets[*group].union(own);
            }
        }
        distances = means(&distances, &group_of, count);
        found.extend(sets.iter().filter(|set| !set.is_empty()).cloned());
        members = sets;
    }
    found
}

/// The kernel's distance of a node to itself.
const LOCAL: u32 = 10;

/// Returns the distances of a node to all others, where each is known.
fn row(numa: &NumaNode, nodes: &[&NumaNode]) -> Option<Vec<u64>> {
    let known: BTreeMap<u32, u32> = numa.distances.iter().copied().collect();
    let to = |other: &&NumaNode| match known.get(&other.os_index) {
        None if other.os_index == numa.os_index => Some(u64::from(LOCAL)),
        distance => distance.map(|distance| u64::from(*distance)),
    };
    nodes.iter().map(to).collect()
}

/// Tells whether distances are symmetric, and all greater than that of a node to itself.
fn is_sound(distances: &[Vec<u64>]) -> bool {
    let pair = |a: usize, b: usize| distances[a][b] == distances[b][a] && distances[a][b] > distances[a][a];
    (0..distances.len()).all(|a| (a + 1..distances.len()).all(|b| pair(a, b)))
}

/// Groups members by the least distance between any two. `None`: there is nothing to group.
fn by_least(distances: &[Vec<u64>]) -> Option<Vec<Option<usize>>> {
    let count = distances.len();
    if count <= 2 {
        return None;
    }
    let pairs = (0..count).flat_map(|a| (0..count).filter(move |b| *b != a).map(move |b| (a, b)));
    let least = pairs.map(|(a, b)| distances[a][b]).min()?;
    let mut group_of = vec![None; count];
    let mut groups = 0;
    let mut alone = 0;
    for start in 0..count {
        if group_of[start].is_some() {
            continue;
        }
        group_of[start] = Some(groups);
        let mut reached = vec![start];
        let mut next = 0;
        while let Some(&from) = reached.get(next) {
            next += 1;
            for to in 0..count {
                if group_of[to].is_none() && distances[from][to] == least {
                    group_of[to] = Some(groups);
                    reached.push(to);
                }
            }
        }
        if reached.len() == 1 {
            group_of[start] = None;
            alone += 1;
        } else {
            groups += 1;
        }
    }
    // One group of all carries no information.
    (groups > 0 && !(groups == 1 && alone == 0)).then_some(group_of)
}

/// Returns the mean distances between the members of groups.
fn means(distances: &[Vec<u64>], group_of: &[Option<usize>], count: usize) -> Vec<Vec<u64>> {
    let mut sums = vec![vec![(0u64, 0u64); count]; count];
    for (a, row) in distances.iter().enumerate() {
        for (b, distance) in row.iter().enumerate() {
            if let (Some(from), Some(to)) = (group_of[a], group_of[b]) {
                let (sum, pairs) = &mut sums[from][to];
                (*sum, *pairs) = (sum.saturating_add(*distance), *pairs + 1);
            }
        }
    }
    sums.into_iter().map(|row| row.into_iter().map(|(sum, pairs)| sum / pairs.max(1)).collect()).collect()
}
