//! Classes of PCI functions: their names, and what the name of a device tells where a class is not shown.

use crate::ids::PciAddress;

/// The names of the classes that matter. Source: the database of PCI identifiers, `pci.ids`.
const NAMES: [(&str, u16); 27] = [
    ("Non-Volatile memory controller", 0x0108),
    ("Ethernet controller", 0x0200),
    ("Token ring network controller", 0x0201),
    ("FDDI network controller", 0x0202),
    ("ATM network controller", 0x0203),
    ("ISDN controller", 0x0204),
    ("Infiniband controller", 0x0207),
    ("InfiniBand controller", 0x0207),
    ("Fabric controller", 0x0208),
    ("Network controller", 0x0280),
    ("VGA compatible controller", 0x0300),
    ("3D controller", 0x0302),
    ("Display controller", 0x0380),
    ("Host bridge", 0x0600),
    ("ISA bridge", 0x0601),
    ("PCI bridge", 0x0604),
    ("Bridge", 0x0680),
    ("System peripheral", 0x0880),
    ("DMA controller", 0x0801),
    ("IOMMU", 0x0806),
    ("USB controller", 0x0c03),
    ("SMBus", 0x0c05),
    ("InfiniBand", 0x0c06),
    ("Audio device", 0x0403),
    ("SATA controller", 0x0106),
    ("RAID bus controller", 0x0104),
    ("Processing accelerators", 0x1200),
];

/// Returns the class of a name such as `3D controller`, `3D controller [0302]` or `Class 0302`.
pub(super) fn read(text: &str) -> Option<u16> {
    let (name, number) = super::function::split_id(text);
    let number = number.or_else(|| super::function::id(name.strip_prefix("Class ")?));
    number.or_else(|| NAMES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class))
}

/// Numbers of NVSwitches: of V100, A100, H100.
const NVSWITCHES: [u16; 4] = [0x1ac1, 0x1ac2, 0x1af1, 0x22a3];

/// Words in the names of NVIDIA's other functions.
const NO_GPU: [&str; 9] = ["Audio", "USB", "UCSI", "Serial", "SMBus", "Bridge", "bridge", "Memory", "Switch"];

/// Words in the names of network adapters, and in those of their other functions.
const NIC: [&str; 8] = [
    "Ethernet",
    "InfiniBand",
    "Infiniband",
    "ConnectX",
    "NetXtreme",
    "Elastic Fabric Adapter",
    "Elastic Network Adapter",
    "Omni-Path",
];
const NO_NIC: [&str; 4] = ["Bridge", "bridge", "DMA", "Management"];

/// Returns the class that the name of a device tells.
pub(super) fn by_name(name: &str, device: Option<u16>, address: PciAddress) -> Option<u16> {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if name.to_ascii_lowercase().starts_with("nvidia corporation") {
        let number = device.or_else(|| super::function::id(name.rsplit_once("Device ")?.1.get(..4)?));
        return match () {
            () if name.contains("NVSwitch") || number.is_some_and(|own| NVSWITCHES.contains(&own)) => {
                Some(0x0680)
            }
            () if has(&NO_GPU) || address.function > 0 => None,
            () => Some(0x0302),
        };
    }
    if has(&NIC) && !has(&NO_NIC) {
        return Some(0x0200);
    }
    has(&["NVMe", "Non-Volatile"]).then_some(0x0108)
}
