//! The elements of NCCL's topology as nodes of the graph: `cpu` is a NUMA node, `pci` a switch or a device.

use super::super::pci_kind::is_amd;
use super::super::xml::Element;
use super::{nvlink, short};
use crate::cpuset::CpuSet;
use crate::error::Result;
use crate::ids::{ComputeCapability, PciAddress};
use crate::model::{
    Basis, CpuMake, Fragment, Gpu, Link, LinkKind, Nic, NodeId, NodeKind, NoteCode, NoteKind, NumaNode,
    NvSwitch, PciFacts, PcieSwitch, Provenance, Rate, Stated, rates,
};
use crate::units::{Bandwidth, several};
use std::collections::{BTreeMap, BTreeSet};

/// The highest number of a NUMA node.
const MAX_NODE: u32 = 65_535;

/// The lanes that NCCL counts with where a file gives a PCIe link none.
pub(super) const LANES: u16 = 16;

/// A GPU of the file.
pub(super) struct FoundGpu<'d> {
    pub(super) id: NodeId,
    pub(super) address: PciAddress,
    /// Its `gpu` element, which a maker's file leaves out.
    pub(super) element: Option<Element<'d>>,
    /// The NUMA node that it is below.
    pub(super) node: Option<NodeId>,
    dev: Option<u32>,
}

pub(super) struct Reader<'d> {
    pub(super) fragment: Fragment,
    pub(super) gpus: Vec<FoundGpu<'d>>,
    /// NVSwitches by address; those that are hidden are one without.
    pub(super) switches: BTreeMap<Option<PciAddress>, NodeId>,
    pub(super) by_address: BTreeMap<PciAddress, NodeId>,
    /// The names of NICs, each with the last number that another of that name got.
    names: BTreeMap<String, usize>,
    /// Adapters on no bus that stand below several NUMA nodes, each with whether it was added.
    shared: BTreeMap<Identity<'d>, bool>,
    unknown: Vec<PciAddress>,
    unknown_width: usize,
    unknown_link: usize,
    links: usize,
    pcilinks: usize,
}

/// The place of devices: a NUMA node, or the machine where the node is not known.
#[derive(Clone)]
struct Place {
    node: Option<NodeId>,
    /// CPUs that are stated where there is no node.
    cpus: Stated<CpuSet>,
}

/// Reads a topology.
pub(super) fn fragment(system: Element<'_>) -> Result<Fragment> {
    let mut reader = Reader {
        fragment: Fragment::new(Provenance::Nccl),
        gpus: Vec::new(),
        switches: BTreeMap::new(),
        by_address: BTreeMap::new(),
        names: BTreeMap::new(),
        shared: BTreeMap::new(),
        unknown: Vec::new(),
        unknown_width: 0,
        unknown_link: 0,
        links: 0,
        pcilinks: 0,
    };
    if !system.children().any(|child| child.is("cpu") || child.is("pci") || child.is("nic")) {
        return Err(system.error("the topology of NCCL holds neither a cpu nor a pci"));
    }
    reader.system(system)?;
    reader.number_gpus();
    reader.nvlinks()?;
    reader.tell();
    Ok(reader.fragment)
}

impl<'d> Reader<'d> {
    fn system(&mut self, system: Element<'d>) -> Result<()> {
        let hosts = hosts(system);
        let is_first = |cpu: &Element<'d>| hosts.first().is_none_or(|first| *first == host(*cpu));
        self.shared = shared(system.children().filter(|child| child.is("cpu")).filter(is_first));
        let mut nodes: Vec<NodeId> = Vec::new();
        let mut seen = BTreeSet::new();
        for cpu in system.children() {
            if !cpu.is("cpu") {
                // A part of a dump may begin anywhere.
                self.one(cpu, NodeId::MACHINE, &Place { node: None, cpus: Stated::Unstated })?;
                continue;
            }
            if !is_first(&cpu) {
                continue;
            }
            self.make(cpu)?;
            let place = self.cpu(cpu, &mut seen)?;
            nodes.extend(place.node);
            let parent = place.node.unwrap_or(NodeId::MACHINE);
            for child in cpu.children() {
                self.one(child, parent, &place)?;
            }
        }
        if let [first, others @ ..] = &hosts[..]
            && !others.is_empty()
        {
            let text = format!(
                "the file describes {} hosts (host_hash); the first, {}, was read, and the others were left out: {}",
                hosts.len(),
                host_name(*first),
                several(&others.iter().map(|host| host_name(*host)).collect::<Vec<_>>()),
            );
            self.fragment.note(NoteCode::DeviceLeftOut, text);
        }
        self.link_nodes(&nodes);
        Ok(())
    }

    /// Adds a NUMA node.
    fn cpu(&mut self, cpu: Element<'d>, seen: &mut BTreeSet<u32>) -> Result<Place> {
        let cpus = match cpu.attribute("affinity").map(str::trim).filter(|mask| !mask.is_empty()) {
            None => CpuSet::new(),
            Some(mask) => CpuSet::from_mask(mask).map_err(|_| {
                cpu.error_at(
                    "affinity",
                    format!("affinity is '{}', not words such as 00000000,0000ffff", short(mask)),
                )
            })?,
        };
        let text = cpu.attribute("numaid").unwrap_or("-1").trim();
        if text == "-1" {
            let cpus = if cpus.is_empty() { Stated::Unstated } else { Stated::Known(cpus) };
            return Ok(Place { node: None, cpus });
        }
        let number = text.parse().ok().filter(|number| *number <= MAX_NODE);
        let os_index: u32 = number.ok_or_else(|| {
            cpu.error_at("numaid", format!("numaid is '{}', not the number of a NUMA node", short(text)))
        })?;
        if !seen.insert(os_index) {
            return Err(cpu.error_at("numaid", format!("NUMA node {os_index} occurs twice")));
        }
        let node = self.fragment.add(NodeId::MACHINE, NumaNode { os_index, cpus, ..NumaNode::default() });
        Ok(Place { node: Some(node), cpus: Stated::Unstated })
    }

    /// Reads the make of the CPUs, which is the same for all.
    fn make(&mut self, cpu: Element<'d>) -> Result<()> {
        let text = |name: &str| cpu.attribute(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let number = |name: &str| -> Result<Option<u32>> {
            let Some(text) = cpu.attribute(name).map(str::trim).filter(|text| !text.is_empty()) else {
                return Ok(None);
            };
            let wrong = || cpu.error_at(name, format!("{name} is '{}', not a number", short(text)));
            text.parse().map(Some).map_err(|_| wrong())
        };
        let make = CpuMake {
            architecture: text("arch"),
            vendor: text("vendor"),
            family: number("familyid")?,
            model: number("modelid")?,
        };
        let known = &mut self.fragment.machine().cpu;
        if known.is_unknown() {
            **known = make;
        }
        Ok(())
    }

    /// Links the NUMA nodes, with the rates that NCCL plans with between them.
    fn link_nodes(&mut self, nodes: &[NodeId]) {
        let rate = smp(&self.fragment.machine().cpu);
        let pairs = nodes.len() * nodes.len().saturating_sub(1) / 2;
        if nodes.len() > super::super::common::MAX_LINKED {
            let text = format!("the {pairs} links between {} NUMA nodes were left out", nodes.len());
            self.fragment.note(NoteKind::Unknown, text);
            return;
        }
        for (place, a) in nodes.iter().enumerate() {
            for b in &nodes[place + 1..] {
                self.fragment.link(*a, *b, Link::new(LinkKind::Smp).with_rate(rate));
            }
        }
    }

    /// Reads an element below a NUMA node or a switch.
    fn one(&mut self, element: Element<'d>, parent: NodeId, place: &Place) -> Result<()> {
        match element.name() {
            "pci" => self.pci(element, parent, place),
            "nic" => self.nic(element, None, parent, place),
            "net" => self.net(element, None, parent, place).map(|_| ()),
            "pcilink" => {
                self.pcilinks += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn pci(&mut self, element: Element<'d>, parent: NodeId, place: &Place) -> Result<()> {
        let address = address(element)?;
        let facts = facts(element)?;
        let child = |name: &str| element.children().find(|child| child.is(name));
        let (gpu, nic) = (child("gpu"), child("nic"));
        let class = element.attribute("class").unwrap_or_default();
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| class.starts_with(prefix));
        let link = self.pcie(element)?;
        // NCCL's classes; RCCL takes AMD's accelerators (0x12) for GPUs as well.
        if gpu.is_some() || is(&["0x03", "0x12"]) {
            self.gpu(element, gpu, (address, facts), parent, (place, link))
        } else if nic.is_some() || is(&["0x02"]) {
            let pci = (address, facts, link);
            let Some(nic) = nic else {
                self.nameless(pci, parent, place);
                return Ok(());
            };
            self.nic(nic, Some(&pci), parent, place)
        } else if is(&["0x068000"]) {
            let id = self.fragment.add(parent, NvSwitch { address: Some(address), pci: facts });
            self.fragment.link(id, parent, link);
            self.switches.insert(Some(address), id);
            Ok(())
        } else {
            if class.is_empty() && element.children().next().is_none() {
                self.unknown.push(address);
            }
            let id = self.fragment.add(parent, PcieSwitch { address: Some(address), pci: facts });
            self.fragment.link(id, parent, link);
            for child in element.children() {
                self.one(child, id, place)?;
            }
            Ok(())
        }
    }

    fn gpu(
        &mut self,
        pci: Element<'d>,
        element: Option<Element<'d>>,
        (address, facts): (PciAddress, PciFacts),
        parent: NodeId,
        (place, link): (&Place, Link),
    ) -> Result<()> {
        if self.by_address.contains_key(&address) {
            return Err(pci.error_at("busid", format!("GPU {address} occurs twice")));
        }
        let mut gpu = Gpu { address: Some(address), pci: facts, cpus: place.cpus.clone(), ..Gpu::default() };
        let mut dev = None;
        if let Some(element) = element {
            let attributes = attributes(element);
            dev = attributes.get("dev").and_then(|dev| dev.trim().parse().ok());
            // AMD's number is that of compute units.
            let capability = attributes.get("sm").and_then(|sm| capability(sm));
            gpu.nccl = Some(attributes);
            gpu.compute_capability = capability.filter(|_| !is_amd(&gpu));
            if let (Some(_), Some(attributes)) = (gpu.compute_capability, &mut gpu.nccl) {
                attributes.remove("sm");
            }
        }
        let id = self.fragment.add(parent, gpu);
        self.fragment.link(id, parent, link);
        self.by_address.insert(address, id);
        self.gpus.push(FoundGpu { id, address, element, node: place.node, dev });
        Ok(())
    }

    /// Adds the adapters of a `nic`: one for each `net`.
    fn nic(
        &mut self,
        nic: Element<'d>,
        pci: Option<&(PciAddress, PciFacts, Link)>,
        parent: NodeId,
        place: &Place,
    ) -> Result<()> {
        let nets: Vec<Element<'d>> = nic.children().filter(|child| child.is("net")).collect();
        let mut added = Vec::new();
        for net in &nets {
            let shared = identity(*net).filter(|_| pci.is_none()).and_then(|own| self.shared.get_mut(&own));
            let Some(is_added) = shared else {
                added.push(self.net(*net, pci, parent, place)?);
                continue;
            };
            if !std::mem::replace(is_added, true) {
                let nowhere = Place { node: None, cpus: Stated::Unstated };
                added.push(self.net(*net, None, NodeId::MACHINE, &nowhere)?);
            }
        }
        // The number of a port counts those of all functions of a card, so it is one's own for a single adapter.
        if let ([net], [id]) = (&nets[..], &added[..]) {
            let port =
                net.attribute("port").and_then(|port| port.trim().parse().ok()).filter(|port| *port > 0);
            if let (Some(port), NodeKind::Nic(nic)) = (port, self.fragment.node_mut(*id)) {
                nic.port = nic.rdma_device.as_ref().map(|_| port);
            }
        }
        if let Some(pci) = pci.filter(|_| nets.is_empty()) {
            self.nameless(pci.clone(), parent, place);
        }
        Ok(())
    }

    fn net(
        &mut self,
        net: Element<'d>,
        pci: Option<&(PciAddress, PciFacts, Link)>,
        parent: NodeId,
        place: &Place,
    ) -> Result<NodeId> {
        let mut attributes = attributes(net);
        let given = attributes.remove("name").filter(|name| !name.is_empty());
        let given = given.ok_or_else(|| net.error("a net without a name"))?;
        let is_interface = is_interface(&given, &attributes);
        let speed = attributes.get("speed").and_then(|speed| speed.trim().parse::<u64>().ok());
        // The file has Mbit/s, and 10 Gbit/s or -1 where an adapter does not tell.
        let rate = speed.filter(|speed| *speed > 0 && speed.is_multiple_of(8));
        if rate.is_some() {
            attributes.remove("speed");
        }
        let name = self.unique(&given);
        let mut own = Nic {
            rate: rate.map(|speed| Bandwidth::from_mb_per_s(speed / 8)),
            cpus: place.cpus.clone(),
            nccl: Some(attributes),
            ..Nic::new(name)
        };
        if is_interface {
            own.net_devices.push(given);
        } else {
            own.rdma_device = Some(given);
        }
        if let Some((address, facts, _)) = pci {
            own.address = Some(*address);
            own.pci = facts.clone();
        }
        let id = self.fragment.add(parent, own);
        if let Some((_, _, link)) = pci {
            self.fragment.link(id, parent, link.clone());
        }
        Ok(id)
    }

    /// Adds an adapter of which the file tells the place only.
    fn nameless(
        &mut self,
        (address, pci, link): (PciAddress, PciFacts, Link),
        parent: NodeId,
        place: &Place,
    ) {
        let name = self.unique(&address.to_string());
        let nic = Nic { address: Some(address), pci, cpus: place.cpus.clone(), ..Nic::new(name) };
        let id = self.fragment.add(parent, nic);
        self.fragment.link(id, parent, link);
    }

    /// Returns a name that no other adapter has.
    fn unique(&mut self, name: &str) -> String {
        let mut own = name.to_owned();
        while self.names.contains_key(&own) {
            let count = self.names.entry(name.to_owned()).or_default();
            *count += 1;
            own = format!("{name}.{count}");
        }
        self.names.insert(own.clone(), 1);
        own
    }

    fn pcie(&mut self, pci: Element<'d>) -> Result<Link> {
        let speed = pci.attribute("link_speed").unwrap_or_default();
        let width = match pci.attribute("link_width").map(str::trim).filter(|width| !width.is_empty()) {
            None => None,
            Some(text) => Some(text.parse::<u16>().map_err(|_| {
                pci.error_at("link_width", format!("link_width is '{}', not a number of lanes", short(text)))
            })?),
        };
        self.links += 1;
        let lanes = width.filter(|width| (1..=32).contains(width));
        let Some(generation) = rates::pcie_generation(speed) else {
            self.unknown_link += 1;
            return Ok(Link { lanes, ..rates::pcie_unknown() });
        };
        if lanes.is_some() {
            return Ok(rates::pcie_at(speed, lanes));
        }
        self.unknown_width += 1;
        let assumed = rates::pcie(generation, LANES).rate.map(|rate| Rate { basis: Basis::Assumed, ..rate });
        Ok(Link { rate: assumed, ..rates::pcie_unknown() })
    }

    /// Numbers the GPUs as the file does, else by address, as the driver does.
    fn number_gpus(&mut self) {
        let known: BTreeSet<u32> = self.gpus.iter().filter_map(|gpu| gpu.dev).collect();
        let is_numbered = known.len() == self.gpus.len();
        let mut order: Vec<usize> = (0..self.gpus.len()).collect();
        order.sort_by_key(|gpu| self.gpus[*gpu].address);
        for (number, gpu) in (0..).zip(order) {
            let found = &self.gpus[gpu];
            let index = found.dev.filter(|_| is_numbered).unwrap_or(number);
            if let NodeKind::Gpu(own) = self.fragment.node_mut(found.id) {
                own.index = index;
                if let Some(attributes) = own.nccl.as_mut().filter(|_| is_numbered) {
                    attributes.remove("dev");
                }
            }
        }
        if !is_numbered {
            let text = "the file does not number the GPUs; they are numbered by address, as the driver does";
            self.fragment.note(NoteCode::Inferred, text);
        }
    }

    fn nvlinks(&mut self) -> Result<()> {
        nvlink::add(self)
    }

    fn tell(&mut self) {
        let Self { unknown_link, unknown_width, links, pcilinks, .. } = *self;
        if !self.unknown.is_empty() {
            let text = format!(
                "the file does not tell what the PCI devices {} are: they stand as PCIe switches with nothing below",
                several(&self.unknown.iter().map(PciAddress::to_string).collect::<Vec<_>>()),
            );
            self.fragment.note(NoteCode::Unknown, text);
        }
        let unknown_link = unknown_link.saturating_sub(self.unknown.len());
        if unknown_link > 0 {
            let text = format!(
                "the file does not tell the speed of {unknown_link} of {links} PCIe links; NCCL plans with generation 3"
            );
            self.fragment.note(NoteCode::PcieRateAssumed, text);
        }
        if unknown_width > 0 {
            let text = format!(
                "the file does not tell the lanes of {unknown_width} of {links} PCIe links; 16 were taken, as by NCCL"
            );
            self.fragment.note(NoteCode::PcieRateAssumed, text);
        }
        if !self.shared.is_empty() {
            let names: Vec<String> = self.shared.keys().map(|(name, ..)| short(name).into_owned()).collect();
            let text = format!(
                "the file has the adapters {} below several NUMA nodes, as NCCL puts interfaces on no PCI bus near each GPU: \
                 each is one, and its place is unknown",
                several(&names)
            );
            self.fragment.note(NoteCode::NumaUnknown, text);
        }
        if pcilinks > 0 {
            let text = format!("{pcilinks} links between PCIe switches (pcilink) were left out");
            self.fragment.note(NoteKind::Unknown, text);
        }
    }
}

/// Returns the rate that NCCL plans with between NUMA nodes.
///
/// Source: `ncclTopoGetInterCpuBw` and `ncclTopoAddCpu` in NCCL's `src/graph/topo.cc`.
fn smp(make: &CpuMake) -> Rate {
    let of = |mb_per_s: u64| Rate::new(Bandwidth::from_mb_per_s(mb_per_s), Basis::Typical);
    match (make.architecture.as_deref(), make.vendor.as_deref()) {
        (Some("ppc64"), _) => of(32_000),
        (Some("arm64"), _) => of(6_000),
        (_, Some("AuthenticAMD")) => of(16_000),
        (_, Some("GenuineIntel")) => match (make.family, make.model) {
            (Some(6), Some(0xcf..)) => of(40_000),
            (Some(6), Some(0x8f..)) => of(22_000),
            (Some(6), Some(0x55..)) => of(10_000),
            _ => of(6_000),
        },
        _ => rates::smp(None),
    }
}

/// The name, number and GUID of an adapter.
type Identity<'d> = (&'d str, &'d str, &'d str);

fn identity(net: Element<'_>) -> Option<Identity<'_>> {
    Some((net.attribute("name")?, net.attribute("dev")?, net.attribute("guid")?))
}

/// Finds the adapters on no bus that stand below several of the NUMA nodes.
fn shared<'d>(cpus: impl Iterator<Item = Element<'d>>) -> BTreeMap<Identity<'d>, bool> {
    let mut places: BTreeMap<Identity<'d>, BTreeSet<usize>> = BTreeMap::new();
    for (place, cpu) in cpus.enumerate() {
        let nics = cpu.children().filter(|child| child.is("nic"));
        for own in nics.flat_map(Element::children).filter(|net| net.is("net")).filter_map(identity) {
            places.entry(own).or_default().insert(place);
        }
    }
    places.retain(|_, places| places.len() > 1);
    places.into_keys().map(|own| (own, false)).collect()
}

/// Returns the hosts of a file by their hashes, in the file's order.
fn hosts(system: Element<'_>) -> Vec<Option<&str>> {
    let mut hosts = Vec::new();
    let mut seen = BTreeSet::new();
    for cpu in system.children().filter(|child| child.is("cpu")) {
        if seen.insert(host(cpu)) {
            hosts.push(host(cpu));
        }
    }
    hosts
}

fn host(cpu: Element<'_>) -> Option<&str> {
    cpu.attribute("host_hash").map(|hash| hash.trim().trim_start_matches("0x").trim_start_matches('0'))
}

fn host_name(host: Option<&str>) -> String {
    host.map_or_else(|| "one without a hash".to_owned(), |hash| format!("0x{}", short(hash)))
}

fn address(pci: Element<'_>) -> Result<PciAddress> {
    let text = pci.attribute("busid").ok_or_else(|| pci.error("a pci without busid"))?;
    let wrong = |_| {
        pci.error_at("busid", format!("busid is '{}', not a PCI address such as 0000:1b:00.0", short(text)))
    };
    text.parse().map_err(wrong)
}

fn facts(pci: Element<'_>) -> Result<PciFacts> {
    let hex = |name: &str, digits: usize| -> Result<Option<u32>> {
        let Some(text) = pci.attribute(name).map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let plain = text.strip_prefix("0x").unwrap_or(text);
        let number =
            u32::from_str_radix(plain, 16).ok().filter(|_| plain.len() <= digits && !plain.starts_with('+'));
        let wrong =
            || pci.error_at(name, format!("{name} is '{}', not a number such as 0x10de", short(text)));
        number.map(Some).ok_or_else(wrong)
    };
    let id = |name: &str| Ok(hex(name, 4)?.map(|number| number as u16));
    // NCCL itself shortens the class of a device that the system does not show to 0x03 or 0x02.
    let is_whole = pci.attribute("class").is_some_and(|class| class.len() == 8);
    Ok(PciFacts {
        class: hex("class", 6)?.filter(|_| is_whole),
        vendor: id("vendor")?,
        device: id("device")?,
        subsystem_vendor: id("subsystem_vendor")?,
        subsystem_device: id("subsystem_device")?,
        ..PciFacts::default()
    })
}

fn attributes(element: Element<'_>) -> BTreeMap<String, String> {
    element.all_attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the compute capability of `sm`: 90 is 9.0, 103 is 10.3.
fn capability(sm: &str) -> Option<ComputeCapability> {
    let number: u16 = sm.trim().parse().ok().filter(|sm| (10..1000).contains(sm))?;
    Some(ComputeCapability { major: number / 10, minor: number % 10 })
}

/// Returns true for the name of a network interface; others are RDMA devices. NCCL's transport over sockets gives
/// interfaces no guid and no port.
fn is_interface(name: &str, attributes: &BTreeMap<String, String>) -> bool {
    let is_zero = |key: &str| attributes.get(key).map(|value| matches!(value.trim(), "0" | "0x0"));
    match (is_zero("guid"), is_zero("port")) {
        (Some(guid), Some(port)) => guid && port,
        _ => ["eth", "en", "bond"].iter().any(|prefix| name.starts_with(prefix)),
    }
}
