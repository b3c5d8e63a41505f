//! Lines below a function: `LnkSta: Speed 16GT/s (ok), Width x16 (ok)`, `NUMA node: 0`, and so on.

use super::super::pci_tree::Port;
use super::Place;
use super::function::{Functions, id, split_ids};
use crate::cpuset::MAX_INDEX;
use crate::error::Result;
use crate::model::{PcieSpeed, Stated, VirtualFunctions, rates};

/// The mark, in vital product data, of a function that manages NVSwitches.
const SWITCH_MANAGER: &str = "SMDL=SW_MNG";

/// Takes a line of the open function; others are skipped.
pub(super) fn feed(text: &str, at: Place, functions: &mut Functions) -> Result<()> {
    if let Some(open) = functions.open.filter(|_| text.contains(SWITCH_MANAGER)) {
        functions.managers.insert(open);
    }
    let Some(own) = functions.opened() else { return Ok(()) };
    let text = match text.strip_prefix("Capabilities: ") {
        // `[40] Express (v2) Endpoint`, `[148 v1] Access Control Services`, `<access denied>`.
        Some(rest) => rest.split_once("] ").map_or(rest, |(_, rest)| rest),
        None => text,
    };
    if let Some(rest) = text.strip_prefix("Express ") {
        let kind = rest.split_once(") ").filter(|_| rest.starts_with("(v")).map_or(rest, |(_, kind)| kind);
        own.port = Some(match () {
            () if kind.starts_with("Root Port") => Port::Root,
            () if kind.starts_with("Upstream Port") => Port::Upstream,
            () if kind.starts_with("Downstream Port") => Port::Downstream,
            () => Port::Other,
        });
        return Ok(());
    }
    if text.starts_with("Access Control Services") {
        own.acs = Stated::Unreadable;
        return Ok(());
    }
    let Some((name, value)) = text.split_once(':') else { return Ok(()) };
    let value = value.trim();
    let number = |what: &str| match value.split_whitespace().next().and_then(|word| word.parse::<u32>().ok())
    {
        Some(number) => Ok(number),
        None => Err(at.error(format!("'{value}' is no {what}"))),
    };
    match name {
        "NUMA node" => {
            let node = number("NUMA node")?;
            if node > MAX_INDEX {
                return Err(at.error(format!("'{value}' is no NUMA node up to {MAX_INDEX}")));
            }
            own.numa = Some(node);
        }
        "IOMMU group" => own.iommu_group = Some(number("IOMMU group")?),
        "Kernel driver in use" => own.driver = Some(value.to_owned()),
        "Subsystem" => {
            let (_, ids) = split_ids(value);
            let bare = || value.split_once(':').and_then(|(vendor, device)| id(vendor).zip(id(device)));
            own.subsystem = own.subsystem.or(ids).or_else(bare);
        }
        "Bus" => {
            if let Some(secondary) = after(value, "secondary=") {
                let bus = u8::from_str_radix(secondary, 16).ok().filter(|_| secondary.len() == 2);
                let Some(bus) = bus else {
                    return Err(at.error(format!("'{secondary}' is no number of a bus")));
                };
                // A bridge that leads nowhere yet has 0.
                own.secondary = Some(bus).filter(|bus| *bus > 0);
            }
        }
        "LnkCap" => {
            own.detailed = true;
            own.most = speed(value);
        }
        "LnkSta" => own.now = speed(value),
        "ACSCtl" => {
            let is_on = |bit: &str| value.split_whitespace().any(|word| word.strip_suffix('+') == Some(bit));
            own.acs = Stated::Known(["ReqRedir", "CmpltRedir", "UpstreamFwd"].into_iter().any(is_on));
        }
        "Initial VFs" => {
            let count = |name: &str| after(value, name)?.parse::<u16>().ok();
            let counts = count("Number of VFs: ").zip(count("Total VFs: "));
            own.virtual_functions = counts.map(|(enabled, total)| VirtualFunctions::new(enabled, total));
        }
        "VF offset" => {
            let offset = value.split(',').next().and_then(|word| word.parse().ok());
            own.first_virtual = offset.zip(after(value, "stride: ").and_then(|word| word.parse().ok()));
        }
        _ if text.starts_with("!!! Unknown header type 7f") => own.gone = true,
        _ => {}
    }
    Ok(())
}

/// Returns the word behind a name, up to a comma or space.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    rest.split([',', ' ']).next()
}

/// Reads `Speed 32GT/s (ok), Width x16 (ok)`; virtual machines show `unknown` and `x0`.
fn speed(text: &str) -> PcieSpeed {
    let speed = after(text, "Speed ").and_then(|speed| {
        let number: f64 = speed.strip_suffix("GT/s")?.parse().ok()?;
        rates::pcie_generation(&format!("{number:.1} GT/s PCIe"))
    });
    let width = after(text, "Width x").and_then(|width| width.parse().ok());
    PcieSpeed::new(speed, width.filter(|width| (1..=32).contains(width)))
}
