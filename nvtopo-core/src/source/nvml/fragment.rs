//! From what the driver says to a fragment: nodes, NVLinks summed by their ends, and notes.
//!
//! The driver shows each NVLink from both of its GPUs, and of NVSwitches only the GPUs' side.

use super::Told;
use super::seen::{End, MemoryNode, Seen, SeenGpu, SeenPcie};
use super::troubles::names;
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, Gpu, Link, NodeId, NodeKind, NoteKind, NumaNode, NvSwitch, Provenance, Stated, rates,
};
use crate::source::json::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What the driver told.
pub(super) fn told(seen: &Seen) -> Told {
    let of = |gpu: &SeenGpu| gpu.address.map(|address| address.0);
    let nameless = seen.gpus.iter().filter(|gpu| of(gpu).is_none()).map(|gpu| gpu.index);
    let mut nameless: Vec<u32> = nameless.chain(seen.lost.iter().copied()).collect();
    nameless.sort_unstable();
    Told {
        fragment: Build::of(seen),
        numbers: seen.gpus.iter().filter_map(|gpu| Some((of(gpu)?, gpu.index))).collect(),
        nameless,
        pcie: seen.gpus.iter().filter_map(|gpu| Some((of(gpu)?, pcie(&gpu.pcie)?))).collect(),
    }
}

/// How many NVLinks of a GPU lead to each end.
type Ends = BTreeMap<End, u16>;

struct Build<'a> {
    seen: &'a Seen,
    fragment: Fragment,
    /// The nodes of the GPUs, by their positions in `seen`.
    ids: Vec<NodeId>,
    /// The ends of each GPU's NVLinks, with the ends' kinds concluded.
    ends: Vec<Ends>,
}

impl<'a> Build<'a> {
    fn of(seen: &'a Seen) -> Fragment {
        let fragment = Fragment::new(Provenance::Nvml);
        let mut build = Self { seen, fragment, ids: Vec::new(), ends: ends(&seen.gpus) };
        let machine = build.fragment.machine();
        machine.driver.clone_from(&seen.driver);
        machine.cuda.clone_from(&seen.cuda);
        build.gpus();
        build.c2c();
        for (a, b, path) in &seen.paths {
            build.fragment.state_path(build.ids[*a], build.ids[*b], path.0);
        }
        build.direct();
        build.switched();
        build.notes();
        build.fragment
    }

    fn gpus(&mut self) {
        for gpu in &self.seen.gpus {
            let kind = NodeKind::Gpu(Box::new(Gpu {
                index: gpu.index,
                model: gpu.model.clone(),
                compute_capability: gpu.capability.map(|own| own.0),
                uuid: gpu.uuid.map(|own| own.0),
                address: gpu.address.map(|own| own.0),
                memory: gpu.memory,
                cpus: stated::<CpuSet>(gpu.cpus.as_deref()),
                nodes: stated::<NodeSet>(gpu.nodes.as_deref()),
                memory_node: match gpu.memory_node {
                    MemoryNode::Unknown => Stated::Unstated,
                    MemoryNode::None => Stated::NotAvailable,
                    MemoryNode::Node(node) => Stated::Known(node),
                },
                ..Gpu::default()
            }));
            let id = self.fragment.add(NodeId::MACHINE, kind);
            if let Some(link) = pcie(&gpu.pcie) {
                self.fragment.link(NodeId::MACHINE, id, link);
            }
            self.ids.push(id);
        }
    }

    /// C2C leads to the CPU's NUMA node, of which the driver knows no more than the number.
    fn c2c(&mut self) {
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (gpu, id) in self.seen.gpus.iter().zip(&self.ids).filter(|(gpu, _)| gpu.c2c) {
            let own = stated::<NodeSet>(gpu.nodes.as_deref());
            let Some(os_index) = own.known().and_then(NodeSet::first) else { continue };
            let node = *nodes.entry(os_index).or_insert_with(|| {
                let kind = NodeKind::NumaNode(NumaNode { os_index, ..NumaNode::default() });
                self.fragment.add(NodeId::MACHINE, kind)
            });
            self.fragment.link(node, *id, rates::c2c());
        }
    }

    /// NVLinks between two GPUs.
    fn direct(&mut self) {
        let gpus = &self.seen.gpus;
        for (a, b) in (0..gpus.len()).flat_map(|a| (a + 1..gpus.len()).map(move |b| (a, b))) {
            let count = |from: usize, to: usize| {
                let far = gpus[to].address?;
                let count = self.ends[from].get(&End::Gpu(far)).copied().unwrap_or_default();
                (!gpus[from].nvlinks.unknown || count > 0).then_some(count)
            };
            let links = match (count(a, b), count(b, a)) {
                (Some(one), Some(other)) => {
                    if one != other {
                        let (a, b) = (gpus[a].index, gpus[b].index);
                        let text = format!(
                            "GPU{a} says that {one} NVLinks lead to GPU{b}, which says {other}; the fewer are taken"
                        );
                        self.fragment.note(NoteKind::Conflict, text);
                    }
                    one.min(other)
                }
                (one, other) => one.or(other).unwrap_or_default(),
            };
            if links > 0 {
                self.fragment.link(self.ids[a], self.ids[b], self.bundle(a, links));
            }
        }
    }

    /// NVLinks to NVSwitches.
    fn switched(&mut self) {
        let hidden = self.ends.iter().any(|ends| ends.contains_key(&End::Switch(None)));
        let apart = self.are_apart();
        let fabric = (hidden || apart)
            .then(|| self.fragment.add_inferred(NodeId::MACHINE, NodeKind::NvSwitch(NvSwitch::default())));
        if hidden {
            let text =
                "the driver hides the NVSwitches at the other ends of NVLinks; one stands for all of them";
            self.fragment.note(NoteKind::Inferred, text);
        } else if apart {
            let text = "the GPUs are on different NVSwitches, and the driver does not tell how NVLinks join these; it \
                        was taken that they do, and one NVSwitch stands for all of them";
            self.fragment.note(NoteKind::Inferred, text);
        }
        let mut nodes: BTreeMap<End, NodeId> = BTreeMap::new();
        for gpu in 0..self.ids.len() {
            let mut links: BTreeMap<NodeId, u16> = BTreeMap::new();
            for (end, count) in self.ends[gpu].clone() {
                let End::Switch(address) = end else { continue };
                let kind =
                    NodeKind::NvSwitch(NvSwitch { address: address.map(|own| own.0), ..NvSwitch::default() });
                let own = || *nodes.entry(end).or_insert_with(|| self.fragment.add(NodeId::MACHINE, kind));
                *links.entry(fabric.unwrap_or_else(own)).or_default() += count;
            }
            for (node, count) in links {
                self.fragment.link(self.ids[gpu], node, self.bundle(gpu, count));
            }
        }
    }

    /// Whether two GPUs that are on NVSwitches share none of them.
    fn are_apart(&self) -> bool {
        let is_switch = |end: &End| matches!(end, End::Switch(_));
        let own = |ends: &Ends| ends.keys().copied().filter(is_switch).collect::<BTreeSet<_>>();
        let all: Vec<_> = self.ends.iter().map(own).filter(|own| !own.is_empty()).collect();
        all.iter().enumerate().any(|(place, a)| all[place + 1..].iter().any(|b| a.is_disjoint(b)))
    }

    fn bundle(&self, gpu: usize, links: u16) -> Link {
        let gpu = &self.seen.gpus[gpu];
        let version = gpu.nvlinks.up().find_map(|link| link.version);
        rates::nvlink_of(gpu.capability.map(|own| own.0), version, links)
    }

    fn notes(&mut self) {
        for note in self.seen.troubles.notes() {
            self.fragment.note(note.kind, note.text);
        }
        let gpus = &self.seen.gpus;
        let which = |is: &dyn Fn(usize) -> bool| -> BTreeSet<u32> {
            (0..gpus.len()).filter(|gpu| is(*gpu)).map(|gpu| gpus[gpu].index).collect()
        };
        let divided = which(&|gpu| gpus[gpu].mig);
        if !divided.is_empty() {
            let text = format!("{}: divided (MIG); the instances are not in the topology", names(&divided));
            self.fragment.note(NoteKind::Unknown, text);
        }
        for (end, what) in [(End::Cpu, "a CPU"), (End::Unknown, "something that the driver does not name")] {
            let some = which(&|gpu| self.ends[gpu].contains_key(&end));
            if !some.is_empty() {
                let text = format!("{}: NVLinks lead to {what}; they were left out", names(&some));
                self.fragment.note(NoteKind::Unknown, text);
            }
        }
        // A GPU that is gone has no link to be used; its note is written already.
        let unknown = which(&|gpu| gpus[gpu].nvlinks.unknown && !self.seen.troubles.is_lost(gpus[gpu].index));
        if !unknown.is_empty() {
            self.fragment.set_nvlink_unknown();
            let text = format!("{}: the driver does not tell of all NVLinks", names(&unknown));
            self.fragment.note(NoteKind::Unknown, text);
        }
        self.down();
    }

    /// A link that is down on a GPU and up on others of its model. Where it is down on all, none is wired.
    fn down(&mut self) {
        let mut most: BTreeMap<&Option<String>, usize> = BTreeMap::new();
        for gpu in &self.seen.gpus {
            let most = most.entry(&gpu.model).or_default();
            *most = gpu.nvlinks.up().count().max(*most);
        }
        for gpu in &self.seen.gpus {
            let (up, most) = (gpu.nvlinks.up().count(), most.get(&gpu.model).copied().unwrap_or_default());
            let down = gpu.nvlinks.links.iter().filter(|link| !link.up);
            let down: Vec<String> = down.map(|link| link.number.to_string()).collect();
            if up < most && !down.is_empty() {
                let text = format!(
                    "GPU{}: {up} NVLinks are up, and {most} on others of its model; down: {}",
                    gpu.index,
                    down.join(", ")
                );
                self.fragment.note(NoteKind::Conflict, text);
            }
        }
    }
}

/// Sums the links by their ends. What the driver gives no kind is a GPU if its address is one's, and a switch if
/// several GPUs lead to it; else it is a GPU that this process is not shown.
fn ends(gpus: &[SeenGpu]) -> Vec<Ends> {
    let own: BTreeSet<Text<PciAddress>> = gpus.iter().filter_map(|gpu| gpu.address).collect();
    let mut leading: BTreeMap<End, usize> = BTreeMap::new();
    for gpu in gpus {
        for end in gpu.nvlinks.up().map(|link| link.end).collect::<BTreeSet<_>>() {
            *leading.entry(end).or_default() += 1;
        }
    }
    let kind = |end: End| match end {
        End::Something(address) if own.contains(&address) => End::Gpu(address),
        End::Something(address) if leading.get(&end).is_some_and(|gpus| *gpus > 1) => {
            End::Switch(Some(address))
        }
        other => other,
    };
    let sums = gpus.iter().map(|gpu| {
        let mut ends = Ends::new();
        for link in gpu.nvlinks.up() {
            *ends.entry(kind(link.end)).or_default() += 1;
        }
        ends
    });
    sums.collect()
}

/// A set from its text. Ranges are taken in increasing order only, as they are written: in any other, a short text
/// could be much work.
fn stated<T: FromStr>(text: Option<&str>) -> Stated<T> {
    let Some(text) = text else { return Stated::Unstated };
    let numbers: Result<Vec<u32>, _> = text.split([',', '-']).map(str::parse).collect();
    let increasing = numbers.is_ok_and(|numbers| numbers.windows(2).all(|pair| pair[0] < pair[1]));
    match increasing.then(|| text.parse().ok()).flatten() {
        Some(set) => Stated::Known(set),
        None => Stated::Unreadable,
    }
}

/// A GPU that rests runs its link slowly until it is used, so its best generation counts; the width that was agreed on
/// stays.
fn pcie(pcie: &SeenPcie) -> Option<Link> {
    let generation = pcie.max_generation.or(pcie.generation)?;
    let width = pcie.width.filter(|width| *width > 0).or(pcie.max_width)?;
    Some(rates::pcie(u8::try_from(generation).ok()?, u16::try_from(width).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::seen::{SeenNvlink, SeenNvlinks};
    use super::*;
    use crate::Topology;
    use crate::model::{PathType, TopologyBuilder};

    fn address(bus: u8) -> PciAddress {
        PciAddress { domain: 0, bus, device: 0, function: 0 }
    }

    /// GPUs on the buses from 0, each with NVLinks to these ends.
    fn machine(ends: &[&[End]]) -> Topology {
        let link = |end: &End| SeenNvlink { up: true, version: Some(4), end: *end, ..SeenNvlink::default() };
        let gpus = ends.iter().zip(0..).map(|(ends, bus)| SeenGpu {
            index: u32::from(bus),
            address: Some(Text(address(bus))),
            nvlinks: SeenNvlinks { links: ends.iter().map(link).collect(), ..SeenNvlinks::default() },
            ..SeenGpu::default()
        });
        let seen = Seen { gpus: gpus.collect(), ..Seen::default() };
        TopologyBuilder::new().with(told(&seen).fragment).build().unwrap()
    }

    fn notes(topology: &Topology) -> String {
        let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
        notes.join("\n")
    }

    #[test]
    fn both_sides_of_a_link_count_once() {
        let (a, b) = (End::Gpu(Text(address(0))), End::Something(Text(address(1))));
        let topology = machine(&[&[b, b], &[a, a]]);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 2);
        assert_eq!(notes(&topology), "");
        let topology = machine(&[&[b, b], &[a]]);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 1);
        assert!(notes(&topology).contains("the fewer are taken"));
    }

    #[test]
    fn switches_are_known_by_those_that_lead_to_them() {
        let (switch, hidden) = (End::Something(Text(address(9))), End::Switch(None));
        let topology = machine(&[&[switch, switch], &[switch, switch], &[switch]]);
        let counts = [(0, 1), (0, 2)].map(|(a, b)| topology.pairs().pair(a, b).nvlinks);
        assert_eq!(counts, [2, 1]);
        let topology = machine(&[&[hidden, hidden], &[hidden, hidden]]);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 2);
        assert!(notes(&topology).contains("hides the NVSwitches"));
    }

    #[test]
    fn boards_with_switches_of_their_own_are_joined() {
        let (left, right) = (End::Switch(Some(Text(address(8)))), End::Switch(Some(Text(address(9)))));
        let topology = machine(&[&[left, left], &[left, left], &[right, right]]);
        assert_eq!(topology.pairs().pair(0, 2).path, Some(PathType::Nvl));
        assert!(notes(&topology).contains("different NVSwitches"));
    }

    #[test]
    fn other_ends_are_told_or_belong_to_gpus_that_are_not_shown() {
        let topology = machine(&[&[End::Cpu], &[End::Unknown], &[End::Gpu(Text(address(7)))]]);
        assert_eq!(topology.links().count(), 0);
        let notes = notes(&topology);
        assert!(
            notes.contains("GPU0: NVLinks lead to a CPU") && notes.contains("GPU1: NVLinks lead to some")
        );
        assert_eq!(notes.lines().count(), 2);
    }
}
