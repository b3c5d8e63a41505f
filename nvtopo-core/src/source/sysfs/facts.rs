//! The facts of a PCI device: its numbers, its IOMMU group, its virtual functions, and the training of its link, as the
//! kernel shows it of the device or bridge at one end.
//!
//! Virtual machines, virtual functions and bridges that are no PCIe ports show `Unknown` and a width of 0 or 255.

use super::tree::Tree;
use crate::model::{PciFacts, PcieSpeed, VirtualFunctions, rates};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

const GROUPS: &str = "sys/kernel/iommu_groups";

/// The longest name of an IOMMU mode that is accepted.
const MAX_MODE: usize = 32;

/// The reader of facts; those that devices share are read once.
pub(super) struct Facts<'a> {
    tree: &'a Tree,
    /// True if this kernel shows groups.
    has_groups: OnceCell<bool>,
    modes: RefCell<BTreeMap<u32, Option<String>>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, has_groups: OnceCell::new(), modes: RefCell::default() }
    }

    /// Returns the facts of a device in this folder. `vendor` is what its file says, where that was read before.
    pub(super) fn read(&self, folder: &str, vendor: Option<String>) -> PciFacts {
        let hex = |text: String| u16::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        let text = |name: &str| self.tree.text(&format!("{folder}/{name}"));
        let vendor = vendor.or_else(|| text("vendor"));
        // Every device has these numbers; a tree that lacks one lacks all.
        let id = |name: &str| if vendor.is_some() { text(name).and_then(hex) } else { None };
        let (device, subsystem_vendor, subsystem_device) =
            (id("device"), id("subsystem_vendor"), id("subsystem_device"));
        let iommu_group = self.group(folder);
        PciFacts {
            class: None,
            vendor: vendor.and_then(hex),
            device,
            subsystem_vendor,
            subsystem_device,
            link: None,
            iommu_group,
            iommu_mode: self.mode(iommu_group),
            virtual_functions: self.virtual_functions(folder),
        }
    }

    /// Returns the IOMMU group, from a link such as `../../../kernel/iommu_groups/12`.
    fn group(&self, folder: &str) -> Option<u32> {
        let target = self.tree.link(&format!("{folder}/iommu_group"))?;
        target.rsplit_once("iommu_groups/")?.1.parse().ok()
    }

    fn mode(&self, group: Option<u32>) -> Option<String> {
        let Some(group) = group else {
            // A kernel that shows groups, but none for a device, has no IOMMU before it.
            let shown = *self.has_groups.get_or_init(|| self.tree.has_folder(GROUPS));
            return shown.then(|| "off".to_owned());
        };
        let mut modes = self.modes.borrow_mut();
        let read = || self.tree.text(&format!("{GROUPS}/{group}/type"));
        let mode = modes.entry(group).or_insert_with(read).as_ref();
        mode.filter(|mode| (1..=MAX_MODE).contains(&mode.len())).cloned()
    }

    fn virtual_functions(&self, folder: &str) -> Option<VirtualFunctions> {
        let count = |name: &str| self.tree.text(&format!("{folder}/{name}"))?.parse().ok();
        let total = count("sriov_totalvfs")?;
        Some(VirtualFunctions { enabled: count("sriov_numvfs")?, total })
    }
}

/// Returns the current speed of a link, at one of its ends.
pub(super) fn current_speed(tree: &Tree, folder: &str) -> PcieSpeed {
    speed(tree, folder, "current")
}

/// Returns the highest speed of one end.
pub(super) fn highest_speed(tree: &Tree, folder: &str) -> PcieSpeed {
    speed(tree, folder, "max")
}

fn speed(tree: &Tree, folder: &str, which: &str) -> PcieSpeed {
    let text = |what: &str| tree.text(&format!("{folder}/{which}_link_{what}"));
    // The kernel shows both or none.
    let Some(speed) = text("speed") else { return PcieSpeed::default() };
    let generation = rates::pcie_generation(&speed);
    let width = text("width").and_then(|width| width.parse().ok()).filter(|width| (1..=32).contains(width));
    PcieSpeed { generation, width }
}
