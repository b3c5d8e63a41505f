//! What the PCI bus tells of a device: its numbers, its IOMMU group and its virtual functions. Its link is in
//! [`super::training`].

use super::tree::Tree;
use crate::model::{PciFacts, VirtualFunctions};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

const GROUPS: &str = "sys/kernel/iommu_groups";

/// The longest word for what an IOMMU does that is believed.
const MAX_MODE: usize = 32;

/// Reads facts, those that devices share once.
pub(super) struct Facts<'a> {
    tree: &'a Tree,
    /// Whether this kernel can tell of groups.
    has_groups: OnceCell<bool>,
    modes: RefCell<BTreeMap<u32, Option<String>>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, has_groups: OnceCell::new(), modes: RefCell::default() }
    }

    /// The facts of a device in this folder. `vendor` is what its file says, where that was read before.
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

    /// `../../../kernel/iommu_groups/12`
    fn group(&self, folder: &str) -> Option<u32> {
        let target = self.tree.link(&format!("{folder}/iommu_group"))?;
        target.rsplit_once("iommu_groups/")?.1.parse().ok()
    }

    fn mode(&self, group: Option<u32>) -> Option<String> {
        let Some(group) = group else {
            // A kernel that can tell and names no group for a device has no IOMMU before it.
            let told = *self.has_groups.get_or_init(|| self.tree.has_folder(GROUPS));
            return told.then(|| "off".to_owned());
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
