//! The structure of a machine as a text that equal machines share, by colour refinement.
//!
//! Devices start with the rank of what they are and where in the tree they are. Refinement ranks those of one colour by
//! their paths to devices of each colour. While devices of one colour are left that are not interchangeable, one of those
//! whose singling out gives the least colouring is singled out. Ranks follow the order of values, never that of devices.

use super::facts::{Fact, Nature, of_gpu, of_machine, of_nic};
use crate::model::{NodeId, NodeKind, Stated, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most refinements. Beyond them the first device of a colour is singled out; no board has come near.
const MOST_REFINEMENTS: usize = 2000;

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
    let paths: Vec<String> = pairs(devices).map(|(a, b)| path(topology, a, b)).collect();
    let mut refined = Refined { of: ranks(&keys), paths: ranks(&paths), refinements: 0 };
    refined.settle();
    let mut order: Vec<usize> = (0..devices).collect();
    order.sort_by_key(|device| refined.of[*device]);
    for device in &order {
        let _ = writeln!(text, "device {}", keys[*device]);
    }
    let kinds: BTreeSet<&String> = paths.iter().collect();
    for (number, kind) in kinds.into_iter().enumerate() {
        let _ = writeln!(text, "path {number}: {kind}");
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

fn path(topology: &Topology, a: usize, b: usize) -> String {
    let pair = topology.pairs().pair(a, b);
    let class = pair.path.map_or("unknown", crate::model::PathType::word);
    let rate = pair.rate.map_or_else(String::new, |rate| format!(", {}", rate.bandwidth));
    format!("{class}, {} NVLinks{rate}", pair.nvlinks)
}

/// Returns the rank of each value among the values.
fn ranks<T: Ord>(values: &[T]) -> Vec<u32> {
    let rank: BTreeMap<&T, u32> = values.iter().collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    values.iter().map(|value| rank[value]).collect()
}

/// The colours of devices.
struct Refined {
    of: Vec<u32>,
    /// The ranks of the paths of all pairs.
    paths: Vec<u32>,
    refinements: usize,
}

impl Refined {
    fn row(&self, device: usize) -> &[u32] {
        let devices = self.of.len();
        &self.paths[device * devices..][..devices]
    }

    /// Returns the colours when no device gets another one any more.
    fn refine(&mut self, mut of: Vec<u32>) -> Vec<u32> {
        self.refinements += 1;
        loop {
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
            let members = if self.refinements < MOST_REFINEMENTS { cell.as_slice() } else { &cell[..1] };
            for member in members {
                // Twice each rank leaves room for the one that is singled out, before the others of its colour.
                let mut of: Vec<u32> = self.of.iter().map(|rank| rank * 2 + 1).collect();
                of[*member] -= 1;
                let of = self.refine(of);
                let picture = self.picture(&of);
                if least.as_ref().is_none_or(|(known, _)| picture < *known) {
                    least = Some((picture, of));
                }
            }
            let Some((_, of)) = least else { return };
            self.of = of;
        }
    }

    /// Returns the devices of the first colour of which several are not interchangeable.
    fn open_cell(&self) -> Option<Vec<usize>> {
        let mut cells: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (device, colour) in self.of.iter().enumerate() {
            cells.entry(*colour).or_default().push(device);
        }
        let are_twins = |a: usize, b: usize| {
            let same = |x: usize| x == a || x == b || self.row(a)[x] == self.row(b)[x];
            (0..self.of.len()).all(same)
        };
        cells.into_values().find(|cell| cell.iter().skip(1).any(|other| !are_twins(cell[0], *other)))
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
