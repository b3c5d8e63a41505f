//! hwloc's XML (`lstopo machine.xml`), of its first to its third version, read without hwloc.
//!
//! Objects become nodes by their types; host bridges are placed by the object that hwloc attaches them to. Facts
//! without use are left out (other storage, memory attributes), and so are those that a shared file should not contain
//! (host name, serial numbers, addresses of ports).

mod cpus;
mod devices;
mod element;
mod matrix;
mod numa;
mod nvlink;
mod objects;
mod pci;
mod set;
pub(super) mod synthetic;
pub(super) mod write;

use super::xml::{self, Document, pasted};
use super::{Input, TextFormat};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Fragment, NodeKind, NoteKind, Provenance};
use element::Element;
use objects::Version;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The number of bytes in which the root element is searched.
const HEAD: usize = 4 << 10;

/// The latest version that is read.
const LATEST: u32 = 3;

/// The info of an object that nvtopo made up when it wrote the file, or of which it made up an attribute.
const MADE_UP: &str = "NvtopoMadeUp";

/// The values of [`MADE_UP`], of which several may stand in one: the object itself, its number, its place on the PCI bus or its
/// buses, and the class of a PCI device.
const MADE_UP_OBJECT: &str = "object";
const MADE_UP_NUMBER: &str = "os_index";
const MADE_UP_ADDRESS: &str = "pci_busid";
const MADE_UP_BUSES: &str = "bridge_pci";
const MADE_UP_CLASS: &str = "class";

/// The info of the machine with the kernel's name of its instruction set, such as `aarch64`.
const ARCHITECTURE: &str = "Architecture";

/// The info of a GPU that is not NVIDIA's with its number, which nvtopo writes: of other files such GPUs are left out.
const GPU: &str = "NvtopoGPU";

/// The info of a network adapter for which the source had no name, which nvtopo writes: of other files such adapters are left
/// out, as most are virtual functions.
const NIC: &str = "NvtopoNIC";

/// The value of [`NIC`].
const UNNAMED: &str = "unnamed";

/// The info of the machine that says, by the value `unknown`, that NVLinks may be missing in the file, which nvtopo writes.
const NVLINKS: &str = "NvtopoNVLinks";

/// The info of the machine with the CPUs that are off, which nvtopo writes: hwloc cannot tell them from CPUs that may not be
/// used.
const OFFLINE: &str = "NvtopoOfflineCPUs";

/// The info of a bridge that tells its kind of port, which nvtopo writes: the ports beside it need not be in the file.
const PORT: &str = "NvtopoPort";

/// The value of [`PORT`] of a switch.
const UPSTREAM: &str = "upstream";

/// The info of a kind of cores with its class, which nvtopo writes.
const CLASS: &str = "NvtopoClass";

pub(super) struct HwlocXml;

impl TextFormat for HwlocXml {
    const NAME: &'static str = "hwloc XML";
    const BEGINNINGS: &'static [&'static str] = &["<topology"];

    fn recognizes(input: &Input<'_>) -> bool {
        let bytes = input.bytes();
        // Most texts are no XML, which their first byte shows.
        let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        start.starts_with(b"<") && xml::root_name(&decoded(&bytes[..bytes.len().min(HEAD)])) == Some(ROOT)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let decoded = decoded(bytes);
        let start = pasted::start(&decoded, ROOT).unwrap_or_default();
        let document = pasted::document(&decoded, ROOT, start);
        let document = Document::parse(&document)?;
        let mut fragment = build(document.root())?;
        if matches!(decoded, Cow::Owned(_)) {
            fragment.note(NoteKind::Damage, "the text is not UTF-8 everywhere; marks stand for what is not");
        }
        Ok(fragment)
    }
}

/// hwloc XML inside another text, as people paste it: behind a prompt, or in a fence of Markdown.
pub(super) struct PastedXml;

impl TextFormat for PastedXml {
    const NAME: &'static str = "hwloc XML between other lines";
    const BEGINNINGS: &'static [&'static str] = &["lstopo", "<topology"];

    fn recognizes(input: &Input<'_>) -> bool {
        pasted::start(&input.head(PASTED_HEAD), ROOT).is_some()
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        HwlocXml::read(bytes)
    }
}

/// The name of the root element.
const ROOT: &str = "topology";

/// The number of bytes in which pasted XML is searched.
const PASTED_HEAD: usize = 256 << 10;

/// Returns the text, with marks for what is not UTF-8. Checking is much faster than replacing, which is rarely needed.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn build(topology: Element<'_>) -> Result<Fragment> {
    if !topology.is(ROOT) {
        return Err(topology.error("the root of the XML is not hwloc's, topology"));
    }
    let version = version(topology)?;
    let root = topology.below("object").next();
    let root = root.ok_or_else(|| topology.error("the topology holds no object"))?;
    // The first version leaves out levels that hold one thing only, even the machine.
    if matches!(root.kind(), "" | "PU" | "Bridge" | "PCIDev" | "OSDev" | "Misc") {
        return Err(root.error("the first object is not the machine"));
    }
    let mut objects = objects::read(root, version)?;
    if objects.online.is_empty() {
        return Err(root.error("the machine has no CPU that is online"));
    }
    let distances = matrix::distances(topology, &objects)?;
    let fabrics = matrix::fabrics(topology)?;
    // hwloc's order is by place; people look for numbers.
    objects.nodes.sort_by_key(|node| node.os_index);

    let mut fragment = Fragment::new(Provenance::Hwloc);
    let mut budget = cpus::Budget::new();
    cpus::fill_machine(&objects, version, &mut fragment)?;
    let packages = cpus::add_packages(&objects, &mut fragment);
    let nodes = numa::add(&objects, &packages, &distances, &mut budget, &mut fragment)?;
    cpus::add_caches(&objects, &packages, &mut budget, &mut fragment)?;
    cpus::add_groups(&objects, &packages, &mut budget, &mut fragment)?;
    cpus::add_cores(&objects, &packages, &cpus::read_kinds(topology)?, &mut fragment);
    let io = pci::read(&objects, &nodes, version)?;
    let ends = devices::add(&io, &nodes, &mut fragment)?;
    let is_open = objects.root.info(NVLINKS).is_some();
    nvlink::add(&fabrics, is_open, &ends, &mut fragment);
    forget(&io.made_up, &mut fragment);
    Ok(fragment)
}

/// Takes out the addresses that were made up when the file was written.
fn forget(made_up: &BTreeSet<PciAddress>, fragment: &mut Fragment) {
    let drop = |address: &mut Option<PciAddress>| *address = address.filter(|own| !made_up.contains(own));
    for node in fragment.nodes.iter_mut().filter(|_| !made_up.is_empty()) {
        match &mut node.kind {
            NodeKind::PcieSwitch(switch) => drop(&mut switch.address),
            NodeKind::Gpu(gpu) => drop(&mut gpu.address),
            NodeKind::NvSwitch(switch) => drop(&mut switch.address),
            NodeKind::Nic(nic) => drop(&mut nic.address),
            NodeKind::Nvme(nvme) => drop(&mut nvme.address),
            NodeKind::NumaNode(node) => drop(&mut node.gpu),
            _ => {}
        }
    }
}

/// Returns the version of the format: `2.0`; the first has no number.
fn version(topology: Element<'_>) -> Result<Version> {
    let Some(text) = topology.attribute("version") else { return Ok(Version(1)) };
    let major = text.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(major @ 1..=LATEST) => Ok(Version(major)),
        Some(later) if later > LATEST => {
            let error =
                topology.error(format!("version {later} is later than the {LATEST} that this nvtopo reads"));
            Err(error.help("use a newer nvtopo"))
        }
        _ => Err(topology.wrong("version", "a version such as 2.0")),
    }
}
