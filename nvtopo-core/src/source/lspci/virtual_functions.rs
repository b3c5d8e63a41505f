//! Virtual functions (SR-IOV): parts of a device that are no devices of this system, unless it is a guest that sees only them.

use super::super::pci_kind::Kind;
use super::function::{Function, Functions};
use crate::ids::PciAddress;
use std::collections::BTreeSet;

/// Returns the functions that are parts of others in the text.
pub(super) fn parts(functions: &Functions) -> BTreeSet<PciAddress> {
    let mut parts = BTreeSet::new();
    for (address, own) in &functions.all {
        // The device says where its parts are.
        if let (Some(counts), Some((offset, stride))) = (own.virtual_functions, own.first_virtual) {
            let first = u32::from(routing(*address)) + u32::from(offset);
            let places = (0..u32::from(counts.enabled)).map(|index| first + index * u32::from(stride));
            parts.extend(places.filter_map(|place| Some(at(address.domain, u16::try_from(place).ok()?))));
        }
    }
    let is_part = |address: &PciAddress, own: &Function| {
        let kind = own.kind(*address);
        let named = own.name.as_ref().is_some_and(|name| name.contains("Virtual Function"));
        match kind {
            Some(Kind::Nic) if named => whole(functions, *address, own),
            // The parts of a GPU have its name, and places behind it.
            Some(Kind::Gpu) => {
                let first = PciAddress { device: 0, function: 0, ..*address };
                let whole = functions.all.get(&first).filter(|_| first != *address);
                whole.is_some_and(|whole| {
                    whole.kind(first) == kind && whole.name == own.name && whole.device == own.device
                })
            }
            _ => false,
        }
    };
    parts.extend(
        functions.all.iter().filter(|(address, own)| is_part(address, own)).map(|(address, _)| *address),
    );
    parts
}

/// Returns whether the text has the device that a virtual function of an adapter is a part of: one of the same maker on its
/// bus or the one before.
fn whole(functions: &Functions, address: PciAddress, part: &Function) -> bool {
    let first = PciAddress { bus: address.bus.saturating_sub(1), device: 0, function: 0, ..address };
    let maker = |own: &Function| own.name.as_ref().and_then(|name| name.split(' ').next().map(str::to_owned));
    functions.all.range(first..address).any(|(other, own)| {
        let is_whole = own.name.as_ref().is_none_or(|name| !name.contains("Virtual Function"));
        is_whole && own.kind(*other) == Some(Kind::Nic) && maker(own) == maker(part)
    })
}

/// Returns the routing identifier of a function within its domain.
fn routing(address: PciAddress) -> u16 {
    u16::from(address.bus) << 8 | u16::from(address.device) << 3 | u16::from(address.function)
}

fn at(domain: u32, routing: u16) -> PciAddress {
    let [bus, rest] = routing.to_be_bytes();
    PciAddress { domain, bus, device: rest >> 3, function: rest & 7 }
}
