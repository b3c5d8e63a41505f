//! The hints of the kubelet's managers: CPUs, devices, memory.
//!
//! Source: `generateCPUTopologyHints`, `generateDeviceTopologyHints` and `calculateHints` of `pkg/kubelet/cm`, written anew.

use super::hints::{Hint, Hints, Mask};
use super::node::{Node, NodeMemory, Resource};
use nvtopo::CpuSet;
use std::collections::BTreeMap;

/// Memory of init containers that later ones use again: by nodes and kind.
pub(crate) type Reusable = BTreeMap<(Mask, String), u64>;

/// Marks the hints of as few nodes as could ever be.
fn prefer(hints: &mut [Hint], least: u32) {
    for hint in hints {
        hint.preferred |= hint.affinity.is_some_and(|mask| mask.count() == least);
    }
}

/// Returns the sets of NUMA nodes that a number of CPUs can come from.
pub(crate) fn cpus(
    node: &Node,
    available: &CpuSet,
    reusable: &CpuSet,
    count: usize,
    by_socket: bool,
) -> Vec<Hint> {
    let each: BTreeMap<u32, (usize, usize, usize)> = node
        .cpu_nodes
        .nodes()
        .map(|numa| {
            let own = node.cpus.of_node(numa);
            let within = |cpus: &CpuSet| own.intersection(cpus).len();
            (numa, (own.len(), within(available), within(reusable)))
        })
        .collect();
    let sum = |mask: Mask, of: fn(&(usize, usize, usize)) -> usize| -> usize {
        mask.nodes().filter_map(|numa| each.get(&numa)).map(of).sum()
    };
    let mut least = node.cpu_nodes.count();
    let mut hints = Vec::new();
    for mask in node.cpu_nodes.subsets() {
        if sum(mask, |own| own.0) >= count {
            least = least.min(mask.count());
        }
        // What is used again must be in it, all of it. CPUs that are both available and used again count twice, as there.
        let again = sum(mask, |own| own.2);
        if again == reusable.len() && again + sum(mask, |own| own.1) >= count {
            hints.push(Hint { affinity: Some(mask), preferred: false });
        }
    }
    if by_socket {
        let nodes_per_socket = node.cpu_nodes.count() as usize / node.cpus.package_count().max(1);
        if nodes_per_socket > 0 {
            let sockets = (least as usize).div_ceil(nodes_per_socket);
            for hint in &mut hints {
                let cpus = hint.affinity.map(|mask| {
                    mask.nodes().fold(CpuSet::new(), |cpus, numa| cpus.union(&node.cpus.of_node(numa)))
                });
                hint.preferred = cpus.is_some_and(|cpus| node.cpus.packages(&cpus).len() == sockets);
            }
        }
    }
    prefer(&mut hints, least);
    hints
}

/// Returns the sets of NUMA nodes that a number of devices can come from. `taken` are given away; `reusable` ones the pod has from an init container.
pub(crate) fn devices(resource: &Resource, taken: &[usize], reusable: &[usize], count: u64) -> Hints {
    if !resource.aligns() {
        return None;
    }
    let available: Vec<usize> =
        (0..resource.devices.len()).filter(|device| !taken.contains(device)).collect();
    let both = available.len() + reusable.iter().filter(|device| !available.contains(device)).count();
    if (both as u64) < count {
        return Some(Vec::new());
    }
    let touches = |mask: Mask, device: usize| mask.touches(resource.devices[device].nodes);
    let mut least = resource.nodes.count();
    let mut hints = Vec::new();
    for mask in resource.nodes.subsets() {
        let within = (0..resource.devices.len()).filter(|device| touches(mask, *device)).count();
        if within as u64 >= count {
            least = least.min(mask.count());
        }
        let placed = || reusable.iter().filter(|device| !resource.devices[**device].nodes.is_empty());
        if !placed().all(|device| touches(mask, *device)) {
            continue;
        }
        let matching = placed().count() + available.iter().filter(|device| touches(mask, **device)).count();
        if matching as u64 >= count {
            hints.push(Hint { affinity: Some(mask), preferred: false });
        }
    }
    prefer(&mut hints, least);
    Some(hints)
}

/// Returns the sets of NUMA nodes that the memory of all kinds can come from: the same nodes for each.
/// Empty where none is asked for, or none will do.
pub(crate) fn memory(
    state: &BTreeMap<u32, NodeMemory>,
    reusable: &Reusable,
    request: &BTreeMap<String, u64>,
) -> Vec<Hint> {
    let all = Mask::of(state.keys().copied());
    let mut least = all.count();
    let mut hints = Vec::new();
    if request.is_empty() {
        return hints;
    }
    for mask in all.subsets() {
        let own: Vec<&NodeMemory> = mask.nodes().filter_map(|node| state.get(&node)).collect();
        let sum = |kind: &str, of: fn(&super::node::Memory) -> u64| -> u64 {
            own.iter().filter_map(|node| node.kinds.get(kind)).map(of).fold(0, u64::saturating_add)
        };
        if request.iter().any(|(kind, size)| sum(kind, |memory| memory.allocatable) < *size) {
            continue;
        }
        least = least.min(mask.count());
        if violates(state, mask, true) {
            continue;
        }
        let again = |kind: &String| reusable.get(&(mask, kind.clone())).copied().unwrap_or(0);
        let fits = |(kind, size): (&String, &u64)| {
            sum(kind, |memory| memory.free).saturating_add(again(kind)) >= *size
        };
        if request.iter().all(fits) {
            hints.push(Hint { affinity: Some(mask), preferred: false });
        }
    }
    prefer(&mut hints, least);
    hints
}

/// Returns true for nodes that cannot be given out together: one was given out alone, or together with others. `alone_too`: one
/// that was given out together with others cannot be given out alone.
pub(crate) fn violates(state: &BTreeMap<u32, NodeMemory>, mask: Mask, alone_too: bool) -> bool {
    let mut nodes = mask.nodes().filter_map(|node| state.get(&node));
    if mask.count() == 1 {
        return alone_too && nodes.any(|node| node.cells.count() > 1);
    }
    nodes.any(|node| node.assignments > 0 && (node.cells.count() == 1 || node.cells != mask))
}

/// The hint with the fewest nodes, preferred ones first.
pub(crate) fn best_of(hints: impl IntoIterator<Item = Hint>) -> Option<Hint> {
    let key = |hint: &Hint| {
        let mask = hint.affinity.unwrap_or_default();
        (!hint.preferred, mask.count(), mask)
    };
    hints.into_iter().min_by_key(key)
}
