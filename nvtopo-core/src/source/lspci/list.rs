//! Lines that begin a function: `17:00.0 3D controller [0302]: NVIDIA Corporation GA100 [10de:20b0] (rev a1)`, without numbers,
//! with numbers alone (`-n`), and quoted for programs (`-mm`).

use super::function::{Functions, address, id, split_id, split_ids};
use super::{Place, class};
use crate::error::Result;
use crate::ids::PciAddress;

/// A line that begins a function.
pub(super) struct Header<'a> {
    address: PciAddress,
    /// The IOMMU group that a usual loop of the shell puts before.
    group: Option<u32>,
    rest: Rest<'a>,
}

enum Rest<'a> {
    /// Class and device in words, with numbers or without.
    Words(&'a str, &'a str),
    /// Class, maker, device, and those of the board.
    Quoted(Vec<&'a str>),
}

/// Reads a line that begins a function.
pub(super) fn header(text: &str) -> Option<Header<'_>> {
    let (group, text) = match text.strip_prefix("IOMMU Group ").and_then(|rest| rest.split_once(' ')) {
        Some((group, rest)) => (Some(group.trim_end_matches(':').parse().ok()?), rest.trim_start()),
        None => (None, text),
    };
    let (place, rest) = text.split_once(' ')?;
    let address = address(place)?;
    let rest = rest.trim();
    if rest.starts_with('"') {
        let quoted: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        class::read(quoted.first()?)?;
        return (quoted.len() >= 3).then_some(Header { address, group, rest: Rest::Quoted(quoted) });
    }
    let (class, device) = rest.split_once(": ")?;
    // Other classes have names, too, and what else begins with an address has none of these shapes.
    let numbers = || {
        let (vendor, rest) = device.split_once(':').unwrap_or_default();
        id(vendor).is_some() && id(rest.get(..4).unwrap_or_default()).is_some()
    };
    let is_class = match split_id(class) {
        (_, Some(_)) => true,
        (name, None) => class::read(name).is_some() || is_class_name(name) || numbers(),
    };
    is_class.then_some(Header { address, group, rest: Rest::Words(class, device) })
}

/// Returns whether a text may be the name of a class: the tool's end so, but for a few.
fn is_class_name(text: &str) -> bool {
    let ends = ["controller", "bridge", "device", "peripheral", "accelerators", "Processor", "memory"];
    text.len() < 64 && ends.iter().any(|end| text.ends_with(end))
}

/// Takes the function that a line begins.
pub(super) fn take(header: Header<'_>, at: Place, functions: &mut Functions) -> Result<()> {
    let own = functions.at(header.address, at)?;
    own.listed = true;
    own.iommu_group = own.iommu_group.or(header.group);
    match header.rest {
        Rest::Quoted(fields) => {
            let field = |place: usize| split_id(fields.get(place).copied().unwrap_or_default());
            own.class = own.class.or_else(|| class::read(fields.first()?));
            let ((maker, vendor), (name, device)) = (field(1), field(2));
            own.vendor = own.vendor.or(vendor);
            own.device = own.device.or(device);
            own.subsystem = own.subsystem.or(field(3).1.zip(field(4).1));
            if !maker.is_empty() {
                own.name.get_or_insert_with(|| format!("{maker} {name}"));
            }
        }
        Rest::Words(class, device) => {
            own.class = own.class.or_else(|| class::read(class));
            let (name, revision) = match device.split_once(" (rev ") {
                Some((name, rest)) => (name, rest.split_once(')').map(|(revision, _)| revision)),
                None => (device.split_once(" (prog-if").map_or(device, |(name, _)| name), None),
            };
            // A function that is gone answers with ones.
            own.gone |= revision == Some("ff");
            let (name, ids) = match name.split_once(':') {
                Some((vendor, device)) if id(vendor).is_some() && id(device.trim_end()).is_some() => {
                    ("", id(vendor).zip(id(device.trim_end())))
                }
                _ => split_ids(name),
            };
            own.vendor = own.vendor.or(ids.map(|(vendor, _)| vendor));
            own.device = own.device.or(ids.map(|(_, device)| device));
            if !name.is_empty() {
                own.name.get_or_insert_with(|| name.to_owned());
            }
        }
    }
    functions.open = Some(header.address);
    Ok(())
}
