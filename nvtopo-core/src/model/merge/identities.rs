//! Devices with the same PCI address or UUID: the first keeps it.

use super::facts::{self, Conflicts};
use crate::model::identities::{Identity, duplicates};
use crate::model::{Fragment, NodeKind, NoteCode};

/// Removes a UUID or address from each node after the first that has it, with a note.
pub(super) fn make_unique(fragment: &mut Fragment, conflicts: &mut Conflicts) {
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
