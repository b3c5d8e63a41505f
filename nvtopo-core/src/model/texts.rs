//! The texts of a topology (names, models, notes), made safe to print.

use super::fragment::Fragment;
use super::node::{NodeKind, Stated};
use super::note::Origin;
use super::pci::PciFacts;
use crate::printable::{message, printable};
use std::collections::BTreeMap;

/// Escapes control characters in all texts of a fragment, and shortens notes: they may echo a file.
pub(super) fn make_printable(fragment: &mut Fragment) {
    for node in &mut fragment.nodes {
        each(&mut node.kind, &mut |text| {
            if let std::borrow::Cow::Owned(safe) = printable(text) {
                *text = safe;
            }
        });
    }
    for note in &mut fragment.notes {
        note.text = message(&note.text);
    }
    if let Origin::Preset(name) = &mut fragment.origin {
        *name = message(name);
    }
}

/// Calls the function for each text of a node. Every kind and field is named, so that a new one is not forgotten.
fn each(kind: &mut NodeKind, change: &mut impl FnMut(&mut String)) {
    match kind {
        NodeKind::Machine(machine) => {
            some(&mut machine.product, change);
            some(&mut machine.driver, change);
            some(&mut machine.cuda, change);
            some(&mut machine.cpu.architecture, change);
            some(&mut machine.cpu.vendor, change);
            if let Stated::Known(hypervisor) = &mut machine.hypervisor {
                change(hypervisor);
            }
        }
        NodeKind::Package(package) => some(&mut package.model, change),
        NodeKind::Gpu(gpu) => {
            some(&mut gpu.model, change);
            some(&mut gpu.serial, change);
            some(&mut gpu.firmware, change);
            some(&mut gpu.unusable, change);
            if let Some(fabric) = &mut gpu.fabric {
                some(&mut fabric.cluster, change);
            }
            pci(&mut gpu.pci, change);
            table(&mut gpu.nccl, change);
        }
        NodeKind::GpuInstance(instance) => {
            some(&mut instance.uuid, change);
            some(&mut instance.profile, change);
        }
        NodeKind::Nic(nic) => {
            change(&mut nic.name);
            some(&mut nic.rdma_device, change);
            nic.net_devices.iter_mut().for_each(&mut *change);
            some(&mut nic.model, change);
            some(&mut nic.firmware, change);
            some(&mut nic.bond, change);
            pci(&mut nic.pci, change);
            table(&mut nic.nccl, change);
        }
        NodeKind::Nvme(disk) => {
            change(&mut disk.name);
            some(&mut disk.model, change);
            pci(&mut disk.pci, change);
        }
        NodeKind::NvSwitch(switch) => pci(&mut switch.pci, change),
        NodeKind::PcieSwitch(switch) => pci(&mut switch.pci, change),
        NodeKind::NumaNode(_)
        | NodeKind::Cache(_)
        | NodeKind::Group(_)
        | NodeKind::Core(_)
        | NodeKind::Pu(_)
        | NodeKind::HostBridge(_) => {}
    }
}

fn some(text: &mut Option<String>, change: &mut impl FnMut(&mut String)) {
    if let Some(text) = text {
        change(text);
    }
}

/// Changes the values of attributes. Names are those of XML, which holds no control characters in them.
fn table(attributes: &mut Option<BTreeMap<String, String>>, change: &mut impl FnMut(&mut String)) {
    attributes.iter_mut().flatten().for_each(|(_, value)| change(value));
}

fn pci(facts: &mut PciFacts, change: &mut impl FnMut(&mut String)) {
    some(&mut facts.iommu_mode, change);
}
