//! PCI functions of ConnectX-7 and ConnectX-8 that are no adapters themselves. Vital product data identifies them,
//! which is shown to the superuser only.
//!
//! Switch managers: on HGX B200 and B300 NVSwitches are no PCI devices. ConnectX-7 functions manage them that have the
//! same numbers as those for the network.
//!
//! Data Direct: ConnectX-8 adapters exchange data with the memory of GPUs through DMA functions. On boards with Direct
//! NIC the function with the adapter's ports meets a GPU only at the CPU, and its DMA function below a switch that the
//! GPU shares, so the DMA function decides the adapter's distance. Source: rdma-core, `kernel-boot/rdma_topo`; Linux,
//! `drivers/infiniband/hw/mlx5/data_direct.c`.

use super::pci::{Device, Kind};
use super::tree::Tree;
use crate::ids::PciAddress;
use crate::model::{Note, NoteCode};

/// The file of vital product data.
pub(in crate::source) const VITAL_DATA: &str = "vpd";

/// The mark in it of a function that manages switches.
pub(in crate::source) const MARK: &str = "SMDL=SW_MNG";

/// Mellanox, and its ConnectX-7.
const SWITCH_MANAGER: (Option<u16>, Option<u16>) = (Some(0x15b3), Some(0x1021));

/// The largest number of bytes to read: such data is a few hundred bytes, which devices give slowly.
pub(super) const MOST: usize = 4096;

/// Removes the functions that manage NVSwitches, and returns a note.
pub(super) fn remove_switch_managers(tree: &Tree, devices: &mut Vec<Device>) -> Option<String> {
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
    let is_adapter = device.kind == Kind::Nic && (device.pci.vendor, device.pci.device) == SWITCH_MANAGER;
    is_adapter && holds_mark(&tree.quiet_head(&format!("{}/{VITAL_DATA}", device.folder), MOST))
}

/// Returns whether vital product data has the mark of a switch manager.
pub(in crate::source) fn holds_mark(data: &[u8]) -> bool {
    data.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}

/// Mellanox, as sysfs writes it.
const VENDOR: &str = "0x15b3";
const VENDOR_NUMBER: u16 = 0x15b3;

/// The DMA function.
const FUNCTION: &str = "0x2100";

/// Adapters that can have one: ConnectX-7, 8 and 9.
const ADAPTERS: [u16; 3] = [0x1021, 0x1023, 0x1025];

/// The keyword of the UUID that all functions of an adapter share. What is recorded of such data is `V3=` and the UUID.
pub(in crate::source) const KEYWORD: &str = "V3=";

/// Returns whether a function is one for DMA.
pub(super) fn is_function(tree: &Tree, path: &str) -> bool {
    let is = |file: &str, value: &str| tree.text(&format!("{path}/{file}")).as_deref() == Some(value);
    is("vendor", VENDOR) && is("device", FUNCTION)
}

/// Moves adapters to their DMA functions, removes these, and returns notes.
pub(super) fn move_adapters(tree: &Tree, devices: &mut Vec<Device>) -> Vec<Note> {
    let (functions, others) =
        std::mem::take(devices).into_iter().partition::<Vec<_>, _>(|device| device.kind == Kind::DataDirect);
    *devices = others;
    if functions.is_empty() {
        return Vec::new();
    }
    let owners: Vec<Option<String>> = functions.iter().map(|function| owner(tree, function)).collect();
    let (mut moved, mut left) = (Vec::new(), Vec::new());
    for adapter in devices.iter_mut().filter(|device| is_adapter(device)) {
        let own = owner(tree, adapter);
        let same = |at: &usize| own.is_some() && owners[*at] == own;
        let mut found = (0..functions.len()).filter(same);
        match (found.next(), found.next()) {
            (Some(at), None) => {
                moved.push(adapter.address);
                adapter.stand_at(&functions[at]);
            }
            // Its own data says that it has none.
            (None, _) if own.is_some() && owners.iter().all(Option::is_some) => {}
            _ => left.push(adapter.address),
        }
    }
    let mut notes = Vec::new();
    if !moved.is_empty() {
        notes.push(Note::new(
            NoteCode::Inferred,
            format!(
                "adapters exchange data with GPUs through DMA functions of their own (ConnectX-8 Data Direct), and \
                 were placed where these are: {}",
                list(&moved)
            ),
        ));
    }
    if !left.is_empty() {
        notes.push(Note::new(
            NoteCode::Unknown,
            format!(
                "there are {} DMA functions through which adapters exchange data with GPUs (ConnectX-8 Data Direct), and \
                 which is whose is told to the superuser only; NICs can be nearer to GPUs than said here: {}",
                functions.len(),
                list(&left)
            ),
        ));
    }
    notes
}

fn is_adapter(device: &Device) -> bool {
    let numbers = (device.pci.vendor, device.pci.device);
    device.kind == Kind::Nic
        && ADAPTERS.iter().any(|adapter| numbers == (Some(VENDOR_NUMBER), Some(*adapter)))
}

fn list(addresses: &[PciAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the UUID of the adapter that a function is of.
fn owner(tree: &Tree, device: &Device) -> Option<String> {
    adapter_uuid(&tree.quiet_head(&format!("{}/{VITAL_DATA}", device.folder), MOST))
}

/// Returns the UUID of the adapter in vital product data, or in what was recorded of it.
pub(in crate::source) fn adapter_uuid(data: &[u8]) -> Option<String> {
    if let Some(recorded) = data.strip_prefix(KEYWORD.as_bytes()) {
        return uuid(recorded);
    }
    let mut rest = data;
    while let [tag, more @ ..] = rest {
        let (length, body) = match (tag & 0x80 != 0, more) {
            (true, [low, high, body @ ..]) => (usize::from(u16::from_le_bytes([*low, *high])), body),
            // The end of the data.
            (false, _) if *tag == END => return None,
            (false, body) => (usize::from(tag & 0x07), body),
            _ => return None,
        };
        let item = body.get(..length)?;
        if *tag == READ_ONLY {
            return keyword(item);
        }
        rest = &body[length..];
    }
    None
}

/// Tags of vital product data: its end, and its list of what can't be written. Source: PCI Local Bus Specification 3.0,
/// I.
const END: u8 = 0x78;
const READ_ONLY: u8 = 0x90;

fn keyword(mut list: &[u8]) -> Option<String> {
    while let [first, second, length, rest @ ..] = list {
        let value = rest.get(..usize::from(*length))?;
        if [*first, *second] == *b"V3" {
            return uuid(value);
        }
        list = &rest[value.len()..];
    }
    None
}

/// Reads a UUID, whose digits are the same in all functions of an adapter.
fn uuid(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_matches(['\0', ' ']);
    (text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_found_among_other_keywords() {
        let id = "0123456789ABCDEF0123456789abcdef";
        let list = format!("PN\u{3}MCXSN\u{4}MT12V3\u{20}{id}RV\u{1}x");
        let mut data = vec![0x82, 2, 0, b'C', b'X', 0x90];
        data.extend(u16::try_from(list.len()).unwrap().to_le_bytes());
        data.extend(list.bytes());
        data.push(0x78);
        assert_eq!(adapter_uuid(&data), Some(id.to_ascii_lowercase()));
        assert_eq!(adapter_uuid(format!("V3={id}").as_bytes()), Some(id.to_ascii_lowercase()));
        for length in 0..data.len() - 1 {
            // Cut anywhere, it is not there, or the whole.
            assert!(adapter_uuid(&data[..length]).is_none(), "{length}");
        }
        for odd in [&[][..], &[0x78], &[0x82], &[0x90, 4, 0, b'V', b'3', 9, b'a'], &[0, 0, 0], b"V3=x"] {
            assert_eq!(adapter_uuid(odd), None, "{odd:?}");
        }
    }
}
