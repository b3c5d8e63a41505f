//! Identities of devices: UUIDs and PCI addresses, each of which only one node of a topology may have.

use super::{Node, NodeKind};
use crate::ids::{GpuUuid, PciAddress};
use std::collections::BTreeMap;
use std::fmt;

/// A PCI address or UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identity<'a> {
    Address(PciAddress),
    Gpu(GpuUuid),
    Instance(&'a str),
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the PCI address {address}"),
            Self::Gpu(uuid) => write!(f, "the UUID {uuid}"),
            Self::Instance(uuid) => {
                let uuid: String = uuid.chars().take(60).collect();
                write!(f, "the UUID '{}'", uuid.escape_debug())
            }
        }
    }
}

/// An identity that two nodes share.
pub(crate) struct Duplicate<'a> {
    pub(crate) identity: Identity<'a>,
    /// The positions of both.
    pub(crate) first: usize,
    pub(crate) second: usize,
}

/// Finds the identities that several nodes share, each with the first of them and every other.
pub(crate) fn duplicates(nodes: &[Node]) -> Vec<Duplicate<'_>> {
    let mut seen = BTreeMap::new();
    let mut found = Vec::new();
    for (second, node) in nodes.iter().enumerate() {
        let (address, uuid) = match &node.kind {
            NodeKind::Gpu(gpu) => (gpu.address, gpu.uuid.map(Identity::Gpu)),
            NodeKind::GpuInstance(part) => (None, part.uuid.as_deref().map(Identity::Instance)),
            NodeKind::Nic(nic) => (nic.address, None),
            NodeKind::Nvme(nvme) => (nvme.address, None),
            NodeKind::NvSwitch(switch) => (switch.address, None),
            NodeKind::PcieSwitch(switch) => (switch.address, None),
            _ => (None, None),
        };
        for identity in address.map(Identity::Address).into_iter().chain(uuid) {
            let first = *seen.entry(identity).or_insert(second);
            if first != second && !share_a_function(&nodes[first].kind, &node.kind) {
                found.push(Duplicate { identity, first, second });
            }
        }
    }
    found
}

/// Returns true for two RDMA devices of one PCI function, which may have several, and for switches: only files that are
/// written by hand repeat the address of one, and nothing is found by it.
fn share_a_function(a: &NodeKind, b: &NodeKind) -> bool {
    if let (NodeKind::PcieSwitch(_), NodeKind::PcieSwitch(_)) = (a, b) {
        return true;
    }
    let rdma = |kind: &NodeKind| kind.as_nic()?.rdma_device.clone();
    rdma(a).zip(rdma(b)).is_some_and(|(a, b)| a != b)
}
