//! The containment that explains pairwise classes: switches, host bridges, NUMA nodes.
//!
//! A container is made only where the text shows it. A pair that the text does not show is never given a class
//! by being put below a common container, unless the classes of others leave no choice.

use super::cell::Word;
use super::table::Pairs;
use crate::model::PathType;
use petgraph::unionfind::UnionFind;

/// A container of devices, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Device(usize),
    Switch(Vec<Tree>),
    Bridge(Vec<Tree>),
}

/// A NUMA node (`None`: the machine itself) and what hangs on it.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) node: Option<u32>,
    pub(super) trees: Vec<Tree>,
}

/// The trees that were found.
#[derive(Debug)]
pub(super) struct Forest {
    /// By number of the NUMA node, the machine last.
    pub(super) branches: Vec<Branch>,
    /// The NUMA node of each device by its cells, also where it could not be put there.
    pub(super) numa_nodes: Vec<Option<u32>>,
    /// Pairs whose class the containers contradict: how many, and the first.
    pub(super) misfits: (usize, Option<(usize, usize)>),
    /// Sets of devices of one host bridge or switch whose NUMA numbers differ.
    pub(super) torn: usize,
}

/// Devices that hang together up to some level.
#[derive(Clone, Debug)]
struct Group {
    devices: Vec<usize>,
    tree: Vec<Tree>,
    /// True if its distance to others is unknown, so that it stays apart.
    apart: bool,
}

/// Finds the containers. `nodes` is the NUMA number of each device, where it has one.
pub(super) fn grow(pairs: &Pairs, nodes: &[Option<u32>]) -> Forest {
    let mut groups: Vec<Group> = (0..pairs.len())
        .map(|device| Group { devices: vec![device], tree: vec![Tree::Device(device)], apart: false })
        .collect();
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for level in [PathType::Pix, PathType::Pxb, PathType::Phb] {
        groups = merge(pairs, groups, level);
        levels.push(membership(&groups, pairs.len()));
    }
    let mut torn = 0;
    let mut numbers = place(pairs, &groups, nodes, &mut torn);
    let numa_nodes = numa_nodes(pairs, &groups, nodes, &numbers);
    unplace_strangers(pairs, &groups, &mut numbers);
    let mut branches: Vec<Branch> = Vec::new();
    let mut node_of = vec![None; pairs.len()];
    for (group, number) in groups.into_iter().zip(numbers) {
        for device in &group.devices {
            node_of[*device] = number;
        }
        match branches.iter_mut().find(|branch| branch.node == number) {
            Some(branch) => branch.trees.extend(group.tree),
            None => branches.push(Branch { node: number, trees: group.tree }),
        }
    }
    branches.sort_by_key(|branch| branch.node.map_or(u64::MAX, u64::from));
    let misfits = misfits(pairs, &levels, &node_of);
    Forest { branches, numa_nodes, misfits, torn }
}

fn membership(groups: &[Group], devices: usize) -> Vec<usize> {
    let mut of = vec![0; devices];
    for (index, group) in groups.iter().enumerate() {
        for device in &group.devices {
            of[*device] = index;
        }
    }
    of
}

/// Joins the groups that pairs of this class connect.
fn merge(pairs: &Pairs, groups: Vec<Group>, level: PathType) -> Vec<Group> {
    let compatible = compatible(pairs, &groups, level);
    let of = membership(&groups, pairs.len());
    let mut sets = UnionFind::new(groups.len());
    for a in 0..pairs.len() {
        for b in a + 1..pairs.len() {
            let apart = groups[of[a]].apart || groups[of[b]].apart;
            if pairs.word(a, b).path() == Some(level) && !apart {
                sets.union(of[a], of[b]);
            }
        }
    }
    let count = groups.len();
    let mut members: Vec<Vec<Group>> = (0..count).map(|_| Vec::new()).collect();
    let mut merged = Vec::new();
    // Within a set, a group stays apart if to some other it may be nearer than this level.
    let mut kept: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, mut group) in groups.into_iter().enumerate() {
        let root = sets.find(index);
        if kept[root].iter().all(|other| compatible[index * count + other]) {
            kept[root].push(index);
            members[root].push(group);
        } else {
            group.apart = true;
            merged.push(group);
        }
    }
    merged.extend(members.into_iter().filter(|set| !set.is_empty()).map(|set| contain(set, level)));
    merged.sort_by_key(|group| group.devices[0]);
    merged
}

/// Puts the groups below one container.
fn contain(mut groups: Vec<Group>, level: PathType) -> Group {
    if groups.len() == 1 {
        return groups.remove(0);
    }
    let mut devices: Vec<usize> = groups.iter().flat_map(|group| group.devices.iter().copied()).collect();
    devices.sort_unstable();
    let below: Vec<Tree> = groups.into_iter().flat_map(|group| group.tree).collect();
    // Devices several switches apart each have a switch of their own below the common one.
    let wrap = |tree| if matches!(tree, Tree::Device(_)) { Tree::Switch(vec![tree]) } else { tree };
    let tree = match level {
        PathType::Pix => Tree::Switch(below),
        PathType::Pxb => Tree::Switch(below.into_iter().map(wrap).collect()),
        _ => Tree::Bridge(below),
    };
    Group { devices, tree: vec![tree], apart: false }
}

/// Returns whether two groups may share a container of this level, for all two groups: no pair between them would be
/// given a class that the text does not show. Pairs without a cell take the class of the others between the two groups.
/// The cell of a pair with NVLink shows nothing else that it shares.
fn compatible(pairs: &Pairs, groups: &[Group], level: PathType) -> Vec<bool> {
    let of = membership(groups, pairs.len());
    let count = groups.len();
    let (mut same, mut other) = (vec![false; count * count], vec![false; count * count]);
    let mut open = vec![false; count * count];
    for a in 0..pairs.len() {
        for b in 0..pairs.len() {
            let between = of[a] * count + of[b];
            let path = pairs.word(a, b).path();
            same[between] |= path == Some(level);
            other[between] |= path.is_some_and(|path| path != level);
            open[between] |= pairs.word(a, b) == Word::Unknown;
        }
    }
    (0..count * count).map(|between| !open[between] || same[between] && !other[between]).collect()
}

/// Returns the NUMA node of each group: that of its members, else that of groups at distance NODE.
fn place(pairs: &Pairs, groups: &[Group], nodes: &[Option<u32>], torn: &mut usize) -> Vec<Option<u32>> {
    let of = membership(groups, pairs.len());
    let mut numbers: Vec<Option<u32>> = Vec::with_capacity(groups.len());
    let mut fixed = Vec::with_capacity(groups.len());
    for group in groups {
        let mut own: Vec<u32> = group.devices.iter().filter_map(|device| nodes[*device]).collect();
        own.sort_unstable();
        own.dedup();
        *torn += usize::from(own.len() > 1);
        fixed.push(!own.is_empty() || group.apart);
        numbers.push(if own.len() == 1 && !group.apart { Some(own[0]) } else { None });
    }
    let mut sets = UnionFind::new(groups.len());
    for a in 0..pairs.len() {
        for b in a + 1..pairs.len() {
            if pairs.word(a, b).path() == Some(PathType::Node) {
                sets.union(of[a], of[b]);
            }
        }
    }
    let mut of_set: Vec<Vec<u32>> = vec![Vec::new(); groups.len()];
    for (index, number) in numbers.iter().enumerate() {
        of_set[sets.find(index)].extend(number);
    }
    for index in 0..groups.len() {
        let set = &of_set[sets.find(index)];
        if !fixed[index] && set.iter().all(|number| Some(number) == set.first()) {
            numbers[index] = set.first().copied();
        }
    }
    numbers
}

/// Returns the NUMA node of each device: that of its group, or of the devices that it is nearest to.
fn numa_nodes(
    pairs: &Pairs,
    groups: &[Group],
    nodes: &[Option<u32>],
    numbers: &[Option<u32>],
) -> Vec<Option<u32>> {
    let of = membership(groups, pairs.len());
    let beside = |device: usize, paths: &[PathType]| {
        let near =
            |other: &usize| pairs.word(device, *other).path().is_some_and(|path| paths.contains(&path));
        (0..pairs.len()).filter(near).filter_map(|other| nodes[other]).collect::<Vec<u32>>()
    };
    let numa_node = |device: usize| {
        let group = of[device];
        if numbers[group].is_some() || !groups[group].apart {
            return numbers[group];
        }
        // Devices that share a host bridge share its node; a class that drivers use for several nodes is less specific.
        let nearest = [&[PathType::Pix, PathType::Pxb, PathType::Phb][..], &[PathType::Node]];
        let found = nearest.into_iter().map(|paths| beside(device, paths)).find(|found| !found.is_empty())?;
        found.iter().all(|node| *node == found[0]).then_some(found[0])
    };
    (0..pairs.len()).map(numa_node).collect()
}

/// Removes groups from a NUMA node whose relation to others there is unknown: it may be nearer than the node.
fn unplace_strangers(pairs: &Pairs, groups: &[Group], numbers: &mut [Option<u32>]) {
    let compatible = compatible(pairs, groups, PathType::Node);
    for index in 0..groups.len() {
        let number = numbers[index];
        let stranger = |other: &usize| numbers[*other] == number && !compatible[index * groups.len() + other];
        if number.is_some() && (0..index).any(|other| stranger(&other)) {
            numbers[index] = None;
        }
    }
}

/// Counts the pairs whose class by the containers differs from the text.
fn misfits(pairs: &Pairs, levels: &[Vec<usize>], node_of: &[Option<u32>]) -> (usize, Option<(usize, usize)>) {
    let (mut count, mut first) = (0, None);
    let classes = [PathType::Pix, PathType::Pxb, PathType::Phb];
    for a in 0..pairs.len() {
        for b in a + 1..pairs.len() {
            let Some(stated) = pairs.word(a, b).path() else { continue };
            let shared = levels.iter().position(|level| level[a] == level[b]);
            let grown = match (shared, node_of[a], node_of[b]) {
                (Some(level), ..) => classes[level],
                (None, Some(a), Some(b)) if a == b => PathType::Node,
                (None, Some(_), Some(_)) => PathType::Sys,
                _ => continue,
            };
            if grown != stated && stated != PathType::C2c {
                count += 1;
                first = first.or(Some((a, b)));
            }
        }
    }
    (count, first)
}
