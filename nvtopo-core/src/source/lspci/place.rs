//! Nodes of host bridges, switches and devices, from the functions and the buses behind bridges.

use super::super::common;
use super::super::pci_kind::{FOR_GUESTS, Kind};
use super::super::pci_tree::{self, Bridges};
use super::function::{Function, Functions};
use super::virtual_functions;
use crate::cpuset::NodeSet;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, Gpu, HostBridge, Link, LinkKind, Nic, NodeId, NodeKind, Note, NoteCode, NoteKind, NumaNode,
    NvSwitch, Nvme, PciFacts, PcieTraining, Provenance, Stated,
};
use std::collections::{BTreeMap, BTreeSet};

/// The deepest nesting of bridges; machines with four levels of switches have nine.
const MAX_DEPTH: usize = 32;

/// A device of the graph.
struct Device {
    address: PciAddress,
    kind: Kind,
    /// The bridges above it, from the host bridge down.
    chain: Vec<PciAddress>,
    /// The bus of its host bridge.
    root: u8,
}

/// Builds the fragment.
pub(super) fn fragment(mut functions: Functions) -> Result<Fragment> {
    let mut fragment = Fragment::new(Provenance::SystemTool);
    fragment.set_nvlink_unknown();
    fragment.notes.append(&mut functions.notes);
    let above = bridges(&functions);
    let devices = devices(&functions, &above, &mut fragment);
    if devices.is_empty() && functions.is_nameless() {
        return Err(Error::input(super::NAMELESS)
            .at(1, 1)
            .help("give what lspci -tvnn prints, or lspci -nn beside it in one text"));
    }
    let gpus = devices.iter().filter(|device| device.kind == Kind::Gpu).map(|device| device.address);
    let numbers: BTreeMap<PciAddress, u32> = gpus.zip(0..).collect();
    let gpus = numbers.len();
    let unknown = Function::default();
    let (functions, nodes) = (&functions, BTreeMap::new());
    let mut adder = Adder { functions, unknown: &unknown, fragment: &mut fragment, nodes, numbers };
    if above.is_empty() {
        for device in &devices {
            adder.alone(device);
        }
        if devices.len() > 1 {
            let text = "the text does not tell which bridges lead to the devices (lspci -vvv or lspci -t do), so \
                        the paths between them are unknown";
            adder.fragment.note(NoteCode::PathsUnknown, text);
        }
    } else {
        let mut roots: BTreeMap<(u32, u8), Vec<&Device>> = BTreeMap::new();
        for device in &devices {
            roots.entry((device.address.domain, device.root)).or_default().push(device);
        }
        for ((domain, bus), devices) in roots {
            adder.root(PciAddress { domain, bus, device: 0, function: 0 }, &devices);
        }
    }
    let nodes: Vec<NodeId> = adder.nodes.values().copied().collect();
    common::link_numa_nodes(&mut fragment, &nodes, None);
    if !nodes.is_empty() {
        fragment.note(NoteCode::NumaCpusUnknown, "lspci does not tell the CPUs of NUMA nodes");
    }
    if gpus >= 2 {
        fragment.note(NoteCode::NvlinksUnknown, "lspci does not tell which GPUs NVLink connects");
    }
    note_redirects(&mut fragment);
    Ok(fragment)
}

/// Returns the bridge above each bus.
fn bridges(functions: &Functions) -> BTreeMap<(u32, u8), PciAddress> {
    let mut above = BTreeMap::new();
    for (address, own) in &functions.all {
        // A bus is behind one bridge; of several that claim it the first is believed.
        if let Some(bus) = own.secondary.filter(|bus| *bus != address.bus) {
            above.entry((address.domain, bus)).or_insert(*address);
        }
    }
    above
}

/// Returns the devices that become nodes, by address.
fn devices(
    functions: &Functions,
    above: &BTreeMap<(u32, u8), PciAddress>,
    fragment: &mut Fragment,
) -> Vec<Device> {
    let parts = virtual_functions::parts(functions);
    let found: Vec<(PciAddress, &Function, Kind)> = functions
        .all
        .iter()
        .filter(|(address, _)| !parts.contains(address))
        .filter_map(|(address, own)| Some((*address, own, own.kind(*address)?)))
        .collect();
    let has = |kind: Kind| found.iter().any(|(_, _, own)| *own == kind);
    // On boards whose NVSwitches are PCI devices nothing else manages them.
    let managed = has(Kind::Gpu) && !has(Kind::NvSwitch);
    let (mut devices, mut managers, mut concluded) = (Vec::new(), 0, false);
    for (address, own, kind) in found {
        let guests = own.driver.as_deref().filter(|driver| kind == Kind::Gpu && FOR_GUESTS.contains(driver));
        if let Some(driver) = guests {
            let text =
                format!("GPU {address} is set aside for virtual machines ({driver}), so it was left out");
            fragment.note(NoteCode::DeviceLeftOut, text);
            continue;
        }
        if managed && functions.managers.contains(&address) {
            managers += 1;
            continue;
        }
        concluded |= own.class.is_none();
        let (root, chain) = chain(address, above);
        devices.push(Device { address, kind, chain, root });
    }
    if managers > 0 {
        let text = format!(
            "{managers} of the ConnectX-7 functions manage NVSwitches (SMDL=SW_MNG in their vital product data) and carry \
             no data, so they were left out"
        );
        fragment.note(NoteCode::DeviceLeftOut, text);
    }
    if concluded {
        let text =
            "the drawing of lspci -t does not tell what devices are, so that was concluded from their names";
        fragment.note(NoteCode::Inferred, text);
    }
    devices
}

/// Returns the bus of the host bridge above a device, and the bridges from there down.
fn chain(address: PciAddress, above: &BTreeMap<(u32, u8), PciAddress>) -> (u8, Vec<PciAddress>) {
    let (mut chain, mut bus) = (Vec::new(), address.bus);
    while let Some(bridge) = above.get(&(address.domain, bus)).filter(|_| chain.len() < MAX_DEPTH) {
        chain.push(*bridge);
        bus = bridge.bus;
    }
    chain.reverse();
    (bus, chain)
}

struct Adder<'a> {
    functions: &'a Functions,
    /// A function that the text does not list.
    unknown: &'a Function,
    fragment: &'a mut Fragment,
    /// The NUMA nodes that were added.
    nodes: BTreeMap<u32, NodeId>,
    /// GPUs are numbered by address.
    numbers: BTreeMap<PciAddress, u32>,
}

impl<'a> Adder<'a> {
    fn function(&self, address: PciAddress) -> &'a Function {
        self.functions.all.get(&address).unwrap_or(self.unknown)
    }

    /// Returns the NUMA node of a device: that of the nearest bridge where its own is not told.
    fn numa(&self, device: &Device) -> Option<u32> {
        let own = |address: &PciAddress| self.functions.all.get(address)?.numa;
        own(&device.address).or_else(|| device.chain.iter().rev().find_map(own))
    }

    fn node(&mut self, os_index: u32) -> NodeId {
        let fragment = &mut *self.fragment;
        *self.nodes.entry(os_index).or_insert_with(|| fragment.add(NodeId::MACHINE, NumaNode::new(os_index)))
    }

    /// Adds a device of which the bridges above are unknown.
    fn alone(&mut self, device: &Device) {
        let nodes = self.numa(device).map(|node| std::iter::once(node).collect());
        let nodes = nodes.map_or(Stated::Unstated, Stated::Known);
        let kind = self.kind(device, None, nodes);
        self.fragment.add(NodeId::MACHINE, kind);
    }

    /// Adds a host bridge and everything below.
    fn root(&mut self, address: PciAddress, devices: &[&Device]) {
        let numa = self.vote(address, devices);
        let parent = numa.map_or(NodeId::MACHINE, |node| self.node(node));
        let host = self.fragment.add(parent, NodeKind::HostBridge(HostBridge { address: Some(address) }));
        let mut tree = Bridges::default();
        for device in devices {
            tree.add(device.chain.iter().copied(), device.address, |place| {
                let own = device.chain.get(place).map_or(self.unknown, |bridge| self.function(*bridge));
                (own.port, Link { redirects: own.redirects(), ..pci_tree::link(own.now, None) })
            });
        }
        for device in devices {
            let own = self.function(device.address);
            // GPUs slow their links down while they are idle.
            let rests = device.kind == Kind::Gpu;
            let port = device.chain.last().map(|port| self.function(*port));
            let far = port.filter(|_| rests).map(|port| pci_tree::link(port.now, Some(port.most)));
            let link = pci_tree::link(own.now, rests.then_some(own.most));
            let (parent, link) = tree.place(self.fragment, host, device.chain.iter().copied(), link, far);
            let port = port.map(|port| port.most).unwrap_or_default();
            let training = PcieTraining::new(own.now, own.most, port);
            let training = Some(training).filter(|training| *training != PcieTraining::default());
            let elsewhere = self.numa(device).filter(|node| Some(*node) != numa);
            let nodes =
                elsewhere.map_or(Stated::Unstated, |node| Stated::Known(std::iter::once(node).collect()));
            let kind = self.kind(device, training, nodes);
            let id = self.fragment.add(parent, kind);
            self.fragment.link(id, parent, link);
        }
    }

    /// Returns the NUMA node that most devices below a host bridge name.
    fn vote(&mut self, address: PciAddress, devices: &[&Device]) -> Option<u32> {
        let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
        for node in devices.iter().filter_map(|device| self.numa(device)) {
            *votes.entry(node).or_default() += 1;
        }
        if votes.len() > 1 {
            let numbers: NodeSet = votes.keys().copied().collect();
            let text =
                format!("devices below the host bridge of {address} name different NUMA nodes, {numbers}");
            self.fragment.note(NoteKind::Conflict, text);
        }
        votes.into_iter().max_by_key(|(node, count)| (*count, std::cmp::Reverse(*node))).map(|(node, _)| node)
    }

    fn kind(&self, device: &Device, link: Option<PcieTraining>, nodes: Stated<NodeSet>) -> NodeKind {
        let own = self.function(device.address);
        let address = Some(device.address);
        // The last two digits, which are 0 of all these but disks.
        let class = own.class.filter(|_| device.kind != Kind::Nvme).map(|class| u32::from(class) << 8);
        let pci = PciFacts {
            class,
            vendor: own.vendor,
            device: own.device,
            subsystem_vendor: own.subsystem.map(|(vendor, _)| vendor),
            subsystem_device: own.subsystem.map(|(_, board)| board),
            link,
            iommu_group: own.iommu_group,
            iommu_mode: None,
            virtual_functions: own.virtual_functions,
        };
        match device.kind {
            Kind::Gpu => {
                let mut gpu = Gpu::new(self.numbers.get(&device.address).copied().unwrap_or_default());
                (gpu.address, gpu.pci, gpu.nodes, gpu.model) = (address, pci, nodes, own.product());
                if own.gone {
                    gpu.unusable = Some("does not answer on the PCI bus".to_owned());
                }
                gpu.into()
            }
            Kind::NvSwitch => NvSwitch { address, pci }.into(),
            Kind::Nvme => {
                let mut disk = Nvme::new(device.address.to_string());
                (disk.address, disk.pci) = (address, pci);
                disk.into()
            }
            Kind::Nic | Kind::DataDirect => {
                let mut nic = Nic::new(device.address.to_string());
                (nic.address, nic.pci, nic.nodes) = (address, pci, nodes);
                nic.model = own.product().or_else(|| own.driver.clone());
                nic.into()
            }
        }
    }
}

/// Notes that ports below switches may redirect what devices write to each other: only root may read that of them.
fn note_redirects(fragment: &mut Fragment) {
    let switches: BTreeSet<NodeId> = (0..)
        .map(NodeId)
        .zip(&fragment.nodes)
        .filter(|(_, node)| matches!(node.kind, NodeKind::PcieSwitch(_)))
        .map(|(id, _)| id)
        .collect();
    let unknown = |(_, parent, link): &(NodeId, NodeId, Link)| {
        link.kind == LinkKind::Pcie && link.redirects.is_none() && switches.contains(parent)
    };
    if fragment.links.iter().any(unknown) {
        let text = "whether PCIe ports redirect what devices write to each other (ACS) is unknown: only root may read that \
                    of them";
        let note = Note::new(NoteCode::AcsUnknown, text);
        fragment.notes.push(note);
    }
}
