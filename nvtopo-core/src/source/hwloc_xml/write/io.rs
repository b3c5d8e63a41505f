//! The I/O objects: bridges, PCI devices and what the system names them.
//!
//! hwloc demands an address of each bridge and device. Where the topology knows none, one in a domain that no machine has is
//! made up and marked, so that reading takes it for unknown.

use crate::cpuset::CpuSet;
use crate::ids::PciAddress;
use crate::model::{
    Basis, Gpu, LinkKind, LinkLayer, Nic, NodeId, NodeKind, Nvme, PciFacts, PortState, Topology,
};
use crate::source::pci_kind::{AMD, NVIDIA, is_amd};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// The highest domain that hwloc takes. Made-up addresses start there, and go down.
const LAST_DOMAIN: u32 = 0xffff;

/// The lowest domain of made-up addresses: a topology has fewer devices than fill those from there on.
const FIRST_MADE_UP: u32 = 0xfe00;

/// The classes that follow from the kinds of devices: NVMe disks and NVSwitches have no other.
const IMPLIED: [u16; 2] = [0x0108, 0x0680];

/// Something at an object with CPUs.
pub(super) struct Root<'a> {
    /// The CPUs near it. `None`: unknown, or all.
    pub(super) place: Option<CpuSet>,
    pub(super) item: Item<'a>,
}

pub(super) enum Item<'a> {
    Bridge(Bridge<'a>),
    Device(Device<'a>),
    /// A device of the system that is on no PCI bus.
    Named(OsDevice<'a>),
}

/// A host bridge or a PCIe switch.
pub(super) struct Bridge<'a> {
    /// The upstream port; none of a host bridge.
    pub(super) port: Option<PciAddress>,
    /// The domain, the first and the last bus below.
    pub(super) buses: (u32, u8, u8),
    /// True where the address, or the buses of a host bridge, are made up.
    pub(super) made_up: bool,
    pub(super) rate: Option<Bandwidth>,
    pub(super) below: Vec<Item<'a>>,
}

/// A PCI device.
pub(super) struct Device<'a> {
    pub(super) node: NodeId,
    pub(super) address: PciAddress,
    pub(super) made_up: bool,
    /// Class and subclass.
    pub(super) class: u16,
    /// True where the class is assumed.
    pub(super) is_class_assumed: bool,
    pub(super) pci: PciFacts,
    pub(super) rate: Option<Bandwidth>,
    pub(super) subtype: Option<&'static str>,
    pub(super) names: Vec<OsDevice<'a>>,
    /// True for a network adapter.
    pub(super) is_nic: bool,
}

/// A device of the system.
pub(super) struct OsDevice<'a> {
    /// The node that stands for it in the matrix of NVLinks.
    pub(super) node: Option<NodeId>,
    pub(super) kind: OsKind,
    pub(super) name: String,
    pub(super) subtype: Option<&'static str>,
    pub(super) infos: Vec<(&'static str, std::borrow::Cow<'a, str>)>,
}

/// The kinds, with hwloc's numbers of its second version.
#[derive(Clone, Copy)]
pub(super) enum OsKind {
    Block = 0,
    Gpu = 1,
    Network = 2,
    OpenFabrics = 3,
    CoProcessor = 5,
}

/// The I/O objects of a topology.
pub(super) struct Io<'a> {
    pub(super) roots: Vec<Root<'a>>,
    pub(super) remarks: Vec<String>,
}

/// Collects the I/O objects.
pub(super) fn collect(topology: &Topology, is_guest: bool) -> Io<'_> {
    let mut below: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    let mut tops = Vec::new();
    // A guest sees the NVSwitches that it got, and the others only as the far ends of NVLinks.
    let is_hidden =
        |kind: &NodeKind| is_guest && matches!(kind, NodeKind::NvSwitch(switch) if switch.address.is_none());
    for (id, node) in topology.nodes().filter(|(_, node)| is_io(&node.kind) && !is_hidden(&node.kind)) {
        match node.parent.filter(|parent| is_io(&topology.node(*parent).kind)) {
            Some(parent) => below.entry(parent).or_default().push(id),
            None => tops.push(id),
        }
    }
    let mut collector = Collector { topology, below, made_up: 0, far_domains: 0, used: BTreeSet::new() };
    let mut roots = Vec::new();
    for id in tops {
        let place = collector.place(id);
        let items = collector.items(&[id], true);
        roots.extend(items.into_iter().map(|item| Root { place: place.clone(), item }));
    }
    let mut remarks = Vec::new();
    if collector.made_up > 0 {
        remarks.push(format!(
            "the PCI addresses of {} bridges and devices are unknown; made-up ones stand for them, marked as such",
            collector.made_up
        ));
    }
    if collector.far_domains > 0 {
        remarks.push(format!(
            "{} PCI addresses have domains beyond ffff, which usual builds of hwloc leave out",
            collector.far_domains
        ));
    }
    Io { roots, remarks }
}

fn is_io(kind: &NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::HostBridge(_)
            | NodeKind::PcieSwitch(_)
            | NodeKind::Gpu(_)
            | NodeKind::NvSwitch(_)
            | NodeKind::Nic(_)
            | NodeKind::Nvme(_)
    )
}

struct Collector<'a> {
    topology: &'a Topology,
    below: BTreeMap<NodeId, Vec<NodeId>>,
    /// The number of made-up addresses.
    made_up: u32,
    far_domains: usize,
    /// The addresses of devices so far.
    used: BTreeSet<PciAddress>,
}

impl<'a> Collector<'a> {
    fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.below.get(&id).cloned().unwrap_or_default()
    }

    /// Returns the CPUs near a device, or near all devices below a bridge, where these agree.
    fn place(&self, id: NodeId) -> Option<CpuSet> {
        let mut devices = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            open.extend(self.children(id));
            if self.topology.node(id).kind.near().is_some() {
                devices.push(id);
            }
        }
        let near = |id: &NodeId| self.topology.local_cpus(*id).known().cloned();
        let first = devices.first().and_then(near);
        let agreed = first.filter(|first| devices.iter().all(|id| near(id).as_ref() == Some(first)));
        let node = |id: NodeId| Some(self.topology.node(id).kind.as_numa_node()?.cpus.clone());
        let nodes = || {
            let mut cpus = CpuSet::new();
            let near = self.topology.local_nodes(*devices.first()?);
            let numbers = near.known()?;
            let all = self.topology.numa_nodes().filter(|node| numbers.contains(node.os_index));
            all.for_each(|node| cpus |= &node.cpus);
            Some(cpus)
        };
        let place = agreed.or_else(|| self.topology.ancestors(id).find_map(node)).or_else(nodes);
        place.filter(|cpus| !cpus.is_empty())
    }

    /// Returns the objects of some nodes with the same parent, and of all below them.
    fn items(&mut self, ids: &[NodeId], is_top: bool) -> Vec<Item<'a>> {
        let mut items: Vec<Item<'a>> = Vec::new();
        for id in ids {
            let rate = self.rate(*id);
            match &self.topology.node(*id).kind {
                NodeKind::HostBridge(host) => items.push(self.bridge(*id, host.address, true, None)),
                NodeKind::PcieSwitch(switch) => items.push(self.bridge(*id, switch.address, false, rate)),
                NodeKind::Gpu(gpu) if is_top && gpu.address.is_none() => {
                    items.extend(names_of_gpu(self.topology, *id, gpu).into_iter().map(Item::Named));
                }
                NodeKind::Nic(nic) if is_top && nic.address.is_none() => {
                    items.push(Item::Named(off_bus(nic)));
                }
                NodeKind::Gpu(gpu) => {
                    let names = names_of_gpu(self.topology, *id, gpu);
                    let (maker, class) = if is_amd(gpu) { (AMD, 0x0380) } else { (NVIDIA, 0x0302) };
                    let pci = PciFacts { vendor: gpu.pci.vendor.or(Some(maker)), ..gpu.pci.clone() };
                    let device = self.device(*id, gpu.address, class, &pci, rate);
                    items.push(Item::Device(Device { names, ..device }));
                }
                NodeKind::NvSwitch(switch) => {
                    let pci = PciFacts { vendor: switch.pci.vendor.or(Some(NVIDIA)), ..switch.pci.clone() };
                    let device = self.device(*id, switch.address, 0x0680, &pci, rate);
                    items.push(Item::Device(Device { subtype: Some("NVSwitch"), ..device }));
                }
                NodeKind::Nic(nic) => {
                    let same = items.iter_mut().find_map(|item| match item {
                        Item::Device(device) if Some(device.address) == nic.address => Some(device),
                        _ => None,
                    });
                    let names = names_of_nic(nic);
                    if let Some(device) = same {
                        let new = names
                            .into_iter()
                            .filter(|name| device.names.iter().all(|known| known.name != name.name));
                        let new: Vec<OsDevice<'a>> = new.collect();
                        device.names.extend(new);
                    } else {
                        let class =
                            if nic.link_layer == Some(LinkLayer::InfiniBand) { 0x0207 } else { 0x0200 };
                        let device = self.device(*id, nic.address, class, &nic.pci, rate);
                        items.push(Item::Device(Device { names, is_nic: true, ..device }));
                    }
                }
                NodeKind::Nvme(nvme) => {
                    let device = self.device(*id, nvme.address, 0x0108, &nvme.pci, rate);
                    items.push(Item::Device(Device { names: vec![name_of_nvme(nvme)], ..device }));
                }
                _ => {}
            }
            // Other functions of a device hang on it; hwloc puts them beside it.
            if !matches!(self.topology.node(*id).kind, NodeKind::HostBridge(_) | NodeKind::PcieSwitch(_)) {
                let others = self.items(&self.children(*id), is_top);
                items.extend(others);
            }
        }
        // hwloc drops bridges without a device, and has devices by address.
        items.retain(|item| !matches!(item, Item::Bridge(bridge) if bridge.below.is_empty()));
        items.sort_by_key(|item| match item {
            Item::Bridge(bridge) => Some((bridge.made_up, bridge.port?)),
            Item::Device(device) => Some((device.made_up, device.address)),
            Item::Named(_) => None,
        });
        items
    }

    fn bridge(
        &mut self,
        id: NodeId,
        address: Option<PciAddress>,
        is_host: bool,
        rate: Option<Bandwidth>,
    ) -> Item<'a> {
        let port = match address {
            None if is_host => None,
            None => Some(self.invent()),
            Some(address) => Some(self.known(address)),
        };
        self.made_up += u32::from(port.is_none());
        let below = self.items(&self.children(id), false);
        let buses = buses(port, &below, is_host);
        let port = port.filter(|_| !is_host);
        Item::Bridge(Bridge { port, buses, made_up: address.is_none(), rate, below })
    }

    fn device(
        &mut self,
        node: NodeId,
        address: Option<PciAddress>,
        class: u16,
        pci: &PciFacts,
        rate: Option<Bandwidth>,
    ) -> Device<'a> {
        // A NIC may be told in two places of the tree; the second has an address of its own.
        let address = address.filter(|address| self.used.insert(*address));
        let known = address.map(|address| self.known(address));
        Device {
            node,
            address: known.unwrap_or_else(|| self.invent()),
            made_up: address.is_none(),
            class: pci.class.map_or(class, |class| (class >> 8) as u16),
            is_class_assumed: pci.class.is_none() && !IMPLIED.contains(&class),
            pci: pci.clone(),
            rate,
            subtype: None,
            names: Vec::new(),
            is_nic: false,
        }
    }

    fn known(&mut self, address: PciAddress) -> PciAddress {
        self.far_domains += usize::from(address.domain > LAST_DOMAIN);
        address
    }

    /// Returns an address that no other device of the topology has: a bus of its own.
    fn invent(&mut self) -> PciAddress {
        let number = self.made_up;
        self.made_up += 1;
        PciAddress { domain: LAST_DOMAIN - number / 256, bus: (number % 256) as u8, device: 0, function: 0 }
    }

    /// Returns the rate of the link upwards, where it is not an assumption.
    fn rate(&self, id: NodeId) -> Option<Bandwidth> {
        let parent = self.topology.node(id).parent?;
        let mut links = self.topology.links_of(id);
        let (_, link) = links.find(|(far, link)| *far == parent && link.kind == LinkKind::Pcie)?;
        link.rate.filter(|rate| rate.basis != Basis::Assumed).map(|rate| rate.bandwidth)
    }
}

/// Returns the domain, the first and the last bus below a bridge: those of real addresses, where there is one.
fn buses(port: Option<PciAddress>, below: &[Item<'_>], is_host: bool) -> (u32, u8, u8) {
    let (mut real, mut made_up) = (Vec::new(), Vec::new());
    for item in below {
        match item {
            Item::Bridge(bridge) => {
                let (domain, first, last) = bridge.buses;
                let is_real = domain < FIRST_MADE_UP;
                let all = if is_real { &mut real } else { &mut made_up };
                all.extend([(domain, first), (domain, last)]);
                let all = if bridge.made_up { &mut made_up } else { &mut real };
                all.extend(bridge.port.map(|port| (port.domain, port.bus)));
            }
            Item::Device(device) => {
                let all = if device.made_up { &mut made_up } else { &mut real };
                all.push((device.address.domain, device.address.bus));
            }
            Item::Named(_) => {}
        }
    }
    let all = if real.is_empty() { made_up } else { real };
    // The port of a switch can be in another domain than its devices, where one of the two is made up.
    let own =
        port.map(|port| port.domain).filter(|own| is_host || all.iter().any(|(domain, _)| domain == own));
    let first = all.first().map(|(domain, _)| *domain);
    let domain = own.or(first).or(port.map(|port| port.domain)).unwrap_or(LAST_DOMAIN);
    let buses = || all.iter().filter(|(own, _)| *own == domain).map(|(_, bus)| *bus);
    let first = match port.filter(|port| port.domain == domain).map(|port| port.bus) {
        Some(bus) if is_host => bus,
        Some(bus) => buses().min().unwrap_or(bus.saturating_add(1)),
        None => buses().min().unwrap_or_default(),
    };
    (domain, first, buses().max().unwrap_or(first).max(first))
}

/// Returns the names that NVIDIA's driver and CUDA give a GPU, or AMD's driver.
fn names_of_gpu<'a>(topology: &Topology, id: NodeId, gpu: &'a Gpu) -> Vec<OsDevice<'a>> {
    let (driver, backend, vendor) =
        if is_amd(gpu) { ("rsmi", "RSMI", "AMD") } else { ("nvml", "NVML", "NVIDIA Corporation") };
    let mut infos = vec![("Backend", backend.into()), ("GPUVendor", vendor.into())];
    if is_amd(gpu) {
        infos.push((super::super::GPU, gpu.index.to_string().into()));
    }
    infos.extend(gpu.model.as_deref().map(|model| ("GPUModel", model.into())));
    infos.extend(gpu.uuid.map(|uuid| ("NVIDIAUUID", uuid.to_string().into())));
    if let Some(each) = super::super::nvlink::rate_of_each(topology, id, gpu) {
        infos.push((super::super::nvlink::RATE_OF_EACH, each.as_mb_per_s().to_string().into()));
    }
    let device = |kind, name: &str, subtype| OsDevice {
        node: None,
        kind,
        name: format!("{name}{}", gpu.index),
        subtype: Some(subtype),
        infos: Vec::new(),
    };
    let mut names = vec![OsDevice { node: Some(id), infos, ..device(OsKind::Gpu, driver, backend) }];
    if let Some(memory) = gpu.memory.filter(|_| !is_amd(gpu)) {
        let mut infos = vec![("Backend", "CUDA".into()), ("GPUVendor", "NVIDIA Corporation".into())];
        infos.extend(gpu.model.as_deref().map(|model| ("GPUModel", model.into())));
        infos.push(("CUDAGlobalMemorySize", (memory / 1024).to_string().into()));
        names.push(OsDevice { infos, ..device(OsKind::CoProcessor, "cuda", "CUDA") });
    }
    names
}

fn names_of_nic(nic: &Nic) -> Vec<OsDevice<'_>> {
    let mut names: Vec<OsDevice<'_>> = nic.net_devices.iter().map(|name| network(name)).collect();
    if let Some(name) = &nic.rdma_device {
        names.push(fabric(name, nic));
    } else if names.is_empty() && nic.address.is_none_or(|address| address.to_string() != nic.name) {
        names.push(network(&nic.name));
    }
    names
}

/// Returns a NIC of which no place on a bus is known.
fn off_bus(nic: &Nic) -> OsDevice<'_> {
    fabric(nic.rdma_device.as_deref().unwrap_or(&nic.name), nic)
}

fn network(name: &str) -> OsDevice<'_> {
    OsDevice { node: None, kind: OsKind::Network, name: name.to_owned(), subtype: None, infos: Vec::new() }
}

/// Returns an RDMA device with the state of its port, in InfiniBand's numbers.
fn fabric<'a>(name: &str, nic: &'a Nic) -> OsDevice<'a> {
    let port = match nic.port {
        Some(2) => "Port2State",
        _ => "Port1State",
    };
    let state = nic.state.map(|state| match state {
        PortState::Down => "1",
        PortState::Initialize => "2",
        PortState::Armed => "3",
        PortState::Active => "4",
    });
    let infos = state.map(|state| (port, state.into())).into_iter().collect();
    OsDevice { node: None, kind: OsKind::OpenFabrics, name: name.to_owned(), subtype: None, infos }
}

/// Returns a disk as its first name space.
fn name_of_nvme(nvme: &Nvme) -> OsDevice<'_> {
    let mut infos = Vec::new();
    infos.extend(nvme.size.map(|size| ("Size", (size / 1024).to_string().into())));
    infos.extend(nvme.model.as_deref().map(|model| ("Model", model.into())));
    let space = format!("{}n1", nvme.name);
    OsDevice { node: None, kind: OsKind::Block, name: space, subtype: Some("Disk"), infos }
}
