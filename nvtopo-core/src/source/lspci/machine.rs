//! The form for programs that has a line for each fact: `lspci -vmm`.

use super::function::{Functions, address, split_id};
use super::{Place, class};
use crate::cpuset::MAX_INDEX;
use crate::error::Result;

/// Returns whether a line begins a function.
pub(super) fn is_sign(text: &str) -> bool {
    begins(text).is_some()
}

/// Reads `Slot: 17:00.0`. An older form of the tool calls it `Device`, as it calls the name of the device.
fn begins(text: &str) -> Option<crate::ids::PciAddress> {
    let value = text.strip_prefix("Slot:").or_else(|| text.strip_prefix("Device:"))?;
    address(value.trim())
}

/// The block that is read.
#[derive(Default)]
pub(super) struct Machine {
    open: bool,
}

impl Machine {
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Takes a line; false where it is none of a block.
    pub(super) fn feed(&mut self, text: &str, at: Place, functions: &mut Functions) -> Result<bool> {
        if let Some(address) = begins(text) {
            functions.at(address, at)?.listed = true;
            functions.open = Some(address);
            self.open = true;
            return Ok(true);
        }
        if text.is_empty() {
            self.open = false;
        }
        if !self.open {
            return Ok(false);
        }
        let (Some(own), Some((name, value))) = (functions.opened(), text.split_once(':')) else {
            return Ok(false);
        };
        let value = value.trim();
        let number = |what: &str| match value.parse::<u32>() {
            Ok(number) if number <= MAX_INDEX => Ok(number),
            _ => Err(at.error(format!("'{value}' is no {what}"))),
        };
        let (text, id) = split_id(value);
        match name {
            "Class" => own.class = own.class.or_else(|| class::read(value)),
            "Vendor" => {
                own.vendor = own.vendor.or(id);
                if !text.is_empty() {
                    own.name.get_or_insert_with(|| text.to_owned());
                }
            }
            "Device" => {
                own.device = own.device.or(id);
                if let Some(name) = own.name.as_mut().filter(|_| !text.is_empty()) {
                    name.push(' ');
                    name.push_str(text);
                }
            }
            "SVendor" => own.subsystem = id.map(|vendor| (vendor, own.subsystem.map_or(0, |own| own.1))),
            "SDevice" => own.subsystem = own.subsystem.zip(id).map(|(own, device)| (own.0, device)),
            "Rev" => own.gone |= value == "ff",
            "NUMANode" => own.numa = Some(number("NUMA node")?),
            "IOMMUGroup" => own.iommu_group = Some(number("IOMMU group")?),
            "Driver" => own.driver = Some(value.to_owned()),
            _ => {}
        }
        Ok(true)
    }
}
