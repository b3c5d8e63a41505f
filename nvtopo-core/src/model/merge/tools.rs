//! Texts of the operating system's tools: each knows a part of a device and calls it by that.
//!
//! NICs are known by an address, an RDMA device or an interface, and get their usual name once it is known. GPUs that the PCI
//! bus shows are numbered by their addresses, until a source that asked the driver tells their numbers.

use super::Fold;
use crate::model::{Fragment, Nic, NodeKind, Provenance};
use std::collections::BTreeSet;

/// Returns by how many kinds of names a tool knows a NIC: its place, RDMA device and interface. One that knows all goes
/// before those that know one each, which would not find each other.
pub(super) fn names_of_nics(fragment: &Fragment) -> usize {
    if fragment.nodes[0].provenance != Provenance::SystemTool {
        return 0;
    }
    let nics = fragment.nodes.iter().filter_map(|node| node.kind.as_nic());
    let count = |nic: &Nic| {
        let known = [nic.address.is_some(), nic.rdma_device.is_some(), !nic.net_devices.is_empty()];
        known.into_iter().filter(|known| *known).count()
    };
    nics.map(count).max().unwrap_or_default()
}

impl Fold<'_> {
    fn is_by_tool(&self) -> bool {
        self.base.nodes[0].provenance == Provenance::SystemTool
    }

    /// Calls NICs that a tool knows by their interface or place by the RDMA device that another one told.
    pub(super) fn name_nics(&mut self) {
        if !self.is_by_tool() {
            return;
        }
        let nics = self.base.nodes.iter().filter_map(|node| node.kind.as_nic());
        let mut taken: BTreeSet<String> = nics.map(|nic| nic.name.clone()).collect();
        for node in &mut self.base.nodes {
            let NodeKind::Nic(nic) = &mut node.kind else { continue };
            let place = nic.address.map(|address| address.to_string());
            let is_other_name = nic.net_devices.contains(&nic.name) || place.as_ref() == Some(&nic.name);
            let name = nic.rdma_device.as_ref().or(nic.net_devices.first());
            if let Some(name) = name.cloned().filter(|_| is_other_name)
                && taken.insert(name.clone())
            {
                nic.name = name;
            }
        }
    }

    /// Gives GPUs of a tool's text the numbers that the driver has for them; those that it does not know come after.
    pub(super) fn number_gpus(&mut self) {
        let by_driver = |provenance| matches!(provenance, Provenance::Smi | Provenance::Preset);
        if !self.is_by_tool() || !by_driver(self.other.nodes[0].provenance) {
            return;
        }
        let matched = self.matched_devices(|kind| kind.as_gpu().is_some());
        let mut taken = BTreeSet::new();
        let mut numbered = BTreeSet::new();
        for (base, other) in matched {
            let Some(index) = self.other_node(other).kind.as_gpu().map(|gpu| gpu.index) else { continue };
            if let NodeKind::Gpu(gpu) = &mut self.base.nodes[base.index()].kind {
                gpu.index = index;
                taken.insert(index);
                numbered.insert(base.index());
            }
        }
        let others = self.other.nodes.iter().filter_map(|node| Some(node.kind.as_gpu()?.index));
        taken.extend(others);
        for (place, node) in self.base.nodes.iter_mut().enumerate() {
            let NodeKind::Gpu(gpu) = &mut node.kind else { continue };
            if !numbered.contains(&place) && !taken.insert(gpu.index) {
                let next = taken.last().map_or(0, |last| last.saturating_add(1));
                gpu.index = next;
                taken.insert(next);
            }
        }
    }
}
