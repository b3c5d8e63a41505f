//! NVLinks, paths, peer-to-peer access and measurements between matched devices.

use super::{Change, ChangeKind, Findings};
use crate::model::{Basis, NodeId, NodeKind, P2p, Pair, PathType, Topology};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// Measurements that differ by less than this part of the better are alike.
const TOLERANCE: f64 = 0.05;

/// A difference between two devices: the same one between several pairs is told once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    kind: ChangeKind,
    fact: &'static str,
    before: String,
    after: String,
}

/// Compares all pairs of devices of the first machine that the second has too.
pub(super) fn compare(before: &Topology, after: &Topology, map: &[Option<usize>], found: &mut Findings) {
    if before.nvlink_known() != after.nvlink_known() {
        found.one_sided("NVLinks", before.nvlink_known(), "machine");
    }
    let mut differences: BTreeMap<Difference, Vec<(usize, usize)>> = BTreeMap::new();
    let (own_links, other_links) = (direct(before), direct(after));
    let bridges = [before, after].map(tells_bridges);
    for (a, b) in (0..map.len()).flat_map(|a| (a + 1..map.len()).map(move |b| (a, b))) {
        let (Some(other_a), Some(other_b)) = (map[a], map[b]) else { continue };
        let own = Side { topology: before, links: &own_links, tells_bridges: bridges[0], a, b };
        let (a, b) = (other_a, other_b);
        let other = Side { topology: after, links: &other_links, tells_bridges: bridges[1], a, b };
        for difference in own.differences(&other, found) {
            differences.entry(difference).or_default().push((own.a, own.b));
        }
    }
    for (difference, pairs) in differences {
        group(before, &difference, &pairs, &mut found.changes);
    }
}

/// Tells one difference of several pairs: first of the device that is in most of them, with all its peers.
fn group(topology: &Topology, difference: &Difference, pairs: &[(usize, usize)], changes: &mut Vec<Change>) {
    let mut peers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (a, b) in pairs {
        peers.entry(*a).or_default().insert(*b);
        peers.entry(*b).or_default().insert(*a);
    }
    let most = |peers: &BTreeMap<usize, BTreeSet<usize>>| {
        let first = peers.iter().max_by_key(|(device, own)| (own.len(), std::cmp::Reverse(**device)));
        first.filter(|(_, own)| !own.is_empty()).map(|(device, _)| *device)
    };
    while let Some((first, own)) = most(&peers).and_then(|first| peers.remove_entry(&first)) {
        for peer in &own {
            if let Some(others) = peers.get_mut(peer) {
                others.remove(&first);
            }
        }
        let Difference { kind, fact, before, after } = difference.clone();
        changes.push(Change {
            kind,
            part: topology.device_name(first),
            peers: own.into_iter().map(|peer| topology.device_name(peer)).collect(),
            fact,
            before: Some(before),
            after: Some(after),
        });
    }
}

/// The NVLinks from one device to another, or AMD's xGMI, which tables count alike: their number and rate. Those over NVSwitches are
/// counted at each GPU.
type Direct = BTreeMap<(NodeId, NodeId), (u16, Option<Bandwidth>)>;

/// Returns the NVLinks between all devices that have some.
fn direct(topology: &Topology) -> Direct {
    let mut links = Direct::new();
    for (a, b, link) in topology.links().filter(|(_, _, link)| link.kind.is_fabric()) {
        let (sum, rate) = links.entry((a.min(b), a.max(b))).or_insert((0, Some(Bandwidth::ZERO)));
        // An assumed rate is no told fact.
        let told = link.rate.filter(|rate| rate.basis != Basis::Assumed);
        *rate = rate.zip(told).map(|(sum, own)| [sum, own.bandwidth].into_iter().sum());
        *sum = sum.saturating_add(link.lanes.unwrap_or(1));
    }
    links
}

/// Two devices of one machine.
struct Side<'a> {
    topology: &'a Topology,
    links: &'a Direct,
    tells_bridges: bool,
    a: usize,
    b: usize,
}

impl Side<'_> {
    fn nodes(&self) -> (NodeId, NodeId) {
        (self.topology.devices()[self.a], self.topology.devices()[self.b])
    }

    fn pair(&self) -> Pair {
        self.topology.pairs().pair(self.a, self.b)
    }

    fn links(&self) -> (u16, Option<Bandwidth>) {
        let (a, b) = self.nodes();
        self.links.get(&(a.min(b), a.max(b))).copied().unwrap_or((0, Some(Bandwidth::ZERO)))
    }

    fn are_gpus(&self) -> bool {
        self.a.max(self.b) < self.topology.gpus().len()
    }

    fn name(&self) -> String {
        format!("{} to {}", self.topology.device_name(self.a), self.topology.device_name(self.b))
    }

    fn differences(&self, other: &Self, found: &mut Findings) -> Vec<Difference> {
        let mut differences = Vec::new();
        let nvlink_known = self.topology.nvlink_known() && other.topology.nvlink_known();
        if self.are_gpus() && nvlink_known {
            let (own, others) = (self.links(), other.links());
            differences.extend(difference(ChangeKind::Nvlinks, "NVLinks", &own.0, &others.0));
            if let ((links, Some(own)), (same, Some(others))) = (own, others)
                && links == same
            {
                differences.extend(difference(ChangeKind::Nvlinks, "rate of NVLinks", &own, &others));
            }
        }
        let paths =
            [(self, other), (other, self)].map(|(side, far)| path(side.pair().path, far.tells_bridges));
        match (paths[0], paths[1]) {
            // Where one of the two cannot tell NVLinks, the path beside them is no difference.
            (Some(own), Some(others))
                if nvlink_known || ![own, others].iter().any(|path| *path <= PathType::C2c) =>
            {
                differences.extend(difference(ChangeKind::Path, "path", own.word(), others.word()));
            }
            (Some(_), None) => found.one_sided("path", true, &self.name()),
            (None, Some(_)) => found.one_sided("path", false, &self.name()),
            _ => {}
        }
        if found.structure {
            return differences;
        }
        let access = |side: &Self| side.topology.p2p(side.nodes().0, side.nodes().1).map(words);
        if let (Some(own), Some(others)) = (access(self), access(other)) {
            differences.extend(difference(ChangeKind::P2p, "peer-to-peer access", &own, &others));
        }
        let measured = |side: &Self| side.topology.measured(side.nodes().0, side.nodes().1);
        if let (Some(own), Some(others)) = (measured(self), measured(other)) {
            let (low, high) = (own.min(others).as_gb_per_s(), own.max(others).as_gb_per_s());
            if high - low > high * TOLERANCE {
                differences.extend(difference(ChangeKind::Bandwidth, "measured", &own, &others));
            }
        }
        differences
    }
}

/// Returns a path as far as a machine tells such paths: one without host bridges, such as that of a file of NCCL, does not tell
/// whether devices of one NUMA node share one.
pub(super) fn path(own: Option<PathType>, other_tells_bridges: bool) -> Option<PathType> {
    own.map(|own| if own == PathType::Phb && !other_tells_bridges { PathType::Node } else { own })
}

/// Returns whether a machine tells which devices are below one host bridge.
pub(super) fn tells_bridges(topology: &Topology) -> bool {
    let is_bridge = |kind: &NodeKind| matches!(kind, NodeKind::HostBridge(_));
    !topology.stated_paths().is_empty() || topology.nodes().any(|(_, node)| is_bridge(&node.kind))
}

/// Returns the difference between two values, where their texts differ too.
fn difference<T: PartialEq + ToString + ?Sized>(
    kind: ChangeKind,
    fact: &'static str,
    was: &T,
    is: &T,
) -> Option<Difference> {
    // Most pairs are alike, and there are as many as the square of devices: their texts are not made.
    let (before, after) = (was != is).then(|| (was.to_string(), is.to_string()))?;
    (before != after).then_some(Difference { kind, fact, before, after })
}

/// Returns what the driver says of each operation: `read OK, write OK`.
fn words(p2p: &P2p) -> String {
    let operations =
        [("read", p2p.read), ("write", p2p.write), ("nvlink", p2p.nvlink), ("atomics", p2p.atomics)];
    let told = operations.into_iter().filter_map(|(name, status)| Some(format!("{name} {}", status?.word())));
    told.collect::<Vec<_>>().join(", ")
}
