//! The NVLinks that two GPUs share: directly, and over NVSwitches.

use crate::model::{Basis, Link, Node, NodeId, NodeKind, Pair, PathType, Rate};
use crate::units::Bandwidth;
use petgraph::unionfind::UnionFind;
use std::collections::BTreeMap;

/// The NVLinks of each GPU, summed by the node at their other end.
pub(crate) struct Nvlinks {
    ends: BTreeMap<NodeId, BTreeMap<NodeId, Bundle>>,
    /// The ones whose other end is an NVSwitch, by which two GPUs may share them.
    switched: BTreeMap<NodeId, Vec<(NodeId, Bundle)>>,
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
        let switched = table.iter().map(|(near, ends)| {
            let ends = ends.iter().filter(|(_, bundle)| bundle.switch);
            (*near, ends.map(|(far, bundle)| (*far, *bundle)).collect())
        });
        Self { switched: switched.collect(), ends: table, direct }
    }

    /// Returns the links of one node by the node at their other end; joined NVSwitches are one.
    pub(crate) fn of_node(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Bundle)> {
        self.ends.get(&id).into_iter().flatten().map(|(far, bundle)| (*far, *bundle))
    }

    /// Returns the direct links of two GPUs, plus the lesser count of both at each NVSwitch that they share.
    pub(crate) fn between(&self, a: NodeId, b: NodeId) -> Option<Pair> {
        let (own, others) = (self.ends.get(&a)?, self.ends.get(&b)?);
        let switched = self.switched.get(&a).into_iter().flatten().filter(|(far, _)| *far != b);
        let shared = switched.filter_map(|(far, own)| {
            let other = others.get(far)?;
            Some(if own.links <= other.links { *own } else { *other })
        });
        let sum = own.get(&b).copied().into_iter().chain(shared).reduce(Bundle::and);
        let sum = sum.filter(|sum| sum.links > 0)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fragment, Gpu, NvSwitch, Provenance, rates};

    /// GPUs, each linked with every other, and then all with a number of NVSwitches.
    fn mesh(gpus: u32, switches: usize) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Smi);
        let gpus: Vec<NodeId> = (0..gpus).map(|gpu| fragment.add(NodeId::MACHINE, Gpu::new(gpu))).collect();
        for (place, a) in gpus.iter().enumerate() {
            for b in &gpus[place + 1..] {
                fragment.link(*a, *b, rates::nvlink(4, 2));
            }
        }
        for _ in 0..switches {
            let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
            for gpu in &gpus {
                fragment.link(*gpu, switch, rates::nvlink(4, 3));
            }
        }
        fragment
    }

    fn table(fragment: &Fragment) -> Nvlinks {
        let links = fragment.links.iter().map(|(a, b, link)| (*a, *b, link));
        Nvlinks::of(links, |id| &fragment.nodes[id.index()])
    }

    /// The links that two GPUs share are sought among NVSwitches, of which there are few: a mesh of hundreds of GPUs would cost
    /// the cube of them.
    #[test]
    fn a_mesh_leaves_nothing_to_search() {
        let (a, b) = (NodeId(1), NodeId(40));
        let plain = table(&mesh(40, 0));
        assert_eq!(plain.switched.values().map(Vec::len).sum::<usize>(), 0);
        assert_eq!(plain.between(a, b).map(|pair| pair.nvlinks), Some(2));
        let switched = table(&mesh(40, 2));
        assert_eq!(switched.switched[&a].len(), 2);
        assert_eq!(switched.between(a, b).map(|pair| pair.nvlinks), Some(2 + 2 * 3));
        assert_eq!(switched.between(a, NodeId(41)).map(|pair| pair.nvlinks), Some(3));
    }
}
