//! A PCI function, as the lines of any form tell it.

use super::super::pci_kind::{self, Kind};
use super::super::pci_tree::Port;
use super::{Place, class};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Note, PcieSpeed, Stated, VirtualFunctions};
use std::collections::{BTreeMap, BTreeSet};

/// The most functions of one text; the largest servers have some thousands.
pub(super) const MAX_FUNCTIONS: usize = 1 << 16;

/// A PCI function.
#[derive(Clone, Debug, Default)]
pub(super) struct Function {
    /// Class and subclass.
    pub(super) class: Option<u16>,
    pub(super) vendor: Option<u16>,
    pub(super) device: Option<u16>,
    pub(super) subsystem: Option<(u16, u16)>,
    /// Maker and device in words, where the text has any.
    pub(super) name: Option<String>,
    pub(super) driver: Option<String>,
    pub(super) numa: Option<u32>,
    pub(super) iommu_group: Option<u32>,
    /// The kind of a bridge, where its capabilities are shown.
    pub(super) port: Option<Port>,
    /// The bus behind a bridge.
    pub(super) secondary: Option<u8>,
    pub(super) now: PcieSpeed,
    pub(super) most: PcieSpeed,
    /// True where capabilities are listed with their contents.
    pub(super) detailed: bool,
    /// True if access control services redirect; unreadable where they are listed without their settings.
    pub(super) acs: Stated<bool>,
    pub(super) virtual_functions: Option<VirtualFunctions>,
    /// The distance from this function to its first virtual one, and from each to the next.
    pub(super) first_virtual: Option<(u16, u16)>,
    /// True where the function does not answer.
    pub(super) gone: bool,
    /// True where the text lists it, and not only draws it.
    pub(super) listed: bool,
}

impl Function {
    /// Returns the kind of the device, by its class, else by its name: a drawing tells no classes.
    pub(super) fn kind(&self, address: PciAddress) -> Option<Kind> {
        let class = self.class.or_else(|| self.concluded(address));
        pci_kind::kind(class?, || self.is_by_nvidia())
    }

    /// Returns the class that the name of a function tells, where only a drawing shows it.
    pub(super) fn concluded(&self, address: PciAddress) -> Option<u16> {
        let drawn = self.class.is_none() && !self.listed;
        class::by_name(self.name.as_deref().filter(|_| drawn)?, self.device, address)
    }

    fn is_by_nvidia(&self) -> bool {
        let named = |name: &String| name.to_ascii_lowercase().starts_with("nvidia corporation");
        match self.vendor {
            Some(vendor) => vendor == pci_kind::NVIDIA,
            None => self.name.as_ref().is_some_and(named),
        }
    }

    /// Returns the product in square brackets: `A100 SXM4 80GB` of `NVIDIA Corporation GA100 [A100 SXM4 80GB]`. Chips that
    /// the tool does not know have a number only.
    pub(super) fn product(&self) -> Option<String> {
        let name = self.name.as_deref()?.trim_end();
        let (_, product) = name.strip_suffix(']')?.rsplit_once('[')?;
        (!product.is_empty()).then(|| product.to_owned())
    }

    /// Returns whether the port sends what comes from below to the root complex. A port without access control services
    /// does not, and an upstream port sends everything up anyway.
    pub(super) fn redirects(&self) -> Option<bool> {
        match self.port {
            Some(Port::Upstream | Port::Other) => Some(false),
            _ if self.acs == Stated::Unstated => self.detailed.then_some(false),
            _ => self.acs.known().copied(),
        }
    }
}

/// All functions of a text.
#[derive(Default)]
pub(super) struct Functions {
    pub(super) all: BTreeMap<PciAddress, Function>,
    /// The function that the lines which follow are of.
    pub(super) open: Option<PciAddress>,
    /// The functions of which vital product data says that they manage NVSwitches.
    pub(super) managers: BTreeSet<PciAddress>,
    pub(super) notes: Vec<Note>,
}

impl Functions {
    /// Returns a function, which is added where it is new.
    pub(super) fn at(&mut self, address: PciAddress, at: Place) -> Result<&mut Function> {
        if self.all.len() >= MAX_FUNCTIONS && !self.all.contains_key(&address) {
            return Err(at.error(format!("it lists more than {MAX_FUNCTIONS} PCI functions")));
        }
        Ok(self.all.entry(address).or_default())
    }

    /// Returns whether there is nothing but a drawing without names.
    pub(super) fn is_nameless(&self) -> bool {
        self.all.values().all(|own| !own.listed && own.name.is_none() && own.class.is_none())
    }

    /// Returns the function that the line is of.
    pub(super) fn opened(&mut self) -> Option<&mut Function> {
        self.all.get_mut(&self.open?)
    }
}

/// Reads an address as the tool writes it: `17:00.0`, with a domain of four digits or more before.
pub(super) fn address(word: &str) -> Option<PciAddress> {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (domain, place) = word.split_at_checked(word.len().checked_sub("00:00.0".len())?)?;
    let (bus, rest) = place.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let is_place = [bus, device, function].into_iter().all(hex) && (bus.len(), device.len()) == (2, 2);
    let is_domain = domain.is_empty()
        || domain.strip_suffix(':').is_some_and(|digits| (4..=8).contains(&digits.len()) && hex(digits));
    (is_place && is_domain).then(|| word.parse().ok()).flatten()
}

/// Reads a number of four hexadecimal digits.
pub(super) fn id(word: &str) -> Option<u16> {
    (word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| u16::from_str_radix(word, 16).ok())
        .flatten()
}

/// Takes the numbers off the end of a text: `GA100 [A100 SXM4 80GB] [10de:20b2]`.
pub(super) fn split_ids(text: &str) -> (&str, Option<(u16, u16)>) {
    let text = text.trim_end();
    let numbers = text.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match numbers.and_then(|(name, ids)| Some((name, ids.split_once(':')?))) {
        Some((name, (vendor, device))) if id(vendor).is_some() && id(device).is_some() => {
            (name.trim_end(), id(vendor).zip(id(device)))
        }
        _ => (text, None),
    }
}

/// Takes one number off the end of a text: `NVIDIA Corporation [10de]`. A bare number is one, too (`-n`).
pub(super) fn split_id(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    if let Some(id) = id(text) {
        return ("", Some(id));
    }
    let number = text.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match number.and_then(|(name, number)| Some((name, id(number)?))) {
        Some((name, id)) => (name.trim_end(), Some(id)),
        None => (text, None),
    }
}
