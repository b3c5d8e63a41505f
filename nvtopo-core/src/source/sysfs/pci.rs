//! The PCI devices of the graph: GPUs, NVSwitches, network adapters and solid state disks, and their places.
//!
//! Everything else on the bus costs one read of its class. Bridges are in [`super::bridges`].

pub(super) use super::super::pci_kind::Kind;
use super::super::pci_kind::{self, FOR_GUESTS};
use super::driver::DriverGpu;
use super::facts::{self, Facts};
use super::tree::{Names, Syntax, Tree};
use super::{connectx, net};
use crate::cpuset::CpuSet;
use crate::ids::PciAddress;
use crate::model::{Note, NoteCode, PciFacts, PcieSpeed};
use std::collections::{BTreeMap, BTreeSet};

const BUS: &str = "sys/bus/pci/devices";
/// [`pci_kind::NVIDIA`], as the kernel writes it.
const VENDOR_NVIDIA: &str = "0x10de";

/// The deepest nesting of bridges; machines with four levels of switches have nine.
const MAX_DEPTH: usize = 32;

const LOCAL: &[(&str, Syntax)] = &[("local_cpus", Syntax::Mask), ("local_cpulist", Syntax::List)];

/// The devices that the kernel's drivers have named, by which their kinds are known.
pub(super) struct Known<'a> {
    pub(super) names: &'a net::Names,
    pub(super) driver: &'a BTreeMap<PciAddress, DriverGpu>,
    pub(super) nvme: &'a BTreeMap<PciAddress, String>,
}

/// A device that matters.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) address: PciAddress,
    pub(super) folder: String,
    /// The folder of the function that stands where its data goes; `None`: its own.
    pub(super) data_folder: Option<String>,
    pub(super) kind: Kind,
    /// The bus of its host bridge; `None` if it is unknown.
    pub(super) root: Option<(u32, u8)>,
    /// The bridges above it, from the host bridge down, each with the length of its folder's path, which starts
    /// that of the device.
    pub(super) chain: Vec<(PciAddress, usize)>,
    /// The content of `numa_node`; `None` for -1 or nothing.
    pub(super) numa: Option<i64>,
    /// The CPUs nearest to it, read where `numa_node` is unknown.
    pub(super) cpus: Option<CpuSet>,
    /// True if its link slows down while it is idle.
    pub(super) rests: bool,
    /// Its link, as it runs and as it could run.
    pub(super) now: PcieSpeed,
    pub(super) most: PcieSpeed,
    /// Other facts of the bus.
    pub(super) pci: PciFacts,
}

impl Device {
    /// Returns the folder of the function that stands where its data goes. `chain` counts in it.
    pub(super) fn placed(&self) -> &str {
        self.data_folder.as_deref().unwrap_or(&self.folder)
    }

    /// Takes the place of another function.
    pub(super) fn stand_at(&mut self, other: &Self) {
        self.data_folder = Some(other.folder.clone());
        self.root = other.root;
        self.chain.clone_from(&other.chain);
        (self.now, self.most) = (other.now, other.most);
        if other.numa.is_some() {
            self.numa = other.numa;
        }
    }
}

/// An entry of the bus.
struct Entry {
    kind: Kind,
    /// The vendor, where it was read.
    vendor: Option<String>,
    /// The device that it is a virtual function of.
    physical: Option<PciAddress>,
    /// True if that device itself is not ours.
    instead: bool,
}

/// The place of a device in the tree of devices.
struct Place {
    folder: String,
    root: Option<(u32, u8)>,
    chain: Vec<(PciAddress, usize)>,
}

/// Returns the devices by address, and what is odd about them.
pub(super) fn read(tree: &Tree, known: &Known<'_>) -> (Vec<Device>, Vec<Note>) {
    let entries: BTreeMap<PciAddress, String> =
        tree.names(BUS).into_iter().filter_map(|name| Some((name.parse().ok()?, name))).collect();
    let mut walked = None;
    if entries.is_empty() {
        walked = Some(walk(tree));
    }
    let addresses: Vec<(PciAddress, String)> = match &walked {
        Some(places) => places.iter().map(|(address, place)| (*address, place.folder.clone())).collect(),
        None => entries.into_iter().map(|(address, name)| (address, format!("{BUS}/{name}"))).collect(),
    };
    let (mut devices, mut oddities, mut replaced) = (Vec::new(), Vec::new(), BTreeSet::new());
    let facts = Facts::new(tree);
    for (address, path) in addresses {
        let Some(entry) = entry(tree, &path, address, known) else { continue };
        let driver = if entry.kind == Kind::Gpu { driver_of(tree, &path) } else { None };
        if let Some(driver) = driver.filter(|driver| FOR_GUESTS.contains(&&**driver)) {
            let text =
                format!("GPU {address} is set aside for virtual machines ({driver}), so it was left out");
            oddities.push(Note::new(NoteCode::DeviceLeftOut, text));
            continue;
        }
        let place = tree.link(&path).and_then(|target| place_of_link(&target)).or_else(|| {
            // A recorded tree can hold copies instead of links; the tree of devices may still be there.
            walked.get_or_insert_with(|| walk(tree)).remove(&address)
        });
        let place = place.unwrap_or(Place { folder: path, root: None, chain: Vec::new() });
        replaced.extend(entry.physical.filter(|_| entry.instead));
        devices.push(device(tree, &facts, address, entry, place));
    }
    // Its virtual functions are here in its stead.
    devices.retain(|device| !replaced.contains(&device.address));
    oddities.extend(
        connectx::remove_switch_managers(tree, &mut devices)
            .map(|text| Note::new(NoteCode::DeviceLeftOut, text)),
    );
    oddities.extend(connectx::move_adapters(tree, &mut devices));
    (devices, oddities)
}

fn device(tree: &Tree, facts: &Facts<'_>, address: PciAddress, entry: Entry, place: Place) -> Device {
    let Place { folder, root, chain } = place;
    tree.prepare(&folder);
    let numa = tree.number(&format!("{folder}/numa_node")).filter(|node| *node >= 0);
    let cpus = if numa.is_none() { tree.named_set(&folder, &Names::new(LOCAL)) } else { None };
    let above = |physical| format!("{}{physical}", &folder[..folder.rfind('/').map_or(0, |slash| slash + 1)]);
    // A virtual function has no link of its own.
    let wire = entry.physical.map(above);
    let wire = wire.as_ref().unwrap_or(&folder);
    let (now, most) = (facts::current_speed(tree, wire), facts::highest_speed(tree, wire));
    let pci = facts.read(&folder, entry.vendor);
    let kind = entry.kind;
    Device {
        address,
        folder,
        data_folder: None,
        kind,
        root,
        chain,
        numa,
        cpus,
        rests: kind == Kind::Gpu,
        now,
        most,
        pci,
    }
}

/// Returns an entry, by its class: `0x030200`.
fn entry(tree: &Tree, path: &str, address: PciAddress, known: &Known<'_>) -> Option<Entry> {
    let class = tree.text(&format!("{path}/class"))?;
    let class = u32::from_str_radix(class.strip_prefix("0x")?, 16).ok()?;
    let mut vendor = None;
    let class = u16::try_from(class >> 8).ok()?;
    let by_nvidia = || {
        // The driver's list of GPUs is NVIDIA's.
        known.driver.contains_key(&address) || {
            vendor = tree.text(&format!("{path}/vendor"));
            vendor.as_deref() == Some(VENDOR_NVIDIA)
        }
    };
    let kind = match pci_kind::kind(class, by_nvidia) {
        Some(kind) => kind,
        None if class == 0x0801 && connectx::is_function(tree, path) => Kind::DataDirect,
        None if known.names.rdma.contains_key(&address) => Kind::Nic,
        None if known.nvme.contains_key(&address) => Kind::Nvme,
        None => return None,
    };
    let Some(physical) = tree.link(&format!("{path}/physfn")) else {
        return Some(Entry { kind, vendor, physical: None, instead: false });
    };
    // A virtual function is a part of the device that it links to, and stands for it where only the part is ours, as
    // in a container.
    let physical = physical.rsplit('/').next()?.parse().ok()?;
    let names = known.names;
    let instead = !names.has(physical);
    // The kernel shows RDMA devices to all containers, but interfaces only to the one that they belong to. It is
    // unknown which of the two RDMA devices may be used, so both stay.
    let is_handed_out = names.interfaces.contains_key(&address) && !names.interfaces.contains_key(&physical);
    let own = kind == Kind::Nic && names.has(address) && (instead || is_handed_out);
    own.then_some(Entry { kind, vendor, physical: Some(physical), instead })
}

/// Returns the driver that runs a device.
pub(super) fn driver_of(tree: &Tree, folder: &str) -> Option<String> {
    tree.link(&format!("{folder}/driver"))?.rsplit('/').next().map(str::to_owned)
}

/// Reads `../../../devices/pci0000:80/0000:80:02.2/0000:82:00.0`.
fn place_of_link(target: &str) -> Option<Place> {
    let (_, path) = target.split_once("devices/")?;
    let mut place = Place { folder: "sys/devices".to_owned(), root: None, chain: Vec::new() };
    for part in path.split('/') {
        place.folder = format!("{}/{part}", place.folder);
        if let Some(root) = root_bus(part) {
            // Below a host bridge in a device (VMD) addresses start anew.
            place.root = Some(root);
            place.chain.clear();
        } else if let (Some(_), Ok(address)) = (place.root, part.parse()) {
            place.chain.push((address, place.folder.len()));
        }
    }
    place.chain.pop()?;
    Some(place)
}

/// Reads `pci0000:80`.
fn root_bus(name: &str) -> Option<(u32, u8)> {
    let (domain, bus) = name.strip_prefix("pci")?.split_once(':')?;
    Some((u32::from_str_radix(domain, 16).ok()?, u8::from_str_radix(bus, 16).ok()?))
}

/// Returns the tree of devices, gone through from its roots. Links are not followed, so it ends.
fn walk(tree: &Tree) -> BTreeMap<PciAddress, Place> {
    let mut places = BTreeMap::new();
    let roots = tree.folders("sys/devices").into_iter().filter_map(|name| Some((root_bus(&name)?, name)));
    let mut open: Vec<Place> = roots
        .map(|(root, name)| Place {
            folder: format!("sys/devices/{name}"),
            root: Some(root),
            chain: Vec::new(),
        })
        .collect();
    while let Some(above) = open.pop() {
        for name in tree.folders(&above.folder) {
            let folder = format!("{}/{name}", above.folder);
            if let Some(root) = root_bus(&name) {
                open.push(Place { folder, root: Some(root), chain: Vec::new() });
            } else if let Some(address) = name.parse().ok().filter(|_| above.chain.len() < MAX_DEPTH) {
                let mut chain = above.chain.clone();
                chain.push((address, folder.len()));
                open.push(Place { folder: folder.clone(), root: above.root, chain });
                places.insert(address, Place { folder, root: above.root, chain: above.chain.clone() });
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_the_bridges() {
        let place = place_of_link("../../../devices/pci0000:80/0000:80:02.2/0000:82:00.0").unwrap();
        assert_eq!((place.root, place.chain.len()), (Some((0, 0x80)), 1));
        assert_eq!(place.folder, "sys/devices/pci0000:80/0000:80:02.2/0000:82:00.0");
        let vmd = "../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0";
        let place = place_of_link(vmd).unwrap();
        assert_eq!((place.root, place.chain.len()), (Some((0x10000, 0xe0)), 1));
        for odd in ["", "devices/", "../pci0000:00", "../../devices/platform/x"] {
            assert!(place_of_link(odd).is_none(), "{odd}");
        }
    }
}
