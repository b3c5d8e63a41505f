//! The pair table: class, NVLink count and bandwidth of the path between any two devices.
//!
//! NVLink wins where a pair shares it; else the class that a source stated; else what the tree of bridges says.
//! As in `nvidia-smi`, NVLink over a third GPU does not count.

use crate::model::{
    Basis, Link, LinkKind, NodeId, NodeKind, Pair, PairTable, PathType, Rate, Topology, rates,
};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

impl Topology {
    /// The pairs of all devices, computed once.
    ///
    /// ```
    /// use nvtopo::{PathType, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?;
    /// let pair = dgx1.pairs().pair(0, 3);
    /// assert_eq!((pair.path, pair.nvlinks), (Some(PathType::Nvl), 2));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn pairs(&self) -> &PairTable {
        self.pair_cell().get_or_init(|| {
            let nvlinks = Nvlinks::of(self);
            let devices = self.devices();
            PairTable::new(devices.len(), |a, b| {
                let (a, b) = (devices[a.min(b)], devices[a.max(b)]);
                nvlinks.between(self, a, b).unwrap_or_else(|| host_pair(self, a, b))
            })
        })
    }
}

/// The NVLinks of each GPU by the node at their other end.
pub(super) struct Nvlinks(BTreeMap<NodeId, Vec<(NodeId, u16, Option<Rate>)>>);

impl Nvlinks {
    pub(super) fn of(topology: &Topology) -> Self {
        let planes = planes(topology);
        let plane = |id: NodeId| planes.get(&id).copied().unwrap_or(id);
        let mut table: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for (a, b, link) in topology.links().filter(|(_, _, link)| link.kind == LinkKind::NvLink) {
            for (near, far) in [(a, b), (b, a)] {
                table.entry(near).or_default().push((plane(far), link.lanes.unwrap_or(1), link.rate));
            }
        }
        Self(table)
    }

    /// The links of one node.
    pub(super) fn of_node(&self, id: NodeId) -> &[(NodeId, u16, Option<Rate>)] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Direct links, and for each NVSwitch that both reach the fewer of the two's links.
    fn between(&self, topology: &Topology, a: NodeId, b: NodeId) -> Option<Pair> {
        let (mut count, mut rate) = (0u16, Some(Rate { bandwidth: Bandwidth::ZERO, basis: Basis::Measured }));
        let mut add = |links: u16, more: Option<Rate>| {
            count = count.saturating_add(links);
            rate = rate.zip(more).map(|(sum, more)| Rate {
                bandwidth: sum.bandwidth + more.bandwidth,
                basis: sum.basis.max(more.basis),
            });
        };
        let switch = |id: NodeId| matches!(topology.node(id).kind, NodeKind::NvSwitch(_));
        for (far, links, own) in self.of_node(a) {
            let mut shared = self.of_node(b).iter().filter(|(other, ..)| other == far && switch(*far));
            if *far == b {
                add(*links, *own);
            } else if let Some((_, others, other)) = shared.next() {
                let fewer = if links <= others { own } else { other };
                add(*links.min(others), *fewer);
            }
        }
        (count > 0).then_some(Pair { path: Some(PathType::Nvl), nvlinks: count, rate })
    }
}

/// NVSwitches that NVLinks join (the two boards of DGX-2) act as one, the first of them: a GPU of one board
/// reaches those of the other over as many links.
fn planes(topology: &Topology) -> BTreeMap<NodeId, NodeId> {
    let switch = |id: NodeId| matches!(topology.node(id).kind, NodeKind::NvSwitch(_));
    let mut planes: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for (a, b, link) in topology.links() {
        if link.kind == LinkKind::NvLink && switch(a) && switch(b) {
            let of = |id: NodeId| planes.get(&id).copied().unwrap_or(id);
            let (first, other) = (of(a).min(of(b)), of(a).max(of(b)));
            planes.values_mut().filter(|plane| **plane == other).for_each(|plane| *plane = first);
            planes.extend([(a, first), (b, first), (other, first)]);
        }
    }
    planes
}

/// The path over PCIe and the CPUs.
fn host_pair(topology: &Topology, a: NodeId, b: NodeId) -> Pair {
    let Some(path) = topology.stated_path(a, b).or_else(|| tree_path(topology, a, b)) else {
        return Pair::UNKNOWN;
    };
    let mut rate =
        pcie_rate(topology, a).into_iter().chain(pcie_rate(topology, b)).min_by_key(|r| r.bandwidth);
    if path == PathType::Sys {
        rate = rate.into_iter().chain(smp_rate(topology, a, b)).min_by_key(|rate| rate.bandwidth);
    }
    // Both ends unknown: the least that such a path carries on a machine of a usual generation.
    let assumed = || {
        let pcie = rates::pcie_assumed();
        if path == PathType::Sys { Some(rates::smp(None).min_by(pcie)) } else { Some(pcie) }
    };
    Pair { path: Some(path), nvlinks: 0, rate: rate.or_else(assumed) }
}

impl Rate {
    fn min_by(self, other: Self) -> Self {
        if other.bandwidth < self.bandwidth { other } else { self }
    }
}

/// The class by the nearest common container. `None` when the tree does not reach that far.
fn tree_path(topology: &Topology, a: NodeId, b: NodeId) -> Option<PathType> {
    let common = topology.ancestors(a).find(|id| topology.ancestors(b).any(|other| other == *id))?;
    let switches = |id: NodeId| {
        let below = topology.ancestors(id).take_while(|id| *id != common);
        below.filter(|id| matches!(topology.node(*id).kind, NodeKind::PcieSwitch(_))).count()
    };
    match topology.node(common).kind {
        // A GPU's or NIC's other function hangs on the device itself.
        NodeKind::Gpu(_) | NodeKind::Nic(_) => Some(PathType::Pix),
        NodeKind::PcieSwitch(_) if switches(a) + switches(b) == 0 => Some(PathType::Pix),
        NodeKind::PcieSwitch(_) => Some(PathType::Pxb),
        NodeKind::HostBridge(_) => Some(PathType::Phb),
        NodeKind::NumaNode(_) => Some(PathType::Node),
        _ => (topology.numa_ancestor(a)? != topology.numa_ancestor(b)?).then_some(PathType::Sys),
    }
}

/// The least rate of the PCIe links from a device up to its host bridge; `None` if none is known.
fn pcie_rate(topology: &Topology, id: NodeId) -> Option<Rate> {
    let up = |id: NodeId| -> Option<Rate> {
        let parent = topology.node(id).parent?;
        let mut links = topology.links_of(id).filter(|(far, _)| *far == parent);
        links.find(|(_, link)| link.kind == LinkKind::Pcie).and_then(|(_, link): (_, &Link)| link.rate)
    };
    topology.ancestors(id).filter_map(up).min_by_key(|rate| rate.bandwidth)
}

/// The rate of the link between the NUMA nodes of two devices.
fn smp_rate(topology: &Topology, a: NodeId, b: NodeId) -> Option<Rate> {
    let (a, b) = (topology.numa_ancestor(a)?, topology.numa_ancestor(b)?);
    let mut links = topology.links_of(a).filter(|(far, link)| *far == b && link.kind == LinkKind::Smp);
    links.find_map(|(_, link)| link.rate)
}
