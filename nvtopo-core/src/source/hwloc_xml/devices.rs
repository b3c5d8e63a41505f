//! Nodes of PCI devices: host bridges, GPUs, NVSwitches, NICs, NVMe.

use super::super::pci_tree::Bridges;
use super::numa::{Near, Nodes};
use super::pci::{Device, Host, Io, OsDevice, OsKind};
use super::{GPU, nvlink};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, Gpu, HostBridge, MAX_DEVICES, Nic, NodeId, NodeKind, NoteCode, NoteKind, NvSwitch, Nvme,
    PortState, Stated,
};
use crate::source::pci_kind::Kind;
use crate::source::plain::{is_number, number};
use crate::units::several;
use std::collections::{BTreeMap, BTreeSet};

/// The device at the other end of NVLinks.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) id: NodeId,
    /// True for an NVSwitch.
    pub(super) is_switch: bool,
    /// The number of the model of a GPU, where it is known.
    pub(super) model: Option<u16>,
    /// The rate of one NVLink of a GPU in MB/s, where the file tells it.
    pub(super) each: Option<u64>,
}

/// The devices by the numbers that the file itself gives them and their names.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) by_gp: BTreeMap<u64, End>,
    pub(super) gpus: Vec<NodeId>,
}

/// Adds the devices.
pub(super) fn add(io: &Io<'_>, nodes: &Nodes, fragment: &mut Fragment) -> Result<Ends> {
    let (elsewhere, adapters) = off_bus(io);
    let devices = || io.hosts.iter().flat_map(|host| &host.devices);
    let in_pairs = devices().filter(|device| device.kind != Kind::Nvme);
    let count = in_pairs.count() + elsewhere.len() + adapters.len();
    if count > MAX_DEVICES {
        return Err(Error::input(format!(
            "{count} GPUs and NICs are more than the {MAX_DEVICES} that a topology holds"
        )));
    }
    if io.hosts.iter().any(|host| host.inferred && !host.made_up) {
        let text = "the bridges above some PCI devices are not shown; each bus was taken as a host bridge";
        fragment.note(NoteCode::BridgesInferred, text);
    }
    note_left_out(io, fragment);
    let numbers = numbers(io, &elsewhere);
    let resting = devices().any(|device| device.kind == Kind::Gpu && driver_name(&device.names).is_none());
    if resting && devices().any(|device| device.kind == Kind::Gpu && device.link.rate.is_some()) {
        let text = "the file was written without NVIDIA's driver: the PCIe rates of GPUs may be those of links at rest";
        fragment.note(NoteKind::Unknown, text);
    }
    let ends = Ends::default();
    let mut adder = Adder { fragment, nodes, numbers: &numbers, nic_names: BTreeSet::new(), ends };
    for host in &io.hosts {
        adder.host(io, host);
    }
    let mut taken: BTreeSet<u32> = numbers.values().copied().collect();
    for (device, near) in &elsewhere {
        let own = driver_number(device).filter(|own| !taken.contains(own));
        let after = || taken.last().map_or(Some(0), |last| last.checked_add(1));
        let free = || (0..=u32::MAX).find(|number| !taken.contains(number));
        let number = own.or_else(after).or_else(free).unwrap_or_default();
        adder.gpu_off_bus(device, near, number);
        taken.insert(number);
    }
    for (device, near) in adapters {
        adder.nic_off_bus(device, near);
    }
    Ok(adder.ends)
}

/// Notes the devices that are in the file and not in the topology.
fn note_left_out(io: &Io<'_>, fragment: &mut Fragment) {
    let few =
        |addresses: &[PciAddress]| several(&addresses.iter().map(PciAddress::to_string).collect::<Vec<_>>());
    for (maker, addresses) in &io.others {
        let text = format!(
            "GPUs or display adapters of {maker} were left out, as only NVIDIA's are read: {}",
            few(addresses)
        );
        fragment.note(NoteCode::DeviceLeftOut, text);
    }
    if !io.nameless.is_empty() {
        let text = format!(
            "network adapters that the system has no name for were left out (virtual functions, or no driver): {}",
            few(&io.nameless)
        );
        fragment.note(NoteCode::DeviceLeftOut, text);
    }
}

/// Finds GPUs and RDMA adapters that are on no PCI bus of the file.
#[expect(clippy::type_complexity, reason = "two lists of the same")]
fn off_bus<'i, 'a>(io: &'i Io<'a>) -> (Vec<(OsDevice<'a>, &'i Near)>, Vec<(OsDevice<'a>, &'i Near)>) {
    let all = || io.elsewhere.iter().map(|(device, near)| (*device, near));
    // The driver and CUDA name each GPU.
    let cuda = |device: &OsDevice<'_>| number_after(device.name, "cuda");
    let mut gpus: Vec<_> = all().filter(|(device, _)| driver_number(device).is_some()).collect();
    if gpus.is_empty() {
        gpus = all().filter(|(device, _)| cuda(device).is_some()).collect();
    }
    gpus.sort_by_key(|(device, _)| driver_number(device).or(cuda(device)));
    let adapters = all().filter(|(device, _)| device.kind == OsKind::OpenFabrics);
    (gpus, adapters.collect())
}

/// Returns the number in a name such as `nvml3`.
fn number_after(name: &str, prefix: &str) -> Option<u32> {
    number(name.strip_prefix(prefix)?)
}

/// Returns the number that the driver has for a GPU, by its name for it.
fn driver_number(name: &OsDevice<'_>) -> Option<u32> {
    let marked = name.element.info(GPU).and_then(|number| number.parse().ok());
    marked.or_else(|| number_after(name.name, "nvml"))
}

fn driver_name(names: &[OsDevice<'_>]) -> Option<u32> {
    names.iter().find_map(driver_number)
}

/// Numbers the GPUs: as the driver does if all have a number of it, else by address.
fn numbers(io: &Io<'_>, elsewhere: &[(OsDevice<'_>, &Near)]) -> BTreeMap<PciAddress, u32> {
    let devices = io.hosts.iter().flat_map(|host| &host.devices);
    let gpus: BTreeMap<PciAddress, Option<u32>> = devices
        .filter(|device| device.kind == Kind::Gpu)
        .map(|device| (device.address, driver_name(&device.names)))
        .collect();
    let others = elsewhere.iter().map(|(device, _)| number_after(device.name, "nvml"));
    let known: BTreeSet<u32> = gpus.values().copied().chain(others).flatten().collect();
    let numbered = known.len() == gpus.len() + elsewhere.len();
    let number = |(position, (address, number)): (u32, (PciAddress, Option<u32>))| {
        (address, number.filter(|_| numbered).unwrap_or(position))
    };
    (0..).zip(gpus).map(number).collect()
}

struct Adder<'a> {
    fragment: &'a mut Fragment,
    nodes: &'a Nodes,
    numbers: &'a BTreeMap<PciAddress, u32>,
    nic_names: BTreeSet<String>,
    ends: Ends,
}

impl Adder<'_> {
    /// Adds a host bridge and everything below.
    fn host(&mut self, io: &Io<'_>, host: &Host<'_>) {
        let parent = self.parent(&host.near);
        let address = (!host.made_up).then_some(host.address);
        let add = if host.inferred { Fragment::add_inferred } else { Fragment::add };
        // A device whose address is unknown tells nothing about the bridges above it.
        let is_direct = host.inferred && host.made_up;
        let id = if is_direct { parent } else { add(self.fragment, parent, HostBridge { address }) };
        let (mut bridges, mut chain) = (Bridges::default(), Vec::new());
        for device in &host.devices {
            io.chain(device, &mut chain);
            let facts = |place: usize| (chain[place].port, chain[place].link.clone());
            bridges.add(chain.iter().map(|bridge| bridge.address), device.address, facts);
        }
        for device in &host.devices {
            io.chain(device, &mut chain);
            // With the driver's help hwloc knows a GPU's highest rate; the port above shows the same link while it is
            // idle.
            let far = (device.kind == Kind::Gpu && device.link.rate.is_some()).then(|| device.link.clone());
            let above = chain.iter().map(|bridge| bridge.address);
            let (parent, link) = bridges.place(self.fragment, id, above, device.link.clone(), far);
            for kind in self.kinds(device, &host.near) {
                let node = self.fragment.add(parent, kind);
                if !is_direct || link.rate.is_some() {
                    self.fragment.link(node, parent, link.clone());
                }
                self.remember(device, node);
            }
        }
    }

    fn parent(&self, near: &Near) -> NodeId {
        near.node.map_or(NodeId::MACHINE, |node| self.nodes.ids[node])
    }

    fn remember(&mut self, device: &Device<'_>, id: NodeId) {
        if matches!(device.kind, Kind::Nic | Kind::Nvme) {
            return;
        }
        let gpu = device.kind == Kind::Gpu;
        let model = Some(device.model).filter(|model| gpu && *model != 0);
        let each = device.names.iter().find_map(rate_of_each);
        let end = End { id, is_switch: !gpu, model, each };
        let own = device.names.iter().filter_map(|name| name.element.gp());
        self.ends.by_gp.extend(device.gp.into_iter().chain(own).map(|gp| (gp, end)));
        self.ends.gpus.extend(gpu.then_some(id));
    }

    fn kinds(&mut self, device: &Device<'_>, near: &Near) -> Vec<NodeKind> {
        match device.kind {
            Kind::NvSwitch => {
                let (address, pci) = (Some(device.address), device.pci.clone());
                vec![NodeKind::NvSwitch(NvSwitch { address, pci })]
            }
            Kind::Gpu => {
                let index = self.numbers.get(&device.address).copied().unwrap_or_default();
                let (address, pci) = (Some(device.address), device.pci.clone());
                let gpu = Gpu { index, address, pci, ..gpu(&device.names, near) };
                let memory = self.nodes.all.iter().find(|node| node.gpu == gpu.address);
                let memory_node = memory.map_or(Stated::Unstated, |node| Stated::Known(node.os_index));
                vec![NodeKind::Gpu(Box::new(Gpu { memory_node, ..gpu }))]
            }
            Kind::Nic | Kind::DataDirect => self.nics(device, near),
            Kind::Nvme => nvme(device).map(|nvme| NodeKind::Nvme(Box::new(nvme))).into_iter().collect(),
        }
    }

    fn gpu_off_bus(&mut self, device: &OsDevice<'_>, near: &Near, index: u32) {
        let gpu = Gpu { index, ..gpu(std::slice::from_ref(device), near) };
        let id = self.fragment.add(self.parent(near), gpu);
        self.ends.gpus.push(id);
        let end = End { id, is_switch: false, model: None, each: rate_of_each(device) };
        self.ends.by_gp.extend(device.element.gp().map(|gp| (gp, end)));
    }

    fn nic_off_bus(&mut self, device: OsDevice<'_>, near: &Near) {
        if self.nic_names.insert(device.name.to_owned()) {
            let rdma_device = Some(device.name.to_owned());
            let (cpus, nodes) = affinity(near);
            let nic = Nic { name: device.name.to_owned(), rdma_device, cpus, nodes, ..Nic::default() };
            self.fragment.add(self.parent(near), nic);
        }
    }

    /// Returns one NIC for each RDMA device of the function, else one for the function.
    fn nics(&mut self, device: &Device<'_>, near: &Near) -> Vec<NodeKind> {
        let of = |kind| {
            let names = device.names.iter().filter(move |name| name.kind == kind);
            let names: BTreeSet<String> = names.map(|name| name.name.to_owned()).collect();
            names.into_iter().collect::<Vec<String>>()
        };
        let net_devices = of(OsKind::Network);
        let mut rdma: Vec<Option<String>> = of(OsKind::OpenFabrics).into_iter().map(Some).collect();
        if rdma.is_empty() {
            rdma.push(None);
        }
        let nic = |rdma_device: Option<String>| {
            let wanted = rdma_device.as_ref().or(net_devices.first()).cloned();
            // An interface can be given the name of an RDMA device; addresses are unique.
            let free = wanted.filter(|name| !self.nic_names.contains(name));
            let name = free.unwrap_or_else(|| device.address.to_string());
            self.nic_names.insert(name.clone());
            let (cpus, nodes) = affinity(near);
            let (address, pci) = (Some(device.address), device.pci.clone());
            let net_devices = net_devices.clone();
            let (port, state) = rdma_device.as_ref().map(|name| port(device, name)).unwrap_or_default();
            let nic = Nic { name, address, pci, rdma_device, port, net_devices, state, ..Nic::default() };
            let nic = Nic { cpus, nodes, ..nic };
            NodeKind::Nic(Box::new(nic))
        };
        rdma.into_iter().map(nic).collect()
    }
}

/// Returns the rate of one NVLink in MB/s, which nvtopo writes.
fn rate_of_each(name: &OsDevice<'_>) -> Option<u64> {
    name.element.info(nvlink::RATE_OF_EACH)?.parse().ok().filter(|rate| *rate > 0)
}

/// Returns a GPU, by its names. Its serial number is not kept.
fn gpu(names: &[OsDevice<'_>], near: &Near) -> Gpu {
    let info = |name: &str| names.iter().find_map(|device| device.element.info(name));
    let driver = names.iter().find(|device| driver_number(device).is_some());
    let model = driver.and_then(|device| device.element.info("GPUModel")).or_else(|| info("GPUModel"));
    let (cpus, nodes) = affinity(near);
    Gpu {
        model: model.map(str::to_owned),
        uuid: info("NVIDIAUUID").and_then(|uuid| uuid.parse().ok()),
        memory: info("CUDAGlobalMemorySize").and_then(memory),
        cpus,
        nodes,
        ..Gpu::default()
    }
}

/// Returns number and state of the first port of an RDMA device that carries data, else of the first. hwloc has
/// InfiniBand's numbers.
fn port(device: &Device<'_>, rdma: &str) -> (Option<u32>, Option<PortState>) {
    let named = |name: &&OsDevice<'_>| name.kind == OsKind::OpenFabrics && name.name == rdma;
    let Some(name) = device.names.iter().find(named) else { return (None, None) };
    let port = |number| match name.element.info(number)? {
        "1" => Some(PortState::Down),
        "2" => Some(PortState::Initialize),
        "3" => Some(PortState::Armed),
        "4" => Some(PortState::Active),
        _ => None,
    };
    let second = port("Port2State").filter(|state| *state == PortState::Active);
    match (second, port("Port1State")) {
        (Some(second), first) if first != Some(PortState::Active) => (Some(2), Some(second)),
        (_, first) => (first.map(|_| 1), first),
    }
}

/// Returns a disk, by the names of its name spaces: `nvme0n1` is the first of `nvme0`. Without one nothing can use it.
fn nvme(device: &Device<'_>) -> Option<Nvme> {
    let spaces = device.names.iter().filter_map(|space| {
        let (name, number) = space.name.rsplit_once('n')?;
        (is_number(number) && name.strip_prefix("nvme").is_some_and(is_number)).then_some((name, space))
    });
    let spaces: Vec<_> = spaces.collect();
    let (name, first) = spaces.first()?;
    let sizes = spaces.iter().map(|(_, space)| space.element.info("Size").and_then(memory));
    // Instead of its model udev can name what was made of a disk.
    let model = first.element.info("Model").filter(|model| !model.starts_with("LVM PV "));
    Some(Nvme {
        name: (*name).to_owned(),
        address: Some(device.address),
        pci: device.pci.clone(),
        model: model.map(str::to_owned),
        size: sizes.reduce(|all, own| all?.checked_add(own?)).flatten(),
    })
}

/// Returns the affinity of a device that no single NUMA node contains.
fn affinity(near: &Near) -> (Stated<CpuSet>, Stated<NodeSet>) {
    let cpus = near.cpus.clone().map_or(Stated::Unstated, Stated::Known);
    let nodes = Some(near.nodes.clone()).filter(|nodes| !nodes.is_empty());
    (cpus, nodes.map_or(Stated::Unstated, Stated::Known))
}

/// Returns the memory in bytes. hwloc writes it in KiB, since its third version with that unit beside it.
fn memory(text: &str) -> Option<u64> {
    let digits = text.strip_suffix("KiB").unwrap_or(text);
    digits.trim().parse::<u64>().ok().filter(|size| *size > 0)?.checked_mul(1024)
}
