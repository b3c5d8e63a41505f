//! Merges fragments: the best source is the base, and the others fill in unknown facts.
//!
//! Nodes are matched ([`matching`]), facts filled ([`facts`]), links and stated paths adopted ([`links`]), and NVLinks
//! rated by what their ports report ([`ports`]). Measurements are
//! compared with the rates of links ([`measured`]). Where two sources disagree the base wins, with a note.

mod ends;
mod facts;
mod links;
mod matching;
mod measured;
mod near;
mod speakers;
mod tools;

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::identities::{Identity, duplicates};
use crate::model::{
    Fragment, MachineIdentity, Node, NodeId, NodeKind, Note, NoteCode, Origin, Provenance, gaps, tree,
};
use crate::units::several;
use facts::Conflicts;
use speakers::Speaker;
use std::collections::BTreeSet;

/// Merges fragments, which must have passed the builder's checks unless there is only one: it is left as it is, but
/// for the rates that the ports of its own GPUs tell, and for identities that two devices have. The base is the one of the best provenance, the earlier where two
/// are equal.
pub(super) fn merge(mut fragments: Vec<Fragment>) -> Result<Fragment> {
    fragments.sort_by_key(|fragment| {
        (fragment.nodes[0].provenance, std::cmp::Reverse(tools::names_of_nics(fragment)))
    });
    unsay_nvlinks(&mut fragments);
    let mut fragments = fragments.into_iter();
    let Some(mut base) = fragments.next() else {
        return Err(Error::request("there is nothing to build a topology from"));
    };
    let is_alone = fragments.len() == 0;
    let mut conflicts = Conflicts::default();
    conflicts.speakers.file.clone_from(&base.file);
    for other in fragments {
        base.origin = origin(&base, &other)?;
        fold(&mut base, &other, &mut conflicts);
    }
    ends::link_by_ends(&mut base);
    links::rate_by_ports(&mut base);
    measured::check_against_links(&mut base);
    make_unique(&mut base, &mut conflicts);
    conflicts.write(&mut base);
    if !is_alone {
        reorder(&mut base);
        gaps::close(&mut base);
    }
    base.file = None;
    Ok(base)
}

/// Lets fragments without GPUs say nothing of the NVLinks of those that others tell of.
fn unsay_nvlinks(fragments: &mut [Fragment]) {
    let has_gpu = |own: &Fragment| own.nodes.iter().any(|node| node.kind.as_gpu().is_some());
    if fragments.iter().any(has_gpu) {
        for own in fragments.iter_mut().filter(|own| !has_gpu(own)) {
            own.nvlink_known = false;
        }
    }
}

fn fold(base: &mut Fragment, other: &Fragment, conflicts: &mut Conflicts) {
    let map = matching::matches(base, other);
    near::note_twice(base, other, &map);
    let knows_cpus = base.nodes.iter().any(|node| matches!(node.kind, NodeKind::Pu(_)));
    let known = base.nodes.len();
    let mut fold = Fold { base, other, map, known, knows_cpus };
    // Both before anything is filled: what each source said by itself.
    fold.compare_near(conflicts);
    fold.paths(conflicts);
    fold.fill(conflicts);
    fold.structure(conflicts);
    fold.name_nics();
    fold.number_gpus();
    fold.paths_of_added();
    fold.measurements();
    fold.p2p();
    fold.nvlinks(conflicts);
    fold.other_links(conflicts);
    fold.notes();
    fold.base.cores.adopt(&other.cores, &fold.map);
}

/// One fragment on its way into the base.
struct Fold<'a> {
    base: &'a mut Fragment,
    other: &'a Fragment,
    /// The node of the base for each node of the other.
    map: Vec<Option<NodeId>>,
    /// The number of nodes that the base had before: later ones are the other's.
    known: usize,
    /// True where the base knows the CPUs of the machine, so that others do not exist.
    knows_cpus: bool,
}

impl Fold<'_> {
    /// Returns the matched nodes: of the base, and of the other.
    fn matched(&self) -> Vec<(NodeId, NodeId)> {
        let pairs = self.map.iter().zip(0..);
        pairs.filter_map(|(base, other)| Some(((*base)?, NodeId(other)))).collect()
    }

    /// Returns true where the base has all there is of a kind of nodes. The kernel's own list of CPUs comes with that of
    /// NUMA nodes; tools list CPUs without the nodes that have none.
    fn is_complete(&self, kind: &NodeKind) -> bool {
        let only_memory = || kind.as_numa_node().is_some_and(|node| node.cpus.is_empty());
        let by_tool = self.base.nodes[0].provenance == Provenance::SystemTool;
        self.knows_cpus && of_cpus(kind) && !(by_tool && only_memory())
    }

    /// Returns the other, as the one who says what it knows from a kind of source.
    fn speaker(&self, provenance: Provenance) -> Speaker {
        Speaker { provenance, file: self.other.file.clone() }
    }

    fn base_node(&self, id: NodeId) -> &Node {
        &self.base.nodes[id.index()]
    }

    fn other_node(&self, id: NodeId) -> &Node {
        &self.other.nodes[id.index()]
    }

    /// Adds the nodes that only the other has, and moves those of the base for which the other knows a nearer container.
    fn structure(&mut self, conflicts: &mut Conflicts) {
        let matched = self.matched();
        for (base, other) in matched {
            self.refine(base, other);
        }
        let mut added: [Vec<String>; 2] = Default::default();
        let mut unknown_cpus = CpuSet::new();
        for (index, node) in self.other.nodes.iter().enumerate() {
            if self.map[index].is_some() {
                continue;
            }
            match &node.kind {
                NodeKind::Gpu(_) | NodeKind::Nic(_) => {
                    let id = self.ensure(NodeId(index as u32));
                    conflicts.speakers.added(id, &self.speaker(node.provenance));
                    self.unique(id, conflicts);
                    let list = usize::from(node.kind.as_nic().is_some());
                    added[list].push(facts::name(self.base_node(id)));
                }
                NodeKind::Pu(pu) if self.knows_cpus => {
                    unknown_cpus.insert(pu.os_index);
                }
                NodeKind::GpuInstance(_) | NodeKind::Nvme(_) => {
                    self.ensure(NodeId(index as u32));
                }
                kind if of_cpus(kind) && !self.is_complete(kind) => {
                    self.ensure(NodeId(index as u32));
                }
                _ => {}
            }
        }
        self.tell(&added, &unknown_cpus, conflicts);
    }

    /// Moves a node of the base below the other's container, if that lies within the base's own.
    fn refine(&mut self, base: NodeId, other: NodeId) {
        let (Some(now), Some(parent)) = (self.base_node(base).parent, self.other_node(other).parent) else {
            return;
        };
        if self.map[parent.index()] == Some(now) {
            return;
        }
        // The nearest container that both know decides, before any is added for this.
        let mut known = Some(parent);
        while let Some(id) = known.filter(|id| self.map[id.index()].is_none()) {
            known = self.other_node(id).parent;
        }
        let Some(anchor) = known.and_then(|id| self.map[id.index()]) else { return };
        let above: Vec<NodeId> = self.base_ancestors(anchor).collect();
        if above.contains(&now) && !above.contains(&base) {
            let parent = self.ensure(parent);
            if parent != now && !self.base_ancestors(parent).any(|id| id == base) {
                self.base.nodes[base.index()].parent = Some(parent);
                self.move_uplink(base, now, parent);
            }
        }
    }

    fn base_ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        tree::ancestors(|id| self.base_node(id), id)
    }

    /// Returns the base's node for one of the other's: the matched one, or a new one below its container's.
    fn ensure(&mut self, other: NodeId) -> NodeId {
        let mut missing = Vec::new();
        let mut at = other;
        let mut parent = loop {
            if let Some(found) = self.map[at.index()] {
                break found;
            }
            missing.push(at);
            match self.other_node(at).parent {
                Some(parent) => at = parent,
                None => break NodeId::MACHINE,
            }
        };
        for id in missing.into_iter().rev() {
            let node = self.other_node(id);
            if self.is_complete(&node.kind) {
                continue;
            }
            let node = Node { parent: Some(parent), ..node.clone() };
            self.base.nodes.push(node);
            parent = NodeId(self.base.nodes.len() as u32 - 1);
            self.map[id.index()] = Some(parent);
        }
        parent
    }

    /// Gives an added device an index or name of its own.
    fn unique(&mut self, id: NodeId, conflicts: &mut Conflicts) {
        let others = |kind: &dyn Fn(&NodeKind) -> bool| {
            self.base.nodes.iter().enumerate().any(|(index, node)| index != id.index() && kind(&node.kind))
        };
        let mut kind = self.base_node(id).kind.clone();
        let before = facts::name(self.base_node(id));
        match &mut kind {
            NodeKind::Gpu(gpu) if others(&|kind| kind.as_gpu().is_some_and(|own| own.index == gpu.index)) => {
                let highest = self.base.nodes.iter().filter_map(|node| Some(node.kind.as_gpu()?.index)).max();
                gpu.index = highest.map_or(0, |highest| highest.saturating_add(1));
            }
            NodeKind::Nic(nic) => {
                let taken: BTreeSet<&str> = (self.base.nodes.iter().enumerate())
                    .filter(|(index, _)| *index != id.index())
                    .filter_map(|(_, node)| Some(node.kind.as_nic()?.name.as_str()))
                    .collect();
                let plain = nic.name.clone();
                let names = (2..).map(|number| format!("{plain}.{number}"));
                let mut names = std::iter::once(plain.clone()).chain(names);
                if let Some(name) = names.find(|name| !taken.contains(name.as_str())) {
                    nic.name = name;
                }
            }
            _ => {}
        }
        let provenance = self.base_node(id).provenance;
        self.base.nodes[id.index()].kind = kind;
        let after = facts::name(self.base_node(id));
        if before != after {
            let base = conflicts.speakers.base(self.base.nodes[0].provenance);
            let by = self.speaker(provenance);
            let text =
                format!("{before} of {by} is another device than {before} of {base}; it is {after} here");
            conflicts.add(NoteCode::DeviceRenamed, text);
        }
    }

    /// Notes the devices that only one of the sources has.
    fn tell(&mut self, added: &[Vec<String>; 2], unknown_cpus: &CpuSet, conflicts: &mut Conflicts) {
        let base = conflicts.speakers.base(self.base.nodes[0].provenance);
        let other = self.speaker(self.other.nodes[0].provenance);
        // A tool that knows no device of a kind does not say that there is none.
        let silent = |list: usize| {
            let known = &self.base.nodes[..self.known];
            let has =
                |kind: &NodeKind| if list == 0 { kind.as_gpu().is_some() } else { kind.as_nic().is_some() };
            let is_part = matches!(base.provenance, Provenance::SystemTool | Provenance::Kubernetes);
            is_part && !known.iter().any(|node| has(&node.kind))
        };
        let told = (0..).zip(added).filter(|(list, names)| !names.is_empty() && !silent(*list));
        let told: Vec<&Vec<String>> = told.map(|(_, names)| names).collect();
        for names in told {
            // Of parts of one text, each knows its own, and nobody could tell which is meant.
            if other == base {
                continue;
            }
            let text = format!("only {other} knows {}; {base} does not", several(names));
            let note = Note::new(NoteCode::OneSourceOnly, text);
            if !self.base.notes.contains(&note) {
                self.base.notes.push(note);
            }
        }
        if !unknown_cpus.is_empty() {
            let text = format!("{other} has CPUs that {base} does not know: {unknown_cpus}");
            conflicts.add(NoteCode::SourcesDisagree, text);
        }
    }

    fn notes(&mut self) {
        let mut known: BTreeSet<(NoteCode, String)> =
            self.base.notes.iter().map(|note| (note.code(), note.text.clone())).collect();
        for note in &self.other.notes {
            if known.insert((note.code(), note.text.clone())) {
                self.base.notes.push(note.clone());
            }
        }
    }
}

/// Removes a UUID or address from each node after the first that has it, with a note.
fn make_unique(fragment: &mut Fragment, conflicts: &mut Conflicts) {
    let mut others = Vec::new();
    for found in duplicates(&fragment.nodes) {
        let [first, second] = [found.first, found.second].map(|index| facts::name(&fragment.nodes[index]));
        let identity = found.identity;
        let text = format!("{first} and {second} both have {identity}; it is that of {first} here");
        conflicts.add(NoteCode::DuplicateIdentity, text);
        let is_address = matches!(identity, Identity::Address(_));
        others.push((found.second, is_address));
    }
    for (index, is_address) in others {
        match &mut fragment.nodes[index].kind {
            NodeKind::Gpu(gpu) if is_address => gpu.address = None,
            NodeKind::Gpu(gpu) => gpu.uuid = None,
            NodeKind::GpuInstance(instance) => instance.uuid = None,
            NodeKind::Nic(nic) => nic.address = None,
            NodeKind::Nvme(nvme) => nvme.address = None,
            NodeKind::NvSwitch(switch) => switch.address = None,
            NodeKind::PcieSwitch(switch) => switch.address = None,
            _ => {}
        }
    }
}

/// Returns true for nodes of CPUs and memory, about which the kernel is complete.
fn of_cpus(kind: &NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::Package(_)
            | NodeKind::NumaNode(_)
            | NodeKind::Cache(_)
            | NodeKind::Group(_)
            | NodeKind::Core(_)
            | NodeKind::Pu(_)
    )
}

/// Merges two origins: an identity before a product, and a known one before an unknown one.
fn origin(base: &Fragment, other: &Fragment) -> Result<Origin> {
    let differ = |what: &str| {
        let these = match (&base.file, &other.file) {
            (Some(base), Some(other)) => format!("{base} and {other}"),
            _ => "these".to_owned(),
        };
        Error::request(format!("{these} are two machines: {what} differ"))
            .help("merge sources of one machine only")
    };
    Ok(match (&base.origin, &other.origin) {
        (Origin::Machine(a), Origin::Machine(b)) if a.is_same(b) == Some(false) => {
            return Err(differ("their identities"));
        }
        (Origin::Preset(a), Origin::Preset(b)) if a != b => {
            return Err(differ(&format!("the presets '{a}' and '{b}'")));
        }
        (Origin::Machine(a), Origin::Machine(b)) if a.is_same(b).is_some() => {
            let either = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone());
            let machine = either(&a.machine, &b.machine);
            Origin::Machine(MachineIdentity { machine, boot: either(&a.boot, &b.boot) })
        }
        (Origin::Unknown, known) | (Origin::Preset(_), known @ Origin::Machine(_)) => known.clone(),
        _ => base.origin.clone(),
    })
}

/// Puts every node after its parent again, and leaves the order alone otherwise.
fn reorder(fragment: &mut Fragment) {
    let sorted = fragment.nodes.iter().enumerate();
    let mut sorted = sorted.filter_map(|(index, node)| Some((index, node.parent?)));
    if sorted.all(|(index, parent)| parent.index() < index) {
        return;
    }
    let count = fragment.nodes.len();
    let mut place: Vec<Option<NodeId>> = vec![None; count];
    let mut order = Vec::with_capacity(count);
    for index in 0..count {
        let mut chain = Vec::new();
        let mut at = Some(NodeId(index as u32));
        while let Some(id) = at.filter(|id| place[id.index()].is_none()) {
            chain.push(id);
            at = fragment.nodes[id.index()].parent;
        }
        for id in chain.into_iter().rev() {
            place[id.index()] = Some(NodeId(order.len() as u32));
            order.push(id);
        }
    }
    let moved = |id: NodeId| place[id.index()].unwrap_or(id);
    let nodes = order.iter().map(|id| fragment.nodes[id.index()].clone());
    fragment.nodes = nodes.map(|node| Node { parent: node.parent.map(moved), ..node }).collect();
    fragment.renumber(|id| Some(moved(id)));
}
