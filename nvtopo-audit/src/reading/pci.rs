//! Facts of PCI functions that no topology holds: from the files of the machine, else from a saved output of `lspci`.

use super::lspci::Listed;
use crate::evidence::Evidence;
use crate::pairing::MELLANOX;
use nvtopo::PciAddress;
use nvtopo::model::{Nic, NoteCode, Stated};
use std::collections::{BTreeMap, BTreeSet};

const BUS: &str = "sys/bus/pci/devices";

/// NVIDIA, as maker of chips, as the kernel writes it.
const NVIDIA: &str = "0x10de";

/// The virtual functions of `ConnectX-3` to the newest adapters, and of `BlueField`. Source: Linux, `mlx4_pci_table` and
/// `mlx5_core_pci_table`.
const VIRTUAL_FUNCTIONS: [u16; 10] =
    [0x1002, 0x1004, 0x1012, 0x1014, 0x1016, 0x1018, 0x101a, 0x101c, 0x101e, 0xa2d3];

/// The deepest nesting of bridges; machines with four levels of switches have nine.
const MAX_DEPTH: usize = 32;

/// The PCI Express capability, and the extended capability of access control services.
const EXPRESS: u8 = 0x10;
const ACS: u32 = 0x000d;

/// The most capabilities of one device; real ones have no more than twenty of a kind.
const MAX_CAPABILITIES: usize = 48;

/// The PCI bus of a machine.
pub(crate) struct Pci<'e> {
    evidence: &'e Evidence<'e>,
    listed: &'e BTreeMap<PciAddress, Listed>,
    /// The bridge above each bus, as lspci lists it.
    bridges: BTreeMap<(u32, u8), PciAddress>,
}

impl<'e> Pci<'e> {
    pub(crate) fn of(evidence: &'e Evidence<'_>) -> Self {
        let listed = evidence.lspci();
        let bridges = listed.iter().filter_map(|(bridge, own)| {
            let bus = own.secondary.filter(|bus| *bus != bridge.bus)?;
            Some(((bridge.domain, bus), *bridge))
        });
        Self { evidence, listed, bridges: bridges.collect() }
    }

    fn text(&self, address: PciAddress, file: &str) -> Stated<String> {
        self.evidence.text(&format!("{BUS}/{address}/{file}"))
    }

    /// Returns whether a hypervisor runs the machine, which then sees PCIe as that shows it. `None`: unknown.
    pub(crate) fn is_virtual(&self) -> Option<bool> {
        match &self.evidence.topology.machine().hypervisor {
            Stated::Known(_) => return Some(true),
            Stated::NotAvailable => return Some(false),
            Stated::Unstated | Stated::Unreadable => {}
        }
        // Devices that only hypervisors make. Virtio is no sign: clouds give it to real machines too.
        let made = ["QEMU", "VMware", "Hyper-V", "XenSource"];
        let is_made = |own: &Listed| made.iter().any(|maker| own.name.contains(maker));
        let is_guest =
            || self.listed.values().any(is_made) || self.evidence.smi().values().any(|own| own.is_guests);
        is_guest().then_some(true)
    }

    /// Returns whether an adapter is a virtual function. In a virtual machine only its name and its device tell.
    pub(crate) fn is_virtual_function(&self, nic: &Nic, address: PciAddress) -> bool {
        let is_named = |name: &str| name.contains("Virtual Function");
        self.evidence.link(&format!("{BUS}/{address}/physfn")).is_some()
            || nic.model.as_deref().is_some_and(is_named)
            || self.listed.get(&address).is_some_and(|own| is_named(&own.name))
            || (nic.pci.vendor == Some(MELLANOX)
                && nic.pci.device.is_some_and(|device| VIRTUAL_FUNCTIONS.contains(&device)))
    }

    /// Returns NVIDIA's GPUs, those too that are set aside for virtual machines.
    pub(crate) fn gpus(&self) -> BTreeSet<PciAddress> {
        let mut gpus: BTreeSet<PciAddress> =
            self.evidence.gpus().filter_map(|(_, _, gpu)| gpu.address).collect();
        let of_name = |name: &String| name.parse::<PciAddress>().ok();
        gpus.extend(self.evidence.names(BUS).iter().filter_map(of_name).filter(|own| {
            // The second digit pair is the subclass: VGA or 3D controller.
            let class = self.text(*own, "class");
            let is_display = |class: &String| class.starts_with("0x0300") || class.starts_with("0x0302");
            class.known().is_some_and(is_display)
                && self.text(*own, "vendor").known().is_some_and(|vendor| vendor == NVIDIA)
        }));
        let is_gpu = |own: &Listed| {
            let class = ["3D controller", "VGA compatible controller"];
            class.iter().any(|class| own.name.starts_with(class)) && own.name.contains("NVIDIA Corporation")
        };
        gpus.extend(self.listed.iter().filter(|(_, own)| is_gpu(own)).map(|(address, _)| *address));
        gpus
    }

    /// Returns the DMA functions of `ConnectX` Data Direct.
    pub(crate) fn data_direct(&self) -> Vec<PciAddress> {
        let is_listed = |own: &Listed| own.name.contains("Data Direct") || own.name.contains("[15b3:2100]");
        let listed = self.listed.iter().filter(|(_, own)| is_listed(own)).map(|(address, _)| *address);
        let mut found: Vec<PciAddress> = listed.collect();
        // Discovery notes that there are some, so that the classes of all functions need not be read again.
        let mut notes = self.evidence.topology.notes().iter();
        if notes.any(|note| {
            matches!(note.code(), NoteCode::Inferred | NoteCode::Unknown) && note.text.contains("Data Direct")
        }) {
            let is = |own: PciAddress, file: &str, value: &str| {
                self.text(own, file).known().is_some_and(|text| text == value)
            };
            let names = self.evidence.names(BUS).into_iter().filter_map(|name| name.parse().ok());
            found.extend(names.filter(|own| is(*own, "device", "0x2100") && is(*own, "vendor", "0x15b3")));
        }
        found
    }

    /// Returns the driver that runs a function. Not available: none does.
    pub(crate) fn driver(&self, address: PciAddress) -> Stated<String> {
        let name = |target: String| target.rsplit('/').next().map(str::to_owned);
        let link = |name: &str| self.evidence.link(&format!("{BUS}/{address}/{name}"));
        if let Some(driver) = link("driver").and_then(name) {
            return Stated::Known(driver);
        }
        // Every function has this link, so a copy without it has no links at all.
        if link("subsystem").is_some() {
            return Stated::NotAvailable;
        }
        match self.listed.get(&address) {
            Some(Listed { driver: Some(driver), .. }) => Stated::Known(driver.clone()),
            // The tool names drivers if those of any function can be read.
            Some(own) if own.has_details && self.listed.values().any(|own| own.driver.is_some()) => {
                Stated::NotAvailable
            }
            _ => Stated::Unstated,
        }
    }

    /// Returns the NUMA node that the kernel gives a function. Not available: none, which it writes as -1.
    pub(crate) fn node(&self, address: PciAddress) -> Stated<u32> {
        let number = |node: i64| u32::try_from(node).map_or(Stated::NotAvailable, Stated::Known);
        match self.text(address, "numa_node") {
            Stated::Known(text) => return text.parse().map_or(Stated::Unreadable, number),
            Stated::Unreadable => return Stated::Unreadable,
            Stated::NotAvailable | Stated::Unstated => {}
        }
        match self.listed.get(&address) {
            Some(Listed { node: Some(node), .. }) => number(*node),
            // The tool leaves the line out for -1, and everywhere if it does not read NUMA nodes.
            Some(own) if own.has_details && self.listed.values().any(|own| own.node.is_some()) => {
                Stated::NotAvailable
            }
            _ => Stated::Unstated,
        }
    }

    /// Returns the number of the IOMMU group.
    pub(crate) fn iommu_group(&self, address: PciAddress) -> Option<u32> {
        let target = self.evidence.link(&format!("{BUS}/{address}/iommu_group"));
        let own = target.and_then(|target| target.rsplit('/').next()?.parse().ok());
        own.or_else(|| self.listed.get(&address)?.iommu_group)
    }

    /// Returns the bridges above a function, the nearest first.
    pub(crate) fn above(&self, address: PciAddress) -> Vec<PciAddress> {
        if let Some(target) = self.evidence.link(&format!("{BUS}/{address}")) {
            let mut chain: Vec<PciAddress> = Vec::new();
            for part in target.split('/') {
                match part.parse() {
                    Ok(address) => chain.push(address),
                    // Below a host bridge in a device (VMD) addresses start anew.
                    Err(_) => chain.clear(),
                }
            }
            chain.pop();
            chain.reverse();
            return chain;
        }
        let (mut chain, mut bus) = (Vec::new(), address.bus);
        while let Some(bridge) = self.bridges.get(&(address.domain, bus)).filter(|_| chain.len() < MAX_DEPTH)
        {
            chain.push(*bridge);
            bus = bridge.bus;
        }
        chain
    }

    /// Returns the control register of access control services of a port. Not available: it has none.
    pub(crate) fn acs(&self, address: PciAddress) -> Stated<u16> {
        match self.find_acs(address) {
            Stated::Known(at) => match self.config(address, at.saturating_add(6), 2) {
                Stated::Known(bytes) => Stated::Known(number(&bytes)),
                _ => Stated::Unreadable,
            },
            Stated::Unstated => match self.listed.get(&address) {
                Some(own) if own.acs == Stated::Unstated && own.has_capabilities => Stated::NotAvailable,
                Some(own) if own.acs == Stated::Unstated => Stated::Unreadable,
                Some(own) => own.acs.clone(),
                None => Stated::Unstated,
            },
            other => other,
        }
    }

    /// Returns the largest read request that a function may make, in bytes.
    pub(crate) fn max_read(&self, address: PciAddress) -> Stated<u32> {
        let control = match self.find_express(address) {
            // Device control stands 8 bytes into the capability; its bits 14 to 12 are the exponent.
            Stated::Known(at) => self.config(address, at.saturating_add(8), 2),
            Stated::Unstated => {
                let listed = self.listed.get(&address);
                let hidden = if listed.is_some() { Stated::Unreadable } else { Stated::Unstated };
                return listed.and_then(|own| own.max_read).map_or(hidden, Stated::Known);
            }
            other => return other.map(u32::from),
        };
        match control {
            Stated::Known(bytes) => Stated::Known(128 << ((number(&bytes) >> 12) & 7)),
            _ => Stated::Unreadable,
        }
    }

    /// Returns the sizes of the memory regions of a function in bytes, in order.
    pub(crate) fn regions(&self, address: PciAddress) -> Option<Vec<u64>> {
        if let Stated::Known(text) = self.text(address, "resource") {
            return Some(text.lines().take(BARS).filter_map(region).collect());
        }
        self.listed.get(&address).map(|own| own.regions.clone()).filter(|regions| !regions.is_empty())
    }

    /// Returns bytes of the configuration space. Unstated: there is no such file. Unreadable: fewer are shown.
    fn config(&self, address: PciAddress, at: u16, length: usize) -> Stated<Vec<u8>> {
        match self.evidence.bytes(&format!("{BUS}/{address}/config"), at.into(), length) {
            Stated::Known(bytes) if bytes.len() == length => Stated::Known(bytes),
            Stated::Known(_) | Stated::Unreadable => Stated::Unreadable,
            Stated::NotAvailable | Stated::Unstated => Stated::Unstated,
        }
    }

    fn find_express(&self, address: PciAddress) -> Stated<u16> {
        let mut at = match self.config(address, 0x34, 1) {
            Stated::Known(bytes) => u16::from(bytes[0] & !3),
            other => return other.map(|_| 0),
        };
        for _ in 0..MAX_CAPABILITIES {
            if at < 0x40 {
                return Stated::NotAvailable;
            }
            match self.config(address, at, 2) {
                Stated::Known(bytes) if bytes[0] == EXPRESS => return Stated::Known(at),
                // A device that is gone answers with ones.
                Stated::Known(bytes) if bytes[0] != 0xff => at = u16::from(bytes[1] & !3),
                _ => return Stated::Unreadable,
            }
        }
        Stated::Unreadable
    }

    fn find_acs(&self, address: PciAddress) -> Stated<u16> {
        let mut at = 0x100;
        for _ in 0..MAX_CAPABILITIES {
            let header = match self.config(address, at, 4) {
                Stated::Known(bytes) => u32::from(number(&bytes)) | u32::from(number(&bytes[2..])) << 16,
                other => return other.map(|_| 0),
            };
            if header == u32::MAX {
                return Stated::Unreadable;
            }
            if header & 0xffff == ACS {
                return Stated::Known(at);
            }
            at = (header >> 20) as u16 & !3;
            if at < 0x100 {
                return Stated::NotAvailable;
            }
        }
        Stated::Unreadable
    }
}

/// The base address registers of a device, the first lines of its file of resources.
const BARS: usize = 6;

/// The flag of a memory region. Source: Linux, `IORESOURCE_MEM`.
const MEMORY: u64 = 0x200;

/// Reads `0x0000210000000000 0x000021ffffffffff 0x000000000014220c`.
fn region(line: &str) -> Option<u64> {
    let mut numbers =
        line.split_whitespace().map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let (start, end, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (flags & MEMORY != 0).then(|| end.checked_sub(start)?.checked_add(1)).flatten()
}

/// Reads a number of two bytes, the low one first.
fn number(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)])
}
