//! Virtual functions (SR-IOV): parts of a device that are no devices of this system, unless it is a guest that sees only them.

use super::super::pci_kind::Kind;
use super::function::{Function, Functions, MAX_FUNCTIONS};
use crate::ids::PciAddress;
use std::collections::BTreeSet;

/// The most virtual functions of a text that are looked for. Each takes an address of its own, as all others do that a text may
/// list; more are claimed only by functions that contradict each other.
const MOST_PLACES: usize = 2 * MAX_FUNCTIONS;

/// Returns the functions that are parts of others in the text.
pub(super) fn parts(functions: &Functions) -> BTreeSet<PciAddress> {
    let is_listed = |place: &PciAddress| functions.all.contains_key(place);
    let mut parts: BTreeSet<PciAddress> = claimed(functions).filter(is_listed).collect();
    let adapters = Adapters::new(functions);
    let is_part = |address: &PciAddress, own: &Function| {
        let kind = own.kind(*address);
        match kind {
            Some(Kind::Nic) if is_named_virtual(own) => adapters.has_whole(*address, own),
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

/// Returns the addresses at which devices say that their parts are.
fn claimed(functions: &Functions) -> impl Iterator<Item = PciAddress> {
    let of_one = |(address, own): (&PciAddress, &Function)| {
        let (counts, (offset, stride)) = own.virtual_functions.zip(own.first_virtual)?;
        let (domain, first) = (address.domain, u32::from(routing(*address)) + u32::from(offset));
        let places = (0..u32::from(counts.enabled)).map(move |index| first + index * u32::from(stride));
        Some(places.map_while(move |place| Some(at(domain, u16::try_from(place).ok()?))))
    };
    functions.all.iter().filter_map(of_one).flatten().take(MOST_PLACES)
}

fn is_named_virtual(own: &Function) -> bool {
    own.name.as_ref().is_some_and(|name| name.contains("Virtual Function"))
}

/// The network adapters that are no virtual functions, by maker and place.
struct Adapters<'a>(BTreeSet<(Option<&'a str>, PciAddress)>);

impl<'a> Adapters<'a> {
    fn new(functions: &'a Functions) -> Self {
        let whole = functions
            .all
            .iter()
            .filter(|(address, own)| !is_named_virtual(own) && own.kind(**address) == Some(Kind::Nic));
        Self(whole.map(|(address, own)| (maker(own), *address)).collect())
    }

    /// Returns whether the text has the device that a virtual function is a part of: one of the same maker on its bus or the
    /// one before.
    fn has_whole(&self, address: PciAddress, part: &Function) -> bool {
        let first = PciAddress { bus: address.bus.saturating_sub(1), device: 0, function: 0, ..address };
        let maker = maker(part);
        self.0.range((maker, first)..(maker, address)).next().is_some()
    }
}

/// Returns the first word of a function's name.
fn maker(own: &Function) -> Option<&str> {
    own.name.as_deref()?.split(' ').next()
}

/// Returns the routing identifier of a function within its domain.
fn routing(address: PciAddress) -> u16 {
    u16::from(address.bus) << 8 | u16::from(address.device) << 3 | u16::from(address.function)
}

fn at(domain: u32, routing: u16) -> PciAddress {
    let [bus, rest] = routing.to_be_bytes();
    PciAddress { domain, bus, device: rest >> 3, function: rest & 7 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VirtualFunctions;

    /// A text in which each function claims to have all addresses behind it for its parts.
    fn claiming(number: u16) -> Functions {
        let mut functions = Functions::default();
        for place in 0..number {
            let own = Function {
                class: Some(0x0200),
                virtual_functions: Some(VirtualFunctions::new(u16::MAX, u16::MAX)),
                first_virtual: Some((1, 1)),
                ..Function::default()
            };
            functions.all.insert(at(0, place), own);
        }
        functions
    }

    #[test]
    fn claims_that_contradict_each_other_take_no_longer_than_a_full_domain() {
        assert_eq!(claimed(&claiming(2000)).count(), MOST_PLACES);
        // All but the first are its parts.
        assert_eq!(parts(&claiming(2000)).len(), 1999);
        // A claim ends with the domain, whatever number it gives.
        assert_eq!(claimed(&claiming(1)).count(), usize::from(u16::MAX));
        let mut still = claiming(1);
        still.all.values_mut().for_each(|own| own.first_virtual = Some((u16::MAX, u16::MAX)));
        assert_eq!(claimed(&still).count(), 1);
    }
}
