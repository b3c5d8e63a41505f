//! ConnectX-7 functions through which NVSwitches are managed, and which carry no data of jobs.
//!
//! On HGX B200 and B300 NVSwitches are no PCI devices. What manages them are functions of adapters with the same numbers
//! as those for the network; only their vital product data tells, which is shown to the superuser.

use super::pci::{Device, Kind};
use super::tree::Tree;

/// The file of vital product data.
pub(in crate::source) const VITAL_DATA: &str = "vpd";

/// What it says of a function that manages switches.
pub(in crate::source) const MARK: &str = "SMDL=SW_MNG";

/// Mellanox, and its ConnectX-7.
const ADAPTER: (Option<u16>, Option<u16>) = (Some(0x15b3), Some(0x1021));

/// The most that is read: such data is a few hundred bytes, which devices give slowly.
pub(super) const MOST: usize = 4096;

/// Takes them out, and says so.
pub(super) fn leave_out(tree: &Tree, devices: &mut Vec<Device>) -> Option<String> {
    let has = |kind| devices.iter().any(|device| device.kind == kind);
    // Devices give it slowly, so only where there can be some is it asked for.
    if !has(Kind::Gpu) || has(Kind::NvSwitch) {
        return None;
    }
    let before = devices.len();
    devices.retain(|device| !manages(tree, device));
    let count = before - devices.len();
    (count > 0).then(|| {
        format!(
            "{count} of the ConnectX-7 functions manage NVSwitches ({MARK} in their vital product data) and carry no \
             data, so they were left out"
        )
    })
}

fn manages(tree: &Tree, device: &Device) -> bool {
    let is_adapter = device.kind == Kind::Nic && (device.pci.vendor, device.pci.device) == ADAPTER;
    is_adapter && holds_mark(&tree.quiet_head(&format!("{}/{VITAL_DATA}", device.folder), MOST))
}

/// Whether vital product data says so.
pub(in crate::source) fn holds_mark(data: &[u8]) -> bool {
    data.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}
