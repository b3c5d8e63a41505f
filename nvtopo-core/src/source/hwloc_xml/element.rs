//! The attributes of an element, as numbers, sets and addresses, or as errors.

pub(super) use super::super::xml::Element;
use super::set::Bitmap;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Basis, Link, LinkKind, Rate, rates};
use crate::source::plain::is_number;
use crate::units::Bandwidth;

/// hwloc's word for a number that it does not know.
const UNKNOWN: u64 = u32::MAX as u64;

/// The fastest link that is believed, in GB/s: four times 32 lanes of PCIe 6.
const MAX_LINK: f64 = 1000.0;

impl<'a> Element<'a> {
    /// Returns the elements below with this name.
    pub(super) fn below(self, name: &'static str) -> impl Iterator<Item = Self> {
        self.children().filter(move |element| element.is(name))
    }

    /// Returns hwloc's type of an object; other elements have none.
    pub(super) fn kind(self) -> &'a str {
        self.attribute("type").unwrap_or_default()
    }

    /// Returns the value of an `info` below.
    pub(super) fn info(self, name: &str) -> Option<&'a str> {
        let info = self.below("info").find(|info| info.attribute("name") == Some(name))?;
        info.attribute("value").map(str::trim).filter(|value| !value.is_empty())
    }

    /// Returns whether nvtopo made up an attribute when it wrote the file.
    pub(super) fn is_made_up(self, attribute: &str) -> bool {
        self.info(super::MADE_UP).is_some_and(|all| all.split(' ').any(|own| own == attribute))
    }

    /// Returns a whole number.
    pub(super) fn number(self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.attribute(name) else { return Ok(None) };
        let number = is_number(text).then(|| text.parse().ok()).flatten();
        number.map(Some).ok_or_else(|| self.wrong(name, "a number"))
    }

    /// Returns the kernel's number of an object; none where hwloc does not know it.
    pub(super) fn os_index(self) -> Result<Option<u32>> {
        let known = self.number("os_index")?.filter(|number| *number != UNKNOWN);
        let fits =
            |number| u32::try_from(number).map_err(|_| self.wrong("os_index", "the number of a device"));
        known.map(fits).transpose()
    }

    /// Returns a set.
    pub(super) fn set(self, name: &str) -> Result<Option<Bitmap>> {
        let Some(text) = self.attribute(name) else { return Ok(None) };
        let set = Bitmap::parse(text);
        set.map(Some).ok_or_else(|| self.wrong(name, "a set such as 0x0000000f,0xffffffff"))
    }

    /// Returns the place on the PCI bus.
    pub(super) fn address(self) -> Result<PciAddress> {
        let text = self.attribute("pci_busid").ok_or_else(|| self.error("a PCI device without pci_busid"))?;
        text.parse().map_err(|_| self.wrong("pci_busid", "a PCI address such as 0000:1b:00.0"))
    }

    /// Returns the PCIe link of a device, or of the upper side of a bridge. hwloc writes its rate in GB/s, and 0 for
    /// unknown.
    pub(super) fn link(self) -> Result<Link> {
        let Some(text) = self.attribute("pci_link_speed") else { return Ok(rates::pcie_unknown()) };
        let rate: Option<f64> = text.parse().ok().filter(|rate| (0.0..=MAX_LINK).contains(rate));
        let rate = rate.ok_or_else(|| self.wrong("pci_link_speed", "a rate in GB/s"))?;
        let bandwidth = Bandwidth::from_gb_per_s(rate);
        let rate = (bandwidth > Bandwidth::ZERO).then_some(Rate { bandwidth, basis: Basis::Reported });
        Ok(Link { rate, ..Link::new(LinkKind::Pcie) })
    }

    /// Returns the number by which the file itself names an object.
    pub(super) fn gp(self) -> Option<u64> {
        let text = self.attribute("gp_index").or_else(|| self.attribute("id")?.strip_prefix("obj"));
        text?.parse().ok()
    }

    /// Returns an error about an attribute.
    pub(super) fn wrong(self, name: &str, expected: &str) -> Error {
        let value: String = self.attribute(name).unwrap_or_default().chars().take(40).collect();
        self.error_at(name, format!("{name} is '{value}', not {expected}"))
    }
}
