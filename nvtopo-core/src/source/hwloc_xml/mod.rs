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

use super::xml::{self, Document};
use super::{TextFormat, text};
use crate::error::{Error, Result};
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

/// The info of an object that nvtopo made up when it wrote the file, or whose PCI address or buses it made up.
const MADE_UP: &str = "NvtopoMadeUp";

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

    fn recognizes(bytes: &[u8]) -> bool {
        // Most texts are no XML, which their first byte shows.
        let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        start.starts_with(b"<")
            && xml::root_name(&decoded(&bytes[..bytes.len().min(HEAD)])) == Some("topology")
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let decoded = decoded(bytes);
        let document = Document::parse(&decoded)?;
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

    fn recognizes(bytes: &[u8]) -> bool {
        pasted(&text::decode(&bytes[..bytes.len().min(PASTED_HEAD)]).0).is_some()
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, _) = text::decode(bytes);
        let Some(start) = pasted(&text) else {
            return Err(Error::input("no hwloc XML is in it"));
        };
        let end = text[start..].find(END).map_or(text.len(), |end| start + end + END.len());
        // Blanks keep the places of errors.
        let blank = text[..start].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
        let own: String = blank.chain(text[start..end].chars()).collect();
        HwlocXml::read(own.as_bytes())
    }
}

/// The end of the root element.
const END: &str = "</topology>";

/// The number of bytes in which pasted XML is searched.
const PASTED_HEAD: usize = 256 << 10;

/// Returns where the root element begins in a text that has other lines before it.
fn pasted(text: &str) -> Option<usize> {
    let is_root = |(at, root): &(usize, &str)| {
        let line = text[..*at].rsplit('\n').next().unwrap_or_default();
        let follows = text[at + root.len()..].starts_with([' ', '\t', '\r', '\n', '>']);
        follows && line.trim_start_matches([' ', '\t', '>', '|', '#', '*']).is_empty()
    };
    text.match_indices("<topology").find(is_root).map(|(at, _)| at)
}

/// Returns the text, with marks for what is not UTF-8. Checking is much faster than replacing, which is rarely needed.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn build(topology: Element<'_>) -> Result<Fragment> {
    if topology.name() != "topology" {
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
    let nvlinks = matrix::nvlinks(topology)?;
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
    nvlink::add(nvlinks.as_ref(), &ends, &mut fragment);
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
