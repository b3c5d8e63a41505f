//! A topology as the file that NCCL takes for its own (`NCCL_TOPO_FILE`).
//!
//! NCCL finds devices by their PCI addresses and the names of adapters. It asks the machine for what a file leaves out, and
//! believes what a file states. So what the topology does not know is left out where NCCL can ask, and assumed with a note
//! where its parser demands it. What came from such a file goes back as it was.
//!
//! Source: `ncclTopoAddCpu`, `ncclTopoAddPci`, `ncclTopoAddGpu` and `ncclTopoAddNet` in NCCL's `src/graph/topo.cc`, and
//! `src/graph/xml.cc`.

use super::super::losses;
use super::super::make;
use super::super::pci_kind::is_amd;
use super::super::writers::{WriteOptions, Written};
use super::element::{MAX_VALUE, Xml};
use super::links;
use super::nvlink::{NVLINKS, UNKNOWN};
use super::read::LANES;
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::ids::{ComputeCapability, PciAddress};
use crate::model::{
    Basis, CpuMake, Gpu, Link, LinkKind, Nic, NodeId, NodeKind, Note, NoteCode, NumaNode, PathType, PciFacts,
    Provenance, Stated, Topology, rates,
};
use std::collections::{BTreeMap, BTreeSet};

/// The spellings of the kernel, by PCIe generation from 1.
const SPEEDS: [&str; 6] = ["2.5", "5.0", "8.0", "16.0", "32.0", "64.0"];

/// The most elements that NCCL reads. Source: `NCCL_TOPO_XML_MAX_NODES` in `src/graph/topo.h`.
const MAX_ELEMENTS: usize = 256;

/// Attributes in the order in which NCCL writes them; others follow.
const GPU_ORDER: [&str; 6] = ["dev", "sm", "gcn", "arch", "rank", "gdr"];
const NET_ORDER: [&str; 9] = ["dev", "speed", "port", "latency", "guid", "maxconn", "gdr", "coll", "keep"];

/// Writes a topology.
pub(in super::super) fn write(topology: &Topology, options: &WriteOptions) -> Result<Written> {
    let mut writer = Writer::new(topology);
    writer.is_guest = !options.devices.is_empty();
    let system = writer.system()?;
    if system.children.is_empty() {
        return Err(nothing(topology));
    }
    let count = system.count();
    if count > MAX_ELEMENTS {
        let text = format!("the file has {count} elements, and NCCL reads {MAX_ELEMENTS} at most");
        writer.assumed.insert(text);
    }
    let mut text = String::new();
    system.write(0, &mut text);
    let mut written = Written::new(text);
    if !topology.nvlink_known() && topology.gpus().len() > 1 {
        let text = "NVLinks are unknown, and those that are missing here NCCL asks the driver for";
        written.note(Note::new(NoteCode::NvlinksUnknown, text));
    }
    for text in writer.assumed {
        written.note(Note::new(NoteCode::Unknown, text));
    }
    losses::note(topology, "NCCL's file", &LOST, &mut written);
    Ok(written)
}

/// The facts that NCCL does not ask for.
const LOST: [losses::Facts; 12] = [
    losses::MODELS,
    losses::UUIDS,
    losses::VERSIONS,
    losses::GPU_MEMORY,
    losses::MIG,
    losses::NODE_MEMORY,
    losses::CORES,
    losses::NIC_PORTS,
    losses::DISKS,
    losses::MEASURED,
    losses::P2P,
    losses::ACS,
];

fn nothing(topology: &Topology) -> Error {
    let error = Error::request("the machine has no GPU, so there is nothing that NCCL could use");
    match topology.driver_trouble() {
        Some(why) => error.help(why),
        None => error,
    }
}

pub(super) struct Writer<'t> {
    pub(super) topology: &'t Topology,
    /// The nodes directly below each node.
    below: Vec<Vec<NodeId>>,
    /// True for nodes with a GPU or adapter at or below them.
    holds: Vec<bool>,
    addresses: BTreeMap<NodeId, PciAddress>,
    taken: BTreeSet<PciAddress>,
    made: u32,
    /// The links of each node, in the source's order, so that reading gives it back.
    pub(super) links: BTreeMap<NodeId, Vec<(NodeId, &'t Link)>>,
    /// The place of each adapter among them, by its name.
    nets: BTreeMap<&'t str, usize>,
    /// The assumptions, and the facts that the format cannot tell.
    pub(super) assumed: BTreeSet<String>,
    /// True for a guest, where the kernel tells wrong speeds of PCIe links.
    is_guest: bool,
}

impl<'t> Writer<'t> {
    fn new(topology: &'t Topology) -> Self {
        let mut below = vec![Vec::new(); topology.node_count()];
        let mut holds = vec![false; topology.node_count()];
        let (mut addresses, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for (id, node) in topology.nodes() {
            if let Some(parent) = node.parent {
                below[parent.index()].push(id);
            }
            let (is_device, address) = match &node.kind {
                NodeKind::Gpu(gpu) => (true, gpu.address),
                NodeKind::Nic(nic) => (true, nic.address),
                NodeKind::PcieSwitch(switch) => (false, switch.address),
                NodeKind::NvSwitch(switch) => (false, switch.address),
                _ => (false, None),
            };
            if let Some(address) = address {
                addresses.insert(id, address);
                taken.insert(address);
            }
            if is_device {
                topology.ancestors(id).for_each(|above| holds[above.index()] = true);
            }
        }
        let assumed = BTreeSet::new();
        let mut links: BTreeMap<NodeId, Vec<(NodeId, &Link)>> = BTreeMap::new();
        for (a, b, link) in topology.links() {
            links.entry(a).or_default().push((b, link));
            links.entry(b).or_default().push((a, link));
        }
        let nets = topology.nics().enumerate().map(|(place, nic)| (nic.name.as_str(), place)).collect();
        Self { topology, below, holds, addresses, taken, made: 0, links, nets, assumed, is_guest: false }
    }

    fn system(&mut self) -> Result<Xml> {
        let topology = self.topology;
        if topology.gpus().len() == 0 && topology.nodes().all(|(_, node)| node.provenance != Provenance::Nccl)
        {
            return Err(nothing(topology));
        }
        let mut cpus: Vec<(u32, Xml)> = Vec::new();
        for (id, node) in topology.nodes() {
            let NodeKind::NumaNode(numa) = &node.kind else { continue };
            let mut children = Vec::new();
            self.below(id, true, &mut children);
            cpus.push((numa.os_index, self.cpu(numa, children)));
        }
        // The devices of no NUMA node, by the CPUs that are near; the last of them are those without.
        let mut rest: Vec<(Option<CpuSet>, Vec<Xml>)> = Vec::new();
        for (id, node) in topology.nodes() {
            let is_top = node.parent.is_some_and(|parent| !on_bus(&topology.node(parent).kind));
            let is_placed =
                topology.ancestors(id).any(|above| topology.node(above).kind.as_numa_node().is_some());
            if !is_top || is_placed || !on_bus(&node.kind) {
                continue;
            }
            let mut own = Vec::new();
            self.one(id, false, &mut own);
            // A device can be near a node that does not contain it.
            let near = self.first_device(id).map(|device| topology.local_nodes(device));
            let near = near.as_ref().and_then(Stated::known).filter(|nodes| nodes.len() == 1);
            let place = near.and_then(NodeSet::first);
            if let Some((_, cpu)) = cpus.iter_mut().find(|(number, _)| Some(*number) == place) {
                cpu.children.append(&mut own);
                continue;
            }
            let near = self.near_cpus(id);
            match rest.iter_mut().find(|(cpus, _)| *cpus == near) {
                Some((_, all)) => all.append(&mut own),
                None => rest.push((near, own)),
            }
        }
        let is_amd = topology.gpus().any(is_amd);
        let mut system = Xml::new("system");
        system.set("version", if is_amd { 2 } else { 1 });
        let is_kept = topology.node(NodeId::MACHINE).provenance == Provenance::Nccl;
        for (_, mut cpu) in cpus {
            if is_kept || !cpu.children.is_empty() {
                self.make(&mut cpu);
                system.children.push(cpu);
            }
        }
        for (number, affinity, children) in self.made_up(rest) {
            let mut cpu = Xml::new("cpu");
            cpu.set("numaid", number.map_or_else(|| "-1".to_owned(), |number| number.to_string()));
            cpu.maybe("affinity", affinity.map(|cpus| cpus.to_mask()));
            cpu.children = children;
            self.make(&mut cpu);
            system.children.push(cpu);
        }
        Ok(system)
    }

    /// Makes up NUMA nodes for devices near different CPUs, where no node is known and they are not known to be on one.
    fn made_up(
        &mut self,
        rest: Vec<(Option<CpuSet>, Vec<Xml>)>,
    ) -> Vec<(Option<usize>, Option<CpuSet>, Vec<Xml>)> {
        let known = rest.iter().filter(|(cpus, _)| cpus.is_some()).count();
        if known > 1 && self.topology.numa_nodes().next().is_none() && self.are_apart() {
            self.assume(
                "the NUMA nodes are unknown: a node with a number that was made up stands for each list of CPUs near GPUs or \
                 adapters, so that NCCL does not take them for neighbours",
            );
            let mut numbers = 0..;
            return rest
                .into_iter()
                .map(|(cpus, own)| (cpus.as_ref().and_then(|_| numbers.next()), cpus, own))
                .collect();
        }
        let affinity = rest.iter().rev().find_map(|(cpus, _)| cpus.clone());
        let children: Vec<Xml> = rest.into_iter().flat_map(|(_, own)| own).collect();
        if children.is_empty() { Vec::new() } else { vec![(None, affinity, children)] }
    }

    /// Returns whether no two devices near different CPUs are known to be on one NUMA node.
    fn are_apart(&self) -> bool {
        let devices = self.topology.devices();
        let near: Vec<Option<&CpuSet>> = devices
            .iter()
            .map(|id| self.topology.node(*id).kind.near().and_then(|(cpus, _)| cpus.known()))
            .collect();
        let differ = |a: usize, b: usize| near[a].is_some() && near[b].is_some() && near[a] != near[b];
        (0..devices.len()).all(|a| (0..a).all(|b| !differ(a, b) || !self.are_on_one_node(a, b)))
    }

    fn are_on_one_node(&self, a: usize, b: usize) -> bool {
        let path = self.topology.pairs().pair(a, b).path;
        matches!(path, Some(PathType::Pix | PathType::Pxb | PathType::Phb | PathType::Node))
    }

    /// Returns the CPUs near the devices at or below a node: as one of them tells, else as a device of the same NUMA node.
    fn near_cpus(&self, id: NodeId) -> Option<CpuSet> {
        let devices = self.topology.devices();
        let cpus = |device: &NodeId| {
            let (cpus, _) = self.topology.node(*device).kind.near()?;
            cpus.known().cloned()
        };
        let is_below = |device: NodeId| self.topology.ancestors(device).any(|above| above == id);
        let own: Vec<usize> = (0..devices.len()).filter(|device| is_below(devices[*device])).collect();
        own.iter().find_map(|device| cpus(&devices[*device])).or_else(|| {
            let on_one = |other: &usize| own.iter().any(|device| self.are_on_one_node(*device, *other));
            (0..devices.len()).filter(on_one).find_map(|other| cpus(&devices[other]))
        })
    }

    fn first_device(&self, id: NodeId) -> Option<NodeId> {
        let devices = self.topology.devices().iter().copied();
        devices.into_iter().find(|device| self.topology.ancestors(*device).any(|above| above == id))
    }

    fn cpu(&mut self, numa: &NumaNode, children: Vec<Xml>) -> Xml {
        let mut cpu = Xml::new("cpu");
        cpu.set("numaid", numa.os_index);
        let mask = numa.cpus.to_mask();
        if mask.len() > MAX_VALUE {
            self.assume(
                "the CPUs of NUMA nodes are left out, as NCCL reads no such long list; it asks the machine",
            );
        } else if !numa.cpus.is_empty() {
            cpu.set("affinity", mask);
        }
        cpu.children = children;
        cpu
    }

    /// Sets the make of the CPUs, after their devices.
    fn make(&mut self, cpu: &mut Xml) {
        let is_nccl = self.topology.node(NodeId::MACHINE).provenance == Provenance::Nccl;
        // NCCL reads three instruction sets, and asks for the vendor of x86 only where a GPU of the job is.
        let is_enough = |make: &CpuMake| match make.architecture.as_deref() {
            Some("arm64" | "ppc64") => true,
            Some("x86_64") => make.vendor.is_some(),
            _ => false,
        };
        let make = match make::of(self.topology).filter(|make| is_nccl || is_enough(make)) {
            Some(make) => make,
            None if is_nccl => return,
            None if !has_net(cpu) => {
                return self.assume("the make of the CPUs is unknown, and left out: NCCL asks the machine");
            }
            None => {
                self.assume(
                    "the make of the CPUs is unknown: an Intel Xeon of Skylake is assumed (10 GB/s between NUMA nodes) where \
                     adapters are, as NCCL asks the machine only where a GPU of the job is",
                );
                CpuMake {
                    architecture: Some("x86_64".to_owned()),
                    vendor: Some("GenuineIntel".to_owned()),
                    family: Some(6),
                    model: Some(85),
                }
            }
        };
        for (name, value) in [("arch", make.architecture), ("vendor", make.vendor)] {
            cpu.maybe(name, value);
        }
        for (name, value) in [("familyid", make.family), ("modelid", make.model)] {
            cpu.maybe(name, value);
        }
    }

    pub(super) fn assume(&mut self, text: &str) {
        if !self.assumed.contains(text) {
            self.assumed.insert(text.to_owned());
        }
    }

    /// Writes the devices directly below a node.
    fn below(&mut self, id: NodeId, on_cpu: bool, out: &mut Vec<Xml>) {
        for child in self.below[id.index()].clone() {
            self.one(child, on_cpu, out);
        }
    }

    fn one(&mut self, id: NodeId, on_cpu: bool, out: &mut Vec<Xml>) {
        let node = self.topology.node(id);
        let is_nccl = node.provenance == Provenance::Nccl;
        match &node.kind {
            NodeKind::HostBridge(_) => self.below(id, false, out),
            NodeKind::PcieSwitch(switch) if self.holds[id.index()] || is_nccl => {
                let is_leaf = self.below[id.index()].is_empty();
                let class = if is_leaf { None } else { Some(0x06_0400) };
                let mut pci = self.pci(id, &switch.pci, class);
                self.below(id, false, &mut pci.children);
                self.link_up(id, &mut pci);
                out.push(pci);
            }
            NodeKind::NvSwitch(switch) => {
                let mut pci = self.pci(id, &switch.pci, Some(0x06_8000));
                self.link_up(id, &mut pci);
                out.push(pci);
            }
            NodeKind::Gpu(gpu) => {
                let mut pci = self.pci(id, &gpu.pci, Some(0x03_0200));
                let is_known =
                    gpu.nccl.is_some() || gpu.compute_capability.is_some() || !gpu.nvlinks.is_empty();
                let is_linked = self.topology.links_of(id).any(|(_, link)| link.kind.is_fabric());
                if !is_nccl || is_known || is_linked {
                    let element = self.gpu(id, gpu);
                    pci.children.push(element);
                }
                self.link_up(id, &mut pci);
                out.push(pci);
                // Another function of the GPU hangs on it.
                self.below(id, false, out);
            }
            NodeKind::Nic(nic) => {
                self.nic(id, nic, (is_nccl, on_cpu), out);
                self.below(id, false, out);
            }
            _ => {}
        }
    }

    fn nic(&mut self, id: NodeId, nic: &Nic, (is_nccl, on_cpu): (bool, bool), out: &mut Vec<Xml>) {
        // NCCL asks the machine for the names of adapters that the file leaves out.
        let is_named = nic.address.is_none_or(|address| nic.name != address.to_string())
            || nic.rdma_device.is_some()
            || !nic.net_devices.is_empty();
        let net = (nic.nccl.is_some() || !is_nccl && is_named).then(|| self.net(nic));
        let wrap = |net: Xml| {
            let mut element = Xml::new("nic");
            element.children.push(net);
            element
        };
        if nic.address.is_none() && is_nccl && on_cpu {
            // An adapter that is no PCI device is on the NUMA node itself.
            let last = out.last_mut().filter(|last| last.name == "nic" && nic.port.is_none());
            match (last, net) {
                (Some(last), Some(net)) => last.children.push(net),
                (None, Some(net)) => out.push(wrap(net)),
                _ => {}
            }
            return;
        }
        // By this class NCCL knows adapters that no name tells: some are among the serial buses.
        let class = nic.pci.class.filter(|class| is_nccl || class >> 16 == 0x02);
        let pci = self.pci(id, &PciFacts { class, ..nic.pci.clone() }, Some(0x02_0000));
        let same = out.last_mut().filter(|last| last.value("busid") == pci.value("busid"));
        match (same.and_then(|last| last.children.first_mut()), net) {
            (Some(nics), Some(net)) => nics.children.push(net),
            (_, net) => {
                let mut pci = pci;
                pci.children.extend(net.map(wrap));
                self.link_up(id, &mut pci);
                out.push(pci);
            }
        }
    }

    /// Writes a PCI device or switch, without its link.
    fn pci(&mut self, id: NodeId, facts: &PciFacts, class: Option<u32>) -> Xml {
        let mut pci = Xml::new("pci");
        pci.set("busid", self.address(id));
        let class = facts.class.or(class);
        pci.maybe("class", class.map(|class| format!("{class:#08x}")));
        for (name, value) in [
            ("vendor", facts.vendor),
            ("device", facts.device),
            ("subsystem_vendor", facts.subsystem_vendor),
            ("subsystem_device", facts.subsystem_device),
        ] {
            pci.maybe(name, value.map(|value| format!("{value:#06x}")));
        }
        pci
    }

    /// Sets the PCIe link of a device or switch upwards, after what is below it.
    ///
    /// NCCL demands speed and lanes of each device that it uses. It asks the machine for those that a file leaves out, of
    /// GPUs and all above them; of adapters that the file names it does not.
    fn link_up(&mut self, id: NodeId, pci: &mut Xml) {
        let is_nccl = self.topology.node(id).provenance == Provenance::Nccl;
        let is_demanded = is_nccl || self.is_guest || has_net(pci);
        let parent = self.topology.node(id).parent;
        let mut links = self.topology.links_of(id).filter(|(far, _)| Some(*far) == parent);
        let link = links.find(|(_, link)| link.kind == LinkKind::Pcie).map(|(_, link)| link.clone());
        let (generation, width) = link.as_ref().map_or((None, None), speed);
        let speed = generation.map(|speed| format!("{speed} GT/s PCIe"));
        if !is_demanded {
            if speed.is_none() || width.is_none() {
                self.assume(
                    "the speed or lanes of some PCIe links are unknown, and left out: NCCL asks the machine",
                );
            }
            pci.maybe("link_speed", speed);
            pci.maybe("link_width", width);
        } else if pci.value("class").is_some() || generation.is_some() || width.is_some() {
            pci.set("link_speed", speed.unwrap_or_default());
            pci.set("link_width", width.unwrap_or(0));
            if generation.is_none() {
                self.assume("the speed of some PCIe links is unknown: NCCL plans with generation 3 there");
            } else if width.is_none() {
                self.assume("the lanes of some PCIe links are unknown: NCCL plans with 16 there");
            }
        }
    }

    /// Returns the address of a device or switch, or makes one up as makers of virtual machines do.
    pub(super) fn address(&mut self, id: NodeId) -> PciAddress {
        if let Some(address) = self.addresses.get(&id) {
            return *address;
        }
        let is_switch = matches!(self.topology.node(id).kind, NodeKind::PcieSwitch(_));
        self.assume(if is_switch {
            "the PCI addresses of some switches are unknown: made-up ones from ffff:ff:01.0 on stand for them"
        } else {
            "the PCI addresses of some GPUs or adapters are unknown: made-up ones stand for them, and NCCL will find \
             those devices only once the true addresses are there"
        });
        loop {
            self.made += 1;
            // The lower two bits of the function have a meaning for NCCL.
            let (bus, device) = (0xff - (self.made / 32 % 0x100) as u8, (self.made % 32) as u8);
            let address = PciAddress { domain: 0xffff - self.made / 0x2000, bus, device, function: 0 };
            if self.taken.insert(address) {
                self.addresses.insert(id, address);
                return address;
            }
        }
    }

    fn gpu(&mut self, id: NodeId, gpu: &Gpu) -> Xml {
        let mut own = gpu.nccl.clone().unwrap_or_default();
        own.entry("dev".to_owned()).or_insert_with(|| gpu.index.to_string());
        let is_linked = self.topology.links_of(id).any(|(_, link)| link.kind.is_fabric());
        if self.topology.nvlink_known() {
            own.remove(NVLINKS);
        } else if gpu.nccl.is_none() && !is_linked {
            own.insert(NVLINKS.to_owned(), UNKNOWN.to_owned());
        }
        let capability =
            gpu.compute_capability.or_else(|| ComputeCapability::of_model(gpu.model.as_deref()?));
        match capability.filter(|_| !is_amd(gpu)) {
            Some(sm) => _ = own.insert("sm".to_owned(), (sm.major * 10 + sm.minor).to_string()),
            None if !own.contains_key("sm") => self.assume(
                "the compute capability (sm) of some GPUs is unknown: NCCL asks the driver, and cannot without one",
            ),
            None => {}
        }
        if gpu.nccl.is_none() {
            let position =
                self.topology.gpus().position(|other| other.index == gpu.index).unwrap_or_default();
            own.insert("rank".to_owned(), position.to_string());
            own.insert("gdr".to_owned(), "1".to_owned());
            self.assume(
                "GPUs have the ranks of their order, and GPUDirect RDMA (gdr) as far as the adapters have it, which NCCL asks",
            );
        }
        let mut element = Xml::new("gpu");
        fill(&mut element, own, &GPU_ORDER);
        element.children = links::of(self, id, gpu);
        element
    }

    fn net(&mut self, nic: &Nic) -> Xml {
        let mut own = nic.nccl.clone().unwrap_or_default();
        if nic.nccl.is_none() {
            own.insert(
                "dev".to_owned(),
                self.nets.get(nic.name.as_str()).copied().unwrap_or_default().to_string(),
            );
            own.extend(nic.port.map(|port| ("port".to_owned(), port.to_string())));
        }
        if let Some(rate) = nic.rate {
            own.entry("speed".to_owned()).or_insert_with(|| (rate.as_mb_per_s() * 8).to_string());
        }
        let name = nic.rdma_device.as_ref().or(nic.net_devices.first()).unwrap_or(&nic.name);
        let mut net = Xml::new("net");
        net.set("name", name);
        fill(&mut net, own, &NET_ORDER);
        net
    }
}

/// Returns true for an element with a named adapter in it.
fn has_net(element: &Xml) -> bool {
    element.name == "net" || element.children.iter().any(has_net)
}

/// Sets attributes, in the given order as far as it goes.
fn fill(element: &mut Xml, mut attributes: BTreeMap<String, String>, order: &[&str]) {
    for name in order {
        element.maybe(*name, attributes.remove(*name));
    }
    for (name, value) in attributes {
        element.set(name, value);
    }
}

/// Returns true for what NCCL's tree of PCI devices holds, and for host bridges, which it does not.
const fn on_bus(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::HostBridge(_) | NodeKind::PcieSwitch(_) | NodeKind::Gpu(_) | NodeKind::Nic(_))
}

/// Returns the speed of a PCIe link in the kernel's spelling, and its lanes.
fn speed(link: &Link) -> (Option<&'static str>, Option<u16>) {
    let Some(rate) = link.rate else { return (None, link.lanes) };
    let found = |lanes: u16| {
        // Some tools round the rate.
        let is_near = |other: u64| other.abs_diff(rate.bandwidth.as_mb_per_s()) * 100 <= 3 * other;
        let rate_of =
            |generation: u8| rates::pcie(generation, lanes).rate.map(|rate| rate.bandwidth.as_mb_per_s());
        (1u8..)
            .zip(SPEEDS)
            .find(|(generation, _)| rate_of(*generation).is_some_and(is_near))
            .map(|(_, speed)| speed)
    };
    match link.lanes {
        Some(lanes) => (found(lanes), Some(lanes)),
        None if rate.basis == Basis::Assumed => (found(LANES), None),
        None => {
            let widths = [16, 8, 4, 2, 1].into_iter().find_map(|lanes| Some((found(lanes)?, lanes)));
            widths.map_or((None, None), |(speed, lanes)| (Some(speed), Some(lanes)))
        }
    }
}
