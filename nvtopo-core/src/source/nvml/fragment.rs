//! From what the driver says to a fragment: nodes, what joins them, and notes.

use super::Told;
use super::nodes::{self, stated};
use super::seen::{End, Seen, SeenGpu};
use super::troubles::names;
use super::wires::Ends;
use crate::cpuset::NodeSet;
use crate::model::{
    FabricFault, Fragment, Gpu, Link, NodeId, NodeKind, NoteKind, NumaNode, P2p, P2pStatus, Provenance, rates,
};
use crate::source::nvlinks::note_down;
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

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
        pcie: seen.gpus.iter().filter_map(|gpu| Some((of(gpu)?, nodes::pcie(&gpu.pcie)?))).collect(),
    }
}

pub(super) struct Build<'a> {
    pub(super) seen: &'a Seen,
    pub(super) fragment: Fragment,
    /// The nodes of the GPUs, by their positions in `seen`.
    pub(super) ids: Vec<NodeId>,
    /// The ends of each GPU's NVLinks, with the ends' kinds concluded.
    pub(super) ends: Vec<Ends>,
}

impl<'a> Build<'a> {
    fn of(seen: &'a Seen) -> Fragment {
        let fragment = Fragment::new(Provenance::Nvml);
        let mut build = Self { seen, fragment, ids: Vec::new(), ends: Vec::new() };
        let machine = build.fragment.machine();
        machine.driver.clone_from(&seen.driver);
        machine.cuda.clone_from(&seen.cuda);
        build.gpus();
        build.c2c();
        for (a, b, path) in &seen.paths {
            build.fragment.state_path(build.ids[*a], build.ids[*b], path.0);
        }
        build.p2p();
        build.nvlinks();
        build.notes();
        build.fragment
    }

    fn gpus(&mut self) {
        let kinds = super::wires::Kinds::of(&self.seen.gpus);
        for own in &self.seen.gpus {
            let unusable = nodes::unusable(own, &self.seen.troubles).map(str::to_owned);
            let gpu = Gpu { unusable, ..nodes::gpu(own, &kinds) };
            let id = self.fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu)));
            if let Some(link) = nodes::pcie(&own.pcie) {
                self.fragment.link(NodeId::MACHINE, id, link);
            }
            for instance in &own.instances {
                let kind = NodeKind::GpuInstance(Box::new(nodes::instance(instance)));
                self.fragment.add(id, kind);
            }
            self.ids.push(id);
        }
        for index in &self.seen.lost {
            let troubles = &self.seen.troubles;
            let why = nodes::unusable_by_calls(*index, troubles);
            let refused = (!troubles.is_unasked(*index)).then_some("cannot be opened by the driver");
            let unusable = why.or(refused).map(str::to_owned);
            let kind = NodeKind::Gpu(Box::new(Gpu { index: *index, unusable, ..Gpu::default() }));
            self.fragment.add(NodeId::MACHINE, kind);
        }
        self.ends = self.seen.gpus.iter().map(|gpu| kinds.ends(gpu)).collect();
    }

    /// C2C leads to the CPU's NUMA node, of which the driver knows no more than the number.
    fn c2c(&mut self) {
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (gpu, id) in self.seen.gpus.iter().zip(&self.ids).filter(|(gpu, _)| gpu.c2c) {
            // A note says that it is not known.
            let Some(os_index) = cpu_node(gpu) else { continue };
            let node = *nodes.entry(os_index).or_insert_with(|| {
                let kind = NodeKind::NumaNode(NumaNode { os_index, ..NumaNode::default() });
                self.fragment.add(NodeId::MACHINE, kind)
            });
            let up = &gpu.c2c_up;
            let speeds: Option<Vec<Bandwidth>> =
                up.iter().map(|speed| speed.map(Bandwidth::from_mb_per_s)).collect();
            let links = u16::try_from(up.len()).ok().filter(|links| *links > 0);
            let link = Link {
                reported: speeds.filter(|speeds| !speeds.is_empty()).map(|speeds| speeds.into_iter().sum()),
                ..links.map_or_else(|| rates::c2c_of(gpu.capability.map(|own| own.0)), rates::c2c)
            };
            self.fragment.link(node, *id, link);
            if let Some(all) = gpu.c2c_links.filter(|all| (1..*all as usize).contains(&up.len())) {
                let text = format!("GPU{}: {} of {all} links of NVLink-C2C are up", gpu.index, up.len());
                self.fragment.note(NoteKind::Conflict, text);
            }
        }
    }

    fn p2p(&mut self) {
        for own in &self.seen.p2p {
            let status = |number: Option<u32>| number.map(nodes::p2p_status);
            self.fragment.state_p2p(P2p {
                a: self.ids[own.a],
                b: self.ids[own.b],
                read: status(own.read),
                write: status(own.write),
                nvlink: status(own.nvlink),
                atomics: status(own.atomics),
            });
        }
    }

    fn notes(&mut self) {
        for note in self.seen.troubles.notes() {
            self.fragment.note(note.kind, note.text);
        }
        let gpus = &self.seen.gpus;
        let which = |is: &dyn Fn(usize) -> bool| -> BTreeSet<u32> {
            (0..gpus.len()).filter(|gpu| is(*gpu)).map(|gpu| gpus[gpu].index).collect()
        };
        let mut tell = |some: BTreeSet<u32>, text: &str| {
            if !some.is_empty() {
                self.fragment.note(NoteKind::Unknown, format!("{}: {text}", names(&some)));
            }
        };
        for (actions, text) in nodes::RECOVERY_NOTES {
            let asked = |gpu: usize| gpus[gpu].recovery.is_some_and(|action| actions.contains(&action));
            tell(which(&asked), text);
        }
        let mig = |gpu: usize| gpus[gpu].mig.unwrap_or_default();
        tell(
            which(&|gpu| mig(gpu).0 && gpus[gpu].instances.is_empty()),
            "divided (MIG), and there is no instance that a job could use",
        );
        tell(
            which(&|gpu| mig(gpu).0 != mig(gpu).1),
            "whether it is divided (MIG) changes with its next reset",
        );
        tell(
            which(&|gpu| gpus[gpu].placements_denied),
            "where its instances (MIG) lie is told to administrators only",
        );
        tell(
            which(&|gpu| gpus[gpu].c2c && cpu_node(&gpus[gpu]).is_none()),
            "NVLink-C2C joins it with a CPU, and the driver does not tell with which; it was left out",
        );
        for (state, text) in nodes::FABRIC_NOTES {
            tell(which(&|gpu| nodes::fabric_trouble(&gpus[gpu]) == Some(*state)), text);
        }
        let faults: Vec<Vec<FabricFault>> = gpus.iter().map(nodes::fabric_faults).collect();
        for fault in faults.iter().flatten().collect::<BTreeSet<_>>() {
            let rule = if fault.excludes() {
                "such GPUs are not chosen together with others unless named"
            } else {
                "such GPUs are chosen last"
            };
            tell(which(&|gpu| faults[gpu].contains(fault)), &format!("{fault}; {rule}"));
        }
        for (end, what) in [(End::Cpu, "a CPU"), (End::Unknown, "something that the driver does not name")] {
            let some = which(&|gpu| self.ends[gpu].contains_key(&end));
            tell(some, &format!("NVLinks lead to {what}; they were left out"));
        }
        // A GPU that is gone or hangs has no link to be used; its note is written already.
        let troubles = &self.seen.troubles;
        let dead = |index| troubles.is_lost(index) || troubles.is_hung(index) || troubles.is_unasked(index);
        let unknown = which(&|gpu| gpus[gpu].nvlinks.unknown && !dead(gpus[gpu].index));
        let untold = !unknown.is_empty() || troubles.any_unasked();
        tell(unknown, "the driver does not tell of all NVLinks");
        if untold {
            self.fragment.set_nvlink_unknown();
        }
        self.forbidden();
        note_down(&mut self.fragment);
    }

    /// Pairs that may not use each other's memory, although a link or a setting made it possible. Divided GPUs (MIG)
    /// never may.
    fn forbidden(&mut self) {
        let divided = |place: usize| self.seen.gpus[place].mig.unwrap_or_default().0;
        let switched = |place: usize| self.ends[place].keys().any(|end| matches!(end, End::Switch(_)));
        let joined = |a: usize, b: usize| {
            let far = self.seen.gpus[b].address.map(End::Gpu);
            (switched(a) && switched(b)) || far.is_some_and(|far| self.ends[a].contains_key(&far))
        };
        let (mut by_setting, mut over_nvlink) = (Vec::new(), Vec::new());
        for (own, p2p) in self.seen.p2p.iter().zip(&self.fragment.p2p) {
            let name = || {
                let index = |place: usize| self.seen.gpus[place].index;
                format!("GPU{} and GPU{}", index(own.a), index(own.b))
            };
            match [p2p.read, p2p.write] {
                _ if divided(own.a) || divided(own.b) => {}
                status if status.contains(&Some(P2pStatus::DisabledBySetting)) => by_setting.push(name()),
                [Some(P2pStatus::Ok | P2pStatus::Unknown) | None, _] => {}
                _ if joined(own.a, own.b) => over_nvlink.push(name()),
                _ => {}
            }
        }
        let list = |pairs: &[String]| match pairs {
            [first, second, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second} and {} pairs more", rest.len())
            }
            _ => pairs.join(", "),
        };
        if !by_setting.is_empty() {
            let text = format!("a setting of the driver forbids peer-to-peer access: {}", list(&by_setting));
            self.fragment.note(NoteKind::Unknown, text);
        }
        if !over_nvlink.is_empty() {
            let text = format!(
                "NVLinks join these, and the driver does not allow peer-to-peer access: {}",
                list(&over_nvlink)
            );
            self.fragment.note(NoteKind::Conflict, text);
        }
    }
}

/// The NUMA node that C2C leads to.
fn cpu_node(gpu: &SeenGpu) -> Option<u32> {
    stated::<NodeSet>(gpu.nodes.as_deref()).known().and_then(NodeSet::first)
}
