//! Nodes of PCI devices: host bridges and their NUMA nodes, GPUs, NVSwitches, NICs, NVMe.

use super::bridges::Bridges;
use super::driver::DriverGpu;
use super::nic::{self, Ends};
use super::numa::Nodes;
use super::nvme;
use super::pci::{Device, Kind, Known};
use super::tree::Tree;
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, Gpu, HostBridge, Nic, NodeId, NodeKind, NoteCode, NoteKind, NvSwitch, PciFacts, Stated,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The rest of the machine, among which devices are placed.
pub(super) struct Context<'a> {
    pub(super) tree: &'a Tree,
    pub(super) online: &'a CpuSet,
    pub(super) nodes: &'a Nodes,
    /// The node of the graph for each of `nodes`.
    pub(super) node_ids: &'a [NodeId],
    pub(super) known: &'a Known<'a>,
}

/// Adds the devices, below host bridges and switches, and returns the number of GPUs.
pub(super) fn add(context: &Context<'_>, devices: &[Device], fragment: &mut Fragment) -> usize {
    let known: BTreeSet<PciAddress> = devices.iter().map(|device| device.address).collect();
    let on_bus = devices.iter().filter(|device| device.kind == Kind::Gpu).map(|device| device.address);
    // A container may hide the bus, but not the driver's list of GPUs.
    let hidden = context.known.driver.keys().copied().filter(|_| known.is_empty());
    let gpus: BTreeSet<PciAddress> = on_bus.chain(hidden).collect();
    let numbers: BTreeMap<PciAddress, u32> = gpus.iter().copied().zip(0..).collect();

    let mut roots: BTreeMap<(u32, u8), Vec<&Device>> = BTreeMap::new();
    for device in devices {
        // Without the tree of bridges, hwloc takes each bus for a host bridge of its own, and so do we.
        let own = (device.address.domain, device.address.bus);
        roots.entry(device.root.unwrap_or(own)).or_default().push(device);
    }
    if devices.iter().any(|device| device.root.is_none()) {
        let text = "the bridges above some PCI devices are not shown; each bus was taken as a host bridge";
        fragment.note(NoteCode::BridgesInferred, text);
    }
    let unseen = Cell::new(false);
    let mut adder =
        Adder { context, fragment, numbers, nic_names: BTreeSet::new(), unseen, redirects_hidden: false };
    for ((domain, bus), devices) in roots {
        adder.root(PciAddress { domain, bus, device: 0, function: 0 }, &devices);
    }
    for (&address, &index) in adder.numbers.iter().filter(|(address, _)| !known.contains(*address)) {
        let gpu = gpu(context.known.driver, context.nodes, index, address);
        adder.fragment.add(NodeId::MACHINE, gpu);
    }
    adder.off_bus();
    if adder.redirects_hidden {
        let text = "whether PCIe ports redirect what devices write to each other (ACS) is unknown: only root may read that of them";
        fragment.note(NoteCode::AcsUnknown, text);
    }
    gpus.len()
}

struct Adder<'a> {
    context: &'a Context<'a>,
    fragment: &'a mut Fragment,
    /// GPUs are numbered by address.
    numbers: BTreeMap<PciAddress, u32>,
    nic_names: BTreeSet<String>,
    /// True if the configuration space of bridges is hidden from this user.
    unseen: Cell<bool>,
    /// True if that hides whether a GPU and a device that shares a port with it are redirected.
    redirects_hidden: bool,
}

impl Adder<'_> {
    /// Adds a host bridge and everything below.
    fn root(&mut self, address: PciAddress, devices: &[&Device]) {
        let near: Vec<Option<usize>> = devices.iter().map(|device| self.near(device)).collect();
        let node = self.vote(address, &near);
        let parent = node.map_or(NodeId::MACHINE, |node| self.context.node_ids[node]);
        let inferred = devices.iter().all(|device| device.root.is_none());
        let kind = NodeKind::HostBridge(HostBridge { address: Some(address) });
        let add = if inferred { Fragment::add_inferred } else { Fragment::add };
        let host = add(self.fragment, parent, kind);
        let mut bridges = Bridges::above(self.context.tree, devices.iter().copied(), &self.unseen);
        self.redirects_hidden |= bridges.hide_redirects(devices);
        for (device, near) in devices.iter().zip(near) {
            let (parent, link) = bridges.place(self.fragment, host, device);
            let affinity = self.affinity(device, near, node);
            let pci = PciFacts { link: bridges.training(device), ..device.pci.clone() };
            for kind in self.kinds(device, pci, &affinity) {
                let id = self.fragment.add(parent, kind);
                self.fragment.link(id, parent, link.clone());
            }
        }
    }

    /// Returns the NUMA node of a device: the one that it names, else the one with just its CPUs, else the only one.
    fn near(&self, device: &Device) -> Option<usize> {
        let nodes = self.context.nodes;
        let named = device.numa.and_then(|numa| nodes.position(numa));
        let local = || nodes.with_cpus(&device.cpus.as_ref()?.intersection(self.context.online));
        named.or_else(local).or_else(|| nodes.only_with_cpus())
    }

    /// Returns the NUMA node that most devices below a host bridge name.
    fn vote(&mut self, address: PciAddress, near: &[Option<usize>]) -> Option<usize> {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for node in near.iter().flatten() {
            *votes.entry(*node).or_default() += 1;
        }
        if votes.len() > 1 {
            let numbers = votes.keys().map(|node| self.context.nodes.all[*node].os_index);
            let numbers: NodeSet = numbers.collect();
            let text =
                format!("devices below the host bridge of {address} name different NUMA nodes, {numbers}");
            self.fragment.note(NoteKind::Conflict, text);
        }
        votes.into_iter().max_by_key(|(node, count)| (*count, std::cmp::Reverse(*node))).map(|(node, _)| node)
    }

    /// Returns the affinity that a device states itself, where it differs from that of its host bridge.
    fn affinity(&self, device: &Device, near: Option<usize>, host: Option<usize>) -> Affinity {
        match near {
            Some(_) if near == host => Affinity::default(),
            Some(node) => {
                let node = &self.context.nodes.all[node];
                let cpus =
                    if node.cpus.is_empty() { Stated::Unstated } else { Stated::Known(node.cpus.clone()) };
                Affinity { cpus, nodes: Stated::Known(std::iter::once(node.os_index).collect()) }
            }
            None => {
                let local = device.cpus.as_ref().map(|cpus| cpus.intersection(self.context.online));
                // All CPUs is what the kernel writes when it does not know.
                let stated = local.filter(|cpus| !cpus.is_empty() && cpus != self.context.online);
                Affinity { cpus: stated.map_or(Stated::Unstated, Stated::Known), ..Affinity::default() }
            }
        }
    }

    fn kinds(&mut self, device: &Device, pci: PciFacts, affinity: &Affinity) -> Vec<NodeKind> {
        let address = Some(device.address);
        let context = self.context;
        match device.kind {
            Kind::NvSwitch => vec![NodeKind::NvSwitch(NvSwitch { address, pci })],
            Kind::Gpu => {
                let index = self.numbers.get(&device.address).copied().unwrap_or_default();
                let Affinity { cpus, nodes } = affinity.clone();
                let gpu = gpu(context.known.driver, context.nodes, index, device.address);
                vec![NodeKind::Gpu(Box::new(Gpu { pci, cpus, nodes, ..gpu }))]
            }
            Kind::Nic => self.nics(device, &pci, affinity),
            // Its adapter takes its place.
            Kind::DataDirect => Vec::new(),
            Kind::Nvme => {
                let name = context.known.nvme.get(&device.address);
                let disk = nvme::read(context.tree, device, name, pci);
                disk.map(|nvme| NodeKind::Nvme(Box::new(nvme))).into_iter().collect()
            }
        }
    }

    /// Returns one NIC for each RDMA device of the function, else one for the function.
    fn nics(&mut self, device: &Device, pci: &PciFacts, affinity: &Affinity) -> Vec<NodeKind> {
        let names = self.context.known.names;
        let net_devices = names.interfaces.get(&device.address).cloned().unwrap_or_default();
        let rdma: Vec<Option<String>> = match names.rdma.get(&device.address) {
            Some(rdma) => rdma.iter().cloned().map(Some).collect(),
            None => vec![None],
        };
        let nic = |rdma_device: Option<String>| {
            let (rdma, folder) = (rdma_device.as_deref(), Some(&*device.folder));
            let facts = self.nic(Ends { rdma, interfaces: &net_devices, folder });
            let wanted = rdma_device.as_ref().or(net_devices.first()).cloned();
            // An interface can be given the name of an RDMA device; addresses are unique.
            let free = wanted.filter(|name| !self.nic_names.contains(name));
            let name = free.unwrap_or_else(|| device.address.to_string());
            self.nic_names.insert(name.clone());
            let Affinity { cpus, nodes } = affinity.clone();
            let (address, pci, net_devices) = (Some(device.address), pci.clone(), net_devices.clone());
            NodeKind::Nic(Box::new(Nic {
                name,
                address,
                pci,
                rdma_device,
                net_devices,
                cpus,
                nodes,
                ..facts
            }))
        };
        rdma.into_iter().map(nic).collect()
    }

    fn nic(&mut self, ends: Ends<'_>) -> Nic {
        let (nic, note) = nic::read(self.context.tree, self.context.known.names, ends);
        if let Some(text) = note {
            self.fragment.note(NoteKind::Inferred, text);
        }
        nic
    }

    /// Adds RDMA devices that a hypervisor's bus brings.
    fn off_bus(&mut self) {
        for rdma in &self.context.known.names.elsewhere {
            let tree = self.context.tree;
            let numa = tree.number(&format!("sys/class/infiniband/{rdma}/device/numa_node"));
            let nodes = self.context.nodes;
            let near = numa.and_then(|numa| nodes.position(numa)).or_else(|| nodes.only_with_cpus());
            let parent = near.map_or(NodeId::MACHINE, |node| self.context.node_ids[node]);
            if self.nic_names.insert(rdma.clone()) {
                let facts = self.nic(Ends { rdma: Some(rdma), interfaces: &[], folder: None });
                let nic = Nic { name: rdma.clone(), rdma_device: Some(rdma.clone()), ..facts };
                self.fragment.add(parent, nic);
            }
        }
    }
}

/// The CPUs and nodes that a device names for itself.
#[derive(Clone, Default)]
struct Affinity {
    cpus: Stated<CpuSet>,
    nodes: Stated<NodeSet>,
}

fn gpu(driver: &BTreeMap<PciAddress, DriverGpu>, nodes: &Nodes, index: u32, address: PciAddress) -> Gpu {
    let facts = driver.get(&address);
    let is_memory = |node: u32| nodes.all.iter().any(|own| own.os_index == node && own.gpu == Some(address));
    let memory_node = facts.and_then(|facts| facts.node).filter(|node| is_memory(*node));
    Gpu {
        index,
        model: facts.and_then(|facts| facts.model.clone()),
        uuid: facts.and_then(|facts| facts.uuid),
        address: Some(address),
        memory_node: memory_node.map_or(Stated::Unstated, Stated::Known),
        ..Gpu::default()
    }
}
