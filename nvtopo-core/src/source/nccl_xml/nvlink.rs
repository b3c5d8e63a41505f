//! NVLinks, AMD's xGMI, and NVLink-C2C: the elements within a `gpu`.
//!
//! An NVLink names the device at its other end by address and class. Both GPUs of a pair name it; it is one link here.

use super::super::xml::Element;
use super::read::{FoundGpu, Reader};
use super::{HIDDEN, short};
use crate::error::Result;
use crate::ids::{ComputeCapability, PciAddress};
use crate::model::{
    Basis, Fragment, Link, LinkKind, NodeId, NodeKind, NoteCode, NvLinkFar, NvLinkPort, NvSwitch, Rate, rates,
};
use crate::units::{Bandwidth, count_of, several};
use petgraph::unionfind::UnionFind;
use std::collections::{BTreeMap, BTreeSet};

/// The attribute of a `gpu` of which it is unknown whether it has NVLinks, and its value: nvtopo writes them. NCCL skips what it
/// does not know.
pub(super) const NVLINKS: &str = "nvlinks";
pub(super) const UNKNOWN: &str = "unknown";

/// The most links between two devices; more is damage.
const MAX_COUNT: u16 = 64;

/// The other end of an NVLink.
enum Far {
    Gpu(PciAddress),
    Switch(Option<PciAddress>),
    Cpu,
}

/// Remarks about the NVLinks.
#[derive(Default)]
struct Seen {
    /// The links between two GPUs so far.
    pairs: BTreeMap<(NodeId, NodeId), u16>,
    /// GPUs whose links lead to themselves, as a virtual machine shows them.
    own: Vec<String>,
    /// GPUs at other ends that are not in the file.
    absent: Vec<String>,
    uneven: usize,
    hidden: bool,
    xgmi: bool,
    any: bool,
}

/// Adds the links of all GPUs.
pub(super) fn add(reader: &mut Reader<'_>) -> Result<()> {
    let mut seen = Seen::default();
    for gpu in 0..reader.gpus.len() {
        let Some(element) = reader.gpus[gpu].element else { continue };
        for child in element.children() {
            match child.name() {
                "nvlink" => nvlink(reader, gpu, child, LinkKind::NvLink, &mut seen)?,
                "xgmi" => nvlink(reader, gpu, child, LinkKind::Xgmi, &mut seen)?,
                "c2c" => c2c(reader, gpu, child)?,
                _ => {}
            }
        }
    }
    tell(reader, &seen);
    Ok(())
}

fn nvlink(
    reader: &mut Reader<'_>,
    gpu: usize,
    element: Element<'_>,
    kind: LinkKind,
    seen: &mut Seen,
) -> Result<()> {
    seen.any = true;
    seen.xgmi |= kind == LinkKind::Xgmi;
    let count = count(element)?;
    if count == 0 {
        return Ok(());
    }
    let (id, own) = (reader.gpus[gpu].id, reader.gpus[gpu].address);
    let link = link(reader, id, kind, count);
    match far(reader, element)? {
        Far::Gpu(target) => {
            if let Some(other) = reader.by_address.get(&target).copied().filter(|other| *other != id) {
                let pair = (id.min(other), id.max(other));
                if let Some(known) = seen.pairs.get(&pair) {
                    seen.uneven += usize::from(*known != count);
                } else {
                    seen.pairs.insert(pair, count);
                    reader.fragment.link(id, other, link);
                }
                return Ok(());
            }
            let list = if target == own { &mut seen.own } else { &mut seen.absent };
            list.push(target.to_string());
            ports(reader, id, count, NvLinkFar::Gpu(target));
        }
        Far::Switch(address) => {
            seen.hidden |= address.is_none();
            let switch = reader.switches.get(&address).copied().unwrap_or_else(|| {
                let node = NvSwitch { address, ..NvSwitch::default() };
                match address {
                    Some(_) => reader.fragment.add(NodeId::MACHINE, node),
                    None => reader.fragment.add_inferred(NodeId::MACHINE, node),
                }
            });
            reader.switches.insert(address, switch);
            reader.fragment.link(id, switch, link);
        }
        Far::Cpu => ports(reader, id, count, NvLinkFar::Cpu),
    }
    Ok(())
}

/// Returns the other end of a link. NCCL takes a device of unknown class for an NVSwitch.
fn far(reader: &mut Reader<'_>, element: Element<'_>) -> Result<Far> {
    let target = element.attribute("target").unwrap_or_default().trim();
    let class = element.attribute("tclass").unwrap_or_default();
    let address: Option<PciAddress> = if target.is_empty() || target.starts_with(HIDDEN) {
        None
    } else {
        let wrong =
            |_| element.error_at("target", format!("target is '{}', not a PCI address", short(target)));
        Some(target.parse().map_err(wrong)?)
    };
    let is_gpu = class.starts_with("0x03") || class.starts_with("0x12");
    let is_power = reader.fragment.machine().cpu.architecture.as_deref() == Some("ppc64");
    Ok(match address {
        Some(address) if is_gpu || reader.by_address.contains_key(&address) => Far::Gpu(address),
        _ if class == "0x068001" || (is_power && class == "0x060400") => Far::Cpu,
        address => Far::Switch(address),
    })
}

fn link(reader: &mut Reader<'_>, gpu: NodeId, kind: LinkKind, count: u16) -> Link {
    let NodeKind::Gpu(own) = reader.fragment.node_mut(gpu) else { return Link::new(kind).with_lanes(count) };
    if kind == LinkKind::NvLink {
        return rates::nvlink_of(own.compute_capability, None, count);
    }
    let architecture = own.nccl.as_ref().and_then(|attributes| attributes.get("gcn"));
    let rate = architecture
        .and_then(|gcn| xgmi(gcn))
        .map(|each| Rate::new(Bandwidth::from_mb_per_s(each * u64::from(count)), Basis::Typical));
    Link { rate, ..Link::new(kind).with_lanes(count) }
}

/// Returns the rate that RCCL plans with for one link of xGMI in MB/s.
///
/// Source: `VEGA_XGMI_WIDTH`, `MI200_XGMI_WIDTH` and `GFX94X_XGMI_WIDTH` in RCCL's `src/graph/topo.h`.
fn xgmi(architecture: &str) -> Option<u64> {
    let name = architecture.trim();
    match name.strip_prefix("gfx").unwrap_or(name) {
        "906" | "908" => Some(24_000),
        "910" | "90a" => Some(36_000),
        "940" | "941" | "942" | "950" => Some(48_000),
        _ => None,
    }
}

fn ports(reader: &mut Reader<'_>, gpu: NodeId, count: u16, far: NvLinkFar) {
    if let NodeKind::Gpu(own) = reader.fragment.node_mut(gpu) {
        let first = own.nvlinks.len() as u32;
        let generation = own.compute_capability.and_then(rates::nvlink_of_architecture);
        own.nvlinks.extend((first..).take(count.into()).map(|number| NvLinkPort {
            up: Some(true),
            generation,
            far,
            ..NvLinkPort::new(number)
        }));
    }
}

/// Reads NVLink-C2C to the CPU of the GPU's NUMA node, as NCCL does: the rate of one link in MB/s, and their number.
fn c2c(reader: &mut Reader<'_>, gpu: usize, element: Element<'_>) -> Result<()> {
    let count = count(element)?;
    let text = element.attribute("bw").unwrap_or_default().trim();
    let bandwidth = text.parse::<u32>().ok();
    let bandwidth = bandwidth
        .ok_or_else(|| element.error_at("bw", format!("bw is '{}', not a rate in MB/s", short(text))))?;
    let id = reader.gpus[gpu].id;
    let Some(node) = reader.gpus[gpu].node else {
        let text = "the file does not tell the NUMA node at the other end of NVLink-C2C";
        reader.fragment.note(NoteCode::Unknown, text);
        return Ok(());
    };
    let rate = Bandwidth::from_mb_per_s(u64::from(bandwidth) * u64::from(count));
    let link = Link::new(LinkKind::C2c).with_lanes(count).with_rate(Rate::new(rate, Basis::Reported));
    reader.fragment.link(node, id, link);
    Ok(())
}

fn count(element: Element<'_>) -> Result<u16> {
    let text = element.attribute("count").unwrap_or_default().trim();
    let count = text.parse().ok().filter(|count| *count <= MAX_COUNT);
    count.ok_or_else(|| {
        element.error_at("count", format!("count is '{}', not a number of links", short(text)))
    })
}

fn tell(reader: &mut Reader<'_>, seen: &Seen) {
    let listed = reader.gpus.iter().any(|gpu| gpu.element.is_some());
    let fragment = &mut reader.fragment;
    if !listed {
        fragment.set_nvlink_unknown();
        let text = "the file does not tell which GPUs NVLink connects: NCCL asks the driver for them";
        fragment.note(NoteCode::NvlinksUnknown, text);
    }
    let is_open = |gpu: &FoundGpu<'_>| gpu.element.is_some_and(|own| own.attribute(NVLINKS) == Some(UNKNOWN));
    let open = reader.gpus.iter().filter(|gpu| is_open(gpu)).count();
    if open > 0 {
        fragment.set_nvlink_unknown();
    }
    if open > 0 && reader.gpus.len() > 1 {
        let text = format!("the file says that it is unknown whether {} have NVLinks", count_of(open, "GPU"));
        fragment.note(NoteCode::NvlinksUnknown, text);
    }
    if fabrics(fragment) > 1 {
        fragment.set_nvlink_unknown();
        let text = "the file does not tell which NVSwitches are linked with each other";
        fragment.note(NoteCode::NvlinksPartlyUnknown, text);
    }
    if !seen.own.is_empty() {
        fragment.set_nvlink_unknown();
        let text = format!(
            "the NVLinks of the GPUs at {} lead to these GPUs themselves: a virtual machine hides the other end",
            several(&seen.own),
        );
        fragment.note(NoteCode::NvlinksUnknown, text);
    }
    if !seen.absent.is_empty() {
        let absent = several(&seen.absent);
        let text = format!("NVLinks lead to GPUs that are not in the file: {absent}");
        fragment.note(NoteCode::NvlinksPartlyUnknown, text);
    }
    if seen.uneven > 0 {
        let text = format!(
            "the GPUs of {} pairs name different numbers of NVLinks; the first was taken",
            seen.uneven
        );
        fragment.note(NoteCode::Conflict, text);
    }
    if seen.hidden {
        let text = "the file hides the NVSwitches; one stands for all of them";
        fragment.note(NoteCode::NvswitchesInferred, text);
    }
    if seen.xgmi {
        let text = "the links between GPUs of AMD are xGMI, which tables count like NVLinks (NV#)";
        fragment.note(NoteCode::Inferred, text);
    }
    if seen.any
        && !seen.xgmi
        && reader.gpus.iter().all(|gpu| capability_of(&mut reader.fragment, gpu.id).is_none())
    {
        let text = "the generation of NVLink is unknown: 25 GB/s for each link is assumed";
        reader.fragment.note(NoteCode::NvlinkRateAssumed, text);
    }
}

/// Returns the number of sets of NVSwitches that share no GPU.
fn fabrics(fragment: &Fragment) -> usize {
    let is_switch = |id: &NodeId| matches!(fragment.nodes[id.index()].kind, NodeKind::NvSwitch(_));
    let (mut sets, mut switches) = (UnionFind::new(fragment.nodes.len()), Vec::new());
    for (a, b, _) in fragment.links.iter().filter(|(_, _, link)| link.kind == LinkKind::NvLink) {
        sets.union(a.index(), b.index());
        switches.extend([*a, *b].into_iter().filter(is_switch));
    }
    switches.into_iter().map(|switch| sets.find(switch.index())).collect::<BTreeSet<usize>>().len()
}

fn capability_of(fragment: &mut Fragment, gpu: NodeId) -> Option<ComputeCapability> {
    fragment.node_mut(gpu).as_gpu().and_then(|gpu| gpu.compute_capability)
}
