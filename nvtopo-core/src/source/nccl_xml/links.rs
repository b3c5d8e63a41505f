//! The elements for the NVLinks, xGMI and C2C of a GPU, to write.

use super::element::Xml;
use super::write::Writer;
use crate::ids::PciAddress;
use crate::model::{Gpu, Link, LinkKind, NodeId, NodeKind, NvLinkFar};

/// The target that NCCL writes for a device that a virtual machine hides.
const HIDDEN_TARGET: &str = "fffffff:ffff:ff";

/// Returns the elements.
pub(super) fn of(writer: &mut Writer<'_>, id: NodeId, gpu: &Gpu) -> Vec<Xml> {
    let topology = writer.topology;
    let mut elements: Vec<Xml> = Vec::new();
    for (far, link) in writer.links.get(&id).cloned().unwrap_or_default() {
        match (&topology.node(far).kind, link.kind) {
            (NodeKind::Gpu(other), kind) if kind.is_fabric() => {
                let target = writer.address(far).to_string();
                push(&mut elements, kind, &target, link.lanes, other.pci.class.unwrap_or(0x03_0200));
            }
            (NodeKind::NvSwitch(switch), kind) if kind.is_fabric() => {
                let target = switch.address.map_or_else(|| HIDDEN_TARGET.to_owned(), |own| own.to_string());
                push(&mut elements, kind, &target, link.lanes, switch.pci.class.unwrap_or(0x06_8000));
            }
            (_, LinkKind::C2c) => elements.extend(c2c(writer, link)),
            _ => {}
        }
    }
    // Links of which the topology knows the end by name only.
    let is_known = |address: PciAddress| topology.gpus().any(|other| other.address == Some(address));
    for port in &gpu.nvlinks {
        match port.far {
            NvLinkFar::Gpu(far) if gpu.address == Some(far) || !is_known(far) => {
                let class = gpu.pci.class.unwrap_or(0x03_0200);
                push(&mut elements, LinkKind::NvLink, &far.to_string(), Some(1), class);
            }
            // NCCL takes the CPU of the GPU's NUMA node, whatever the target is.
            NvLinkFar::Cpu if port.up != Some(false) => {
                push(&mut elements, LinkKind::NvLink, "0000:00:00.0", Some(1), 0x06_8001);
            }
            _ => {}
        }
    }
    elements
}

/// Adds links to a device, to those that are there.
fn push(elements: &mut Vec<Xml>, kind: LinkKind, target: &str, lanes: Option<u16>, class: u32) {
    let name = if kind == LinkKind::Xgmi { "xgmi" } else { "nvlink" };
    let lanes = lanes.unwrap_or(1);
    let known = elements.iter_mut().find(|own| own.name == name && own.value("target") == Some(target));
    if let Some(known) = known {
        return known.add("count", lanes.into());
    }
    let mut element = Xml::new(name);
    element.set("target", target);
    element.set("count", lanes);
    element.set("tclass", format!("{class:#08x}"));
    elements.push(element);
}

fn c2c(writer: &mut Writer<'_>, link: &Link) -> Option<Xml> {
    let Some(rate) = link.rate else {
        writer.assume("the rate of NVLink-C2C is unknown, so it was left out; NCCL asks the driver");
        return None;
    };
    let count = u64::from(link.lanes.unwrap_or(1).max(1));
    let mut element = Xml::new("c2c");
    element.set("bw", rate.bandwidth.as_mb_per_s() / count);
    element.set("count", count);
    Some(element)
}
