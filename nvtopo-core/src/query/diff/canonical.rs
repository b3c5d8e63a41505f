//! The structure of a machine as a text that equal machines share, by colour refinement.
//!
//! Devices start with the rank of what they are and where in the tree they are. Refinement ranks those of one colour by
//! their paths to devices of each colour. While devices of one colour are left that are not interchangeable, one of those
//! whose singling out gives the least colouring is singled out. Ranks follow the order of values, never that of devices.

use super::facts::{Fact, Nature, of_gpu, of_machine, of_nic};
use crate::model::{NodeId, NodeKind, PathType, Stated, Topology};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most paths that refinements look at, each time anew. Beyond them devices of one colour stay in the source's order; no board
/// has come near.
const MOST_WORK: usize = 1 << 27;

/// Returns what a machine is built of and how it is connected, as a text that is equal for equal machines.
///
/// It holds the CPUs and NUMA nodes, the PCIe tree below each host bridge, the NVLink graph, and counts and speeds.
/// PCI addresses, UUIDs, serial numbers, names of devices, sizes of memory, software and settings do not count, nor the order
/// of devices. A device's NUMA node does: two machines differ where a card is at another one. The text is for comparison:
/// it may change with the version of this crate.
///
/// ```
/// use nvtopo::Topology;
/// use nvtopo::diff::canonical_structure;
///
/// let a = Topology::parse("a", b"\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV4\tSYS\nGPU1\tNV4\tX\tSYS\nGPU2\tSYS\tSYS\tX\n")?;
/// let b = Topology::parse("b", b"\tGPU0\tGPU1\tGPU2\nGPU0\tX\tSYS\tSYS\nGPU1\tSYS\tX\tNV4\nGPU2\tSYS\tNV4\tX\n")?;
/// assert_eq!(canonical_structure(&a), canonical_structure(&b));
/// assert_ne!(canonical_structure(&a), canonical_structure(&Topology::preset("dgx-h100")?));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn canonical_structure(topology: &Topology) -> String {
    let mut text = String::new();
    for (name, value) in built(of_machine(topology)) {
        let _ = writeln!(text, "machine {name}: {value}");
    }
    let nodes: BTreeSet<String> = topology
        .numa_nodes()
        .map(|numa| {
            format!("NUMA node {}: {} CPUs, distances {:?}", numa.os_index, numa.cpus.len(), numa.distances)
        })
        .collect();
    text.extend(nodes.into_iter().map(|line| line + "\n"));
    text.extend(others(topology).into_iter().map(|line| line + "\n"));
    let devices = topology.devices().len();
    let keys: Vec<String> = (0..devices).map(|device| key(topology, device)).collect();
    // There are few kinds of paths, and as many paths as the square of devices.
    let kinds: BTreeMap<Kind, String> =
        pairs(devices).map(|(a, b)| kind(topology, a, b)).map(|own| (own, path(own))).collect();
    let paths: BTreeSet<&String> = kinds.values().collect();
    let numbers: BTreeMap<&String, u32> = paths.iter().copied().zip(0..).collect();
    let number = |(a, b)| numbers[&kinds[&kind(topology, a, b)]];
    let mut refined =
        Refined { of: ranks(&keys), paths: pairs(devices).map(number).collect(), left: MOST_WORK };
    refined.settle();
    let mut order: Vec<usize> = (0..devices).collect();
    order.sort_by_key(|device| refined.of[*device]);
    for device in &order {
        let _ = writeln!(text, "device {}", keys[*device]);
    }
    for (number, path) in paths.into_iter().enumerate() {
        let _ = writeln!(text, "path {number}: {path}");
    }
    for a in &order {
        let row: Vec<String> = order.iter().map(|b| refined.paths[a * devices + b].to_string()).collect();
        let _ = writeln!(text, "paths {}", row.join(" "));
    }
    text
}

fn pairs(devices: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..devices).flat_map(move |a| (0..devices).map(move |b| (a, b)))
}

/// Returns the structural facts that are known.
fn built(facts: Vec<Fact>) -> impl Iterator<Item = (&'static str, String)> {
    facts
        .into_iter()
        .filter(|fact| fact.nature == Nature::Structure)
        .filter_map(|fact| Some((fact.name, fact.value?)))
}

/// Returns what a device is and where it is in the tree.
fn key(topology: &Topology, device: usize) -> String {
    let id = topology.devices()[device];
    let gpus = topology.gpus().len();
    let (word, facts, has_ids) = match (topology.gpus().nth(device), device.checked_sub(gpus)) {
        (Some(gpu), _) => ("GPU", of_gpu(topology, device, gpu, true), gpu.pci.device.is_some()),
        (None, Some(nic)) => match topology.nics().nth(nic) {
            Some(nic) => ("NIC", of_nic(topology, id, nic), nic.pci.device.is_some()),
            None => ("device", Vec::new(), false),
        },
        (None, None) => ("device", Vec::new(), false),
    };
    let mut text = word.to_owned();
    for (name, value) in built(facts) {
        // Names of models are those of a driver or of a table, and vary with it; the numbers of PCI do not.
        if !(has_ids && ["model", "compute capability"].contains(&name)) {
            let _ = write!(text, ", {name} {value}");
        }
    }
    text + &site(topology, id)
}

/// Returns the way from a part of the tree to the machine, and its NUMA nodes.
fn site(topology: &Topology, id: NodeId) -> String {
    let mut text = String::new();
    if let Stated::Known(nodes) = topology.local_nodes(id) {
        let _ = write!(text, ", NUMA nodes {nodes}");
    }
    for above in topology.ancestors(id) {
        match &topology.node(above).kind {
            NodeKind::PcieSwitch(switch) => {
                let ids = switch.pci.vendor.zip(switch.pci.device);
                let ids =
                    ids.map_or_else(String::new, |(vendor, device)| format!(" {vendor:04x}:{device:04x}"));
                let _ = write!(text, " < switch{ids}");
            }
            NodeKind::HostBridge(_) => text.push_str(" < host bridge"),
            _ => {}
        }
    }
    text
}

/// Returns the sites of disks and NVSwitches, each as often as it is there.
fn others(topology: &Topology) -> Vec<String> {
    let told = topology.nodes().filter_map(|(id, node)| match &node.kind {
        NodeKind::Nvme(_) => Some(format!("disk{}", site(topology, id))),
        NodeKind::NvSwitch(_) => Some(format!("NVSwitch{}", site(topology, id))),
        _ => None,
    });
    let mut told: Vec<String> = told.collect();
    told.sort_unstable();
    told
}

/// The kind of a path: its class, its NVLinks and its bandwidth.
type Kind = (Option<PathType>, u16, Option<Bandwidth>);

fn kind(topology: &Topology, a: usize, b: usize) -> Kind {
    let pair = topology.pairs().pair(a, b);
    (pair.path, pair.nvlinks, pair.rate.map(|rate| rate.bandwidth))
}

fn path((class, nvlinks, bandwidth): Kind) -> String {
    let class = class.map_or("unknown", PathType::word);
    let rate = bandwidth.map_or_else(String::new, |bandwidth| format!(", {bandwidth}"));
    format!("{class}, {nvlinks} NVLinks{rate}")
}

/// Returns the rank of each value among the values.
fn ranks<T: Ord>(values: &[T]) -> Vec<u32> {
    let rank: BTreeMap<&T, u32> = values.iter().collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    values.iter().map(|value| rank[value]).collect()
}

/// Returns the devices of each colour.
pub(super) fn cells(of: &[u32]) -> BTreeMap<u32, Vec<usize>> {
    let mut cells: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (device, colour) in of.iter().enumerate() {
        cells.entry(*colour).or_default().push(device);
    }
    cells
}

/// Returns whether devices are interchangeable: their paths to all others are the same.
pub(super) fn are_twins(paths: &[u32], devices: usize, cell: &[usize]) -> bool {
    let row = |device: usize| &paths[device * devices..][..devices];
    let first = cell[0];
    let like_first = |other: &usize| {
        let same = |x: usize| x == first || x == *other || row(first)[x] == row(*other)[x];
        (0..devices).all(same)
    };
    cell[1..].iter().all(like_first)
}

/// The colours of devices.
struct Refined {
    of: Vec<u32>,
    /// The ranks of the paths of all pairs.
    paths: Vec<u32>,
    /// The number of paths that refinements may look at yet.
    left: usize,
}

impl Refined {
    fn row(&self, device: usize) -> &[u32] {
        let devices = self.of.len();
        &self.paths[device * devices..][..devices]
    }

    /// Returns the colours when no device gets another one any more, or too much was looked at.
    fn refine(&mut self, mut of: Vec<u32>) -> Vec<u32> {
        loop {
            let Some(left) = self.left.checked_sub(self.paths.len()) else {
                self.left = 0;
                return of;
            };
            self.left = left;
            let around = |device: usize| {
                let mut around: Vec<(u32, u32)> =
                    self.row(device).iter().copied().zip(of.iter().copied()).collect();
                around.sort_unstable();
                (of[device], self.row(device)[device], around)
            };
            let refined = ranks(&(0..of.len()).map(around).collect::<Vec<_>>());
            if refined == of {
                return of;
            }
            of = refined;
        }
    }

    /// Gives devices of one colour different ones, unless they are interchangeable.
    fn settle(&mut self) {
        self.of = self.refine(self.of.clone());
        while let Some(cell) = self.open_cell() {
            let mut least: Option<(Vec<Vec<u32>>, Vec<u32>)> = None;
            for member in &cell {
                // Twice each rank leaves room for the one that is singled out, before the others of its colour.
                let mut of: Vec<u32> = self.of.iter().map(|rank| rank * 2 + 1).collect();
                of[*member] -= 1;
                let of = self.refine(of);
                let picture = self.picture(&of);
                if least.as_ref().is_none_or(|(known, _)| picture < *known) {
                    least = Some((picture, of));
                }
            }
            let Some((_, of)) = least.filter(|_| self.left > 0) else { return };
            self.of = of;
        }
    }

    /// Returns the devices of the first colour of which several are not interchangeable.
    fn open_cell(&self) -> Option<Vec<usize>> {
        cells(&self.of).into_values().find(|cell| !are_twins(&self.paths, self.of.len(), cell))
    }

    /// Returns the colours with their neighbours' colours, whichever devices have them.
    fn picture(&self, of: &[u32]) -> Vec<Vec<u32>> {
        let row = |device: usize| {
            let mut around: Vec<(u32, u32)> =
                of.iter().copied().zip(self.row(device).iter().copied()).collect();
            around.sort_unstable();
            std::iter::once(of[device]).chain(around.into_iter().flat_map(|(a, b)| [a, b])).collect()
        };
        let mut rows: Vec<Vec<u32>> = (0..of.len()).map(row).collect();
        rows.sort_unstable();
        rows
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The paths of devices in a ring, numbered: to itself, to a neighbour, to all others.
    pub(in super::super) fn ring(devices: usize) -> Vec<u32> {
        let path = |(a, b): (usize, usize)| match (a + devices - b) % devices {
            0 => 0,
            distance if distance == 1 || distance == devices - 1 => 1,
            _ => 2,
        };
        pairs(devices).map(path).collect()
    }

    fn settled(devices: usize, rounds: usize) -> Refined {
        let mut ring =
            Refined { of: vec![0; devices], paths: ring(devices), left: rounds * devices * devices };
        ring.settle();
        ring
    }

    #[test]
    fn a_machine_that_takes_too_much_work_keeps_its_order() {
        let distinct = |refined: &Refined| cells(&refined.of).len();
        assert_eq!(distinct(&settled(12, 1000)), 12);
        // Each member of a colour is singled out, and each takes rounds by the length of the ring.
        let stopped = settled(60, 100);
        assert_eq!((stopped.left, distinct(&stopped)), (0, 1));
    }
}
