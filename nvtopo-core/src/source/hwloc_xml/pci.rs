//! The PCI devices of the graph: NVIDIA GPUs, NVSwitches, network adapters and solid state disks, with the bridges
//! above them and the names that the system gives them.
//!
//! GPUs of other makers are left out, as placement is for NVIDIA's only, and so are adapters without a name in the
//! system; a note names both.

use super::super::pci_tree::Port;
use super::element::Element;
use super::numa::{Near, Nodes};
use super::objects::{Objects, Version};
use super::{GPU, MADE_UP_ADDRESS, MADE_UP_BUSES, MADE_UP_CLASS, NIC, PORT, UPSTREAM};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Link, MAX_DEVICES, PciFacts};
use crate::source::pci_kind::{self, AMD, Kind, NVIDIA};
use std::collections::{BTreeMap, BTreeSet};

/// A device that matters.
pub(super) struct Device<'a> {
    pub(super) kind: Kind,
    pub(super) address: PciAddress,
    /// The number of its model, as its maker gave it.
    pub(super) model: u16,
    pub(super) pci: PciFacts,
    pub(super) link: Link,
    /// The bridge directly above it, by its position in [`Io::bridges`].
    pub(super) bridge: Option<usize>,
    pub(super) names: Vec<OsDevice<'a>>,
    pub(super) gp: Option<u64>,
    /// True for a network adapter that nvtopo wrote, with or without a name.
    is_nic: bool,
}

/// A bridge below a host bridge.
pub(super) struct Bridge {
    pub(super) address: PciAddress,
    pub(super) link: Link,
    /// Its kind, where the file tells it.
    pub(super) port: Option<Port>,
    /// The bridge directly above it.
    above: Option<usize>,
}

/// A name that the system has for a device.
#[derive(Clone, Copy)]
pub(super) struct OsDevice<'a> {
    pub(super) element: Element<'a>,
    pub(super) name: &'a str,
    pub(super) kind: OsKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OsKind {
    Network,
    OpenFabrics,
    Other,
}

/// A host bridge with the devices below.
pub(super) struct Host<'a> {
    pub(super) address: PciAddress,
    /// True if hwloc left out the bridges, and the bus stands in.
    pub(super) inferred: bool,
    /// True if nvtopo made its buses up, or, of one that was inferred, the address of its device.
    pub(super) made_up: bool,
    pub(super) near: Near,
    pub(super) devices: Vec<Device<'a>>,
}

/// The I/O of a machine.
#[derive(Default)]
pub(super) struct Io<'a> {
    /// By address.
    pub(super) hosts: Vec<Host<'a>>,
    pub(super) bridges: Vec<Bridge>,
    /// Devices that the system names and that are on no PCI bus, each with its locality.
    pub(super) elsewhere: Vec<(OsDevice<'a>, Near)>,
    /// The GPUs of other makers, by maker.
    pub(super) others: BTreeMap<&'static str, Vec<PciAddress>>,
    /// The network adapters that the system has no name for.
    pub(super) nameless: Vec<PciAddress>,
    /// The addresses of bridges and devices that nvtopo made up when it wrote the file.
    pub(super) made_up: BTreeSet<PciAddress>,
}

impl Io<'_> {
    /// Fills the list with the bridges above a device, from the host bridge down.
    pub(super) fn chain<'i>(&'i self, device: &Device<'_>, chain: &mut Vec<&'i Bridge>) {
        chain.clear();
        let mut above = device.bridge;
        while let Some(bridge) = above.map(|above| &self.bridges[above]) {
            chain.push(bridge);
            above = bridge.above;
        }
        chain.reverse();
    }
}

/// Reads what hangs below the objects.
pub(super) fn read<'a>(objects: &Objects<'a>, nodes: &Nodes, version: Version) -> Result<Io<'a>> {
    let mut io = Io::default();
    let mut reader = Reader {
        version,
        bridges: Vec::new(),
        seen: BTreeSet::new(),
        named: false,
        count: 0,
        others: BTreeMap::new(),
        made_up: BTreeSet::new(),
    };
    for (holder, roots) in &objects.io {
        let near = nodes.near(objects, *holder)?;
        let mut loose = BTreeMap::new();
        for &root in roots {
            match root.kind() {
                "OSDev" => io.elsewhere.extend(reader.os_device(root)?.map(|device| (device, near.clone()))),
                "Bridge" if is_host(root) => {
                    let address = root_bus(root)?;
                    let mut devices = Vec::new();
                    reader.below(root, None, &mut devices)?;
                    let made_up = root.is_made_up(MADE_UP_BUSES);
                    io.hosts.push(Host { address, inferred: false, made_up, near: near.clone(), devices });
                }
                _ => {
                    let mut devices = Vec::new();
                    reader.one(root, None, &mut devices)?;
                    let own = root.address()?;
                    let bus = PciAddress { device: 0, function: 0, ..own };
                    loose.entry(bus).or_insert_with(Vec::new).append(&mut devices);
                }
            }
        }
        for (address, devices) in loose {
            let made_up = devices.iter().all(|device: &Device<'_>| reader.made_up.contains(&device.address));
            io.hosts.push(Host { address, inferred: true, made_up, near: near.clone(), devices });
        }
    }
    for host in &mut io.hosts {
        // A file that names no device at all leaves only the class to find network adapters.
        host.devices.retain(|device| {
            let has_no_name = device.kind == Kind::Nic && device.names.is_empty();
            let nameless = has_no_name && reader.named && !device.is_nic;
            if nameless {
                io.nameless.push(device.address);
            }
            !nameless
        });
        host.devices.sort_by_key(|device| device.address);
    }
    io.bridges = reader.bridges;
    io.others = reader.others;
    io.made_up = reader.made_up;
    io.hosts.retain(|host| !host.devices.is_empty());
    io.hosts.sort_by_key(|host| host.address);
    Ok(io)
}

struct Reader {
    version: Version,
    bridges: Vec<Bridge>,
    /// The devices so far.
    seen: BTreeSet<PciAddress>,
    /// True if any device has a name.
    named: bool,
    count: usize,
    /// GPUs of other makers.
    others: BTreeMap<&'static str, Vec<PciAddress>>,
    /// Addresses that nvtopo made up.
    made_up: BTreeSet<PciAddress>,
}

impl Reader {
    fn below<'a>(
        &mut self,
        bridge: Element<'a>,
        above: Option<usize>,
        devices: &mut Vec<Device<'a>>,
    ) -> Result<()> {
        for object in bridge.below("object") {
            self.one(object, above, devices)?;
        }
        Ok(())
    }

    fn one<'a>(
        &mut self,
        object: Element<'a>,
        above: Option<usize>,
        devices: &mut Vec<Device<'a>>,
    ) -> Result<()> {
        match object.kind() {
            "Bridge" => {
                let address = object.address()?;
                let port = object.info(PORT).filter(|port| *port == UPSTREAM).map(|_| Port::Upstream);
                if object.is_made_up(MADE_UP_ADDRESS) {
                    self.made_up.insert(address);
                }
                self.bridges.push(Bridge { address, link: object.link()?, port, above });
                self.below(object, Some(self.bridges.len() - 1), devices)?;
            }
            "PCIDev" => devices.extend(self.device(object, above)?),
            _ => {}
        }
        Ok(())
    }

    fn device<'a>(&mut self, object: Element<'a>, bridge: Option<usize>) -> Result<Option<Device<'a>>> {
        let mut names = Vec::new();
        for name in object.below("object").filter(|below| below.kind() == "OSDev") {
            names.extend(self.os_device(name)?);
        }
        let Numbers { class, vendor, model, subsystem } = numbers(object)?;
        let fabric = names.iter().any(|name| name.kind == OsKind::OpenFabrics);
        let is_marked = names.iter().any(|name| name.element.info(GPU).is_some());
        let is_nic = object.info(NIC).is_some();
        let kind = match pci_kind::kind(class, || vendor == NVIDIA) {
            _ if object.attribute("subtype") == Some("NVSwitch") => Kind::NvSwitch,
            _ if is_marked => Kind::Gpu,
            _ if is_nic => Kind::Nic,
            Some(kind) => kind,
            None if fabric => Kind::Nic,
            None => {
                if let Some(maker) = maker_of_gpu(class, vendor) {
                    let address = object.address()?;
                    let known = self.others.entry(maker).or_default();
                    if known.len() < MAX_DEVICES {
                        known.push(address);
                    }
                }
                return Ok(None);
            }
        };
        if kind == Kind::Nic {
            names.retain(|name| name.kind != OsKind::Other);
        }
        let address = object.address()?;
        if !self.seen.insert(address) {
            return Err(object.error(format!("PCI device {address} occurs twice")));
        }
        self.count += 1;
        // Virtual functions without a name are many, and dropped later.
        if self.count > MAX_DEVICES * 16 {
            return Err(object.error("more PCI devices than any machine has"));
        }
        if object.is_made_up(MADE_UP_ADDRESS) {
            self.made_up.insert(address);
        }
        let (link, gp) = (object.link()?, object.gp());
        // No maker and no chip has the number 0.
        let is_known = |number: &u16| *number != 0;
        let subsystem = subsystem.filter(|board| *board != (0, 0));
        // hwloc leaves out the last two digits, which are 0 of all these but disks.
        let has_class = kind != Kind::Nvme && !object.is_made_up(MADE_UP_CLASS);
        let pci = PciFacts {
            class: has_class.then(|| u32::from(class) << 8),
            vendor: Some(vendor).filter(is_known),
            device: Some(model).filter(is_known),
            subsystem_vendor: subsystem.map(|(vendor, _)| vendor),
            subsystem_device: subsystem.map(|(_, device)| device),
            ..PciFacts::default()
        };
        Ok(Some(Device { kind, address, model, pci, link, bridge, names, gp, is_nic }))
    }

    fn os_device<'a>(&mut self, element: Element<'a>) -> Result<Option<OsDevice<'a>>> {
        let Some(name) = element.attribute("name").filter(|name| !name.is_empty()) else { return Ok(None) };
        let kind = self.os_kind(element)?;
        self.named = true;
        Ok(Some(OsDevice { element, name, kind }))
    }

    /// Returns the kind of a device of the system. The first two versions number the kinds; since the third each is a
    /// bit, as a device can be of several.
    fn os_kind(&self, element: Element<'_>) -> Result<OsKind> {
        let number = element.number("osdev_type")?.unwrap_or_default();
        let bits = self.version >= Version(3);
        Ok(match number {
            _ if bits && number & 32 != 0 => OsKind::OpenFabrics,
            _ if bits && number & 16 != 0 => OsKind::Network,
            3 if !bits => OsKind::OpenFabrics,
            2 if !bits => OsKind::Network,
            _ => OsKind::Other,
        })
    }
}

/// Returns the maker of a GPU that is not NVIDIA's, by its class and vendor. Servers have other display adapters, which
/// are no GPUs.
fn maker_of_gpu(class: u16, vendor: u16) -> Option<&'static str> {
    match (class, vendor) {
        (0x0300 | 0x0302 | 0x0380 | 0x1200, AMD) => Some("AMD"),
        (0x0300 | 0x0302 | 0x0380, 0x8086) => Some("Intel"),
        _ => None,
    }
}

/// Returns whether a bridge is a host bridge: hwloc writes `0-1` for one from the CPUs to PCI.
fn is_host(bridge: Element<'_>) -> bool {
    bridge.attribute("bridge_type").is_some_and(|kind| kind.starts_with("0-"))
}

/// Returns the bus of a host bridge, from `0000:[2b-3b]`.
fn root_bus(bridge: Element<'_>) -> Result<PciAddress> {
    let parse = |text: &str| {
        let (domain, buses) = text.split_once(":[")?;
        let bus = buses.split(['-', ']']).next()?;
        format!("{domain}:{bus}:00.0").parse().ok()
    };
    let address = bridge.attribute("bridge_pci").and_then(parse);
    address.ok_or_else(|| bridge.wrong("bridge_pci", "a range of buses such as 0000:[00-1f]"))
}

/// The numbers that identify a device.
struct Numbers {
    class: u16,
    vendor: u16,
    model: u16,
    /// Vendor and device of the board.
    subsystem: Option<(u16, u16)>,
}

/// Returns the numbers in `0302 [10de:1db8] [10de:131d] a1`.
fn numbers(device: Element<'_>) -> Result<Numbers> {
    let hex = |text: &str| u16::from_str_radix(text, 16).ok();
    let pair = |text: &str| {
        let (vendor, rest) = text.split_once(':')?;
        Some((hex(vendor)?, hex(rest.split_once(']')?.0)?))
    };
    let parse = |text: &str| {
        let mut parts = text.split('[');
        let class = hex(parts.next()?.strip_suffix(' ')?)?;
        let (vendor, model) = pair(parts.next()?)?;
        Some(Numbers { class, vendor, model, subsystem: parts.next().and_then(pair) })
    };
    let numbers = device.attribute("pci_type").and_then(parse);
    numbers.ok_or_else(|| device.wrong("pci_type", "a class and ids such as 0302 [10de:1db8]"))
}
