//! The fragment that follows from the driver's report: nodes, links between them, and notes.

use super::DriverFacts;
use super::failures::names;
use super::nodes::{self, stated};
use super::report::{DriverReport, End, ReportedGpu};
use super::wires::Ends;
use crate::cpuset::NodeSet;
use crate::model::{
    Fragment, Gpu, Link, NodeId, NodeKind, NoteCode, NoteKind, NumaNode, P2p, P2pStatus, Provenance, rates,
};
use crate::source::common::note_links_down;
use crate::source::gpu_notes;
use crate::units::{Bandwidth, several};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the facts that follow from a report.
pub(super) fn facts(report: &DriverReport) -> DriverFacts {
    let of = |gpu: &ReportedGpu| gpu.address.map(|address| address.0);
    let nameless = report.gpus.iter().filter(|gpu| of(gpu).is_none()).map(|gpu| gpu.index);
    let mut nameless: Vec<u32> = nameless.chain(report.lost.iter().copied()).collect();
    nameless.sort_unstable();
    DriverFacts {
        fragment: Build::of(report),
        numbers: report.gpus.iter().filter_map(|gpu| Some((of(gpu)?, gpu.index))).collect(),
        nameless,
        pcie: report.gpus.iter().filter_map(|gpu| Some((of(gpu)?, nodes::pcie(&gpu.pcie)?))).collect(),
    }
}

pub(super) struct Build<'a> {
    pub(super) report: &'a DriverReport,
    pub(super) fragment: Fragment,
    /// The nodes of the GPUs, by their positions in the report.
    pub(super) ids: Vec<NodeId>,
    /// The ends of each GPU's NVLinks, of kinds that are concluded.
    pub(super) ends: Vec<Ends>,
}

impl<'a> Build<'a> {
    fn of(report: &'a DriverReport) -> Fragment {
        let fragment = Fragment::new(Provenance::Nvml);
        let mut build = Self { report, fragment, ids: Vec::new(), ends: Vec::new() };
        let machine = build.fragment.machine();
        machine.driver.clone_from(&report.driver);
        machine.cuda.clone_from(&report.cuda);
        build.gpus();
        build.c2c();
        for (a, b, path) in &report.paths {
            build.fragment.state_path(build.ids[*a], build.ids[*b], path.0);
        }
        build.p2p();
        build.nvlinks();
        build.notes();
        build.fragment
    }

    fn gpus(&mut self) {
        let kinds = super::wires::Kinds::of(&self.report.gpus);
        for own in &self.report.gpus {
            let unusable = nodes::unusable(own, &self.report.failures).map(str::to_owned);
            let gpu = Gpu { unusable, ..nodes::gpu(own, &kinds) };
            let id = self.fragment.add(NodeId::MACHINE, gpu);
            if let Some(link) = nodes::pcie(&own.pcie) {
                self.fragment.link(NodeId::MACHINE, id, link);
            }
            for instance in &own.instances {
                let kind = NodeKind::GpuInstance(Box::new(nodes::instance(instance)));
                self.fragment.add(id, kind);
            }
            self.ids.push(id);
        }
        for index in &self.report.lost {
            let failures = &self.report.failures;
            let why = nodes::unusable_by_calls(*index, failures);
            let refused = (!failures.is_not_asked(*index)).then_some("cannot be opened by the driver");
            let unusable = why.or(refused).map(str::to_owned);
            let kind = NodeKind::Gpu(Box::new(Gpu { index: *index, unusable, ..Gpu::default() }));
            self.fragment.add(NodeId::MACHINE, kind);
        }
        self.ends = self.report.gpus.iter().map(|gpu| kinds.ends(gpu)).collect();
    }

    /// Adds C2C links. They lead to the CPU's NUMA node, of which the driver knows no more than the number.
    fn c2c(&mut self) {
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (gpu, id) in self.report.gpus.iter().zip(&self.ids).filter(|(gpu, _)| gpu.c2c) {
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
                self.fragment.note(NoteCode::NvlinksDown, text);
            }
        }
    }

    fn p2p(&mut self) {
        for own in &self.report.p2p {
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
        self.fragment.notes.extend(self.report.failures.notes());
        let gpus = &self.report.gpus;
        let which = |is: &dyn Fn(usize) -> bool| -> BTreeSet<u32> {
            (0..gpus.len()).filter(|gpu| is(*gpu)).map(|gpu| gpus[gpu].index).collect()
        };
        let note = |fragment: &mut Fragment, some: BTreeSet<u32>, text: &str| {
            if !some.is_empty() {
                fragment.note(NoteKind::Unknown, format!("{}: {text}", names(&some)));
            }
        };
        for (actions, text) in nodes::RECOVERY_NOTES {
            let asked = |gpu: usize| gpus[gpu].recovery.is_some_and(|action| actions.contains(&action));
            note(&mut self.fragment, which(&asked), text);
        }
        gpu_notes::note_mig(&mut self.fragment);
        note(
            &mut self.fragment,
            which(&|gpu| gpus[gpu].placements_denied),
            "only administrators are told where its MIG instances lie",
        );
        note(
            &mut self.fragment,
            which(&|gpu| gpus[gpu].c2c && cpu_node(&gpus[gpu]).is_none()),
            "NVLink-C2C joins it with a CPU, and the driver does not tell with which; it was left out",
        );
        gpu_notes::note_fabric(&mut self.fragment);
        for (end, what) in [(End::Cpu, "a CPU"), (End::Unknown, "something that the driver does not name")] {
            let some = which(&|gpu| self.ends[gpu].contains_key(&end));
            note(&mut self.fragment, some, &format!("NVLinks lead to {what}; they were left out"));
        }
        // A GPU that is lost or hangs has no usable link, and has its note already.
        let failures = &self.report.failures;
        let dead = |index| failures.is_lost(index) || failures.is_hung(index) || failures.is_not_asked(index);
        let unknown = which(&|gpu| gpus[gpu].nvlinks.unknown && !dead(gpus[gpu].index));
        let untold = !unknown.is_empty() || failures.any_not_asked();
        if !unknown.is_empty() {
            let text = format!("{}: the driver does not tell of all NVLinks", names(&unknown));
            self.fragment.note(NoteCode::NvlinksPartlyUnknown, text);
        }
        if untold {
            self.fragment.set_nvlink_unknown();
        }
        self.forbidden();
        note_links_down(&mut self.fragment);
    }

    /// Notes pairs without peer-to-peer access although they have NVLinks, or a setting forbids it. MIG-enabled GPUs
    /// never have it.
    fn forbidden(&mut self) {
        let mig = |place: usize| self.report.gpus[place].mig.unwrap_or_default().0;
        let switched = |place: usize| self.ends[place].keys().any(|end| matches!(end, End::Switch(_)));
        let joined = |a: usize, b: usize| {
            let far = self.report.gpus[b].address.map(End::Gpu);
            (switched(a) && switched(b)) || far.is_some_and(|far| self.ends[a].contains_key(&far))
        };
        let (mut by_setting, mut over_nvlink) = (Vec::new(), Vec::new());
        for (own, p2p) in self.report.p2p.iter().zip(&self.fragment.p2p) {
            let name = || {
                let index = |place: usize| self.report.gpus[place].index;
                format!("GPU{} and GPU{}", index(own.a), index(own.b))
            };
            match [p2p.read, p2p.write] {
                _ if mig(own.a) || mig(own.b) => {}
                status if status.contains(&Some(P2pStatus::DisabledBySetting)) => by_setting.push(name()),
                [Some(P2pStatus::Ok | P2pStatus::Unknown) | None, _] => {}
                _ if joined(own.a, own.b) => over_nvlink.push(name()),
                _ => {}
            }
        }
        if !by_setting.is_empty() {
            let text =
                format!("a setting of the driver forbids peer-to-peer access: {}", several(&by_setting));
            self.fragment.note(NoteCode::P2pDisabled, text);
        }
        if !over_nvlink.is_empty() {
            let text = format!(
                "NVLinks join these, and the driver does not allow peer-to-peer access: {}",
                several(&over_nvlink)
            );
            self.fragment.note(NoteCode::P2pRefused, text);
        }
    }
}

/// Returns the NUMA node that C2C leads to.
fn cpu_node(gpu: &ReportedGpu) -> Option<u32> {
    stated::<NodeSet>(gpu.nodes.as_deref()).known().and_then(NodeSet::first)
}
