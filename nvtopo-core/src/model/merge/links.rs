//! Links, stated paths and measurements of two fragments.

use super::facts::{self, Conflicts};
use super::{Fold, ends};
use crate::model::{
    Basis, Fragment, Link, LinkKind, Measured, Node, NodeId, NodeKind, Nvlinks, P2p, PathType, Provenance,
    Rate, StatedPath, rates, tree,
};
use crate::units::{Bandwidth, several};
use std::collections::BTreeMap;

impl Fold<'_> {
    /// Adopts the NVLinks of the other where the base does not know NVLinks; compares them otherwise.
    pub(super) fn nvlinks(&mut self, conflicts: &mut Conflicts) {
        let nvlink = |(_, _, link): &&(NodeId, NodeId, Link)| link.kind.is_fabric();
        let none = !self.base.links.iter().any(|link| nvlink(&link));
        if none && !self.base.nvlink_known {
            if self.other.nvlink_known || self.other.links.iter().any(|link| nvlink(&link)) {
                conflicts.speakers.nvlinks = Some(self.speaker(self.other.nodes[0].provenance));
            }
            for (a, b, link) in self.other.links.iter().filter(nvlink) {
                self.adopt(*a, *b, link);
            }
            if self.other.nodes[0].provenance == Provenance::Preset {
                ends::take_ports_down(self.base);
            }
        } else if self.other.nvlink_known || self.other.links.iter().any(|link| nvlink(&link)) {
            self.compare_nvlinks(conflicts);
            self.nvlinks_of_added();
        }
        self.base.nvlink_known |= self.other.nvlink_known;
    }

    /// Adopts the NVLinks of GPUs that only the other has, and those between NVSwitches that come with them.
    fn nvlinks_of_added(&mut self) {
        let other = self.other;
        let links = other.links.iter().filter(|(_, _, link)| link.kind.is_fabric());
        let switch = |id: NodeId| matches!(other.nodes[id.index()].kind, NodeKind::NvSwitch(_));
        let (trunks, ends): (Vec<_>, Vec<_>) = links.partition(|(a, b, _)| switch(*a) && switch(*b));
        for (a, b, link) in ends {
            if self.is_added(*a) || self.is_added(*b) {
                self.adopt(*a, *b, link);
            }
        }
        for (a, b, link) in trunks {
            if self.is_added(*a) && self.is_added(*b) {
                self.adopt(*a, *b, link);
            }
        }
    }

    /// Returns true where the other's node came into the base by this fold.
    fn is_added(&self, other: NodeId) -> bool {
        self.map[other.index()].is_some_and(|id| id.index() >= self.known)
    }

    fn adopt(&mut self, a: NodeId, b: NodeId, link: &Link) {
        let (a, b) = (self.ensure(a), self.ensure(b));
        self.base.links.push((a, b, link.clone()));
    }

    fn compare_nvlinks(&mut self, conflicts: &mut Conflicts) {
        let own = table(&self.base.links, &self.base.nodes);
        let theirs = table(&self.other.links, &self.other.nodes);
        let mut gpus = self.matched_devices(|kind| kind.as_gpu().is_some());
        gpus.retain(|(base, _)| base.index() < self.known);
        let base = conflicts.speakers.nvlinks.clone();
        let base = base.unwrap_or_else(|| conflicts.speakers.base(self.base.nodes[0].provenance));
        let other = self.speaker(self.other.nodes[0].provenance);
        let count = |table: &Nvlinks, a, b| table.between(a, b).map_or(0, |pair| pair.nvlinks);
        let mut groups: BTreeMap<(u16, u16), Vec<String>> = BTreeMap::new();
        for (index, (a, other_a)) in gpus.iter().enumerate() {
            for (b, other_b) in &gpus[index + 1..] {
                let counts = (count(&own, *a, *b), count(&theirs, *other_a, *other_b));
                // A source that does not know of NVLinks says nothing by having none.
                let silent = |known: bool, count: u16| !known && count == 0;
                let silent =
                    silent(self.base.nvlink_known, counts.0) || silent(self.other.nvlink_known, counts.1);
                if counts.0 != counts.1 && !silent {
                    groups.entry(counts).or_default().push(self.pair_name(*a, *b));
                }
            }
        }
        for ((ours, others), pairs) in groups {
            conflicts.disagree(&several(&pairs), "NVLinks", (&base, &ours), (&other, &others));
        }
        self.better_nvlink_rates(&theirs);
    }

    /// Replaces assumed NVLink rates of a source without the generation by those of a source with it.
    fn better_nvlink_rates(&mut self, theirs: &Nvlinks) {
        let gpus = self.matched_devices(|kind| kind.as_gpu().is_some());
        let per_link = |other: NodeId| {
            let mut rates = theirs.of_node(other).map(|(_, bundle)| {
                let rate = bundle.rate.filter(|rate| rate.basis < Basis::Assumed)?;
                let each = rate.bandwidth.as_mb_per_s().checked_div(u64::from(bundle.links))?;
                Some(Rate { bandwidth: Bandwidth::from_mb_per_s(each), basis: rate.basis })
            });
            let first = rates.next()??;
            rates.all(|rate| rate == Some(first)).then_some(first)
        };
        let better: BTreeMap<NodeId, Rate> =
            gpus.into_iter().filter_map(|(base, other)| Some((base, per_link(other)?))).collect();
        for (a, b, link) in &mut self.base.links {
            let poor = link.rate.is_none_or(|rate| rate.basis == Basis::Assumed);
            let better = better.get(a).or_else(|| better.get(b));
            if let (LinkKind::NvLink, true, Some(links), Some(rate)) = (link.kind, poor, link.lanes, better) {
                let bandwidth = rate.bandwidth.times(u64::from(links));
                link.rate = Some(Rate { bandwidth, basis: rate.basis });
            }
        }
    }

    /// Merges PCIe, C2C, interconnects and networks between nodes that both have.
    pub(super) fn other_links(&mut self, conflicts: &mut Conflicts) {
        let key = |a: NodeId, b: NodeId, link: &Link| (a.min(b), a.max(b), link.kind);
        let mut own: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, (a, b, link)) in self.base.links.iter().enumerate().rev() {
            own.entry(key(*a, *b, link)).or_default().push(index);
        }
        for (a, b, link) in self.other.links.iter().filter(|(_, _, link)| !link.kind.is_fabric()) {
            let is_bare = |end: NodeId| self.other_node(end).parent == Some(NodeId::MACHINE);
            let bare = link.kind == LinkKind::Pcie && *a.min(b) == NodeId::MACHINE && is_bare(*a.max(b));
            let (Some(mut a), Some(mut b)) = (self.map[a.index()], self.map[b.index()]) else { continue };
            // A source without bridges knows the link of a device, and not what is at its other end.
            if bare && let Some(parent) = self.base_node(a.max(b)).parent {
                (a, b) = (parent, a.max(b));
            }
            match own.get_mut(&key(a, b, link)).map(Vec::pop) {
                Some(Some(index)) => self.fill_link(index, link, conflicts),
                // A device that hangs elsewhere in the base does not hang here too.
                None if link.kind != LinkKind::Pcie || self.is_parent(a, b) => {
                    self.base.links.push((a, b, link.clone()));
                }
                _ => {}
            }
        }
    }

    /// Moves the PCIe link of a node with it to another container.
    pub(super) fn move_uplink(&mut self, id: NodeId, from: NodeId, to: NodeId) {
        let own = |a: NodeId, b: NodeId| (a, b) == (id, from) || (a, b) == (from, id);
        for (a, b, _) in
            self.base.links.iter_mut().filter(|(a, b, link)| own(*a, *b) && link.kind == LinkKind::Pcie)
        {
            (*a, *b) = (to, id);
        }
    }

    fn is_parent(&self, a: NodeId, b: NodeId) -> bool {
        self.base_node(a).parent == Some(b) || self.base_node(b).parent == Some(a)
    }

    fn fill_link(&mut self, index: usize, other: &Link, conflicts: &mut Conflicts) {
        let base = conflicts.speakers.base(self.base.nodes[0].provenance);
        let by = self.speaker(self.other.nodes[0].provenance);
        let (a, b, _) = self.base.links[index];
        let pair = self.pair_name(a, b);
        let link = &mut self.base.links[index].2;
        match (link.lanes, other.lanes) {
            (Some(own), Some(lanes)) if own != lanes => {
                conflicts.disagree(&pair, "width of the link", (&base, &own), (&by, &lanes));
            }
            (None, lanes) => link.lanes = lanes,
            _ => {}
        }
        link.reported = link.reported.or(other.reported);
        link.redirects = link.redirects.or(other.redirects);
        match (link.rate, other.rate) {
            (Some(own), Some(rate)) if own.basis == Basis::Assumed && rate.basis != Basis::Assumed => {
                link.rate = Some(rate);
            }
            (Some(own), Some(rate)) if own.bandwidth != rate.bandwidth && rate.basis < Basis::Typical => {
                let (own, rate) = (own.bandwidth, rate.bandwidth);
                conflicts.disagree(&pair, "bandwidth of the link", (&base, &own), (&by, &rate));
            }
            (None, rate) => link.rate = rate,
            _ => {}
        }
    }

    /// Adopts stated paths of pairs without a path in the base, and compares the others.
    pub(super) fn paths(&mut self, conflicts: &mut Conflicts) {
        let own: BTreeMap<_, _> = stated(&self.base.paths);
        let theirs: BTreeMap<_, _> = stated(&self.other.paths);
        let devices = self.matched_devices(|_| true);
        let mut groups: BTreeMap<(_, _), Vec<String>> = BTreeMap::new();
        let mut adopted = Vec::new();
        for (index, (a, other_a)) in devices.iter().enumerate() {
            for (b, other_b) in &devices[index + 1..] {
                let says = |stated: &BTreeMap<_, _>, nodes: &[Node], a: NodeId, b: NodeId| {
                    let tree = || tree::path(|id| &nodes[id.index()], a, b);
                    stated.get(&(a.min(b), a.max(b))).copied().or_else(tree)
                };
                let key = ((*other_a).min(*other_b), (*other_a).max(*other_b));
                let base = says(&own, &self.base.nodes, *a, *b);
                match (base, says(&theirs, &self.other.nodes, *other_a, *other_b)) {
                    (None, Some(path)) if theirs.contains_key(&key) => {
                        adopted.push(StatedPath { a: *a.min(b), b: *a.max(b), path });
                    }
                    (Some(base), Some(other)) if base != other => {
                        groups.entry((base, other)).or_default().push(self.pair_name(*a, *b));
                    }
                    _ => {}
                }
            }
        }
        let base = conflicts.speakers.paths.clone();
        let base = base.unwrap_or_else(|| conflicts.speakers.base(self.base.nodes[0].provenance));
        let other = self.speaker(self.other.nodes[0].provenance);
        for ((ours, others), pairs) in groups {
            conflicts.disagree(&several(&pairs), "path", (&base, &ours), (&other, &others));
        }
        if self.base.paths.is_empty() && !adopted.is_empty() {
            conflicts.speakers.paths = Some(other);
        }
        self.adopt_paths(adopted);
    }

    /// Adopts the stated paths of devices that only the other has.
    pub(super) fn paths_of_added(&mut self) {
        let paths = self.other.paths.iter().filter(|path| self.is_added(path.a) || self.is_added(path.b));
        let adopted = paths.filter_map(|path| {
            let (a, b) = (self.map[path.a.index()]?, self.map[path.b.index()]?);
            Some(StatedPath { a: a.min(b), b: a.max(b), path: path.path })
        });
        let adopted = adopted.collect();
        self.adopt_paths(adopted);
    }

    /// Adopts measurements; of two for one direction the base's counts, which stands first.
    pub(super) fn measurements(&mut self) {
        let adopted = self.other.measured.iter().filter_map(|measured| {
            let (from, to) = (self.map[measured.from.index()]?, self.map[measured.to.index()]?);
            Some(Measured { from, to, bandwidth: measured.bandwidth })
        });
        let adopted: Vec<Measured> = adopted.collect();
        self.base.measured.extend(adopted);
    }

    /// Adopts peer-to-peer access, and fills in unknown operations of pairs that the base has.
    pub(super) fn p2p(&mut self) {
        let own: BTreeMap<(NodeId, NodeId), usize> =
            self.base.p2p.iter().enumerate().rev().map(|(place, p2p)| ((p2p.a, p2p.b), place)).collect();
        for p2p in &self.other.p2p {
            let (Some(a), Some(b)) = (self.map[p2p.a.index()], self.map[p2p.b.index()]) else { continue };
            let (a, b) = (a.min(b), a.max(b));
            match own.get(&(a, b)) {
                Some(place) => {
                    let own = &mut self.base.p2p[*place];
                    own.read = own.read.or(p2p.read);
                    own.write = own.write.or(p2p.write);
                    own.nvlink = own.nvlink.or(p2p.nvlink);
                    own.atomics = own.atomics.or(p2p.atomics);
                }
                None => self.base.p2p.push(P2p { a, b, ..*p2p }),
            }
        }
    }

    fn adopt_paths(&mut self, adopted: Vec<StatedPath>) {
        if self.base.paths.is_empty() && !adopted.is_empty() {
            self.base.dialect = self.other.dialect;
        }
        self.base.paths.extend(adopted);
    }

    pub(super) fn matched_devices(&self, of: impl Fn(&NodeKind) -> bool) -> Vec<(NodeId, NodeId)> {
        let device = |kind: &NodeKind| kind.near().is_some() && of(kind);
        self.matched().into_iter().filter(|(base, _)| device(&self.base_node(*base).kind)).collect()
    }

    fn pair_name(&self, a: NodeId, b: NodeId) -> String {
        format!("{} and {}", facts::name(self.base_node(a)), facts::name(self.base_node(b)))
    }
}

fn table(links: &[(NodeId, NodeId, Link)], nodes: &[Node]) -> Nvlinks {
    Nvlinks::of(links.iter().map(|(a, b, link)| (*a, *b, link)), |id| &nodes[id.index()])
}

/// Returns the stated paths by their nodes; the first of two statements holds.
fn stated(paths: &[StatedPath]) -> BTreeMap<(NodeId, NodeId), PathType> {
    paths.iter().rev().map(|path| ((path.a, path.b), path.path)).collect()
}

/// Gives links of an unknown generation the rate that the ports of their GPUs report, where all of a GPU's report one.
pub(super) fn rate_by_ports(fragment: &mut Fragment) {
    let nodes = &fragment.nodes;
    // A fragment that stands alone is checked after this only: its links can name nodes that are not there.
    let each = |id: NodeId| {
        let mut rates = nodes.get(id.index())?.kind.as_gpu()?.nvlinks.iter().filter_map(|port| port.reported);
        let first = rates.next()?;
        rates.all(|rate| rate == first).then_some(first)
    };
    for (a, b, link) in &mut fragment.links {
        let poor = link.rate.is_none_or(|rate| rate.basis == Basis::Assumed);
        let (LinkKind::NvLink, true, Some(links)) = (link.kind, poor, link.lanes) else { continue };
        let told: Option<Bandwidth> = match (each(*a), each(*b)) {
            (Some(own), Some(other)) if own != other => None,
            (own, other) => own.or(other),
        };
        if let Some(each) = told {
            *link = rates::nvlink_reported(each, links);
        }
    }
}
