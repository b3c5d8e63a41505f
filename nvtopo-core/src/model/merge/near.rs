//! NICs that one source knows by their names only and another by their places only, matched by the paths to GPUs that both
//! know.
//!
//! A matrix of `nvidia-smi` names RDMA devices, and `lspci` tells the tree of switches above PCI addresses. Each NIC of the
//! first is a function of the second. Where one of either has certain paths to all GPUs, and at least one of them over no host
//! bridge, these two are one NIC. Others stay apart, with a note.

use crate::model::{Fragment, Nic, NodeId, NoteCode, PathType, tree};
use crate::units::several;
use std::collections::{BTreeMap, BTreeSet};

/// The most GPUs and NICs for which paths are compared.
const MOST_DEVICES: usize = 256;

/// Returns the matched NICs: of the base, and of the other. `map` has the nodes of the base for those of the other that are
/// matched by now.
pub(super) fn nics(base: &Fragment, other: &Fragment, map: &[Option<NodeId>]) -> Vec<(NodeId, NodeId)> {
    let gpus: Vec<(NodeId, NodeId)> = (0..)
        .map(NodeId)
        .zip(map)
        .filter(|(id, _)| other.nodes[id.index()].kind.as_gpu().is_some())
        .filter_map(|(other, base)| Some(((*base)?, other)))
        .collect();
    let Some((own, others)) = apart(base, other, map) else { return Vec::new() };
    if gpus.len() + own.len().max(others.len()) > MOST_DEVICES {
        return Vec::new();
    }
    let (bases, ends): (Vec<NodeId>, Vec<NodeId>) = gpus.into_iter().unzip();
    let (own, others) = (by_paths(base, &own, &bases), by_paths(other, &others, &ends));
    let pairs = own.into_iter().filter_map(|(paths, nic)| Some((nic?, (*others.get(&paths)?)?)));
    pairs.collect()
}

/// A NIC, and whether its place is known and its name is not.
type Half = (NodeId, bool);

/// Returns the NICs of both that are matched with none, where one source tells places only and the other names only.
fn apart(base: &Fragment, other: &Fragment, map: &[Option<NodeId>]) -> Option<(Vec<Half>, Vec<Half>)> {
    let taken: BTreeSet<NodeId> = map.iter().flatten().copied().collect();
    let own = open(base, |id| !taken.contains(&id));
    let others = open(other, |id| map[id.index()].is_none());
    let (first, second) = (own.first()?.1, others.first()?.1);
    let are_alike = own.iter().all(|nic| nic.1 == first) && others.iter().all(|nic| nic.1 == second);
    (first != second && are_alike).then_some((own, others))
}

/// Returns the NICs that have a name and no place, or a place and no name, and whether they have a place.
fn open(fragment: &Fragment, is_free: impl Fn(NodeId) -> bool) -> Vec<Half> {
    let nodes = (0..).map(NodeId).zip(&fragment.nodes);
    let nics = nodes.filter_map(|(id, node)| Some((id, node.kind.as_nic()?)));
    let half = nics.filter_map(|(id, nic)| Some((id, is_placed(nic)?)));
    half.filter(|(id, _)| is_free(*id)).collect()
}

/// Returns true for a NIC with a place and no name, false for one without a place; `None` for one with both.
fn is_placed(nic: &Nic) -> Option<bool> {
    let is_named = nic.rdma_device.is_some() || !nic.net_devices.is_empty();
    if nic.address.is_some() { (!is_named).then_some(true) } else { Some(false) }
}

/// Returns the NIC with certain paths to the GPUs; `None` for paths that several have.
fn by_paths(fragment: &Fragment, nics: &[Half], gpus: &[NodeId]) -> BTreeMap<Vec<PathType>, Option<NodeId>> {
    let stated: BTreeMap<(NodeId, NodeId), PathType> =
        fragment.paths.iter().map(|own| ((own.a, own.b), own.path)).collect();
    let path = |a: NodeId, b: NodeId| {
        let own = stated.get(&(a.min(b), a.max(b))).copied();
        own.or_else(|| tree::path(|id| &fragment.nodes[id.index()], a, b))
    };
    let mut found = BTreeMap::new();
    for (nic, _) in nics {
        let paths: Option<Vec<PathType>> = gpus.iter().map(|gpu| path(*nic, *gpu)).collect();
        let Some(paths) = paths.filter(|paths| paths.iter().any(|path| *path <= PathType::Pxb)) else {
            continue;
        };
        found.entry(paths).and_modify(|known| *known = None).or_insert(Some(*nic));
    }
    found
}

/// Notes the NICs that stand twice: by their names, as one source tells, and by their places, as the other does.
pub(super) fn note_twice(base: &mut Fragment, other: &Fragment, map: &[Option<NodeId>]) {
    let Some((own, others)) = apart(base, other, map) else { return };
    let list = |of: &Fragment, nics: &[Half]| {
        let name = |(id, _): &Half| of.nodes[id.index()].kind.as_nic().map(|nic| nic.name.clone());
        several(&nics.iter().filter_map(name).collect::<Vec<_>>())
    };
    let (mut names, mut places) = (list(base, &own), list(other, &others));
    if own[0].1 {
        std::mem::swap(&mut names, &mut places);
    }
    let text = format!(
        "no source tells both the names and the places of NICs, so that some may stand twice: {names} may be among {places}; \
         ibdev2netdev -v or mst status -v tells which"
    );
    base.note(NoteCode::OneSourceOnly, text);
}
