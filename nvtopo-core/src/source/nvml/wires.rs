//! NVLinks, summed by their ends.
//!
//! The driver shows each NVLink from both of its GPUs, and of NVSwitches only the GPUs' side.

use super::fragment::Build;
use super::report::{End, ReportedGpu};
use crate::ids::PciAddress;
use crate::model::{Link, NodeId, NodeKind, NoteCode, NoteKind, NvLinkFar, NvSwitch, rates};
use crate::source::json::Text;
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// The NVLinks of a GPU that lead to each end, by what each carries.
pub(super) type Ends = BTreeMap<End, Vec<Option<u64>>>;

impl Build<'_> {
    /// Adds the NVLinks that the ends report.
    pub(super) fn nvlinks(&mut self) {
        self.direct();
        self.switched();
    }

    /// Adds NVLinks between two GPUs.
    fn direct(&mut self) {
        let gpus = &self.report.gpus;
        for (a, b) in (0..gpus.len()).flat_map(|a| (a + 1..gpus.len()).map(move |b| (a, b))) {
            let leading = |from: usize, to: usize| {
                let far = gpus[to].address?;
                let links = self.ends[from].get(&End::Gpu(far)).map_or(&[][..], Vec::as_slice);
                (!gpus[from].nvlinks.unknown || !links.is_empty()).then_some(links)
            };
            let links = match (leading(a, b), leading(b, a)) {
                (Some(one), Some(other)) => {
                    if one.len() != other.len() {
                        let (a, b) = (gpus[a].index, gpus[b].index);
                        let text = format!(
                            "GPU{a} says that {} NVLinks lead to GPU{b}, which says {}; the fewer are taken",
                            one.len(),
                            other.len()
                        );
                        self.fragment.note(NoteKind::Conflict, text);
                    }
                    if one.len() <= other.len() { one } else { other }
                }
                (one, other) => one.or(other).unwrap_or_default(),
            };
            if !links.is_empty() {
                let bundle = self.bundle(a, links);
                self.fragment.link(self.ids[a], self.ids[b], bundle);
            }
        }
    }

    /// Adds NVLinks to NVSwitches.
    fn switched(&mut self) {
        let hidden = self.ends.iter().any(|ends| ends.contains_key(&End::Switch(None)));
        let apart = self.are_apart();
        let fabric =
            (hidden || apart).then(|| self.fragment.add_inferred(NodeId::MACHINE, NvSwitch::default()));
        if hidden {
            let text =
                "the driver hides the NVSwitches at the other ends of NVLinks; one stands for all of them";
            self.fragment.note(NoteCode::NvswitchesInferred, text);
        } else if apart {
            let text = "the GPUs are on different NVSwitches, and the driver does not tell how NVLinks join these; it \
                        was taken that they do, and one NVSwitch stands for all of them";
            self.fragment.note(NoteCode::NvswitchesInferred, text);
        }
        let mut nodes: BTreeMap<End, NodeId> = BTreeMap::new();
        for gpu in 0..self.ids.len() {
            let mut links: BTreeMap<NodeId, Vec<Option<u64>>> = BTreeMap::new();
            for (end, speeds) in self.ends[gpu].clone() {
                let End::Switch(address) = end else { continue };
                let kind =
                    NodeKind::NvSwitch(NvSwitch { address: address.map(|own| own.0), ..NvSwitch::default() });
                let own = || *nodes.entry(end).or_insert_with(|| self.fragment.add(NodeId::MACHINE, kind));
                links.entry(fabric.unwrap_or_else(own)).or_default().extend(speeds);
            }
            for (node, speeds) in links {
                self.fragment.link(self.ids[gpu], node, self.bundle(gpu, &speeds));
            }
        }
    }

    /// Returns whether two GPUs that are on NVSwitches share none of them.
    fn are_apart(&self) -> bool {
        let is_switch = |end: &End| matches!(end, End::Switch(_));
        let own = |ends: &Ends| ends.keys().copied().filter(is_switch).collect::<BTreeSet<_>>();
        let all: Vec<_> = self.ends.iter().map(own).filter(|own| !own.is_empty()).collect();
        all.iter().enumerate().any(|(place, a)| all[place + 1..].iter().any(|b| a.is_disjoint(b)))
    }

    /// Returns the link that NVLinks with the same two ends form, by the bandwidth that the driver reports of each.
    fn bundle(&self, gpu: usize, speeds: &[Option<u64>]) -> Link {
        let gpu = &self.report.gpus[gpu];
        let version = gpu.nvlinks.up().find_map(|link| link.version);
        let capability = gpu.capability.map(|own| own.0);
        let speeds_known: Option<Vec<Bandwidth>> =
            speeds.iter().map(|speed| speed.map(Bandwidth::from_mb_per_s)).collect();
        Link {
            reported: speeds_known.map(|speeds| speeds.into_iter().sum()),
            ..rates::nvlink_of(capability, version, speeds.len() as u16)
        }
    }
}

/// The kinds of ends of which the driver reports none: a GPU if the address is that of one, and a switch if several
/// GPUs lead to it; else a GPU that this process is not shown.
pub(super) struct Kinds {
    gpus: BTreeSet<Text<PciAddress>>,
    /// The number of GPUs that lead to each end.
    leading: BTreeMap<End, usize>,
}

impl Kinds {
    pub(super) fn of(gpus: &[ReportedGpu]) -> Self {
        let mut leading = BTreeMap::new();
        for gpu in gpus {
            for end in gpu.nvlinks.up().map(|link| link.end).collect::<BTreeSet<_>>() {
                *leading.entry(end).or_default() += 1;
            }
        }
        Self { gpus: gpus.iter().filter_map(|gpu| gpu.address).collect(), leading }
    }

    pub(super) fn kind(&self, end: End) -> End {
        match end {
            End::Untyped(address) if self.gpus.contains(&address) => End::Gpu(address),
            End::Untyped(address) if self.leading.get(&end).is_some_and(|gpus| *gpus > 1) => {
                End::Switch(Some(address))
            }
            other => other,
        }
    }

    /// Returns the links of a GPU by their ends.
    pub(super) fn ends(&self, gpu: &ReportedGpu) -> Ends {
        let mut ends = Ends::new();
        for link in gpu.nvlinks.up() {
            ends.entry(self.kind(link.end)).or_default().push(link.speed);
        }
        ends
    }
}

/// Returns an end as the model has it. A kind that is not known is not guessed there.
pub(super) fn far(end: End) -> NvLinkFar {
    match end {
        End::Gpu(address) => NvLinkFar::Gpu(address.0),
        End::Switch(address) => NvLinkFar::Switch(address.map(|address| address.0)),
        End::Cpu => NvLinkFar::Cpu,
        End::Untyped(_) | End::Unknown => NvLinkFar::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fragment::facts;
    use super::super::report::{DriverReport, ReportedNvlink, ReportedNvlinks};
    use super::*;
    use crate::Topology;
    use crate::model::{PathType, TopologyBuilder};

    fn address(bus: u8) -> PciAddress {
        PciAddress { domain: 0, bus, device: 0, function: 0 }
    }

    /// Returns GPUs on the buses from 0, each with NVLinks to these ends.
    fn machine(ends: &[&[End]]) -> Topology {
        let link =
            |end: &End| ReportedNvlink { up: true, version: Some(4), end: *end, ..ReportedNvlink::default() };
        let gpus = ends.iter().zip(0..).map(|(ends, bus)| ReportedGpu {
            index: u32::from(bus),
            address: Some(Text(address(bus))),
            nvlinks: ReportedNvlinks { links: ends.iter().map(link).collect(), ..ReportedNvlinks::default() },
            ..ReportedGpu::default()
        });
        let report = DriverReport { gpus: gpus.collect(), ..DriverReport::default() };
        TopologyBuilder::new().with(facts(&report).fragment).build().unwrap()
    }

    fn notes(topology: &Topology) -> String {
        let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
        notes.join("\n")
    }

    #[test]
    fn both_sides_of_a_link_count_once() {
        let (a, b) = (End::Gpu(Text(address(0))), End::Untyped(Text(address(1))));
        let topology = machine(&[&[b, b], &[a, a]]);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 2);
        assert_eq!(notes(&topology), "");
        let topology = machine(&[&[b, b], &[a]]);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 1);
        assert!(notes(&topology).contains("the fewer are taken"));
    }

    #[test]
    fn switches_are_known_by_those_that_lead_to_them() {
        let (switch, hidden) = (End::Untyped(Text(address(9))), End::Switch(None));
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
