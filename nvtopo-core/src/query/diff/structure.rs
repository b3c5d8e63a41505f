//! Matches the devices of two machines by the graph alone, by colour refinement.
//!
//! Devices start with the colour of what they are. A round gives devices different colours that differ in the paths to
//! devices of a colour (Weisfeiler and Leman, 1968). While several devices of one colour are left, one of each machine
//! gets a colour of its own, and the rounds go on; where that leads to no isomorphism, another is tried.

use super::canonical::{are_twins, cells};
use super::facts::{self, Nature, counted, knows_cpus, of_gpu, of_nic};
use super::matching::may_hide;
use super::pairs::{path, tells_bridges};
use super::{ChangeKind, Findings};
use crate::model::{Basis, NumaNode, PathType, Topology};
use crate::units::{Bandwidth, count_of, exact_bytes};
use std::collections::{BTreeMap, BTreeSet};

/// The most devices of a machine that are matched by the graph; of more, the first belongs to the first.
const MOST_DEVICES: usize = 192;

/// The most paths that refinements look at, each time anew, before the first device is matched with the first.
const MOST_WORK: usize = 1 << 26;

/// Returns the device of the second machine for each of the first, by their positions.
pub(super) fn align(before: &Topology, after: &Topology) -> Vec<Option<usize>> {
    let in_order = || {
        let place = |device: usize| {
            let (own, others) = (before.gpus().len(), after.gpus().len());
            let (range, other) = if device < own {
                (0..others, device)
            } else {
                (others..after.devices().len(), device - own + others)
            };
            range.contains(&other).then_some(other)
        };
        (0..before.devices().len()).map(place).collect()
    };
    let devices = before.devices().len();
    if devices != after.devices().len() || devices > MOST_DEVICES {
        return in_order();
    }
    let (of, paths) = coloured([before, after]);
    let mut work = MOST_WORK;
    let found = Colours { of, paths: &paths }.isomorphism(&mut work);
    found.map_or_else(in_order, |map| map.into_iter().map(Some).collect())
}

/// Returns the first colours of the devices of two machines, and the kinds of paths between all pairs, both numbered alike.
fn coloured(machines: [&Topology; 2]) -> ([Vec<u32>; 2], [Vec<u32>; 2]) {
    let mut kinds: BTreeMap<Vec<Option<String>>, u32> = BTreeMap::new();
    let mut of = [Vec::new(), Vec::new()];
    let mut paths = [Vec::new(), Vec::new()];
    let mut numbers = BTreeMap::new();
    let (told, bridges) = (Told::of(machines), machines.map(tells_bridges));
    for (side, topology) in machines.into_iter().enumerate() {
        let devices = topology.devices().len();
        for device in 0..devices {
            let next = kinds.len() as u32;
            of[side].push(*kinds.entry(told.kind(topology, device)).or_insert(next));
        }
        for (a, b) in (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b))) {
            let next = numbers.len() as u32;
            let path = told.path(topology, bridges[1 - side], a, b);
            paths[side].push(*numbers.entry(path).or_insert(next));
        }
    }
    (of, paths)
}

/// The colours of the devices of two machines.
#[derive(Clone)]
struct Colours<'a> {
    of: [Vec<u32>; 2],
    /// The kinds of paths between all pairs.
    paths: &'a [Vec<u32>; 2],
}

impl Colours<'_> {
    /// Refines until no device gets another colour. Returns false where the two machines differ, or `work` ends.
    fn refine(&mut self, work: &mut usize) -> bool {
        let devices = self.of[0].len();
        loop {
            let Some(left) = work.checked_sub(2 * devices * devices) else { return false };
            *work = left;
            let mut signatures = BTreeMap::new();
            let mut refined = [Vec::with_capacity(devices), Vec::with_capacity(devices)];
            for (side, refined) in refined.iter_mut().enumerate() {
                for device in 0..devices {
                    let row = &self.paths[side][device * devices..][..devices];
                    let mut around: Vec<(u32, u32)> =
                        row.iter().copied().zip(self.of[side].iter().copied()).collect();
                    around.sort_unstable();
                    let next = signatures.len() as u32;
                    refined.push(*signatures.entry((self.of[side][device], around)).or_insert(next));
                }
            }
            let sorted = |colours: &Vec<u32>| {
                let mut colours = colours.clone();
                colours.sort_unstable();
                colours
            };
            if sorted(&refined[0]) != sorted(&refined[1]) {
                return false;
            }
            let number = |colours: &[u32]| colours.iter().collect::<BTreeSet<_>>().len();
            let stable = number(&refined[0]) == number(&self.of[0]);
            self.of = refined;
            if stable {
                return true;
            }
        }
    }

    /// Returns the device of the second machine for each of the first, so that all paths are the same.
    fn isomorphism(mut self, work: &mut usize) -> Option<Vec<usize>> {
        if !self.refine(work) {
            return None;
        }
        let devices = self.of[0].len();
        let (cells, others) = (cells(&self.of[0]), cells(&self.of[1]));
        // Of interchangeable devices the first is the first.
        let open = cells.iter().find(|(_, cell)| !are_twins(&self.paths[0], devices, cell));
        let Some((colour, cell)) = open else {
            let mut map = vec![0; devices];
            for (own, other) in cells.into_values().flatten().zip(others.into_values().flatten()) {
                map[own] = other;
            }
            return Some(map).filter(|map| self.is_same(map));
        };
        others.get(colour)?.iter().find_map(|other| {
            let mut colours = self.clone();
            // There are never as many colours as devices and one.
            (colours.of[0][cell[0]], colours.of[1][*other]) = (devices as u32, devices as u32);
            colours.isomorphism(work)
        })
    }

    /// Returns true where all paths of the first machine are those between the matched devices.
    fn is_same(&self, map: &[usize]) -> bool {
        let devices = map.len();
        let mut pairs = (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b)));
        pairs.all(|(a, b)| self.paths[0][a * devices + b] == self.paths[1][map[a] * devices + map[b]])
    }
}

/// The facts that both of two machines tell of all their devices: others would make equal devices differ.
struct Told {
    /// By their place in the list of a GPU, and in that of a NIC.
    facts: [Vec<bool>; 2],
    /// True where NVLinks, which hide the path beside them, are told by both or by none.
    nvlinks: bool,
    rates: bool,
}

impl Told {
    fn of(machines: [&Topology; 2]) -> Self {
        let mut facts = [Vec::new(), Vec::new()];
        for topology in machines {
            for device in 0..topology.devices().len() {
                let own = kind(topology, device);
                let told = &mut facts[usize::from(device >= topology.gpus().len())];
                told.resize(own.len(), true);
                told.iter_mut().zip(&own).for_each(|(told, fact)| *told &= fact.is_some());
            }
        }
        let has_links = |topology: &Topology| topology.links().any(|(_, _, link)| link.kind.is_fabric());
        let nvlinks = machines.iter().all(|own| own.nvlink_known()) || !machines.into_iter().any(has_links);
        let rated = |topology: &Topology| {
            let mut links = topology.links().filter(|(_, _, link)| link.kind.is_fabric());
            links.all(|(_, _, link)| link.rate.is_some_and(|rate| rate.basis != Basis::Assumed))
        };
        Self { facts, nvlinks, rates: machines.into_iter().all(rated) }
    }

    /// Returns what a device is, as far as both machines tell.
    fn kind(&self, topology: &Topology, device: usize) -> Vec<Option<String>> {
        let told = &self.facts[usize::from(device >= topology.gpus().len())];
        kind(topology, device)
            .into_iter()
            .zip(told)
            .filter(|(_, told)| **told)
            .map(|(fact, _)| fact)
            .collect()
    }

    /// Returns what is between two devices, as far as both machines tell: the path, the NVLinks, and their rate.
    fn path(
        &self,
        topology: &Topology,
        other_tells_bridges: bool,
        a: usize,
        b: usize,
    ) -> (Option<PathType>, u16, Option<Bandwidth>) {
        let pair = topology.pairs().pair(a, b);
        let are_gpus = a.max(b) < topology.gpus().len();
        if are_gpus && !self.nvlinks {
            return (None, 0, None);
        }
        let rate = pair.rate.filter(|_| self.rates && pair.nvlinks > 0).map(|rate| rate.bandwidth);
        (path(pair.path, other_tells_bridges), pair.nvlinks, rate)
    }
}

/// Returns what a device is, whichever of its kind.
fn kind(topology: &Topology, device: usize) -> Vec<Option<String>> {
    let gpus = topology.gpus().len();
    let gpu = topology.gpus().nth(device);
    let nic = device.checked_sub(gpus).and_then(|nic| topology.nics().nth(nic));
    let facts = match (gpu, nic) {
        (Some(gpu), _) => of_gpu(topology, device, gpu, true),
        (_, Some(nic)) => of_nic(topology, topology.devices()[device], nic),
        _ => Vec::new(),
    };
    let built = facts.into_iter().filter(|fact| fact.nature == Nature::Structure).map(|fact| fact.value);
    std::iter::once(Some(if gpu.is_some() { "GPU" } else { "NIC" }.to_owned())).chain(built).collect()
}

/// Compares NUMA nodes by what they have, and matched devices by what they are.
pub(super) fn compare(before: &Topology, after: &Topology, map: &[Option<usize>], found: &mut Findings) {
    numa_nodes(before, after, found);
    let (own, others) = (before.gpus().len(), after.gpus().len());
    for (device, other) in map.iter().enumerate() {
        let name = before.device_name(device);
        let Some(other) = *other else {
            found.part(ChangeKind::Gone, name, if device < own { "GPU" } else { "NIC" }, [None, None]);
            continue;
        };
        facts::gpus(&name, (before, device), (after, other), found);
        let nic = |topology: &'_ Topology, position: Option<usize>| {
            position.filter(|nic| *nic < topology.nics().len())
        };
        if let (Some(was), Some(is)) =
            (nic(before, device.checked_sub(own)), nic(after, other.checked_sub(others)))
            && let (Some(was), Some(is)) = (before.nics().nth(was), after.nics().nth(is))
        {
            let ids = (before.devices()[device], after.devices()[other]);
            found.facts(&name, of_nic(before, ids.0, was), of_nic(after, ids.1, is));
        }
    }
    let taken: BTreeSet<usize> = map.iter().flatten().copied().collect();
    for other in (0..after.devices().len()).filter(|other| !taken.contains(other)) {
        let fact = if other < others { "GPU" } else { "NIC" };
        found.part(ChangeKind::Added, after.device_name(other), fact, [None, None]);
    }
}

/// Compares NUMA nodes by what both machines tell of them.
fn numa_nodes(before: &Topology, after: &Topology, found: &mut Findings) {
    let tells_memory = |topology: &Topology| topology.numa_nodes().all(|numa| numa.memory.is_some());
    let (memory, cpus) = ([before, after].map(tells_memory), [before, after].map(knows_cpus));
    let describe = |numa: &NumaNode| {
        let size = |bytes: u64| exact_bytes(bytes.saturating_add(1 << 29) >> 30 << 30);
        let told = [
            (cpus == [true, true]).then(|| count_of(numa.cpus.len(), "CPU")),
            // To the nearest GiB: the kernel's own part varies.
            numa.memory.filter(|_| memory == [true, true]).map(size),
        ];
        format!("({})", told.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    };
    let numa = |topology: &Topology, other: &Topology| {
        let numbers: BTreeSet<u32> = other.numa_nodes().map(|numa| numa.os_index).collect();
        let nodes = topology.numa_nodes();
        let nodes = nodes.filter(|numa| {
            numbers.is_empty()
                || numbers.contains(&numa.os_index)
                || !may_hide(other, topology, numa.os_index)
        });
        counted(nodes.map(describe))
    };
    let both = found.both("NUMA nodes", "machine", numa(before, after), numa(after, before));
    let Some((was, is)) = both else { return };
    if was != is {
        found.part(ChangeKind::Fact, "machine".to_owned(), "NUMA nodes", [Some(was), Some(is)]);
    }
    for (fact, told) in [("memory of NUMA nodes", memory), ("CPUs of NUMA nodes", cpus)] {
        if told[0] != told[1] {
            found.one_sided(fact, told[0], "machine");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::canonical::tests::ring;
    use super::*;

    /// Matches a machine of devices of one kind with itself; returns the matching and the number of rounds.
    fn matched(devices: usize, path: impl Fn(usize, usize) -> u32, rounds: usize) -> (bool, usize) {
        let pairs = (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b)));
        let paths: Vec<u32> = pairs.map(|(a, b)| path(a, b)).collect();
        let of = vec![0; devices];
        let of_round = 2 * devices * devices;
        let mut work = rounds * of_round;
        let paths = [paths.clone(), paths];
        let found = Colours { of: [of.clone(), of], paths: &paths }.isomorphism(&mut work);
        (found.is_some_and(|map| map.len() == devices), rounds - work / of_round)
    }

    #[test]
    fn interchangeable_devices_take_one_round_together() {
        assert_eq!(matched(MOST_DEVICES, |a, b| u32::from(a == b), 1000), (true, 1));
        // On 24 boards, each with its own colour once one of it is singled out.
        let (is_matched, rounds) = matched(MOST_DEVICES, |a, b| u32::from(a / 8 == b / 8), 1000);
        assert!(is_matched && rounds < 100, "{rounds} rounds");
    }

    #[test]
    fn a_ring_is_matched_within_its_rounds_and_refused_beyond() {
        let devices = 40;
        let paths = ring(devices);
        let path = |a: usize, b: usize| paths[a * devices + b];
        let (is_matched, rounds) = matched(devices, path, 1000);
        assert!(is_matched && rounds > 20, "{rounds} rounds");
        assert_eq!(matched(devices, path, 10), (false, 10));
    }
}
