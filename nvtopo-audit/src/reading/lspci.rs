//! The saved output of `lspci -vvv`, function by function: what the topology's reader leaves out.

use crate::evidence::Evidence;
use nvtopo::PciAddress;
use nvtopo::model::Stated;
use std::collections::BTreeMap;

/// A PCI function as `lspci` lists it.
#[derive(Default)]
pub(crate) struct Listed {
    /// The class and the name: `3D controller: NVIDIA Corporation Device 2330 (rev a1)`.
    pub(crate) name: String,
    /// True where there are lines below it.
    pub(crate) has_details: bool,
    /// True where the contents of its capabilities are shown, which only root may read.
    pub(crate) has_capabilities: bool,
    /// The driver that runs it.
    pub(crate) driver: Option<String>,
    /// The NUMA node.
    pub(crate) node: Option<i64>,
    /// The bus behind a bridge.
    pub(crate) secondary: Option<u8>,
    /// The control register of access control services. Unreadable: listed without its bits.
    pub(crate) acs: Stated<u16>,
    /// The largest read request in bytes.
    pub(crate) max_read: Option<u32>,
    /// The sizes of memory regions in bytes, in order.
    pub(crate) regions: Vec<u64>,
    /// The number of the IOMMU group.
    pub(crate) iommu_group: Option<u32>,
}

/// Returns all functions that saved outputs list. Of a function that is listed twice, the listing with more of its
/// capabilities counts.
pub(crate) fn read(evidence: &Evidence<'_>) -> BTreeMap<PciAddress, Listed> {
    let mut all = BTreeMap::new();
    for saved in evidence.texts() {
        let mut open: Option<(PciAddress, Listed)> = None;
        for line in saved.text.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, listed)) = &mut open {
                    listed.feed(line.trim());
                }
            } else {
                close(&mut all, open.take());
                open = begin(line);
            }
        }
        close(&mut all, open);
    }
    all
}

fn begin(line: &str) -> Option<(PciAddress, Listed)> {
    let (address, name) = line.split_once(' ')?;
    let address = address.parse().ok().filter(|_| address.len() >= "00:00.0".len() && name.contains(": "))?;
    Some((address, Listed { name: name.to_owned(), ..Listed::default() }))
}

fn close(all: &mut BTreeMap<PciAddress, Listed>, open: Option<(PciAddress, Listed)>) {
    let Some((address, listed)) = open else { return };
    let worth = |listed: &Listed| (listed.has_capabilities, listed.has_details);
    if all.get(&address).is_none_or(|before| worth(before) < worth(&listed)) {
        all.insert(address, listed);
    }
}

/// The bits of the control register of access control services, as lspci names them.
const ACS_BITS: [&str; 7] =
    ["SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl", "DirectTrans"];

impl Listed {
    /// Returns whether every register reads as ones: the device does not answer.
    pub(crate) fn is_silent(&self) -> bool {
        self.name.ends_with("(rev ff)")
    }

    /// Returns whether it is a host bridge or a PCI bridge, of which every machine has some.
    pub(crate) fn is_bridge(&self) -> bool {
        ["Host bridge", "PCI bridge"].iter().any(|kind| self.name.starts_with(kind))
    }

    /// Returns whether it is a GPU of NVIDIA's.
    pub(crate) fn is_nvidia_gpu(&self) -> bool {
        let kinds = ["3D controller", "VGA compatible controller", "Display controller"];
        self.name.contains("NVIDIA") && kinds.iter().any(|kind| self.name.starts_with(kind))
    }

    /// Takes a line below the function.
    fn feed(&mut self, line: &str) {
        self.has_details = true;
        let after = |text: &'_ str, name: &str| {
            let (_, rest) = text.split_once(name)?;
            rest.split([' ', ',', ']']).next().map(str::to_owned)
        };
        if line.contains("Access Control Services") {
            self.acs = Stated::Unreadable;
        } else if let Some(bits) = line.strip_prefix("ACSCtl:") {
            let is_on =
                |name: &&str| bits.split_whitespace().any(|word| word.strip_suffix('+') == Some(name));
            let set = (0..).zip(ACS_BITS).filter(|(_, name)| is_on(name));
            self.acs = Stated::Known(set.map(|(bit, _)| 1 << bit).sum());
        } else if let Some(driver) = line.strip_prefix("Kernel driver in use:") {
            self.driver = Some(driver.trim().to_owned());
        } else if let Some(node) = line.strip_prefix("NUMA node:") {
            self.node = node.trim().parse().ok();
        } else if let Some(group) = line.strip_prefix("IOMMU group:") {
            self.iommu_group = group.trim().parse().ok();
        } else if line.starts_with("Bus: primary=") {
            self.secondary = after(line, "secondary=")
                .and_then(|bus| u8::from_str_radix(&bus, 16).ok())
                .filter(|bus| *bus > 0);
        } else if line.starts_with("LnkCap:") {
            self.has_capabilities = true;
        } else if line.contains("Memory at ") {
            self.regions.extend(after(line, "[size=").and_then(|size| bytes(&size)));
        }
        if let Some(size) = after(line, "MaxReadReq ") {
            self.max_read = size.parse().ok();
        }
    }
}

/// Reads `128G`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
