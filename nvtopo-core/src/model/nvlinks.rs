//! The NVLinks that two GPUs share: directly, and over NVSwitches.

use crate::model::{Basis, Link, Node, NodeId, NodeKind, Pair, PathType, Rate};
use crate::units::Bandwidth;
use petgraph::unionfind::UnionFind;
use std::collections::BTreeMap;

/// The NVLinks of each GPU, summed by the node at their other end.
pub(crate) struct Nvlinks {
    ends: BTreeMap<NodeId, BTreeMap<NodeId, Bundle>>,
    /// True where all of them are known links from GPU to GPU.
    pub(crate) direct: bool,
}

/// NVLinks with the same two ends.
#[derive(Clone, Copy)]
pub(crate) struct Bundle {
    pub(crate) links: u16,
    pub(crate) rate: Option<Rate>,
    /// True where the far end is an NVSwitch.
    pub(crate) switch: bool,
}

impl Nvlinks {
    /// Sums the NVLinks of a graph.
    pub(crate) fn of<'a>(
        links: impl Iterator<Item = (NodeId, NodeId, &'a Link)>,
        node: impl Fn(NodeId) -> &'a Node,
    ) -> Self {
        let switch = |id: NodeId| matches!(node(id).kind, NodeKind::NvSwitch(_));
        let nvlinks: Vec<_> = links.filter(|(_, _, link)| link.kind.is_fabric()).collect();
        let mut planes = Planes::default();
        for (a, b, _) in nvlinks.iter().filter(|(a, b, _)| switch(*a) && switch(*b)) {
            planes.join(*a, *b);
        }
        let mut table: BTreeMap<NodeId, BTreeMap<NodeId, Bundle>> = BTreeMap::new();
        for (a, b, link) in nvlinks {
            let own = |switch: bool| Bundle { links: link.lanes.unwrap_or(1), rate: link.rate, switch };
            for (near, far) in [(a, b), (b, a)] {
                let bundles = table.entry(near).or_default();
                let own = own(switch(far));
                bundles.entry(planes.of(far)).and_modify(|sum| *sum = sum.and(own)).or_insert(own);
            }
        }
        let mut bundles = table.values().flat_map(BTreeMap::values);
        let direct = bundles.all(|one| !one.switch && one.links > 0 && one.rate.is_some());
        Self { ends: table, direct }
    }

    /// Returns the links of one node by the node at their other end; joined NVSwitches are one.
    pub(crate) fn of_node(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Bundle)> {
        self.ends.get(&id).into_iter().flatten().map(|(far, bundle)| (*far, *bundle))
    }

    /// Returns the direct links of two GPUs, plus the lesser count of both at each NVSwitch that they share.
    pub(crate) fn between(&self, a: NodeId, b: NodeId) -> Option<Pair> {
        let others = self.ends.get(&b)?;
        let shared = self.of_node(a).filter_map(|(far, own)| match others.get(&far) {
            _ if far == b => Some(own),
            Some(other) if own.switch => Some(if own.links <= other.links { own } else { *other }),
            _ => None,
        });
        let sum = shared.reduce(Bundle::and).filter(|sum| sum.links > 0)?;
        Some(Pair { path: Some(PathType::Nvl), nvlinks: sum.links, rate: sum.rate })
    }
}

impl Bundle {
    pub(crate) fn and(self, other: Self) -> Self {
        let rate = self.rate.zip(other.rate).map(|(a, b)| Rate {
            bandwidth: [a.bandwidth, b.bandwidth].into_iter().sum::<Bandwidth>(),
            basis: Basis::max(a.basis, b.basis),
        });
        Self { links: self.links.saturating_add(other.links), rate, switch: self.switch }
    }
}

/// NVSwitches joined by NVLinks (the two boards of DGX-2), in a union-find: they act as one, the first of them, since a
/// GPU of one board reaches those of the other over as many links.
#[derive(Default)]
struct Planes(BTreeMap<NodeId, NodeId>);

impl Planes {
    fn of(&self, mut id: NodeId) -> NodeId {
        while let Some(lower) = self.0.get(&id) {
            id = *lower;
        }
        id
    }

    fn join(&mut self, a: NodeId, b: NodeId) {
        let (first, second) = (self.of(a), self.of(b));
        if first != second {
            self.0.insert(first.max(second), first.min(second));
        }
        // Path compression.
        for id in [a, b].into_iter().filter(|id| *id != first.min(second)) {
            self.0.insert(id, first.min(second));
        }
    }
}

/// Returns the sets of members that are connected, directly or over others, each sorted, by their first.
pub(crate) fn components(members: usize, linked: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut sets = UnionFind::new(members);
    for (a, b) in (0..members).flat_map(|a| (a + 1..members).map(move |b| (a, b))) {
        if linked(a, b) {
            sets.union(a, b);
        }
    }
    let mut found: Vec<Vec<usize>> = vec![Vec::new(); members];
    for member in 0..members {
        found[sets.find(member)].push(member);
    }
    found.retain(|set| !set.is_empty());
    found.sort_unstable();
    found
}
