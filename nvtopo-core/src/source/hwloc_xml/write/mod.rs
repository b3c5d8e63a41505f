//! The writer of hwloc's XML, in its version 2.0, which hwloc 2 and 3 read: objects, distances between NUMA nodes, NVLinks and
//! kinds of cores.
//!
//! The demands of hwloc are in its `topology-xml.c`: sets of each object with CPUs, numbers that are unique, children by their
//! first CPU, memory before them and I/O after them. Marks that hwloc has no word for are infos, which it keeps and others skip.

mod distances;
mod io;
pub(in super::super) mod objects;

use super::super::writers::{WriteOptions, Written};
use super::super::{MAX_INPUT, losses};
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::{CacheKind, GroupKind, NodeId, Note, NoteCode, NoteKind, Topology};
use crate::printable::is_obeyed;
use io::{Bridge, Device, Item, OsDevice, Root};
use objects::{Kind, Tree};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Writes the XML.
pub(in super::super) fn write(topology: &Topology, options: &WriteOptions) -> Result<Written> {
    let io = io::collect(topology, !options.devices.is_empty());
    let places: Vec<&CpuSet> = io.roots.iter().filter_map(|root| root.place.as_ref()).collect();
    let tree = Tree::build(topology, &places)?;
    // An object has two sets, on average half as long as that of all CPUs, so that the text grows with the square.
    let all = tree.objects.first().map_or(0, |machine| machine.cpus.to_hwloc().len());
    if (tree.objects.len() * all) as u64 > MAX_INPUT {
        let text = format!(
            "hwloc's XML of the machine would have more than {} MiB, as {} objects list their CPUs in it",
            MAX_INPUT >> 20,
            tree.objects.len()
        );
        return Err(Error::request(text).help("--to json writes machines of any size"));
    }
    let mut roots: BTreeMap<usize, Vec<&Root<'_>>> = BTreeMap::new();
    for root in &io.roots {
        let at = root.place.as_ref().map_or(0, |cpus| tree.covering(cpus));
        roots.entry(at).or_default().push(root);
    }
    let mut out =
        Out { xml: Writer::new_with_indent(Vec::new(), b' ', 2), last: 0, numbers: BTreeMap::new() };
    out.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.event(Event::DocType(BytesText::from_escaped("topology SYSTEM \"hwloc2.dtd\"")))?;
    out.start("topology", &[("version", "2.0".into())])?;
    out.object(topology, &tree, &roots, 0)?;
    let mut remarks = tree.remarks.clone();
    remarks.extend(io.remarks);
    distances::write(topology, &tree, &mut out, &mut remarks)?;
    out.kinds(&tree)?;
    out.end("topology")?;
    let text = String::from_utf8(out.xml.into_inner()).map_err(|_| Error::input("the XML is not UTF-8"))?;
    let mut written = Written::new(text + "\n");
    for remark in remarks {
        written.note(Note::new(NoteKind::Unknown, remark));
    }
    if !topology.lists_all_cpus() {
        let text = "the CPUs that are near no device are unknown, and missing in the XML";
        written.note(Note::new(NoteCode::CpusUnknown, text));
    }
    if !topology.nvlink_known() && topology.gpus().len() > 1 {
        let text = "NVLinks are unknown: those that the XML lacks may be there, and a mark in it says so";
        written.note(Note::new(NoteCode::NvlinksUnknown, text));
    }
    losses::note(topology, "hwloc's XML", &LOST, &mut written);
    Ok(written)
}

/// The facts that hwloc has no place for.
const LOST: [losses::Facts; 12] = [
    losses::C2C,
    losses::MIG,
    losses::MEASURED,
    losses::P2P,
    losses::ACS,
    losses::NIC_RATES,
    losses::NIC_MODELS,
    losses::CAPABILITIES,
    losses::VERSIONS,
    losses::FABRICS,
    losses::SWITCH_NUMBERS,
    losses::REVISIONS,
];

/// The attributes of an element.
type Attributes<'a> = [(&'static str, Cow<'a, str>)];

struct Out {
    xml: Writer<Vec<u8>>,
    /// The last number of an object.
    last: u64,
    /// The types and numbers of the objects that stand for GPUs and NVSwitches in the matrix of NVLinks.
    numbers: BTreeMap<NodeId, (&'static str, u64)>,
}

impl Out {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.xml
            .write_event(event)
            .map_err(|error| Error::input(format!("the XML cannot be written: {error}")))
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<()> {
        self.event(Event::Start(element(name, attributes)))
    }

    fn empty(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<()> {
        self.event(Event::Empty(element(name, attributes)))
    }

    fn end(&mut self, name: &str) -> Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    /// Writes an element with a text.
    fn text(&mut self, name: &str, attributes: &Attributes<'_>, text: &str) -> Result<()> {
        self.start(name, attributes)?;
        self.event(Event::Text(BytesText::new(text)))?;
        self.end(name)
    }

    fn info(&mut self, name: &str, value: &str) -> Result<()> {
        self.empty("info", &[("name", name.into()), ("value", value.into())])
    }

    /// Returns the next number of an object.
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Writes an object with CPUs and everything within it.
    fn object(
        &mut self,
        topology: &Topology,
        tree: &Tree<'_>,
        roots: &BTreeMap<usize, Vec<&Root<'_>>>,
        at: usize,
    ) -> Result<()> {
        let object = &tree.objects[at];
        let (kind, index, subtype, own) = attributes(object.kind);
        let mut all: Vec<(&'static str, Cow<'_, str>)> = vec![("type", kind.into())];
        all.extend(index.map(|index| ("os_index", index.to_string().into())));
        let cpus = object.cpus.to_hwloc();
        let complete = match object.kind {
            Kind::Machine => object.cpus.union(&topology.machine().offline_cpus).to_hwloc(),
            _ => cpus.clone(),
        };
        all.extend([("cpuset", cpus.into()), ("complete_cpuset", complete.into())]);
        let nodes = object.nodes.to_hwloc();
        if object.kind == Kind::Machine {
            let (machine, allowed) = (topology.machine(), |set: String| ("allowed_cpuset", set.into()));
            let cpus = machine
                .allowed_cpus
                .as_ref()
                .map_or(object.cpus.clone(), |own| own.intersection(&object.cpus));
            all.push(allowed(cpus.to_hwloc()));
            all.extend([("nodeset", nodes.clone().into()), ("complete_nodeset", nodes.into())]);
            let nodes = machine.allowed_nodes.as_ref();
            let nodes = nodes.map_or(object.nodes.clone(), |own| own.intersection(&object.nodes));
            all.push(("allowed_nodeset", nodes.to_hwloc().into()));
        } else {
            all.extend([("nodeset", nodes.clone().into()), ("complete_nodeset", nodes.into())]);
        }
        all.push(("gp_index", self.number().to_string().into()));
        all.extend(subtype.map(|subtype| ("subtype", subtype.into())));
        all.extend(own);
        self.start("object", &all)?;
        match object.kind {
            Kind::Machine => {
                let product = topology.machine().product.as_deref();
                product.map_or(Ok(()), |product| self.info("DMIProductName", product))?;
                if let Some(architecture) = topology.machine().cpu.architecture.as_deref() {
                    self.info(super::ARCHITECTURE, kernel_name(architecture))?;
                }
                let offline = &topology.machine().offline_cpus;
                if !offline.is_empty() {
                    self.info(super::OFFLINE, &offline.to_string())?;
                }
                if !topology.nvlink_known() {
                    self.info(super::NVLINKS, "unknown")?;
                }
            }
            Kind::MemoryGroup | Kind::IoGroup => self.info(super::MADE_UP, super::MADE_UP_OBJECT)?,
            Kind::Package { model: Some(model), .. } => self.info("CPUModel", model)?,
            _ => {}
        }
        for memory in &object.memory {
            self.memory(tree, at, *memory)?;
        }
        for child in &object.children {
            self.object(topology, tree, roots, *child)?;
        }
        for root in roots.get(&at).into_iter().flatten() {
            self.item(&root.item, 0)?;
        }
        self.end("object")
    }

    fn memory(&mut self, tree: &Tree<'_>, at: usize, memory: usize) -> Result<()> {
        let memory = &tree.memory[memory];
        let cpus = tree.objects[at].cpus.to_hwloc();
        let own: crate::cpuset::NodeSet = std::iter::once(memory.node.os_index).collect();
        let own = own.to_hwloc();
        let mut all: Vec<(&'static str, Cow<'_, str>)> = vec![
            ("type", "NUMANode".into()),
            ("os_index", memory.node.os_index.to_string().into()),
            ("cpuset", cpus.clone().into()),
            ("complete_cpuset", cpus.into()),
            ("nodeset", own.clone().into()),
            ("complete_nodeset", own.into()),
            ("gp_index", self.number().to_string().into()),
        ];
        all.extend(memory.of_gpu.then(|| ("subtype", "GPUMemory".into())));
        all.extend(memory.node.memory.map(|bytes| ("local_memory", bytes.to_string().into())));
        let mark = memory.made_up.then(|| (super::MADE_UP, super::MADE_UP_NUMBER.to_owned()));
        let gpu = memory.node.gpu.map(|address| ("PCIBusID", address.to_string()));
        let Some((name, value)) = mark.or(gpu) else { return self.empty("object", &all) };
        self.start("object", &all)?;
        self.info(name, &value)?;
        self.end("object")
    }

    /// Writes an I/O object; host bridges are of depth 0.
    fn item(&mut self, item: &Item<'_>, depth: u32) -> Result<()> {
        match item {
            Item::Bridge(bridge) => self.bridge(bridge, depth),
            Item::Device(device) => self.device(device),
            Item::Named(named) => self.os_device(named),
        }
    }

    fn bridge(&mut self, bridge: &Bridge<'_>, depth: u32) -> Result<()> {
        let (domain, first, last) = bridge.buses;
        let mut all: Vec<(&'static str, Cow<'_, str>)> = vec![
            ("type", "Bridge".into()),
            ("gp_index", self.number().to_string().into()),
            ("bridge_type", if bridge.port.is_none() { "0-1" } else { "1-1" }.into()),
            ("depth", depth.to_string().into()),
            ("bridge_pci", format!("{domain:04x}:[{first:02x}-{last:02x}]").into()),
        ];
        if let Some(port) = bridge.port {
            all.extend([
                ("pci_busid", port.to_string().into()),
                ("pci_type", "0604 [0000:0000] [0000:0000] 00".into()),
                ("pci_link_speed", speed(bridge.rate).into()),
            ]);
        }
        self.start("object", &all)?;
        if bridge.port.is_some() {
            self.info(super::PORT, super::UPSTREAM)?;
        }
        if bridge.made_up {
            let what = if bridge.port.is_none() { super::MADE_UP_BUSES } else { super::MADE_UP_ADDRESS };
            self.info(super::MADE_UP, what)?;
        }
        for item in &bridge.below {
            self.item(item, depth + 1)?;
        }
        self.end("object")
    }

    fn device(&mut self, device: &Device<'_>) -> Result<()> {
        let number = self.number();
        if device.subtype.is_some() {
            self.numbers.insert(device.node, ("PCIDev", number));
        }
        let pci = &device.pci;
        let id = |number: Option<u16>| number.unwrap_or_default();
        let numbers = format!(
            "{:04x} [{:04x}:{:04x}] [{:04x}:{:04x}] 00",
            device.class,
            id(pci.vendor),
            id(pci.device),
            id(pci.subsystem_vendor),
            id(pci.subsystem_device)
        );
        let mut all: Vec<(&'static str, Cow<'_, str>)> =
            vec![("type", "PCIDev".into()), ("gp_index", number.to_string().into())];
        all.extend(device.subtype.map(|subtype| ("subtype", subtype.into())));
        all.extend([
            ("pci_busid", device.address.to_string().into()),
            ("pci_type", numbers.into()),
            ("pci_link_speed", speed(device.rate).into()),
        ]);
        self.start("object", &all)?;
        let made_up =
            [(device.made_up, super::MADE_UP_ADDRESS), (device.is_class_assumed, super::MADE_UP_CLASS)];
        let made_up: Vec<&str> = made_up.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
        if !made_up.is_empty() {
            self.info(super::MADE_UP, &made_up.join(" "))?;
        }
        if device.is_nic && device.names.is_empty() {
            self.info(super::NIC, super::UNNAMED)?;
        }
        for name in &device.names {
            self.os_device(name)?;
        }
        self.end("object")
    }

    fn os_device(&mut self, device: &OsDevice<'_>) -> Result<()> {
        let number = self.number();
        if let Some(node) = device.node {
            self.numbers.insert(node, ("OSDev", number));
        }
        let mut all: Vec<(&'static str, Cow<'_, str>)> = vec![
            ("type", "OSDev".into()),
            ("gp_index", number.to_string().into()),
            ("name", device.name.as_str().into()),
        ];
        all.extend(device.subtype.map(|subtype| ("subtype", subtype.into())));
        all.push(("osdev_type", (device.kind as u8).to_string().into()));
        if device.infos.is_empty() {
            return self.empty("object", &all);
        }
        self.start("object", &all)?;
        for (name, value) in &device.infos {
            self.info(name, value)?;
        }
        self.end("object")
    }

    /// Writes the kinds of cores of machines whose cores are not alike, by increasing efficiency as hwloc numbers them.
    fn kinds(&mut self, tree: &Tree<'_>) -> Result<()> {
        for (rank, (class, cpus)) in tree.classes.iter().enumerate() {
            let all = [("cpuset", cpus.to_hwloc().into()), ("forced_efficiency", rank.to_string().into())];
            self.start("cpukind", &all)?;
            self.info(super::CLASS, class.name())?;
            self.end("cpukind")?;
        }
        Ok(())
    }
}

/// Returns an element. Control characters, which XML does not allow, are left out of its values.
fn element<'a>(name: &'a str, attributes: &Attributes<'_>) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (name, value) in attributes {
        let value = value.replace(is_obeyed, "");
        element.push_attribute((*name, value.as_str()));
    }
    element
}

/// Returns the rate of a PCIe link in GB/s, 0 where it is unknown.
fn speed(rate: Option<crate::units::Bandwidth>) -> String {
    format!("{:.6}", rate.map_or(0.0, crate::units::Bandwidth::as_gb_per_s))
}

/// Returns hwloc's type of an object, the kernel's number, the subtype, and the attributes of its own.
#[expect(clippy::type_complexity, reason = "parts of one element, taken apart at once")]
fn attributes(
    kind: Kind<'_>,
) -> (&'static str, Option<u32>, Option<&'static str>, Vec<(&'static str, Cow<'static, str>)>) {
    let group = |kind: u32, subkind: u32| {
        vec![("kind", kind.to_string().into()), ("subkind", subkind.to_string().into())]
    };
    match kind {
        Kind::Machine => ("Machine", Some(0), None, Vec::new()),
        Kind::Package { os_index, .. } => ("Package", Some(os_index), None, Vec::new()),
        Kind::Group(GroupKind::Die) => ("Die", None, None, Vec::new()),
        Kind::Group(GroupKind::Cluster) => ("Group", None, Some("Cluster"), group(222, 0)),
        Kind::Group(GroupKind::Book) => ("Group", None, Some("Book"), group(110, 0)),
        Kind::Group(GroupKind::Drawer) => ("Group", None, Some("Drawer"), group(110, 1)),
        Kind::Group(GroupKind::Other) => ("Group", None, None, group(0, 0)),
        Kind::IoGroup => ("Group", None, None, group(1000, 0)),
        Kind::MemoryGroup => ("Group", None, None, group(1001, 0)),
        Kind::Cache { level, kind, size } => {
            let (name, number) = match kind {
                CacheKind::Unified => (cache_name(level, false), "0"),
                CacheKind::Data => (cache_name(level, false), "1"),
                CacheKind::Instruction => (cache_name(level, true), "2"),
            };
            let own = vec![
                ("cache_size", size.unwrap_or_default().to_string().into()),
                ("depth", level.to_string().into()),
                ("cache_linesize", "0".into()),
                ("cache_associativity", "0".into()),
                ("cache_type", number.into()),
            ];
            (name, None, None, own)
        }
        Kind::Core { os_index } => ("Core", Some(os_index), None, Vec::new()),
        Kind::Pu { os_index } => ("PU", Some(os_index), None, Vec::new()),
    }
}

/// Returns hwloc's type of a cache.
pub(in super::super) fn cache_name(level: u8, instructions: bool) -> &'static str {
    match (level, instructions) {
        (1, false) => "L1Cache",
        (1, true) => "L1iCache",
        (2, false) => "L2Cache",
        (2, true) => "L2iCache",
        (3, false) => "L3Cache",
        (3, true) => "L3iCache",
        (4, _) => "L4Cache",
        _ => "L5Cache",
    }
}

/// Returns the kernel's name of an instruction set.
fn kernel_name(architecture: &str) -> &str {
    match architecture {
        "arm64" => "aarch64",
        "ppc64" => "ppc64le",
        name => name,
    }
}
